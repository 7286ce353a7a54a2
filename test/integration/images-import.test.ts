/** Import of images: every kind of archive, what comes of it in the store, and that it equals what podman unpacks. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { ExecutionContext } from 'ava';
import { compareTrees } from '../../src/archive/native.ts';
import { createNodeHost } from '../../src/host/node.ts';
import { eventually, type Result, type Workspace } from '../helpers/container.ts';
import { missingPrograms } from '../helpers/engine.ts';
import { makeLayout, tarOfFiles } from '../helpers/layout.ts';
import { Podman } from '../helpers/podman.ts';
import { longName, tar, tarEntry } from '../helpers/tar.ts';
import { containerTest, failed } from './_support.ts';

/** A store for one test. */
class Images {
  readonly store: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    this.store = workspace.path('store');
  }

  strata(args: readonly string[], stdin?: string): Promise<Result> {
    const through = stdin === undefined ? [] : ['sh', '-c', `exec "$@" <"${stdin}"`, 'sh'];
    return this.workspace.strata(['--store', this.store, ...args], { through });
  }

  /** Ids of what has been imported. */
  async import(t: ExecutionContext, args: readonly string[], stdin?: string): Promise<string[]> {
    const { code, stdout, stderr } = await this.strata(['image', 'import', '--quiet', ...args], stdin);
    t.is(stderr, '');
    t.is(code, 0);
    t.deepEqual(fs.readdirSync(join(this.store, 'tmp')), []);
    return stdout.trimEnd().split('\n');
  }

  references(): Record<string, string> {
    const path = join(this.store, 'references.json');
    return fs.existsSync(path) ? JSON.parse(fs.readFileSync(path, 'utf8')) : {};
  }

  names(): string[] {
    return Object.keys(this.references());
  }

  list(directory: string): string[] {
    return fs.readdirSync(join(this.store, directory));
  }

  /** Directories of the layers of the image with this short id, top to bottom. */
  layers(short: string): string[] {
    const file = this.list('images').find((name) => name.startsWith(short));
    const { layers } = JSON.parse(fs.readFileSync(join(this.store, 'images', file ?? ''), 'utf8')) as { layers: string[] };
    return layers.map((id) => join(this.store, 'layers', id.slice(7), 'diff')).reverse();
  }
}

const FILES = [tarOfFiles({ 'etc/one': '1', 'etc/two': '2' }), tarOfFiles({ 'etc/two': 'changed', 'etc/three': '3' })];

/** What `docker save` wrote before it wrote layouts: layers of the same content behind symbolic links. */
function dockerArchive(config: string, layers: readonly Buffer[], ...tags: string[]): Buffer {
  const paths = layers.map((_, at) => `${String(at).repeat(64)}/layer.tar`);
  return tar(
    ...layers.map((data, at) => ({ name: `${String(at).repeat(64)}.tar`, data })),
    { name: 'config.json', data: config },
    ...paths.map((name, at) => ({ name, type: '2', link: `../${String(at).repeat(64)}.tar` })),
    { name: 'manifest.json', data: JSON.stringify([{ Config: 'config.json', RepoTags: tags, Layers: paths }]) },
  );
}

function configOf(layout: string): string {
  const blob = (digest: string): string => fs.readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8');
  const index = JSON.parse(fs.readFileSync(join(layout, 'index.json'), 'utf8'));
  return blob(JSON.parse(blob(index.manifests[0].digest)).config.digest);
}

