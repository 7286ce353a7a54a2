/** Digests of content, and what content must be. */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { StrataError, withFields } from '../base/error.ts';
import { digestParts } from '../image/digest.ts';

/** What a descriptor says of content. */
export interface Expected {
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Reads content on its way, and tells in the end whether it is the one that was promised. */
export class Verifier {
  /** Of all that has been read, in bytes. */
  size = 0;
  private readonly expected: Expected | undefined;
  private readonly algorithm: 'sha256' | 'sha512';
  private readonly hash: Hash;

  /** `expected`: undefined where nothing is promised. */
  constructor(expected?: Expected) {
    this.expected = expected;
    this.algorithm = expected === undefined ? 'sha256' : digestParts(expected.digest).algorithm;
    this.hash = createHash(this.algorithm);
  }

  /** @throws StrataError `image-invalid` as soon as there is more than was promised. */
  update(chunk: Uint8Array): void {
    this.size += chunk.length;
    if (this.expected !== undefined && this.size > this.expected.size)
      this.wrongSize(`more than the ${this.expected.size} bytes that its descriptor says`);
    this.hash.update(chunk);
  }

  /** The digest. @throws StrataError `image-invalid` if it is another than was promised. */
  finish(): string {
    const { expected, size } = this;
    if (expected !== undefined && size < expected.size) this.wrongSize(`${size} bytes, and its descriptor says ${expected.size}`);
    const digest = `${this.algorithm}:${this.hash.digest('hex')}`;
    if (expected !== undefined && digest !== expected.digest)
      throw new StrataError({ code: 'image-invalid', reason: `the digest of the content is ${digest}, and its descriptor says ${expected.digest}` });
    return digest;
  }

  private wrongSize(reason: string): never {
    throw new StrataError({ code: 'image-invalid', reason: `the content has ${reason}` });
  }
}

/** @throws StrataError `image-invalid` that names `what`. */
export function verify(content: Uint8Array, expected: Expected, what: string): void {
  const verifier = new Verifier(expected);
  within(what, () => {
    verifier.update(content);
    verifier.finish();
  });
}

/** Does `work`; what it refuses is told with `what` before it. */
export function within<Value>(what: string, work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    throw named(error, what);
  }
}

/** An error about content, or one that came while it was written, with the name of the content before it. */
export function named(error: unknown, what: string): unknown {
  if (!(error instanceof StrataError) || (error.code !== 'image-invalid' && error.code !== 'system')) return error;
  return withFields(error, { reason: `${what}: ${error.reason}` });
}
