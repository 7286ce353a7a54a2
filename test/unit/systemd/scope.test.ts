import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import type { Host } from '../../../src/host/host.ts';
import { addressPath } from '../../../src/systemd/bus.ts';
import { changeScope, type ScopeWishes, startScope, stopScope } from '../../../src/systemd/scope.ts';
import { scopeName } from '../../../src/systemd/unit.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { FakeSystemd } from '../../helpers/fake-systemd.ts';

const BUS = '/run/dbus/system_bus_socket';
const NAME = scopeName('a.slice:b:c', 'c1', 'system');
const WISHES: ScopeWishes = { id: 'c1', limits: [], devices: [], annotations: {} };

function withSystemd(path = BUS): { host: FakeHost; systemd: FakeSystemd } {
  const machine = new FakeMachine();
  machine.nodes.set(path, { type: 'socket', mode: 0o666, uid: 0, text: '' });
  machine.systemd = new FakeSystemd();
  machine.systemd.answers.set('StartTransientUnit', () => ({ job: 'done' }));
  machine.systemd.answers.set('StopUnit', () => ({ job: 'done' }));
  return { host: new FakeHost(machine), systemd: machine.systemd };
}

async function fault(work: Promise<unknown>): Promise<StrataError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof StrataError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('a scope is made around a process, and the end of the job is waited for', async (t) => {
  const { host, systemd } = withSystemd();
  await startScope(host, NAME, { ...WISHES, annotations: { 'org.systemd.property.CollectMode': "'inactive'" } }, 42);
  t.deepEqual(
    systemd.calls.map(({ member }) => member),
    ['Hello', 'AddMatch', 'Subscribe', 'Get', 'StartTransientUnit'],
  );
  const [unit, mode, properties, auxiliary] = systemd.calls.at(-1)?.body ?? [];
  t.deepEqual([unit, mode, auxiliary], ['b-c.scope', 'fail', []]);
  const named = Object.fromEntries(properties as [string, { value: unknown }][]) as Record<string, { value: unknown }>;
  t.deepEqual(named['PIDs']?.value, [42]);
  t.is(named['Slice']?.value, 'a.slice');
  t.is(named['Delegate']?.value, true);
  t.is(named['DevicePolicy']?.value, 'strict');
  t.is(named['CollectMode']?.value, 'inactive', 'the last word is the annotation');
  t.is(host.open.size, 0);
});

test('answers may come in pieces', async (t) => {
  const { host, systemd } = withSystemd();
  systemd.piece = 3;
  await startScope(host, NAME, WISHES, 42);
  t.is(host.open.size, 0);
});

test('without a bus systemd itself is asked, and a user asks his own', async (t) => {
  const { host, systemd } = withSystemd('/run/systemd/private');
  await startScope(host, NAME, WISHES, 42);
  t.false(systemd.calls.some(({ member }) => member === 'Hello'));

  const own = withSystemd('/run/user/1000/bus');
  own.host.machine.become(1000);
  const name = scopeName(undefined, 'c1', 'user');
  await startScope(own.host, name, WISHES, 42);
  const properties = (own.systemd.calls.at(-1)?.body[2] ?? []) as [string, unknown][];
  t.false(
    properties.some(([key]) => key.startsWith('Device')),
    "a user's systemd cannot filter devices",
  );
  const told = withSystemd('/tmp/bus');
  told.host.machine.become(1000);
  told.host.variables.set('DBUS_SESSION_BUS_ADDRESS', 'unix:path=/tmp/bus,guid=1');
  await startScope(told.host, name, WISHES, 42);
  t.is((await fault(startScope(new FakeHost(new FakeMachine()), name, WISHES, 42))).code, 'config-unsupported');
});

test('addresses of buses', (t) => {
  t.is(addressPath('unix:abstract=/tmp/x;unix:guid=5,path=/a%20b'), '/a b');
  t.is(addressPath('tcp:host=localhost'), undefined);
  t.is(addressPath(''), undefined);
});

