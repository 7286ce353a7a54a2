import type { Command } from 'commander';
import { pause } from '../lifecycle/pause.ts';
import type { Shell } from './shell.ts';

export function addPause(program: Command, shell: Shell): void {
  program
    .command('pause')
    .argument('<container-id>')
    .description('freeze all processes of a container')
    .action((id: string) => pause(shell.host, shell.container(id)));
}
