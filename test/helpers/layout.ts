/** Images made on the spot: tar archives, byte by byte, and OCI image layouts of them. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { makeRootfs } from './container.ts';

/** One member of an archive; a regular file if nothing else is said. */
export interface Member {
  readonly path: string;
  /** ustar's letter: 0 file, 1 hard link, 2 symbolic link, 3 and 4 devices, 5 directory, 6 fifo. */
  readonly type?: string;
  readonly content?: string | Buffer;
  readonly link?: string;
  /** 0644, or 0755 of a directory. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
}

const BLOCK = 512;

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;

function member({ path, type = '0', content = '', link = '', mode = type === '5' ? 0o755 : 0o644, uid = 0, gid = 0, mtime = 0 }: Member): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(BLOCK);
  header.write(path, 0, 100);
  header.write(octal(mode, 8) + octal(uid, 8) + octal(gid, 8) + octal(body.length, 12) + octal(mtime, 12), 100);
  header.write(`        ${type}`, 148);
  header.write(link, 157, 100);
  header.write('ustar\x0000', 257);
  header.write(octal(0, 8) + octal(0, 8), 329);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 7)} `, 148);
  return Buffer.concat([header, body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)]);
}

/** An archive of these members, whose names have at most 100 bytes. */
export function tarOf(members: readonly Member[]): Buffer {
  return Buffer.concat([...members.map(member), Buffer.alloc(2 * BLOCK)]);
}

/** An archive of regular files by their paths. */
export function tarOfFiles(files: Readonly<Record<string, string>>): Buffer {
  return tarOf(Object.entries(files).map(([path, content]) => ({ path, content })));
}

/** An archive of a busybox system; `scratch` is a directory that does not exist yet. */
export function busyboxTar(scratch: string): Buffer {
  makeRootfs(scratch);
  return execFileSync('tar', ['--numeric-owner', '--sort=name', '-C', scratch, '-cf', '-', '.'], { maxBuffer: 1 << 28 });
}

export interface LayoutOptions {
  /** Bottom to top, not compressed. */
  readonly layers: readonly Buffer[];
  /** `config` of the image's configuration. */
  readonly config?: object;
  /** `org.opencontainers.image.ref.name` */
  readonly name?: string;
  /**
   * How the layers are stored.
   *
   * @default 'gzip'
   */
  readonly compression?: 'gzip' | 'none';
}

const sha256 = (content: Buffer): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** Writes an image layout with one image into a new directory, and gives its path back. */
export function makeLayout(directory: string, { layers, config = {}, name, compression = 'gzip' }: LayoutOptions): string {
  const blobs = join(directory, 'blobs/sha256');
  fs.mkdirSync(blobs, { recursive: true });
  const add = (content: Buffer, mediaType: string): { mediaType: string; digest: string; size: number } => {
    const digest = sha256(content);
    fs.writeFileSync(join(blobs, digest.slice('sha256:'.length)), content);
    return { mediaType, digest, size: content.length };
  };
  const addJson = (value: object, mediaType: string) => add(Buffer.from(JSON.stringify(value)), mediaType);
  const described = layers.map((layer) =>
    compression === 'gzip'
      ? add(gzipSync(layer), 'application/vnd.oci.image.layer.v1.tar+gzip')
      : add(layer, 'application/vnd.oci.image.layer.v1.tar'),
  );
  const created = '2026-01-01T00:00:00Z';
  const configuration = addJson(
    {
      created,
      architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(sha256) },
      history: layers.map((_, index) => ({ created, created_by: `layer ${index}` })),
    },
    'application/vnd.oci.image.config.v1+json',
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = addJson({ schemaVersion: 2, mediaType, config: configuration, layers: described }, mediaType);
  const annotations = name === undefined ? undefined : { 'org.opencontainers.image.ref.name': name };
  fs.writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }));
  fs.writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return directory;
}

/** Everything below some directories: names, contents, and what lstat(2) says, ctime included, which no change leaves alone. */
export function fingerprint(...directories: readonly string[]): string {
  const hash = createHash('sha256');
  for (const directory of directories) {
    for (const name of ['', ...fs.readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()]) {
      const path = join(directory, name);
      const { mode, uid, gid, size, nlink, ino, rdev, mtimeNs, ctimeNs } = fs.lstatSync(path, { bigint: true });
      hash.update(`${path}\0${[mode, uid, gid, size, nlink, ino, rdev, mtimeNs, ctimeNs].join(' ')}\0`);
      if (fs.lstatSync(path).isFile()) hash.update(fs.readFileSync(path));
    }
  }
  return hash.digest('hex');
}
