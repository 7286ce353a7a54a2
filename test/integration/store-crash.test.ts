/** SIGKILL in the middle of everything that changes the store: what is left is sound but for things that belong to nothing, and those can be removed. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createArchive } from '../../src/archive/index.ts';
import { createNodeHost } from '../../src/host/node.ts';
import { recordStart } from '../../src/instance/directory.ts';
import type { Workspace } from '../helpers/container.ts';
import { BASE, DB, TestStore, WEB } from '../helpers/images.ts';
import { buildKillAt, killAt } from '../helpers/kill-at.ts';
import { containerTest } from './_support.ts';

test.before(buildKillAt);

interface Verb {
  readonly name: string;
  /** At so many calls, evenly spread over all that it makes. */
  readonly points: number;
  /** Makes the store in which it begins. */
  readonly before: (store: TestStore) => Promise<unknown>;
  readonly args: (store: TestStore) => readonly string[];
  /** Calls among those that somebody must have been killed at. */
  readonly covers: readonly string[];
}

const VERBS: readonly Verb[] = [
  {
    name: 'image import',
    points: 35,
    before: (store) => store.import('db', BASE, DB),
    args: (store) => ['image', 'import', '--name', 'web', store.layout('web', BASE, WEB)],
    covers: ['openat', 'write'],
  },
  {
    name: 'image rm',
    points: 12,
    before: (store) => store.importTwo(),
    args: () => ['image', 'rm', 'web'],
    covers: ['renameat2', 'unlinkat'],
  },
  {
    name: 'image tag',
    points: 5,
    before: (store) => store.importTwo(),
    args: () => ['image', 'tag', 'web', 'new', 'db'],
    covers: ['renameat2'],
  },
  {
    name: 'prune',
    points: 15,
    before: async (store) => {
      await store.importTwo();
      await withContainer(store);
      recordStart(createNodeHost(), join(store.directory, 'containers/c1'));
      await store.out('image', 'tag', 'db', 'web');
      fs.mkdirSync(join(store.directory, 'tmp/half/diff'), { recursive: true });
    },
    args: () => ['prune'],
    covers: ['unlinkat'],
  },
  {
    name: 'commit',
    points: 23,
    before: async (store) => {
      await store.importTwo();
      await withContainer(store);
    },
    args: () => ['commit', 'c1', 'made'],
    covers: ['openat'],
  },
  {
    name: 'delete',
    points: 10,
    before: async (store) => {
      await store.importTwo();
      await withContainer(store);
    },
    args: () => ['delete', 'c1'],
    covers: ['unlinkat'],
  },
];

/** Makes a container of the image web that has changed something, and has a volume of its own. */
async function withContainer(store: TestStore): Promise<void> {
  await store.out('create', '--image', 'web', '--volume', '/data', 'c1');
  const upper = join(store.directory, 'containers/c1/upper');
  fs.mkdirSync(join(upper, 'srv'));
  for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(upper, 'srv', name), name.repeat(2000));
}

/** What is wrong with the store that cannot be said of a sound one with orphans; then they are gone. */
async function faultsOf(directory: string): Promise<readonly string[]> {
  const archive = createArchive(createNodeHost());
  const repaired = await archive.fsck({ store: directory, repair: true, quick: false });
  const faults = repaired.filter((fault) => !(fault.repaired && fault.text.endsWith('belongs to nothing'))).map(({ text }) => text);
  const left = await archive.fsck({ store: directory, repair: false, quick: true });
  return [...faults, ...left.map(({ text }) => `after repair: ${text}`), ...fs.readdirSync(join(directory, 'tmp'))];
}

/** A store for each kill: a copy, owners, links and attributes included. */
function copy(from: string, to: string): void {
  fs.rmSync(to, { recursive: true, force: true });
  execFileSync('cp', ['-a', from, to]);
}

for (const { name, points, before, args, covers } of VERBS) {
  containerTest(`${name}, killed at ${points} of its calls`, async (t, workspace: Workspace) => {
    const original = new TestStore(workspace);
    await before(original);
    const store = new TestStore(workspace, join(workspace.directory, 'copy'));
    const kill = (point: number) => {
      copy(original.directory, store.directory);
      const command = ['--store', store.directory, ...args(store)];
      return killAt('runtime', point, workspace.root, command, join(workspace.directory, 'errors'), store.directory);
    };
    const whole = await kill(0);
    t.is(whole.exit, 0, whole.stderr);
    await whole.left();
    t.deepEqual(await faultsOf(store.directory), []);
    const seen = new Set<string>();
    const spread = Array.from({ length: points }, (_, index) => Math.max(1, Math.floor(((index + 1) * whole.calls) / points)));
    const passedOver = covers.filter((call) => !spread.some((point) => whole.names[point - 1] === call));
    for (const point of [...spread, ...passedOver.map((call) => whole.names.indexOf(call) + 1)]) {
      const killed = await kill(point);
      await killed.left();
      seen.add(killed.call);
      t.deepEqual(await faultsOf(store.directory), [], `killed at ${point} of ${whole.calls}: ${killed.call} ${killed.path}`);
    }
    for (const call of covers) t.true(seen.has(call), `${call} is not among ${[...seen].join(' ')}`);
    t.is((await store.strata('image', 'verify', 'db')).stderr, '');
  });
}