containerTest('one image, in every kind of archive, is one image in the store', async (t, workspace) => {
  const layout = makeLayout(workspace.path('layout'), { layers: FILES, name: 'example.org/team/app:1' });
  const images = new Images(workspace);
  const [id = ''] = await images.import(t, [layout]);
  t.deepEqual(images.names(), ['example.org/team/app:1']);
  t.deepEqual(
    images.layers(id).map((diff) => fs.readdirSync(join(diff, 'etc')).sort()),
    [
      ['three', 'two'],
      ['one', 'two'],
    ],
  );

  const archive = execFileSync('tar', ['-C', layout, '-cf', '-', '.']);
  const saved = dockerArchive(configOf(layout), FILES, 'saved:2', 'saved:3');
  // Both at once, as newer versions of docker save write it.
  fs.writeFileSync(join(layout, 'manifest.json'), JSON.stringify([{ Config: 'none', RepoTags: ['none:1'], Layers: [] }]));
  const hybrid = execFileSync('tar', ['-C', layout, '-cf', '-', '.']);
  const kinds = { archive, hybrid, saved };
  for (const [kind, content] of Object.entries(kinds)) {
    for (const [how, packed] of Object.entries({ plain: content, gzip: gzipSync(content), zstd: zstdCompressSync(content) })) {
      const file = workspace.path(`${kind}-${how}`);
      fs.writeFileSync(file, packed);
      t.deepEqual(await images.import(t, [file]), [id], `${kind} ${how}`);
      t.deepEqual(await images.import(t, ['-'], file), [id], `${kind} ${how} from standard input`);
    }
  }
  t.deepEqual(images.names(), ['docker.io/library/saved:2', 'docker.io/library/saved:3', 'example.org/team/app:1']);
  t.is(images.list('images').length, 1);
  t.is(images.list('layers').length, 2);

  // Into a store that knows nothing of it.
  for (const [kind, content] of Object.entries(kinds)) {
    const file = workspace.path(kind);
    fs.writeFileSync(file, content);
    const other = new Images(workspace);
    t.deepEqual(await other.import(t, [file]), [id], kind);
    t.deepEqual(other.list('layers').sort(), images.list('layers').sort(), kind);
    t.deepEqual((await other.strata(['image', 'inspect', id])).code, 0);
  }
});

containerTest('a root file system becomes an image with one layer', async (t, workspace) => {
  const images = new Images(workspace);
  const rootfs = tar({ name: './', type: '5' }, { name: './etc/', type: '5' }, { name: './etc/hostname', data: 'here' });
  const ids: string[] = [];
  for (const [how, packed] of Object.entries({ plain: rootfs, gzip: gzipSync(rootfs), zstd: zstdCompressSync(rootfs) })) {
    const file = workspace.path(how);
    fs.writeFileSync(file, packed);
    ids.push(...(await images.import(t, ['--name', how, file])), ...(await images.import(t, ['-'], file)));
  }
  t.deepEqual(images.names(), ['docker.io/library/gzip:latest', 'docker.io/library/plain:latest', 'docker.io/library/zstd:latest']);
  // One layer, whichever way it came first.
  t.is(images.list('layers').length, 1);
  t.is(new Set(ids).size, 6);
  const [diff = ''] = images.layers(ids[0] ?? '');
  t.is(fs.readFileSync(join(diff, 'etc/hostname'), 'utf8'), 'here');
});

containerTest('names: those of the archive are kept, --name replaces them, and what is no name is told', async (t, workspace) => {
  const images = new Images(workspace);
  const layout = makeLayout(workspace.path('layout'), { layers: FILES, name: 'app' });
  const told = await images.strata(['image', 'import', layout]);
  t.regex(told.stdout, /^imported [0-9a-f]{12} app:latest\n$/);
  t.regex(told.stderr, /^layer 1 of 2 [0-9a-f]{12} unpacked\nlayer 2 of 2 [0-9a-f]{12} unpacked\n$/);
  const again = await images.strata(['image', 'import', '--name', 'other:1', layout]);
  t.regex(again.stdout, /^imported [0-9a-f]{12} other:1\n$/);
  t.regex(again.stderr, /^layer 1 of 2 [0-9a-f]{12} is already there\nlayer 2 of 2 [0-9a-f]{12} is already there\n$/);
  t.deepEqual(images.names(), ['docker.io/library/app:latest', 'docker.io/library/other:1']);

  const odd = makeLayout(workspace.path('odd'), { layers: FILES, name: 'Not A Name' });
  const warned = await images.strata(['image', 'import', '--quiet', odd]);
  t.is(warned.code, 0);
  t.regex(warned.stderr, /^strata: warning: a name in the archive is not kept: invalid name of an image "Not A Name"[^\n]*\n$/);

  const two = workspace.path('two');
  fs.writeFileSync(
    two,
    tar(
      { name: 'a.json', data: configOf(layout) },
      { name: 'l0', data: FILES[0] ?? '' },
      { name: 'l1', data: FILES[1] ?? '' },
      { name: 'b.json', data: configOf(makeLayout(workspace.path('b'), { layers: FILES, config: { Cmd: ['b'] } })) },
      {
        name: 'manifest.json',
        data: JSON.stringify(['a', 'b'].map((name) => ({ Config: `${name}.json`, RepoTags: [`${name}:1`], Layers: ['l0', 'l1'] }))),
      },
    ),
  );
  failed(t, await images.strata(['image', 'import', '--name', 'x', two]), '--name names one image', 'has 2');
  t.is((await images.import(t, [two])).length, 2);
  t.true(['docker.io/library/a:1', 'docker.io/library/b:1'].every((name) => images.names().includes(name)));
  failed(t, await images.strata(['image', 'import', '--name', 'UPPER', layout]), 'invalid name');
  failed(t, await images.strata(['image', 'import', workspace.path('missing')]), 'no such file');
});

