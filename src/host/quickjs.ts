/** The {@link Host} of the static command: the core's functions as `native/cli` gives them to QuickJS. Only the entry point knows this file. */
import type { Descriptor, Host } from './host.ts';
import type { Native } from './native.ts';
import { createHost } from './native.ts';

/** Everything is done when a function returns: promises of this host are settled from the start. */
export interface StaticNative extends Native {
  environment(name: string): string | undefined;
  /** Milliseconds of CLOCK_MONOTONIC. */
  now(): number;
  sleep(milliseconds: number): void;
  /** Open, and not marked close-on-exec, as everything is that this process opens itself. */
  isInherited(descriptor: Descriptor): boolean;
  quickjsVersion(): string;
  /** Executes the same command line on Node; does not return. */
  becomeNode(): never;
}

export function createStaticHost(native: StaticNative): Host {
  return createHost(native, {
    kind: 'static',
    environment: (name) => native.environment(name),
    now: () => native.now(),
    sleep: async (milliseconds) => native.sleep(Math.ceil(milliseconds)),
    isInherited: (descriptor) => native.isInherited(descriptor),
    ownCommand: () => native.realPath('/proc/self/exe'),
  });
}
