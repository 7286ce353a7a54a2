/** The writable layer of a container made of an image, and what is below it. */
import { StrataError } from '../base/error.ts';
import { readConfig } from '../lifecycle/bundle.ts';
import { checkId } from '../lifecycle/id.ts';
import { overlayOf } from '../overlay/stack.ts';
import { NOTIFY_PLACE } from '../plan/notify.ts';
import { loadSpec } from '../spec/parse.ts';
import { containerPath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';

export interface WritableLayer {
  /** Its directory. */
  readonly upper: string;
  /** The layers below, top to bottom. */
  readonly lower: readonly string[];
  /** Where mounts are in the container. */
  readonly destinations: readonly string[];
  /** The overlay is mounted with `userxattr`. */
  readonly userAttributes: boolean;
}

/** One thing in which a container differs from its image. */
export interface Change {
  /** Added, changed, deleted. */
  readonly kind: 'A' | 'C' | 'D';
  /** Absolute. A backslash is doubled, and `\xNN` stands for a control character and for each byte that is not UTF-8. */
  readonly path: string;
}

/** @throws StrataError `not-found`; `config-unsupported` if it has no writable layer. */
export function writableLayer({ host, root }: Store, id: string): WritableLayer {
  checkId(id);
  const directory = containerPath(root, id);
  if (host.stat(directory) === undefined) throw new StrataError({ code: 'not-found', reason: `no container made of an image has the id ${id}` });
  const spec = loadSpec(readConfig(host, `${directory}/config.json`));
  const { lower, upper, options } = overlayOf(spec, directory) ?? { lower: [], options: [] };
  if (upper === undefined) throw new StrataError({ code: 'config-unsupported', reason: `container ${id} has no writable layer` });
  return {
    upper,
    lower,
    destinations: [NOTIFY_PLACE, ...spec.mounts.map(({ destination }) => destination)],
    userAttributes: options.includes('userxattr'),
  };
}

/**
 * What a container has changed in its image's files: an entry for each thing, a deleted directory being one, and for each directory on the way,
 * which comes before what is in it. Only its writable layer is read.
 */
export async function diff(store: Store, id: string): Promise<readonly Change[]> {
  const { upper, lower, destinations, userAttributes } = writableLayer(store, id);
  const changes = await store.host.changes(upper, lower, destinations, userAttributes);
  return changes.map((change) => ({ kind: change.charAt(0) as Change['kind'], path: change.slice(1) }));
}
