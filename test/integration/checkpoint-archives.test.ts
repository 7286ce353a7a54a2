/** `checkpoint --export` and `restore --import`: archives that take along what a container of an image had written. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { release } from 'node:os';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { tarOf } from '../helpers/layout.ts';
import { COUNTS, imageTest, isWhole, Place } from './_checkpoint.ts';
import { failed } from './_support.ts';

/** From Linux 6.15 on a pidfd tells anybody how a process has ended; what `--import` brings is nobody's child that could be asked. */
const [MAJOR = 0, MINOR = 0] = release().split('.').map(Number);
const TELLS_ENDS = MAJOR > 6 || (MAJOR === 6 && MINOR >= 15);

for (const compression of ['none', 'gzip', 'zstd'] as const) {
  imageTest(`an archive (${compression}) goes to another store, under the same id and another`, async (t, workspace) => {
    const [here, there] = [new Place(workspace), new Place(workspace)];
    const id = workspace.id();
    const archive = workspace.path('archive');
    await here.run(id, COUNTS, '--hostname', 'moved', '--label', 'a=b');
    await here.grows(id);
    await here.strata('checkpoint', '--export', archive, '--compress', compression, id);
    t.is(fs.statSync(archive).mode & 0o777, 0o600);
    t.false(fs.existsSync(here.path(id, 'checkpoint')));
    const before = Number((await here.counts(id)).at(-1));
    const names = membersOf(archive, compression);
    t.deepEqual(names.slice(0, 3), ['checkpoint.json', 'config.json', 'bundle/']);
    t.true(names.includes('layer.tar.gz') && names.includes('criu/descriptors.json'));

    for (const name of compression === 'none' ? [`${id}.moved`, `${id}.again`] : [`${id}.moved`]) {
      await there.strata('restore', '--detach', '--import', archive, name);
      await there.grows(name);
      t.true(isWhole(await there.counts(name), before + 1));
      const script = 'hostname; cat /tmp/f; ls /etc/passwd; readlink /new/link; tail -n 1 /open';
      const [host, written, link, last] = (await there.try(['exec', name, 'sh', '-c', script])).stdout.split('\n');
      t.deepEqual([host, written, link], ['moved', 'written', 'f']);
      t.true(Number(last) > before);
      t.regex(await there.strata('diff', name), /^D \/etc\/passwd$/m);
    }
    await there.strata('stop', `${id}.moved`);
    const ended = await there.try(['wait', `${id}.moved`]);
    if (TELLS_ENDS || ended.code === 0) t.is(ended.stdout, '5\n');
    else failed(t, ended, 'nobody knows how');
    if (compression === 'none') await there.strata('delete', '--force', `${id}.again`);
    await there.strata('delete', `${id}.moved`);
    await here.strata('delete', '--force', id);
    here.clean(t);
    there.clean(t);
  });
}

