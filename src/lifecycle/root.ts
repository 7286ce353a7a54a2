/** Where state is kept when nobody says otherwise. */
import { isInUserNamespace } from '../host/facts.ts';
import type { Host } from '../host/host.ts';

/** `/run/strata` for root, `strata` in the user's runtime directory for others: also for the user who is root in a user namespace. */
export function defaultRoot(host: Host): string {
  const uid = host.userId();
  const runtime = host.environment('XDG_RUNTIME_DIR') ?? '';
  if (uid === 0 && (runtime === '' || host.environment('USER') === 'root' || !isInUserNamespace(host))) return '/run/strata';
  return `${runtime === '' ? `/run/user/${uid}` : runtime}/strata`;
}