interface Described {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

containerTest('an index: the platform that fits, an index in an index, documents in their descriptors, what is no image', async (t, workspace) => {
  const MANIFESTS = 'application/vnd.oci.image.index.v1+json';
  const layout = workspace.path('layout');
  const described: Record<string, Described & { config: string }> = {};
  for (const architecture of ['amd64', 'arm64', 'riscv64']) {
    const one = makeLayout(workspace.path(architecture), { layers: [tarOfFiles({ architecture })] });
    const [manifest] = JSON.parse(fs.readFileSync(join(one, 'index.json'), 'utf8')).manifests as Described[];
    fs.cpSync(one, layout, { recursive: true });
    const blob = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
    const document = JSON.parse(fs.readFileSync(blob(manifest?.digest ?? ''), 'utf8'));
    const config = JSON.stringify({ ...JSON.parse(fs.readFileSync(blob(document.config.digest), 'utf8')), architecture });
    const add = (text: string): { digest: string; size: number } => {
      const digest = `sha256:${execFileSync('sha256sum', { input: text, encoding: 'utf8' }).slice(0, 64)}`;
      fs.writeFileSync(blob(digest), text);
      return { digest, size: Buffer.byteLength(text) };
    };
    const added = add(config);
    const text = JSON.stringify({ ...document, config: { ...document.config, ...added } });
    described[architecture] = { mediaType: manifest?.mediaType ?? '', ...add(text), config: added.digest.slice(7, 19) };
    // This one is in its descriptor only.
    if (architecture === 'arm64') {
      Object.assign(described[architecture], { data: Buffer.from(text).toString('base64') });
      fs.unlinkSync(blob(described[architecture]?.digest ?? ''));
    }
  }
  const entry = (architecture: string) => {
    const { config: _, ...descriptor } = described[architecture] as Described & { config: string };
    return { ...descriptor, platform: { os: 'linux', architecture } };
  };
  const inner = JSON.stringify({ schemaVersion: 2, mediaType: MANIFESTS, manifests: ['riscv64', 'arm64', 'amd64'].map(entry) });
  const digest = `sha256:${execFileSync('sha256sum', { input: inner, encoding: 'utf8' }).slice(0, 64)}`;
  fs.writeFileSync(join(layout, 'blobs', digest.replace(':', '/')), inner);
  const attestation = { ...entry('amd64'), digest: `sha256:${'0'.repeat(64)}`, platform: { os: 'unknown', architecture: 'unknown' } };
  const named = { mediaType: MANIFESTS, digest, size: inner.length, annotations: { 'org.opencontainers.image.ref.name': 'app' } };
  fs.writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [attestation, named] }));

  const images = new Images(workspace);
  const own = { x64: 'amd64' }[process.arch as string] ?? process.arch;
  t.deepEqual(await images.import(t, [layout]), [described[own]?.config]);
  t.deepEqual(await images.import(t, ['--platform', 'linux/arm64', layout]), [described['arm64']?.config]);
  t.deepEqual(await images.import(t, ['--platform', 'riscv64', layout]), [described['riscv64']?.config]);
  t.deepEqual(images.references(), { 'docker.io/library/app:latest': images.references()['docker.io/library/app:latest'] });
  t.is(images.list('images').length, 3);
  const refused = await images.strata(['image', 'import', '--platform', 'linux/s390x', layout]);
  failed(t, refused, 'has no image for linux/s390x, only for linux/riscv64, linux/arm64, linux/amd64');
});

