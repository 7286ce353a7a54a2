import { createHash } from 'node:crypto';
import test from 'ava';
import { hasBlob, installBlob, listBlobs, readBlob } from '../../../src/store/blobs.ts';
import { findImage, listImages, loadImage, saveImages } from '../../../src/store/images.ts';
import { chainIds, hasLayer, installLayer, listLayers, loadLayer, sealLayer } from '../../../src/store/layers.ts';
import { whileRemoving, whileUnpacking, whileUsing } from '../../../src/store/lock.ts';
import { layerDiff } from '../../../src/store/paths.ts';
import { namesOf, readReferences, updateReferences } from '../../../src/store/references.ts';
import type { Store } from '../../../src/store/store.ts';
import { makeTemporary, openStore, prepareStore, temporaryPath } from '../../../src/store/store.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

const ROOT = '/var/lib/strata';
const [A, B, C] = ['a', 'b', 'c'].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string, string];

function prepared(): { store: Store; machine: FakeMachine; other: () => Store } {
  const machine = new FakeMachine();
  const open = (): Store => prepareStore(new FakeHost(machine), ROOT);
  return { store: open(), machine, other: open };
}

async function withImages(): Promise<{ store: Store; machine: FakeMachine }> {
  const { store, machine } = prepared();
  for (const id of [A, B])
    await saveImages(store, [{ record: { id, manifest: C, config: id, layers: [C], created: '2026-01-02T03:04:05Z' }, names: [] }]);
  await updateReferences(store, (names) => names.set('docker.io/library/web:1', A).set('localhost/web:2', B));
  return { store, machine };
}

test('a store that does not exist is empty, and is not made by a look', (t) => {
  const machine = new FakeMachine();
  const store = openStore(new FakeHost(machine), ROOT);
  t.deepEqual([listImages(store), listBlobs(store).digests, listLayers(store).chainIds, readReferences(store)], [[], [], [], {}]);
  t.throws(() => findImage(store, 'web'), { code: 'image-not-found', message: 'image does not exist: web' });
  t.false(machine.nodes.has(ROOT));
});

test('is made once, and with nobody else', (t) => {
  const { machine, other } = prepared();
  t.is(machine.nodes.get(ROOT)?.mode, 0o700);
  t.is(machine.text(`${ROOT}/format`), '1\n');
  t.notThrows(other);
});

test('another format, another directory and another user are refused', (t) => {
  const { machine } = prepared();
  const open = () => openStore(new FakeHost(machine), ROOT);
  machine.file(`${ROOT}/format`, '2\n');
  t.throws(open, { code: 'store-damaged', message: /has format "2"/ });
  machine.file('/srv/data/letters', '');
  t.throws(() => prepareStore(new FakeHost(machine), '/srv/data'), { code: 'store-damaged', message: /it has letters/ });
  machine.directory('/srv/shared', 0o777);
  t.throws(() => prepareStore(new FakeHost(machine), '/srv/shared'), { code: 'system', message: /can be written by others/ });
});

test('is finished at any later time when its making is cut off', (t) => {
  for (let killAt = 1; killAt < 40; killAt++) {
    const machine = new FakeMachine();
    try {
      prepareStore(new FakeHost(machine, killAt), ROOT);
    } catch {
      t.notThrows(() => openStore(new FakeHost(machine), ROOT), `killed at ${killAt}`);
      t.notThrows(() => prepareStore(new FakeHost(machine), ROOT), `killed at ${killAt}`);
    }
    t.true(machine.nodes.has(`${ROOT}/locks/references`));
  }
});

test('an image is found by its names and its id', async (t) => {
  const { store } = await withImages();
  const found = (what: string): string => findImage(store, what).image.id;
  t.is(found('web:1'), A);
  t.is(found('library/web:1'), A);
  t.is(found('docker.io/library/web:1'), A);
  t.is(found('web:2'), B);
  t.is(found('a'.repeat(12)), A);
  t.is(found('b'.repeat(64)), B);
  t.is(found(`sha256:${'b'.repeat(20)}`), B);
  t.is(found(`web:1@${C}`), A);
  t.is(found(C), A);
  t.is(findImage(store, 'web:2').name, 'localhost/web:2');
  t.is(findImage(store, A).name, '');
  for (const what of ['web', 'docker.io/library/web:2', 'c'.repeat(12), `x@${C}`, `web@${A}`]) {
    t.throws(() => found(what), { code: 'image-not-found' }, what);
  }
  t.throws(() => found('A b'), { code: 'usage' });
});

test('a name that looks like an id goes before the id', async (t) => {
  const { store } = await withImages();
  await updateReferences(store, (names) => names.set(`docker.io/library/${'a'.repeat(12)}:latest`, B));
  t.is(findImage(store, 'a'.repeat(12)).image.id, B);
  t.is(findImage(store, `sha256:${'a'.repeat(12)}`).image.id, A);
});

