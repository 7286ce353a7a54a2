import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import {
  type ContainerRecord,
  checkRoot,
  load,
  loadProcess,
  parseRecord,
  prepareRoot,
  release,
  reserve,
  save,
  saveProcess,
} from '../../../src/lifecycle/store.ts';
import { parseProcess } from '../../../src/spec/parse.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

const ROOT = '/run/strata';

const RECORD: ContainerRecord = {
  ociVersion: '1.3.0',
  id: 'c1',
  bundle: '/bundle',
  rootfs: '/bundle/rootfs',
  created: '2026-01-02T03:04:05Z',
  status: 'running',
  process: { pid: 77, startTime: 18446744073709551615n },
  cgroups: [{ hierarchy: '/sys/fs/cgroup/memory', path: '/c1' }],
  freezer: { version: 1, directory: '/sys/fs/cgroup/freezer/c1' },
  sharedPid: false,
  terminal: false,
  hooksBegun: true,
  poststart: [],
  poststop: [{ path: '/bin/hook', args: ['hook'], env: [], timeout: 3 }],
  startSteps: [{ index: 7, op: 'exec', pointer: '/process/args', words: 'execute /bin/true', program: '/bin/true' }],
  listener: { path: '/run/agent', metadata: 'm' },
  annotations: { a: 'b' },
  owner: 0,
};

function stored(): { machine: FakeMachine; host: FakeHost; text: string } {
  const machine = new FakeMachine();
  const host = new FakeHost(machine);
  prepareRoot(host, ROOT);
  reserve(host, ROOT, 'c1');
  save(host, ROOT, RECORD);
  return { machine, host, text: machine.text(`${ROOT}/c1/state.json`) ?? '' };
}

test('what is saved is taken for the state only while the file holds it', (t) => {
  const { host } = stored();
  t.is(load(host, ROOT, 'c1', RECORD), RECORD);
  const other = { ...RECORD, bundle: '/other' };
  t.deepEqual(load(host, ROOT, 'c1', other), RECORD);
  save(host, ROOT, other);
  t.deepEqual(load(host, ROOT, 'c1', RECORD), other);
});

test('what is saved is loaded', (t) => {
  t.deepEqual(load(stored().host, ROOT, 'c1'), RECORD);
});

test('a hook without an environment is still one when it is loaded', (t) => {
  const { host } = stored();
  const record = { ...RECORD, poststop: [{ path: '/bin/hook', args: [] }] };
  save(host, ROOT, record);
  t.deepEqual(load(host, ROOT, 'c1'), record);
});

test('the process is kept whole, with its 64-bit numbers', (t) => {
  const { host } = stored();
  const process = parseProcess({
    cwd: '/',
    args: ['a'],
    rlimits: [{ type: 'RLIMIT_CORE', soft: 1n, hard: 18446744073709551615n }],
    scheduler: { policy: 'SCHED_DEADLINE', runtime: 10n, deadline: 18446744073709551615n, flags: ['SCHED_FLAG_RECLAIM'] },
  });
  saveProcess(host, ROOT, 'c1', process);
  t.deepEqual(loadProcess(host, ROOT, 'c1'), process);
});

test('what was missing above a cgroup is saved too', (t) => {
  const { host } = stored();
  const record: ContainerRecord = { ...RECORD, cgroups: [{ hierarchy: '/sys/fs/cgroup/memory', path: '/a/b/c1', top: '/a' }] };
  save(host, ROOT, record);
  t.deepEqual(load(host, ROOT, 'c1'), record);
});

test('a start time of 64 bits is exact', (t) => {
  t.is(load(stored().host, ROOT, 'c1').process?.startTime, 18446744073709551615n);
});

test('a second reservation fails', (t) => {
  const { host } = stored();
  const error = t.throws<StrataError>(() => reserve(host, ROOT, 'c1'), { instanceOf: StrataError });
  t.is(error?.code, 'exists');
  t.is(error?.message, 'container with id c1 exists');
});

test('release leaves nothing, whatever lies in the directory', (t) => {
  const { machine, host } = stored();
  machine.file(`${ROOT}/c1/state.json.tmp`, 'half');
  machine.file(`${ROOT}/c1/start.sock`, '');
  release(host, ROOT, 'c1');
  t.deepEqual(machine.leftovers(), []);
});

test('no container', (t) => {
  const { host } = stored();
  const error = t.throws<StrataError>(() => load(host, ROOT, 'c2'), { instanceOf: StrataError });
  t.is(error?.code, 'not-found');
  t.regex(error?.message ?? '', /container does not exist/);
});

const good = () => JSON.parse(stored().text) as Record<string, unknown>;

