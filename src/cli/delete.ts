import type { Command } from 'commander';
import { deleteContainer } from '../lifecycle/delete.ts';
import type { Shell } from './shell.ts';

export function addDelete(program: Command, shell: Shell): void {
  program
    .command('delete')
    .argument('<container-id>')
    .option('-f, --force', 'kill the container first if it is not stopped; one that does not exist is then no error')
    .description('delete a stopped container with all that was made for it')
    .action((id: string, flags: { readonly force?: true }) => deleteContainer(shell.host, { ...shell.container(id), force: flags.force === true }));
}
