import type { Command } from 'commander';
import { createInstance } from '../instance/create.ts';
import { create } from '../lifecycle/create.ts';
import type { InstanceFlags } from './image-flags.ts';
import { addInstanceFlags, checkNoImageFlags, instanceOptions, refuseFlags } from './image-flags.ts';
import type { CreationFlags } from './options.ts';
import { addCreation, creationOptions } from './options.ts';
import type { Shell } from './shell.ts';

/** What a bundle is, and what is about the process that there is not until `start`. */
const BUNDLE_FLAGS = ['bundle', 'config', 'consoleSocket', 'pidFile', 'pidfdSocket', 'pivot', 'newKeyring', 'preserveFds'];

export function addCreate(program: Command, shell: Shell): void {
  const command = addCreation(
    program.command('create').argument('<container-id>').argument('[program...]', 'with --image: the program and its arguments'),
  );
  command.description('create a container; its program runs when it is started');
  shell.addForImages(command, addInstanceFlags);
  command.action(async (id: string, words: readonly string[], flags: CreationFlags & InstanceFlags) => {
    if (flags.image !== undefined) {
      refuseFlags(command, flags, BUNDLE_FLAGS, 'cannot be used with create --image');
      const { checkpoint } = creationOptions(shell, id, flags);
      const { lock } = await createInstance(shell.host, {
        ...instanceOptions(shell, id, flags.image, words, flags),
        ...(checkpoint && { checkpoint }),
      });
      shell.host.close(lock);
      return;
    }
    checkNoImageFlags(command, words, flags);
    const { pidfd } = await create(shell.host, creationOptions(shell, id, flags));
    shell.host.close(pidfd);
  });
}
