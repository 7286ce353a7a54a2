import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { StrataError } from '../../../src/base/error.ts';
import type { Entry } from '../../../src/layer/entry.ts';
import { TarReader } from '../../../src/layer/tar.ts';
import { base256, bytesOf, longName, padded, paxHeader, paxRecord, tar, tarEntry } from '../../helpers/tar.ts';

interface Read {
  readonly entry: Entry;
  readonly name: string;
  /** The file's content, holes filled with zeros. */
  readonly content: string;
  readonly parts: readonly (readonly [number, number])[];
}

function read(archive: Uint8Array, step = archive.length): { entries: Read[]; leftOut: string[]; ended: boolean } {
  const entries: { entry: Entry; content: Buffer; parts: [number, number][] }[] = [];
  const leftOut: string[] = [];
  const reader = new TarReader({
    entry: (entry) => void entries.push({ entry, content: Buffer.alloc(Number(entry.size)), parts: [] }),
    data: (offset, bytes) => {
      const last = entries.at(-1);
      last?.content.set(bytes, offset);
      const part = last?.parts.at(-1);
      if (part !== undefined && part[0] + part[1] === offset) part[1] += bytes.length;
      else last?.parts.push([offset, bytes.length]);
    },
    leftOut: (what) => void leftOut.push(what),
  });
  for (let at = 0; at < archive.length; at += step) reader.write(archive.subarray(at, at + step));
  reader.end();
  const found = entries.map(({ entry, content, parts }) => ({
    entry,
    name: Buffer.from(entry.path).toString('latin1'),
    content: content.toString('latin1'),
    parts,
  }));
  return { entries: found, leftOut, ended: reader.ended };
}

function only(archive: Uint8Array): Read {
  const { entries } = read(archive);
  if (entries.length !== 1 || entries[0] === undefined) throw new Error(`${entries.length} entries`);
  return entries[0];
}

test('a file with all of its fields', (t) => {
  const { entry, content } = only(tar({ name: 'a/b', data: 'hello', mode: 0o4755, uid: 7, gid: 8, mtime: 1_700_000_000 }));
  t.is(content, 'hello');
  t.like(entry, { type: 'file', mode: 0o4755, uid: 7, gid: 8, mtime: { seconds: 1_700_000_000n, nanoseconds: 0 }, size: 5n });
});

test('every type of entry', (t) => {
  const { entries } = read(
    tar(
      { name: 'd', type: '5' },
      { name: 's', type: '2', link: '/x' },
      { name: 'h', type: '1', link: 'd/x' },
      { name: 'c', type: '3', major: 1, minor: 3 },
      { name: 'b', type: '4', major: 8, minor: 1 },
      { name: 'p', type: '6' },
      { name: 'f7', type: '7', data: 'x' },
      { name: 'old', type: '\0', magic: 'v7', data: 'y' },
      { name: 'old/', type: '0', magic: 'v7' },
    ),
  );
  t.deepEqual(
    entries.map(({ entry }) => entry.type),
    ['directory', 'symlink', 'hardlink', 'character', 'block', 'fifo', 'file', 'file', 'directory'],
  );
  t.like(entries[3]?.entry, { major: 1, minor: 3 });
  t.is(Buffer.from(entries[1]?.entry.link ?? []).toString(), '/x');
});

test('a prefix, and the shorter one of star', (t) => {
  t.is(only(tar({ name: 'name', prefix: 'some/where' })).name, 'some/where/name');
  t.is(
    only(tar({ name: 'name', prefix: 'p'.repeat(131), raw: { 476: '00000000001\x0000000000002\x00', 508: 'tar\0' } })).name,
    `${'p'.repeat(131)}/name`,
  );
});

test('long names and links of GNU, and of pax', (t) => {
  const long = `${'d/'.repeat(120)}name`;
  const gnu = Buffer.concat([longName(long), longName(`/${long}`, 'K'), tar({ name: 'short', type: '2', link: 'short', magic: 'gnu' })]);
  t.is(only(gnu).name, long);
  t.is(Buffer.from(only(gnu).entry.link).toString(), `/${long}`);
  t.is(only(tar({ name: 'short', pax: { path: long } })).name, long);
  t.is(only(tar({ name: 'short', prefix: 'p', pax: { path: '' } })).name, 'p/short');
});

test('names that are not UTF-8 stay as they are', (t) => {
  t.deepEqual([...only(tar({ name: Uint8Array.of(0xff, 0xfe, 0x61) })).entry.path], [0xff, 0xfe, 0x61]);
  t.deepEqual([...only(tar({ name: 'x', pax: { hdrcharset: 'BINARY', path: Uint8Array.of(0xc3, 0x28) } })).entry.path], [0xc3, 0x28]);
});

