import test, { type ExecutionContext } from 'ava';
import { type ErrorCode, StrataError } from '../../../src/base/error.ts';
import type { HostFacts } from '../../../src/host/facts.ts';
import { knownPlaces } from '../../../src/plan/cgroup.ts';
import { resetWrites } from '../../../src/plan/resources.ts';
import { weightOfShares } from '../../../src/plan/resources-v2.ts';
import { HYBRID, NO_CGROUPS, only, plan, V1, V2 } from './_support.ts';

/** The writes for some resources as `file value` below the container's cgroup; `?` marks optional ones. Device rules are left out. */
function writes(resources: object, facts: HostFacts): string[] {
  const operations = only(plan({ linux: { resources, cgroupsPath: '/c' } }, facts), 'cgroup-write');
  return operations
    .filter(({ pointer }) => pointer !== '/linux/resources/devices')
    .map(({ path, value, optional }) => `${path.replace(/^\/sys\/fs\/cgroup\/(?:([^/]+)\/)?c\//, '')} ${value}${optional ? ' ?' : ''}`);
}

function refused(t: ExecutionContext, resources: object, facts: HostFacts, pointer: string, code: ErrorCode = 'config-unsupported'): StrataError {
  const error = t.throws(() => writes(resources, facts), { instanceOf: StrataError }) as StrataError;
  t.is(error.code, code);
  t.is(error.pointer, `/linux/resources${pointer}`);
  return error;
}

const MEMORY = { limit: 1048576, reservation: 524288, swap: 2097152 };

test('memory on v1: the limit before what includes it', (t) => {
  t.deepEqual(writes({ memory: { ...MEMORY, kernel: 5, kernelTCP: 6, swappiness: 0, disableOOMKiller: true, useHierarchy: true } }, V1), [
    'memory.use_hierarchy 1',
    'memory.limit_in_bytes 1048576',
    'memory.memsw.limit_in_bytes 2097152',
    'memory.soft_limit_in_bytes 524288',
    'memory.kmem.limit_in_bytes 5',
    'memory.kmem.tcp.limit_in_bytes 6',
    'memory.swappiness 0',
    'memory.oom_control 1',
  ]);
  t.deepEqual(writes({ memory: { limit: -1, swap: -1, useHierarchy: false } }, V1), [
    'memory.use_hierarchy 0',
    'memory.limit_in_bytes -1',
    'memory.memsw.limit_in_bytes -1 ?',
  ]);
});

test('memory on v2', (t) => {
  t.deepEqual(writes({ memory: MEMORY }, V2), ['memory.max 1048576', 'memory.swap.max 1048576', 'memory.low 524288']);
  t.deepEqual(writes({ memory: { limit: 4096, swap: 4096 } }, V2), ['memory.max 4096', 'memory.swap.max 0 ?']);
  t.deepEqual(writes({ memory: { limit: -1, swap: -1 } }, V2), ['memory.max max', 'memory.swap.max max ?']);
  t.deepEqual(writes({ memory: { swap: 0 } }, V2), ['memory.swap.max 0 ?']);
  t.deepEqual(writes({ memory: { limit: 4096, swap: 0 } }, V2), ['memory.max 4096', 'memory.swap.max 0 ?']);
  t.deepEqual(writes({ memory: { useHierarchy: true, disableOOMKiller: false } }, V2), []);
});

test('memory limits that v2 does not have', (t) => {
  refused(t, { memory: { swap: 4096 } }, V2, '/memory/swap', 'config-invalid');
  refused(t, { memory: { kernel: 4096 } }, V2, '/memory/kernel');
  refused(t, { memory: { kernelTCP: 4096 } }, V2, '/memory/kernelTCP');
  refused(t, { memory: { swappiness: 10 } }, V2, '/memory/swappiness');
  refused(t, { memory: { disableOOMKiller: true } }, V2, '/memory/disableOOMKiller');
  refused(t, { memory: { useHierarchy: false } }, V2, '/memory/useHierarchy');
});

