/** `layer`: one layer by itself. */
import type { Command } from 'commander';
import type { LimitFlags } from './layer-limits.ts';
import { addLimits, readingOptions } from './layer-limits.ts';
import type { Shell } from './shell.ts';
import { sizeText } from './table.ts';

export function addLayer(program: Command, shell: Shell): void {
  const group = program.command('layer').description('single layers, without a store').helpCommand(false);
  const command = group
    .command('unpack')
    .argument('<tar>', "the layer's archive, compressed or not; - for standard input")
    .argument('<dir>', 'where to; made if it does not exist')
    .option('-q, --quiet', 'print nothing');
  addLimits(command)
    .description('apply one layer to a directory, and remove what it hides there')
    .action(async (source: string, directory: string, flags: LimitFlags) => {
      const { archive } = shell;
      const { clear, ...options } = readingOptions(shell, flags, archive.errorWidth());
      try {
        const { diffId, entries, size } = await archive.unpackLayer({ ...options, source, directory });
        clear();
        if (flags.quiet !== true) shell.host.print(`${diffId} ${entries} entries ${sizeText(size)}\n`);
      } catch (error) {
        clear();
        throw error;
      }
    });
}