test('numbers in base 256, negative times too', (t) => {
  t.is(only(tar({ name: 'x', raw: { 108: base256(3_000_000_000n, 8) } })).entry.uid, 3_000_000_000);
  t.is(only(tar({ name: 'x', raw: { 136: base256(-86_400n, 12) } })).entry.mtime.seconds, -86_400n);
});

test('times of pax, to the nanosecond and before 1970', (t) => {
  const at = (mtime: string) => only(tar({ name: 'x', pax: { mtime } })).entry.mtime;
  t.deepEqual(at('1700000000.123456789'), { seconds: 1_700_000_000n, nanoseconds: 123_456_789 });
  t.deepEqual(at('5.5'), { seconds: 5n, nanoseconds: 500_000_000 });
  t.deepEqual(at('-1.25'), { seconds: -2n, nanoseconds: 750_000_000 });
  t.deepEqual(at('-3'), { seconds: -3n, nanoseconds: 0 });
  t.deepEqual(at('1.12345678999'), { seconds: 1n, nanoseconds: 123_456_789 });
});

test('extended attributes are bytes, also of value nothing', (t) => {
  const value = Uint8Array.of(1, 0, 0, 2, 0xff, 0x0a, 0x3d);
  const { entry } = only(tar({ name: 'x', pax: { 'SCHILY.xattr.security.capability': value, 'SCHILY.xattr.user.empty': '' } }));
  t.deepEqual(
    entry.xattrs.map(({ name, value: bytes }) => [Buffer.from(name).toString(), [...bytes]]),
    [
      ['security.capability', [...value]],
      ['user.empty', []],
    ],
  );
});

test('a global header holds for all that follow, and a local one goes before it', (t) => {
  const { entries } = read(
    Buffer.concat([
      paxHeader(
        [
          ['mtime', '7'],
          ['uid', '5'],
          ['SCHILY.xattr.user.a', 'all'],
        ],
        'g',
      ),
      tarEntry({ name: 'one' }),
      tar({ name: 'two', pax: { uid: '6', 'SCHILY.xattr.user.a': 'own' } }),
    ]),
  );
  t.deepEqual(
    entries.map(({ entry: { uid, mtime, xattrs } }) => [uid, mtime.seconds, Buffer.from(xattrs[0]?.value ?? []).toString()]),
    [
      [5, 7n, 'all'],
      [6, 7n, 'own'],
    ],
  );
});

test('a size from pax, larger than the field can say', (t) => {
  t.is(only(tar({ name: 'x', data: 'hello', size: 0, pax: { size: '5' } })).content, 'hello');
});

const HOLES = 'a\0\0\0b\0';

test('sparse files of GNU, with more parts than fit in the header', (t) => {
  const part = (offset: number, length: number) => `${offset.toString(8).padStart(11, '0')}\0${length.toString(8).padStart(11, '0')}\0`;
  const simple = tar({ name: 'x', type: 'S', magic: 'gnu', data: 'ab', raw: { 386: part(0, 1) + part(4, 1), 483: '00000000006\0' } });
  t.is(only(simple).content, HOLES);
  t.deepEqual(only(simple).parts, [
    [0, 1],
    [4, 1],
  ]);

  const parts = Array.from({ length: 30 }, (_, index) => part(index * 2, 1));
  const head = tarEntry({
    name: 'y',
    type: 'S',
    magic: 'gnu',
    size: 30,
    raw: { 386: parts.slice(0, 4).join(''), 482: '\x01', 483: '00000000100\0' },
  });
  const more = Buffer.alloc(1024);
  more.write(parts.slice(4, 25).join(''), 0, 'latin1');
  more[504] = 1;
  more.write(parts.slice(25).join(''), 512, 'latin1');
  const { content } = only(Buffer.concat([head, more, padded(Buffer.from('x'.repeat(30))), Buffer.alloc(1024)]));
  t.is(content, 'x\0'.repeat(30) + '\0'.repeat(4));
});

test('sparse files of pax 0.0, 0.1 and 1.0', (t) => {
  const first = tar({
    name: 'x',
    data: 'ab',
    pax: [
      ['GNU.sparse.size', '6'],
      ['GNU.sparse.numblocks', '2'],
      ['GNU.sparse.offset', '0'],
      ['GNU.sparse.numbytes', '1'],
      ['GNU.sparse.offset', '4'],
      ['GNU.sparse.numbytes', '1'],
    ],
  });
  t.is(only(first).content, HOLES);
  const second = tar({
    name: 'mangled',
    data: 'ab',
    pax: { 'GNU.sparse.size': '6', 'GNU.sparse.numblocks': '2', 'GNU.sparse.map': '0,1,4,1', 'GNU.sparse.name': 'right' },
  });
  t.is(only(second).content, HOLES);
  t.is(only(second).name, 'right');
  const third = tar({
    name: 'mangled',
    data: Buffer.concat([padded(Buffer.from('2\n0\n1\n4\n1\n')), Buffer.from('ab')]),
    pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 'right', 'GNU.sparse.realsize': '6' },
  });
  t.is(only(third).content, HOLES);
  t.is(only(third).name, 'right');
});