containerTest('digests of SHA-512, for a layer, its image and all', async (t, workspace) => {
  const layout = makeLayout(workspace.path('layout'), { layers: FILES, name: 'app' });
  fs.mkdirSync(join(layout, 'blobs/sha512'));
  const read = (digest: string): string => fs.readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'latin1');
  const add = (descriptor: Described, content: string): Described => {
    const input = Buffer.from(content, 'latin1');
    const hex = execFileSync('sha512sum', { input, encoding: 'utf8' }).slice(0, 128);
    fs.writeFileSync(join(layout, 'blobs/sha512', hex), input);
    return { ...descriptor, digest: `sha512:${hex}`, size: input.length };
  };
  const index = JSON.parse(fs.readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: [Described] };
  const [first] = index.manifests;
  const manifest = JSON.parse(read(first.digest)) as { config: Described; layers: Described[] };
  const changed = {
    ...manifest,
    config: add(manifest.config, read(manifest.config.digest)),
    layers: manifest.layers.map((layer) => add(layer, read(layer.digest))),
  };
  fs.writeFileSync(join(layout, 'index.json'), JSON.stringify({ ...index, manifests: [add(first, JSON.stringify(changed))] }));
  fs.rmSync(join(layout, 'blobs/sha256'), { recursive: true });

  const images = new Images(workspace);
  const [id = ''] = await images.import(t, [layout]);
  t.true(manifest.config.digest.startsWith(`sha256:${id}`), 'the id is not that of the same image with other digests');
  t.deepEqual([images.list('blobs/sha512').length, images.list('blobs/sha256').length], [4, 0]);
  t.is((await images.strata(['fsck'])).code, 0);
});

containerTest('a signal in the middle takes everything back', async (t, workspace) => {
  const images = new Images(workspace);
  const pipe = workspace.path('pipe');
  execFileSync('mkfifo', [pipe]);
  const content = tarEntry({ name: 'large', data: Buffer.alloc(3_000_000, 1) });
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    const command = workspace.spawn(['--store', images.store, 'image', 'import', pipe]);
    const writer = fs.openSync(pipe, 'w');
    fs.writeSync(writer, content, 0, 2_000_000);
    // It has begun, and waits for the rest.
    await eventually('the import to have begun', () => {
      const [work = ''] = fs.existsSync(join(images.store, 'tmp')) ? images.list('tmp') : [];
      return work !== '' && images.list(`tmp/${work}`).some((name) => name.startsWith('blob-'));
    });
    command.process.kill(signal);
    t.is((await command.result).code, 128 + number, command.stderr());
    fs.closeSync(writer);
    for (const place of ['tmp', 'layers', 'images', 'blobs/sha256']) t.deepEqual(images.list(place), [], `${signal} ${place}`);
  }
});

containerTest('imports at the same time unpack a layer once', async (t, workspace) => {
  const images = new Images(workspace);
  const large = [0, 1, 2].map((at) => tar({ name: `file${at}`, data: Buffer.alloc(4_000_000, at) }));
  const one = makeLayout(workspace.path('one'), { layers: large, name: 'one', config: { Cmd: ['1'] } });
  const two = makeLayout(workspace.path('two'), { layers: [...large, ...FILES], name: 'two' });
  const results = await Promise.all([one, two, one, two].map((layout) => images.strata(['image', 'import', layout])));
  for (const { code, stderr } of results) t.is(code, 0, stderr);
  const unpacked = results.flatMap(({ stderr }) => stderr.split('\n')).filter((line) => line.endsWith(' unpacked'));
  t.is(unpacked.length, 5);
  t.deepEqual(images.names(), ['docker.io/library/one:latest', 'docker.io/library/two:latest']);
  t.deepEqual(images.list('tmp'), []);
});

