/** Where images are kept when nobody says otherwise. */
import type { Host } from '../host/host.ts';
import { isRoot } from '../lifecycle/root.ts';
import { DEFAULT_STORE } from '../store/paths.ts';

/** `/var/lib/strata` for root, `strata` in the user's data directory for others: also for the user who is root in a user namespace. */
export function defaultStore(host: Host): string {
  if (isRoot(host)) return DEFAULT_STORE;
  const data = host.environment('XDG_DATA_HOME') ?? '';
  // The Base Directory Specification has relative paths ignored.
  return `${data.startsWith('/') ? data : `${host.environment('HOME') ?? ''}/.local/share`}/strata`;
}
