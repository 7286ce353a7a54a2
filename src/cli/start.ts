import type { Command } from 'commander';
import { isInstance } from '../instance/instances.ts';
import { startInstance } from '../instance/life.ts';
import { start } from '../lifecycle/start.ts';
import { notifySocket, startOptions } from './options.ts';
import type { Shell } from './shell.ts';

export function addStart(program: Command, shell: Shell): void {
  program
    .command('start')
    .argument('<container-id>')
    .description('run the program of a created container; of one made of an image in the background, for the first time or again')
    .action(async (id: string) => {
      const { host } = shell;
      if (isInstance(host, shell.instance(id))) await shell.executing(() => startInstance(host, startOptions(shell, id)));
      else await start(host, { ...shell.container(id), ...notifySocket(shell) });
    });
}
