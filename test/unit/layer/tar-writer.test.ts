import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Entry } from '../../../src/layer/entry.ts';
import { BLOCK, TAR_END, tarHeader, tarPadding, whiteoutEntry } from '../../../src/layer/tar-writer.ts';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const bytes = (string: string) => new Uint8Array(Buffer.from(string, 'latin1'));

function entry(changes: Partial<Omit<Entry, 'path' | 'link'>> & { readonly path: string; readonly link?: string }): Entry {
  return {
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0n, nanoseconds: 0 },
    size: 0n,
    major: 0,
    minor: 0,
    xattrs: [],
    ...changes,
    path: bytes(changes.path),
    link: bytes(changes.link ?? ''),
  };
}

/** The records of the pax header before an entry, `KEY=VALUE`. */
function pax(header: Uint8Array): string[] {
  if (header.length === BLOCK) return [];
  const size = Number.parseInt(text(header.subarray(124, 135)), 8);
  const all = text(header.subarray(BLOCK, BLOCK + size));
  const found: string[] = [];
  for (let at = 0; at < all.length; ) {
    const space = all.indexOf(' ', at);
    const length = Number(all.slice(at, space));
    found.push(all.slice(space + 1, at + length - 1));
    at += length;
  }
  return found;
}

test('a plain entry takes one block, with the checksum of POSIX', (t) => {
  const header = tarHeader(
    entry({ path: 'etc/passwd', mode: 0o4755, uid: 1000, gid: 100, size: 1234n, mtime: { seconds: 1_700_000_000n, nanoseconds: 0 } }),
  );
  t.is(header.length, BLOCK);
  t.is(text(header.subarray(0, 11)), 'etc/passwd\0');
  t.is(text(header.subarray(100, 108)), '0004755\0');
  t.is(text(header.subarray(108, 116)), '0001750\0');
  t.is(text(header.subarray(124, 136)), '00000002322\0');
  t.is(text(header.subarray(136, 148)), '14524770400\0');
  t.is(text(header.subarray(156, 157)), '0');
  t.is(text(header.subarray(257, 265)), 'ustar\x0000');
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  t.is(Number.parseInt(text(header.subarray(148, 154)), 8), sum);
});

test('directories end with a slash and the root is ./', (t) => {
  t.is(text(tarHeader(entry({ path: 'etc', type: 'directory' })).subarray(0, 5)), 'etc/\0');
  t.is(text(tarHeader(entry({ path: '', type: 'directory' })).subarray(0, 3)), './\0');
});

test('what a plain header cannot hold stands in a pax header', (t) => {
  const long = 'd/'.repeat(60);
  t.deepEqual(pax(tarHeader(entry({ path: 'a'.repeat(100) }))), []);
  t.deepEqual(pax(tarHeader(entry({ path: 'a'.repeat(100), type: 'directory' }))), [`path=${'a'.repeat(100)}/`]);
  t.deepEqual(pax(tarHeader(entry({ path: `${long}x`, type: 'symlink', link: `${long}y` }))), [`path=${long}x`, `linkpath=${long}y`]);
  t.deepEqual(pax(tarHeader(entry({ path: `${long}\xff` }))), ['hdrcharset=BINARY', `path=${long}\xff`]);
  t.deepEqual(pax(tarHeader(entry({ path: 'x\xff' }))), []);
  t.deepEqual(pax(tarHeader(entry({ path: 'x', uid: 2097152, gid: 4294967294 }))), ['uid=2097152', 'gid=4294967294']);
  t.deepEqual(pax(tarHeader(entry({ path: 'x', size: 8589934592n }))), ['size=8589934592']);
  t.deepEqual(pax(tarHeader(entry({ path: 'x', size: 8589934591n }))), []);
});

test('times keep their nanoseconds, also before 1970', (t) => {
  const time = (seconds: bigint, nanoseconds: number) => pax(tarHeader(entry({ path: 'x', mtime: { seconds, nanoseconds } })));
  t.deepEqual(time(1n, 0), []);
  t.deepEqual(time(1n, 5), ['mtime=1.000000005']);
  t.deepEqual(time(1n, 500_000_000), ['mtime=1.5']);
  t.deepEqual(time(-1n, 500_000_000), ['mtime=-0.5']);
  t.deepEqual(time(-2n, 0), ['mtime=-2']);
  t.deepEqual(time(8589934592n, 0), ['mtime=8589934592']);
});

test('extended attributes are any bytes, and the length of a record counts itself', (t) => {
  const value = Uint8Array.from({ length: 256 }, (_, index) => index);
  const xattrs = [{ name: bytes('security.capability'), value }];
  t.deepEqual(pax(tarHeader(entry({ path: 'x', xattrs }))), [`SCHILY.xattr.security.capability=${text(value)}`]);
  for (let size = 60; size < 110; size++) {
    const [record] = pax(tarHeader(entry({ path: 'x', xattrs: [{ name: bytes('user.a'), value: new Uint8Array(size).fill(0x61) }] })));
    t.is(record, `SCHILY.xattr.user.a=${'a'.repeat(size)}`);
  }
});

test('a whiteout is an empty file beside what it hides', (t) => {
  t.is(text(whiteoutEntry(bytes('etc/motd')).path), 'etc/.wh.motd');
  t.is(text(whiteoutEntry(bytes('top\xff')).path), '.wh.top\xff');
});

test('tar unpacks what is written', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'strata-tar-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const content = bytes('hello\n');
  const long = `${'n'.repeat(120)}/${'m'.repeat(120)}`;
  const parts = [
    tarHeader(entry({ path: 'n'.repeat(120), type: 'directory', mode: 0o755 })),
    tarHeader(entry({ path: long, size: BigInt(content.length), mtime: { seconds: 1_600_000_000n, nanoseconds: 123_456_789 } })),
    content,
    tarPadding(BigInt(content.length)),
    tarHeader(entry({ path: 'link', type: 'hardlink', link: long })),
    tarHeader(entry({ path: 'symlink', type: 'symlink', link: 'l'.repeat(300), mode: 0o777 })),
    tarHeader(entry({ path: 'fifo', type: 'fifo', mode: 0o600 })),
    TAR_END,
  ];
  const archive = join(directory, 'archive.tar');
  writeFileSync(archive, Buffer.concat(parts));
  const { status, stderr } = spawnSync('tar', ['--no-same-owner', '-xf', archive, '-C', directory], { encoding: 'utf8' });
  t.is(status, 0, stderr);
  t.is(readFileSync(join(directory, 'link'), 'utf8'), 'hello\n');
  t.is(statSync(join(directory, long), { bigint: true }).mtimeNs, 1_600_000_000_123_456_789n);
  t.is(readlinkSync(join(directory, 'symlink')), 'l'.repeat(300));
  t.true(statSync(join(directory, 'fifo')).isFIFO());
});
