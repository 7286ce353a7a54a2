/**
 * Images that were made to do harm. Whatever one tries, it is refused with one line that says why, or what it asks for happens within its own layer;
 * nothing beside the layer is touched, and nothing stays in the store of what was refused.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import type { Archive, ImportOptions } from '../../src/archive/archive.ts';
import { createArchive } from '../../src/archive/index.ts';
import { StrataError } from '../../src/base/error.ts';
import { createNodeHost } from '../../src/host/node.ts';
import type { Limits } from '../../src/layer/filter.ts';
import { fingerprint, makeLayout } from '../helpers/layout.ts';
import type { TarEntry } from '../helpers/tar.ts';
import { base256, longName, octal, padded, paxHeader, tar, tarEntry } from '../helpers/tar.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.error('hostile layers are skipped: they need root');

let archive: Archive | undefined;

/** A store, and beside it what an attacker would like to reach. */
class Place {
  /** In memory where that is possible: each import waits for the disk. */
  readonly directory = fs.mkdtempSync(join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'strata-hostile-'));
  readonly store = join(this.directory, 'store');
  readonly canary = join(this.directory, 'canary');
  readonly warnings: string[] = [];
  private readonly before: string;

  constructor() {
    fs.mkdirSync(join(this.canary, 'sub'), { recursive: true });
    fs.writeFileSync(join(this.canary, 'secret'), 'secret');
    fs.writeFileSync(join(this.canary, 'sub/file'), 'file');
    this.before = fingerprint(this.canary);
  }

  /** From a directory of a layer, so often up that it is the root. */
  get up(): string {
    return `${'../'.repeat(40)}${this.canary.slice(1)}`;
  }

  async import(source: string, options: Partial<ImportOptions> = {}): Promise<string> {
    archive ??= createArchive(createNodeHost());
    const [image] = await archive.importImages({ store: this.store, source, warn: (text) => this.warnings.push(text), ...options });
    return image?.id ?? '';
  }

  /** Imports these layers, bottom to top. */
  importLayers(layers: readonly Uint8Array[], limits: Partial<Limits> = {}): Promise<string> {
    return this.import(makeLayout(join(this.directory, 'layout'), { layers: layers.map((layer) => Buffer.from(layer)) }), { limits });
  }

  /** The directories of the layers of an image, bottom to top. */
  diffs(id: string): string[] {
    const { layers } = JSON.parse(fs.readFileSync(join(this.store, 'images', `${id.slice(7)}.json`), 'utf8')) as { layers: string[] };
    return layers.map((layer) => join(this.store, 'layers', layer.slice(7), 'diff'));
  }

  /** What is in the store that should not be there after a failure. */
  left(): string[] {
    if (!fs.existsSync(this.store)) return [];
    const places = ['blobs/sha256', 'blobs/sha512', 'layers', 'images', 'tmp'];
    return places.flatMap((place) => fs.readdirSync(join(this.store, place)).map((name) => `${place}/${name}`));
  }

  checkCanary(t: ExecutionContext): void {
    t.is(fingerprint(this.canary), this.before, 'something outside the layer has been touched');
  }

  remove(): void {
    // Not by Node: paths can be longer than it can name.
    execFileSync('rm', ['-rf', this.directory]);
  }
}

const names = new Set<string>();

function inPlace(title: string, body: (t: ExecutionContext, place: Place) => Promise<unknown>): void {
  if (names.has(title)) throw new Error(`two cases are named ${title}`);
  names.add(title);
  if (!isRoot) {
    test.skip(`${title} (needs root)`, (t) => t.pass());
    return;
  }
  test(title, async (t) => {
    const place = new Place();
    try {
      await body(t, place);
      place.checkCanary(t);
    } finally {
      place.remove();
    }
  });
}

async function refusedBy(t: ExecutionContext, place: Place, work: Promise<unknown>, words: RegExp): Promise<void> {
  const error = await t.throwsAsync(work, { instanceOf: StrataError });
  t.true(['image-invalid', 'usage'].includes(error?.code ?? ''), `${error?.code}: ${error?.message}`);
  t.regex(error?.message ?? '', words);
  t.false(/\p{Control}/u.test(error?.message ?? ''), 'the message is not one printable line');
  t.deepEqual(place.left(), [], 'something is left in the store');
}

type Layers = (place: Place) => readonly Uint8Array[];

/** The layers are refused, with a message that has these words. */
function refused(title: string, layers: Layers, words: RegExp, limits: Partial<Limits> = {}): void {
  inPlace(`refused: ${title}`, (t, place) => refusedBy(t, place, place.importLayers(layers(place), limits), words));
}

/** The layers are applied, and do what they ask for within themselves only. */
function contained(title: string, layers: Layers, check: (t: ExecutionContext, diffs: readonly string[], place: Place) => void): void {
  inPlace(`contained: ${title}`, async (t, place) => {
    check(t, place.diffs(await place.importLayers(layers(place))), place);
    t.deepEqual(fs.readdirSync(join(place.store, 'tmp')), []);
  });
}

