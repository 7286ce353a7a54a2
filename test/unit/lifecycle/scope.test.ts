/** Containers in scopes of systemd's, on a machine with cgroup v2 only. */
import test from 'ava';
import type { ExitStatus } from '../../../src/host/host.ts';
import { deleteContainer } from '../../../src/lifecycle/delete.ts';
import { events, stats } from '../../../src/lifecycle/events.ts';
import { kill } from '../../../src/lifecycle/kill.ts';
import { countsAround } from '../../../src/lifecycle/oom.ts';
import { prepare } from '../../../src/lifecycle/prepare.ts';
import { runForeground } from '../../../src/lifecycle/run.ts';
import { start } from '../../../src/lifecycle/start.ts';
import { describeState } from '../../../src/lifecycle/state.ts';
import { load } from '../../../src/lifecycle/store.ts';
import { update } from '../../../src/lifecycle/update.ts';
import type { Value } from '../../../src/systemd/message.ts';
import { FakeHost, FakeMachine, Killed, smallConfig } from '../../helpers/fake-host.ts';
import { FakeSystemd } from '../../helpers/fake-systemd.ts';
import { createOne, failure, NAME, ROOT, statusOf } from './_machine.ts';

const TOP = '/sys/fs/cgroup';
const SCOPE = '/a.slice/a-b.slice/pre-one.scope';

/** A systemd that makes and removes the cgroups of its scopes. */
function scopeMachine(linux: object = {}): { machine: FakeMachine; host: FakeHost; systemd: FakeSystemd; units: Set<string> } {
  const machine = new FakeMachine();
  for (const name of [...machine.nodes.keys()]) if (name.startsWith(`${TOP}/`)) machine.nodes.delete(name);
  machine.file('/proc/self/cgroup', '0::/\n');
  machine.file('/proc/self/mountinfo', `30 1 0:30 / ${TOP} rw - cgroup2 cgroup2 rw\n`);
  machine.file(`${TOP}/cgroup.controllers`, 'cpu memory pids\n');
  const config = smallConfig() as { linux: object };
  machine.bundle('/bundle', { linux: { ...config.linux, cgroupsPath: 'a-b.slice:pre:one', ...linux } });
  machine.nodes.set('/run/dbus/system_bus_socket', { type: 'socket', mode: 0o666, uid: 0, text: '' });
  const systemd = new FakeSystemd();
  const units = new Set<string>();
  machine.systemd = systemd;
  systemd.answers.set('StartTransientUnit', ([unit, , properties]) => {
    sweep(machine, units);
    if (units.has(String(unit))) return { error: 'org.freedesktop.systemd1.UnitExists', words: `Unit ${unit} was already loaded.` };
    const pid = (properties as [string, { value: number[] }][]).find(([name]) => name === 'PIDs')?.[1].value[0];
    machine.directory(TOP + SCOPE);
    machine.file(`/proc/${pid}/cgroup`, `0::${SCOPE}\n`);
    for (const process of machine.processes) if (process.pid === pid) process.cgroups = new Set([TOP + SCOPE]);
    units.add(String(unit));
    return { job: 'done' };
  });
  systemd.answers.set('StopUnit', ([unit]) => {
    if (!units.delete(String(unit))) return { error: 'org.freedesktop.systemd1.NoSuchUnit', words: `Unit ${unit} not loaded.` };
    removeScope(machine);
    return { job: 'done' };
  });
  return { machine, host: new FakeHost(machine), systemd, units };
}

/** The scope goes, and the slice stays. */
function removeUnits(machine: FakeMachine): void {
  for (const name of [...machine.nodes.keys()]) if (name.startsWith(TOP + SCOPE)) machine.nodes.delete(name);
}

function removeScope(machine: FakeMachine): void {
  for (const name of [...machine.nodes.keys()]) if (name.startsWith(`${TOP}/a.slice`)) machine.nodes.delete(name);
}

/** A scope whose last process is gone ends by itself. */
function sweep(machine: FakeMachine, units: Set<string>): void {
  const lives = machine.processes.some(({ phase, cgroups }) => phase !== 'dead' && [...cgroups].some((path) => path.startsWith(TOP + SCOPE)));
  if (lives) return;
  units.clear();
  removeScope(machine);
}

const OPTIONS = { cgroupManager: 'systemd' } as const;

