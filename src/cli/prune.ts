import type { Command } from 'commander';
import { pruneAll } from '../instance/prune.ts';
import { openStore } from '../store/store.ts';
import { tellPruned } from './image-prune.ts';
import type { Shell } from './shell.ts';
import { sizeText } from './table.ts';

export function addPrune(program: Command, shell: Shell): void {
  program
    .command('prune')
    .option('--dry-run', 'only tell what would be removed')
    .description('remove stopped containers of images, and images, layers and leftovers that nobody uses')
    .action(async ({ dryRun = false }: { readonly dryRun?: boolean }) => {
      shell.becomeOwner();
      const { warn, debug, root } = shell.container('');
      const store = openStore(shell.host, shell.store);
      const pruned = await pruneAll(store, { root, dryRun, ...(warn && { warn }), ...(debug && { debug }) });
      const verb = dryRun ? 'would remove' : 'removed';
      for (const { id, size } of pruned.containers) shell.host.print(`${verb} container ${id}, ${sizeText(size)}\n`);
      const more = pruned.containers.reduce((sum, { size }) => sum + size, 0);
      tellPruned(shell, pruned, dryRun, more);
    });
}
