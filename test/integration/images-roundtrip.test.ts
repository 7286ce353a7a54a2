/** What a container changes becomes an image, here and in others' hands: diff, commit and export against podman and skopeo. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { compareTrees } from '../../src/archive/native.ts';
import { createNodeHost } from '../../src/host/node.ts';
import { findImage } from '../../src/store/images.ts';
import { layerDiff } from '../../src/store/paths.ts';
import { openStore } from '../../src/store/store.ts';
import { type Result, type Workspace, whyNoContainers } from '../helpers/container.ts';
import { IMAGE, missingPrograms } from '../helpers/engine.ts';
import { busyboxTar } from '../helpers/layout.ts';
import { Podman } from '../helpers/podman.ts';
import { containerTest, failed } from './_support.ts';

const host = createNodeHost();
const missing = missingPrograms('podman', 'skopeo');
const engineTest = missing.length === 0 ? containerTest : (title: string) => test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());

let podman: Podman | undefined;
test.before(() => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  podman = new Podman();
  podman.importImage();
});
test.after.always(() => podman?.end());

function storage(): Podman {
  if (podman === undefined) throw new Error('podman has not been set up');
  return podman;
}

/** A store of the test's own. */
class Images {
  readonly store: string;
  private readonly t: ExecutionContext;
  private readonly workspace: Workspace;

  constructor(t: ExecutionContext, workspace: Workspace, name = 'store') {
    this.t = t;
    this.workspace = workspace;
    this.store = workspace.path(name);
  }

