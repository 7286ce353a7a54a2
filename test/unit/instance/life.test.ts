/** What the life of instances is on a machine in memory: what is recorded, what it reads as, what a keeper is told. */
import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { ERRNO } from '../../../src/base/fault.ts';
import type { ExitStatus } from '../../../src/host/host.ts';
import { detachKeys } from '../../../src/instance/attach.ts';
import { recordExit } from '../../../src/instance/exit.ts';
import { observeInstance, stateOf } from '../../../src/instance/instances.ts';
import { removeContainer, renameInstance, restartInstance, startInstance, stopContainer, waitForExit } from '../../../src/instance/life.ts';
import { readLogs } from '../../../src/instance/logs.ts';
import { whilePaused } from '../../../src/instance/paused.ts';
import { listContainers } from '../../../src/instance/ps.ts';
import { cgroupDirectories } from '../../../src/lifecycle/destroy.ts';
import { MemoryVerdict } from '../../../src/lifecycle/oom.ts';
import { load } from '../../../src/lifecycle/store.ts';
import { FakeHost, FakeMachine, smallConfig } from '../../helpers/fake-host.ts';

const STORE = '/var/lib/strata';
const ROOT = '/run/strata';
const NAME = { root: ROOT, store: STORE, id: 'c' };

function machineWith(changes: Readonly<Record<string, unknown>> = {}): { machine: FakeMachine; host: FakeHost; directory: string } {
  const machine = new FakeMachine();
  const directory = `${STORE}/containers/c`;
  for (const name of ['locks/use', 'tmp', 'volumes', 'layers', 'containers/c/upper']) machine.directory(`${STORE}/${name}`, 0o700);
  machine.directory(STORE, 0o700);
  machine.file(`${STORE}/format`, '1\n');
  machine.bundle(directory, smallConfig());
  const record = {
    id: 'c',
    image: `sha256:${'a'.repeat(64)}`,
    reference: 'docker.io/library/box:latest',
    layers: [],
    command: ['/bin/true'],
    created: '2026-01-01T00:00:00.000000000Z',
    stopSignal: 'SIGTERM',
    volumes: [],
    terminal: false,
    interactive: false,
    remove: false,
    log: { driver: 'json-file', maxSize: 1000, maxFile: 3 },
    labels: {},
    ...changes,
  };
  machine.file(`${directory}/container.json`, JSON.stringify(record));
  return { machine, host: new FakeHost(machine), directory };
}

test('a keeper is told what it needs', async (t) => {
  const { machine, host } = machineWith();
  const { pid } = await startInstance(host, NAME);
  const [orders = []] = machine.kept;
  t.deepEqual([orders[0], orders[1], ...orders.slice(10)], ['c', String(pid), '', '0', 'json-file', '1000', '3']);
  t.is(orders[5], '-1', 'no master');
  t.is(orders[6], '-1', 'no standard input');
  t.is((await observeInstance(host, NAME)).status, 'running');
  t.is(host.open.size, 0, 'descriptors stay open');
});

test('with --rm it is told the command that deletes the container', async (t) => {
  const { machine, host } = machineWith({ remove: true });
  await startInstance(host, NAME);
  const words = ['/usr/bin/strata', '--root', ROOT, '--store', STORE, 'delete', '--force', 'c'];
  t.deepEqual(machine.kept[0]?.slice(-words.length), words);
  await t.throwsAsync(restartInstance(host, { ...NAME, timeout: 0 }), { message: /deleted when it stops/ });
});

test('one that was never started reads created, and one whose machine went down stopped', async (t) => {
  const { machine, host, directory } = machineWith();
  t.deepEqual(await observeInstance(host, NAME), { status: 'created', pid: 0 });
  t.is((await stateOf(host, NAME)).status, 'created');
  await t.throwsAsync(waitForExit(host, NAME), { message: /never been started/ });
  machine.file(`${directory}/started`, '2026-01-02T00:00:00Z');
  t.deepEqual(await observeInstance(host, NAME), { status: 'stopped', pid: 0, started: '2026-01-02T00:00:00Z' });
  t.deepEqual(await waitForExit(host, NAME), {});
  machine.file(`${directory}/exit.json`, '{"code":3,"finished":"2026-01-03T00:00:00Z","oomKilled":false}');
  t.like(await waitForExit(host, NAME), { code: 3 });
  machine.file(`${directory}/exit.json`, '{"code":3');
  t.is((await observeInstance(host, NAME)).exit, undefined, 'a file that was cut short');
});

test('wait returns when it is written down how the program has ended', async (t) => {
  for (const isRecorded of [true, false]) {
    const { machine, host, directory } = machineWith();
    await startInstance(host, NAME);
    const keeper = host.tryLock(directory) ?? -1;
    const waiting = new (class extends FakeHost {
      slept = 0;
      override async sleep(milliseconds: number): Promise<void> {
        await super.sleep(milliseconds);
        if (++this.slept !== 4) return;
        if (isRecorded) machine.file(`${directory}/exit.json`, '{"code":3,"finished":"2026-01-03T00:00:00Z","oomKilled":false}');
        else host.close(keeper);
      }
      override async waitExit(pidfd: number, timeout: number): Promise<ExitStatus | 'unknown' | undefined> {
        for (const process of machine.processes) machine.die(process, { code: 3 });
        return super.waitExit(pidfd, timeout);
      }
    })(machine);
    t.like(await waitForExit(waiting, NAME), { code: 3 });
    t.is(waiting.slept, 4);
    t.is(waiting.open.size, 0);
  }
});

