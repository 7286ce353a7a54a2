import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { planCreate } from '../../../src/plan/create.ts';
import { ATTR, CLONE, MS, type Operation } from '../../../src/plan/op.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { contextOf, names, only, plan, RUNC_SPEC, SMALL, specOf, V2 } from './_support.ts';

const { rdonly, nosuid, nodev, noexec, strictatime } = ATTR;

/** Most fields of a mount are empty most of the time. */
const NONE = { clear: 0n, recursiveSet: 0n, recursiveClear: 0n, propagation: 0 };
const remount = (pointer: string, destination: string, set: bigint): Operation => ({
  op: 'remount',
  pointer,
  destination,
  set,
  ...NONE,
  options: [],
});
function mount(pointer: string, destination: string, type: string, source: string, options: string[], set: bigint, realDirectory = false): Operation {
  return { op: 'mount', pointer, destination, type, source, options, set, ...NONE, copyUp: false, realDirectory };
}
/** `relatime` was asked for. */
function bind(pointer: string, source: string, destination: string, set: bigint): Operation {
  const rest = { recursive: false, overProc: false, realDirectory: false, idmap: 0, uidMap: '', gidMap: '' };
  return { op: 'bind', pointer, destination, source, set, ...NONE, clear: ATTR.atime, ...rest };
}
const make = (hierarchy: string): Operation => ({
  op: 'cgroup-make',
  pointer: '',
  hierarchy,
  path: '/strata-c1',
  controllers: [],
  others: [],
  cpuset: false,
});
function deviceLine(file: string, value: string): Operation {
  return { op: 'cgroup-write', pointer: '/linux/resources/devices', path: `/sys/fs/cgroup/devices/strata-c1/${file}`, value, optional: false };
}
const node = (path: string, major: number, minor: number): Operation => ({
  op: 'device',
  pointer: '',
  path,
  type: 'c',
  major,
  minor,
  mode: 0o666,
  uid: 0,
  gid: 0,
  bind: false,
});
const link = (path: string, target: string, ifExists = true): Operation => ({ op: 'symlink', pointer: '', path, target, ifExists });
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const CAPABILITIES = (1n << 5n) | (1n << 10n) | (1n << 29n);

const EXPECTED: readonly Operation[] = [
  make('/sys/fs/cgroup/memory'),
  make('/sys/fs/cgroup/devices'),
  deviceLine('devices.deny', 'a'),
  deviceLine('devices.allow', 'c *:* m'),
  deviceLine('devices.allow', 'b *:* m'),
  deviceLine('devices.allow', 'c 1:3 rwm'),
  deviceLine('devices.allow', 'c 1:5 rwm'),
  deviceLine('devices.allow', 'c 1:7 rwm'),
  deviceLine('devices.allow', 'c 1:8 rwm'),
  deviceLine('devices.allow', 'c 1:9 rwm'),
  deviceLine('devices.allow', 'c 5:0 rwm'),
  deviceLine('devices.allow', 'c 5:2 rwm'),
  deviceLine('devices.allow', 'c 136:* rwm'),
  {
    op: 'clone',
    pointer: '/linux/namespaces',
    create: CLONE.pid | CLONE.network | CLONE.ipc | CLONE.uts | CLONE.mount,
    join: [],
    uidMap: '',
    gidMap: '',
    timeOffsets: '',
    cgroup: '',
    tasks: ['/sys/fs/cgroup/memory/strata-c1/tasks', '/sys/fs/cgroup/devices/strata-c1/tasks'],
    unprivileged: false,
  },

  { op: 'propagation', pointer: '', propagation: MS.rec | MS.slave },
  { op: 'root-bind', pointer: '/root/path', path: '/bundle/rootfs' },
  mount('/mounts/0', '/proc', 'proc', 'proc', [], 0n, true),
  mount('/mounts/1', '/dev', 'tmpfs', 'tmpfs', ['mode=755', 'size=65536k'], nosuid | strictatime, true),
  mount('/mounts/2', '/dev/pts', 'devpts', 'devpts', ['newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'], nosuid | noexec),
  mount('/mounts/3', '/dev/shm', 'tmpfs', 'shm', ['mode=1777', 'size=65536k'], nosuid | noexec | nodev),
  mount('/mounts/4', '/dev/mqueue', 'mqueue', 'mqueue', [], nosuid | noexec | nodev),
  mount('/mounts/5', '/sys', 'sysfs', 'sysfs', [], nosuid | noexec | nodev | rdonly, true),
  mount('/mounts/6', '/sys/fs/cgroup', 'tmpfs', 'tmpfs', ['mode=755', 'size=1024k'], nosuid | noexec | nodev),
  bind('/mounts/6', '/sys/fs/cgroup/memory/strata-c1', '/sys/fs/cgroup/memory', nosuid | noexec | nodev | rdonly),
  bind('/mounts/6', '/sys/fs/cgroup/devices/strata-c1', '/sys/fs/cgroup/devices', nosuid | noexec | nodev | rdonly),
  remount('/mounts/6', '/sys/fs/cgroup', rdonly),
  { op: 'directory', pointer: '/process/cwd', path: '/', mode: 0o755 },
  node('/dev/null', 1, 3),
  node('/dev/zero', 1, 5),
  node('/dev/full', 1, 7),
  node('/dev/random', 1, 8),
  node('/dev/urandom', 1, 9),
  node('/dev/tty', 5, 0),
  link('/dev/fd', '/proc/self/fd'),
  link('/dev/stdin', '/proc/self/fd/0'),
  link('/dev/stdout', '/proc/self/fd/1'),
  link('/dev/stderr', '/proc/self/fd/2'),
  link('/dev/core', '/proc/kcore'),
  link('/dev/ptmx', 'pts/ptmx', false),
  { op: 'console', pointer: '/process/terminal', height: 0, width: 0, uid: 0, bind: true },
  { op: 'mask', pointer: '/linux/maskedPaths/0', path: '/proc/acpi' },
  { op: 'mask', pointer: '/linux/maskedPaths/1', path: '/proc/kcore' },
  { op: 'mask', pointer: '/linux/maskedPaths/2', path: '/sys/firmware' },
  { op: 'readonly', pointer: '/linux/readonlyPaths/0', path: '/proc/bus' },
  { op: 'readonly', pointer: '/linux/readonlyPaths/1', path: '/proc/sys' },
  { op: 'root-readonly', pointer: '/root/readonly' },
  { op: 'pivot', pointer: '/root', mode: 0, propagation: 0 },

  { op: 'hostname', pointer: '/hostname', name: 'runc' },
  { op: 'loopback-up', pointer: '/linux/namespaces' },
  { op: 'keyring', pointer: '', name: '_ses.c1' },
  { op: 'rlimit', pointer: '/process/rlimits/0', resource: 7, name: 'RLIMIT_NOFILE', soft: 1024n, hard: 1024n },
  { op: 'cwd', pointer: '/process/cwd', path: '/', last: false },
  { op: 'executable', pointer: '/process/args/0', file: 'sh', search: PATH },
  { op: 'home', pointer: '', uid: 0 },
  { op: 'bounding', pointer: '/process/capabilities/bounding', bounding: CAPABILITIES },
  { op: 'user', pointer: '/process/user', uid: 0, gid: 0, groups: [], umask: 0xffffffff },
  { op: 'cwd', pointer: '/process/cwd', path: '/', last: true },
  { op: 'capabilities', pointer: '/process/capabilities', effective: CAPABILITIES, permitted: CAPABILITIES, inheritable: 0n, ambient: 0n },
  { op: 'no-new-privileges', pointer: '/process/noNewPrivileges' },
  { op: 'ready', pointer: '' },
  { op: 'exec', pointer: '/process/args', args: ['sh'], env: [`PATH=${PATH}`, 'TERM=xterm'] },
];