  try(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Result> {
    return this.workspace.strata(['--store', this.store, ...args], { env });
  }

  /** What it prints; it must succeed. */
  async told(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string> {
    const { code, stdout, stderr } = await this.try(args, env);
    this.t.is(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout.trimEnd();
  }

  /** An image of busybox with something to change in it. */
  async importBase(): Promise<void> {
    const archive = this.workspace.path('base.tar');
    fs.writeFileSync(archive, busyboxTar(this.workspace.path('base')));
    await this.told(['image', 'import', '--name', 'base', archive]);
  }

  /** Runs a command in a container of the image, which stays. */
  change(image: string, script: string): Promise<string> {
    const id = this.workspace.id();
    return this.told(['run', '--image', image, id, 'sh', '-ec', script]).then(() => id);
  }

  /** Directories of an image's layers, top to bottom. */
  layers(image: string): string[] {
    return findImage(openStore(host, this.store), image)
      .image.layers.map((chainId) => layerDiff(this.store, chainId))
      .reverse();
  }

  /** Everything that the layers show together, in a new directory. */
  async merged(name: string, layers: readonly string[]): Promise<string> {
    const directory = this.workspace.path(name);
    fs.mkdirSync(directory);
    await host.copyLayered(layers, '/', directory);
    return directory;
  }

  upper(id: string): string {
    return join(this.store, 'containers', id, 'upper');
  }

  leftovers(): string[] {
    return fs.readdirSync(join(this.store, 'tmp'));
  }
}

function sameTime(from: string, to: string): void {
  execFileSync('touch', ['--reference', from, to]);
}

/** Changes of every kind: files, links, modes, times, names that are long or no UTF-8, whiteouts, directories replaced. */
const CHANGES = `
  echo new >/new; chmod 4750 /new; ln /new /root/link; ln -s ../new /root/symlink; mkfifo /root/fifo
  touch -d @1000000000 /root/old; mkdir -p /opt/a/b; chmod 1777 /opt/a; chown 1000:1000 /opt/a/b; echo x >/opt/a/b/c
  touch "$(printf '/root/n\\377n')"; l=$(printf '%0150d' 7); mkdir /opt/$l; echo long >/opt/$l/$l; ln -s /$l/$l /opt/long
  rm /etc/group; rm -r /home; rm -r /usr; mkdir /usr; echo other >/usr/other; rm -r /var; echo file >/var
  dd if=/dev/zero of=/root/sparse bs=1 count=1 seek=3000000 2>/dev/null; echo user:x:1::/:/bin/sh >>/etc/passwd
`;

containerTest('what a container has changed is told by path', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const id = await images.change('base', 'echo 1 >/tmp/one; rm /etc/group; mkdir /opt; touch /opt/"a b" "$(printf "/opt/x\\377")"; chmod 700 /root');
  const expected = ['C /etc', 'D /etc/group', 'A /opt', 'A /opt/a b', 'A /opt/x\\xff', 'C /root', 'C /tmp', 'A /tmp/one'];
  t.deepEqual((await images.told(['diff', id])).split('\n'), expected);
  const json = JSON.parse(await images.told(['diff', '--format', 'json', id])) as { kind: string; path: string }[];
  t.deepEqual(
    json.map(({ kind, path }) => `${kind} ${path}`),
    expected,
  );
  failed(t, await images.try(['diff', 'nobody']), 'nobody');
});

containerTest('a commit has the files that the container had, and no more', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const id = await images.change('base', CHANGES);
  const printed = await images.told(['commit', '--message', 'changes', '--author', 'me', '--change', 'CMD ["cat","/new"]', id, 'changed:1']);
  t.is(printed, findImage(openStore(host, images.store), 'changed:1').image.id);
  const layers = images.layers('changed:1');
  t.deepEqual(layers.slice(1), images.layers('base'));
  const container = await images.merged('container', [images.upper(id), ...images.layers('base')]);
  // Made to be mounted on, with what that did to the time of the directory.
  for (const name of ['hostname', 'hosts', 'resolv.conf']) fs.rmSync(join(container, 'etc', name), { force: true });
  const image = await images.merged('image', layers);
  sameTime(join(image, 'etc'), join(container, 'etc'));
  t.is(await compareTrees(container, image), undefined);

  t.is(await images.told(['run', '--rm', '--image', 'changed:1', workspace.id()]), 'new');
  const again = await images.change('changed:1', 'rm /new; echo 2 >/second');
  t.deepEqual(
    (await images.told(['diff', again])).split('\n').filter((line) => !line.startsWith('C')),
    ['D /new', 'A /second'],
  );
  await images.told(['commit', again, 'changed:2']);
  t.is(
    await images.told(['run', '--rm', '--image', 'changed:2', workspace.id(), 'sh', '-c', 'cat /second; ls /new /opt/a/b 2>&1 || true']),
    '2\nls: /new: No such file or directory\n/opt/a/b:\nc',
  );
  const history = JSON.parse(await images.told(['image', 'history', '--format', 'json', 'changed:2'])) as { comment: string; author: string }[];
  t.deepEqual(
    history.map(({ comment, author }) => `${comment} ${author}`),
    [' ', 'changes me', 'imported from a root file system '],
  );
  t.deepEqual(images.leftovers(), []);
});

containerTest('the same changes make the same image and the same archives', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const epoch = { SOURCE_DATE_EPOCH: '1700000000' };
  const first = await images.change('base', 'echo 1 >/one; rm /etc/group');
  const second = await images.change('base', 'echo 1 >/one; rm /etc/group');
  const ids = [await images.told(['commit', first, 'a'], epoch), await images.told(['commit', second, 'b'], epoch)];
  t.is(ids[0], ids[1]);
  const top = images.layers('a')[0] ?? '';
  t.is(fs.statSync(join(top, 'one')).mtimeMs, 1_700_000_000_000);
  for (const format of ['oci-archive', 'docker-archive']) {
    const files = ['1', '2'].map((name) => workspace.path(`${format}-${name}`));
    for (const file of files) await images.told(['image', 'export', '--format', format, '--output', file, 'a', 'base']);
    const [one, two] = files.map((file) => fs.readFileSync(file));
    t.true(one?.equals(two ?? Buffer.alloc(0)), format);
    // It comes back as it was, into another store.
    const other = new Images(t, workspace, `store-${format}`);
    await other.told(['image', 'import', files[0] ?? '']);
    t.is(findImage(openStore(host, other.store), 'a').image.id, ids[0] ?? '');
    for (const [at, layer] of images.layers('a').entries()) t.is(await compareTrees(layer, other.layers('a')[at] ?? ''), undefined, format);
  }
});

containerTest('nothing changed makes an image without a new layer', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const id = await images.change('base', 'true');
  t.is(await images.told(['diff', id]), '');
  await images.told(['commit', '--change', 'ENV A=1', id, 'same']);
  t.deepEqual(images.layers('same'), images.layers('base'));
  t.is(await images.told(['run', '--rm', '--image', 'same', workspace.id(), 'sh', '-c', 'echo $A']), '1');
});