test('the container is in a cgroup in the scope, which nobody else is in', async (t) => {
  const { machine, host, systemd, units } = scopeMachine({ resources: { pids: { limit: 50 } } });
  await createOne(host, OPTIONS);
  const record = load(host, ROOT, 'c1');
  t.deepEqual(record.cgroups, [{ hierarchy: TOP, path: `${SCOPE}/container` }]);
  t.deepEqual(record.systemd, { manager: 'system', unit: 'pre-one.scope' });
  t.is(describeState(host, ROOT, record)['systemd-scope'], 'pre-one.scope');
  const living = machine.processes.filter(({ phase }) => phase !== 'dead');
  t.deepEqual(
    living.map(({ cgroups }) => [...cgroups]),
    [[`${TOP}${SCOPE}/container`]],
  );
  t.false(machine.nodes.has(`${TOP}${SCOPE}/hold`));

  machine.file(`${TOP}${SCOPE}/container/pids.max`, '5\n');
  await update(host, { ...NAME, resources: { pids: { limit: 6 } } });
  t.is(machine.text(`${TOP}${SCOPE}/container/pids.max`), '6');
  t.deepEqual(systemd.calls.at(-1)?.member, 'SetUnitProperties');
  systemd.answers.set('SetUnitProperties', () => ({ error: 'org.freedesktop.DBus.Error.InvalidArgs', words: 'No.' }));
  const refused = await failure(t, update(host, { ...NAME, resources: { pids: { limit: 7 } } }));
  t.regex(refused.message, /systemd refuses to change pre-one\.scope: No$/);
  t.is(machine.text(`${TOP}${SCOPE}/container/pids.max`)?.trim(), '6', 'what was written is taken back');

  await kill(host, { ...NAME, signal: 9 });
  await deleteContainer(host, NAME);
  t.deepEqual([machine.leftovers(), [...units], host.open.size], [[], [], 0]);
});

test('what systemd was told is taken back when the rules for devices cannot be replaced', async (t) => {
  const { machine, host, systemd } = scopeMachine({ resources: { pids: { limit: 50 } } });
  await createOne(host, OPTIONS);
  const directory = `${TOP}${SCOPE}/container`;
  machine.file(`${directory}/pids.max`, '50\n');
  machine.programs.add(directory);
  machine.failure = { op: 'cgroup-device-program', failure: { errno: 7, detail: 'too many' } };
  const properties: Record<string, { signature: string; value: Value }> = {
    Version: { signature: 's', value: '252' },
    TasksMax: { signature: 't', value: 50n },
    DevicePolicy: { signature: 's', value: 'strict' },
    DeviceAllow: { signature: 'a(ss)', value: [['/dev/char/1:3', 'rwm']] },
  };
  systemd.answers.set('GetUnit', () => ({ signature: 'o', body: ['/org/freedesktop/systemd1/unit/one'] }));
  systemd.answers.set('Get', ([, name]) => ({ signature: 'v', body: [properties[String(name)] ?? { signature: 's', value: '' }] }));
  const resources = { pids: { limit: 6 }, devices: [{ allow: true, access: 'rwm' }] };
  t.regex((await failure(t, update(host, { ...NAME, resources }))).message, /argument list too long \(too many\)$/);
  t.is(machine.text(`${directory}/pids.max`)?.trim(), '50');
  const changes = systemd.calls.flatMap(({ member, body }) => (member === 'SetUnitProperties' ? [body[2]] : []));
  t.is(changes.length, 2);
  t.deepEqual(changes[1], [
    ['TasksMax', { signature: 't', value: 50n }],
    ['DeviceAllow', { signature: 'a(ss)', value: [] }],
    ['DeviceAllow', { signature: 'a(ss)', value: [['/dev/char/1:3', 'rwm']] }],
    ['DevicePolicy', { signature: 's', value: 'strict' }],
  ]);
  let calls = 0;
  systemd.answers.set('SetUnitProperties', () => {
    return ++calls === 1 ? { signature: '', body: [] } : { error: 'org.freedesktop.DBus.Error.Failed', words: 'No.' };
  });
  t.regex(
    (await failure(t, update(host, { ...NAME, resources }))).message,
    /\(too many, and the properties of pre-one\.scope could not be set back: .*No\)$/,
  );
  t.is(host.open.size, 0);
});