/** Either is right, as long as nothing else is touched and nothing stays of what was refused. */
function harmless(title: string, layers: Layers): void {
  inPlace(`harmless: ${title}`, async (t, place) => {
    try {
      await place.importLayers(layers(place));
      t.deepEqual(fs.readdirSync(join(place.store, 'tmp')), []);
    } catch (error) {
      if (!(error instanceof StrataError)) throw error;
      t.is(error.code, 'image-invalid', error.message);
      t.deepEqual(place.left(), []);
    }
  });
}

function layer(...entries: readonly TarEntry[]): Uint8Array[] {
  return [tar(...entries)];
}

const evil = { name: 'evil', data: 'evil' } as const;
const link = (name: string, to: string): TarEntry => ({ name, type: '2', link: to });
const hardlink = (name: string, to: string): TarEntry => ({ name, type: '1', link: to });
const directory = (name: string): TarEntry => ({ name, type: '5' });

function read(...path: string[]): string {
  return fs.readFileSync(join(...path), 'utf8');
}

// --- paths that lead out -------------------------------------------------------------------------------------------------------------------------

refused("a path with '..' at its beginning", () => layer({ ...evil, name: '../evil' }), /layer 1 of 1 .*entry '\.\.\/evil': a path with '\.\.'/);
refused("a path with '..' in its middle", () => layer({ ...evil, name: 'a/../../evil' }), /a path with '\.\.'/);
refused("a path that is '..'", () => layer(directory('..')), /entry '\.\.': a path with '\.\.'/);
refused("a path with '..' in a pax header", () => layer({ ...evil, pax: { path: 'a/../../evil' } }), /a path with '\.\.'/);
refused("a long name of GNU with '..'", () => [Buffer.concat([longName('../evil'), tar({ ...evil, magic: 'gnu' })])], /a path with '\.\.'/);
refused("a prefix that is '..'", () => layer({ ...evil, prefix: '..' }), /a path with '\.\.'/);
refused(
  "the name of a sparse file with '..'",
  () => layer({ ...evil, pax: { 'GNU.sparse.size': '4', 'GNU.sparse.map': '0,4', 'GNU.sparse.name': '../evil' } }),
  /a path with '\.\.'/,
);
contained(
  'an absolute path',
  () => layer({ ...evil, name: '/etc/evil' }),
  (t, [diff = '']) => {
    t.is(read(diff, 'etc/evil'), 'evil');
    t.false(fs.existsSync('/etc/evil'));
  },
);
contained(
  'a path with many slashes and dots',
  () => layer({ ...evil, name: '//.//./evil/.' }),
  (t, [diff = '']) => t.is(read(diff, 'evil'), 'evil'),
);

// --- symbolic links ------------------------------------------------------------------------------------------------------------------------------

harmless('a file through an absolute symlink', ({ canary }) => layer(link('out', canary), { ...evil, name: 'out/evil' }));
harmless('a file through a relative symlink', ({ up }) => layer(link('out', up), { ...evil, name: 'out/evil' }));
harmless('a file through a chain of symlinks', ({ up }) => layer(link('a', 'b'), link('b', 'c'), link('c', up), { ...evil, name: 'a/evil' }));
harmless('a file through a symlink into a directory and up again', ({ up }) =>
  layer(directory('d'), link('d/out', up), { ...evil, name: 'd/out/sub/evil' }),
);
harmless('a file through a magic link of /proc', ({ canary }) => layer(link('out', `/proc/self/root${canary}`), { ...evil, name: 'out/evil' }));
harmless('a file through a descriptor in /proc', () => layer(link('out', '/proc/self/cwd'), { ...evil, name: 'out/evil' }));
harmless('a directory through a symlink', ({ canary }) => layer(link('out', canary), directory('out/evil')));
harmless('new metadata of what a symlink leads to', ({ canary }) => layer(link('out', canary), { name: 'out/sub', type: '5', mode: 0, mtime: 1 }));
harmless('a symlink through a symlink', ({ canary }) => layer(link('out', canary), link('out/evil', '/')));
harmless('a device through a symlink', ({ canary }) => layer(link('out', canary), { name: 'out/evil', type: '3', major: 1, minor: 3 }));
harmless('a file through a symlink of a lower layer', ({ canary }) => [...layer(link('out', canary)), ...layer({ ...evil, name: 'out/evil' })]);
harmless('a file through symlinks of two layers', ({ up }) => [...layer(link('b', up)), ...layer(link('a', 'b'), { ...evil, name: 'a/evil' })]);
harmless('a file through a loop of symlinks', () => layer(link('a', 'b'), link('b', 'a'), { ...evil, name: 'a/evil' }));
contained(
  'a file in the place of a symlink that leads out',
  ({ canary }) => layer(link('secret', `${canary}/secret`), { name: 'secret', data: 'mine' }),
  (t, [diff = '']) => {
    t.true(fs.lstatSync(join(diff, 'secret')).isFile());
    t.is(read(diff, 'secret'), 'mine');
  },
);
contained(
  'a directory in the place of a symlink that leads out',
  ({ canary }) => layer(link('sub', canary), directory('sub'), { name: 'sub/file', data: 'mine' }),
  (t, [diff = '']) => t.is(read(fs.existsSync(join(diff, 'sub')) ? diff : '', 'sub/file'), 'mine'),
);
contained(
  'a symlink that leads out, for nobody follows it',
  ({ canary }) => layer(link('out', `${canary}/secret`)),
  (t, [diff = ''], { canary }) => t.is(fs.readlinkSync(join(diff, 'out')), `${canary}/secret`),
);
contained(
  'a file through a symlink to the root, which is that of the layer',
  () => layer(directory('etc'), link('root', '/'), { ...evil, name: 'root/etc/evil' }),
  (t, [diff = '']) => t.is(read(diff, 'etc/evil'), 'evil'),
);
contained(
  "a file through a symlink with too many '..', which ends at the layer's root",
  () => layer(directory('etc'), directory('d'), link('d/up', '../../../../etc'), { ...evil, name: 'd/up/evil' }),
  (t, [diff = '']) => t.is(read(diff, 'etc/evil'), 'evil'),
);
refused('a symlink that is too long', () => layer({ name: 'x', type: '2', pax: { linkpath: 'y'.repeat(5000) } }), /a symlink of 5000 bytes/);