/** Each changes a good state into one that must not be believed. */
const DAMAGE: Readonly<Record<string, (state: Record<string, unknown>) => unknown>> = {
  'an array': () => [],
  null: () => null,
  'a string': () => 'x',
  'another version': (state) => ({ ...state, version: 2 }),
  'another id': (state) => ({ ...state, id: 'c2' }),
  'pid as text': (state) => ({ ...state, pid: '77' }),
  'pid 0': (state) => ({ ...state, pid: 0 }),
  'pid -1': (state) => ({ ...state, pid: -1 }),
  'pid of 33 bits': (state) => ({ ...state, pid: 4294967373 }),
  'pid without start time': ({ startTime: _, ...state }) => state,
  'start time without pid': ({ pid: _, ...state }) => state,
  'running without a process': ({ pid: _, startTime: __, ...state }) => state,
  'start time that is no number': (state) => ({ ...state, startTime: '0x10' }),
  'unknown status': (state) => ({ ...state, status: 'stopped' }),
  'cgroups missing': ({ cgroups: _, ...state }) => state,
  'cgroup path relative': (state) => ({ ...state, cgroups: [{ hierarchy: '/sys/fs/cgroup/memory', path: 'c1' }] }),
  'cgroup top elsewhere': (state) => ({ ...state, cgroups: [{ hierarchy: '/sys/fs/cgroup/memory', path: '/a/c1', top: '/b' }] }),
  'cgroup top a number': (state) => ({ ...state, cgroups: [{ hierarchy: '/sys/fs/cgroup/memory', path: '/a/c1', top: 1 }] }),
  'cgroup path upwards': (state) => ({ ...state, cgroups: [{ hierarchy: '/sys/fs/cgroup/memory', path: '/../../etc' }] }),
  'freezer upwards': (state) => ({ ...state, freezer: { version: 1, directory: '/sys/../etc' } }),
  'freezer of version 3': (state) => ({ ...state, freezer: { version: 3, directory: '/sys' } }),
  'relative listener': (state) => ({ ...state, listener: { path: 'agent' } }),
  'listener with metadata that is no text': (state) => ({ ...state, listener: { path: '/agent', metadata: 1 } }),
  'hook without arguments': (state) => ({ ...state, poststop: [{ path: '/x' }] }),
  'relative hook': (state) => ({ ...state, poststop: [{ path: 'x', args: [], env: [] }] }),
  'annotation that is no text': (state) => ({ ...state, annotations: { a: 1 } }),
  'NUL in the bundle': (state) => ({ ...state, bundle: '/a\0b' }),
  'unknown operation': (state) => ({ ...state, startSteps: [{ index: 1, op: 'constructor', pointer: '', words: '', program: '' }] }),
};

for (const [name, damage] of Object.entries(DAMAGE)) {
  test(`damaged: ${name}`, (t) => {
    const error = t.throws<StrataError>(() => parseRecord(JSON.stringify(damage(good())), 'c1'), { instanceOf: StrataError });
    t.is(error?.code, 'state-damaged');
    t.regex(error?.message ?? '', /strata delete --force c1/);
  });
}

for (const [name, text] of Object.entries({ empty: '', cut: stored().text.slice(0, 40), binary: '\u0001\u0002', trailing: `${stored().text}x` })) {
  test(`damaged: ${name}`, (t) => {
    t.is(t.throws<StrataError>(() => parseRecord(text, 'c1'), { instanceOf: StrataError })?.code, 'state-damaged');
  });
}

test('every property that is missing is noticed', (t) => {
  for (const key of Object.keys(good())) {
    if (key === 'freezer' || key === 'listener') continue;
    const { [key]: _, ...rest } = good();
    t.throws(() => parseRecord(JSON.stringify(rest), 'c1'), { name: 'StrataError' }, key);
  }
});

test('a root that others can write to is refused', (t) => {
  const machine = new FakeMachine();
  const host = new FakeHost(machine);
  machine.directory('/tmp/open', 0o777);
  t.regex(t.throws(() => prepareRoot(host, '/tmp/open'))?.message ?? '', /can be written by others \(mode 777\)/);
});

test('a root of another user is refused', (t) => {
  const machine = new FakeMachine();
  machine.nodes.set('/tmp/theirs', { type: 'directory', mode: 0o711, uid: 1000, text: '' });
  t.regex(t.throws(() => checkRoot(new FakeHost(machine), '/tmp/theirs'))?.message ?? '', /belongs to user 1000/);
});

test('a root that is a file is refused', (t) => {
  const machine = new FakeMachine();
  machine.file('/tmp/file', '');
  t.regex(t.throws(() => checkRoot(new FakeHost(machine), '/tmp/file'))?.message ?? '', /is not a directory/);
});