test('a want of memory that ended the container is told though its cgroup is gone; one of others is not', async (t) => {
  const slice = `${TOP}/a.slice/a-b.slice`;
  const counts = (machine: FakeMachine, directory: string, count: number) => machine.file(`${directory}/memory.events`, `oom_kill ${count}\n`);
  const after = async (change: (machine: FakeMachine) => void, looks = 1): Promise<string[]> => {
    const { machine, host } = scopeMachine();
    await createOne(host, OPTIONS);
    await start(host, NAME);
    counts(machine, slice, 7);
    counts(machine, `${slice}/other.scope`, 3);
    counts(machine, `${TOP}${SCOPE}`, 0);
    counts(machine, `${TOP}${SCOPE}/container`, 0);
    machine.file(`${TOP}${SCOPE}/memory.events`, 'max 5\noom_kill 0\n');
    t.is((await stats(host, NAME)).data.memory.usage.failcnt, 5, 'as often as the scope has met its limit');
    for (let look = 0; look < looks; look++) machine.waited.push('timeout');
    machine.waited.push('exit');
    const all: string[] = [];
    for await (const { type } of events(host, { ...NAME, interval: 100 })) {
      all.push(type);
      removeUnits(machine);
      change(machine);
    }
    t.is([...host.open.values()].filter(({ kind }) => kind === 'memory').length, 0);
    return all;
  };
  t.deepEqual(await after(() => {}), ['stats']);
  t.deepEqual(await after((machine) => counts(machine, slice, 8)), ['stats', 'oom']);
  t.deepEqual(await after((machine) => counts(machine, slice, 8), 2), ['stats', 'stats', 'oom'], 'the scope goes before the end is heard of');
  const other = (machine: FakeMachine): void => {
    counts(machine, slice, 8);
    counts(machine, `${slice}/other.scope`, 4);
  };
  t.deepEqual(await after(other), ['stats']);
  const gone = (machine: FakeMachine): void => {
    for (const name of [...machine.nodes.keys()]) if (name.startsWith(`${slice}/other.scope`)) machine.nodes.delete(name);
  };
  t.deepEqual(await after(gone), ['stats']);
});

test('how a program in front of the caller ended is told though its scope is gone by then', async (t) => {
  const slice = `${TOP}/a.slice/a-b.slice`;
  const counts = (machine: FakeMachine, directory: string, count: number) => machine.file(`${directory}/memory.events`, `oom_kill ${count}\n`);
  const end = async (own: number | undefined, around: number): Promise<boolean | undefined> => {
    const { machine } = scopeMachine();
    counts(machine, slice, 4);
    counts(machine, `${slice}/other.scope`, 1);
    const host = new (class extends FakeHost {
      override async foreground(pidfd: number): Promise<ExitStatus> {
        const status = await super.foreground(pidfd);
        if (own === undefined) removeUnits(machine);
        else counts(machine, `${TOP}${SCOPE}/container`, own);
        counts(machine, slice, around);
        counts(machine, `${slice}/other.scope`, 1);
        return status;
      }
    })(machine);
    let told: boolean | undefined;
    const ended = (_status: ExitStatus, oomKilled: () => boolean): void => {
      told = oomKilled();
    };
    await runForeground(host, { ...NAME, bundle: '/bundle', ...OPTIONS, ended });
    return told;
  };
  t.is(await end(0, 5), false);
  t.is(await end(1, 5), true);
  t.is(await end(undefined, 4), false);
  t.is(await end(undefined, 5), true);
});

test('a keeper is told where the slice counts, and how many before', async (t) => {
  const { machine, host } = scopeMachine();
  const { record } = prepare(host, { ...NAME, bundle: '/bundle', ...OPTIONS });
  const file = `${TOP}/a.slice/a-b.slice/memory.events`;
  t.deepEqual(countsAround(host, record), { file, before: 0 });
  machine.file(file, 'oom_kill 3\n');
  t.deepEqual(countsAround(host, record), { file, before: 3 });
  const { systemd: _, ...other } = record;
  t.deepEqual(countsAround(host, other), { file: '', before: 0 });
});

