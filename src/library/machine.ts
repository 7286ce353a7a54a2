/** What all functions of the library share: the host, and how work is given up. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { createNodeHost } from '../host/node.ts';
import { defaultRoot } from '../lifecycle/root.ts';

/** Which container. */
export interface ContainerOptions {
  readonly id: string;
  /**
   * Directory of the state of all containers.
   *
   * @default '/run/strata'
   */
  readonly root?: string;
  /** Called with what should be known but did not stop the work, such as a poststop hook that failed. */
  readonly onWarning?: (text: string) => void;
}

let sharedHost: Host | undefined;

/** Made at the first use, so that importing the library does not load the addon. */
export function host(): Host {
  sharedHost ??= createNodeHost();
  return sharedHost;
}

/** A container's name as the floors below want it. */
export function inside(options: ContainerOptions): { root: string; id: string; warn?: (text: string) => void } {
  const { id, root = defaultRoot(host()), onWarning } = options;
  return { id, root, ...(onWarning && { warn: onWarning }) };
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
