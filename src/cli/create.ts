import type { Command } from 'commander';
import { create } from '../lifecycle/create.ts';
import type { CreationFlags } from './options.ts';
import { addCreation, creationOptions } from './options.ts';
import type { Shell } from './shell.ts';

export function addCreate(program: Command, shell: Shell): void {
  addCreation(program.command('create').argument('<container-id>').description('create a container; its program runs when it is started')).action(
    async (id: string, flags: CreationFlags) => {
      const { pidfd } = await create(shell.host, creationOptions(shell, id, flags));
      shell.host.close(pidfd);
    },
  );
}
