import type { Command } from 'commander';
import { writeBundle } from '../instance/bundle.ts';
import type { ImageFlags } from './image-flags.ts';
import { addImageFlags, wishesOf } from './image-flags.ts';
import { stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

export function addBundleVerb(program: Command, shell: Shell): void {
  const command = program
    .command('bundle')
    .argument('<image>')
    .argument('<dir>')
    .argument('[program...]', 'the program and its arguments')
    .description('write an image as a bundle for any runtime')
    .passThroughOptions();
  addImageFlags(command).action(async (image: string, directory: string, words: readonly string[], flags: ImageFlags) => {
    const { host, log } = shell;
    const wishes = wishesOf(host, words, flags);
    shell.becomeOwner();
    host.holdSignals();
    await writeBundle(host, {
      ...wishes,
      store: shell.store,
      image,
      directory,
      warn: (text) => log.warn(text),
      checkpoint: () => stopIfInterrupted(host),
    });
  });
}
