/** `checkpoint` and `restore` of containers made of images, which lie in the store: their checkpoints are there too, or in archives. */
import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import type { Compression } from '../image/media-types.ts';
import { checkpointInstance, checkStays, logDirectory } from '../instance/checkpoint.ts';
import type { InstanceRestoreOptions } from '../instance/restore.ts';
import { restoreImported, restoreImportedKept, restoreInstance, restoreInstanceKept } from '../instance/restore.ts';
import type { CheckpointOptions } from '../lifecycle/checkpoint.ts';
import { checkpoint } from '../lifecycle/checkpoint.ts';
import { openStore } from '../store/store.ts';
import { refuseFlags } from './image-flags.ts';
import { stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

export const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'zstd'];

export interface ArchiveFlags {
  readonly imagePath?: string;
  readonly export?: string;
  readonly compress?: Compression;
  readonly import?: string;
  readonly detach?: true;
}

/** What is in the images of several checkpoints, or is not in them. */
const SPREAD = ['parentPath', 'preDump', 'pageServer', 'lazyPages', 'statusFd'];
/** What a bundle is, and what is done with its container. */
const OF_BUNDLES = ['bundle', 'consoleSocket'];

/** `options`: as for the container of a bundle. */
export async function checkpointOfInstance(shell: Shell, command: Command, flags: ArchiveFlags, options: CheckpointOptions): Promise<void> {
  const { host } = shell;
  const { id } = options;
  const instance = shell.instance(id);
  const leaveRunning = options.leaveRunning === true;
  const workPath = logDirectory(instance.store, id);
  const dump = (imagePath: string, dumped: () => void): Promise<void> => checkpoint(host, { workPath, ...options, imagePath, dumped });
  const wishes = { ...instance, leaveRunning, dump };
  if (flags.export !== undefined) {
    refuseFlags(command, flags, ['imagePath', ...SPREAD], 'cannot go with --export');
    const { archive, log } = shell;
    await archive.exportCheckpoint({
      ...wishes,
      output: flags.export,
      compression: flags.compress ?? 'none',
      warn: (text) => log.warn(text),
      checkpoint: () => stopIfInterrupted(host),
    });
  } else if (flags.imagePath === undefined) {
    refuseFlags(command, flags, SPREAD, 'needs --image-path');
    // The program would change its files, which would not be those of the checkpoint any more.
    refuseFlags(command, flags, ['leaveRunning'], 'needs --export or --image-path');
    await checkpointInstance(host, wishes);
  } else {
    if (!leaveRunning && options.preDump !== true) checkStays(openStore(host, instance.store), id);
    await checkpoint(host, options);
  }
}

/** `options`: what CRIU is told, and where the checkpoint is if not in the store. */
export async function restoreOfInstance(shell: Shell, command: Command, flags: ArchiveFlags, options: InstanceRestoreOptions): Promise<void> {
  const { host } = shell;
  refuseFlags(command, flags, OF_BUNDLES, 'is for bundles, not for a container of an image');
  const wishes = { workPath: logDirectory(options.store, options.id), ...options };
  if (flags.import !== undefined) {
    refuseFlags(command, flags, ['imagePath'], 'cannot go with --import');
    const { archive, log } = shell;
    const created = await archive.importCheckpoint({
      ...shell.instance(options.id),
      source: flags.import,
      warn: (text) => log.warn(text),
      checkpoint: () => stopIfInterrupted(host),
    });
    if (flags.detach === true) await restoreImportedKept(host, wishes, created);
    else shell.exitCode = (await restoreImported(host, wishes, created)).code;
  } else if (flags.detach === true) {
    await restoreInstanceKept(host, wishes);
  } else {
    shell.exitCode = (await restoreInstance(host, wishes)).code;
  }
}

/** @throws StrataError `usage` if the archive is to be of a container that is in no store. */
export function refuseArchive(flags: ArchiveFlags, id: string): void {
  if (flags.export === undefined) return;
  throw new StrataError({ code: 'usage', reason: `--export is for containers made of an image, and ${id} is not`, hint: 'give --image-path' });
}
