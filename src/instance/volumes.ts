/** Volumes: directories of the store that outlive the containers which use them. */
import { ERRNO, hasErrno } from '../base/fault.ts';
import { volumePath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary } from '../store/store.ts';

/** volumes/NAME/volume.json */
export interface Volume {
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Nobody has named it: it goes with its container. */
  readonly anonymous: boolean;
}

/** A directory of an image, as a volume is to begin. */
export interface Origin {
  /** Directories of the layers, top to bottom. */
  readonly layers: readonly string[];
  readonly path: string;
}

/** What a volume has when it is made. */
export interface Beginning {
  readonly origin?: Origin;
  /** An SELinux label, which what is made in the directory takes over. */
  readonly label?: string;
}

/** Makes a volume, unless it is there; whether it was made. While the store is in use ({@link whileUsing}). */
export async function makeVolume(store: Store, volume: Omit<Volume, 'created'>, { origin, label }: Beginning = {}): Promise<boolean> {
  const { host, root } = store;
  const place = volumePath(root, volume.name);
  if (host.stat(place) !== undefined) return false;
  const temporary = makeTemporary(store);
  try {
    host.makeDirectory(`${temporary}/data`, 0o755);
    if (label !== undefined) host.setLabel(`${temporary}/data`, label);
    if (origin !== undefined) await host.copyLayered(origin.layers, origin.path, `${temporary}/data`);
    const { name, labels, anonymous } = volume;
    const record: Volume = { name, created: host.timestamp(), labels, anonymous };
    host.createFile(`${temporary}/volume.json`, `${JSON.stringify(record)}\n`, 0o600);
    host.rename(temporary, place, false);
    return true;
  } catch (error) {
    await host.removeTree(temporary);
    if (hasErrno(error, ERRNO.EEXIST)) return false;
    throw error;
  }
}
