import type { Command } from 'commander';
import { shortId } from '../image/digest.ts';
import { familiarName } from '../image/reference.ts';
import type { ImageRecord } from '../store/images.ts';
import { findImage, listImages } from '../store/images.ts';
import { namesOf, readReferences } from '../store/references.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import { layerSizes } from '../store/usage.ts';
import type { Shell } from './shell.ts';
import { sizeText } from './table.ts';

/** A layer, with those that lie on it. */
interface Node {
  readonly chainId: string;
  readonly above: Node[];
  /** The images whose uppermost layer this is. */
  readonly images: ImageRecord[];
}

export function addImageTree(group: Command, shell: Shell): void {
  group
    .command('tree')
    .argument('[image...]', 'names or ids; all if not given')
    .description('draw which images share which layers')
    .action((names: readonly string[]) => {
      const store = openStore(shell.host, shell.store);
      const images = names.length === 0 ? listImages(store) : names.map((name) => findImage(store, name).image);
      shell.host.print(draw(store, images));
    });
}

function draw(store: Store, images: readonly ImageRecord[]): string {
  const references = readReferences(store);
  const sizes = layerSizes(store);
  const title = (image: ImageRecord): string => {
    const names = namesOf(references, image.id).map(familiarName);
    return `${names.length === 0 ? '<none>' : names.join(', ')} (${shortId(image.id)})`;
  };
  const lines: string[] = [];
  const visit = (node: Node, first: string, rest: string): void => {
    // Layers between which nothing branches off and no image ends are one line.
    const run = [node];
    for (let last = node; last.images.length === 0 && last.above.length === 1; last = run.at(-1) as Node) run.push(last.above[0] as Node);
    const last = run.at(-1) as Node;
    const size = run.reduce((total, { chainId }) => total + (sizes.get(chainId) ?? 0), 0);
    const layers = run.length === 1 ? `layer ${shortId(last.chainId)}` : `${run.length} layers up to ${shortId(last.chainId)}`;
    lines.push(`${first}${layers}, ${sizeText(size)}${last.images.map((image) => `  ${title(image)}`).join('')}`);
    last.above.forEach((above, index) => {
      const isLast = index === last.above.length - 1;
      visit(above, `${rest}${isLast ? '└─ ' : '├─ '}`, `${rest}${isLast ? '   ' : '│  '}`);
    });
  };
  const { above, images: empty } = forest(images);
  for (const image of empty) lines.push(`no layers  ${title(image)}`);
  for (const root of above) visit(root, '', '');
  return lines.map((line) => `${line}\n`).join('');
}

/** A root that is no layer: below it are the lowest layers of all, and the images without layers. */
function forest(images: readonly ImageRecord[]): Node {
  const root: Node = { chainId: '', above: [], images: [] };
  const nodes = new Map<string, Node>();
  for (const image of new Map(images.map((one) => [one.id, one])).values()) {
    let below = root;
    for (const chainId of image.layers) {
      let node = nodes.get(chainId);
      if (node === undefined) {
        node = { chainId, above: [], images: [] };
        nodes.set(chainId, node);
        below.above.push(node);
      }
      below = node;
    }
    below.images.push(image);
  }
  return root;
}
