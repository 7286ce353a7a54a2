import test from 'ava';
import type { Entry } from '../../../src/layer/entry.ts';
import { type LayerRecord, RecordReader, RecordWriter } from '../../../src/layer/records.ts';

const BATCH = 1024 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);

const ENTRY: Entry = {
  type: 'file',
  path: new Uint8Array([0x61, 0xff, 0x62]),
  mode: 0o6755,
  uid: 4_294_967_294,
  gid: 65_534,
  mtime: { seconds: -1n, nanoseconds: 999_999_999 },
  size: 2n ** 40n,
  link: bytes(''),
  major: 0,
  minor: 0,
  xattrs: [
    { name: bytes('user.a'), value: new Uint8Array([0, 255]) },
    { name: bytes('security.capability'), value: bytes('') },
  ],
};

function read(batches: readonly Uint8Array[]): LayerRecord[] {
  const records: LayerRecord[] = [];
  for (const batch of batches) {
    const reader = new RecordReader(batch);
    for (let record = reader.next(); record !== undefined; record = reader.next()) records.push(record);
  }
  return records;
}

test('what is written is read again', (t) => {
  const writer = new RecordWriter();
  const device: Entry = { ...ENTRY, type: 'character', size: 0n, major: 4095, minor: 1_048_575, xattrs: [] };
  const link: Entry = { ...ENTRY, type: 'symlink', size: 0n, link: bytes('../target'), mtime: { seconds: 2n ** 40n, nanoseconds: 0 } };
  writer.entry(ENTRY, true);
  writer.data(2 ** 39, bytes('data'));
  writer.entry(device);
  writer.entry(link);
  writer.whiteout(bytes('gone'));
  writer.opaque(bytes(''));
  t.deepEqual(writer.take(), []);
  t.deepEqual(read(writer.flush()), [
    { kind: 'entry', entry: ENTRY, existed: true },
    { kind: 'data', offset: 2 ** 39, bytes: bytes('data') },
    { kind: 'entry', entry: device, existed: false },
    { kind: 'entry', entry: link, existed: false },
    { kind: 'whiteout', path: bytes('gone') },
    { kind: 'opaque', path: bytes('') },
  ]);
  t.deepEqual(writer.flush(), []);
});

test('data is cut where a batch is full, and no batch is larger than it must be', (t) => {
  const writer = new RecordWriter();
  const data = new Uint8Array(3 * BATCH + 12_345).map((_, index) => index % 251);
  writer.entry(ENTRY);
  writer.data(1000, data.subarray(0, 500_000));
  writer.data(501_000, data.subarray(500_000));
  const batches = [...writer.take(), ...writer.flush()];
  t.true(batches.length >= 4);
  const whole = new Uint8Array(data.length);
  for (const batch of batches) t.true(batch.length <= BATCH);
  for (const record of read(batches)) if (record.kind === 'data') whole.set(record.bytes, record.offset - 1000);
  t.true(Buffer.from(whole.buffer).equals(data));
});

test('an entry that is larger than a batch gets one of its own', (t) => {
  const sizes: number[] = [];
  const writer = new RecordWriter((size) => {
    sizes.push(size);
    return new Uint8Array(size + 10);
  });
  const large: Entry = { ...ENTRY, xattrs: [{ name: bytes('user.a'), value: new Uint8Array(2 * BATCH) }] };
  writer.entry(ENTRY);
  writer.entry(large);
  writer.entry(ENTRY);
  const records = read([...writer.take(), ...writer.flush()]);
  t.deepEqual(
    records.map((record) => record.kind === 'entry' && record.entry.xattrs[0]?.value.length),
    [2, 2 * BATCH, 2],
  );
  t.is(sizes.length, 3);
  t.true((sizes[1] ?? 0) > 2 * BATCH);
});

test('what is no record is an error', (t) => {
  const record = (kind: number, type: number) => new Uint8Array(new Uint32Array([kind, 60, type, ...new Array<number>(14).fill(0)]).buffer);
  t.throws(() => new RecordReader(record(5, 0)).next(), { instanceOf: RangeError });
  t.throws(() => new RecordReader(record(1, 7)).next(), { instanceOf: RangeError });
});
