/** `checkpoint` and `restore` of containers made of images: in their place in the store, and by archives that take along what they had written. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import type { Result, Workspace } from '../helpers/container.ts';
import { eventually } from '../helpers/container.ts';
import { CRIU_PATH, whyNoCheckpoints } from '../helpers/criu.ts';
import { tarOf } from '../helpers/layout.ts';
import { Screen } from '../helpers/screen.ts';
import { IMAGE, makeStore } from '../helpers/store.ts';
import { containerTest, failed } from './_support.ts';

const reason = process.getuid?.() === 0 ? whyNoCheckpoints() : undefined;

/** From Linux 6.15 on a pidfd tells anybody how a process has ended; what `--import` brings is nobody's child that could be asked. */
const [MAJOR = 0, MINOR = 0] = release().split('.').map(Number);
const TELLS_ENDS = MAJOR > 6 || (MAJOR === 6 && MINOR >= 15);

/** A store with an image, and what is done in it. */
class Place {
  readonly store: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace, config: object = {}) {
    this.workspace = workspace;
    this.store = makeStore(workspace.path('store'), config).store;
  }

  try(args: readonly string[]): Promise<Result> {
    return this.workspace.strata(['--store', this.store, ...args], { env: { PATH: CRIU_PATH } });
  }

  /** What the command prints. @throws Error if it fails. */
  async strata(...args: readonly string[]): Promise<string> {
    return (await this.workspace.succeed(['--store', this.store, ...args], { env: { PATH: CRIU_PATH } })).stdout;
  }

  /** A script in the background. */
  async run(id: string, script: string, ...flags: readonly string[]): Promise<void> {
    await this.strata('run', '--detach', ...flags, '--image', IMAGE, id, 'sh', '-c', script);
  }

  path(id: string, ...names: readonly string[]): string {
    return join(this.store, 'containers', id, ...names);
  }

  async counts(id: string): Promise<string[]> {
    return (await this.strata('logs', id)).trim().split('\n');
  }

  /** Waits until the log has grown. */
  async grows(id: string): Promise<void> {
    const before = (await this.counts(id)).length;
    await eventually('the log to grow', async () => (await this.counts(id)).length > before + 2);
  }

  /** Nothing is left of what has failed. */
  clean(t: ExecutionContext, ...ids: readonly string[]): void {
    t.deepEqual(fs.readdirSync(join(this.store, 'containers')).sort(), [...ids].sort());
    t.deepEqual(fs.readdirSync(join(this.store, 'tmp')), []);
  }
}

function imageTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>): void {
  if (reason === undefined) containerTest(`checkpoint of an image: ${title}`, body);
  else test.skip(`checkpoint of an image: ${title} (${reason})`, (t) => t.pass());
}

/** Writes and deletes, then counts; ends with 5 when it is asked to. */
const COUNTS =
  'trap "echo bye; exit 5" TERM; echo written >/tmp/f; rm /etc/passwd; mkdir /new; ln -s f /new/link; exec 3>/open; i=0; while :; do i=$((i+1)); echo $i; echo $i >&3; sleep 0.03; done';

function isWhole(lines: readonly string[], first = 1): boolean {
  return lines.every((line, index) => line === String(first + index));
}

imageTest('in its place: keeper, log and exit go on; a start makes it worthless', async (t, workspace) => {
  const place = new Place(workspace);
  const id = workspace.id();
  await place.run(id, COUNTS);
  await place.grows(id);
  await place.strata('checkpoint', id);
  t.true(fs.existsSync(place.path(id, 'checkpoint', 'descriptors.json')));
  t.is((JSON.parse(await place.strata('state', id)) as { status: string }).status, 'stopped');
  const before = (await place.counts(id)).length;
  await place.strata('restore', '--detach', id);
  await place.grows(id);
  t.true(isWhole(await place.counts(id)));
  t.true((await place.counts(id)).length > before);
  t.is((await place.strata('exec', id, 'cat', '/tmp/f')).trim(), 'written');
  failed(t, await place.try(['restore', '--detach', id]), 'running');
  await place.strata('stop', id);
  t.is(await place.strata('wait', id), '5\n');
  t.like(JSON.parse(fs.readFileSync(place.path(id, 'exit.json'), 'utf8')), { code: 5 });
  failed(t, await place.try(['restore', '--detach', id]), 'has no checkpoint');

  await place.strata('start', id);
  await place.grows(id);
  await place.strata('checkpoint', id);
  await place.strata('start', id);
  t.false(fs.existsSync(place.path(id, 'checkpoint')));
  failed(t, await place.try(['checkpoint', '--pre-dump', id]), '--image-path');
  failed(t, await place.try(['checkpoint', '--leave-running', id]), '--export or --image-path');
  failed(t, await place.try(['checkpoint', '--compress', 'gzip', id]), '--compress needs --export');
  await place.strata('delete', '--force', id);
  place.clean(t);
});

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

