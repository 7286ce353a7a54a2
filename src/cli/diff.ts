import type { Command } from 'commander';
import { diff } from '../instance/writable.ts';
import { openStore } from '../store/store.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';

export function addDiff(program: Command, shell: Shell): void {
  program
    .command('diff')
    .argument('<container-id>')
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['text', 'json']).default('text'))
    .description('show what a container has changed in the files of its image')
    .action(async (id: string, { format }: { readonly format: 'text' | 'json' }) => {
      shell.becomeOwner();
      const changes = await diff(openStore(shell.host, shell.store), id);
      if (format === 'json') shell.host.print(`${JSON.stringify(changes)}\n`);
      else shell.host.print(changes.map(({ kind, path }) => `${kind} ${path}\n`).join(''));
    });
}
