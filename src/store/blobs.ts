/** Content by its digest: manifests, configurations, and layers as they came. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import { isDigest } from '../image/digest.ts';
import { LARGEST_DOCUMENT } from '../image/parse.ts';
import { blobPath } from './paths.ts';
import type { Store } from './store.ts';
import { listNames } from './store.ts';

export function hasBlob({ host, root }: Store, digest: string): boolean {
  return host.stat(blobPath(root, digest)) !== undefined;
}

/** A blob that is a document. @throws StrataError `store-damaged` if it is missing, `system`. */
export function readBlob({ host, root }: Store, digest: string): string {
  try {
    return host.readText(blobPath(root, digest), LARGEST_DOCUMENT);
  } catch (error) {
    if (!hasErrno(error, ERRNO.ENOENT)) throw error;
    throw new StrataError({ code: 'store-damaged', reason: `the store ${root} has not got the blob ${digest}`, hint: 'strata fsck tells more' });
  }
}

/** Gives a file in `tmp`, which has this digest and is on the disk, its place. It is gone from `tmp` in any case. */
export function installBlob({ host, root }: Store, temporary: string, digest: string): void {
  try {
    host.rename(temporary, blobPath(root, digest), false);
  } catch (error) {
    host.removeFile(temporary);
    if (!hasErrno(error, ERRNO.EEXIST)) throw error;
  }
}

/** Digests of all blobs, sorted; and the paths of what is none. */
export function listBlobs(store: Store): { readonly digests: readonly string[]; readonly strangers: readonly string[] } {
  const digests: string[] = [];
  const strangers: string[] = [];
  for (const algorithm of listNames(store, `${store.root}/blobs`)) {
    const known = algorithm === 'sha256' || algorithm === 'sha512';
    if (!known) strangers.push(`blobs/${algorithm}`);
    for (const name of known ? listNames(store, `${store.root}/blobs/${algorithm}`) : []) {
      if (isDigest(`${algorithm}:${name}`)) digests.push(`${algorithm}:${name}`);
      else strangers.push(`blobs/${algorithm}/${name}`);
    }
  }
  return { digests, strangers };
}
