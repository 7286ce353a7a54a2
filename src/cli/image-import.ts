import type { Command } from 'commander';
import { shortId } from '../image/digest.ts';
import { parsePlatform } from '../image/platform.ts';
import { familiarName } from '../image/reference.ts';
import type { LimitFlags } from './layer-limits.ts';
import { addLimits, readingOptions } from './layer-limits.ts';
import type { Shell } from './shell.ts';

interface ImportFlags extends LimitFlags {
  readonly name?: string;
  readonly platform?: string;
}

export function addImageImport(group: Command, shell: Shell): void {
  const command = group
    .command('import')
    .argument('<source>', 'a file, a directory, or - for standard input')
    .option('--name <ref>', 'give the image this name, in place of those in the archive')
    .option('--platform <platform>', "which image of several: os/architecture[/variant]; this machine's if not given")
    .option('-q, --quiet', 'print only the ids');
  addLimits(command)
    .description('add images: of an OCI layout, an archive of docker save or podman save, or a root file system as tar')
    .action(async (source: string, { name, platform, ...flags }: ImportFlags) => {
      // In the static command this does not come back.
      const { archive } = shell;
      const { clear, ...options } = readingOptions(shell, flags, archive.errorWidth());
      try {
        const images = await archive.importImages({
          ...options,
          store: shell.store,
          source,
          ...(name !== undefined && { name }),
          ...(platform !== undefined && { platform: parsePlatform(platform) }),
        });
        clear();
        for (const { id, names } of images) {
          const short = shortId(id);
          shell.host.print(flags.quiet === true ? `${short}\n` : `imported ${short}${names.map((whole) => ` ${familiarName(whole)}`).join('')}\n`);
        }
      } catch (error) {
        clear();
        throw error;
      }
    });
}
