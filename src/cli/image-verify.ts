import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import { stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

export function addImageVerify(group: Command, shell: Shell): void {
  group
    .command('verify')
    .argument('<image...>', 'names or ids')
    .description('check images against their digests, and their layers, entry by entry, against the archives that they are from')
    .action(async (images: readonly string[]) => {
      // In the static command this does not come back.
      const { archive, host, store } = shell;
      host.holdSignals();
      const faults = await archive.verifyImages({ store, images, checkpoint: () => stopIfInterrupted(host) });
      for (const fault of faults) host.print(`${fault}\n`);
      if (faults.length > 0) {
        throw new StrataError({
          code: 'store-damaged',
          reason: `${faults.length} ${faults.length === 1 ? 'fault was' : 'faults were'} found`,
          hint: 'strata fsck --repair can mend layers',
        });
      }
      for (const image of images) host.print(`${image}: sound\n`);
    });
}
