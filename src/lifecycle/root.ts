/** Where state is kept when nobody says otherwise. */
import type { Host } from '../host/host.ts';

/** `/run/strata` for root, `strata` in the user's runtime directory for others. */
export function defaultRoot(host: Host): string {
  const uid = host.userId();
  if (uid === 0) return '/run/strata';
  const runtime = host.environment('XDG_RUNTIME_DIR') ?? '';
  return `${runtime === '' ? `/run/user/${uid}` : runtime}/strata`;
}
