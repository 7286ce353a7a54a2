/** Paths as text. Nothing here asks the file system; the core resolves every path at the moment of use. */

export { cleanPath } from '../spec/refuse.ts';

/** A host path of the configuration: absolute as it is, relative from the bundle. `..` stays, because symbolic links may precede it. */
export function fromBundle(bundle: string, path: string): string {
  if (path.startsWith('/')) return path;
  return bundle.endsWith('/') ? bundle + path : `${bundle}/${path}`;
}
