/** One entry of a layer, as an archive has it: names are bytes, for they need not be UTF-8. */

export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo';

export interface Timestamp {
  /** Since 1970; negative before. */
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

export interface ExtendedAttribute {
  /** With its namespace, such as `security.capability`. */
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

export interface Entry {
  readonly type: EntryType;
  /** As in the archive: it may be absolute, and have `.` and `..`. */
  readonly path: Uint8Array;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timestamp;
  /** Of a file, in bytes. */
  readonly size: bigint;
  /** Where a symlink leads, or the path of a hardlink's other name. */
  readonly link: Uint8Array;
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  readonly xattrs: readonly ExtendedAttribute[];
}
