import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { type RestoreOptions, restoreDetached, restoreForeground } from '../lifecycle/restore.ts';
import { addImage, type ImageFlags, imagePaths } from './checkpoint.ts';
import { Flag } from './command.ts';
import { addBundle, creationOptions } from './options.ts';
import type { Shell } from './shell.ts';

interface RestoreFlags extends ImageFlags {
  readonly bundle: string;
  readonly detach?: true;
  readonly pidFile?: string;
  readonly consoleSocket?: string;
  readonly tcpClose?: true;
  readonly lsmProfile?: string;
  readonly lsmMountContext?: string;
}

export function addRestore(program: Command, shell: Shell): void {
  addBundle(addImage(program.command('restore').argument('<container-id>')))
    .description('make a container of what checkpoint has written, wait for it, and exit with its status')
    .option('-d, --detach', 'return when it runs')
    .option('--pid-file <file>', "write the pid of the container's process to this file")
    .option('--console-socket <path>', "send the terminal's master to this unix socket")
    .option('--no-subreaper', 'accepted for the sake of callers; strata never makes itself a subreaper', true)
    .option('--no-pivot', "accepted for the sake of callers; how the root is entered is CRIU's to decide", true)
    .option('--tcp-close', 'close the connections of the images')
    .addOption(new Flag('--lsm-profile <profile>', 'apparmor:NAME or selinux:LABEL in place of that of the images').argParser(lsmProfile))
    .option('--lsm-mount-context <label>', 'another SELinux label for the mounts')
    .action(async (id: string, flags: RestoreFlags) => {
      const options = restoreOptions(shell, id, flags);
      if (flags.detach === true) shell.host.close((await restoreDetached(shell.host, options)).pidfd);
      else shell.exitCode = (await restoreForeground(shell.host, options)).code;
    });
}

function restoreOptions(shell: Shell, id: string, flags: RestoreFlags): RestoreOptions {
  const { emptyNs: _, bundle, pidFile, consoleSocket, ...rest } = flags;
  return {
    ...rest,
    ...imagePaths(shell, flags),
    ...creationOptions(shell, id, {
      bundle,
      pivot: true,
      newKeyring: true,
      preserveFds: 0,
      ...(pidFile !== undefined && { pidFile }),
      ...(consoleSocket !== undefined && { consoleSocket }),
    }),
  };
}

function lsmProfile(text: string): string {
  if (!/^(?:apparmor|selinux):./.test(text)) throw new InvalidArgumentError('It must be apparmor:NAME or selinux:LABEL.');
  return text;
}
