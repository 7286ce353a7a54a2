import type { Command } from 'commander';
import { list } from '../lifecycle/list.ts';
import type { ContainerState } from '../lifecycle/state.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';
import { table } from './table.ts';

interface ListFlags {
  readonly format: 'table' | 'json';
  readonly quiet?: true;
}

export function addList(program: Command, shell: Shell): void {
  program
    .command('list')
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('-q, --quiet', 'print only the ids')
    .description('list containers')
    .action(async (flags: ListFlags) => {
      const states = await list(shell.host, shell.container(''));
      shell.host.print(render(states, flags));
    });
}

function render(states: readonly ContainerState[], flags: ListFlags): string {
  if (flags.quiet === true) return states.map(({ id }) => `${id}\n`).join('');
  if (flags.format === 'json') return `${JSON.stringify(states)}\n`;
  const rows = states.map(({ id, pid, status, bundle, created, owner }) => [id, String(pid), status, bundle, created, owner]);
  return table([['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'], ...rows]);
}