test('what v2 takes and may not do is looked at afterwards', (t) => {
  const checks = (resources: object, facts: HostFacts): string[] =>
    only(plan({ linux: { resources, cgroupsPath: '/c' } }, facts), 'cpuset-check').map(({ pointer, path }) => `${pointer} ${path}`);
  const unified = { 'cpuset.cpus.partition': 'root', 'memory.high': '1' };
  t.deepEqual(checks({ cpu: CPU, unified }, V2), [
    '/linux/resources/unified/cpuset.cpus.partition /sys/fs/cgroup/c/cpuset.cpus.partition',
    '/linux/resources/cpu/cpus /sys/fs/cgroup/c/cpuset.cpus',
    '/linux/resources/cpu/mems /sys/fs/cgroup/c/cpuset.mems',
  ]);
  t.deepEqual([checks({ cpu: { shares: 512 } }, V2), checks({ cpu: CPU }, V1)], [[], []]);
  const claims = (facts: HostFacts): object[] => only(plan({ linux: { resources: { cpu: CPU }, cgroupsPath: '/c' } }, facts), 'cpuset-claim');
  t.deepEqual(claims(V2), [{ op: 'cpuset-claim', pointer: '/linux/resources/cpu/cpus', directory: '/sys/fs/cgroup/c', cpus: '0-1' }]);
  t.deepEqual(claims(V1), []);
});

test('0, where engines mean nothing by it, is nothing', (t) => {
  const resources = {
    memory: { limit: 0, swap: 0, reservation: 0, kernel: 0, disableOOMKiller: false },
    cpu: { shares: 0, quota: 0, period: 0, burst: 0, realtimePeriod: 0, realtimeRuntime: 0, cpus: '', mems: '', idle: 0 },
    blockIO: { weight: 0, leafWeight: 0 },
    network: { classID: 0 },
  };
  for (const facts of [V1, HYBRID, V2, NO_CGROUPS]) t.deepEqual(writes(resources, facts), []);
});

const CPU = { shares: 512, quota: 50000, period: 100000, burst: 1000, cpus: '0-1', mems: '0' };

test('cpu on v1: the period before the quota before the burst', (t) => {
  t.deepEqual(writes({ cpu: { ...CPU, realtimeRuntime: 950, realtimePeriod: 1000 } }, V1), [
    'cpu.shares 512',
    'cpu.cfs_period_us 100000',
    'cpu.cfs_quota_us 50000',
    'cpu.cfs_burst_us 1000',
    'cpu.rt_period_us 1000',
    'cpu.rt_runtime_us 950',
    'cpuset.cpus 0-1',
    'cpuset.mems 0',
  ]);
  t.deepEqual(writes({ cpu: { quota: -1 } }, V1), ['cpu.cfs_quota_us -1']);
});

test('cpu on v2', (t) => {
  t.deepEqual(writes({ cpu: CPU }, V2), ['cpu.weight 59', 'cpu.max 50000 100000', 'cpu.max.burst 1000', 'cpuset.cpus 0-1', 'cpuset.mems 0']);
  t.deepEqual(writes({ cpu: { quota: -1 } }, V2), ['cpu.max max']);
  t.deepEqual(writes({ cpu: { quota: 7000 } }, V2), ['cpu.max 7000']);
  t.deepEqual(writes({ cpu: { period: 7000 } }, V2), ['cpu.max max 7000']);
  refused(t, { cpu: { realtimePeriod: 1 } }, V2, '/cpu/realtimePeriod');
  refused(t, { cpu: { realtimeRuntime: 1 } }, V2, '/cpu/realtimeRuntime');
});

test('0 takes back what update has set before', (t) => {
  const cpu = { idle: 0n, burst: 0n, cpus: '', mems: '' };
  const taken = (facts: HostFacts): string[] => {
    const hierarchies = [...facts.cgroup.hierarchies, ...(facts.cgroup.unified ? [facts.cgroup.unified] : [])];
    const places = knownPlaces(
      hierarchies.map(({ mount }) => ({ hierarchy: mount, path: '/c' })),
      facts,
    );
    return resetWrites({ cpu, devices: [], hugepageLimits: [], unified: {}, rdma: {} }, places).map(({ file, value }) => `${file} ${value}`);
  };
  t.deepEqual(taken(V1), ['cpu.idle 0', 'cpu.cfs_burst_us 0']);
  t.deepEqual(taken(V2), ['cpu.idle 0', 'cpu.max.burst 0']);
});

test('an idle cgroup has no shares', (t) => {
  for (const facts of [V1, V2]) t.deepEqual(writes({ cpu: { idle: 1, shares: 512 } }, facts), ['cpu.idle 1']);
});

