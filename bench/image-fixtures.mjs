// The images that are measured: Debian's minbase in one layer and in eight, and a large one above it. Made once, below build/bench/images.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const PIECES = 8;
const COPIES = 4;
const place = join(import.meta.dirname, '../build/bench/images');

/** A tar archive of `names` below `directory`, or of everything: as an image builder writes it. */
const archive = (file, directory, { names, links = true } = {}) => {
  const options = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--sort=name', ...(links ? [] : ['--hard-dereference'])];
  const what = names ? ['--no-recursion', '--null', '--files-from=-'] : ['.'];
  execFileSync('tar', [...options, '-C', directory, '-cf', file, ...what], { input: names?.join('\0') });
};

const digestOf = async (file) => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest('hex')}`;
};

/** Everything below a directory as './…', parents first. */
const treeOf = (directory, path = '.') =>
  readdirSync(join(directory, path), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = `${path}/${entry.name}`;
      return entry.isDirectory() ? [name, ...treeOf(directory, name)] : [name];
    });

/** The tree in pieces of about the same size, each with the directories above what it has. */
const piecesOf = (directory) => {
  const names = treeOf(directory);
  const sizes = names.map((name) => lstatSync(join(directory, name)).size);
  const share = sizes.reduce((sum, size) => sum + size, 0) / PIECES;
  const pieces = Array.from({ length: PIECES }, () => new Set());
  let before = 0;
  for (const [i, name] of names.entries()) {
    const piece = pieces[Math.min(PIECES - 1, Math.floor(before / share))];
    const steps = name.split(sep);
    for (let depth = 1; depth <= steps.length; depth++) piece.add(steps.slice(0, depth).join(sep));
    before += sizes[i];
  }
  return pieces.map((piece) => [...piece]);
};

const blobs = (layout) => join(layout, 'blobs/sha256');

/** Put a file among a layout's blobs; its descriptor. */
const addFile = async (layout, file, mediaType) => {
  const digest = await digestOf(file);
  const { size } = statSync(file);
  renameSync(file, join(blobs(layout), digest.slice('sha256:'.length)));
  return { mediaType, digest, size };
};

const addDocument = async (layout, document) => {
  const file = join(layout, 'document');
  writeFileSync(file, JSON.stringify(document));
  return addFile(layout, file, document.mediaType);
};

/** An image layout with one gzip layer for each tar archive; the archives are used up. */
const makeLayout = async (layout, tars) => {
  mkdirSync(blobs(layout), { recursive: true });
  const layers = [];
  const diffIds = [];
  for (const tar of tars) {
    diffIds.push(await digestOf(tar));
    await pipeline(createReadStream(tar), createGzip(), createWriteStream(`${tar}.gz`));
    rmSync(tar);
    layers.push(await addFile(layout, `${tar}.gz`, 'application/vnd.oci.image.layer.v1.tar+gzip'));
  }
  const created = '2026-01-01T00:00:00Z';
  const config = await addDocument(layout, {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    created,
    architecture: { x64: 'amd64' }[process.arch] ?? process.arch,
    os: 'linux',
    config: { Cmd: ['/bin/sh'], Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: diffIds.map(() => ({ created, created_by: 'tar' })),
  });
  const manifest = await addDocument(layout, { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config, layers });
  const named = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [named] }),
  );
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
};

/** Debian's smallest system, without what apt has fetched for it. */
const bootstrap = (directory) => {
  const release = Object.fromEntries(
    readFileSync('/etc/os-release', 'utf8')
      .split('\n')
      .map((line) => line.split('=')),
  );
  const targets = execFileSync('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Origin: Debian'], { encoding: 'utf8' });
  const mirror = targets
    .split('\n')
    .filter((uri) => uri !== '' && !uri.includes('security'))
    .sort()[0];
  if (!mirror || !release.VERSION_CODENAME) throw new Error('the image is made with debootstrap, from the mirror of a Debian system; this is none');
  console.error(`bench: making a Debian ${release.VERSION_CODENAME} with debootstrap`);
  execFileSync('debootstrap', ['--variant=minbase', release.VERSION_CODENAME, directory, mirror], { stdio: ['ignore', 'ignore', 'inherit'] });
  for (const cache of ['var/cache/apt', 'var/lib/apt/lists']) rmSync(join(directory, cache), { recursive: true });
};

const make = async (next) => {
  const [tree, more, spare] = ['tree', 'more', 'spare'].map((name) => join(next, name));
  for (const directory of [next, spare]) mkdirSync(directory);
  bootstrap(tree);
  const base = () => {
    archive(join(spare, 'base'), tree);
    return join(spare, 'base');
  };
  await makeLayout(join(next, 'one'), [base()]);
  const pieces = piecesOf(tree).map((names, i) => {
    archive(join(spare, `${i}`), tree, { names });
    return join(spare, `${i}`);
  });
  await makeLayout(join(next, 'eight'), pieces);
  mkdirSync(join(more, 'srv'), { recursive: true });
  for (let i = 0; i < COPIES; i++) execFileSync('cp', ['-al', join(tree, 'usr'), join(more, 'srv', `${i}`)]);
  archive(join(spare, 'more'), more, { links: false });
  await makeLayout(join(next, 'large'), [base(), join(spare, 'more')]);
  archive(join(next, 'eight.tar'), join(next, 'eight'));
  for (const directory of [more, spare, tree]) rmSync(directory, { recursive: true });
};

/** The fixtures' paths: the layouts `one`, `eight` and `large`, `eight` as an archive, the only layer of `one`. */
export const fixtures = async () => {
  if (!existsSync(place)) {
    const next = `${place}.next`;
    rmSync(next, { recursive: true, force: true });
    await make(next);
    renameSync(next, place);
  }
  const path = (name) => join(place, name);
  const documentOf = (layout, digest) => JSON.parse(readFileSync(join(blobs(layout), digest.slice('sha256:'.length)), 'utf8'));
  const [{ digest }] = JSON.parse(readFileSync(join(path('one'), 'index.json'), 'utf8')).manifests;
  const [layer] = documentOf(path('one'), digest).layers;
  return {
    one: path('one'),
    eight: path('eight'),
    large: path('large'),
    archive: path('eight.tar'),
    layer: join(blobs(path('one')), layer.digest.slice('sha256:'.length)),
  };
};
