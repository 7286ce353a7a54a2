import type { Command } from 'commander';
import type { ExportFormat } from '../archive/archive.ts';
import { Bar } from './bar.ts';
import { Flag } from './command.ts';
import { stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

const FORMATS: readonly ExportFormat[] = ['oci-archive', 'docker-archive', 'oci'];

export function addImageExport(group: Command, shell: Shell): void {
  group
    .command('export')
    .argument('<image...>', 'names or ids')
    .addOption(new Flag('-f, --format <format>', 'form of the archive').choices([...FORMATS]).default('oci-archive'))
    .option('-o, --output <path>', 'the file, or for oci the directory; - is standard output', '-')
    .description('write images into an archive')
    .action(async (images: readonly string[], { format, output }: { readonly format: ExportFormat; readonly output: string }) => {
      const { archive, host } = shell;
      const width = archive.errorWidth();
      const bar = new Bar(host, width);
      host.holdSignals();
      try {
        await archive.exportImages({
          ...{ store: shell.store, images, output, format },
          checkpoint: () => stopIfInterrupted(host),
          ...(width > 0 && { progress: (event) => bar.show(event) }),
        });
      } finally {
        bar.clear();
      }
    });
}
