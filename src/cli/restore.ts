import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { isInstance } from '../instance/instances.ts';
import type { InstanceRestoreOptions } from '../instance/restore.ts';
import { type RestoreOptions, restoreDetached, restoreForeground } from '../lifecycle/restore.ts';
import { addImage, type ImageFlags, imagePaths } from './checkpoint.ts';
import { type ArchiveFlags, restoreOfInstance } from './checkpoint-instance.ts';
import { Flag } from './command.ts';
import { addBundle, creationOptions, startOptions } from './options.ts';
import type { Shell } from './shell.ts';

interface RestoreFlags extends ImageFlags, ArchiveFlags {
  readonly bundle: string;
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
    .option('--import <file>', 'make the container of an archive of checkpoint --export; - is standard input')
    .action(async (id: string, flags: RestoreFlags, command: Command) => {
      if (flags.import !== undefined || isInstance(shell.host, shell.instance(id)))
        return restoreOfInstance(shell, command, flags, instanceOptions(shell, id, flags));
      const options = restoreOptions(shell, id, flags);
      if (flags.detach === true) shell.host.close((await restoreDetached(shell.host, options)).pidfd);
      else shell.exitCode = (await restoreForeground(shell.host, options)).code;
    });
}

function restoreOptions(shell: Shell, id: string, flags: RestoreFlags): RestoreOptions {
  const { emptyNs: _, bundle, pidFile, consoleSocket, ...rest } = flags;
  const { notifySocket: __, ...creation } = creationOptions(shell, id, {
    bundle,
    pivot: true,
    newKeyring: true,
    preserveFds: 0,
    ...(pidFile !== undefined && { pidFile }),
    ...(consoleSocket !== undefined && { consoleSocket }),
  });
  return { ...rest, ...imagePaths(shell, flags), ...creation };
}

/** The container's bundle is in the store, and its standard streams are its keeper's. */
function instanceOptions(shell: Shell, id: string, flags: RestoreFlags): InstanceRestoreOptions {
  const { emptyNs: _, bundle: __, consoleSocket: ___, import: ____, detach: _____, imagePath, workPath, ...rest } = flags;
  const paths = imagePaths(shell, flags);
  const { notifySocket: ______, ...start } = startOptions(shell, id);
  return {
    ...rest,
    ...start,
    ...(imagePath !== undefined && { imagePath: paths.imagePath }),
    ...(workPath !== undefined && paths.workPath !== undefined && { workPath: paths.workPath }),
  };
}

function lsmProfile(text: string): string {
  if (!/^(?:apparmor|selinux):./.test(text)) throw new InvalidArgumentError('It must be apparmor:NAME or selinux:LABEL.');
  return text;
}