test('too few digits for two images', async (t) => {
  const { store } = await withImages();
  const near = `sha256:${'a'.repeat(63)}0`;
  await saveImages(store, [{ record: { id: near, manifest: C, config: near, layers: [], created: '' }, names: [] }]);
  t.throws(() => findImage(store, 'a'.repeat(12)), { code: 'usage', message: /could mean 2 images/ });
});

test('names are written in order and only when they change', async (t) => {
  const { store, machine } = await withImages();
  t.deepEqual(Object.keys(readReferences(store)), ['docker.io/library/web:1', 'localhost/web:2']);
  const before = machine.nodes.get(`${ROOT}/references.json`);
  await updateReferences(store, (names) => names.set('docker.io/library/web:1', A));
  t.is(machine.nodes.get(`${ROOT}/references.json`), before);
  await updateReferences(store, (names) => names.set('docker.io/library/__proto__:1', A));
  t.deepEqual(namesOf(readReferences(store), A), ['docker.io/library/__proto__:1', 'docker.io/library/web:1']);
});

test('damaged records are told', async (t) => {
  const { store, machine } = await withImages();
  machine.file(`${ROOT}/images/${'a'.repeat(64)}.json`, '{"id":');
  t.throws(() => loadImage(store, A), { code: 'store-damaged', message: /image sha256:a{64} is damaged: not valid JSON/ });
  machine.file(`${ROOT}/images/${'a'.repeat(64)}.json`, '{"id":1}');
  t.throws(() => loadImage(store, A), { code: 'store-damaged', message: /damaged: \/id: expected a string, found 1/ });
  machine.file(`${ROOT}/images/${'a'.repeat(64)}.json`, machine.text(`${ROOT}/images/${'b'.repeat(64)}.json`) ?? '');
  t.throws(() => loadImage(store, A), { code: 'store-damaged', message: /that of another image/ });
  machine.nodes.delete(`${ROOT}/images/${'b'.repeat(64)}.json`);
  t.throws(() => findImage(store, 'web:2'), { code: 'store-damaged', message: /there is no image bbbbbbbbbbbb/ });
  machine.file(`${ROOT}/references.json`, '{"x":"y"}');
  t.throws(() => readReferences(store), { code: 'store-damaged' });
});

test('a blob gets its place once', (t) => {
  const { store, machine } = prepared();
  for (const text of ['one', 'two']) {
    const temporary = temporaryPath(store);
    machine.file(temporary, text);
    installBlob(store, temporary, A);
  }
  t.true(hasBlob(store, A));
  t.is(readBlob(store, A), 'one');
  t.deepEqual(machine.children(`${ROOT}/tmp`), []);
  t.throws(() => readBlob(store, B), { code: 'store-damaged', message: /has not got the blob sha256:b/ });
  machine.file(`${ROOT}/blobs/sha256/x`, '');
  t.deepEqual(listBlobs(store), { digests: [A], strangers: ['blobs/sha256/x'] });
});

test('a layer gets its place once', (t) => {
  const { store, machine } = prepared();
  const made = [1, 2].map((size) => {
    const temporary = makeTemporary(store);
    store.host.makeDirectory(`${temporary}/diff`, 0o755);
    sealLayer(store, temporary, { chainId: B, diffId: C, parent: A, blob: C, mediaType: 'x', size, entries: 3 });
    return installLayer(store, temporary, B);
  });
  t.deepEqual(made, [true, false]);
  t.deepEqual(loadLayer(store, B), { chainId: B, diffId: C, parent: A, blob: C, mediaType: 'x', size: 1, entries: 3 });
  t.true(hasLayer(store, B));
  t.is(loadLayer(store, A), undefined);
  t.true(machine.nodes.has(layerDiff(ROOT, B)));
  t.deepEqual(listLayers(store).chainIds, [B]);
});

test('chain ids are what config.md says', (t) => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const [one, two, three] = chainIds([A, B, C], sha256);
  t.is(one, A);
  t.is(two, `sha256:${sha256(`${A} ${B}`)}`);
  t.is(three, `sha256:${sha256(`${two} ${C}`)}`);
});

test('many use the store at once, and one alone removes', async (t) => {
  const { store, other } = prepared();
  const told: string[] = [];
  let leave = (): void => {};
  const users = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const using = [store, other()].map((one) => whileUsing(one, () => users.then(() => told.push('used'))));
  const removing = whileRemoving(other(), () => told.push('removed'));
  await new Promise((resolve) => setImmediate(resolve));
  leave();
  await Promise.all([...using, removing]);
  t.deepEqual(told, ['used', 'used', 'removed']);
});

test('a lock that is never free is an error in the end', async (t) => {
  const { store, other } = prepared();
  await whileRemoving(store, async () => {
    await t.throwsAsync(
      whileUsing(other(), () => {}),
      { code: 'locked', message: /is in use by another strata process/ },
    );
  });
});

test('a layer is unpacked by one at a time', async (t) => {
  const { store, other } = prepared();
  let inside = 0;
  const work = async (): Promise<void> => {
    t.is(++inside, 1);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  await Promise.all([store, other(), other()].map((one) => whileUnpacking(one, A, work)));
});
