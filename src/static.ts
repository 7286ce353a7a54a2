/**
 * The command as one static program: what `native/cli` runs in QuickJS. The build evaluates this file once and keeps the heap that comes of it
 * (native/cli/heap.hpp), so everything that does not depend on the command line is done here and not in `main`.
 */
import { CommandLine } from './cli/main.ts';
import type { StaticNative } from './host/quickjs.ts';
import { createStaticHost } from './host/quickjs.ts';

/** Put in by the build. */
declare const STRATA_COMMIT: string;

/** What the program gives us, and takes from us: `main` is called with the command line, without the program's name. */
declare const native: StaticNative & { main: (argv: readonly string[]) => Promise<void> };

// QuickJS has not got this function of V8's, which commander calls for its errors; they carry a stack as they are.
const errors = Error as { captureStackTrace?: (error: Error) => void };
errors.captureStackTrace = () => {};
// Nor this one, without its tables of Unicode: commander puts the names in order that a mistyped verb is like.
const texts = String.prototype as { localeCompare: (this: string, other: string) => number };
texts.localeCompare = function (other) {
  return this < other ? -1 : Number(this > other);
};

const build = { commit: STRATA_COMMIT, libseccomp: native.libseccompVersion(), quickjs: native.quickjsVersion() };
const commandLine = new CommandLine(createStaticHost(native), () => native.becomeNode(), build);

native.main = async (argv) => native.exitNow(await commandLine.run(argv));
