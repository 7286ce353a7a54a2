import test from 'ava';
import { listBlobs } from '../../../src/store/blobs.ts';
import { examine } from '../../../src/store/check.ts';
import { listImages, loadImage, saveImages } from '../../../src/store/images.ts';
import { listLayers } from '../../../src/store/layers.ts';
import { whileRemoving, whileUsing } from '../../../src/store/lock.ts';
import { containerPath } from '../../../src/store/paths.ts';
import type { Pruned } from '../../../src/store/prune.ts';
import { prune, removeImage, removeSuperseded } from '../../../src/store/prune.ts';
import { readReferences, updateReferences } from '../../../src/store/references.ts';
import type { Store } from '../../../src/store/store.ts';
import { openStore } from '../../../src/store/store.ts';
import type { FakeMachine } from '../../helpers/fake-host.ts';
import { FakeHost, Killed } from '../../helpers/fake-host.ts';
import { addContainer, addImage, BASE, DB, ROOT, WEB, withImages } from './_images.ts';

const PRUNE = { all: false, dryRun: false };

function kinds({ garbage }: Pruned): string[] {
  return garbage.map(({ kind }) => kind);
}

function layersOf(store: Store, image: string): readonly string[] {
  return loadImage(store, image)?.layers ?? [];
}

async function findings(store: Store): Promise<string[]> {
  return whileRemoving(store, async () => (await examine(store)).map(({ kind, text }) => `${kind}: ${text}`));
}

test('a store with images is sound', async (t) => {
  const { store } = await withImages();
  t.deepEqual(await findings(store), []);
});

test('images without a name go, with all that is only theirs', async (t) => {
  const { store, nameless, machine } = await withImages();
  const told = await prune(store, { ...PRUNE, dryRun: true });
  t.deepEqual(kinds(told), ['image', 'layer', 'blob', 'blob', 'blob']);
  t.not(loadImage(store, nameless), undefined);
  const pruned = await prune(store, PRUNE);
  t.deepEqual(pruned, told);
  t.is(pruned.garbage[1]?.size, 'something else'.length);
  t.is(loadImage(store, nameless), undefined);
  t.is(listImages(store).length, 2);
  t.deepEqual(machine.children(`${ROOT}/tmp`), []);
  t.deepEqual(await findings(store), []);
  t.deepEqual(kinds(await prune(store, PRUNE)), []);
});

test('all: those with a name go too, unless a container uses them', async (t) => {
  const { store, web, db } = await withImages();
  addContainer(store, 'c1', db, layersOf(store, db));
  await prune(store, { ...PRUNE, all: true });
  t.is(loadImage(store, web), undefined);
  t.deepEqual(readReferences(store), { [DB]: db });
  t.is(listLayers(store).chainIds.length, 3);
  t.deepEqual(await findings(store), []);
});

test('a container keeps the layers that it stands on, even if the image is gone', async (t) => {
  const { store, machine, web } = await withImages();
  addContainer(store, 'c1', web, layersOf(store, web));
  const layers = layersOf(store, web);
  machine.nodes.delete(`${ROOT}/images/${web.slice(7)}.json`);
  await updateReferences(store, (names) => names.delete(WEB));
  await prune(store, { ...PRUNE, all: true });
  t.deepEqual(listLayers(store).chainIds, [...layers].sort());
});

test('containers that are taken as gone keep nothing', async (t) => {
  const { store, nameless } = await withImages();
  addContainer(store, 'c1', nameless, layersOf(store, nameless));
  t.deepEqual(kinds(await prune(store, PRUNE)), []);
  t.deepEqual(kinds(await prune(store, { all: false, dryRun: true, without: new Set(['c1']) })), ['image', 'layer', 'blob', 'blob', 'blob']);
});

test('leftovers go: half-made things, containers without a record, volumes of no container', async (t) => {
  const { store, machine, web } = await withImages();
  await removeImage(store, 'web', false).catch(() => {});
  machine.file(`${ROOT}/tmp/abc/diff/file`, 'four');
  machine.file(`${ROOT}/tmp/def`, '123');
  machine.file(`${ROOT}/containers/half/upper/file`, 'x');
  addContainer(store, 'c1', web, layersOf(store, web), ['held']);
  for (const name of ['held', 'left']) machine.file(`${ROOT}/volumes/${name}/volume.json`, '{"anonymous":true}');
  machine.file(`${ROOT}/volumes/kept/volume.json`, '{"anonymous":false}');
  machine.directory(`${ROOT}/locks/layers/abc`);
  const { garbage } = await prune(store, PRUNE);
  const leftovers = garbage.filter(({ kind }) => kind === 'leftover' || kind === 'volume').map(({ name, size }) => [name, size]);
  t.deepEqual(leftovers, [
    ['tmp/abc', 4],
    ['tmp/def', 3],
    ['containers/half', 1],
    ['left', 18],
  ]);
  t.deepEqual(machine.children(`${ROOT}/volumes`), ['held', 'kept']);
  t.deepEqual(machine.children(`${ROOT}/containers`), ['c1']);
  t.deepEqual(machine.children(`${ROOT}/tmp`), []);
  t.deepEqual(machine.children(`${ROOT}/locks/layers`), []);
});

