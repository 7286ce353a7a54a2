/** Statistics of the controllers of cgroup v1. */
import { type CgroupFiles, type Count, countOf, times } from './cgroup-files.ts';
import type { BlkioEntry, BlkioStats, CpuStats, CpusetStats, HugetlbStats, MemoryEntry, MemoryStats } from './stats.ts';
import { entry, numbersOf, rawStats, someList, withoutZeros } from './stats.ts';

/** Nanoseconds in a tick of USER_HZ, which is 100 on all of our machines. */
const TICK = 10_000_000;

export function cpu(files: CgroupFiles, accounting: CgroupFiles): CpuStats {
  const stat = files.keyed('cpu.stat');
  const ticks = accounting.keyed('cpuacct.stat');
  // A heading, then for each CPU its number, its user time and its system time.
  const perCpu = accounting
    .lines('cpuacct.usage_all')
    .slice(1)
    .map((line) => line.split(' ').map(countOf));
  const total = accounting.count('cpuacct.usage');
  return {
    usage: {
      ...withoutZeros({ total }),
      ...someList('percpu', accounting.text('cpuacct.usage_percpu').trim().split(' ').filter(Boolean).map(countOf)),
      ...someList(
        'percpu_kernel',
        perCpu.map(([, , system = 0]) => system),
      ),
      ...someList(
        'percpu_user',
        perCpu.map(([, user = 0]) => user),
      ),
      kernel: times(ticks['system'] ?? 0, TICK),
      user: times(ticks['user'] ?? 0, TICK),
    },
    throttling: withoutZeros({
      periods: stat['nr_periods'] ?? 0,
      throttledPeriods: stat['nr_throttled'] ?? 0,
      throttledTime: stat['throttled_time'] ?? 0,
    }),
  };
}

export function cpuset(files: CgroupFiles): CpusetStats {
  return {
    ...someList('cpus', numbersOf(files.text('cpuset.cpus'))),
    cpu_exclusive: files.count('cpuset.cpu_exclusive'),
    ...someList('mems', numbersOf(files.text('cpuset.mems'))),
    mem_hardwall: files.count('cpuset.mem_hardwall'),
    mem_exclusive: files.count('cpuset.mem_exclusive'),
    memory_migrate: files.count('cpuset.memory_migrate'),
    memory_spread_page: files.count('cpuset.memory_spread_page'),
    memory_spread_slab: files.count('cpuset.memory_spread_slab'),
    memory_pressure: files.count('cpuset.memory_pressure'),
    sched_load_balance: files.count('cpuset.sched_load_balance'),
    sched_relax_domain_level: files.count('cpuset.sched_relax_domain_level'),
  };
}

export function memory(files: CgroupFiles): MemoryStats {
  const stat = files.keyed('memory.stat');
  const of = (prefix: string): MemoryEntry => {
    const count = (name: string): Count => files.count(`memory.${prefix}${name}`);
    return entry(count('limit_in_bytes'), count('usage_in_bytes'), count('max_usage_in_bytes'), count('failcnt'));
  };
  return {
    ...withoutZeros({ cache: stat['cache'] ?? 0 }),
    usage: of(''),
    swap: of('memsw.'),
    kernel: of('kmem.'),
    kernelTCP: of('kmem.tcp.'),
    ...rawStats(stat),
  };
}

/** The scheduler's own counts where it keeps some, else those of the throttling layer. */
export function blkio(files: CgroupFiles): BlkioStats {
  const bytes = deviceLines(files, 'blkio.bfq.io_service_bytes_recursive');
  const counts = deviceLines(files, 'blkio.bfq.io_serviced_recursive');
  const isKept = counts.some(({ op }) => op !== 'Total');
  return {
    ...someList('ioServiceBytesRecursive', isKept ? bytes : deviceLines(files, 'blkio.throttle.io_service_bytes_recursive')),
    ...someList('ioServicedRecursive', isKept ? counts : deviceLines(files, 'blkio.throttle.io_serviced_recursive')),
  };
}

/** Lines such as `8:0 Read 4096`; the last is a sum of all devices. */
function deviceLines(files: CgroupFiles, name: string): BlkioEntry[] {
  return files.lines(name).flatMap((line) => {
    const [, major = '', minor = '', op = '', value = ''] = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line) ?? [];
    return op === '' ? [] : [{ ...withoutZeros({ major: countOf(major), minor: countOf(minor) }), op, ...withoutZeros({ value: countOf(value) }) }];
  });
}

export function hugetlb(files: CgroupFiles, size: string): HugetlbStats {
  const kind = files.text(`hugetlb.${size}.rsvd.limit_in_bytes`) === '' ? '' : 'rsvd.';
  const count = (name: string): Count => files.count(`hugetlb.${size}.${kind}${name}`);
  return { ...withoutZeros({ usage: count('usage_in_bytes'), max: count('max_usage_in_bytes') }), failcnt: count('failcnt') };
}
