import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import type { Entry } from '../../../src/layer/entry.ts';
import type { Limits } from '../../../src/layer/filter.ts';
import { DEFAULT_LIMITS, LayerFilter } from '../../../src/layer/filter.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = (of: Uint8Array): string => Buffer.from(of).toString();

function entry(path: string, fields: Partial<Entry> = {}): Entry {
  return {
    type: 'file',
    path: bytes(path),
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0n, nanoseconds: 0 },
    size: 0n,
    link: bytes(''),
    major: 0,
    minor: 0,
    xattrs: [],
    ...fields,
  };
}

/** What of the entries reaches a layer. */
function filtered(entries: readonly Entry[], limits: Partial<Limits> = {}): { told: string[]; filter: LayerFilter } {
  const told: string[] = [];
  const filter = new LayerFilter(
    {
      entry: ({ type, path, xattrs }) => void told.push(`${type} ${text(path)}${xattrs.map(({ name }) => ` ${text(name)}`).join('')}`),
      data: (offset, data) => void told.push(`data ${offset} ${text(data)}`),
      whiteout: (path) => void told.push(`whiteout ${text(path)}`),
      opaque: (path) => void told.push(`opaque ${text(path)}`),
    },
    { ...DEFAULT_LIMITS, ...limits },
    { size: 0, entries: 0 },
  );
  for (const one of entries) {
    filter.entry(one);
    if (one.type === 'file') filter.data(0, bytes('x'));
  }
  return { told, filter };
}

test('names of whiteouts become what they mean, and their content is left out', (t) => {
  const { told } = filtered(['.wh.a', 'd/.wh.b', './/d/.wh..hidden', 'd/.wh..wh..opq', '.wh..wh..opq', 'd/wh.c', '.who'].map((path) => entry(path)));
  t.deepEqual(told, [
    'whiteout a',
    'whiteout d/b',
    'whiteout .//d/.hidden',
    'opaque d/',
    'opaque ',
    'file d/wh.c',
    'data 0 x',
    'file .who',
    'data 0 x',
  ]);
});

test('what aufs kept for itself, attributes of overlayfs and labels are left out and counted', (t) => {
  const names = ['user.mine', 'security.capability', 'trusted.overlay.opaque', 'user.overlay.whiteout', 'security.selinux', 'security.ima'];
  const xattrs = names.map((name) => ({ name: bytes(name), value: bytes('y') }));
  const { told, filter } = filtered([entry('.wh..wh.plnk'), entry('.wh..wh.aufs'), entry('f', { xattrs })]);
  t.deepEqual(told, ['file f user.mine security.capability', 'data 0 x']);
  t.deepEqual(
    [...filter.leftOutCounts],
    [
      ['files that aufs kept for itself', 2],
      ['extended attributes of overlayfs', 2],
      ['labels of security modules', 2],
    ],
  );
});

test('the root may only be a directory', (t) => {
  for (const path of ['.', './', '/', './.', '//']) {
    t.deepEqual(filtered([entry(path, { type: 'directory' })]).told, [`directory ${path}`]);
    t.throws(() => filtered([entry(path)]), { instanceOf: StrataError, message: /the root must be a directory/ });
  }
});

test('limits count over all that goes through, to the last byte', (t) => {
  const two = [entry('a', { size: 6n }), entry('b', { size: 4n })];
  t.is(filtered(two, { maxSize: 10, maxEntries: 2 }).told.length, 4);
  t.throws(() => filtered(two, { maxSize: 9 }), { message: /more than 9 bytes of files \(--max-size allows more\)/ });
  t.throws(() => filtered(two, { maxEntries: 1 }), { message: /more than 1 entries/ });
});

test('devices that Linux has, and no others', (t) => {
  const device = (type: 'character' | 'block', major: number, minor: number) => () => filtered([entry('d', { type, major, minor })]).told;
  t.deepEqual(device('character', 4095, 1_048_575)(), ['character d']);
  t.deepEqual(device('block', 0, 0)(), ['block d']);
  t.throws(device('character', 0, 0), { message: /entry 'd': a character device 0:0/ });
  t.throws(device('character', 4096, 0), { message: /no such device/ });
  t.throws(device('block', 0, 1_048_576), { message: /no such device/ });
});