test('the configuration of `runc spec`, whole', (t) => {
  const { operations } = planCreate(loadSpec(JSON.stringify(RUNC_SPEC)), contextOf(SMALL));
  for (const [index, operation] of EXPECTED.entries()) t.deepEqual(operations[index], operation);
  t.is(operations.length, EXPECTED.length);
});

test('planning does not change what it is given, and gives the same plan twice', (t) => {
  const spec = specOf(RUNC_SPEC);
  const before = structuredClone(spec);
  t.deepEqual(planCreate(spec, contextOf(V2)), planCreate(spec, contextOf(V2)));
  t.deepEqual(spec, before);
});

test('without a process the container is created, but there is nothing to execute', (t) => {
  const operations = plan({ process: null });
  t.deepEqual(names(operations.slice(-3)), ['pivot', 'loopback-up', 'ready']);
  for (const name of ['exec', 'executable', 'user', 'console', 'directory'] as const) t.deepEqual(only(operations, name), []);
});

test('a filter without no_new_privs is loaded while CAP_SYS_ADMIN is held, else last', (t) => {
  const seccomp = { defaultAction: 'SCMP_ACT_ALLOW' };
  const steps = (noNewPrivileges: boolean): string[] =>
    names(plan({ process: { noNewPrivileges }, linux: { seccomp }, hooks: { startContainer: [{ path: '/hook' }] } })).filter((name) =>
      ['seccomp-compile', 'clone', 'bounding', 'seccomp-load', 'user', 'capabilities', 'no-new-privileges', 'ready', 'hook', 'exec'].includes(name),
    );
  t.deepEqual(steps(false), ['seccomp-compile', 'clone', 'bounding', 'user', 'seccomp-load', 'capabilities', 'ready', 'hook', 'exec']);
  t.deepEqual(steps(true), [
    'seccomp-compile',
    'clone',
    'bounding',
    'user',
    'capabilities',
    'no-new-privileges',
    'ready',
    'hook',
    'seccomp-load',
    'exec',
  ]);
});

test('what one property asks for points back to it', (t) => {
  for (const { op, pointer } of planCreate(loadSpec(JSON.stringify(RUNC_SPEC)), contextOf()).operations) {
    if (pointer === '') continue;
    let value: unknown = RUNC_SPEC;
    for (const token of pointer.slice(1).split('/')) value = (value as Record<string, unknown>)[token];
    t.not(value, undefined, `${op} points to ${pointer}`);
  }
});

test('errors of the plan carry a pointer and the stage', (t) => {
  const error = t.throws(() => plan({ linux: { cgroupsPath: '/' } }), { instanceOf: StrataError }) as StrataError;
  t.is(error.code, 'config-invalid');
  t.is(error.pointer, '/linux/cgroupsPath');
  t.is(error.stage, 'plan');
});
