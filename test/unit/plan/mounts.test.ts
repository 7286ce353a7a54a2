import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { planCreate } from '../../../src/plan/create.ts';
import { ATTR, MS, type Operation, type OperationFields } from '../../../src/plan/op.ts';
import { contextOf, HYBRID, NO_CGROUPS, names, only, plan, SMALL, specOf, V1, V2 } from './_support.ts';

const mountOf = (mount: object): OperationFields<'mount'> => only(plan({ mounts: [mount] }), 'mount')[0] as OperationFields<'mount'>;
const bindOf = (mount: object, linux: object = {}): OperationFields<'bind'> =>
  only(plan({ mounts: [mount], linux }), 'bind')[0] as OperationFields<'bind'>;

test('a fresh mount has no attributes to clear, and nothing below it', (t) => {
  const mount = mountOf({ destination: '/run', type: 'tmpfs', options: ['suid', 'rnoexec', 'nodev', 'rdev', 'mode=755', 'shared'] });
  t.like(mount, { type: 'tmpfs', source: '', set: ATTR.noexec, clear: 0n, recursiveSet: 0n, recursiveClear: 0n, propagation: MS.shared });
  t.deepEqual(mount.options, ['mode=755']);
  t.false(mount.realDirectory);
});

test('superblock flags reach the file system', (t) => {
  t.deepEqual(mountOf({ destination: '/x', type: 'ext4', source: '/dev/x', options: ['sync', 'lazytime', 'silent', 'noload'] }).options, [
    'sync',
    'lazytime',
    'silent',
    'noload',
  ]);
});

test('destinations are absolute and clean', (t) => {
  t.is(mountOf({ destination: 'var//tmp/../run/', type: 'tmpfs' }).destination, '/var/run');
});

test('/proc, /sys and /dev, and their file systems, must be real directories', (t) => {
  t.true(mountOf({ destination: '/dev', type: 'tmpfs' }).realDirectory);
  t.true(mountOf({ destination: '/other', type: 'proc' }).realDirectory);
  t.true(mountOf({ destination: '/other', type: 'sysfs' }).realDirectory);
  t.true(bindOf({ destination: '/sys', type: 'bind', source: '/sys', options: ['rbind'] }).realDirectory);
  t.false(mountOf({ destination: '/dev/shm', type: 'tmpfs' }).realDirectory);
});

test('tmpcopyup', (t) => {
  t.true(mountOf({ destination: '/etc', type: 'tmpfs', options: ['tmpcopyup'] }).copyUp);
});

test('binds by option or by type; a relative source starts at the bundle', (t) => {
  t.like(bindOf({ destination: '/data', source: 'vol/../data', options: ['bind'] }), { source: '/bundle/vol/../data', recursive: false, set: 0n });
  t.like(bindOf({ destination: '/data', source: '/data', type: 'bind', options: ['ro'] }), { source: '/data', recursive: false, set: ATTR.rdonly });
  t.like(bindOf({ destination: '/data', type: 'none', source: '/data', options: ['rbind', 'ro', 'rprivate'] }), {
    recursive: true,
    set: ATTR.rdonly,
    recursiveSet: 0n,
    propagation: MS.private | MS.rec,
  });
});

test('a bind keeps clearing and recursive attributes, and leaves the superblock alone', (t) => {
  const bind = bindOf({ destination: '/data', source: '/data', options: ['rbind', 'rw', 'rro', 'rexec', 'noatime', 'sync', 'iversion', 'silent'] });
  t.like(bind, { set: ATTR.noatime, clear: ATTR.rdonly | ATTR.atime, recursiveSet: ATTR.rdonly, recursiveClear: ATTR.noexec });
  t.false('options' in bind);
});

test('options of a file system have no effect on a bind, which is told', (t) => {
  const warnings: string[] = [];
  const spec = specOf({ mounts: [{ destination: '/data', source: '/data', options: ['bind', 'sync', 'a,size=1'] }] });
  const [bind] = only(planCreate(spec, { ...contextOf(), warn: (text) => warnings.push(text) }).operations, 'bind');
  t.like(bind, { set: 0n, source: '/data' });
  t.deepEqual(
    warnings,
    ['a', 'size=1'].map((option) => `/mounts/0: a bind mount has the file system of its source: "${option}" has no effect`),
  );
});

test('only a bind below /proc may lie over procfs', (t) => {
  t.true(bindOf({ destination: '/proc/uptime', source: '/var/lib/lxcfs/proc/uptime', options: ['bind'] }).overProc);
  t.false(bindOf({ destination: '/procs', source: '/x', options: ['bind'] }).overProc);
});

