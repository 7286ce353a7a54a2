import type { Command } from 'commander';
import { findImage } from '../store/images.ts';
import { openStore } from '../store/store.ts';
import { describeImage } from '../store/summary.ts';
import type { Shell } from './shell.ts';

export function addImageInspect(group: Command, shell: Shell): void {
  group
    .command('inspect')
    .argument('<image...>', 'names or ids')
    .description('print everything about images, as JSON')
    .action((images: readonly string[]) => {
      const store = openStore(shell.host, shell.store);
      const found = images.map((image) => describeImage(store, findImage(store, image).image));
      shell.host.print(`${JSON.stringify(found, undefined, 2)}\n`);
    });
}
