/** Options that several verbs share, and how their values are read. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { StrataError } from '../base/error.ts';
import { parseSize } from '../base/size.ts';
import type { Host } from '../host/host.ts';
import type { StartOptions } from '../instance/life.ts';
import type { CreateOptions } from '../lifecycle/prepare.ts';
import { quoted } from '../spec/refuse.ts';
import type { Shell } from './shell.ts';

/** No process can have more descriptors: the default of fs.nr_open. */
const MOST_DESCRIPTORS = 1_048_576;

/** Reads a count in plain decimal digits; anything else is told together with the flag's name. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value > MOST_DESCRIPTORS) throw new InvalidArgumentError(`It must be a whole number from 0 to ${MOST_DESCRIPTORS}.`);
  return value;
}

/** Reads a size in bytes; -1 is no limit. */
export function size(text: string): bigint {
  const bytes = text === '-1' ? -1n : parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError('It must be a size such as 64m, or -1.');
  return bytes;
}

/** For an option that can be given more than once. */
export function each<Value>(read: (text: string) => Value): (text: string, before?: readonly Value[]) => readonly Value[] {
  return (text, before = []) => before.concat([read(text)]);
}

/** The options of `create` and `run`. */
export interface CreationFlags {
  readonly bundle: string;
  readonly config?: string;
  readonly consoleSocket?: string;
  readonly pidFile?: string;
  readonly pidfdSocket?: string;
  /** False with --no-pivot. */
  readonly pivot: boolean;
  /** False with --no-new-keyring. */
  readonly newKeyring: boolean;
  readonly preserveFds: number;
}

export function addBundle(command: Command): Command {
  return command.option('-b, --bundle <dir>', 'the bundle; the working directory if not given', '.');
}

/** A flag that begins with `no-` has its default given, or commander would work it out with every command line. */
export function addCreation(command: Command): Command {
  return addBundle(command)
    .option('--config <file>', "read this in place of the bundle's config.json")
    .option('--console-socket <path>', "send the terminal's master to this unix socket")
    .option('--pid-file <file>', "write the pid of the container's process to this file")
    .option('--pidfd-socket <path>', "send a pidfd of the container's process to this unix socket")
    .option('--no-pivot', 'enter the root with MS_MOVE and chroot(2), for a host whose root is a ramdisk', true)
    .option('--no-new-keyring', "keep the caller's session keyring", true)
    .option('--preserve-fds <n>', 'pass on so many descriptors beyond stdio (and LISTEN_FDS)', count, 0);
}

export function creationOptions(shell: Shell, id: string, flags: CreationFlags): CreateOptions {
  const options = {
    ...shell.container(id),
    cgroupManager: shell.cgroupManager,
    bundle: flags.bundle,
    rootless: shell.rootless,
    noPivot: !flags.pivot,
    noNewKeyring: !flags.newKeyring,
    preserveFds: flags.preserveFds,
    listenFds: listenFds(shell.host),
    ...notifySocket(shell),
    checkpoint: () => stopIfInterrupted(shell.host),
  };
  // Ctrl-C in the middle of making a container takes back what is made so far, instead of leaving it.
  shell.host.holdSignals();
  return {
    ...options,
    ...(flags.config !== undefined && { config: flags.config }),
    ...(flags.consoleSocket !== undefined && { consoleSocket: flags.consoleSocket }),
    ...(flags.pidFile !== undefined && { pidFile: flags.pidFile }),
    ...(flags.pidfdSocket !== undefined && { pidfdSocket: flags.pidfdSocket }),
  };
}

/** For an instance that is started again: what is the command line's of the options of `create`. */
export function startOptions(shell: Shell, id: string): StartOptions {
  const { cgroupManager } = shell;
  shell.host.holdSignals();
  return { ...shell.instance(id), ...notifySocket(shell), cgroupManager, rootless: shell.rootless, checkpoint: () => stopIfInterrupted(shell.host) };
}

const MOST_SECONDS = 1_000_000;

/** Reads a number of seconds, with a fraction perhaps, as milliseconds. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || value > MOST_SECONDS)
    throw new InvalidArgumentError(`It must be a number of seconds from 0 to ${MOST_SECONDS}.`);
  return Math.ceil(value * 1000);
}

export function stopIfInterrupted(host: Host): void {
  const signal = host.interruption();
  if (signal !== 0) throw new StrataError({ code: 'aborted', reason: `interrupted by signal ${signal}` });
}

/** sd_notify(3): whoever started us listens there. An empty one is none. */
export function notifySocket(shell: Shell): { readonly notifySocket?: string } {
  const address = shell.host.environment('NOTIFY_SOCKET') ?? '';
  if (address === '') return {};
  if (address.startsWith('/') || address.startsWith('@')) return { notifySocket: address };
  shell.log.warn(
    `NOTIFY_SOCKET is ${quoted(address)}, which is neither an absolute path nor the name of an abstract socket: the container gets none`,
  );
  return {};
}

/** sd_listen_fds(3): LISTEN_FDS counts only if LISTEN_PID, where it is set, means this process. */
function listenFds(host: Host): number {
  const text = host.environment('LISTEN_FDS') ?? '';
  if (!/^[0-9]{1,7}$/.test(text)) return 0;
  const pid = host.environment('LISTEN_PID') ?? '';
  return pid === '' || host.readText('/proc/self/stat').startsWith(`${pid} `) ? Number(text) : 0;
}
