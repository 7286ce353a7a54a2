import type { Command } from 'commander';
import { pids, processTable } from '../lifecycle/ps.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';

export function addPs(program: Command, shell: Shell): void {
  program
    .command('ps')
    .argument('<container-id>')
    .argument('[ps-options...]', 'options for ps(1), -ef if none')
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .passThroughOptions()
    .description('show the processes of a container')
    .action(async (id: string, args: readonly string[], flags: { readonly format: 'table' | 'json' }) => {
      const container = shell.container(id);
      if (flags.format === 'json') shell.host.print(`${JSON.stringify(await pids(shell.host, container))}\n`);
      else shell.host.print(await processTable(shell.host, { ...container, args }));
    });
}
