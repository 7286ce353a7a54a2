import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import { stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

interface FsckFlags {
  readonly repair?: boolean;
  readonly quick?: boolean;
}

export function addFsck(program: Command, shell: Shell): void {
  program
    .command('fsck')
    .option('--repair', 'remove orphans and names that lead nowhere, and unpack damaged layers again')
    .option('--quick', 'check records only, and read no contents')
    .description('check the store: digests, records, layers, and what belongs to nothing')
    .action(async ({ repair = false, quick = false }: FsckFlags) => {
      // In the static command this does not come back.
      const { archive, host, store } = shell;
      host.holdSignals();
      const faults = await archive.fsck({ store, repair, quick, checkpoint: () => stopIfInterrupted(host) });
      for (const { text, repaired } of faults) host.print(`${repaired ? 'repaired: ' : ''}${text}\n`);
      const left = faults.filter(({ repaired }) => !repaired).length;
      if (left === 0) {
        host.print('the store is sound\n');
        return;
      }
      const hint = repair ? 'what is left cannot be mended: remove the image, and import it again' : '--repair mends what can be mended';
      throw new StrataError({ code: 'store-damaged', reason: `the store has ${left} ${left === 1 ? 'fault' : 'faults'}`, hint });
    });
}
