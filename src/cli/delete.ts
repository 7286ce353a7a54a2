import type { Command } from 'commander';
import { removeContainer } from '../instance/life.ts';
import type { Shell } from './shell.ts';

export function addDelete(program: Command, shell: Shell): void {
  program
    .command('delete')
    .argument('<container-id>')
    .option('-f, --force', 'kill the container first if it is not stopped; one that does not exist is then no error')
    .description('delete a stopped container with all that was made for it, its writable layer too')
    .action((id: string, flags: { readonly force?: true }) => removeContainer(shell.host, { ...shell.instance(id), force: flags.force === true }));
}
