import test from 'ava';
import { LayerArchiveWriter } from '../../../src/layer/archive-writer.ts';
import type { LayerRecord } from '../../../src/layer/records.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

function file(path: string, size: bigint): Extract<LayerRecord, { kind: 'entry' }> {
  const mtime = { seconds: 0n, nanoseconds: 0 };
  const entry = {
    type: 'file',
    path: bytes(path),
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime,
    size,
    link: bytes(''),
    major: 0,
    minor: 0,
    xattrs: [],
  } as const;
  return { kind: 'entry', entry, existed: false };
}

test('what lies between the written parts of a file are zeros', async (t) => {
  const parts: Buffer[] = [];
  const writer = new LayerArchiveWriter(async (part) => void parts.push(Buffer.from(part)));
  await writer.add(file('f', 700n));
  await writer.add({ kind: 'data', offset: 600, bytes: bytes('x') });
  await writer.finish();
  const archive = Buffer.concat(parts);
  t.is(archive.length, 512 + 1024 + 1024);
  t.is(archive.indexOf('x', 512), 512 + 600);
  t.deepEqual([writer.entries, writer.total], [1, 700]);
});

test('a layer of more than an import takes is refused before its holes are written', async (t) => {
  const writer = new LayerArchiveWriter(async () => t.fail());
  await writer.add(file('a', 1n));
  await t.throwsAsync(writer.add(file('holes', 15n * 1024n ** 4n)), {
    message: /holes.* makes the layer larger than 107374182400 bytes, holes included/,
  });
});