// --- hard links ----------------------------------------------------------------------------------------------------------------------------------

refused('a hardlink with a path that leads out', ({ up }) => layer(hardlink('x', `${up}/secret`)), /entry 'x': a hardlink to .*: a path with '\.\.'/);
refused('a hardlink to an absolute path outside', ({ canary }) => layer(hardlink('x', `${canary}/secret`)), /x/);
refused('a hardlink through a symlink that leads out', ({ canary }) => layer(link('out', canary), hardlink('x', 'out/secret')), /x/);
refused('a hardlink through a symlink of a lower layer', ({ canary }) => [...layer(link('out', canary)), ...layer(hardlink('x', 'out/secret'))], /x/);
refused('a hardlink to what is not there yet', () => layer(hardlink('x', 'later'), { name: 'later' }), /x/);
refused('a hardlink to the root', () => layer(hardlink('x', './')), /a hardlink to the root/);
refused('a hardlink to a directory', () => layer(directory('d'), hardlink('x', 'd')), /x/);
refused('a hardlink to a whiteout', () => [...layer({ name: 'x' }), ...layer({ name: '.wh.x' }, hardlink('y', '.wh.x'))], /which is a whiteout/);
refused('a hardlink to what this layer hides', () => [...layer({ name: 'x' }), ...layer({ name: '.wh.x' }, hardlink('y', 'x'))], /y/);
harmless('a hardlink to itself', () => layer(hardlink('x', 'x')));
contained(
  'a file in the place of a hardlink to a symlink that leads out',
  ({ canary }) => layer(link('s', `${canary}/secret`), hardlink('h', 's'), { name: 'h', data: 'mine' }),
  (t, [diff = '']) => t.is(read(diff, 'h'), 'mine'),
);
contained(
  'a file in the place of one name of two, which leaves the other as it was',
  () => layer({ name: 'a', data: 'first' }, hardlink('b', 'a'), { name: 'b', data: 'second' }),
  (t, [diff = '']) => t.deepEqual([read(diff, 'a'), read(diff, 'b')], ['first', 'second']),
);
contained(
  'a hardlink to a file of a lower layer, which stays as it is',
  () => [...layer({ name: 'a', data: 'lower' }), ...layer(hardlink('b', 'a'), { name: 'c', data: 'x' })],
  (t, [lower = '', upper = '']) => {
    t.is(read(upper, 'b'), 'lower');
    t.is(fs.statSync(join(lower, 'a')).nlink, 1);
  },
);

// --- the root ------------------------------------------------------------------------------------------------------------------------------------

refused('a root that is a symlink', ({ canary }) => layer(link('./', canary), evil), /the root must be a directory/);
refused('a root that is a file', () => layer({ name: '.', data: 'x' }), /the root must be a directory/);
refused('a root that is a hardlink', () => layer({ name: 'x' }, hardlink('/', 'x')), /the root must be a directory/);
refused('a root that is a device', () => layer({ name: './.', type: '3', major: 1, minor: 3 }), /the root must be a directory/);

// --- whiteouts -----------------------------------------------------------------------------------------------------------------------------------

