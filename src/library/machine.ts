/** What all functions of the library share: the host, and how work is given up. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { createNodeHost } from '../host/node.ts';

let sharedHost: Host | undefined;

/** Made at the first use, so that importing the library does not load the addon. */
export function host(): Host {
  sharedHost ??= createNodeHost();
  return sharedHost;
}

export function aborted(): StrataError {
  return new StrataError({ code: 'aborted', reason: 'aborted by the caller' });
}

/** @throws StrataError `aborted` if the signal has come. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted();
}

/** What comes of a promise, unless the signal comes before: then it goes on by itself, and this rejects with the code `aborted`. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  checkSignal(signal);
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(aborted());
  });
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