test('a container without a record that somebody holds stays', async (t) => {
  const { store, machine } = await withImages();
  machine.file(`${ROOT}/containers/half/upper/file`, 'x');
  const other = new FakeHost(machine);
  const lock = other.tryLock(containerPath(ROOT, 'half'));
  await prune(store, PRUNE);
  t.true(machine.nodes.has(containerPath(ROOT, 'half')));
  other.close(lock ?? -1);
});

for (const [what, path] of [
  ['a container', 'containers/c1/container.json'],
  ['an image', `images/${'0'.repeat(64)}.json`],
  ['the names', 'references.json'],
] as const) {
  test(`while the record of ${what} is damaged, nothing goes that it could use`, async (t) => {
    const { store, machine } = await withImages();
    machine.file(`${ROOT}/${path}`, '{"id":');
    const { garbage, faults } = await prune(store, { ...PRUNE, all: true });
    t.deepEqual(garbage, []);
    t.is(faults.length, 1);
    t.is(listLayers(store).chainIds.length, 5);
    t.regex((await findings(store)).join('\n'), /^fault: .*damaged: not valid JSON/m);
  });
}

test('nothing is removed while somebody adds', async (t) => {
  const { store, machine } = await withImages();
  const other = openStore(new FakeHost(machine), ROOT);
  const lock = other.host.lock(`${ROOT}/locks/use`, true);
  await t.throwsAsync(prune(store, PRUNE), { code: 'locked' });
  t.is(listImages(store).length, 3);
  other.host.close(lock ?? -1);
});

test('a name goes, and with the last one the image', async (t) => {
  const { store, web, db } = await withImages();
  await updateReferences(store, (names) => names.set('localhost/also:1', web));
  t.deepEqual(await removeImage(store, 'web:1', false), { names: [WEB], garbage: [] });
  await t.throwsAsync(removeImage(store, 'web:1', false), { code: 'image-not-found' });
  const { names, id, garbage } = await removeImage(store, 'also:1', false);
  t.deepEqual([names, id], [['localhost/also:1'], web]);
  t.deepEqual(
    garbage.map(({ kind }) => kind),
    ['image', 'layer', 'blob', 'blob', 'blob'],
  );
  t.not(loadImage(store, db), undefined);
  t.deepEqual(await findings(store), []);
});

test('an image with several names is removed by its id with force only', async (t) => {
  const { store, web } = await withImages();
  await updateReferences(store, (names) => names.set('localhost/also:1', web));
  await t.throwsAsync(removeImage(store, web.slice(7, 19), false), { code: 'in-use', message: /several names: web:1, localhost\/also:1/ });
  t.is((await removeImage(store, web.slice(7, 19), true)).id, web);
  t.deepEqual(Object.keys(readReferences(store)), [DB]);
});