refused('a whiteout of nothing', () => layer({ name: 'd/.wh.' }), /a whiteout of nothing/);
refused("a whiteout of '.'", () => layer({ name: 'd/.wh..' }), /a whiteout of nothing/);
refused("a whiteout of '..'", () => layer({ name: 'd/.wh...' }), /a whiteout of nothing/);
refused('a whiteout that is a directory', () => layer(directory('.wh.x')), /a whiteout that is a directory/);
refused('a file below a whiteout', () => layer({ name: '.wh.x/y' }), /something below a whiteout/);
refused('a whiteout with a path that leads out', ({ up }) => layer({ name: `${up}/.wh.secret` }), /a path with '\.\.'/);
harmless('a whiteout through a symlink that leads out', ({ canary }) => layer(link('out', canary), { name: 'out/.wh.secret' }));
harmless('an opaque directory through a symlink that leads out', ({ canary }) => layer(link('out', canary), { name: 'out/.wh..wh..opq' }));
harmless('a whiteout through a symlink of a lower layer', ({ canary }) => [...layer(link('out', canary)), ...layer({ name: 'out/.wh.secret' })]);
contained(
  'a whiteout of what this layer itself brings, which stays',
  () => [...layer({ name: 'x', data: 'lower' }), ...layer({ name: 'x', data: 'mine' }, { name: '.wh.x' })],
  (t, [, diff = '']) => t.is(read(diff, 'x'), 'mine'),
);

inPlace('contained: whiteouts of a layer that is unpacked into a directory, by links that were there', async (t, place) => {
  const target = join(place.directory, 'target');
  fs.mkdirSync(target);
  fs.symlinkSync(place.canary, join(target, 'out'));
  fs.symlinkSync(join(place.canary, 'secret'), join(target, 'secret'));
  const source = join(place.directory, 'layer.tar');
  fs.writeFileSync(source, tar({ name: 'out/.wh.secret' }, { name: '.wh.secret' }, { name: 'out/.wh..wh..opq' }, { name: 'out/evil', data: 'evil' }));
  archive ??= createArchive(createNodeHost());
  await archive.unpackLayer({ source, directory: target }).catch((error: unknown) => {
    if (!(error instanceof StrataError)) throw error;
  });
  t.pass();
});

// --- what overlayfs would take for its own ---------------------------------------------------------------------------------------------------------

refused('a character device 0:0', () => layer({ name: 'x', type: '3', major: 0, minor: 0 }), /entry 'x': a character device 0:0/);
refused(
  'a device with a number that Linux cuts to 0:0',
  () => layer({ name: 'x', type: '3', raw: { 329: base256(4096n, 8), 337: base256(1_048_576n, 8) } }),
  /no such device/,
);
for (const name of [
  'trusted.overlay.opaque',
  'trusted.overlay.redirect',
  'trusted.overlay.metacopy',
  'user.overlay.whiteout',
  'user.overlay.opaque',
]) {
  contained(
    `the extended attribute ${name}`,
    () => layer({ name: 'd', type: '5', pax: { [`SCHILY.xattr.${name}`]: 'y' } }),
    (t, [diff = ''], { warnings }) => {
      const written = execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-C', diff, '-cf', '-', 'd']);
      t.false(written.includes('overlay'), 'the directory has an extended attribute of overlayfs');
      t.true(warnings.some((text) => text.includes('extended attributes of overlayfs (1)')));
    },
  );
}
contained(
  'an SELinux label',
  () => layer({ name: 'd', type: '5', pax: { 'SCHILY.xattr.security.selinux': 'system_u:object_r:bin_t:s0' } }),
  (t, [diff = ''], { warnings }) => {
    const written = execFileSync('tar', ['--xattrs', '--xattrs-include=security.selinux', '-C', diff, '-cf', '-', 'd']);
    t.false(written.includes('bin_t'), 'the directory has the label of the archive');
    t.true(warnings.some((text) => text.includes('labels of security modules (1)')));
  },
);
refused(
  'an extended attribute with a name that is too long',
  () => layer({ name: 'x', pax: { [`SCHILY.xattr.user.${'n'.repeat(300)}`]: 'y' } }),
  /an extended attribute with the name/,
);
refused(
  'an extended attribute that is too large',
  () => layer({ name: 'x', pax: { 'SCHILY.xattr.user.x': 'y'.repeat(70_000) } }),
  /an extended attribute of 70000 bytes/,
);

// --- entries that come twice, and replace each other -----------------------------------------------------------------------------------------------

harmless('a directory that becomes a symlink, and a file in it', ({ canary }) =>
  layer(directory('d'), link('d', canary), { ...evil, name: 'd/evil' }),
);
harmless('a directory that becomes a symlink after its files', ({ canary }) =>
  layer(directory('sub'), { name: 'sub/x' }, link('sub', canary), { name: 'sub', type: '5', mode: 0 }),
);
contained(
  'one file many times, the last of which stays',
  () => layer(...Array.from({ length: 50 }, (_, index) => ({ name: 'x', data: `${index}` }))),
  (t, [diff = '']) => t.is(read(diff, 'x'), '49'),
);
contained(
  'a file that becomes a directory, and a file again',
  () => layer({ name: 'x', data: '1' }, directory('x'), { name: 'x/y', data: '2' }, { name: 'x', data: '3' }),
  (t, [diff = '']) => t.is(read(diff, 'x'), '3'),
);
contained(
  'a lower file that becomes a directory',
  () => [...layer({ name: 'x', data: '1' }), ...layer(directory('x'), { name: 'x/y', data: '2' })],
  (t, [, diff = '']) => t.is(read(diff, 'x/y'), '2'),
);

