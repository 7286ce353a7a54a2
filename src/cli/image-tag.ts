import type { Command } from 'commander';
import { nameImage } from '../store/images.ts';
import { openStore } from '../store/store.ts';
import type { Shell } from './shell.ts';

export function addImageTag(group: Command, shell: Shell): void {
  group
    .command('tag')
    .argument('<image>', 'name or id')
    .argument('<name...>', 'names that it is to have too')
    .description('give an image more names')
    .action((what: string, names: readonly string[]) => nameImage(openStore(shell.host, shell.store), what, names));
}
