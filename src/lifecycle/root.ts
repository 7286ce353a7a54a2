/** Where state is kept when nobody says otherwise. */
import { isInUserNamespace } from '../host/facts.ts';
import type { Host } from '../host/host.ts';

/** `/run/strata` for root, `strata` in the user's runtime directory for others: also for the user who is root in a user namespace. */
export function defaultRoot(host: Host): string {
  if (isRoot(host)) return '/run/strata';
  const runtime = host.environment('XDG_RUNTIME_DIR') ?? '';
  return `${runtime === '' ? `/run/user/${host.userId()}` : runtime}/strata`;
}

/** Is the caller the machine's root, as far as his surroundings tell? */
export function isRoot(host: Host): boolean {
  if (host.userId() !== 0) return false;
  return (host.environment('XDG_RUNTIME_DIR') ?? '') === '' || host.environment('USER') === 'root' || !isInUserNamespace(host);
}
