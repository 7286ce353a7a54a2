/** `events` on a machine in memory: what the cgroup files say, in runc's names, and when something is told. */
import test, { type ExecutionContext } from 'ava';
import { readFacts } from '../../../src/host/facts.ts';
import { type ContainerEvent, events, stats } from '../../../src/lifecycle/events.ts';
import { readStats } from '../../../src/lifecycle/stats.ts';
import { load } from '../../../src/lifecycle/store.ts';
import { FakeHost, type FakeMachine, HIERARCHIES } from '../../helpers/fake-host.ts';
import { createAndStart, failure, machineWith, NAME, ROOT } from './_machine.ts';

const ZERO_CPUSET = {
  cpu_exclusive: 0,
  mem_hardwall: 0,
  mem_exclusive: 0,
  memory_migrate: 0,
  memory_spread_page: 0,
  memory_spread_slab: 0,
  memory_pressure: 0,
  sched_load_balance: 0,
  sched_relax_domain_level: 0,
};
const NOTHING = { limit: 0, failcnt: 0 };

/** A machine with these hierarchies only, and the statistics of a container whose cgroups have these files. */
async function statsOf(mountinfo: readonly string[], memberships: string, files: Readonly<Record<string, string>>) {
  const { machine, host } = machineWith({ linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], cgroupsPath: '/c' } });
  machine.file('/proc/self/cgroup', memberships);
  machine.file('/proc/self/mountinfo', mountinfo.map((line, index) => `${30 + index} 1 0:${30 + index} / ${line}\n`).join(''));
  machine.directory('/sys/kernel/mm/hugepages/hugepages-2048kB');
  for (const [name, text] of Object.entries(files)) if (name.endsWith('cgroup.controllers')) machine.file(`/sys/fs/cgroup/${name}`, text);
  await createAndStart(host);
  for (const [name, text] of Object.entries(files)) machine.file(`/sys/fs/cgroup/${name}`, `${text}\n`);
  return readStats(host, load(host, ROOT, 'c1'), readFacts(new FakeHost(machine)));
}

test('statistics of v1', async (t) => {
  const controllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'blkio', 'hugetlb'];
  const found = await statsOf(
    controllers.map((name) => `/sys/fs/cgroup/${name} rw - cgroup cgroup rw,${name}`),
    controllers.map((name, index) => `${index + 1}:${name}:/\n`).join(''),
    {
      'cpu/c/cpu.stat': 'nr_periods 3\nnr_throttled 2\nthrottled_time 900',
      'cpuacct/c/cpuacct.usage': '18446744073709551615',
      'cpuacct/c/cpuacct.usage_percpu': '5 6 ',
      'cpuacct/c/cpuacct.usage_all': 'cpu user system\n0 1 2\n1 3 4',
      'cpuacct/c/cpuacct.stat': 'user 7\nsystem 8',
      'cpuset/c/cpuset.cpus': '0-1,4',
      'cpuset/c/cpuset.mems': '0',
      'cpuset/c/cpuset.sched_load_balance': '1',
      'cpuset/c/cpuset.sched_relax_domain_level': '-1',
      'memory/c/memory.stat': 'rss 2\ncache 1',
      'memory/c/memory.limit_in_bytes': '9223372036854771712',
      'memory/c/memory.usage_in_bytes': '10',
      'memory/c/memory.max_usage_in_bytes': '11',
      'memory/c/memory.failcnt': '12',
      'memory/c/memory.kmem.usage_in_bytes': '13',
      'pids/c/pids.current': '2',
      'pids/c/pids.max': 'max',
      'blkio/c/blkio.throttle.io_service_bytes_recursive': '8:0 Read 4096\n8:0 Write 0\nTotal 4096',
      'blkio/c/blkio.bfq.io_serviced_recursive': 'Total 0',
      'hugetlb/c/hugetlb.2MB.usage_in_bytes': '99',
      'hugetlb/c/hugetlb.2MB.rsvd.limit_in_bytes': '100',
      'hugetlb/c/hugetlb.2MB.rsvd.usage_in_bytes': '4',
      'hugetlb/c/hugetlb.2MB.rsvd.failcnt': '1',
    },
  );
  t.deepEqual(found, {
    cpu: {
      usage: { total: 18446744073709551615n, percpu: [5, 6], percpu_kernel: [2, 4], percpu_user: [1, 3], kernel: 80_000_000, user: 70_000_000 },
      throttling: { periods: 3, throttledPeriods: 2, throttledTime: 900 },
    },
    cpuset: { ...ZERO_CPUSET, cpus: [0, 1, 4], mems: [0], sched_load_balance: 1, sched_relax_domain_level: -1 },
    memory: {
      cache: 1,
      usage: { limit: 9223372036854771712n, usage: 10, max: 11, failcnt: 12 },
      swap: NOTHING,
      kernel: { limit: 0, usage: 13, failcnt: 0 },
      kernelTCP: NOTHING,
      raw: { cache: 1, rss: 2 },
    },
    pids: { current: 2 },
    blkio: {
      ioServiceBytesRecursive: [
        { major: 8, op: 'Read', value: 4096 },
        { major: 8, op: 'Write' },
      ],
    },
    hugetlb: { '2MB': { usage: 4, failcnt: 1 } },
    intel_rdt: {},
    network_interfaces: null,
  });
  t.deepEqual(Object.keys(found.memory.raw ?? {}), ['cache', 'rss']);
});