test('shares as weight: the ends and the defaults meet, and the order stays', (t) => {
  for (const [shares, weight] of [
    [0, 1],
    [2, 1],
    [1024, 100],
    [2000, 170],
    [262144, 10000],
    [999999, 10000],
  ] as const) {
    t.is(weightOfShares(BigInt(shares)), weight, `${shares}`);
  }
  let last = 0;
  for (let shares = 2; shares <= 262144; shares++) {
    const weight = weightOfShares(BigInt(shares));
    if (!(weight >= last && weight >= 1 && weight <= 10000)) t.fail(`${shares} shares: ${weight} after ${last}`);
    last = weight;
  }
});

test('pids: 0 is a limit, -1 is none', (t) => {
  for (const facts of [V1, HYBRID, V2]) {
    t.deepEqual(writes({ pids: { limit: 0 } }, facts), ['pids.max 0']);
    t.deepEqual(writes({ pids: { limit: -1 } }, facts), ['pids.max max']);
    t.deepEqual(writes({ pids: { limit: 32771 } }, facts), ['pids.max 32771']);
  }
});

const BLOCK_IO = {
  weight: 500,
  weightDevice: [{ major: 8, minor: 0, weight: 10 }],
  throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 600 }],
  throttleWriteBpsDevice: [{ major: 8, minor: 16, rate: 9007199254740993n }],
  throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 300 }],
  throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 0 }],
};

test('block I/O on v1', (t) => {
  t.deepEqual(writes({ blockIO: BLOCK_IO }, V1), [
    'blkio.bfq.weight 500',
    'blkio.bfq.weight_device 8:0 10',
    'blkio.throttle.read_bps_device 8:0 600',
    'blkio.throttle.write_bps_device 8:16 9007199254740993',
    'blkio.throttle.read_iops_device 8:0 300',
    'blkio.throttle.write_iops_device 8:0 0',
  ]);
});

test('block I/O on v2, by the scheduler that the kernel has', (t) => {
  const limits = ['io.max 8:0 rbps=600', 'io.max 8:16 wbps=9007199254740993', 'io.max 8:0 riops=300', 'io.max 8:0 wiops=max'];
  t.deepEqual(writes({ blockIO: BLOCK_IO }, V2), ['io.weight default 4950', 'io.weight 8:0 1', ...limits]);
  const { unified } = V2.cgroup;
  const bfq: HostFacts = { ...V2, cgroup: { ...V2.cgroup, ...(unified && { unified: { ...unified, weightFile: 'io.bfq.weight' } }) } };
  t.deepEqual(writes({ blockIO: BLOCK_IO }, bfq), ['io.bfq.weight default 500', 'io.bfq.weight 8:0 10', ...limits]);
  t.deepEqual(writes({ blockIO: { weight: 1000 } }, V2), ['io.weight default 10000']);
});

test('leaf weights are gone from the kernel', (t) => {
  for (const facts of [V1, V2]) {
    refused(t, { blockIO: { leafWeight: 10 } }, facts, '/blockIO/leafWeight');
    refused(t, { blockIO: { weightDevice: [{ major: 8, minor: 0, leafWeight: 10 }] } }, facts, '/blockIO/weightDevice/0/leafWeight');
  }
});

test('huge pages: page faults, and reservations but on old kernels', (t) => {
  const resources = {
    hugepageLimits: [
      { pageSize: '2MB', limit: 4194304 },
      { pageSize: '1GB', limit: 18446744073709551615n },
    ],
  };
  const most = '18446744073709551615';
  t.deepEqual(writes(resources, V1), [
    'hugetlb.2MB.rsvd.limit_in_bytes 4194304',
    'hugetlb.2MB.limit_in_bytes 4194304',
    `hugetlb.1GB.rsvd.limit_in_bytes ${most}`,
    `hugetlb.1GB.limit_in_bytes ${most}`,
  ]);
  t.deepEqual(writes(resources, HYBRID), [
    'hugetlb.2MB.rsvd.max 4194304',
    'hugetlb.2MB.max 4194304',
    `hugetlb.1GB.rsvd.max ${most}`,
    `hugetlb.1GB.max ${most}`,
  ]);
  const kernel = { major: 5, minor: 6, release: '5.6.0' };
  t.deepEqual(writes(resources, { ...V1, kernel }), ['hugetlb.2MB.limit_in_bytes 4194304', `hugetlb.1GB.limit_in_bytes ${most}`]);
  t.deepEqual(writes(resources, { ...V2, kernel }), ['hugetlb.2MB.max 4194304', `hugetlb.1GB.max ${most}`]);
});