test('stop sends the signal of the image, and is content with one that does not run', async (t) => {
  const { machine, host } = machineWith({ stopSignal: 'SIGUSR1' });
  await stopContainer(host, { ...NAME, timeout: 100 });
  await startInstance(host, NAME);
  await stopContainer(host, { ...NAME, timeout: 100 });
  t.true(
    machine.events.some((event) => event.includes('10')),
    machine.events.join(', '),
  );
  t.is((await observeInstance(host, NAME)).status, 'stopped');
  await t.throwsAsync(stopContainer(host, { ...NAME, id: 'other', timeout: 100 }), { message: /does not exist/ });
});

test('delete and rename want it not to run, and delete --force is content with none', async (t) => {
  const { machine, host } = machineWith();
  await startInstance(host, NAME);
  await t.throwsAsync(renameInstance(host, NAME, 'd'), { message: /cannot rename container c, which is running/ });
  await t.throwsAsync(removeContainer(host, { ...NAME, force: false }), { message: /not stopped/ });
  await stopContainer(host, { ...NAME, timeout: 0 });
  await renameInstance(host, NAME, 'd');
  t.deepEqual(
    (await listContainers(host, { root: ROOT, store: STORE, all: true })).map(({ id, status }) => [id, status]),
    [['d', 'stopped']],
  );
  await removeContainer(host, { ...NAME, id: 'd', force: true });
  await removeContainer(host, { ...NAME, id: 'd', force: true });
  t.deepEqual(machine.children(`${STORE}/containers`), []);
  t.deepEqual(machine.leftovers(), []);
});

test('one whose record is damaged is not deleted, but with force', async (t) => {
  const { machine, host, directory } = machineWith();
  machine.file(`${directory}/container.json`, '{');
  await t.throwsAsync(removeContainer(host, { ...NAME, force: false }), { message: /damaged/ });
  const warnings: string[] = [];
  t.deepEqual(await listContainers(host, { root: ROOT, store: STORE, all: true, warn: (text) => warnings.push(text) }), []);
  t.is(warnings.length, 1);
  await removeContainer(host, { ...NAME, force: true });
  t.deepEqual(machine.children(`${STORE}/containers`), []);
});

test('a container that ends just when it is to be paused or resumed fails no work', async (t) => {
  for (const last of [1, 2]) {
    const { machine } = machineWith();
    // Killed by whoever had the lock before us.
    const late = new (class extends FakeHost {
      locked = 0;
      override tryLock(directory: string): number | undefined {
        if (directory === `${ROOT}/c` && ++this.locked === last)
          for (const process of machine.processes.values()) machine.die(process, { code: 137 });
        return super.tryLock(directory);
      }
    })(machine);
    await startInstance(new FakeHost(machine), NAME);
    t.is(
      await whilePaused(
        late,
        NAME,
        () => t.fail(),
        async () => 'done',
      ),
      'done',
      `lock ${last}`,
    );
    t.is(late.locked, last);
    t.is((await observeInstance(late, NAME)).status, 'stopped');
  }
});

test('the end is recorded though the cgroup goes away while it is asked', async (t) => {
  const { machine, host, directory } = machineWith();
  await startInstance(host, NAME);
  const record = load(host, ROOT, 'c');
  const [cgroup = ''] = cgroupDirectories(record);
  const verdict = (own: FakeHost): boolean => new MemoryVerdict(own, record).wasShort(record);
  machine.file(`${cgroup}/memory.oom_control`, 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n');
  t.true(verdict(host));
  const gone = new StrataError({ code: 'system', reason: 'read', errno: ERRNO.ENODEV });
  const vanishing = new (class extends FakeHost {
    override readText(path: string, limit?: number): string {
      if (path.startsWith(cgroup)) throw gone;
      return super.readText(path, limit);
    }
  })(machine);
  t.false(verdict(vanishing));
  recordExit(vanishing, directory, { code: 3 }, false);
  t.like(JSON.parse(machine.text(`${directory}/exit.json`) ?? ''), { code: 3, oomKilled: false });
});

test('logs are read over all files, the oldest first', async (t) => {
  const { machine, host, directory } = machineWith();
  const line = (log: string): string => `${JSON.stringify({ log: `${log}\n`, stream: 'stdout', time: `2026-01-01T00:00:0${log}.000000000Z` })}\n`;
  machine.file(`${directory}/container.log`, line('5') + line('6'));
  machine.file(`${directory}/container.log.1`, `${line('3')}{"cut\n${line('4')}`);
  machine.file(`${directory}/container.log.2`, line('1') + line('2'));
  const read = async (options: { tail?: number; since?: string; until?: string }): Promise<string> => {
    const found: string[] = [];
    await readLogs(host, { ...NAME, ...options }, (records) => found.push(...records.map(({ log }) => log.trim())));
    return found.join('');
  };
  t.is(await read({}), '123456');
  t.is(await read({ tail: 0 }), '');
  t.is(await read({ tail: 3 }), '456');
  t.is(await read({ tail: 100 }), '123456');
  t.is(await read({ since: '2026-01-01T00:00:03.000000000Z', until: '2026-01-01T00:00:05.000000000Z' }), '34');
  t.is(host.open.size, 0, 'descriptors stay open');
});

test('a container without a log has none to read', async (t) => {
  const { host } = machineWith({ log: { driver: 'none', maxSize: 0, maxFile: 1 } });
  await t.throwsAsync(
    readLogs(host, NAME, () => undefined),
    { message: /has no log/ },
  );
});

test('keys', (t) => {
  t.is(detachKeys('ctrl-p,ctrl-q'), '\x10\x11');
  t.is(detachKeys('a,ctrl-\\,ctrl-['), 'a\x1c\x1b');
  t.is(detachKeys(''), '');
  for (const text of ['ab', 'ctrl-', 'ctrl-@', 'ctrl-1', ',', 'a,', 'CTRL-a']) t.throws(() => detachKeys(text), { message: /is no key/ }, text);
});
