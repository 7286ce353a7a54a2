/** A disk that is full: whatever could not be done is told in one line and leaves nothing behind, and the store is as sound as before. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { BASE, TestStore } from '../helpers/images.ts';
import { tarOf } from '../helpers/layout.ts';
import { containerTest, failed } from './_support.ts';

const LEVELS = 10;
/** Of the file that makes a layer large, in bytes; it does not compress. */
const LARGE = 512 * 1024;

/** Takes all of the file system but so many bytes. */
function leave(mount: string, bytes: number): void {
  fs.rmSync(join(mount, 'filler'), { force: true });
  const { bavail, bsize } = fs.statfsSync(mount);
  const page = 4096;
  const pages = Math.max(0, Math.floor((bavail * bsize - bytes) / page));
  fs.writeFileSync(join(mount, 'filler'), Buffer.alloc(pages * page));
}

function free(mount: string): number {
  fs.rmSync(join(mount, 'filler'), { force: true });
  const { bavail, bsize } = fs.statfsSync(mount);
  return bavail * bsize;
}

/** What the store holds, as far as the verb could have changed it. */
function contents(store: TestStore): Record<string, readonly string[]> {
  return Object.fromEntries(['blobs/sha256', 'layers', 'images', 'containers', 'volumes', 'tmp'].map((name) => [name, store.names(name)]));
}

interface Attempt {
  /** Where the disk is. */
  readonly mount: string;
  readonly store: TestStore;
  readonly args: readonly string[];
  readonly undo: () => Promise<unknown>;
}

/** Has `args` done at each of ten levels between nothing and enough; `undo` takes it back where it succeeded. */
async function atEachLevel(t: ExecutionContext, { mount, store, args, undo }: Attempt): Promise<void> {
  const before = contents(store);
  const room = free(mount);
  await store.out(...args);
  const need = room - free(mount);
  t.true(need > LARGE, `it needs ${need}`);
  await undo();
  t.deepEqual(contents(store), before, 'undone');
  for (let level = 0; level < LEVELS; level++) {
    leave(mount, Math.floor((need * level) / LEVELS));
    const result = await store.strata(...args);
    fs.rmSync(join(mount, 'filler'));
    failed(t, { ...result, stderr: result.stderr.replace(/^(?!strata:).*\n/gm, '') }, 'no space left on device');
    t.deepEqual(contents(store), before, `level ${level}: ${result.stderr}`);
    t.deepEqual(await store.findings(), [], `level ${level}`);
  }
  await store.out(...args);
  t.deepEqual(await store.findings(), [], 'at last');
}

function onSmallDisk(title: string, body: (t: ExecutionContext, store: TestStore, mount: string) => Promise<void>): void {
  containerTest(title, async (t, workspace) => {
    const mount = workspace.mount('tmpfs', 'size=16m');
    const store = new TestStore(workspace, join(mount, 'store'));
    await store.import('base', BASE);
    await body(t, store, mount);
    t.regex(await store.out('fsck'), /^the store is sound$/m);
  });
}

onSmallDisk('import on a disk that gets full', async (t, store, mount) => {
  const large = tarOf([{ path: 'large', content: randomBytes(LARGE) }]);
  const args = ['image', 'import', '--quiet', '--name', 'large', store.layout('large', BASE, large)];
  await atEachLevel(t, { mount, store, args, undo: () => store.out('image', 'rm', 'large') });
});

onSmallDisk('commit on a disk that gets full', async (t, store, mount) => {
  await store.out('create', '--image', 'base', 'c1');
  fs.writeFileSync(join(store.directory, 'containers/c1/upper/large'), randomBytes(LARGE));
  await atEachLevel(t, { mount, store, args: ['commit', 'c1', 'large'], undo: () => store.out('image', 'rm', 'large') });
  await store.out('delete', 'c1');
});
