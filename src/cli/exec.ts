import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { isInstance } from '../instance/instances.ts';
import type { ExecOptions, ProcessChanges } from '../lifecycle/exec.ts';
import { execDetached, execForeground, readProcess } from '../lifecycle/exec.ts';
import { MAX_SPEC_LENGTH } from '../spec/parse.ts';
import { Flag } from './command.ts';
import { count, each, stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

interface ExecFlags {
  readonly process?: string;
  readonly detach?: true;
  readonly tty?: true;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly user?: { readonly uid: number; readonly gid?: number };
  readonly additionalGids?: readonly number[];
  readonly cap?: readonly string[];
  readonly newPrivs: boolean;
  readonly apparmor?: string;
  readonly processLabel?: string;
  readonly pidFile?: string;
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly preserveFds: number;
  readonly cgroup?: readonly string[];
  readonly ignorePaused?: true;
}

/** The id that the kernel reads as -1. */
const NO_ID = 0xffff_ffff;

/** Plain digits: what `parseInt` or C would make of anything else could be 0, which is root (CVE-2026-30892). */
function id(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,10}$/.test(text) || value >= NO_ID) throw new InvalidArgumentError(`It must be a number from 0 to ${NO_ID - 1}.`);
  return value;
}

function user(text: string): ExecFlags['user'] {
  const colon = text.indexOf(':');
  return colon === -1 ? { uid: id(text) } : { uid: id(text.slice(0, colon)), gid: id(text.slice(colon + 1)) };
}

function variable(text: string): string {
  if (text.indexOf('=') <= 0) throw new InvalidArgumentError('It must be NAME=value.');
  return text;
}

function word(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

export function addExec(program: Command, shell: Shell): void {
  program
    .command('exec')
    .argument('<container-id>')
    .argument('[program...]', 'the program and its arguments')
    .addOption(new Flag('-p, --process <file>', "take the process section from this file, in place of the container's own"))
    .option('-d, --detach', 'return when the program runs')
    .option('-t, --tty', 'give it a terminal')
    .addOption(new Flag('--cwd <dir>', 'its working directory').argParser(word))
    .addOption(new Flag('-e, --env <variable>', 'one more environment variable, as NAME=value').argParser(each(variable)))
    .addOption(new Flag('-u, --user <user>', 'its user by number, as UID or UID:GID').argParser(user))
    .addOption(new Flag('-g, --additional-gids <gid>', 'one more supplementary group').argParser(each(id)))
    .addOption(new Flag('-c, --cap <capability>', 'one more capability').argParser(each(word)))
    .addOption(new Flag('--no-new-privs', 'set no_new_privs').default(true))
    .addOption(new Flag('--apparmor <profile>', 'its AppArmor profile').argParser(word))
    .addOption(new Flag('--process-label <label>', 'its SELinux label').argParser(word))
    .option('--pid-file <file>', 'write its pid to this file')
    .option('--console-socket <path>', "send the terminal's master to this unix socket")
    .option('--pidfd-socket <path>', 'send a pidfd of it to this unix socket')
    .addOption(new Flag('--preserve-fds <n>', 'pass on so many descriptors beyond stdio').argParser(count).default(0))
    .addOption(new Flag('--cgroup <cgroup>', "put it into a cgroup below the container's, as PATH or CONTROLLER:PATH").argParser(each(word)))
    .option('--ignore-paused', 'also in a paused container: it begins when that is resumed')
    .passThroughOptions()
    .description('run one more program in a container')
    .action(async (container: string, command: readonly string[], flags: ExecFlags) => {
      const options = execOptions(shell, container, command, flags);
      const run = async (): Promise<void> => {
        if (flags.detach === true) shell.host.close((await execDetached(shell.host, options)).pidfd);
        else shell.exitCode = (await execForeground(shell.host, options)).code;
      };
      await shell.executing(run, () => isInstance(shell.host, shell.instance(container)));
    });
}

function execOptions(shell: Shell, container: string, command: readonly string[], flags: ExecFlags): ExecOptions {
  const args = command[0] === '--' ? command.slice(1) : command;
  const { process, tty, cwd, env, cap, apparmor, processLabel } = flags;
  const changes: ProcessChanges = {
    ...(args.length > 0 && { args }),
    ...(cwd !== undefined && { cwd }),
    ...(env !== undefined && { env }),
    // Whether the container's first process has a terminal says nothing about this one.
    ...((tty === true || process === undefined) && { terminal: tty === true }),
    ...flags.user,
    ...(flags.additionalGids !== undefined && { additionalGids: flags.additionalGids }),
    ...(cap !== undefined && { capabilities: cap }),
    ...(!flags.newPrivs && { noNewPrivileges: true }),
    ...(apparmor !== undefined && { apparmorProfile: apparmor }),
    ...(processLabel !== undefined && { selinuxLabel: processLabel }),
  };
  // A paused container can keep us waiting for as long as one likes; what was begun by then ends itself when we do.
  if (flags.ignorePaused !== true) shell.host.holdSignals();
  const { pidFile, consoleSocket, pidfdSocket, preserveFds, cgroup, ignorePaused } = flags;
  return {
    ...shell.container(container),
    ...(process !== undefined && { process: readProcess(shell.host.readText(process, MAX_SPEC_LENGTH)) }),
    changes,
    preserveFds,
    checkpoint: () => stopIfInterrupted(shell.host),
    ignorePaused: ignorePaused === true,
    ...(pidFile !== undefined && { pidFile }),
    ...(consoleSocket !== undefined && { consoleSocket }),
    ...(pidfdSocket !== undefined && { pidfdSocket }),
    ...(cgroup !== undefined && { cgroups: cgroup }),
  };
}