test('id mappings: given, of the user namespace, recursive, or from engines without the option', (t) => {
  const maps = { uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }], gidMappings: [{ containerID: 0, hostID: 2000, size: 10 }] };
  const base = { destination: '/data', source: '/data' };
  t.like(bindOf({ ...base, options: ['bind', 'idmap'], ...maps }), { idmap: 1, uidMap: '0 1000 10\n', gidMap: '0 2000 10\n' });
  t.like(bindOf({ ...base, options: ['rbind', 'ridmap'], ...maps }), { idmap: 2, uidMap: '0 1000 10\n' });
  t.like(bindOf({ ...base, options: ['bind'], ...maps }), { idmap: 1 });
  t.like(bindOf({ ...base, options: ['bind', 'idmap'] }, { namespaces: [{ type: 'mount' }, { type: 'user' }] }), {
    idmap: 1,
    uidMap: '',
    gidMap: '',
  });
  t.like(bindOf({ ...base, options: ['bind'] }), { idmap: 0, uidMap: '', gidMap: '' });
});

test('remount', (t) => {
  const [operation] = only(plan({ mounts: [{ destination: '/sys', options: ['remount', 'bind', 'ro', 'rnosuid', 'slave'] }] }), 'remount');
  t.like(operation, { destination: '/sys', set: ATTR.rdonly, recursiveSet: ATTR.nosuid, propagation: MS.slave });
});

test('remount tells the file system its options, unless it is about one mount of it', (t) => {
  const remount = (...options: string[]) => only(plan({ mounts: [{ destination: '/x', options: ['remount', ...options] }] }), 'remount')[0]?.options;
  t.deepEqual(remount('size=1m', 'lazytime', 'silent', 'ro'), ['size=1m', 'lazytime']);
  t.deepEqual(remount('bind', 'lazytime', 'size=1m'), []);
  for (const option of ['iversion', 'noiversion', 'dirsync']) {
    const error = t.throws(() => remount('ro', option), { instanceOf: StrataError });
    t.like(error, { code: 'config-unsupported', pointer: '/mounts/0/options/2' });
  }
});

test('a tmpfs that is to be read-only is so only when all lies in it', (t) => {
  const operations = plan({
    mounts: [
      { destination: '/dev', type: 'tmpfs', options: ['ro', 'nosuid'] },
      { destination: '/dev/shm', type: 'tmpfs', options: ['rro'] },
      { destination: '/dev/pts', type: 'devpts', options: ['ro'] },
      { destination: '/data', source: '/data', options: ['bind', 'ro'] },
    ],
    linux: { maskedPaths: ['/dev/shm/x'] },
  });
  t.deepEqual(
    only(operations, 'mount').map(({ set }) => set),
    [ATTR.nosuid, 0n, ATTR.rdonly],
  );
  t.deepEqual(
    only(operations, 'remount').map(({ destination, set, pointer }) => [destination, set, pointer]),
    [
      ['/dev', ATTR.rdonly, '/mounts/0/options'],
      ['/dev/shm', ATTR.rdonly, '/mounts/1/options'],
    ],
  );
  const order = names(operations);
  t.true(order.indexOf('remount') > order.lastIndexOf('symlink') && order.indexOf('remount') < order.indexOf('mask'));
});

test('the root by absolute and relative path', (t) => {
  t.is(only(plan({ root: { path: '/srv/root/' } }), 'root-bind')[0]?.path, '/srv/root');
  t.is(only(plan({ root: { path: 'a/b' } }), 'root-bind')[0]?.path, '/bundle/a/b');
  t.deepEqual(only(plan({ root: { path: 'r', readonly: true } }), 'root-readonly'), [{ op: 'root-readonly', pointer: '/root/readonly' }]);
});

test('the root as a stack of layers', (t) => {
  const annotation = JSON.stringify({ lower: ['/l/2', 'l/1'], upper: 'up', work: '/work', options: ['volatile'] });
  const operations = plan({ annotations: { 'dev.strata.overlay': annotation }, root: { path: 'rootfs', readonly: true } });
  t.deepEqual(only(operations, 'root-overlay'), [
    {
      op: 'root-overlay',
      pointer: '/annotations/dev.strata.overlay',
      path: '/bundle/rootfs',
      lower: ['/l/2', '/bundle/l/1'],
      upper: '/bundle/up',
      work: '/work',
      options: ['volatile'],
      classic: '',
    },
  ]);
  t.deepEqual(only(operations, 'root-bind'), []);
  t.is(only(operations, 'root-readonly').length, 1);
});