test('network on v1 only', (t) => {
  const network = {
    classID: 1048577,
    priorities: [
      { name: 'lo', priority: 1 },
      { name: 'eth0', priority: 500 },
    ],
  };
  t.deepEqual(writes({ network }, V1), ['net_cls.classid 1048577', 'net_prio.ifpriomap lo 1', 'net_prio.ifpriomap eth0 500']);
  t.regex(refused(t, { network }, V2, '/network/classID').message, /net_cls/);
  t.regex(refused(t, { network: { priorities: network.priorities } }, HYBRID, '/network/priorities/0').message, /net_prio/);
});

test('a controller that no hierarchy has is named', (t) => {
  t.regex(refused(t, { memory: { limit: 4096 } }, NO_CGROUPS, '/memory/limit').message, /controller memory/);
  t.regex(refused(t, { pids: { limit: 4096 } }, NO_CGROUPS, '/pids/limit').message, /controller pids/);
});

test('unified: verbatim and last, where the controller is', (t) => {
  const unified = { 'memory.high': '1000', 'io.max': '8:0 rbps=1\n8:16 rbps=2', 'cgroup.max.depth': '3' };
  t.deepEqual(writes({ memory: { limit: 4096 }, unified }, V2), [
    'memory.max 4096',
    'memory.high 1000',
    'io.max 8:0 rbps=1\n8:16 rbps=2',
    'cgroup.max.depth 3',
  ]);
  t.deepEqual(writes({ unified: { 'hugetlb.1GB.max': '0' } }, HYBRID), ['hugetlb.1GB.max 0']);
  refused(t, { unified: { 'memory.high': '1' } }, HYBRID, '/unified/memory.high');
  refused(t, { unified: { 'memory.high': '1' } }, V1, '/unified/memory.high');
  refused(t, { unified: { 'nosuch.max': '1' } }, V2, '/unified/nosuch.max');
});

test('on v2 all controllers are enabled, those without a limit if possible; beside v1 only those that are used', (t) => {
  const controllers = (resources: object, facts: HostFacts): unknown => {
    const made = only(plan({ linux: { resources } }, facts), 'cgroup-make').at(-1);
    return [made?.controllers, made?.others];
  };
  t.deepEqual(controllers({}, V2), [[], ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids']]);
  t.deepEqual(controllers({ pids: { limit: 5 }, unified: { 'memory.high': '1' } }, V2), [
    ['memory', 'pids'],
    ['cpuset', 'cpu', 'io', 'hugetlb'],
  ]);
  t.deepEqual(controllers({}, HYBRID), [[], []]);
  t.deepEqual(controllers({ hugepageLimits: [{ pageSize: '2MB', limit: 1 }] }, HYBRID), [['hugetlb'], []]);
});

test('a new v1 cpuset takes the cpus and mems of its parent', (t) => {
  const made = only(plan({}, V1), 'cgroup-make');
  t.deepEqual(
    made.filter(({ cpuset }) => cpuset).map(({ hierarchy }) => hierarchy),
    ['/sys/fs/cgroup/cpuset'],
  );
  t.false(only(plan({}, V2), 'cgroup-make')[0]?.cpuset);
});

test('rdma, the same file on both versions', (t) => {
  const rdma = { mlx5_1: { hcaHandles: 3, hcaObjects: 10000 }, mlx4_0: { hcaObjects: 0 }, none: {} };
  const written = ['rdma.max mlx5_1 hca_handle=3 hca_object=10000', 'rdma.max mlx4_0 hca_object=0'];
  const controller = { controllers: ['rdma'], mount: '/sys/fs/cgroup/rdma', own: '/' };
  t.deepEqual(writes({ rdma }, { ...V1, cgroup: { ...V1.cgroup, hierarchies: [...V1.cgroup.hierarchies, controller] } }), written);
  const unified = { ...V2.cgroup.unified, controllers: ['rdma'] } as typeof V2.cgroup.unified;
  t.deepEqual(writes({ rdma }, { ...V2, cgroup: { ...V2.cgroup, ...(unified && { unified }) } }), written);
  refused(t, { rdma }, V2, '/rdma/mlx5_1');
});
