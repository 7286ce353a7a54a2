import type { Command } from 'commander';
import { shortId } from '../image/digest.ts';
import { familiarName } from '../image/reference.ts';
import { findImage, listImages } from '../store/images.ts';
import { openStore } from '../store/store.ts';
import type { ImageTree, TreeImage, TreeLayer } from '../store/tree.ts';
import { treeOf } from '../store/tree.ts';
import type { Shell } from './shell.ts';
import { sizeText } from './table.ts';

export function addImageTree(group: Command, shell: Shell): void {
  group
    .command('tree')
    .argument('[image...]', 'names or ids; all if not given')
    .description('draw which images share which layers')
    .action((names: readonly string[]) => {
      const store = openStore(shell.host, shell.store);
      const images = names.length === 0 ? listImages(store) : names.map((name) => findImage(store, name).image);
      shell.host.print(draw(treeOf(store, images)));
    });
}

function draw({ layers, empty }: ImageTree): string {
  const lines: string[] = empty.map((image) => `no layers  ${title(image)}`);
  const visit = (layer: TreeLayer, first: string, rest: string): void => {
    // Layers between which nothing branches off and no image ends are one line.
    const run = [layer];
    for (let last = layer; last.images.length === 0 && last.above.length === 1; last = run.at(-1) as TreeLayer) run.push(last.above[0] as TreeLayer);
    const last = run.at(-1) as TreeLayer;
    const total = run.reduce((sum, { size }) => sum + size, 0);
    const what = run.length === 1 ? `layer ${shortId(last.chainId)}` : `${run.length} layers up to ${shortId(last.chainId)}`;
    lines.push(`${first}${what}, ${sizeText(total)}${last.images.map((image) => `  ${title(image)}`).join('')}`);
    last.above.forEach((above, index) => {
      const isLast = index === last.above.length - 1;
      visit(above, `${rest}${isLast ? '└─ ' : '├─ '}`, `${rest}${isLast ? '   ' : '│  '}`);
    });
  };
  for (const layer of layers) visit(layer, '', '');
  return lines.map((line) => `${line}\n`).join('');
}

function title({ id, names }: TreeImage): string {
  return `${names.length === 0 ? '<none>' : names.map(familiarName).join(', ')} (${shortId(id)})`;
}