test('a stack has the label of mounts, unless its options name one', (t) => {
  const options = (own: readonly string[]) => {
    const annotation = JSON.stringify({ lower: ['/l/2', '/l/1'], options: own });
    return only(plan({ annotations: { 'dev.strata.overlay': annotation }, linux: { mountLabel: 'u:r:t:s0:c1,c2' } }), 'root-overlay')[0]?.options;
  };
  t.deepEqual(options(['volatile']), ['volatile', 'context=u:r:t:s0:c1,c2']);
  t.deepEqual(options(['context=u:r:t:s0']), ['context=u:r:t:s0']);
});

test('on a kernel without lowerdir+ the stack is the data of mount(2)', (t) => {
  const annotations = { 'dev.strata.overlay': JSON.stringify({ lower: ['/l/2', '/l/1'] }) };
  const old = { ...SMALL, kernel: { major: 6, minor: 7, release: '6.7.0' } };
  t.is(only(plan({ annotations }, old), 'root-overlay')[0]?.classic, 'lowerdir=/l/2:/l/1');
  const young = { ...SMALL, kernel: { major: 6, minor: 8, release: '6.8.0' } };
  t.is(only(plan({ annotations }, young), 'root-overlay')[0]?.classic, '');
});

// --- cgroup mounts ---

const cgroupMount = (type: string, options: string[] = [], destination = '/sys/fs/cgroup') => ({
  mounts: [{ destination, type, source: 'cgroup', options }],
});
const withNamespace = { linux: { namespaces: [{ type: 'mount' }, { type: 'cgroup' }] } };
const inMounts = (operations: readonly Operation[]): Operation[] => operations.filter(({ pointer }) => pointer.startsWith('/mounts'));

test('cgroup on v1: a tmpfs with each hierarchy, and links for controllers that share one', (t) => {
  const operations = inMounts(plan(cgroupMount('cgroup', ['nosuid', 'relatime', 'ro'], '/cg'), V1));
  t.like(operations[0], { op: 'mount', type: 'tmpfs', destination: '/cg', set: ATTR.nosuid | ATTR.nodev | ATTR.noexec });
  t.like(operations[1], {
    op: 'bind',
    source: '/sys/fs/cgroup/cpu,cpuacct/strata-c1',
    destination: '/cg/cpu,cpuacct',
    set: ATTR.nosuid | ATTR.rdonly,
    clear: ATTR.atime,
  });
  t.like(operations[2], { op: 'symlink', path: '/cg/cpu', target: 'cpu,cpuacct' });
  t.like(operations[3], { op: 'symlink', path: '/cg/cpuacct', target: 'cpu,cpuacct' });
  t.true(operations.some((operation) => operation.op === 'bind' && operation.destination === '/cg/systemd'));
  t.like(operations.at(-1), { op: 'remount', destination: '/cg', set: ATTR.rdonly });
});

test('cgroup on v1, writable, with an access time', (t) => {
  const operations = inMounts(plan(cgroupMount('cgroup', ['rw', 'noatime']), SMALL));
  t.deepEqual(names(operations), ['mount', 'bind', 'bind']);
  t.like(operations[1], { set: ATTR.noatime, clear: ATTR.atime });
});

test('cgroup on a hybrid machine shows v1, cgroup2 shows v2', (t) => {
  const v1 = inMounts(plan(cgroupMount('cgroup'), HYBRID));
  t.false(v1.some((operation) => operation.op === 'bind' && operation.source.includes('unified')));
  const v2 = inMounts(plan(cgroupMount('cgroup2'), HYBRID));
  t.deepEqual(names(v2), ['bind']);
  t.like(v2[0], { source: '/sys/fs/cgroup/unified/strata-c1', destination: '/sys/fs/cgroup' });
});

test('cgroup on v2: a fresh mount in a cgroup namespace, else the own directory', (t) => {
  for (const type of ['cgroup', 'cgroup2']) {
    const own = inMounts(plan({ ...cgroupMount(type, ['ro', 'nsdelegate']), ...withNamespace }, V2));
    t.deepEqual(names(own), ['mount']);
    t.like(own[0], { type: 'cgroup2', set: ATTR.rdonly });
    t.like(inMounts(plan(cgroupMount(type, ['ro']), V2))[0], { op: 'bind', source: '/sys/fs/cgroup/strata-c1', set: ATTR.rdonly });
  }
});

test('cgroup mounts that the machine cannot give', (t) => {
  for (const [type, facts] of [
    ['cgroup2', V1],
    ['cgroup', NO_CGROUPS],
    ['cgroup2', NO_CGROUPS],
  ] as const) {
    const error = t.throws(() => plan(cgroupMount(type), facts), { instanceOf: StrataError }) as StrataError;
    t.is(error.code, 'config-unsupported');
    t.is(error.pointer, '/mounts/0');
  }
});
