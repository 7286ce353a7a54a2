/** Options that all functions of the library which work in a store have. */
import { isAbsolute, resolve } from 'node:path';
import { defaultStore } from '../instance/default-store.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import { checkSignal, host } from './machine.ts';

/** Which store. */
export interface StoreOptions {
  /**
   * Directory of images, volumes and the containers made of images.
   *
   * @default '/var/lib/strata', or `$XDG_DATA_HOME/strata` if not root
   */
  readonly store?: string;
  /** Called with what should be known but did not stop the work. */
  readonly onWarning?: (text: string) => void;
}

/** Work that takes long. */
export interface WorkOptions extends StoreOptions {
  /** Gives up: what was made is taken back, and the promise rejects with the code `aborted`. */
  readonly signal?: AbortSignal;
}

/** The store's path as the floors below want it. */
export function storeRoot({ store = defaultStore(host()) }: StoreOptions): string {
  return isAbsolute(store) ? store : resolve(store);
}

export function opened(options: StoreOptions): Store {
  return openStore(host(), storeRoot(options));
}

/** What the floors below want of long work. */
export function working(options: WorkOptions): { store: string; warn?: (text: string) => void; checkpoint: () => void } {
  const { onWarning, signal } = options;
  return { store: storeRoot(options), ...(onWarning && { warn: onWarning }), checkpoint: () => checkSignal(signal) };
}
