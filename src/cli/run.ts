import type { Command } from 'commander';
import { runInstance, runInstanceKept } from '../instance/run.ts';
import { runDetached, runForeground } from '../lifecycle/run.ts';
import type { InstanceFlags } from './image-flags.ts';
import { addInstanceFlags, checkNoImageFlags, instanceOptions, refuseFlags } from './image-flags.ts';
import type { CreationFlags } from './options.ts';
import { addCreation, creationOptions } from './options.ts';
import type { Shell } from './shell.ts';

interface RunFlags extends CreationFlags, InstanceFlags {
  readonly detach?: true;
  readonly keep?: true;
}

/** What a bundle is, and what is done with its container; one of an image stays in the store, and has a keeper in the background. */
const BUNDLE_FLAGS = ['bundle', 'config', 'consoleSocket', 'keep'];

export function addRun(program: Command, shell: Shell): void {
  const command = addCreation(
    program.command('run').argument('<container-id>').argument('[program...]', 'with --image: the program and its arguments'),
  )
    .description('create and start a container, wait for it, and exit with its status')
    .option('-d, --detach', 'return when the program runs')
    .option('--keep', 'do not delete the container when its program has exited')
    .option('--no-subreaper', 'accepted for the sake of callers; strata never makes itself a subreaper', true);
  shell.addForImages(command, addInstanceFlags);
  command.action(async (id: string, words: readonly string[], flags: RunFlags) => {
    const detach = flags.detach === true;
    if (flags.image !== undefined) {
      refuseFlags(command, flags, BUNDLE_FLAGS, 'is for bundles, not for an image');
      if (!detach) refuseFlags(command, flags, ['logDriver', 'logOpt'], 'is for a container in the background: give --detach');
      const options = { ...creationOptions(shell, id, flags), ...instanceOptions(shell, id, flags.image, words, flags) };
      await shell.executing(async () => {
        if (detach) await runInstanceKept(shell.host, options);
        else shell.exitCode = (await runInstance(shell.host, options)).code;
      });
      return;
    }
    checkNoImageFlags(command, words, flags);
    const options = { ...creationOptions(shell, id, flags), keep: flags.keep === true };
    if (detach) shell.host.close((await runDetached(shell.host, options)).pidfd);
    else shell.exitCode = (await runForeground(shell.host, options)).code;
  });
}