refused(
  'a file below a file of a lower layer',
  () => [...layer({ name: 'x', data: '1' }), ...layer({ name: 'x/y', data: '2' })],
  /layer 2 of 2 .*x is not a directory in a layer below/,
);

// --- bombs -----------------------------------------------------------------------------------------------------------------------------------------

const zeros = Buffer.alloc(70 * 1024 * 1024);
refused('a layer that gzip has made a thousand times smaller', () => layer({ name: 'x', data: zeros }), /more than 200 times larger/);
refused('more bytes than are allowed', () => layer({ name: 'x', data: 'y'.repeat(2000) }), /more than 1000 bytes of files \(--max-size/, {
  maxSize: 1000,
});
refused(
  'more bytes than are allowed, in several layers',
  () => [...layer({ name: 'x', data: 'y'.repeat(600) }), ...layer({ name: 'x', data: 'z'.repeat(600) })],
  /layer 2 of 2 .*more than 1000 bytes/,
  { maxSize: 1000 },
);
refused(
  'a file whose header promises more than there can be',
  () => layer({ name: 'x', size: 2 ** 32, raw: { 124: base256(2n ** 50n, 12) } }),
  /more than \d+ bytes of files/,
);
refused(
  'a sparse file of a size without end',
  () => layer({ name: 'x', pax: { 'GNU.sparse.size': `${2 ** 52}`, 'GNU.sparse.map': '' } }),
  /more than \d+ bytes of files/,
);
refused(
  'more entries than are allowed',
  () => layer(...Array.from({ length: 11 }, (_, at) => ({ name: `${at}` }))),
  /more than 10 entries \(--max-entries/,
  { maxEntries: 10 },
);
refused(
  'a pax header of a gibibyte',
  () => [Buffer.concat([tarEntry({ name: 'x', type: 'x', size: 2 ** 30 }), tar(evil)])],
  /a pax header of 1073741824 bytes/,
);
refused(
  'a long name of a gibibyte',
  () => [Buffer.concat([tarEntry({ name: 'x', type: 'L', size: 2 ** 30 }), tar(evil)])],
  /a long name of 1073741824 bytes/,
);
refused(
  'a sparse file of more parts than memory holds',
  () =>
    layer({
      name: 'x',
      data: padded(Buffer.from('999999999999\n')),
      pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' },
    }),
  /more than 1048576 parts/,
);
refused('a path that is too long', () => layer({ name: 'x', pax: { path: 'd/'.repeat(3000) } }), /a path of 6000 bytes/);
refused('a name that is too long', () => layer({ name: 'x', pax: { path: 'n'.repeat(256) } }), /a name of 256 bytes/);
contained(
  'directories as deep as a path can be',
  () => layer({ name: 'x', pax: { path: `${'d/'.repeat(2040)}x` } }),
  (t, [diff = '']) => t.deepEqual(fs.readdirSync(diff), ['d']),
);

// --- fields that no file can have ------------------------------------------------------------------------------------------------------------------

refused(
  'the owner 4294967295, which means nobody in system calls',
  () => layer({ name: 'x', raw: { 108: base256(2n ** 32n - 1n, 8) } }),
  /no such owner/,
);
refused('an owner that would be root in 32 bits', () => layer({ name: 'x', pax: { uid: `${2 ** 32}` } }), /no such owner/);
refused('a negative size', () => layer({ name: 'x', raw: { 124: base256(-512n, 12) } }), /a negative size/);
refused('a negative owner', () => layer({ name: 'x', raw: { 108: base256(-1n, 8) } }), /a negative uid/);
refused('a time beyond all clocks', () => layer({ name: 'x', raw: { 136: base256(2n ** 70n, 12) } }), /no such time/);
refused('a NUL in a path', () => layer({ name: 'x', pax: { path: 'good\0../evil' } }), /a path with a NUL/);
refused('an entry without a name', () => layer({ name: '', data: 'x' }), /an entry without a name/);
refused('a type that nobody knows', () => layer({ name: 'x', type: 'Z' }), /not supported, 'Z'/);
refused('a path for all entries', () => [Buffer.concat([paxHeader([['path', '/evil']], 'g'), tar(evil)])], /for all entries that says path/);
refused('control characters in a name, which a message must not pass on', () => layer({ name: '\n\u001b[2J', type: 'Z' }), /entry '\\x0a\\x1b\[2J'/);
contained(
  'names that are not UTF-8',
  () => layer({ name: Uint8Array.of(0xff, 0xfe), data: 'x' }),
  (t, [diff = '']) => t.deepEqual(fs.readdirSync(diff, { encoding: 'buffer' }), [Buffer.from([0xff, 0xfe])]),
);
contained(
  'programs with setuid, which nobody else can reach',
  () => layer({ name: 'su', data: 'x', mode: 0o4755 }),
  (t, [diff = ''], { store }) => {
    t.is(fs.statSync(join(diff, 'su')).mode & 0o7777, 0o4755);
    t.is(fs.statSync(store).mode & 0o077, 0);
  },
);

// --- archives that are not whole -------------------------------------------------------------------------------------------------------------------

refused('a tar archive that ends in an entry', () => [tarEntry({ name: 'x', data: 'y'.repeat(5000) }).subarray(0, 3000)], /truncated/);
refused('a header with a wrong checksum', () => layer({ name: 'x', checksum: 1 }), /checksum is wrong/);
refused('something behind the end of the archive', () => [Buffer.concat([tar(evil), Buffer.alloc(512, 'x')])], /follows the end/);
refused(
  'parts of a sparse file that overlap',
  () => layer({ name: 'x', data: 'abcd', pax: { 'GNU.sparse.size': '4', 'GNU.sparse.map': '0,2,1,2' } }),
  /overlap/,
);
refused(
  'an old sparse file that lies beyond its end',
  () => layer({ name: 'x', type: 'S', magic: 'gnu', data: 'ab', raw: { 386: octal(100, 12) + octal(2, 12), 483: octal(2, 12) } }),
  /beyond its end/,
);

/** An image layout whose one layer has been changed after it was described, or whose documents have. */
function broken(
  title: string,
  change: (layout: Layout) => void,
  words: RegExp,
  layers: readonly Buffer[] = [tar({ name: 'x', data: 'y'.repeat(100_000) })],
): void {
  inPlace(`refused: ${title}`, async (t, place) => {
    const layout = new Layout(makeLayout(join(place.directory, 'layout'), { layers }));
    change(layout);
    await refusedBy(t, place, place.import(layout.directory), words);
  });
}

interface Described {
  mediaType: string;
  digest: string;
  size: number;
  [more: string]: unknown;
}

class Layout {
  readonly directory: string;
  constructor(at: string) {
    this.directory = at;
  }
  get index(): { manifests: Described[] } {
    return JSON.parse(read(this.directory, 'index.json'));
  }
  set index(value: unknown) {
    fs.writeFileSync(join(this.directory, 'index.json'), JSON.stringify(value));
  }
  blob(digest: string): string {
    return join(this.directory, 'blobs', digest.replace(':', '/'));
  }
  get manifest(): { config: Described; layers: Described[]; [more: string]: unknown } {
    return JSON.parse(read(this.blob(this.index.manifests[0]?.digest ?? '')));
  }
  /** Writes another manifest, and tells the index of it. */
  set manifest(value: unknown) {
    const text = JSON.stringify(value);
    const digest = `sha256:${execFileSync('sha256sum', { input: text, encoding: 'utf8' }).slice(0, 64)}`;
    fs.writeFileSync(this.blob(digest), text);
    const [first] = this.index.manifests;
    this.index = { schemaVersion: 2, manifests: [{ ...first, digest, size: Buffer.byteLength(text) }] };
  }
  get layer(): string {
    return this.blob(this.manifest.layers[0]?.digest ?? '');
  }
  /** Another content for the layer, rightly described. */
  replaceLayer(content: Buffer, mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'): void {
    const digest = `sha256:${execFileSync('sha256sum', { input: content, encoding: 'utf8' }).slice(0, 64)}`;
    fs.writeFileSync(this.blob(digest), content);
    this.manifest = { ...this.manifest, layers: [{ mediaType, digest, size: content.length }] };
  }
}

broken(
  'a blob with another content than its digest says',
  ({ layer: path }) => {
    const content = fs.readFileSync(path);
    content[4] = (content[4] ?? 0) ^ 1;
    fs.writeFileSync(path, content);
  },
  /layer 1 of 1 .*the digest of the content is .*, and its descriptor says/,
);
broken(
  'a blob that is longer than its descriptor says',
  ({ layer: path }) => fs.appendFileSync(path, 'x'),
  /more than the \d+ bytes that its descriptor says/,
);
broken(
  'a blob that is shorter than its descriptor says',
  ({ layer: path }) => fs.truncateSync(path, fs.statSync(path).size - 1),
  /truncated|its descriptor says/,
);
broken('a blob that is missing', ({ layer: path }) => fs.unlinkSync(path), /the archive has no blobs\/sha256\//);
broken(
  'a blob that is a pipe, which nobody writes to',
  ({ layer: path }) => {
    fs.unlinkSync(path);
    execFileSync('mkfifo', [path]);
  },
  /: not a file/,
);
broken(
  'a blob that is a symlink to a file of the host',
  ({ layer: path }) => {
    fs.unlinkSync(path);
    fs.symlinkSync('/etc/passwd', path);
  },
  /a symbolic link leads out of the directory/,
);
broken(
  'a gzip layer that is cut off',
  (layout) => layout.replaceLayer(fs.readFileSync(layout.layer).subarray(0, 150)),
  /gzip data are corrupt or truncated/,
);
broken(
  'a gzip layer that is corrupt',
  (layout) => {
    const content = Buffer.from(fs.readFileSync(layout.layer));
    content.fill(0xaa, 20, 60);
    layout.replaceLayer(content);
  },
  /gzip data are corrupt or truncated/,
);
broken(
  'a zstd layer that is cut off',
  (layout) => layout.replaceLayer(zstdCompressSync(tar({ name: 'x', data: 'y'.repeat(100_000) })).subarray(0, 60)),
  /zstd data are corrupt or truncated|truncated/,
);
broken(
  'a layer compressed with xz',
  (layout) => layout.replaceLayer(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0])),
  /compressed with xz, which is not supported/,
);
broken('a zstd bomb', (layout) => layout.replaceLayer(zstdCompressSync(tar({ name: 'x', data: zeros }))), /more than 200 times larger/);
broken(
  'a layer that is not the one of the configuration',
  (layout) => layout.replaceLayer(gzipSync(tar(evil))),
  /the digest of the uncompressed content is .*, and the image's configuration says/,
);
broken(
  'a layer that is to be fetched elsewhere',
  (layout) => {
    const { manifest } = layout;
    layout.manifest = {
      ...manifest,
      layers: manifest.layers.map((one) => ({
        ...one,
        mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
        urls: ['file:///etc/passwd'],
      })),
    };
  },
  /\/layers\/0\/mediaType: a foreign layer/,
);
broken(
  'an encrypted layer',
  (layout) => {
    const { manifest } = layout;
    layout.manifest = { ...manifest, layers: manifest.layers.map((one) => ({ ...one, mediaType: `${one.mediaType}+encrypted` })) };
  },
  /not a layer that is supported but .*\+encrypted/,
);
broken(
  'a layer too many',
  (layout) => {
    const { manifest } = layout;
    layout.manifest = { ...manifest, layers: [...manifest.layers, ...manifest.layers] };
  },
  /has 2 layers, and the image's configuration 1/,
);
broken(
  'more layers than the kernel can stack',
  (layout) => {
    const { manifest } = layout;
    layout.manifest = { ...manifest, layers: Array.from({ length: 501 }, () => manifest.layers[0]) };
  },
  /501 layers are more than the 500/,
);
broken(
  'a digest that is a path',
  (layout) => {
    const [first] = layout.index.manifests;
    layout.index = { schemaVersion: 2, manifests: [{ ...first, digest: 'sha256:../../../../etc/passwd' }] };
  },
  /index\.json \/manifests\/0\/digest/,
);
broken(
  'a digest of an algorithm that is none',
  (layout) => {
    const [first] = layout.index.manifests;
    layout.index = { schemaVersion: 2, manifests: [{ ...first, digest: `md5:${'0'.repeat(32)}` }] };
  },
  /index\.json \/manifests\/0\/digest/,
);
broken(
  'an index that says less than a manifest has',
  (layout) => {
    const [first] = layout.index.manifests;
    layout.index = { schemaVersion: 2, manifests: [{ ...first, size: 10 }] };
  },
  /manifest .*more than the 10 bytes that its descriptor says/,
);
broken(
  'a manifest of a size that memory does not hold',
  (layout) => {
    const [first] = layout.index.manifests;
    layout.index = { schemaVersion: 2, manifests: [{ ...first, size: 2 ** 40 }] };
  },
  /manifest .* is larger than \d+ bytes/,
);
broken(
  'an index without images',
  (layout) => {
    layout.index = { schemaVersion: 2, manifests: [] };
  },
  /the index has no image/,
);
broken('a document that is not JSON', ({ directory: at }) => fs.writeFileSync(join(at, 'index.json'), '{'), /index\.json .*not valid JSON/);
broken(
  'a document that is nested without end',
  ({ directory: at }) => fs.writeFileSync(join(at, 'index.json'), '['.repeat(1_000_000)),
  /index\.json/,
);
broken(
  'a document that is not text',
  ({ directory: at }) => fs.writeFileSync(join(at, 'index.json'), Buffer.from([0xff, 0xfe])),
  /index\.json is not valid UTF-8/,
);
broken(
  'an image for another system',
  (layout) => {
    const { manifest } = layout;
    const config = JSON.stringify({ ...JSON.parse(read(layout.blob(manifest.config.digest))), os: 'windows' });
    const digest = `sha256:${execFileSync('sha256sum', { input: config, encoding: 'utf8' }).slice(0, 64)}`;
    fs.writeFileSync(layout.blob(digest), config);
    layout.manifest = { ...manifest, config: { ...manifest.config, digest, size: config.length } };
  },
  /an image for windows/,
);

// --- archives of docker save ---------------------------------------------------------------------------------------------------------------------------

const config = (...diffIds: string[]): string =>
  JSON.stringify({
    architecture: { x64: 'amd64' }[process.arch as string] ?? process.arch,
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: diffIds },
  });

