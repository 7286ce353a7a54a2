/** Images and the containers made of them, as a program uses them: src/index.ts. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import * as strata from '../../src/index.ts';
import type { Workspace } from '../helpers/container.ts';
import { busyboxTar, makeLayout, tarOfFiles } from '../helpers/layout.ts';
import { containerTest } from './_support.ts';

interface Places {
  readonly root: string;
  readonly store: string;
  readonly layout: string;
}

/** Where things are in this workspace, and an image layout of two layers, named library:1. */
function places(workspace: Workspace): Places {
  const layers = [busyboxTar(workspace.path('rootfs')), tarOfFiles({ 'etc/motd': 'from the image\n', 'srv/kept': 'kept\n' })];
  const config = { Cmd: ['sh', '-c', 'cat /etc/motd'], Env: ['PATH=/bin', 'COLOUR=blue'] };
  const layout = makeLayout(workspace.path('layout'), { layers, config, name: 'library:1' });
  return { root: workspace.root, store: workspace.path('store'), layout };
}

async function imported(workspace: Workspace): Promise<Places> {
  const all = places(workspace);
  await strata.images.import({ store: all.store, source: all.layout });
  return all;
}

/** All that a container prints, and how it ends. */
async function outcome(container: strata.Container): Promise<string> {
  const [said, { code }] = await Promise.all([container.stdout === null ? '' : text(container.stdout), container.wait()]);
  return `${code} ${said}`;
}

const PIPED = ['ignore', 'pipe', 'inherit'] as const;

async function codeOf(t: ExecutionContext, promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof strata.StrataError) return error.code;
  t.fail(`not a StrataError: ${error}`);
  return '';
}

containerTest('images: import with progress, list, inspect, history, tag, tree, remove, prune', async (t, workspace) => {
  const { store, layout } = places(workspace);
  const events: strata.images.ImportProgress[] = [];
  const [image, ...others] = await strata.images.import({ store, source: layout, onProgress: (event) => events.push(event) });
  if (image === undefined) return t.fail('nothing was imported');
  t.is(others.length, 0);
  t.deepEqual([image.names, image.layers, image.added], [['docker.io/library/library:1'], 2, 2]);
  t.deepEqual(
    events.filter(({ step }) => step === 'unpacked').map(({ layer, layers }) => `${layer}/${layers}`),
    ['1/2', '2/2'],
  );
  const last = events.at(-1);
  t.true(last !== undefined && last.total > 0 && last.bytes === last.total, JSON.stringify(last));

  const [listed] = await strata.images.list({ store });
  t.is(listed?.id, image.id);
  t.is(listed?.shared, 0);
  const described = await strata.images.inspect({ store, image: image.id.slice('sha256:'.length, 'sha256:'.length + 12) });
  t.deepEqual(described.config.Env, ['PATH=/bin', 'COLOUR=blue']);
  t.deepEqual(
    (await strata.images.history({ store, image: 'library:1' })).map(({ createdBy, layer }) => `${createdBy} ${layer}`),
    described.layers.map(({ chainId }, index) => `layer ${index} ${chainId}`),
  );
  await strata.images.tag({ store, image: 'library:1', names: ['other:2'] });
  const tree = await strata.images.tree({ store });
  t.deepEqual(tree.layers[0]?.above[0]?.images[0]?.names, ['docker.io/library/library:1', 'docker.io/library/other:2']);

  const archive = workspace.path('archive');
  await strata.images.export({ store, images: ['other:2'], output: archive });
  const again = workspace.path('again');
  t.is((await strata.images.import({ store: again, source: archive }))[0]?.id, image.id);

  t.deepEqual(await strata.images.remove({ store, image: 'library:1' }), { names: ['docker.io/library/library:1'] });
  t.is((await strata.images.remove({ store, image: 'other:2' })).id, image.id);
  t.is(await codeOf(t, strata.images.inspect({ store, image: 'other:2' })), 'image-not-found');
  t.deepEqual((await strata.images.prune({ store })).garbage, []);
});

containerTest('images.import: an AbortSignal leaves nothing', async (t, workspace) => {
  const { store, layout } = places(workspace);
  const controller = new AbortController();
  const importing = strata.images.import({ store, source: layout, signal: controller.signal, onProgress: () => controller.abort() });
  t.is(await codeOf(t, importing), 'aborted');
  t.deepEqual(await strata.images.list({ store }), []);
  for (const directory of ['layers', 'images', 'blobs/sha256', 'tmp']) t.deepEqual(fs.readdirSync(join(store, directory)), [], directory);
});

