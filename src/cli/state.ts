import type { Command } from 'commander';
import { stateOf } from '../instance/instances.ts';
import type { Shell } from './shell.ts';

export function addState(program: Command, shell: Shell): void {
  program
    .command('state')
    .argument('<container-id>')
    .description('print the state of a container as JSON')
    .action(async (id: string) => {
      shell.host.print(`${JSON.stringify(await stateOf(shell.host, shell.instance(id)), null, 2)}\n`);
    });
}
