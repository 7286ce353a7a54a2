/** Digests, as descriptor.md has them. */

export interface Digest {
  readonly algorithm: 'sha256' | 'sha512';
  /** Lower case. */
  readonly hex: string;
}

const SHA256 = /^sha256:[0-9a-f]{64}$/;
const SHA512 = /^sha512:[0-9a-f]{128}$/;

/** Whether this is a digest of an algorithm that strata can verify. */
export function isDigest(text: string): boolean {
  return SHA256.test(text) || SHA512.test(text);
}

/** The parts of a digest for which {@link isDigest} holds. */
export function digestParts(digest: string): Digest {
  return { algorithm: digest.startsWith('sha256:') ? 'sha256' : 'sha512', hex: digest.slice(7) };
}

/** Characters of an id that are enough to name an image, and that are shown. */
export const SHORT_ID = 12;

/** The first 12 digits of a digest, or of the hexadecimal part alone. */
export function shortId(digest: string): string {
  const from = digest.indexOf(':') + 1;
  return digest.slice(from, from + SHORT_ID);
}