containerTest('what cannot be done is refused, and nothing is left', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const id = await images.change('base', 'touch /tmp/.wh.x');
  const before = await images.told(['image', 'ls', '--format', 'json']);
  failed(t, await images.try(['commit', id, 'bad']), '/tmp/.wh.x');
  failed(t, await images.try(['commit', 'nobody', 'bad']), 'nobody');
  failed(t, await images.try(['commit', id, 'BAD']), 'BAD');
  failed(t, await images.try(['commit', '--change', 'RUN true', id, 'bad']), 'RUN true');
  failed(t, await images.try(['commit', '--pause', 'maybe', id, 'bad']), 'true or false');
  failed(t, await images.try(['commit', id, 'bad'], { SOURCE_DATE_EPOCH: 'now' }), 'SOURCE_DATE_EPOCH');
  t.is(await images.told(['image', 'ls', '--format', 'json']), before);

  const directory = workspace.path('full');
  fs.mkdirSync(join(directory, 'inner'), { recursive: true });
  failed(t, await images.try(['image', 'export', '--format', 'oci', '--output', directory, 'base']), 'not empty');
  failed(t, await images.try(['image', 'export', '--format', 'oci', 'base']), 'standard output');
  failed(t, await images.try(['image', 'export', '--output', workspace.path('none/archive'), 'base']), 'no such file or directory');
  failed(t, await images.try(['image', 'export', '--output', workspace.path('archive'), 'nothing']), 'nothing');
  // A layer that is not what it was does not get out.
  const blob =
    fs.readdirSync(join(images.store, 'blobs/sha256')).find((name) => fs.statSync(join(images.store, 'blobs/sha256', name)).size > 100_000) ?? '';
  fs.writeSync(fs.openSync(join(images.store, 'blobs/sha256', blob), 'r+'), 'x', 50_000);
  for (const format of ['oci-archive', 'docker-archive', 'oci']) {
    failed(t, await images.try(['image', 'export', '--format', format, '--output', workspace.path(`out-${format}`), 'base']), 'is damaged');
  }
  t.deepEqual(
    fs.readdirSync(workspace.directory).filter((name) => /^\d+-(out-|archive)/.test(name)),
    [],
  );
  t.deepEqual(images.leftovers(), []);
});

containerTest('a running container is committed between two moments, and runs on', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const id = workspace.id();
  const running = workspace.spawn([
    '--store',
    images.store,
    'run',
    '--image',
    'base',
    id,
    'sh',
    '-c',
    'i=0; while :; do i=$((i+1)); echo $i >/b; mv /b /a; done',
  ]);
  for (const started = join(images.upper(id), 'a'); !fs.existsSync(started); ) await new Promise((fulfil) => setTimeout(fulfil, 20));
  for (const name of ['one', 'two']) await images.told(['commit', id, name]);
  t.is((JSON.parse((await workspace.strata(['state', id])).stdout) as { status: string }).status, 'running');
  const count = async (image: string) => Number(await images.told(['run', '--rm', '--image', image, workspace.id(), 'cat', '/a']));
  t.true((await count('two')) > (await count('one')));
  await workspace.strata(['kill', id, 'KILL']);
  await running.result;
});

for (const format of ['oci-archive', 'docker-archive'] as const) {
  engineTest(`podman save, import, run, change, commit, export, podman load, run: ${format}`, async (t, workspace) => {
    const images = new Images(t, workspace);
    const saved = workspace.path('saved');
    const { code, stderr } = await storage().run(['save', '--quiet', '--format', format, '--output', saved, IMAGE]);
    t.is(code, 0, stderr);
    await images.told(['image', 'import', saved]);
    const id = await images.change(IMAGE, CHANGES);
    await images.told(['commit', '--change', 'CMD ["cat","/new","/usr/other"]', id, 'localhost/changed:1']);
    const exported = workspace.path('exported');
    await images.told(['image', 'export', '--format', format, '--output', exported, 'localhost/changed:1']);

    const loaded = await storage().run(['load', '--quiet', '--input', exported]);
    t.is(loaded.code, 0, loaded.stderr);
    const ran = await storage().run(['run', '--rm', 'localhost/changed:1']);
    t.is(ran.stdout, 'new\nother\n', ran.stderr);
    const mounted = (await storage().run(['image', 'mount', 'localhost/changed:1'])).stdout.trim();
    const ours = await images.merged('ours', images.layers('localhost/changed:1'));
    // Podman has a root directory of its own making.
    sameTime(mounted, ours);
    t.is(await compareTrees(mounted, ours), undefined);
    await storage().run(['image', 'unmount', 'localhost/changed:1']);
    await storage().run(['rmi', '--force', 'localhost/changed:1']);
  });
}

engineTest('skopeo copies what is exported', async (t, workspace) => {
  const images = new Images(t, workspace);
  await images.importBase();
  const id = await images.change('base', 'echo 1 >/one');
  await images.told(['commit', id, 'changed:1']);
  const { image } = findImage(openStore(host, images.store), 'changed:1');
  for (const format of ['oci-archive', 'oci', 'docker-archive']) {
    const exported = workspace.path(format);
    await images.told(['image', 'export', '--format', format, '--output', exported, 'changed:1']);
    const copy = workspace.path(`copy-${format}`);
    const copied = await storage().execute(['skopeo', 'copy', '--quiet', `${format}:${exported}:docker.io/library/changed:1`, `dir:${copy}`]);
    t.is(copied.code, 0, copied.stderr);
    const manifest = JSON.parse(fs.readFileSync(join(copy, 'manifest.json'), 'utf8')) as { config: { digest: string } };
    t.is(manifest.config.digest, image.id, format);
  }
});
