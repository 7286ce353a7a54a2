import test from 'ava';
import { cgroupPaths } from '../../../src/plan/cgroup.ts';
import { limitWrites } from '../../../src/plan/resources.ts';
import type { DeviceRule } from '../../../src/spec/types.ts';
import { annotatedProperties, changedDeviceProperties, deviceProperties, limitProperties } from '../../../src/systemd/properties.ts';
import { specOf, V2 } from '../plan/_support.ts';

function properties(resources: object, version = 252, facts = V2): Record<string, unknown> {
  const spec = specOf({ linux: { resources } });
  const writes = limitWrites(spec.linux.resources, cgroupPaths(spec, 'c1', facts), facts);
  return Object.fromEntries(limitProperties(writes, version).map(([name, { value }]) => [name, value]));
}

const NONE = 2n ** 64n - 1n;

test('memory and processes', (t) => {
  t.deepEqual(properties({ memory: { limit: 67108864, swap: 134217728, reservation: 1048576 }, pids: { limit: 20 } }), {
    MemoryMax: 67108864n,
    MemorySwapMax: 67108864n,
    MemoryLow: 1048576n,
    TasksMax: 20n,
  });
  t.deepEqual(properties({ memory: { limit: -1, swap: -1 }, pids: { limit: -1 } }), { MemoryMax: NONE, MemorySwapMax: NONE, TasksMax: NONE });
  t.deepEqual(properties({ pids: { limit: 0 } }), { TasksMax: 1n }, 'systemd takes no 0');
});

test('CPU time: weights by the formula, quotas in whole percents', (t) => {
  t.deepEqual(properties({ cpu: { shares: 1024, quota: 25000, period: 50000 } }), {
    CPUWeight: 100n,
    CPUQuotaPerSecUSec: 500000n,
    CPUQuotaPeriodUSec: 50000n,
  });
  t.like(properties({ cpu: { quota: 33333, period: 100000 } }), { CPUQuotaPerSecUSec: 340000n });
  t.like(properties({ cpu: { quota: -1 } }), { CPUQuotaPerSecUSec: NONE, CPUQuotaPeriodUSec: 100000n });
  t.deepEqual(Object.keys(properties({ cpu: { quota: 50000 } }, 241)), ['CPUQuotaPerSecUSec']);
  t.deepEqual(properties({ cpu: { idle: 1 } }), { CPUWeight: 0n });
  t.deepEqual(properties({ cpu: { idle: 1 } }, 251), {});
});

test('CPUs and memory nodes are bits, the lowest first', (t) => {
  t.deepEqual(properties({ cpu: { cpus: '0-1,9', mems: '0' } }), { AllowedCPUs: [3, 2], AllowedMemoryNodes: [1] });
  t.deepEqual(properties({ cpu: { cpus: '0' } }, 243), {});
});

test('files by their names, in the forms that the kernel takes', (t) => {
  const unified = { 'memory.high': '64M', 'memory.min': '1g', 'memory.max': 'max\n', 'pids.max': '0', 'cpu.max': '5000', 'cpuset.cpus': '0-7:1/2' };
  t.deepEqual(properties({ unified }), {
    MemoryHigh: 67108864n,
    MemoryMin: 1073741824n,
    MemoryMax: NONE,
    TasksMax: 1n,
    CPUQuotaPerSecUSec: 50000n,
    CPUQuotaPeriodUSec: 100000n,
  });
  const wrong = { 'memory.high': 'much', 'cpu.max': '50%', 'cpu.weight': 'idle', 'cpuset.mems': 'all', 'memory.low': '-1' };
  t.deepEqual(properties({ unified: wrong }), {}, 'what the kernel will refuse');
  t.deepEqual(properties({ unified: { 'cpu.max': '1000 0' } }), {});
});

test('block I/O by device', (t) => {
  const blockIO = {
    weight: 1000,
    weightDevice: [{ major: 8, minor: 0, weight: 10 }],
    throttleReadBpsDevice: [
      { major: 8, minor: 0, rate: 1000 },
      { major: 8, minor: 16, rate: 2000 },
    ],
    throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 0 }],
  };
  t.deepEqual(properties({ blockIO }), {
    IOWeight: 10000n,
    IODeviceWeight: [['/dev/block/8:0', 1n]],
    IOReadBandwidthMax: [
      ['/dev/block/8:0', 1000n],
      ['/dev/block/8:16', 2000n],
    ],
    IOWriteIOPSMax: [['/dev/block/8:0', NONE]],
  });
  const unified = V2.cgroup.unified && { ...V2.cgroup.unified, weightFile: 'io.bfq.weight' as const };
  const bfq = { ...V2, cgroup: { ...V2.cgroup, ...(unified && { unified }) } };
  t.deepEqual(properties({ blockIO: { weight: 50 } }, 252, bfq), { IOWeight: 50n });
  t.deepEqual(properties({ blockIO: { weight: 1000 } }, 252, bfq), { IOWeight: 10000n });
});

