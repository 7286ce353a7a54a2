/** Many containers of one image, and an image of as many layers as there can be. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Workspace } from '../helpers/container.ts';
import { busyboxTar, fingerprint, makeLayout, tarOfFiles } from '../helpers/layout.ts';
import { containerTest } from './_support.ts';

const REFERENCE = 'localhost/scale:1';
const CONFIG = { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] };

/** A store with an image of busybox and what is above it. */
async function imported(workspace: Workspace, layers: readonly Buffer[]): Promise<string> {
  const layout = makeLayout(workspace.path('layout'), { layers: [busyboxTar(workspace.path('rootfs')), ...layers], config: CONFIG });
  const store = workspace.path('store');
  await workspace.succeed(['--store', store, 'image', 'import', '--name', REFERENCE, layout]);
  return store;
}

/** Does `work` for each, so many at a time. */
async function inParallel<Item, Result>(items: readonly Item[], atOnce: number, work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as Item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** Mounts of the runtime's own, for which it makes empty files. */
const OURS = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];

/** The files that a container has written, by their paths in it. */
function written(store: string, id: string): Record<string, string> {
  const upper = join(store, 'containers', id, 'upper');
  const entries = fs.readdirSync(upper, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name).slice(upper.length)).filter((path) => !OURS.includes(path));
  return Object.fromEntries(paths.map((path) => [path, fs.readFileSync(join(upper, path), 'utf8')]));
}

containerTest('100 containers of one image at once: what each writes is its own', async (t, workspace) => {
  const store = await imported(workspace, [tarOfFiles({ 'srv/shared': 'from the image\n', 'srv/deleted': 'from the image\n' })]);
  const before = fingerprint(join(store, 'layers'), join(store, 'blobs'));
  const ids = Array.from({ length: 100 }, (_, index) => `n${index}.${workspace.token}`);
  const script = 'echo $0 >>/srv/shared; echo $0 >/srv/of-$0; rm /srv/deleted; echo done >/srv/done; exec sleep 1000';
  await inParallel(ids, 8, (id) => workspace.succeed(['--store', store, 'run', '--detach', '--image', REFERENCE, id, '/bin/sh', '-c', script, id]));
  await inParallel(ids, 8, (id) => workspace.reach(id, 'running'));
  const listing = await inParallel(ids, 8, async (id) => {
    const look = 'until [ -e /srv/done ]; do sleep 0.01; done; cat /srv/shared; ls /srv';
    return (await workspace.succeed(['exec', id, '/bin/sh', '-c', look])).stdout;
  });
  t.deepEqual(
    listing,
    ids.map((id) => `from the image\n${id}\ndone\nof-${id}\nshared\n`),
  );
  for (const id of ids)
    t.deepEqual(written(store, id), { '/srv/shared': `from the image\n${id}\n`, [`/srv/of-${id}`]: `${id}\n`, '/srv/done': 'done\n' });
  t.is(fingerprint(join(store, 'layers'), join(store, 'blobs')), before, 'no layer has changed');
  const listed = (await workspace.succeed(['--store', store, 'ps', '--quiet'])).stdout.trim().split('\n');
  t.deepEqual(listed.sort(), [...ids].sort());
  await inParallel(ids, 8, (id) => workspace.succeed(['--store', store, 'delete', '--force', id]));
  t.deepEqual(fs.readdirSync(join(store, 'containers')), []);
  t.is(fingerprint(join(store, 'layers'), join(store, 'blobs')), before, 'nor when they go');
});

containerTest('an image of 500 layers: imported, run, changed', async (t, workspace) => {
  // The lowest has busybox; each other one a file of its own, and a line that the next one replaces.
  const layers = Array.from({ length: 499 }, (_, index) => tarOfFiles({ [`layer-${index + 2}`]: '', top: `${index + 2}\n` }));
  const store = await imported(workspace, layers);
  t.is(fs.readdirSync(join(store, 'layers')).length, 500);
  const id = workspace.id();
  const script = 'cat /top; ls -d /layer-* | wc -l; echo changed >>/layer-250';
  const { stdout } = await workspace.succeed(['--store', store, 'run', '--image', REFERENCE, id, '/bin/sh', '-c', script]);
  t.is(stdout, '500\n499\n');
  t.deepEqual(written(store, id), { '/layer-250': 'changed\n' });
  t.is((await workspace.succeed(['--store', store, 'diff', id])).stdout, 'C /layer-250\n');
  await workspace.succeed(['--store', store, 'delete', id]);
});

containerTest('two containers of one image: neither sees the other, also when one has replaced the directory of the other', async (t, workspace) => {
  const store = await imported(workspace, [tarOfFiles({ 'data/a': 'a\n', 'data/b': 'b\n' })]);
  const before = fingerprint(join(store, 'layers'));
  const [first, second] = [workspace.id('first'), workspace.id('second')];
  const run = (id: string, script: string) => workspace.succeed(['--store', store, 'run', '--image', REFERENCE, id, '/bin/sh', '-c', script]);
  await run(first, 'rm -r /data; mkdir /data; echo other >/data/c; chmod 700 /bin; ln /bin/busybox /data/link; mv /home /moved');
  t.is((await run(second, 'ls /data; cat /data/a; stat -c %a /bin; ls -d /home')).stdout, 'a\nb\na\n755\n/home\n');
  t.is(fingerprint(join(store, 'layers')), before);
  for (const id of [first, second]) await workspace.succeed(['--store', store, 'delete', id]);
});
