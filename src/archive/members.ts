/** The files of an archive of images, whatever it is: a directory, or a tar archive in a file that can be read at any place. */
import * as fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { StrataError } from '../base/error.ts';
import { TarReader } from '../layer/tar.ts';
import type { Chunks } from './bytes.ts';
import { fileRange } from './bytes.ts';
import { openBeneath } from './native.ts';

export interface Member {
  /** For messages. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** To be called once at a time. */
  read(): Chunks;
}

export interface Members {
  /** The file with this path, relative and without `.` and `..`; undefined if there is none. */
  find(path: string): Promise<Member | undefined>;
}

/** The file with this path. @throws StrataError `image-invalid`. */
export async function need(members: Members, path: string): Promise<Member> {
  const member = await members.find(path);
  if (member === undefined) throw new StrataError({ code: 'image-invalid', reason: `the archive has no ${path}` });
  return member;
}

/** Below a directory, and not out of it by symbolic links. A file is open only while it is read, for an image may have hundreds of layers. */
export class DirectoryMembers implements Members {
  private readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  async find(path: string): Promise<Member | undefined> {
    const name = join(this.root, path);
    const file = openBeneath(this.root, path);
    if (file === undefined) return undefined;
    try {
      const { size } = fs.fstatSync(file);
      return { name, size, read: () => this.contents(path, size) };
    } finally {
      fs.closeSync(file);
    }
  }

  private async *contents(path: string, size: number): AsyncGenerator<Buffer> {
    const name = join(this.root, path);
    const file = openBeneath(this.root, path);
    if (file === undefined) throw new StrataError({ code: 'image-invalid', reason: `${name} is gone`, path: name });
    try {
      yield* fileRange(file, 0, size, name);
    } finally {
      fs.closeSync(file);
    }
  }
}

/** What is enough of an archive to find most headers, and of a large member to be left unread. */
const WINDOW = 64 * 1024;
/** Of an archive of images. */
const MOST_MEMBERS = 100_000;
/** Links that lead to links. */
const LONGEST_CHAIN = 10;

type Found = { readonly link: string } | { readonly offset: number; readonly size: number };

/** In a tar archive that is not compressed. The file is its opener's to close. */
export class TarMembers implements Members {
  private readonly file: FileHandle;
  private readonly found: ReadonlyMap<string, Found>;

  private constructor(file: FileHandle, found: ReadonlyMap<string, Found>) {
    this.file = file;
    this.found = found;
  }

  /** Reads headers only; undefined if there are more members than an archive of images has. @throws StrataError `image-invalid`. */
  static async scan(file: FileHandle): Promise<TarMembers | undefined> {
    const found = new Map<string, Found>();
    let position = 0;
    const reader = new TarReader({
      entry({ type, path, link, size }) {
        const name = Buffer.from(path).toString();
        if (type === 'file') found.set(normal(name), { offset: position, size: Number(size) });
        if (type === 'hardlink') found.set(normal(name), { link: normal(Buffer.from(link).toString()) });
        if (type === 'symlink') found.set(normal(name), { link: normal(join('/', name, '..', Buffer.from(link).toString())) });
      },
      data: () => {},
      leftOut: () => {},
    });
    const buffer = Buffer.allocUnsafe(WINDOW);
    const { size } = await file.stat();
    while (position < size && !reader.ended && found.size <= MOST_MEMBERS) {
      const { bytesRead } = await file.read(buffer, 0, WINDOW, position);
      if (bytesRead === 0) break;
      const start = position;
      while (position - start < bytesRead && !reader.ended) {
        const at = position - start;
        const block = buffer.subarray(at, Math.min(at + BLOCK, bytesRead));
        // Contents begin behind the block in which an entry is told.
        position += block.length;
        reader.write(block);
        position += reader.skip();
      }
    }
    if (found.size > MOST_MEMBERS) return undefined;
    if (position > size) throw new StrataError({ code: 'image-invalid', reason: 'the archive is truncated' });
    reader.end();
    return new TarMembers(file, found);
  }

  async find(path: string): Promise<Member | undefined> {
    let found = this.found.get(path);
    for (let links = 0; found !== undefined && 'link' in found; links += 1) {
      if (links === LONGEST_CHAIN) throw new StrataError({ code: 'image-invalid', reason: `too many links from ${path} in the archive` });
      found = this.found.get(found.link);
    }
    if (found === undefined) return undefined;
    const { offset, size } = found;
    return { name: path, size, read: () => fileRange(this.file.fd, offset, size, `${path} in the archive`) };
  }
}

const BLOCK = 512;

/** A path as {@link Members.find} takes it. */
export function normal(path: string): string {
  return join('/', path).slice(1);
}
