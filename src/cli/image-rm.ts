import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import { hasCode } from '../base/fault.ts';
import { familiarName } from '../image/reference.ts';
import { removeImage } from '../store/prune.ts';
import { openStore } from '../store/store.ts';
import type { Shell } from './shell.ts';

interface RmFlags {
  readonly force?: boolean;
}

export function addImageRm(group: Command, shell: Shell): void {
  group
    .command('rm')
    .option('-f, --force', 'all its names at once, and even if a container uses it; that there is none is no error')
    .argument('<image...>', 'names or ids')
    .description('take the names of images away, and remove images with their last name')
    .action(async (images: readonly string[], { force = false }: RmFlags) => {
      shell.becomeOwner();
      const store = openStore(shell.host, shell.store);
      let failure: StrataError | undefined;
      for (const image of images) {
        try {
          const { names, id } = await removeImage(store, image, force);
          for (const name of names) shell.host.print(`untagged ${familiarName(name)}\n`);
          if (id !== undefined) shell.host.print(`removed ${id}\n`);
        } catch (error) {
          if (!(error instanceof StrataError)) throw error;
          if (force && hasCode(error, 'image-not-found')) continue;
          // The others are removed all the same; the last failure is the command's.
          if (failure !== undefined) shell.log.error(failure);
          failure = error;
        }
      }
      if (failure !== undefined) throw failure;
    });
}