test('an archive without an end, or with one block of it, is whole; the reader says so', (t) => {
  const entry = tarEntry({ name: 'x', data: 'y' });
  t.false(read(entry).ended);
  t.false(read(Buffer.concat([entry, Buffer.alloc(512)])).ended);
  t.true(read(Buffer.concat([entry, Buffer.alloc(10_240)])).ended);
});

test('the sum of signed bytes is a checksum too', (t) => {
  const archive = tar({ name: Uint8Array.of(0xe4) });
  const signed = archive.subarray(0, 512).reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : (byte << 24) >> 24), 0);
  t.is(only(tar({ name: Uint8Array.of(0xe4), checksum: signed })).name, '\xe4');
});

test('access control lists as text are told', (t) => {
  t.deepEqual(read(tar({ name: 'x', pax: { 'SCHILY.acl.access': 'user::rwx' } })).leftOut, ['access control lists in the form of text']);
});

const file = tarEntry({ name: 'x', data: 'y' });
function manyAttributes(count: number, prefix = ''): [string, string][] {
  return Array.from({ length: count }, (_, number) => [`SCHILY.xattr.user.${prefix}${number}`, '']);
}
const refused: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['a checksum that is wrong', tar({ name: 'x', checksum: 1 }), /checksum is wrong, at byte 0/],
  ['what is no archive', Buffer.alloc(1024, 'text'), /not a tar header/],
  ['a number that is none', tar({ name: 'x', raw: { 100: '00009\0' } }), /mode is no octal number/],
  ['a negative size', tar({ name: 'x', raw: { 124: base256(-1n, 12) } }), /negative size/],
  ['a size beyond all numbers', tar({ name: 'x', raw: { 124: base256(2n ** 80n, 12) } }), /size .* is too large/],
  ['an entry without a name', tar({ name: '' }), /entry without a name/],
  ['a link that leads nowhere', tar({ name: 'x', type: '2' }), /'x'.*leads nowhere/],
  ['a type that nobody knows', tar({ name: 'x', type: 'Q' }), /'x'.*not supported, 'Q'/],
  ['one that cut short a file', file.subarray(0, 512), /truncated/],
  ['one that cut short a header', file.subarray(0, 300), /truncated/],
  ['one that cut short the padding', file.subarray(0, 1000), /truncated/],
  ['a pax header without an entry', Buffer.concat([paxHeader([['path', 'x']]), Buffer.alloc(1024)]), /without an entry/],
  ['a pax header at the end', paxHeader([['path', 'x']]), /truncated/],
  ['two pax headers', Buffer.concat([paxHeader([['path', 'x']]), paxHeader([['path', 'y']]), file]), /two pax headers/],
  ['a pax record that is too long', paxText('99 path=x\n'), /length is wrong/],
  ['a pax record that is too short', paxText('5 path=x\n'), /length is wrong/],
  ['a pax record without a length', paxText('path=x\n'), /without a length|not a decimal/],
  ['a pax record without a key', paxText('5 =x\n'), /without a key/],
  ['a pax record without a line break', paxText('9 path=xyz'), /length is wrong/],
  ['a NUL in a name of pax', Buffer.concat([paxHeader([['path', 'a\0b']]), file]), /NUL/],
  ['a path for all entries', Buffer.concat([paxHeader([['path', 'x']], 'g'), file]), /for all entries that says path/],
  ['more extended attributes than a file can have', Buffer.concat([paxHeader(manyAttributes(5000)), file]), /more than 4096 extended attributes/],
  [
    'as many in all headers for all entries',
    Buffer.concat([paxHeader(manyAttributes(3000, 'a'), 'g'), paxHeader(manyAttributes(3000, 'b'), 'g'), file]),
    /more than 4096 extended attributes/,
  ],
  ['a time that is none', Buffer.concat([paxHeader([['mtime', 'noon']]), file]), /not a time/],
  ['a character set that is not supported', Buffer.concat([paxHeader([['hdrcharset', 'KOI8']]), file]), /character set 'KOI8'/],
  ['a long name that is too long', tarEntry({ name: 'x', type: 'L', size: 2 ** 30 }), /more than 1048576/],
  ['a block of zeros between entries', Buffer.concat([file, Buffer.alloc(512), file]), /zeros between entries/],
  ['something behind the end', Buffer.concat([tar({ name: 'x' }), Buffer.from('x')]), /follows the end/],
  ['parts of a sparse file that overlap', sparse('2\n0\n2\n1\n1\n', 'abc', '6'), /overlap/],
  ['parts of a sparse file beyond its end', sparse('1\n5\n2\n', 'ab', '6'), /beyond its end/],
  ['parts of a sparse file that are not there', sparse('1\n0\n3\n', 'ab', '6'), /parts are 3 bytes.*are 2/],
  ['more parts than can be', sparse('99999999\n', 'ab', '6'), /more than 1048576 parts/],
  ['a map of a sparse file without an end', sparse('12345678901234567890123', 'ab', '6'), /map that is none/],
  ['a map of a sparse file that is not complete', sparse('3\n0\n1\n', '', '6'), /map that is none/],
  ['an extension of sparse files that nobody knows', Buffer.concat([paxHeader([['GNU.sparse.new', '1']]), file]), /not known/],
];

