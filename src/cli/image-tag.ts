import type { Command } from 'commander';
import { nameToKeep } from '../image/reference.ts';
import { findImage } from '../store/images.ts';
import { whileUsing } from '../store/lock.ts';
import { updateReferences } from '../store/references.ts';
import { openStore } from '../store/store.ts';
import type { Shell } from './shell.ts';

export function addImageTag(group: Command, shell: Shell): void {
  group
    .command('tag')
    .argument('<image>', 'name or id')
    .argument('<name...>', 'names that it is to have too')
    .description('give an image more names')
    .action(async (what: string, names: readonly string[]) => {
      const whole = names.map(nameToKeep);
      const store = openStore(shell.host, shell.store);
      // Asked for before anything is locked: a store that does not exist has no locks.
      findImage(store, what);
      await whileUsing(store, async () => {
        const { id } = findImage(store, what).image;
        await updateReferences(store, (references) => {
          for (const name of whole) references.set(name, id);
        });
      });
    });
}
