import test from 'ava';
import { type MountOptions, mountOptionNames, readOptions } from '../../../src/plan/mount-options.ts';
import { ATTR, MS } from '../../../src/plan/op.ts';

const EMPTY = readOptions([]);
const read = (...options: string[]): MountOptions => readOptions(options);

/** What one option changes in empty options. */
function changes(option: string): Partial<MountOptions> {
  const entries = Object.entries(read(option)).filter(
    ([key, value]) => JSON.stringify(value, text) !== JSON.stringify(EMPTY[key as keyof MountOptions], text),
  );
  return Object.fromEntries(entries);
}
const text = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

/** The table of config.md, Linux mount options, and what strata adds. */
const TABLE: Readonly<Record<string, Partial<MountOptions>>> = {
  async: { data: ['async'] },
  atime: { clear: ATTR.atime },
  bind: { bind: true },
  defaults: {},
  dev: { clear: ATTR.nodev },
  diratime: { clear: ATTR.nodiratime },
  dirsync: { data: ['dirsync'] },
  exec: { clear: ATTR.noexec },
  iversion: { data: ['iversion'] },
  lazytime: { data: ['lazytime'] },
  loud: { data: ['loud'] },
  mand: { data: ['mand'] },
  noatime: { set: ATTR.noatime, clear: ATTR.atime },
  nodev: { set: ATTR.nodev },
  nodiratime: { set: ATTR.nodiratime },
  noexec: { set: ATTR.noexec },
  noiversion: { data: ['noiversion'] },
  nolazytime: { data: ['nolazytime'] },
  nomand: { data: ['nomand'] },
  norelatime: {},
  nostrictatime: { clear: ATTR.atime },
  nosuid: { set: ATTR.nosuid },
  nosymfollow: { set: ATTR.nosymfollow },
  private: { propagation: MS.private },
  ratime: { recursiveClear: ATTR.atime },
  rbind: { bind: true, recursive: true },
  rdev: { recursiveClear: ATTR.nodev },
  rdiratime: { recursiveClear: ATTR.nodiratime },
  relatime: { clear: ATTR.atime },
  remount: { remount: true },
  rexec: { recursiveClear: ATTR.noexec },
  rnoatime: { recursiveSet: ATTR.noatime, recursiveClear: ATTR.atime },
  rnodiratime: { recursiveSet: ATTR.nodiratime },
  rnoexec: { recursiveSet: ATTR.noexec },
  rnorelatime: {},
  rnostrictatime: { recursiveClear: ATTR.atime },
  rnosuid: { recursiveSet: ATTR.nosuid },
  rnosymfollow: { recursiveSet: ATTR.nosymfollow },
  rnodev: { recursiveSet: ATTR.nodev },
  ro: { set: ATTR.rdonly },
  rprivate: { propagation: MS.private | MS.rec },
  rrelatime: { recursiveClear: ATTR.atime },
  rro: { recursiveSet: ATTR.rdonly },
  rrw: { recursiveClear: ATTR.rdonly },
  rshared: { propagation: MS.shared | MS.rec },
  rslave: { propagation: MS.slave | MS.rec },
  rstrictatime: { recursiveSet: ATTR.strictatime, recursiveClear: ATTR.atime },
  rsuid: { recursiveClear: ATTR.nosuid },
  rsymfollow: { recursiveClear: ATTR.nosymfollow },
  runbindable: { propagation: MS.unbindable | MS.rec },
  rw: { clear: ATTR.rdonly },
  shared: { propagation: MS.shared },
  silent: { data: ['silent'] },
  slave: { propagation: MS.slave },
  strictatime: { set: ATTR.strictatime, clear: ATTR.atime },
  suid: { clear: ATTR.nosuid },
  symfollow: { clear: ATTR.nosymfollow },
  sync: { data: ['sync'] },
  tmpcopyup: { copyUp: true },
  unbindable: { propagation: MS.unbindable },
  idmap: { idmap: 'mount' },
  ridmap: { idmap: 'recursive' },
};

for (const [option, expected] of Object.entries(TABLE)) {
  test(`option ${option}`, (t) => {
    t.deepEqual(changes(option), expected);
  });
}

test('these are all the options there are', (t) => {
  t.deepEqual(mountOptionNames(), Object.keys(TABLE).sort());
});

test('of two that contradict, the later one wins', (t) => {
  t.like(read('ro', 'rw'), { set: 0n, clear: ATTR.rdonly });
  t.like(read('rw', 'ro'), { set: ATTR.rdonly, clear: 0n });
  t.like(read('rprivate', 'shared'), { propagation: MS.shared });
  t.like(read('rro', 'rrw'), { recursiveSet: 0n, recursiveClear: ATTR.rdonly });
});

test('the access time is one field', (t) => {
  t.like(read('noatime', 'strictatime'), { set: ATTR.strictatime, clear: ATTR.atime });
  t.like(read('noatime', 'relatime'), { set: 0n, clear: ATTR.atime });
  t.like(read('noatime', 'atime'), { set: 0n, clear: ATTR.atime });
  t.like(read('noatime', 'nostrictatime'), { set: ATTR.noatime, clear: ATTR.atime });
  t.like(read('strictatime', 'atime', 'nodiratime'), { set: ATTR.strictatime | ATTR.nodiratime, clear: ATTR.atime });
});

test('a bit and its recursive twin are apart', (t) => {
  t.like(read('ro', 'rnosuid'), { set: ATTR.rdonly, recursiveSet: ATTR.nosuid, clear: 0n, recursiveClear: 0n });
});

test('what is not known goes to the file system', (t) => {
  t.deepEqual(read('mode=755', 'nosuid', 'size=64k', 'newinstance').data, ['mode=755', 'size=64k', 'newinstance']);
});

test('one string may carry several options; quotes keep commas together', (t) => {
  t.deepEqual(read('mode=755,size=64k').data, ['mode=755', 'size=64k']);
  t.deepEqual(read('context="u:r:t:s0:c1,c2",x').data, ['context=u:r:t:s0:c1,c2', 'x']);
  t.deepEqual(read('a="b').data, ['a=b']);
  t.deepEqual(read('', ',').data, []);
});
