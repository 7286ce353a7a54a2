/** Layers on their thread (src/archive/native.ts): in order, with failures that name the entry, and stopped at once. What comes of them: test/native/layer_apply.cpp. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { compareTrees, openLayer } from '../../src/archive/native.ts';
import type { Entry, EntryType } from '../../src/layer/entry.ts';
import { RecordWriter } from '../../src/layer/records.ts';

const rooted = process.getuid?.() === 0 ? test : test.skip;

function scratch(t: ExecutionContext): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'strata-layer-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function entry(type: EntryType, path: string, size = 0): Entry {
  const none = new Uint8Array();
  const mtime = { seconds: 1n, nanoseconds: 0 };
  return { type, path: Buffer.from(path), mode: 0o644, uid: 0, gid: 0, mtime, size: BigInt(size), link: none, major: 0, minor: 0, xattrs: [] };
}

rooted('many batches are applied in order, and their buffers used again', async (t) => {
  const directory = scratch(t);
  const layer = openLayer(directory, { lower: [], mode: 'overlay' });
  const buffers = new Set<ArrayBufferLike>();
  const writer = new RecordWriter((size) => {
    const buffer = layer.allocate(size);
    buffers.add(buffer.buffer);
    return buffer;
  });
  const content = Buffer.alloc(1_500_000, 'contents ');
  for (let file = 0; file < 40; file++) {
    writer.entry(entry('file', `d/${file}`, content.length));
    writer.data(0, content);
    for (const batch of writer.take()) await layer.write(batch);
  }
  for (const batch of writer.flush()) await layer.write(batch);
  t.deepEqual(await layer.finish(), { entries: 40, size: 40 * content.length, dropped: 0, unsupported: 0 });
  t.true(buffers.size < 20, `${buffers.size} buffers`);
  for (let file = 0; file < 40; file++) t.true(fs.readFileSync(join(directory, 'd', `${file}`)).equals(content));
});

rooted('a failure names the entry, and nothing is applied after it', async (t) => {
  const directory = scratch(t);
  const layer = openLayer(directory, { lower: [], mode: 'overlay' });
  const writer = new RecordWriter((size) => layer.allocate(size));
  writer.entry(entry('character', 'dev/zero-zero'));
  writer.entry(entry('file', 'after'));
  for (const batch of writer.flush()) await layer.write(batch);
  const failure = { code: 'image-invalid', message: /^dev\/zero-zero: a character device 0:0/ };
  await t.throwsAsync(layer.finish(), failure);
  writer.entry(entry('file', 'later'));
  await t.throwsAsync(Promise.all(writer.flush().map((batch) => layer.write(batch))), failure);
  await layer.abort();
  t.deepEqual(fs.readdirSync(directory), ['dev']);
});

rooted('what the kernel refuses is a system error', async (t) => {
  t.throws(() => openLayer('/nothing/here', { lower: [], mode: 'overlay' }), { code: 'system', message: /no such file/ });
  const directory = scratch(t);
  t.throws(() => openLayer(directory, { lower: ['/nothing/here'], mode: 'overlay' }), { code: 'system', message: /^\/nothing\/here: open/ });
  const layer = openLayer(directory, { lower: [], mode: 'overlay' });
  const writer = new RecordWriter();
  writer.entry({ ...entry('file', 'f'), xattrs: [{ name: Buffer.from('user.'.padEnd(300, 'a')), value: new Uint8Array() }] });
  for (const batch of writer.flush()) await layer.write(batch);
  await t.throwsAsync(layer.finish(), { code: 'system', message: /^f: fsetxattr: / });
});

rooted('after an abort nothing is touched', async (t) => {
  const directory = scratch(t);
  const layer = openLayer(directory, { lower: [], mode: 'overlay' });
  const writer = new RecordWriter();
  for (let file = 0; file < 3000; file++) writer.entry(entry('file', `${file}`));
  const written = Promise.allSettled(writer.flush().map((batch) => layer.write(batch)));
  await layer.abort();
  const count = fs.readdirSync(directory).length;
  await written;
  await setTimeout(50);
  t.is(fs.readdirSync(directory).length, count);
  await t.throwsAsync(layer.finish());
});

rooted('layers are applied beside each other', async (t) => {
  const directory = scratch(t);
  const names = Array.from({ length: 6 }, (_, index) => join(directory, `${index}`));
  await Promise.all(
    names.map(async (name) => {
      fs.mkdirSync(name);
      const layer = openLayer(name, { lower: [], mode: 'flat' });
      const writer = new RecordWriter((size) => layer.allocate(size));
      for (let file = 0; file < 200; file++) writer.entry(entry(file % 2 === 0 ? 'directory' : 'file', `a/b${file}`));
      for (const batch of writer.flush()) await layer.write(batch);
      t.is((await layer.finish()).entries, 200);
    }),
  );
  for (const name of names) fs.utimesSync(join(name, 'a'), 1, 1);
  for (const name of names) fs.utimesSync(name, 1, 1);
  for (const name of names.slice(1)) t.is(await compareTrees(names[0] ?? '', name), undefined);
  fs.writeFileSync(join(names[0] ?? '', 'a', 'b1'), 'x');
  t.like(await compareTrees(names[0] ?? '', names[1] ?? ''), { path: '/a/b1' });
});