test('an image in use stays: its name goes with force', async (t) => {
  const { store, web } = await withImages();
  addContainer(store, 'c1', web, layersOf(store, web));
  await t.throwsAsync(removeImage(store, 'web:1', false), { code: 'in-use', message: /^image web:1 is in use by container c1 \(/ });
  t.deepEqual(await removeImage(store, 'web:1', true), { names: [WEB], garbage: [] });
  await t.throwsAsync(removeImage(store, web, false), { code: 'in-use' });
  t.not(loadImage(store, web), undefined);
  await prune(store, PRUNE);
  t.not(loadImage(store, web), undefined);
  await store.host.removeTree(containerPath(ROOT, 'c1'));
  await prune(store, PRUNE);
  t.is(loadImage(store, web), undefined);
});

test('the same layer in another compression keeps its own archive', async (t) => {
  const { store, machine } = await withImages();
  const before = machine.children(`${ROOT}/blobs/sha256`).length;
  const other = await addImage(store, { names: ['localhost/other:1'], layers: [BASE], config: { author: 'x' } });
  await removeImage(store, other, false);
  t.is(machine.children(`${ROOT}/blobs/sha256`).length, before);
});

/** Does `work` again and again, killed at one call after the other, until it gets through. */
async function killedEverywhere(
  work: (store: Store) => Promise<unknown>,
  check: (machine: FakeMachine, at: number) => Promise<void>,
): Promise<number> {
  for (let at = 1; ; at++) {
    const { machine } = await withImages();
    try {
      await work(openStore(new FakeHost(machine, at), ROOT));
      return at;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      await check(machine, at);
    }
  }
}

for (const [name, work] of [
  ['prune', (store: Store) => prune(store, { ...PRUNE, all: true })],
  ['rm', (store: Store) => removeImage(store, 'web:1', false)],
  ['tag', (store: Store) => updateReferences(store, (names) => names.set('localhost/new:1', names.get(WEB) ?? ''))],
  ['import', (store: Store) => addImage(store, { names: ['localhost/new:1'], layers: [BASE, 'new'] })],
] as const) {
  test(`${name}, killed at any call, leaves a store with orphans at most`, async (t) => {
    const calls = await killedEverywhere(work, async (machine, at) => {
      const store = openStore(new FakeHost(machine), ROOT);
      const found = await findings(store);
      t.deepEqual(
        found.filter((one) => !one.startsWith('orphan: ')),
        [],
        `killed at ${at}`,
      );
      await prune(store, PRUNE);
      t.deepEqual(await findings(store), [], `killed at ${at}`);
    });
    t.true(calls > 5);
  });
}

test('what does not fit together is told', async (t) => {
  const { store, machine, web } = await withImages();
  const [base = '', top = ''] = layersOf(store, web);
  machine.nodes.delete(`${ROOT}/layers/${top.slice(7)}/layer.json`);
  await store.host.removeTree(`${ROOT}/layers/${base.slice(7)}/diff`);
  machine.nodes.delete(`${ROOT}/blobs/sha256/${web.slice(7)}`);
  machine.file(`${ROOT}/images/notes`, '');
  machine.file(`${ROOT}/letters`, '');
  machine.file(`${ROOT}/containers/file`, '');
  machine.file(`${ROOT}/volumes/cut/volume.json`, '{');
  await updateReferences(store, (names) => names.set('localhost/gone:1', `sha256:${'0'.repeat(64)}`));
  const told = (await findings(store)).join('\n');
  t.regex(told, /^name: the name localhost\/gone:1 means image 000000000000, which is missing$/m);
  t.regex(told, new RegExp(`^layer: layer ${top.slice(7, 19)}, which image ${web.slice(7, 19)} needs, is missing$`, 'm'));
  t.regex(told, /^layer: layer .* has no directory$/m);
  t.regex(told, new RegExp(`^fault: blob ${web.slice(7, 19)} of image ${web.slice(7, 19)} is missing$`, 'm'));
  t.regex(told, /^fault: images\/notes does not belong into the store$/m);
  t.regex(told, /^fault: containers\/file does not belong into the store$/m);
  t.regex(told, /^fault: the record of volume cut is damaged: not valid JSON/m);
  t.regex(told, /^fault: letters does not belong into the store$/m);
});

test('an image comes again with another manifest: the one before goes, and what others use stays', async (t) => {
  const { store, web, db } = await withImages();
  const [before, other] = [loadImage(store, web), loadImage(store, db)];
  if (before === undefined || other === undefined) return t.fail();
  // Of the same blobs in other words; the store has no need to know.
  const { manifest } = before;
  const again = { ...before, manifest: other.manifest };
  t.deepEqual(await saveImages(store, [{ record: before, names: [] }]), []);
  const superseded = await saveImages(store, [{ record: again, names: [] }]);
  t.deepEqual(superseded, [before]);
  const count = listBlobs(store).digests.length;
  const warnings: string[] = [];
  // Somebody who is adding keeps everything; then it is said, and no error.
  await whileUsing(store, () => removeSuperseded(store, superseded, (text) => warnings.push(text)));
  t.regex(warnings.join('\n'), /^what the image was made of before stays until strata prune: .* is in use by another strata process/);
  t.is(listBlobs(store).digests.length, count);
  await removeSuperseded(store, superseded, () => t.fail());
  t.is(listBlobs(store).digests.length, count - 1);
  t.false(listBlobs(store).digests.includes(manifest));
  t.deepEqual(await findings(store), []);
});
