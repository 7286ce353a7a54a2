import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { shortId } from '../image/digest.ts';
import { familiarName, repositoryAndTag } from '../image/reference.ts';
import { openStore } from '../store/store.ts';
import type { ImageSummary } from '../store/summary.ts';
import { summarize } from '../store/summary.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';
import { momentText, sizeText, table } from './table.ts';

interface LsFlags {
  readonly filter: readonly Filter[];
  readonly format: 'table' | 'json';
  readonly digests?: true;
  readonly quiet?: true;
}

/** Of the names of an image those that fit; undefined if the image does not. */
type Filter = (image: ImageSummary) => readonly string[] | undefined;

const NONE = '<none>';

export function addImageLs(group: Command, shell: Shell): void {
  group
    .command('ls')
    .addOption(
      new Flag('--filter <filter>', 'only some: reference=GLOB, dangling=true or dangling=false; can be given several times')
        .argParser((text: string, before: readonly Filter[]) => [...before, filter(text)])
        .default([], 'all'),
    )
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--digests', 'also show the digests of manifests')
    .option('-q, --quiet', 'print only the ids')
    .description('list images')
    .action((flags: LsFlags) => {
      const images = summarize(openStore(shell.host, shell.store), (text) => shell.log.warn(text)).flatMap((image) => {
        const names = chosenNames(image, flags.filter);
        return names === undefined ? [] : [{ ...image, names }];
      });
      shell.host.print(render(images, flags));
    });
}

function chosenNames(image: ImageSummary, filters: readonly Filter[]): readonly string[] | undefined {
  let names = image.names;
  for (const choose of filters) {
    const chosen = choose({ ...image, names });
    if (chosen === undefined) return undefined;
    names = chosen;
  }
  return names;
}

function filter(text: string): Filter {
  const [key, value = ''] = [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)];
  if (key === 'dangling' && (value === 'true' || value === 'false')) {
    return ({ names }) => ((names.length === 0) === (value === 'true') ? names : undefined);
  }
  if (key !== 'reference' || value === '') throw new InvalidArgumentError('It must be reference=GLOB, dangling=true or dangling=false.');
  const glob = globPattern(value);
  return ({ names }) => {
    const fitting = names.filter((name) => [name, familiarName(name)].some((one) => glob.test(one) || glob.test(one.replace(/:[^:/]*$/, ''))));
    return fitting.length === 0 ? undefined : fitting;
  };
}

/** `*` and `?` stand for anything but a slash. */
function globPattern(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '[^/]*')
    .replace(/\?/g, '[^/]');
  return new RegExp(`^${source}$`);
}

function render(images: readonly ImageSummary[], { format, quiet, digests }: LsFlags): string {
  if (quiet === true) return images.map(({ id }) => `${shortId(id)}\n`).join('');
  if (format === 'json') return `${JSON.stringify(images)}\n`;
  const columns = ['REPOSITORY', 'TAG', ...(digests === true ? ['DIGEST'] : []), 'IMAGE ID', 'CREATED', 'SIZE', 'SHARED'];
  const rows = images.flatMap((image) => {
    const rest = [
      ...(digests === true ? [image.manifest] : []),
      shortId(image.id),
      momentText(image.created),
      sizeText(image.size),
      sizeText(image.shared),
    ];
    const names = image.names.length === 0 ? [[NONE, NONE]] : image.names.map(repositoryAndTag);
    return names.map((name) => [...name, ...rest]);
  });
  return table([columns, ...rows]);
}
