/**
 * Buffers that are of no more use. V8 looks for them only when there are 64 MiB of them, which would be most of the memory of an import; so we ask it
 * to look at the youngest more often.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** In bytes. */
const OFTEN = 16 * 1024 * 1024;

let collect: ((options: { readonly type: 'minor' }) => void) | undefined;
let since = 0;

/** Tells that so many bytes have been allocated in buffers which do not live long. */
export function allocated(bytes: number): void {
  since += bytes;
  if (since < OFTEN) return;
  since = 0;
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as typeof collect;
  }
  collect?.({ type: 'minor' });
}