imageTest('--leave-running: a copy beside it; one that is removed at its end', async (t, workspace) => {
  const place = new Place(workspace);
  const [id, copy] = [workspace.id(), workspace.id()];
  const archive = workspace.path('archive');
  await place.run(id, COUNTS, '--rm');
  await place.grows(id);
  failed(t, await place.try(['checkpoint', id]), 'deleted when it ends', '--leave-running');
  failed(t, await place.try(['checkpoint', '--export', archive, id]), 'deleted when it ends');
  failed(t, await place.try(['checkpoint', '--image-path', workspace.path('images'), id]), 'deleted when it ends');
  t.false(fs.existsSync(archive));
  await place.strata('checkpoint', '--leave-running', '--export', archive, id);
  await place.strata('restore', '--detach', '--import', archive, copy);
  await place.grows(id);
  await place.grows(copy);
  t.true(isWhole(await place.counts(id)));
  for (const name of [id, copy]) await place.strata('stop', name);
  await eventually('both to be removed', () => fs.readdirSync(join(place.store, 'containers')).length === 0);
  await eventually('nothing half-made to be left', () => fs.readdirSync(join(place.store, 'tmp')).length === 0);
  place.clean(t);
});

imageTest('a terminal in the background, and in front of the caller', async (t, workspace) => {
  const place = new Place(workspace);
  const id = workspace.id();
  await place.run(id, 'stty -echo; echo ready; while read -r line; do echo "<$line>"; done; exit 3', '--tty', '--interactive');
  await eventually('it to be ready', async () => (await place.counts(id)).includes('ready'));
  await place.strata('checkpoint', id);
  await place.strata('restore', '--detach', id);
  const screen = new Screen(workspace, `$STRATA --store ${place.store} attach ${id}`);
  await eventually('an answer', async () => {
    screen.type('hello\n');
    return screen.seen.includes('<hello>');
  });
  await place.strata('checkpoint', id);
  const front = new Screen(workspace, `PATH=${CRIU_PATH} $STRATA --store ${place.store} restore ${id}`);
  await eventually('an answer', async () => {
    front.type('again\n');
    return front.seen.includes('<again>');
  });
  // Whoever is in front leaves the next checkpoint where it is.
  await place.strata('checkpoint', id);
  t.is(await front.end(), 137);
  const once = new Screen(workspace, `PATH=${CRIU_PATH} $STRATA --store ${place.store} restore ${id}`);
  await eventually('an answer', async () => {
    once.type('more\n');
    return once.seen.includes('<more>');
  });
  t.false(fs.existsSync(place.path(id, 'checkpoint')));
  once.type('\x04');
  t.is(await once.end(), 3);
  t.like(JSON.parse(fs.readFileSync(place.path(id, 'exit.json'), 'utf8')), { code: 3 });
  await place.strata('delete', id);
});

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
  fs.writeFileSync(told, changed({ 'config.json': { ...config, annotations, mounts: [...mounts, bind] }, 'criu/inventory.img': Buffer.alloc(9) }));
  const { code, stderr } = await here.try(['restore', '--detach', '--import', told, 'copy']);
  t.is(code, 1);
  for (const words of ['"org.criu.config" of the archive is an order', '/usr of the host is mounted at /host'])
    t.true(stderr.includes(words), stderr);
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

// --- archives ----------------------------------------------------------------------------------------------------------------------------------

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
