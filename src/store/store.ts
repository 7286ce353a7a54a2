/**
 * The store as a whole: a directory of root's own with images, layers, volumes and the containers made of images. Nothing in it is made in place: it is
 * made under a random name in `tmp`, brought to the disk, then renamed. Whoever adds goes from the blobs up to the names, whoever removes goes
 * down, so that what is cut off leaves something that nobody refers to, and never a reference to nothing.
 */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { hasTrusted } from '../host/trusted.ts';

const FORMAT = '1';
const DIRECTORIES = [
  'locks/use',
  'locks/references',
  'locks/layers',
  'blobs/sha256',
  'blobs/sha512',
  'layers',
  'images',
  'containers',
  'volumes',
  'tmp',
] as const;

export interface Store {
  readonly host: Host;
  /** Absolute path of its directory. */
  readonly root: string;
}

/**
 * The store, to be read; one that does not exist is empty.
 *
 * @throws StrataError `store-damaged` if it is not a store of this version; `system` if another user could change it.
 */
export function openStore(host: Host, root: string): Store {
  if (checkRoot(host, root)) checkFormat(host, root);
  return { host, root };
}

/** The store, to be added to: made if it does not exist. @throws as {@link openStore}. */
export function prepareStore(host: Host, root: string): Store {
  const missing = !checkRoot(host, root);
  // Layers have programs with setuid, old ones too: nobody else may get at them.
  if (missing) host.makeDirectories(root, 0o700);
  if (missing || host.stat(`${root}/format`) === undefined) {
    checkRoot(host, root);
    checkEmpty(host, root);
    for (const name of DIRECTORIES) host.makeDirectories(`${root}/${name}`, 0o700);
    host.replaceFile(`${root}/format`, `${FORMAT}\n`, 0o600);
  } else {
    checkFormat(host, root);
  }
  return { host, root };
}

function checkRoot(host: Host, root: string): boolean {
  return hasTrusted(host, root, 'the store');
}

function checkFormat(host: Host, root: string): void {
  let format: string;
  try {
    format = host.readText(`${root}/format`).trim();
  } catch (error) {
    if (!hasErrno(error, ERRNO.ENOENT)) throw error;
    // A directory that somebody made for it, or a store whose making was cut off.
    checkEmpty(host, root);
    return;
  }
  if (format === FORMAT) return;
  const reason = `the store ${root} has format ${JSON.stringify(format.slice(0, 20))}, and this version of strata knows ${FORMAT}`;
  throw new StrataError({ code: 'store-damaged', reason });
}

/** Refuses to take a directory with something else in it for a store. */
function checkEmpty(host: Host, root: string): void {
  const ours = new Set(DIRECTORIES.map((name) => name.slice(0, `${name}/`.indexOf('/'))));
  // Another process may be making it at this moment: then even the file is there by now.
  const other = host.list(root).find((name) => !(ours.has(name) || /^(\.?format\.tmp|format$)/.test(name) || name === 'lost+found'));
  if (other === undefined) return;
  const hint = 'an empty or a new directory can become one';
  throw new StrataError({ code: 'store-damaged', reason: `${root} is not a store: it has ${other}, but no file 'format'`, hint });
}

/** A path in `tmp` that nobody has had. */
export function temporaryPath(store: Store): string {
  return `${store.root}/tmp/${store.host.randomDigits(RANDOM_BYTES)}`;
}
const RANDOM_BYTES = 16;

/** Makes a directory in `tmp`, which its maker alone knows: what becomes a layer or a container is made in it. */
export function makeTemporary(store: Store): string {
  const path = temporaryPath(store);
  store.host.makeDirectory(path, 0o700);
  return path;
}

/** Replaces a small file of the store, and returns when it is on the disk. */
export async function writeDurably(store: Store, path: string, text: string): Promise<void> {
  const { host } = store;
  const temporary = temporaryPath(store);
  try {
    host.createFile(temporary, text, 0o600);
    await host.syncFile(temporary);
    host.rename(temporary, path, true);
  } catch (error) {
    host.removeFile(temporary);
    throw error;
  }
  await host.syncFile(path.slice(0, path.lastIndexOf('/')));
}

/** Names in a directory of the store; none if it does not exist. */
export function listNames({ host }: Store, path: string): readonly string[] {
  try {
    return host.list(path);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return [];
    throw error;
  }
}

/** The text of a file of the store, undefined if it is not there. */
export function readIfThere({ host }: Store, path: string, limit: number): string | undefined {
  try {
    return host.readText(path, limit);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return undefined;
    throw error;
  }
}
