/** Reading a log while its keeper writes and rotates it: at every moment between two calls of the reader something may happen. */
import test from 'ava';
import { readLogs } from '../../../src/instance/logs.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

const STORE = '/var/lib/strata';
const DIRECTORY = `${STORE}/containers/c`;
const LOG = `${DIRECTORY}/container.log`;
const MOST = 6;

/** The directory of a log, with files that keep their content under other names. */
class Files {
  readonly byName = new Map<string, { text: string }>();
  private readonly steps: Generator<void>;
  done = false;

  constructor(work: (files: Files) => Generator<void>) {
    this.steps = work(this);
  }

  nameOf(number: number): string {
    return number === 0 ? LOG : `${LOG}.${number}`;
  }

  write(record: number): void {
    const file = this.byName.get(LOG) ?? { text: '' };
    file.text += `${JSON.stringify({ log: `${record}\n`, stream: 'stdout', time: '2026-01-01T00:00:00.000000000Z' })}\n`;
    this.byName.set(LOG, file);
  }

  /** As native/keeper/log.cpp does it, call by call. */
  *rotate(): Generator<void> {
    for (let number = MOST - 1; number > 0; number--) {
      const file = this.byName.get(this.nameOf(number - 1));
      if (file === undefined) continue;
      this.byName.delete(this.nameOf(number - 1));
      this.byName.set(this.nameOf(number), file);
      yield;
    }
  }

  advance(count: number): void {
    for (let step = 0; step < count; step++) this.done ||= this.steps.next().done === true;
  }
}

/** What a reader is told while the keeper takes `pace` steps with each of its calls, from the call with this number on. */
async function followed(from: number, pace: number): Promise<{ records: readonly number[]; all: readonly number[]; left: number }> {
  const machine = new FakeMachine();
  machine.directory(DIRECTORY, 0o700);
  machine.file(`${STORE}/format`, '1\n');
  const log = { driver: 'json-file', maxSize: 1000, maxFile: MOST };
  const flags = { terminal: false, interactive: false, remove: false };
  const record = { id: 'c', image: '', layers: [], command: ['x'], created: '', ...flags, log };
  machine.file(`${DIRECTORY}/container.json`, JSON.stringify(record));
  const all: number[] = [];
  const files = new Files(function* (own) {
    for (let round = 0; round < 3; round++) {
      yield* own.rotate();
      for (const _ of [0, 1]) {
        own.write(all.push(all.length) - 1);
        yield;
      }
    }
  });
  // Two files are there in the beginning.
  files.write(all.push(0) - 1);
  for (const _ of files.rotate());
  files.write(all.push(1) - 1);

  let calls = 0;
  const meanwhile = (): void => {
    if (++calls >= from) files.advance(pace);
  };
  class Reader extends FakeHost {
    private readonly logs = new Map<number, { readonly text: string }>();

    override openLog(path: string): number | undefined {
      meanwhile();
      const file = files.byName.get(path);
      if (file === undefined) return undefined;
      const descriptor = 1000 + calls;
      this.logs.set(descriptor, file);
      return descriptor;
    }

    override close(descriptor: number): void {
      if (!this.logs.delete(descriptor)) super.close(descriptor);
    }

    override isFileAt(descriptor: number, path: string): boolean {
      meanwhile();
      return this.logs.get(descriptor) === files.byName.get(path);
    }

    override stat(path: string): ReturnType<FakeHost['stat']> {
      if (!path.startsWith(LOG)) return super.stat(path);
      meanwhile();
      return files.byName.has(path) ? { type: 'file', mode: 0o600, uid: 0, size: 0 } : undefined;
    }

    override readLines(descriptor: number, offset: bigint): { readonly text: string; readonly next: bigint } {
      meanwhile();
      const text = (this.logs.get(descriptor)?.text ?? '').slice(Number(offset));
      return { text, next: offset + BigInt(text.length) };
    }

    override tryLock(path: string): number | undefined {
      meanwhile();
      return files.done ? super.tryLock(path) : undefined;
    }

    left(): number {
      return this.logs.size;
    }
  }
  const records: number[] = [];
  const host = new Reader(machine);
  await readLogs(host, { root: '/run/strata', store: STORE, id: 'c', follow: true }, (found) => records.push(...found.map((one) => Number(one.log))));
  return { records, all, left: host.left() };
}

test('whoever follows is told every record once, whenever the files get other names', async (t) => {
  for (const pace of [1, 2, 3, 4, 7]) {
    for (let from = 1; from < 30; from++) {
      const { records, all, left } = await followed(from, pace);
      t.is(all.length, 8);
      t.is(left, 0, 'descriptors stay open');
      t.deepEqual(records, all, `from call ${from} on, ${pace} steps with each`);
    }
  }
});