function docker(title: string, entries: (place: Place) => readonly TarEntry[], words: RegExp): void {
  inPlace(`refused: ${title}`, async (t, place) => {
    const path = join(place.directory, 'save.tar');
    fs.writeFileSync(path, tar(...entries(place)));
    await refusedBy(t, place, place.import(path), words);
  });
}

const saved = (item: object): TarEntry => ({ name: 'manifest.json', data: JSON.stringify([item]) });
docker('a configuration outside of the archive', ({ up }) => [saved({ Config: `${up}/secret`, Layers: [] })], /the archive has no /);
docker(
  'a layer outside of the archive',
  ({ canary }) => [{ name: 'c.json', data: config(`sha256:${'0'.repeat(64)}`) }, saved({ Config: 'c.json', Layers: [`${canary}/secret`] })].reverse(),
  /the archive has no /,
);
docker(
  'a layer that is a symlink out of the archive',
  ({ canary }) => [
    saved({ Config: 'c.json', Layers: ['layer.tar'] }),
    { name: 'c.json', data: config(`sha256:${'0'.repeat(64)}`) },
    link('layer.tar', `${canary}/secret`),
  ],
  /the archive has no layer\.tar/,
);
docker(
  'a layer that is a symlink to itself',
  () => [
    saved({ Config: 'c.json', Layers: ['layer.tar'] }),
    { name: 'c.json', data: config(`sha256:${'0'.repeat(64)}`) },
    link('layer.tar', 'layer.tar'),
  ],
  /too many links/,
);
docker(
  'a layer with another content than the configuration says',
  () => [
    saved({ Config: 'c.json', Layers: ['layer.tar'] }),
    { name: 'c.json', data: config(`sha256:${'0'.repeat(64)}`) },
    { name: 'layer.tar', data: tar(evil) },
  ],
  /the digest of the uncompressed content is/,
);
docker(
  'an archive of images that is too old to say what its images are',
  () => [
    { name: 'repositories', data: '{}' },
    { name: `${'0'.repeat(64)}/layer.tar`, data: tar(evil) },
  ],
  /an archive of Docker before 1\.10/,
);
docker('a layout without an index', () => [{ name: 'oci-layout', data: '{"imageLayoutVersion":"1.0.0"}' }], /an image layout without index\.json/);
docker('an archive without images', () => [{ name: 'manifest.json', data: '[]' }], /manifest\.json has no image/);

