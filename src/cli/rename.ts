import type { Command } from 'commander';
import { renameInstance } from '../instance/life.ts';
import type { Shell } from './shell.ts';

export function addRename(program: Command, shell: Shell): void {
  program
    .command('rename')
    .argument('<container-id>')
    .argument('<new-id>')
    .description('give a container made of an image another id; it must not run')
    .action((id: string, other: string) => renameInstance(shell.host, shell.instance(id), other));
}