containerTest('layer unpack: into a directory, where whiteouts remove what is there', async (t, workspace) => {
  const directory = workspace.path('target');
  const [lower, upper] = [workspace.path('lower'), workspace.path('upper')];
  fs.writeFileSync(
    lower,
    gzipSync(tar({ name: 'a', data: 'a' }, { name: 'd/b', data: 'b' }, { name: 'o/c', data: 'c' }, { name: 'keep', data: 'k' })),
  );
  fs.writeFileSync(upper, tar({ name: 'o/new', data: 'n' }, { name: 'o/.wh..wh..opq' }, { name: '.wh.a' }, { name: 'd/.wh.b' }));
  const first = await workspace.succeed(['layer', 'unpack', lower, directory]);
  t.regex(first.stdout, /^sha256:[0-9a-f]{64} 4 entries 4 B\n$/);
  await workspace.succeed(['layer', 'unpack', '--quiet', upper, directory]);
  t.deepEqual(fs.readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort(), ['d', 'keep', 'o', 'o/new']);

  const truncated = workspace.path('truncated');
  fs.writeFileSync(truncated, tarEntry({ name: 'x', data: 'y' }));
  const other = workspace.path('other');
  failed(t, await workspace.strata(['layer', 'unpack', truncated, other]), 'truncated');
  t.false(fs.existsSync(other));
});

// --- against podman ------------------------------------------------------------------------------------------------------------------------------