containerTest('run of an image: streams, what it has written, diff, commit, and the new image', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const id = workspace.id();
  const first = await strata.run({ id, root, store, image: 'library:1', stdio: PIPED });
  t.is(await outcome(first), '0 from the image\n');
  await first.delete();

  const args = ['sh', '-c', 'echo $COLOUR $SHAPE $(cat); echo changed >/etc/motd; rm /srv/kept; exit 7'];
  const second = await strata.run({
    id,
    root,
    store,
    image: 'library:1',
    args,
    env: ['SHAPE=round'],
    memory: 64 << 20,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  second.stdin?.end('input');
  t.is(await outcome(second), '7 blue round input\n');
  const [entry] = await strata.containers({ root, store, all: true, size: true });
  t.deepEqual([entry?.id, entry?.image, entry?.status, entry?.exit?.code], [id, 'docker.io/library/library:1', 'stopped', 7]);
  t.true((entry?.size?.virtual ?? 0) > (entry?.size?.upper ?? 0) && (entry?.size?.upper ?? 0) > 0);
  t.deepEqual(
    (await strata.diff({ id, store })).map(({ kind, path }) => `${kind} ${path}`),
    ['C /etc', 'C /etc/motd', 'C /srv', 'D /srv/kept'],
  );
  t.is(await codeOf(t, strata.images.remove({ store, image: 'library:1' })), 'in-use');
  const committed = await strata.commit({
    id,
    root,
    store,
    name: 'library:2',
    message: 'less',
    changes: ['ENTRYPOINT ["cat"]', 'CMD ["/etc/motd"]'],
  });
  t.is(committed.name, 'docker.io/library/library:2');
  t.is((await strata.images.history({ store, image: 'library:2' })).at(-1)?.comment, 'less');
  const third = await strata.run({ id: workspace.id(), root, store, image: 'library:2', remove: true, stdio: PIPED });
  t.is(await outcome(third), '0 changed\n');
  t.deepEqual(
    (await strata.containers({ root, store, all: true })).map((one) => one.id),
    [id],
  );
  await strata.delete({ id, root, store });
  t.deepEqual(fs.readdirSync(join(store, 'containers')), []);
});

containerTest('a container of an image in the background: logs, stop, start, rename, wait, restart', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const name = { id: workspace.id(), root, store };
  const script = 'echo again >>/count; wc -l </count; trap "echo bye; exit 5" TERM; while :; do sleep 0.05; done';
  const { pid } = await strata.run({ ...name, image: 'library:1', args: ['sh', '-c', script], detach: true });
  t.true(pid > 0);
  const said: string[] = [];
  for await (const { stream, log } of strata.logs({ ...name, follow: true })) {
    said.push(`${stream} ${log}`);
    // It begins to listen for the signal before long.
    if (said.length === 1) setTimeout(() => void strata.stop({ ...name, timeout: 30_000 }), 300);
  }
  t.deepEqual(said, ['stdout 1\n', 'stdout bye\n']);
  t.deepEqual(await strata.wait(name), { code: 5 });
  t.is((await strata.state(name)).status, 'stopped');

  const renamed = { ...name, id: workspace.id('renamed') };
  await strata.rename({ ...name, to: renamed.id });
  await strata.start(renamed);
  t.is((await strata.state(renamed)).status, 'running');
  await strata.restart({ ...renamed, timeout: 0 });
  const [entry] = await strata.containers({ root, store });
  t.deepEqual([entry?.id, entry?.status], [renamed.id, 'running']);
  const controller = new AbortController();
  for await (const { log } of strata.logs({ ...renamed, follow: true, signal: controller.signal })) if (log === '3\n') controller.abort();
  await strata.delete({ ...renamed, force: true });
  t.is(await codeOf(t, strata.state(renamed)), 'not-found');
});

containerTest('create of an image records it, and start runs it', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const name = { id: workspace.id(), root, store };
  await strata.create({ ...name, image: 'library:1', args: ['sh', '-c', 'echo started'], labels: { purpose: 'test' } });
  t.deepEqual([(await strata.state(name)).status, (await strata.state(name)).annotations], ['created', { purpose: 'test' }]);
  t.is(await codeOf(t, strata.create({ ...name, image: 'library:1' })), 'exists');
  await strata.start(name);
  t.deepEqual(await strata.wait(name), { code: 0 });
  const said = [];
  for await (const { log } of strata.logs(name)) said.push(log);
  t.deepEqual(said, ['started\n']);
  await strata.delete(name);
});

containerTest('a commit of a file that is all hole can be aborted', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const id = workspace.id();
  const container = await strata.run({ id, root, store, image: 'library:1', args: ['truncate', '-s', '90G', '/hole'], stdio: PIPED });
  t.is(await outcome(container), '0 ');
  const controller = new AbortController();
  const committing = strata.commit({ id, root, store, name: 'library:2', signal: controller.signal });
  // By then it is among the zeros.
  setTimeout(() => controller.abort(), 300);
  t.is(await codeOf(t, committing), 'aborted');
  t.deepEqual(fs.readdirSync(join(store, 'tmp')), []);
  t.is((await strata.images.list({ store })).length, 1);
  await container.delete();
});