test('a limit that hooks could meet while the scope is held open comes when the holder has gone', async (t) => {
  for (const [limit, isLate] of [
    [0, true],
    [1, true],
    [3, true],
    [32, true],
    [33, false],
    [-1, false],
  ] as const) {
    const { host, systemd } = scopeMachine({ resources: { pids: { limit } } });
    await createOne(host, OPTIONS);
    const [, , properties] = systemd.calls.find(({ member }) => member === 'StartTransientUnit')?.body ?? [];
    t.is(
      (properties as [string, unknown][]).some(([name]) => name === 'TasksMax'),
      !isLate,
      `${limit}`,
    );
    const value = BigInt(Math.max(limit, 1));
    const late = systemd.calls.filter(({ member }) => member === 'SetUnitProperties').map(({ body }) => body[2]);
    t.deepEqual(late, isLate ? [[['TasksMax', { signature: 't', value }]]] : [], `${limit}`);
  }
});

test('failures: a unit that is there already, systemd that puts it elsewhere, a launch that fails', async (t) => {
  const taken = scopeMachine();
  taken.units.add('pre-one.scope');
  taken.machine.directory(TOP + SCOPE);
  taken.machine.spawn({ cgroups: new Set([TOP + SCOPE]), plan: [], socket: '', parent: undefined });
  t.regex((await failure(t, createOne(taken.host, OPTIONS))).message, /already loaded/);
  t.true(taken.units.has('pre-one.scope'), "somebody else's scope stays");

  const elsewhere = scopeMachine();
  const make = elsewhere.systemd.answers.get('StartTransientUnit');
  elsewhere.systemd.answers.set('StartTransientUnit', (body) => {
    const answer = make?.(body) ?? { job: 'failed' };
    for (const { pid } of elsewhere.machine.processes) elsewhere.machine.file(`/proc/${pid}/cgroup`, '0::/other\n');
    return answer;
  });
  t.regex((await failure(t, createOne(elsewhere.host, OPTIONS))).message, /made pre-one\.scope at \/other, not at/);

  const launch = scopeMachine();
  launch.machine.failure = { op: 'cgroup-make', failure: { errno: 13 } };
  t.is((await failure(t, createOne(launch.host, OPTIONS))).errno, 13);
  const low = scopeMachine({ resources: { memory: { limit: 4096 } } });
  low.machine.failure = { op: 'cgroup-make', failure: { errno: 12 } };
  t.is((await failure(t, createOne(low.host, OPTIONS))).hint, 'is the memory limit too low?');
  // With a limit that is told last, when there may be no scope any more.
  const refused = scopeMachine({ resources: { pids: { limit: 1 } } });
  refused.machine.failure = { op: 'clone', failure: { syscall: 'clone3', errno: 13 }, value: `${TOP}${SCOPE}/container` };
  refused.systemd.answers.set('SetUnitProperties', () => ({ error: 'org.freedesktop.systemd1.NoSuchUnit', words: 'Unit not found.' }));
  t.is((await failure(t, createOne(refused.host, OPTIONS))).errno, 13);
  for (const { machine, units, host } of [elsewhere, launch, low, refused]) {
    sweep(machine, units);
    t.deepEqual([machine.leftovers(), [...units], host.open.size], [[], [], 0]);
  }
  const hybrid = new FakeMachine();
  t.regex((await failure(t, createOne(new FakeHost(hybrid), OPTIONS))).message, /needs a machine with cgroup v2 alone/);
});

for (const [name, verb] of Object.entries({
  create: (host: FakeHost) => createOne(host, OPTIONS),
  run: (host: FakeHost) => runForeground(host, { ...NAME, bundle: '/bundle', ...OPTIONS }),
})) {
  test(`${name}, killed at every call`, async (t) => {
    for (let killAt = 1; ; killAt++) {
      const { machine, units } = scopeMachine();
      const doomed = new FakeHost(machine, killAt);
      let survived = true;
      try {
        await verb(doomed);
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        survived = false;
      }
      const host = new FakeHost(machine);
      await deleteContainer(host, { ...NAME, force: true });
      sweep(machine, units);
      const left = machine.leftovers();
      if (left.length > 0 || units.size > 0) t.fail(`killed at call ${killAt}: ${left.join(', ')} ${[...units]}`);
      await createOne(host, OPTIONS);
      if ((await statusOf(host)) !== 'created') t.fail(`killed at call ${killAt}: the id cannot be used again`);
      if (survived) break;
    }
    t.pass();
  });
}
