import type { Command } from 'commander';
import { start } from '../lifecycle/start.ts';
import type { Shell } from './shell.ts';

export function addStart(program: Command, shell: Shell): void {
  program
    .command('start')
    .argument('<container-id>')
    .description('run the program of a created container')
    .action((id: string) => start(shell.host, shell.container(id)));
}
