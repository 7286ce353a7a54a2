import test from 'ava';
import { CLONE, MS, type OperationFields } from '../../../src/plan/op.ts';
import { HYBRID, only, plan, V1, V2 } from './_support.ts';

type Clone = OperationFields<'clone'>;

function clone(linux: object): Clone {
  const [operation] = only(plan({ linux }), 'clone');
  return operation as Clone;
}

test('new namespaces are bits, joined ones a list in a fixed order', (t) => {
  const { create, join } = clone({
    namespaces: [
      { type: 'mount' },
      { type: 'network', path: '/run/netns/a' },
      { type: 'cgroup' },
      { type: 'user', path: '/proc/7/ns/user' },
      { type: 'time' },
    ],
  });
  t.is(create, CLONE.mount | CLONE.cgroup | CLONE.time);
  t.deepEqual(join, ['user', '/proc/7/ns/user', 'network', '/run/netns/a']);
});

test('a new user namespace has its maps, a joined one keeps its own', (t) => {
  const mappings = {
    uidMappings: [
      { containerID: 0, hostID: 100000, size: 1000 },
      { containerID: 1000, hostID: 1000, size: 1 },
    ],
    gidMappings: [{ containerID: 0, hostID: 200000, size: 65536 }],
  };
  const own = clone({ namespaces: [{ type: 'mount' }, { type: 'user' }], ...mappings });
  t.is(own.create, CLONE.mount | CLONE.user);
  t.is(own.uidMap, '0 100000 1000\n1000 1000 1\n');
  t.is(own.gidMap, '0 200000 65536\n');
  const joined = clone({ namespaces: [{ type: 'mount' }, { type: 'user', path: '/ns' }], ...mappings });
  t.is(joined.uidMap + joined.gidMap, '');
});

test('time offsets are the lines of timens_offsets', (t) => {
  const { create, timeOffsets } = clone({
    namespaces: [{ type: 'mount' }, { type: 'time' }],
    timeOffsets: { boottime: { secs: 7, nanosecs: 5 }, monotonic: { secs: -86400 } },
  });
  t.is(create & CLONE.time, CLONE.time);
  t.is(timeOffsets, 'monotonic -86400 0\nboottime 7 5\n');
});

test('the process starts in its v2 cgroup, and moves itself into those of v1', (t) => {
  const [v2] = only(plan({}, V2), 'clone');
  t.is(v2?.cgroup, '/sys/fs/cgroup/strata-c1');
  t.deepEqual(v2?.tasks, []);
  const [hybrid] = only(plan({ linux: { cgroupsPath: '/pod/c' } }, HYBRID), 'clone');
  t.is(hybrid?.cgroup, '/sys/fs/cgroup/unified/pod/c');
  t.is(hybrid?.tasks[0], '/sys/fs/cgroup/cpu,cpuacct/pod/c/tasks');
  t.true(hybrid?.tasks.includes('/sys/fs/cgroup/systemd/pod/c/tasks'));
});

test('where no task may be born, the process moves itself into its v2 cgroup too', (t) => {
  const entrance = (resources: object, facts = V2): unknown => {
    const [operation] = only(plan({ linux: { resources } }, facts), 'clone');
    return [operation?.cgroup, operation?.tasks];
  };
  const moved = ['', ['/sys/fs/cgroup/strata-c1/cgroup.procs']];
  t.deepEqual(entrance({ pids: { limit: 0 } }), moved);
  t.deepEqual(entrance({ pids: { limit: 9 }, unified: { 'pids.max': '0' } }), moved);
  for (const limit of [-1, 1]) t.deepEqual(entrance({ pids: { limit } }), ['/sys/fs/cgroup/strata-c1', []], `${limit}`);
  t.deepEqual(entrance({ pids: { limit: 0 } }, V1), ['', only(plan({}, V1), 'clone')[0]?.tasks]);
});

test('a mount namespace of its own is entered with pivot_root, or as --no-pivot says', (t) => {
  t.is(only(plan(), 'pivot')[0]?.mode, 0);
  t.is(only(plan({}, V2, { noPivot: true }), 'pivot')[0]?.mode, 1);
});

test('the mounts of a joined mount namespace are left as they are', (t) => {
  const operations = plan({ linux: { namespaces: [{ type: 'mount', path: '/proc/9/ns/mnt' }], rootfsPropagation: 'shared' } });
  t.deepEqual(only(operations, 'propagation'), []);
  t.like(only(operations, 'pivot')[0], { mode: 2, propagation: 0 });
});

for (const [asked, before, after] of [
  [undefined, MS.rec | MS.slave, 0],
  ['private', MS.rec | MS.private, MS.private],
  ['slave', MS.rec | MS.slave, MS.slave],
  ['shared', MS.shared, MS.shared],
  ['unbindable', MS.rec | MS.private, MS.unbindable],
  ['rprivate', MS.rec | MS.private, MS.rec | MS.private],
  ['rslave', MS.rec | MS.slave, MS.rec | MS.slave],
  ['rshared', MS.shared, MS.rec | MS.shared],
  ['runbindable', MS.rec | MS.private, MS.rec | MS.unbindable],
] as const) {
  test(`rootfsPropagation ${asked}`, (t) => {
    const operations = plan({ linux: { rootfsPropagation: asked } });
    t.is(only(operations, 'propagation')[0]?.propagation, before);
    t.is(only(operations, 'pivot')[0]?.propagation, after);
  });
}

test('the loopback interface is brought up in a new network namespace only', (t) => {
  const loopback = (network: object[]): number => only(plan({ linux: { namespaces: [{ type: 'mount' }, ...network] } }), 'loopback-up').length;
  t.is(loopback([{ type: 'network' }]), 1);
  t.is(loopback([{ type: 'network', path: '/run/netns/a' }]), 0);
  t.is(loopback([]), 0);
});

test('network devices are moved before anything else is done in the container', (t) => {
  const operations = plan({ linux: { namespaces: [{ type: 'network' }], netDevices: { eth0: {}, 'a/~b': { name: 'eth%d' } } } });
  const first = operations.findIndex(({ op }) => op === 'clone') + 1;
  t.deepEqual(operations.slice(first, first + 2), [
    { op: 'net-device', pointer: '/linux/netDevices/eth0', name: 'eth0', target: 'eth0' },
    { op: 'net-device', pointer: '/linux/netDevices/a~1~0b', name: 'a/~b', target: 'eth%d' },
  ]);
  t.deepEqual(only(plan({ linux: { netDevices: {} } }), 'net-device'), []);
});
