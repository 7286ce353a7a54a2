/**
 * What of an archive's entries may reach a layer, and as what: whiteouts and opaque directories are told from entries by their names (layer.md,
 * "Whiteouts"), what an attacker could use is refused, and limits are kept.
 */
import { StrataError } from '../base/error.ts';
import { ascii, quoteBytes } from './bytes.ts';
import type { Entry, ExtendedAttribute } from './entry.ts';
import type { TarSink } from './tar.ts';

/** Where entries go: `RecordWriter` has this form. */
export interface LayerSink {
  entry(entry: Entry): void;
  /** Part of the last entry's content. */
  data(offset: number, bytes: Uint8Array): void;
  /** What lower layers have under this path is not to be seen. */
  whiteout(path: Uint8Array): void;
  /** Nor what they have in this directory. */
  opaque(path: Uint8Array): void;
}

/** What one import may bring at most, over all of its layers. */
export interface Limits {
  /** Bytes of file contents, holes included. */
  readonly maxSize: number;
  readonly maxEntries: number;
  /** How many times larger a layer may be than its compressed form, once it is larger than 64 MiB. */
  readonly maxRatio: number;
}

export const DEFAULT_LIMITS: Limits = { maxSize: 100 * 1024 ** 3, maxEntries: 10_000_000, maxRatio: 200 };

/** Bytes of a layer that may be compressed as well as they like. */
const RATIO_COUNTS_FROM = 64 * 1024 * 1024;

/** @throws StrataError `image-invalid` if so many bytes may not come of so many compressed ones. */
export function checkRatio(size: number, compressed: number, { maxRatio }: Limits): void {
  if (size > RATIO_COUNTS_FROM && size > maxRatio * compressed)
    refuseAll(`it is more than ${maxRatio} times larger than its compressed form`, '--max-ratio allows more');
}

/** What has been counted against {@link Limits}. */
export interface Usage {
  size: number;
  entries: number;
}

const SLASH = 0x2f;
const DOT = 0x2e;
/** Of a name, in bytes: NAME_MAX. */
const LONGEST_NAME = 255;
/** Of a path, in bytes, as system calls take it: PATH_MAX without the NUL. */
const LONGEST_PATH = 4095;
/** XATTR_NAME_MAX and XATTR_SIZE_MAX. */
const LONGEST_ATTRIBUTE = 255;
const LARGEST_VALUE = 65_536;
/** The last uid and gid; 4294967295 means none in system calls. */
const LAST_ID = 4_294_967_294;
/** Linux has 12 bits for the one number of a device and 20 for the other. */
const LAST_MAJOR = 4095;
const LAST_MINOR = 1_048_575;
/** Of 64 bits. */
const LAST_SECOND = 2n ** 63n - 1n;

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Of files that aufs kept for itself. */
const AUFS = '.wh..wh.';

/** Extended attributes by which overlayfs would take a file for something else. */
const OVERLAY = /^(trusted|user)\.overlay\./;
/** Labels and measurements of security modules: what a file of this machine is to them is not for an image to say. */
const MACHINE = /^security\.(?!capability$)/;

export class LayerFilter implements TarSink {
  /** What has been left out, and how often. */
  readonly leftOutCounts = new Map<string, number>();
  private readonly sink: LayerSink;
  private readonly limits: Limits;
  private readonly usage: Usage;
  /** The content of what is not applied is not wanted either. */
  private wantsData = false;

  constructor(sink: LayerSink, limits: Limits, usage: Usage) {
    this.sink = sink;
    this.limits = limits;
    this.usage = usage;
  }

  entry(entry: Entry): void {
    const { limits, usage } = this;
    this.wantsData = false;
    usage.entries += 1;
    if (usage.entries > limits.maxEntries) refuseAll(`more than ${limits.maxEntries} entries`, '--max-entries allows more');
    usage.size += Number(entry.size);
    if (usage.size > limits.maxSize) refuseAll(`more than ${limits.maxSize} bytes of files`, '--max-size allows more');

    const last = checkPath(entry.path, 'path');
    if (last === undefined) {
      if (entry.type !== 'directory') refuse(entry, 'the root must be a directory');
    } else if (isWhiteout(entry.path, last.start, last.end)) {
      this.hide(entry, last.start, last.end);
      return;
    }
    this.check(entry);
    this.wantsData = entry.type === 'file';
    this.sink.entry(entry.xattrs.length === 0 ? entry : { ...entry, xattrs: this.attributes(entry) });
  }

  data(offset: number, bytes: Uint8Array): void {
    if (this.wantsData) this.sink.data(offset, bytes);
  }

  leftOut(what: string, count = 1): void {
    this.leftOutCounts.set(what, (this.leftOutCounts.get(what) ?? 0) + count);
  }