test('what is given for v2 comes last, and what systemd has no word for is left to the files', (t) => {
  const unified = { 'memory.max': 'max', 'memory.high': '5000', 'cpu.max': '10000 20000', 'cpu.max.burst': '1000', 'memory.oom.group': '1' };
  t.deepEqual(properties({ memory: { limit: 4096 }, unified, hugepageLimits: [{ pageSize: '2MB', limit: 0 }] }), {
    MemoryMax: NONE,
    MemoryHigh: 5000n,
    CPUQuotaPerSecUSec: 500000n,
    CPUQuotaPeriodUSec: 20000n,
  });
});

function devices(...rules: DeviceRule[]): Record<string, unknown> {
  return Object.fromEntries(deviceProperties(rules).map(([name, { value }]) => [name, value]));
}

test('devices: the list of what is allowed, or no filter of systemd', (t) => {
  const denied = devices({ allow: false, access: 'rwm' }, { allow: true, type: 'b', major: 8, minor: 0, access: 'r' });
  t.is(denied['DevicePolicy'], 'strict');
  const allowed = denied['DeviceAllow'] as [string, string][];
  t.deepEqual(
    allowed.find(([name]) => name === '/dev/block/8:0'),
    ['/dev/block/8:0', 'r'],
  );
  t.deepEqual(
    allowed.find(([name]) => name === '/dev/char/1:3'),
    ['/dev/char/1:3', 'rwm'],
  );
  t.deepEqual(
    allowed.find(([name]) => name === 'char-136'),
    ['char-136', 'rwm'],
  );
  t.deepEqual(
    allowed.find(([name]) => name === 'char-*'),
    ['char-*', 'm'],
  );
  const open = { DevicePolicy: 'auto' };
  t.deepEqual(devices({ allow: true, access: 'rwm' }), open);
  t.deepEqual(
    devices({ allow: true, type: 'c', major: 10, access: 'rwm' }, { allow: false, type: 'c', major: 10, minor: 200, access: 'rwm' }),
    open,
    'a hole',
  );
  t.deepEqual(devices({ allow: true, type: 'c', minor: 5, access: 'rwm' }), open, 'any major number with one minor number');
});

test('other rules for a scope that has some: they take the place of all', (t) => {
  const changed = (...rules: DeviceRule[]) =>
    changedDeviceProperties(rules).map(([name, { value }]) => [name, Array.isArray(value) ? value.length : value]);
  t.deepEqual(changed({ allow: false, access: 'rwm' }), [
    ['DeviceAllow', 0],
    ['DevicePolicy', 'strict'],
    ['DeviceAllow', 10],
  ]);
  t.deepEqual(changed({ allow: true, access: 'rwm' }), [
    ['DeviceAllow', 0],
    ['DevicePolicy', 'strict'],
    ['DeviceAllow', 2],
  ]);
});

test('properties of the annotations', (t) => {
  const read = (name: string, value: string) => annotatedProperties({ [`org.systemd.property.${name}`]: value, other: 'x' });
  t.deepEqual(read('TimeoutStopUSec', 'uint64 5'), [['TimeoutStopUSec', { signature: 't', value: 5n }]]);
  t.deepEqual(read('TimeoutStopSec', '1.5'), [['TimeoutStopUSec', { signature: 't', value: 1500000n }]]);
  t.deepEqual(read('After', "['a.service']"), [['After', { signature: 'as', value: ['a.service'] }]]);
  for (const [name, value] of [
    ['timeout', 'uint64 5'],
    ['Ab', 'true'],
    ['PIDs', '[uint32 1]'],
    ['Slice', "'x.slice'"],
    ['CollectMode', 'inactive'],
    ['TimeoutStopSec', "'five'"],
    ['TimeoutStopSec', '-1'],
  ] as const) {
    t.throws(
      () => read(name, value),
      { message: new RegExp(`^config\\.json /annotations/org\\.systemd\\.property\\.${name}: `) },
      `${name} ${value}`,
    );
  }
});