for (const [what, archive, words] of refused) {
  test(`refused: ${what}`, (t) => {
    for (const step of [archive.length, 7]) {
      const error = t.throws(() => read(archive, step), { instanceOf: StrataError });
      t.is(error?.code, 'image-invalid');
      t.regex(error?.message ?? '', words);
    }
  });
}

function paxText(text: string): Buffer {
  return Buffer.concat([tarEntry({ name: 'pax', type: 'x', data: text }), file]);
}

function sparse(map: string, data: string, size: string): Buffer {
  return tar({
    name: 'x',
    data: Buffer.concat([padded(Buffer.from(map)), Buffer.from(data)]),
    pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': size },
  });
}

test('an archive cut in chunks of any size reads the same', (t) => {
  const archive = Buffer.concat([
    longName(`${'x'.repeat(150)}`),
    tarEntry({ name: 'x', data: 'z'.repeat(700), magic: 'gnu' }),
    tarEntry({ name: 'y', data: 'q'.repeat(512), pax: { 'SCHILY.xattr.user.a': 'b', mtime: '1.5' } }),
    sparse('2\n0\n1\n4\n1\n', 'ab', '6'),
  ]);
  const whole = read(archive);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1500 }), (step) => {
      t.deepEqual(read(archive, step), whole);
    }),
    { numRuns: 40 },
  );
});

test('no input makes the reader fail otherwise than by refusing it', (t) => {
  const sound = tar({ name: 'a', data: 'hello', pax: { path: 'b', 'SCHILY.xattr.user.x': 'y' } }, { name: 'l', type: '2', link: 'a' });
  const change = fc.record({ at: fc.nat(sound.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      const broken = Buffer.from(sound);
      for (const { at, byte } of changes) broken[at] = byte;
      try {
        read(broken);
      } catch (error) {
        if (!(error instanceof StrataError) || error.code !== 'image-invalid') throw error;
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('what GNU tar writes, in each of its forms', (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'strata-tar-'));
  try {
    const long = join('d'.repeat(120), 'e'.repeat(120));
    fs.mkdirSync(join(directory, 'in', long), { recursive: true });
    fs.writeFileSync(join(directory, 'in', long, 'file'), 'content');
    const sparseFile = join(directory, 'in/sparse');
    const open = fs.openSync(sparseFile, 'w');
    for (let part = 0; part < 8; part += 1) fs.writeSync(open, `part ${part}`, part * 1024 * 1024);
    fs.ftruncateSync(open, 9 * 1024 * 1024);
    fs.closeSync(open);
    fs.utimesSync(sparseFile, 1.5, 1.5);
    const want = fs.readFileSync(sparseFile, 'latin1');
    const forms = [['gnu'], ['posix', '--sparse-version=0.0'], ['posix', '--sparse-version=0.1'], ['posix', '--sparse-version=1.0']] as const;
    for (const [format, ...rest] of forms) {
      const archive = execFileSync('tar', ['-C', join(directory, 'in'), '--sparse', `--format=${format}`, ...rest, '-c', '.'], {
        maxBuffer: 2 ** 26,
      });
      const { entries } = read(archive, 65_536);
      const found = entries.find(({ name }) => name === './sparse');
      t.true(found?.content === want, `${format} ${rest}`);
      t.true((found?.parts.length ?? 0) >= 8);
      t.is(entries.find(({ name }) => name === `./${long}/file`)?.content, 'content');
    }
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});

test('the helper writes pax records whose lengths are right at each number of digits', (t) => {
  for (const length of [1, 2, 3, 4, 90, 91, 92, 93, 94, 990, 991, 992]) {
    const record = paxRecord('k', 'v'.repeat(length));
    t.is(Number.parseInt(record.toString(), 10), record.length);
  }
  t.is(bytesOf('a').length, 1);
});