// --- root file systems -----------------------------------------------------------------------------------------------------------------------------------

inPlace('refused: a root file system that lacks its end', async (t, place) => {
  const path = join(place.directory, 'rootfs.tar');
  fs.writeFileSync(path, tarEntry(evil));
  await refusedBy(t, place, place.import(path), /has no end: it is truncated/);
});
inPlace('refused: what is no archive at all', async (t, place) => {
  const path = join(place.directory, 'rootfs.tar');
  fs.writeFileSync(path, 'something else'.repeat(100));
  await refusedBy(t, place, place.import(path), /is not an archive: not a tar header/);
});
inPlace('refused: an empty file', async (t, place) => {
  const path = join(place.directory, 'rootfs.tar');
  fs.writeFileSync(path, '');
  await refusedBy(t, place, place.import(path), /is empty/);
});

for (const [how, pack] of Object.entries({ gzip: gzipSync, zstd: zstdCompressSync })) {
  inPlace(`refused: an archive of images that ${how} has made a thousand times smaller`, async (t, place) => {
    const path = join(place.directory, 'save.tar');
    fs.writeFileSync(path, pack(tar({ name: 'manifest.json', data: '[]' }, { name: 'layer.tar', data: zeros })));
    await refusedBy(t, place, place.import(path), /more than 200 times larger/);
  });
}
inPlace('refused: an archive of images that is larger than is allowed when it is decompressed', async (t, place) => {
  const path = join(place.directory, 'save.tar');
  fs.writeFileSync(path, gzipSync(tar({ name: 'manifest.json', data: '[]' }, { name: 'layer.tar', data: 'x'.repeat(100_000) })));
  await refusedBy(t, place, place.import(path, { limits: { maxSize: 50_000 } }), /save\.tar: more than 50000 bytes/);
});
inPlace('refused: directories without end, which say nothing of what they are in', async (t, place) => {
  const path = join(place.directory, 'rootfs.tar');
  const many = Buffer.concat(Array.from({ length: 1000 }, (_, at) => tarEntry(directory(`${at}`))));
  fs.writeFileSync(path, gzipSync(Buffer.concat(Array.from({ length: 40 }, () => many))));
  await refusedBy(t, place, place.import(path, { limits: { maxEntries: 30_000 } }), /more than 30000 entries/);
});

test('there are many cases', (t) => {
  t.true(names.size >= 60, `${names.size}`);
});