imageTest('an archive that cannot be used is refused, and leaves nothing', async (t, workspace) => {
  const [here, bare] = [new Place(workspace), new Place(workspace, { Labels: { other: 'image' } })];
  const id = workspace.id();
  const archive = workspace.path('archive');
  await here.run(id, COUNTS);
  await here.grows(id);
  await here.strata('checkpoint', '--export', archive, id);
  const from = async (place: Place, content: Buffer | string, ...words: (string | RegExp)[]): Promise<void> => {
    const file = typeof content === 'string' ? content : workspace.path('hostile');
    if (typeof content !== 'string') fs.writeFileSync(file, content);
    failed(t, await place.try(['restore', '--detach', '--import', file, 'copy']), ...words);
    place.clean(t, ...(place === here ? [id] : []));
  };
  await from(bare, archive, 'image does not exist: docker.io/library/box:latest (sha256:', 'strata image import');
  await from(here, Buffer.from('no archive at all'), 'truncated');
  await from(here, tarOf([{ path: 'index.json', content: '{}' }]), 'no archive of a checkpoint');
  await from(here, fs.readFileSync(archive).subarray(0, 3000), 'truncated');
  failed(t, await here.try(['restore', '--detach', '--import', archive, id]), id);

  const members = readMembers(archive);
  const text = (name: string): string => (members.get(name) as Buffer).toString();
  const document = JSON.parse(text('checkpoint.json')) as Record<string, unknown> & { criu: string[]; layer: Record<string, unknown> };
  const config = JSON.parse(text('config.json')) as Record<string, unknown>;
  const changed = (changes: Readonly<Record<string, unknown>>): Buffer => {
    const all = new Map<string, unknown>([...members, ...Object.entries(changes)]);
    return tarOf([...all].map(([path, content]) => ({ path, content: content instanceof Buffer ? content : JSON.stringify(content) })));
  };
  await from(here, changed({ 'checkpoint.json': { ...document, criu: ['../../../etc/cron.d/x'] } }), 'checkpoint.json in the archive: /criu/0');
  await from(here, changed({ 'checkpoint.json': { ...document, criu: ['absent.img'] } }), 'the archive has no criu/absent.img');
  await from(here, changed({ 'checkpoint.json': { ...document, bundle: ['config.json'] } }), '/bundle/0');
  await from(here, changed({ 'checkpoint.json': { ...document, format: 2 } }), '/format');
  await from(here, changed({ 'config.json': { ...config, hooks: { prestart: [{ path: '/bin/true' }] } } }), 'has hooks');
  await from(here, changed({ 'config.json': { ...config, root: { path: '/' } } }), 'another root');
  const linux = config['linux'] as { namespaces: { type: string }[] };
  const mounts = config['mounts'] as object[];
  const others: [object, string][] = [
    [{ linux: { ...linux, intelRdt: { closID: 'x' } } }, 'cache or network devices'],
    [{ linux: { ...linux, cgroupsPath: '/system.slice' } }, 'a cgroup of its own choice'],
    [{ linux: { ...linux, namespaces: [...linux.namespaces, { type: 'user', path: '/proc/1/ns/user' }] } }, 'a user namespace of others'],
    [{ linux: { ...linux, namespaces: linux.namespaces.filter(({ type }) => type !== 'mount') } }, 'no mount namespace'],
    [{ mounts: [...mounts, { destination: '/x', type: 'bind', source: '../../..', options: ['bind'] }] }, 'a mount of "../../.."'],
    [
      { mounts: [...mounts, { destination: '/x', type: 'overlay', source: 'overlay', options: ['lowerdir=/etc:/usr'] }] },
      'a mount of type "overlay"',
    ],
  ];
  // A label that nobody here enforces would stand on files of the store.
  const label = fs.existsSync('/sys/fs/selinux/enforce') ? "this machine's policy has no label" : '/linux/mountLabel: not supported: SELinux is not';
  others.push([{ linux: { ...linux, mountLabel: 'system_u:object_r:strata_test_none_t:s0' } }, label]);
  for (const [change, words] of others) await from(here, changed({ 'config.json': { ...config, ...change } }), words);
  await from(here, changed({ 'layer.tar.gz': tarOf([{ path: 'other' }]) }), 'what the container had written', 'its descriptor says');
  // With its own digest right: it is a layer like any other.
  const layers: [Parameters<typeof tarOf>[0], string][] = [
    [[{ path: '../escaped', content: 'x' }], "'..'"],
    [[{ path: 'device', type: '3' }], 'character device 0:0'],
  ];
  for (const [entries, words] of layers) {
    const layer = tarOf(entries);
    const digest = `sha256:${execFileSync('sha256sum', { input: layer, encoding: 'utf8' }).slice(0, 64)}`;
    const record = { ...document, layer: { digest, size: layer.length, diffId: digest } };
    await from(here, changed({ 'checkpoint.json': record, 'layer.tar.gz': layer }), 'what the container had written', words);
  }
  // What it has of the host's is told, and annotations give no orders.
  const annotations = { ...(config['annotations'] as object), 'org.criu.config': '/etc/evil', 'of.a.user': 'kept' };
  const bind = { destination: '/host', type: 'bind', source: '/usr', options: ['rbind', 'ro'] };
  const told = workspace.path('told');
  const loose = { ...linux, seccomp: undefined, maskedPaths: ['/proc/kcore'], readonlyPaths: [] };
  const hostile = { ...config, annotations, mounts: [...mounts, bind], linux: loose };
  fs.writeFileSync(told, changed({ 'config.json': hostile, 'criu/inventory.img': Buffer.alloc(9) }));
  const { code, stderr } = await here.try(['restore', '--detach', '--import', told, 'copy']);
  t.is(code, 1);
  for (const words of [
    '"org.criu.config" of the archive is an order',
    '/usr of the host is mounted at /host',
    'the container may make all system calls, as the archive says',
    'the container sees /proc/acpi, /proc/asound, /proc/keys,',
    'the container may write to /proc/bus,',
  ]) {
    t.true(stderr.includes(words), stderr);
  }
  here.clean(t, id);
  // What CRIU does not understand.
  const core = document.criu.find((name) => name.startsWith('core-')) as string;
  await from(here, changed({ [`criu/${core}`]: Buffer.alloc(100, 0xff) }), 'CRIU');
  t.deepEqual(workspace.leaks(), []);
  await here.strata('delete', id);
});

imageTest('what cannot go into an archive is told before anything is touched', async (t, workspace) => {
  const place = new Place(workspace, { Volumes: { '/data': {} } });
  const [id, named] = [workspace.id(), workspace.id()];
  const archive = workspace.path('archive');
  await place.run(id, COUNTS);
  failed(t, await place.try(['checkpoint', '--export', archive, id]), 'volume without a name');
  await place.run(named, COUNTS, '--volume', 'kept:/data');
  failed(t, await place.try(['checkpoint', '--export', '/nowhere/file', named]), '/nowhere/file');
  failed(t, await place.try(['checkpoint', '--export', archive, '--image-path', '/tmp/x', named]), 'cannot go with --export');
  t.is((JSON.parse(await place.strata('state', named)) as { status: string }).status, 'running');
  // The container is down by then, and goes on from the store.
  failed(t, await place.try(['checkpoint', '--export', '/dev/full', named]), 'no space', `strata restore --detach ${named}`);
  await place.strata('restore', '--detach', named);
  await place.grows(named);
  await place.strata('checkpoint', '--export', archive, named);
  await place.strata('delete', named);
  await place.strata('volume', 'rm', 'kept');
  failed(t, await place.try(['restore', '--detach', '--import', archive, named]), 'volume does not exist: kept');
  await place.strata('volume', 'create', 'kept');
  await place.strata('restore', '--detach', '--import', archive, named);
  await place.grows(named);
  for (const name of [id, named]) await place.strata('delete', '--force', name);
  place.clean(t);
});

function membersOf(archive: string, compression: 'none' | 'gzip' | 'zstd'): string[] {
  const content = fs.readFileSync(archive);
  const plain = compression === 'gzip' ? gunzipSync(content) : compression === 'zstd' ? zstdDecompressSync(content) : content;
  return execFileSync('tar', ['-t'], { input: plain, encoding: 'utf8' }).trim().split('\n');
}

/** The files of a tar archive, with their contents. */
function readMembers(archive: string): Map<string, Buffer> {
  const names = membersOf(archive, 'none').filter((name) => !name.endsWith('/'));
  return new Map(names.map((name) => [name, execFileSync('tar', ['-xOf', archive, name], { maxBuffer: 2 ** 30 })]));
}
