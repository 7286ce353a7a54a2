/** Mount options as mount_setattr(2), the new mount API and strata itself take them (config.md, Linux mount options). */
import { ATTR, MS } from './op.ts';

export interface MountOptions {
  /** MOUNT_ATTR_* bits to set and to clear on the mount itself. */
  set: bigint;
  clear: bigint;
  /** The same with AT_RECURSIVE. */
  recursiveSet: bigint;
  recursiveClear: bigint;
  /** MS_* bits, MS_REC included; 0 to leave it. */
  propagation: number;
  bind: boolean;
  /** `rbind`: with what is mounted below the source. */
  recursive: boolean;
  remount: boolean;
  copyUp: boolean;
  idmap: 'none' | 'mount' | 'recursive';
  /** What goes to the file system: superblock flags and its own options. */
  data: string[];
}

/** Option names for one attribute: the first sets the bit, the second clears it. `r` before either makes it recursive. */
const ATTRIBUTES: readonly (readonly [set: string, clear: string, bit: bigint])[] = [
  ['ro', 'rw', ATTR.rdonly],
  ['nosuid', 'suid', ATTR.nosuid],
  ['nodev', 'dev', ATTR.nodev],
  ['noexec', 'exec', ATTR.noexec],
  ['nodiratime', 'diratime', ATTR.nodiratime],
  ['nosymfollow', 'symfollow', ATTR.nosymfollow],
];

/** The attributes of the mount itself, and those of it and all below it. */
const DEPTHS = [
  ['', 'set', 'clear'],
  ['r', 'recursiveSet', 'recursiveClear'],
] as const;

/**
 * The access time is one field of three values, of which relatime is the kernel's default. So an option that undoes another value leads back to
 * relatime, and `norelatime` has nothing to lead to: mount(2) has no such state either.
 */
const ACCESS_TIMES: readonly (readonly [set: string, undo: string, value: bigint])[] = [
  ['noatime', 'atime', ATTR.noatime],
  ['strictatime', 'nostrictatime', ATTR.strictatime],
  ['relatime', 'norelatime', ATTR.relatime],
];

const PROPAGATIONS = { private: MS.private, shared: MS.shared, slave: MS.slave, unbindable: MS.unbindable } as const;

/**
 * Flags of the superblock. fsconfig(2) takes most of them, and their opposites, by these names, whatever the file system. It has none for `iversion` and
 * `silent`: the core makes such a file system with mount(2).
 */
export const SUPERBLOCK_OPTIONS: readonly string[] = 'sync async dirsync mand nomand lazytime nolazytime iversion noiversion silent loud'.split(' ');

type Apply = (out: MountOptions) => void;

const OPTIONS: ReadonlyMap<string, Apply> = new Map([...attributes(), ...accessTimes(), ...propagations(), ...others()]);

/** Reads a mount's options; later ones win. What is not known goes to the file system, as the specification asks. */
export function readOptions(options: readonly string[]): MountOptions {
  const out: MountOptions = {
    set: 0n,
    clear: 0n,
    recursiveSet: 0n,
    recursiveClear: 0n,
    propagation: 0,
    bind: false,
    recursive: false,
    remount: false,
    copyUp: false,
    idmap: 'none',
    data: [],
  };
  for (let index = 0; index < options.length; ++index) {
    const option = options[index] as string;
    const apply = OPTIONS.get(option);
    if (apply !== undefined) apply(out);
    else if (option.includes(',') || option.includes('"')) out.data.push(...splitData(option));
    else if (option !== '') out.data.push(option);
  }
  return out;
}

/** Names that {@link readOptions} understands itself, sorted; for `features`. */
export function mountOptionNames(): string[] {
  return [...OPTIONS.keys()].sort();
}

function* attributes(): Generator<[string, Apply]> {
  for (const [set, clear, bit] of ATTRIBUTES) {
    const others = ~bit;
    for (const [prefix, setBits, clearBits] of DEPTHS) {
      const turn = (on: typeof setBits | typeof clearBits, off: typeof setBits | typeof clearBits): Apply => {
        return (out) => {
          out[on] |= bit;
          out[off] &= others;
        };
      };
      yield [prefix + set, turn(setBits, clearBits)];
      yield [prefix + clear, turn(clearBits, setBits)];
    }
  }
}

function* accessTimes(): Generator<[string, Apply]> {
  for (const [set, undo, value] of ACCESS_TIMES) {
    yield [set, (out) => setAccessTime(out, value, false)];
    yield [`r${set}`, (out) => setAccessTime(out, value, true)];
    yield [undo, (out) => undoAccessTime(out, value, false)];
    yield [`r${undo}`, (out) => undoAccessTime(out, value, true)];
  }
}

function* propagations(): Generator<[string, Apply]> {
  for (const [name, bit] of Object.entries(PROPAGATIONS)) {
    yield [name, put({ propagation: bit })];
    yield [`r${name}`, put({ propagation: bit | MS.rec })];
  }
}

function* others(): Generator<[string, Apply]> {
  // rw, suid, dev, exec, async: what a mount is anyway.
  yield ['defaults', put({})];
  for (const name of SUPERBLOCK_OPTIONS) yield [name, (out) => void out.data.push(name)];
  yield ['bind', put({ bind: true })];
  yield ['rbind', put({ bind: true, recursive: true })];
  yield ['remount', put({ remount: true })];
  yield ['tmpcopyup', put({ copyUp: true })];
  yield ['idmap', put({ idmap: 'mount' })];
  yield ['ridmap', put({ idmap: 'recursive' })];
}

function put(fields: Partial<MountOptions>): Apply {
  return (out) => {
    Object.assign(out, fields);
  };
}

/** The whole field is cleared first, as mount_setattr(2) wants it. */
function setAccessTime(out: MountOptions, value: bigint, recursive: boolean): void {
  if (recursive) {
    out.recursiveSet = (out.recursiveSet & ~ATTR.atime) | value;
    out.recursiveClear |= ATTR.atime;
  } else {
    out.set = (out.set & ~ATTR.atime) | value;
    out.clear |= ATTR.atime;
  }
}

function undoAccessTime(out: MountOptions, value: bigint, recursive: boolean): void {
  if (value === ATTR.relatime) return;
  const [set, clear] = recursive ? [out.recursiveSet, out.recursiveClear] : [out.set, out.clear];
  const isOther = (clear & ATTR.atime) !== 0n && (set & ATTR.atime) !== value;
  if (!isOther) setAccessTime(out, ATTR.relatime, recursive);
}

/** mount(8) joins options with commas, so one string may carry several; a quoted value keeps its commas and loses its quotes. */
function splitData(option: string): string[] {
  const out: string[] = [];
  for (const match of option.matchAll(/(?:"[^"]*"|[^,"]|")+/g)) out.push(match[0].replace(/"/g, ''));
  return out;
}