test('statistics of v2, in the terms of v1', async (t) => {
  const found = await statsOf(['/sys/fs/cgroup rw - cgroup2 cgroup2 rw'], '0::/\n', {
    'cgroup.controllers': 'cpuset cpu io memory hugetlb pids',
    'c/cpu.stat': 'usage_usec 5\nuser_usec 2\nsystem_usec 3\nnr_periods 0\nnr_throttled 1\nthrottled_usec 4',
    'c/cpu.pressure': 'some avg10=1.25 avg60=0.00 avg300=0.50 total=77',
    'c/cpuset.cpus.effective': '0',
    'c/memory.stat': 'anon 1\nfile 2',
    'c/memory.max': '1000',
    'c/memory.swap.max': '500',
    'c/memory.current': '100',
    'c/memory.swap.current': '50',
    'c/memory.peak': '300',
    'c/memory.events': 'low 0\nmax 6\noom_kill 1',
    'c/pids.current': '2',
    'c/pids.max': '20',
    'c/io.stat': '8:16 rbytes=1 wbytes=0 rios=2 wios=0 dbytes=0 dios=0',
    'c/hugetlb.2MB.rsvd.current': '4',
    'c/hugetlb.2MB.events': 'max 3',
  });
  t.deepEqual(found.cpu, {
    usage: { total: 5000, kernel: 3000, user: 2000 },
    throttling: { throttledPeriods: 1, throttledTime: 4000 },
    psi: { some: { avg10: 1.25, avg60: 0, avg300: 0.5, total: 77 } },
  });
  t.deepEqual(found.cpuset, { ...ZERO_CPUSET, cpus: [0] });
  t.deepEqual(found.memory, {
    cache: 2,
    usage: { limit: 1000, usage: 100, max: 300, failcnt: 6 },
    swap: { limit: 1500, usage: 150, failcnt: 0 },
    kernel: NOTHING,
    kernelTCP: NOTHING,
    raw: { anon: 1, file: 2 },
  });
  t.deepEqual(found.pids, { current: 2, limit: 20 });
  t.deepEqual(found.blkio.ioServicedRecursive, [
    { major: 8, minor: 16, op: 'Read', value: 2 },
    { major: 8, minor: 16, op: 'Write' },
    { major: 8, minor: 16, op: 'Discard' },
  ]);
  t.deepEqual(found.hugetlb, { '2MB': { usage: 4, failcnt: 3 } });
});

async function told(host: FakeHost): Promise<string[]> {
  const all: string[] = [];
  for await (const event of events(host, { ...NAME, interval: 100 })) all.push((event as ContainerEvent).type);
  return all;
}

test('statistics at intervals and wants of memory, until the container stops', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  machine.waited.push('timeout', 'memory', 'timeout', 'exit');
  t.deepEqual(await told(host), ['stats', 'oom', 'stats']);
  machine.waited.push('timeout', 'cancel', 'timeout');
  t.deepEqual(await told(host), ['stats']);
  t.deepEqual(
    [...host.open.values()].filter(({ kind }) => kind !== 'lock').map(({ kind }) => kind),
    [],
  );
});

test('the removal of the cgroup is no want of memory', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  machine.waited.push('memory', 'exit');
  const iterator = events(host, { ...NAME, interval: 100 });
  machine.nodes.delete(`${HIERARCHIES[0]}/strata-c1`);
  machine.directory(`${HIERARCHIES[0]}/strata-c1`);
  machine.refusals.clear();
  t.is((await iterator.next()).value?.type, 'oom');
  machine.waited.unshift('memory');
  machine.nodes.delete(`${HIERARCHIES[0]}/strata-c1`);
  t.true((await iterator.next()).done);
});

async function onV2(t: ExecutionContext, counts: (machine: FakeMachine, file: string) => void): Promise<string[]> {
  const { machine, host } = machineWith({ linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], cgroupsPath: '/c' } });
  const top = HIERARCHIES[2];
  machine.file('/proc/self/cgroup', '0::/\n');
  machine.file('/proc/self/mountinfo', `32 1 0:32 / ${top} rw - cgroup2 cgroup2 rw\n`);
  machine.file(`${top}/cgroup.controllers`, 'memory\n');
  await createAndStart(host);
  const file = `${top}/c/memory.events`;
  machine.file(`${top}/c/cgroup.freeze`, '0\n');
  machine.file(file, 'max 0\noom_kill 0\n');
  machine.waited.push('timeout', 'memory', 'memory');
  const all: string[] = [];
  for await (const { type } of events(host, { ...NAME, interval: 100 })) {
    all.push(type);
    counts(machine, file);
  }
  t.deepEqual(machine.waited, []);
  return all;
}

test('v2: of all changes only a kill for want of memory is told, once', async (t) => {
  t.deepEqual(await onV2(t, (machine, file) => machine.file(file, 'max 9\noom_kill 0\n')), ['stats']);
  t.deepEqual(await onV2(t, (machine, file) => machine.file(file, 'max 9\noom_kill 1\n')), ['stats', 'oom']);
});

test('a stopped container has no events', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  t.is((await stats(host, NAME)).type, 'stats');
  for (const process of machine.processes) machine.die(process, { code: 0 });
  t.regex((await failure(t, stats(host, NAME))).message, /^container not running/);
  t.regex((await failure(t, told(host))).message, /^container not running/);
});