containerTest('run of an image with an AbortSignal: before and after its program runs', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const options = { id: workspace.id(), root, store, image: 'library:1', args: ['sleep', '1000'], stdio: 'ignore' as const };
  t.is(await codeOf(t, strata.run({ ...options, signal: AbortSignal.abort() })), 'aborted');
  t.deepEqual(fs.readdirSync(join(store, 'containers')), []);
  const controller = new AbortController();
  const container = await strata.run({ ...options, remove: true, signal: controller.signal });
  controller.abort();
  t.deepEqual(await container.wait(), { code: 137, signal: 9 });
  t.deepEqual(fs.readdirSync(join(store, 'containers')), []);
});

containerTest('volumes: what a container writes there stays; verify, fsck, prune', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  await strata.volumes.create({ store, name: 'data', labels: { purpose: 'test' } });
  t.is(await codeOf(t, strata.volumes.create({ store, name: 'data' })), 'exists');
  const id = workspace.id();
  const args = ['sh', '-c', 'echo written >/data/file'];
  t.is(await outcome(await strata.run({ id, root, store, image: 'library:1', args, volumes: ['data:/data'], stdio: PIPED })), '0 ');
  const volume = await strata.volumes.inspect({ store, name: 'data' });
  t.deepEqual([volume.labels, volume.containers], [{ purpose: 'test' }, [id]]);
  t.is(await codeOf(t, strata.volumes.remove({ store, name: 'data' })), 'in-use');

  t.deepEqual(await strata.images.verify({ store, images: ['library:1'] }), []);
  t.deepEqual(await strata.fsck({ store }), []);
  t.is(await codeOf(t, strata.fsck({ store, signal: AbortSignal.abort() })), 'aborted');
  fs.writeFileSync(join(store, 'blobs/sha256', '0'.repeat(64)), 'nobody has this');
  t.deepEqual(
    (await strata.fsck({ store, repair: true, quick: true })).map(({ repaired }) => repaired),
    [true],
  );

  t.deepEqual(
    (await strata.prune({ root, store, dryRun: true })).containers.map((one) => one.id),
    [id],
  );
  await strata.prune({ root, store });
  t.deepEqual(fs.readdirSync(join(store, 'containers')), []);
  t.deepEqual(await strata.volumes.prune({ store }), []);
  t.is(fs.readFileSync(join(volume.path, 'file'), 'utf8'), 'written\n');
  await strata.volumes.remove({ store, name: 'data' });
  t.deepEqual(await strata.volumes.list({ store }), []);
});

containerTest('bundle: an ordinary bundle of an image', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const directory = workspace.path('bundle');
  await strata.bundle({ store, image: 'library:1', directory, hostname: 'ordinary', args: ['sh', '-c', 'cat /etc/motd; hostname'] });
  const container = await strata.run({ id: workspace.id(), root, bundle: directory, stdio: PIPED });
  t.is(await outcome(container), '0 from the image\nordinary\n');
  await container.delete();
  t.is(await codeOf(t, strata.bundle({ store, image: 'library:1', directory })), 'usage');
});

containerTest('security options are those of the command', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const options = { root, store, image: 'library:1', stdio: PIPED } as const;
  const args = ['sh', '-c', 'wc -c </etc/passwd; grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status | cut -f 2'];
  const securityOpts = ['mask=/etc/passwd', 'seccomp=unconfined', 'no-new-privileges=false'];
  const container = await strata.run({ ...options, id: workspace.id(), args, entrypoint: [], securityOpts });
  t.is(await outcome(container), '0 0\n0\n0\n');
  await container.delete();
});

containerTest('settings that cannot be are errors of usage', async (t, workspace) => {
  const { root, store } = await imported(workspace);
  const options = { id: workspace.id(), root, store, image: 'library:1' };
  for (const wrong of [
    { memory: -1 },
    { memory: 1.5e-7 },
    { cpus: 0 },
    { pidsLimit: 0 },
    { network: 'bridge' },
    { volumes: ['a:b'] },
    { capAdd: ['X'] },
    { securityOpts: ['seccomp=builtin', 'seccomp=unconfined'] },
    { securityOpts: 'mask=/a' as unknown as string[] },
    { securityOpts: ['mask=/a\0b'] },
    { securityOpts: ['no-new-privileges'], newPrivileges: true },
  ])
    t.is(await codeOf(t, strata.create({ ...options, ...wrong })), 'usage', JSON.stringify(wrong));
  t.is(await codeOf(t, strata.create({ ...options, image: 'nothing' })), 'image-not-found');
});