/** A version 2 `security.capability`: CAP_NET_BIND_SERVICE permitted and effective. */
const CAPABILITY = Buffer.from([1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** Layers with one of everything that a layer can have. */
function everything(): Buffer[] {
  const long = `${'long-name/'.repeat(20)}file`;
  // Every directory is named: to others podman gives the time of its work.
  const parents = Array.from({ length: 20 }, (_, depth) => 'long-name/'.repeat(depth + 1));
  const lower = Buffer.concat([
    tarEntry({ name: './', type: '5', mode: 0o755, mtime: 1_600_000_000 }),
    tarEntry({ name: 'dir', type: '5', mode: 0o1777, uid: 1, gid: 2, mtime: 1_600_000_001 }),
    tarEntry({ name: 'dir/file', data: 'content', mode: 0o640, uid: 3, gid: 4, pax: { mtime: '1600000002.123456789' } }),
    // It says the same again, as tar does: podman would take anything else over.
    tarEntry({ name: 'dir/hard', type: '1', link: 'dir/file', mode: 0o640, uid: 3, gid: 4, pax: { mtime: '1600000002.123456789' } }),
    tarEntry({ name: 'setuid', data: 'x', mode: 0o4755, uid: 1000 }),
    tarEntry({ name: 'capable', data: 'x', mode: 0o755, uid: 7, pax: { 'SCHILY.xattr.security.capability': CAPABILITY } }),
    tarEntry({ name: 'link', type: '2', link: '/nowhere/at/all', mtime: 5 }),
    tarEntry({ name: 'fifo', type: '6', mode: 0o600 }),
    tarEntry({ name: 'null', type: '3', mode: 0o666, major: 1, minor: 3 }),
    tarEntry({ name: 'loop', type: '4', mode: 0o660, gid: 6, major: 7, minor: 0 }),
    tarEntry({ name: 'sparse', data: 'ab', pax: { 'GNU.sparse.size': '1000000', 'GNU.sparse.numblocks': '2', 'GNU.sparse.map': '0,1,999999,1' } }),
    ...parents.map((path) => tarEntry({ name: 'x', type: '5', pax: { path } })),
    longName(long),
    tarEntry({ name: 'x', data: 'long', magic: 'gnu' }),
    tarEntry({ name: Buffer.from([0x6e, 0xff, 0xfe]), data: 'bytes' }),
    tarEntry({ name: 'gone', data: 'x' }),
    tarEntry({ name: 'opaque/old', data: 'x' }),
    tarEntry({ name: 'becomes-directory', data: 'x' }),
    tarEntry({ name: 'becomes-file/x', data: 'x' }),
    Buffer.alloc(1024),
  ]);
  const upper = tar(
    { name: 'opaque/new', data: 'new' },
    { name: 'opaque', type: '5', mode: 0o700, mtime: 1_600_000_100 },
    { name: 'opaque/.wh..wh..opq' },
    { name: '.wh.gone' },
    { name: '.wh.becomes-directory' },
    { name: 'becomes-directory', type: '5', mtime: 1_600_000_200 },
    { name: 'becomes-directory/x', data: 'x' },
    { name: '.wh.becomes-file' },
    { name: 'becomes-file', data: 'now' },
    { name: 'dir/again', data: 'again', mtime: 1_600_000_300 },
    { name: 'dir', type: '5', mode: 0o1777, uid: 1, gid: 2, mtime: 1_600_000_400 },
  );
  return [lower, upper];
}

const missing = missingPrograms('podman', 'skopeo');

containerTest(
  `what podman unpacks of the same image is the same, entry by entry${missing.length > 0 ? ' (podman is missing)' : ''}`,
  async (t, workspace) => {
    if (missing.length > 0) {
      t.pass();
      return;
    }
    const layout = makeLayout(workspace.path('layout'), { layers: everything(), name: 'latest' });
    const images = new Images(workspace);
    const [id = ''] = await images.import(t, [layout]);
    const ours = workspace.path('ours');
    fs.mkdirSync(ours);
    t.true(await createNodeHost().copyLayered(images.layers(id), '/', ours));

    const podman = new Podman();
    try {
      const copied = await podman.execute(['skopeo', 'copy', '--quiet', `oci:${layout}:latest`, podman.reference('localhost/everything:1')]);
      t.is(copied.code, 0, copied.stderr);
      const mounted = await podman.run(['image', 'mount', 'localhost/everything:1']);
      t.is(mounted.code, 0, mounted.stderr);
      const theirs = mounted.stdout.trim();
      try {
        // The time of the root is that of podman's own work in it.
        for (const root of [theirs, ours]) fs.utimesSync(root, 0, 0);
        t.is(await compareTrees(theirs, ours), undefined);
      } finally {
        await podman.run(['image', 'umount', '--all']);
      }
    } finally {
      await podman.end();
    }
  },
);

containerTest('a directory: links lead nowhere outside of it, and nothing but files is opened', async (t, workspace) => {
  const outside = makeLayout(workspace.path('outside'), { layers: FILES });
  const images = new Images(workspace);
  const [id = ''] = await images.import(t, [outside]);
  const fresh = (change: (layout: string) => void): string => {
    const layout = workspace.path('layout');
    fs.cpSync(outside, layout, { recursive: true });
    change(layout);
    return layout;
  };
  const replaced = (layout: string, path: string, make: (place: string) => void): void => {
    fs.rmSync(join(layout, path), { recursive: true });
    make(join(layout, path));
  };

  const inside = fresh((layout) => {
    fs.renameSync(join(layout, 'blobs'), join(layout, 'store'));
    fs.symlinkSync('store', join(layout, 'blobs'));
    fs.renameSync(join(layout, 'index.json'), join(layout, 'list.json'));
    fs.symlinkSync('/list.json', join(layout, 'index.json'));
  });
  t.deepEqual(await images.import(t, [inside]), [id]);

  const out = /a symbolic link leads out of the directory, or to nothing/;
  const linked = (path: string) => (layout: string) => replaced(layout, path, (place) => fs.symlinkSync(join(outside, path), place));
  const refused: readonly (readonly [change: (layout: string) => void, words: RegExp])[] = [
    [linked('index.json'), out],
    [linked('oci-layout'), out],
    [linked('blobs'), out],
    [linked('blobs/sha256'), out],
    [(layout) => replaced(layout, 'index.json', (place) => fs.symlinkSync('../../../../../../dev/watchdog', place)), out],
    [(layout) => replaced(layout, 'index.json', (place) => execFileSync('mkfifo', [place])), /index\.json: not a file/],
    [(layout) => replaced(layout, 'index.json', (place) => execFileSync('mknod', [place, 'c', '1', '3'])), /index\.json: not a file/],
    [(layout) => replaced(layout, 'index.json', (place) => fs.mkdirSync(place)), /index\.json: not a file/],
  ];
  for (const [change, words] of refused) failed(t, await images.strata(['image', 'import', fresh(change)]), words);
});
