import type { Command } from 'commander';
import type { Pruned } from '../store/prune.ts';
import { garbageText, prune } from '../store/prune.ts';
import { openStore } from '../store/store.ts';
import type { Shell } from './shell.ts';
import { sizeText } from './table.ts';

interface PruneFlags {
  readonly all?: boolean;
  readonly dryRun?: boolean;
}

export function addImagePrune(group: Command, shell: Shell): void {
  group
    .command('prune')
    .option('-a, --all', 'also images that have a name, if no container uses them')
    .option('--dry-run', 'only tell what would be removed')
    .description('remove images without a name, and layers and leftovers that nobody uses')
    .action(async ({ all = false, dryRun = false }: PruneFlags) => {
      shell.becomeOwner();
      const pruned = await prune(openStore(shell.host, shell.store), { all, dryRun });
      tellPruned(shell, pruned, dryRun);
    });
}

/** `more`: what else was removed, in bytes. */
export function tellPruned(shell: Shell, { garbage, faults }: Pruned, dryRun: boolean, more = 0): void {
  for (const fault of faults) shell.log.warn(`${fault}; what it could use is kept`);
  const verb = dryRun ? 'would remove' : 'removed';
  for (const one of garbage) shell.host.print(`${verb} ${garbageText(one)}, ${sizeText(one.size)}\n`);
  const total = garbage.reduce((sum, { size }) => sum + size, more);
  shell.host.print(`${dryRun ? 'would free' : 'freed'} ${sizeText(total)}\n`);
}
