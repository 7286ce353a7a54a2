import type { Command } from 'commander';
import { list } from '../lifecycle/list.ts';
import type { ContainerState } from '../lifecycle/state.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';

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

/** Columns at least 12 wide, with at least 3 blanks between them: what scripts that cut runc's table expect. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(12, ...rows.map((row) => (row[column] ?? '').length + 3)));
  return rows.map((row) => `${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('')}\n`).join('');
}
