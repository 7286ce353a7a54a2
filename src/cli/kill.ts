import type { Command } from 'commander';
import { kill } from '../lifecycle/kill.ts';
import { signalNumber } from '../lifecycle/signals.ts';
import type { Shell } from './shell.ts';

export function addKill(program: Command, shell: Shell): void {
  program
    .command('kill')
    .argument('<container-id>')
    .argument('[signal]', 'name or number', 'TERM')
    .option('-a, --all', 'signal every process of the container; one that has stopped is then no error')
    .description('send a signal to the process of a container')
    .action((id: string, signal: string, flags: { readonly all?: true }) =>
      kill(shell.host, { ...shell.container(id), signal: signalNumber(signal), all: flags.all === true }),
    );
}
