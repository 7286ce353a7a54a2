/** The store with real images: what is shared, verified, damaged, mended and removed. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { createArchive } from '../../src/archive/index.ts';
import { createNodeHost } from '../../src/host/node.ts';
import type { Workspace } from '../helpers/container.ts';
import { BASE, DB, TestStore, WEB } from '../helpers/images.ts';
import { busyboxTar, makeLayout } from '../helpers/layout.ts';
import { containerTest, failed } from './_support.ts';

function storeTest(title: string, body: (t: ExecutionContext, store: TestStore, workspace: Workspace) => Promise<void>): void {
  containerTest(title, (t, workspace) => body(t, new TestStore(workspace), workspace));
}

storeTest('a shared layer is there once, and stays as long as somebody has it', async (t, store) => {
  const { web, db } = await store.importTwo();
  t.regex(web, /^[0-9a-f]{12}$/);
  t.is(store.names('layers').length, 3);
  const tree = await store.out('image', 'tree', 'web', 'db');
  t.regex(tree, /^layer \S+, 24 B\n├─ layer \S+, 8 B {2}web:latest \(\S+\)\n└─ layer \S+, 5.00 kB {2}db:latest \(\S+\)\n$/);
  t.regex(await store.out('image', 'rm', 'db'), new RegExp(`^untagged db:latest\nremoved sha256:${db}`));
  t.is(store.names('layers').length, 2);
  t.is(await store.out('image', 'verify', 'web'), 'web: sound\n');
  await store.out('image', 'rm', web);
  for (const directory of ['layers', 'images', 'blobs/sha256', 'tmp']) t.deepEqual(store.names(directory), [], directory);
  t.is(await store.out('fsck'), 'the store is sound\n');
});

storeTest('imports of the same and of other images at the same time, with prunes between', async (t, store) => {
  const layouts = [store.layout('web', BASE, WEB), store.layout('db', BASE, DB)];
  const work = [0, 1, 2, 3].map((at) => store.out('image', 'import', '--name', `image${at}`, layouts[at % 2] as string));
  const prunes = [0, 1, 2].map(() => store.out('prune'));
  await Promise.all([...work, ...prunes]);
  t.is(store.names('layers').length, 3);
  t.deepEqual(store.names('tmp'), []);
  t.is((await store.out('image', 'ls', '--filter', 'reference=image*')).trim().split('\n').length, 5);
  t.is(await store.out('fsck'), 'the store is sound\n');
});

/** How a layer of the image web can be damaged, and what is told then. */
const DAMAGES: readonly (readonly [name: string, damage: (diff: string, layer: string) => void, told: RegExp])[] = [
  ['a file has other contents', (diff) => fs.writeFileSync(join(diff, 'etc/passwd'), 'root:x:0:0::/:/bin/ed\n'), /\/etc\/passwd: /],
  ['a file is missing', (diff) => fs.rmSync(join(diff, 'etc/passwd')), /: \/etc: it was modified at another time/],
  ['a file is new', (diff) => fs.writeFileSync(join(diff, 'etc/shadow'), ''), /\/etc/],
  ['a file has another mode', (diff) => fs.chmodSync(join(diff, 'bin/su'), 0o755), /\/bin\/su: its mode is 04755 and 0755/],
  ['a file has another owner', (diff) => fs.chownSync(join(diff, 'bin/su'), 1, 1), /\/bin\/su: /],
  ['a hard link is a copy', (diff) => copyInPlace(join(diff, 'bin/su')), /\/bin/],
  ['its directory is gone', (diff) => fs.rmSync(diff, { recursive: true }), /has no directory/],
  ['its record is gone', (_, layer) => fs.rmSync(join(layer, 'layer.json')), /is missing/],
  ['its record is cut short', (_, layer) => fs.truncateSync(join(layer, 'layer.json'), 20), /damaged: not valid JSON/],
  ['it is gone', (_, layer) => fs.rmSync(layer, { recursive: true }), /is missing/],
];

function copyInPlace(path: string): void {
  fs.copyFileSync(path, `${path}.new`);
  fs.chmodSync(`${path}.new`, 0o4755);
  fs.renameSync(`${path}.new`, path);
}