  private hide(entry: Entry, start: number, end: number): void {
    const name = ascii(entry.path.subarray(start, end));
    if (entry.type === 'directory') refuse(entry, 'a whiteout that is a directory');
    const parent = entry.path.subarray(0, start);
    if (name === OPAQUE) {
      this.sink.opaque(parent);
      return;
    }
    if (name.startsWith(AUFS)) {
      this.leftOut('files that aufs kept for itself');
      return;
    }
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === '' || hidden === '.' || hidden === '..') refuse(entry, 'a whiteout of nothing that has a name');
    const path = new Uint8Array(start + hidden.length);
    path.set(parent);
    path.set(entry.path.subarray(start + WHITEOUT.length, end), start);
    this.sink.whiteout(path);
  }

  private check(entry: Entry): void {
    const { type, uid, gid, major, minor, mtime } = entry;
    if (uid > LAST_ID || gid > LAST_ID) refuse(entry, `no such owner as ${uid}:${gid}`);
    if (mtime.seconds > LAST_SECOND || mtime.seconds < -LAST_SECOND) refuse(entry, `no such time as ${mtime.seconds} s`);
    switch (type) {
      case 'character':
      case 'block':
        if (major > LAST_MAJOR || minor > LAST_MINOR) refuse(entry, `no such device as ${major}:${minor}`);
        // For overlayfs this is a whiteout; it must not get there by another way than a whiteout's name.
        if (major === 0 && minor === 0 && type === 'character') refuse(entry, 'a character device 0:0');
        break;
      case 'hardlink': {
        const target = checkPath(entry.link, 'link', entry);
        if (target === undefined) refuse(entry, 'a hardlink to the root');
        if (isWhiteout(entry.link, target.start, target.end)) refuse(entry, `a hardlink to ${quoteBytes(entry.link)}, which is a whiteout`);
        break;
      }
      case 'symlink':
        if (entry.link.length > LONGEST_PATH) refuse(entry, `a symlink of ${entry.link.length} bytes, more than ${LONGEST_PATH}`);
        if (entry.link.includes(0)) refuse(entry, 'a symlink with a NUL');
        break;
      default:
    }
  }

  private attributes(entry: Entry): readonly ExtendedAttribute[] {
    return entry.xattrs.filter(({ name, value }) => {
      if (name.length > LONGEST_ATTRIBUTE || name.includes(0)) refuse(entry, `an extended attribute with the name ${quoteBytes(name)}`);
      if (value.length > LARGEST_VALUE) refuse(entry, `an extended attribute of ${value.length} bytes, more than ${LARGEST_VALUE}`);
      const text = ascii(name);
      if (OVERLAY.test(text)) this.leftOut('extended attributes of overlayfs');
      else if (MACHINE.test(text)) this.leftOut('labels of security modules');
      else return true;
      return false;
    });
  }
}

/** Where the last component of a path begins and ends; undefined for the root. */
function checkPath(path: Uint8Array, what: 'path' | 'link', entry?: Entry): { readonly start: number; readonly end: number } | undefined {
  const { length } = path;
  const complain = (reason: string): never =>
    entry === undefined ? invalid(`entry ${quoteBytes(path)}: ${reason}`) : refuse(entry, `a hardlink to ${quoteBytes(path)}: ${reason}`);
  if (length > LONGEST_PATH) complain(`a ${what} of ${length} bytes, more than ${LONGEST_PATH}`);
  let last: { start: number; end: number } | undefined;
  for (let start = 0; start < length; ) {
    let end = path.indexOf(SLASH, start);
    if (end < 0) end = length;
    const size = end - start;
    if (size > LONGEST_NAME) complain(`a name of ${size} bytes, more than ${LONGEST_NAME}`);
    if (size === 2 && path[start] === DOT && path[start + 1] === DOT) complain("a path with '..'");
    if (size > 0 && !(size === 1 && path[start] === DOT)) {
      if (last !== undefined && isWhiteout(path, last.start, last.end)) complain('something below a whiteout');
      last = { start, end };
    }
    start = end + 1;
  }
  return last;
}

function isWhiteout(path: Uint8Array, start: number, end: number): boolean {
  return end - start >= 4 && path[start] === DOT && path[start + 1] === 0x77 && path[start + 2] === 0x68 && path[start + 3] === DOT;
}

function refuse(entry: Entry, reason: string): never {
  invalid(`entry ${quoteBytes(entry.path)}: ${reason}`);
}

function refuseAll(reason: string, hint: string): never {
  throw new StrataError({ code: 'image-invalid', reason, hint });
}

function invalid(reason: string): never {
  throw new StrataError({ code: 'image-invalid', reason });
}
