/** The {@link Host} for Node: the core's functions behind `strata.node`. Only the entry points know this file. */
import { join } from 'node:path';
import type { Host, WireValue } from './host.ts';
import type { Native } from './native.ts';
import { createHost } from './native.ts';

let addon: Native | undefined;

/** The addon, loaded once. This file is two levels below the package's root, as itself, compiled and bundled. */
function load(): Native {
  if (addon === undefined) {
    const module = { exports: {} as Native };
    process.dlopen(module, join(import.meta.dirname, '..', '..', 'build', 'Release', 'strata.node'));
    addon = module.exports;
  }
  return addon;
}

/** The addon's functions that only Node has: their callers know their types. */
export function addonFunctions<Functions>(): Functions {
  return load() as unknown as Functions;
}

/** Versions of the libraries in the addon. */
export function nativeVersions(): { readonly libseccomp: string } {
  return { libseccomp: load().libseccompVersion() };
}

/** _exit(2): nothing that JavaScript or Node still wanted to do is done. */
export function exitNow(status: number): void {
  load().exitNow(status);
}

/** {@link Native.wireTable} */
export function nativeWireTable(): string {
  return load().wireTable();
}

/** {@link Native.planBytes} */
export function nativePlanBytes(plan: readonly WireValue[]): string {
  return load().planBytes(plan);
}

/** The host this process runs on. @throws Error if the addon has not been built. */
export function createNodeHost(): Host {
  const inherited = new Set((process.env.STRATA_INHERITED_FDS ?? '').split(',').filter(Boolean).map(Number));
  return createHost(load(), {
    kind: 'node',
    environment: (name) => process.env[name],
    now: () => performance.now(),
    sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
    isInherited: (descriptor) => inherited.has(descriptor),
    ownCommand: () => join(import.meta.dirname, '..', '..', 'bin', 'strata'),
  });
}