storeTest('a damaged layer is found and unpacked again', async (t, store) => {
  await store.importTwo();
  const [base] = await store.layers('web');
  const diff = base?.diff ?? '';
  // As the command does it, but without a start of Node for each.
  const archive = createArchive(createNodeHost());
  const fsck = (repair: boolean) => archive.fsck({ store: store.directory, repair, quick: false });
  for (const [name, damage, told] of DAMAGES) {
    damage(diff, join(diff, '..'));
    const found = await fsck(false);
    t.regex(found.map(({ text }) => text).join('\n'), told, name);
    t.true(
      found.every(({ repaired }) => !repaired),
      name,
    );
    t.true(
      (await fsck(true)).every(({ repaired }) => repaired),
      name,
    );
    t.deepEqual(await fsck(false), [], name);
  }
  t.deepEqual(store.names('tmp'), []);
  fs.chmodSync(join(diff, 'bin/su'), 0o755);
  const { code, stderr } = await store.strata('fsck');
  t.is(code, 1);
  t.regex(stderr, /^strata: the store has 1 fault \(--repair mends/);
  t.regex(await store.out('fsck', '--repair'), /^repaired: layer [^\n]*\nthe store is sound\n$/);
  t.is(await store.out('image', 'verify', 'web', 'db'), 'web: sound\ndb: sound\n');
});

storeTest('what cannot be mended is told and left', async (t, store) => {
  const { web } = await store.importTwo();
  const [base, top] = await store.layers('web');
  const blob = top?.blob ?? '';
  fs.writeFileSync(blob, fs.readFileSync(blob).fill(0, 30, 40));
  fs.writeFileSync(join(store.directory, 'images/notes'), '');
  const found = await store.strata('fsck', '--repair');
  t.is(found.code, 1);
  t.regex(found.stdout, /^blob \S+ does not have the sha256 digest that is its name$/m);
  t.regex(found.stdout, new RegExp(`^layer ${top?.short} cannot be unpacked again: `, 'm'));
  t.regex(found.stdout, /^images\/notes does not belong into the store$/m);
  failed(t, await store.strata('image', 'verify', web), 'faults were found');
  t.true(fs.existsSync(base?.diff ?? ''));
  t.true(fs.existsSync(top?.diff ?? ''));
});

storeTest('orphans, half-made things and names that lead nowhere', async (t, store) => {
  const { web } = await store.importTwo();
  const at = (path: string): string => join(store.directory, path);
  fs.mkdirSync(at('tmp/half/diff/etc'), { recursive: true });
  fs.writeFileSync(at('tmp/half/diff/etc/x'), 'x');
  fs.cpSync(at(`layers/${store.names('layers')[0]}`), at(`layers/${'0'.repeat(64)}`), { recursive: true });
  fs.writeFileSync(at(`blobs/sha256/${'0'.repeat(64)}`), 'x');
  fs.rmSync(at(`images/${store.names('images').find((name) => name.startsWith(web))}`));
  const found = await store.strata('fsck', '--quick');
  t.regex(found.stdout, /^the name web:latest means image \S+, which is missing$/m);
  t.regex(found.stdout, /^tmp\/half belongs to nothing$/m);
  failed(t, await store.strata('image', 'inspect', 'web'), 'there is no image');
  const repaired = await store.out('fsck', '--repair');
  t.regex(repaired, /^repaired: the name web:latest/m);
  t.is(await store.out('fsck'), 'the store is sound\n');
  t.is(store.names('layers').length, 2);
  t.deepEqual(store.names('tmp'), []);
});

storeTest('an image that comes again in other archives leaves nothing of the ones before', async (t, store, workspace) => {
  const kept = (): number => store.names('blobs/sha256').length;
  const layers = [BASE, WEB];
  const zipped = makeLayout(workspace.path('zipped'), { layers });
  const plain = makeLayout(workspace.path('plain'), { layers, compression: 'none' });
  // As `docker save` had it: no manifest, so the store makes one of what it has.
  const saved = workspace.path('saved.tar');
  await store.out('image', 'import', '--name', 'web', plain);
  await store.out('image', 'export', '--format', 'docker-archive', '--output', saved, 'web');
  await store.out('image', 'rm', 'web');

  await store.out('image', 'import', '--name', 'web', saved);
  const before = kept();
  t.is(before, 4);
  await store.out('image', 'import', '--name', 'web', plain);
  t.is(kept(), before);
  t.is(await store.out('fsck'), 'the store is sound\n');
  // The archives that the layers were unpacked from stay.
  await store.out('image', 'import', '--name', 'web', zipped);
  t.is(kept(), before + layers.length);
  t.is(await store.out('fsck'), 'the store is sound\n');
  await store.out('image', 'import', '--name', 'web', plain);
  t.is(kept(), before);
  t.is(await store.out('fsck'), 'the store is sound\n');
  await Promise.all([plain, zipped, saved, plain, zipped].map((source, at) => store.out('image', 'import', '--name', `web${at}`, source)));
  t.is(await store.out('fsck'), 'the store is sound\n');
  t.is(await store.out('image', 'verify', 'web'), 'web: sound\n');
});

storeTest('prune in a dry run tells what prune then does', async (t, store) => {
  await store.importTwo();
  await store.out('image', 'tag', 'db', 'web');
  fs.mkdirSync(join(store.directory, 'tmp/half'));
  const told = await store.out('prune', '--dry-run');
  t.regex(told, /^would remove image \S+, 0 B$/m);
  t.regex(told, /^would remove leftover tmp\/half, 0 B$/m);
  t.is(store.names('images').length, 2);
  t.is(await store.out('prune'), told.replaceAll('would remove', 'removed').replace('would free', 'freed'));
  t.is(store.names('images').length, 1);
  t.is(await store.out('prune'), 'freed 0 B\n');
});

storeTest('containers run while others import, remove and prune', async (t, store, workspace) => {
  await store.import('box', busyboxTar(join(workspace.directory, 'box')));
  const layout = store.layout('db', BASE, DB);
  const again = async (count: number, work: (at: number) => Promise<unknown>): Promise<void> => {
    for (let at = 0; at < count; at++) await work(at);
  };
  const run = (who: number) => again(6, (at) => store.out('run', '--rm', '--image', 'box', `c${who}-${at}`, 'true'));
  const importAndRemove = again(3, async () => {
    await store.out('image', 'import', '--quiet', '--name', 'db', layout);
    await store.out('image', 'rm', 'db');
  });
  await Promise.all([run(0), run(1), importAndRemove, again(8, () => store.out('prune')), again(8, () => store.out('image', 'prune'))]);
  for (const directory of ['containers', 'tmp']) t.deepEqual(store.names(directory), [], directory);
  t.is(await store.out('image', 'ls', '--quiet', '--filter', 'reference=box').then((ids) => ids.length), 13);
  t.is(await store.out('fsck'), 'the store is sound\n');
});

storeTest('prune removes containers that have stopped, and nothing of those that have not', async (t, store, workspace) => {
  await store.import('box', busyboxTar(join(workspace.directory, 'box')));
  await store.out('run', '--detach', '--image', 'box', 'up', 'sleep', '1000');
  await store.out('run', '--image', 'box', '--volume', '/data', 'over', 'sh', '-c', 'echo 12345 > /written');
  await store.out('create', '--image', 'box', 'never');
  failed(t, await store.strata('image', 'rm', 'box'), 'in use by containers never, over, up');
  await store.out('image', 'rm', '--force', 'box');
  t.regex(await store.out('prune', '--dry-run'), /^would remove container over, \d+ B\nwould remove volume \S+, \d+ B\nwould free \d+ B\n$/);
  t.regex(await store.out('prune'), /^removed container over, \d+ B\nfreed \d+ B\n$/);
  t.deepEqual(store.names('containers'), ['never', 'up']);
  t.deepEqual(store.names('volumes'), []);

  const [layer = ''] = store.names('layers');
  fs.writeFileSync(join(store.directory, 'layers', layer, 'diff/etc/new'), '');
  const refused = await store.strata('fsck', '--repair');
  t.regex(refused.stdout, /and it cannot be unpacked again: container up runs on it$/m);
  await store.out('delete', '--force', 'up');
  t.regex(await store.out('fsck', '--repair'), /^repaired: layer .*\nthe store is sound\n$/);
  await store.out('delete', 'never');
  await store.out('prune');
  for (const directory of ['layers', 'images', 'blobs/sha256', 'tmp']) t.deepEqual(store.names(directory), [], directory);
});
