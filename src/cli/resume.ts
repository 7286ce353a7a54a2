import type { Command } from 'commander';
import { resume } from '../lifecycle/pause.ts';
import type { Shell } from './shell.ts';

export function addResume(program: Command, shell: Shell): void {
  program
    .command('resume')
    .argument('<container-id>')
    .description('let the processes of a paused container run on')
    .action((id: string) => resume(shell.host, shell.container(id)));
}