test('a refusal is told in the words of systemd, at what asked for it', async (t) => {
  const { host, systemd } = withSystemd();
  systemd.answers.set('StartTransientUnit', () => ({ error: 'org.freedesktop.systemd1.UnitExists', words: 'Unit b-c.scope was already loaded.' }));
  const taken = await fault(startScope(host, NAME, WISHES, 42));
  t.is(taken.pointer, '/linux/cgroupsPath');
  t.regex(taken.message, /systemd refuses to make b-c\.scope: Unit b-c\.scope was already loaded$/);

  const words = 'Cannot set property Nonsense, or unknown property.';
  systemd.answers.set('StartTransientUnit', () => ({ error: 'org.freedesktop.DBus.Error.PropertyReadOnly', words }));
  const nonsense = await fault(startScope(host, NAME, { ...WISHES, annotations: { 'org.systemd.property.Nonsense': 'true' } }, 42));
  t.is(nonsense.pointer, '/annotations/org.systemd.property.Nonsense');

  const contents = 'Failed to set unit properties: Unexpected message contents';
  systemd.answers.set('StartTransientUnit', () => ({ error: 'org.freedesktop.DBus.Error.InvalidArgs', words: contents }));
  const mistyped = await fault(startScope(host, NAME, { ...WISHES, annotations: { 'org.systemd.property.MemoryMax': "'x'" } }, 42));
  t.regex(mistyped.message, /message contents \(it may be one of the annotations' properties: MemoryMax of the type s\)$/);

  systemd.answers.set('StartTransientUnit', () => ({ job: 'timeout' }));
  t.regex((await fault(startScope(host, NAME, WISHES, 42))).message, /could not make b-c\.scope: its job ended as 'timeout'/);
  t.is(host.open.size, 0);
});

test('a unit of the name that has failed is no hindrance', async (t) => {
  const { host, systemd } = withSystemd();
  let failed = true;
  systemd.answers.set('StartTransientUnit', () => {
    return failed ? { error: 'org.freedesktop.systemd1.UnitExists', words: 'Unit b-c.scope was already loaded.' } : { job: 'done' };
  });
  systemd.answers.set('ResetFailedUnit', ([unit]) => {
    failed = unit !== 'b-c.scope';
    return { signature: '', body: [] };
  });
  await startScope(host, NAME, WISHES, 42);
  failed = true;
  systemd.answers.set('ResetFailedUnit', () => ({ error: 'org.freedesktop.systemd1.NoSuchUnit', words: 'Unit b-c.scope not loaded.' }));
  t.regex((await fault(startScope(host, NAME, WISHES, 42))).message, /already loaded$/);
  t.is(host.open.size, 0);
});

test('a peer that is no systemd', async (t) => {
  const { host, systemd } = withSystemd();
  systemd.greeting = 'REJECTED ANONYMOUS\r\n';
  t.regex((await fault(startScope(host, NAME, WISHES, 42))).message, /does not accept this user \(REJECTED ANONYMOUS\)/);
  systemd.greeting = '';
  systemd.accept();
  t.regex((await fault(startScope(host, NAME, WISHES, 42))).message, /closed the connection/);
  const silent: Host = Object.assign(Object.create(host) as Host, { exchange: async () => undefined });
  t.is((await fault(startScope(silent, NAME, WISHES, 42))).code, 'timeout');
  t.is(host.open.size, 0);
});

test('a scope is changed and ended; one that is gone is as good as ended', async (t) => {
  const { host, systemd } = withSystemd();
  const place = { hierarchy: '/sys/fs/cgroup', path: '/x', directory: '/sys/fs/cgroup/x', controllers: ['pids'], unified: true };
  await changeScope(host, NAME, [{ place, controller: 'pids', pointer: '/pids/limit', file: 'pids.max', value: '7' }]);
  t.deepEqual(systemd.calls.at(-1), {
    member: 'SetUnitProperties',
    body: ['b-c.scope', true, [['TasksMax', { signature: 't', value: 7n }]]],
  });
  const before = systemd.calls.length;
  await changeScope(host, NAME, []);
  t.false(systemd.calls.slice(before).some(({ member }) => member === 'SetUnitProperties'));
  await stopScope(host, NAME);
  systemd.answers.set('StopUnit', () => ({ error: 'org.freedesktop.systemd1.NoSuchUnit', words: 'Unit b-c.scope not loaded.' }));
  await t.notThrowsAsync(stopScope(host, NAME));
  systemd.answers.set('StopUnit', () => ({ error: 'org.freedesktop.DBus.Error.AccessDenied', words: 'Permission denied' }));
  t.regex((await fault(stopScope(host, NAME))).message, /refuses to end b-c\.scope: Permission denied/);
});
