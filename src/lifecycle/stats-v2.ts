/** Statistics of the controllers of cgroup v2, in the terms of v1's. */
import { type CgroupFiles, type Count, countOf, sum, times } from './cgroup-files.ts';
import type { BlkioEntry, BlkioStats, CpuStats, CpusetStats, HugetlbStats, MemoryStats, Pressure, PressureStats } from './stats.ts';
import { entry, numbersOf, rawStats, someList, withoutZeros } from './stats.ts';

/** Nanoseconds in a microsecond. */
const MICROSECOND = 1000;
const UNLIMITED = 2n ** 64n - 1n;

export function cpu(files: CgroupFiles): CpuStats {
  const stat = files.keyed('cpu.stat');
  const time = (name: string): Count => times(stat[name] ?? 0, MICROSECOND);
  return {
    usage: { ...withoutZeros({ total: time('usage_usec') }), kernel: time('system_usec'), user: time('user_usec') },
    throttling: withoutZeros({
      periods: stat['nr_periods'] ?? 0,
      throttledPeriods: stat['nr_throttled'] ?? 0,
      throttledTime: time('throttled_usec'),
    }),
    ...pressure(files, 'cpu'),
  };
}

export function cpuset(files: CgroupFiles): CpusetStats {
  return {
    ...someList('cpus', numbersOf(files.text('cpuset.cpus.effective'))),
    cpu_exclusive: 0,
    ...someList('mems', numbersOf(files.text('cpuset.mems.effective'))),
    mem_hardwall: 0,
    mem_exclusive: 0,
    memory_migrate: 0,
    memory_spread_page: 0,
    memory_spread_slab: 0,
    memory_pressure: 0,
    sched_load_balance: 0,
    sched_relax_domain_level: 0,
  };
}

/**
 * `around`: the scope in which the container's cgroup is, or itself. The scope has the same limit, and because a cgroup takes some memory, meets it
 * first.
 */
export function memory(files: CgroupFiles, around: CgroupFiles): MemoryStats {
  const stat = files.keyed('memory.stat');
  const limit = limitOf(files, 'memory.max');
  const swapLimit = limitOf(files, 'memory.swap.max');
  const usage = files.count('memory.current');
  const failures = around.keyed('memory.events')['max'] ?? 0;
  const unlimited = limit === UNLIMITED || swapLimit === UNLIMITED;
  const nothing = entry(0, 0, 0, 0);
  return {
    ...withoutZeros({ cache: stat['file'] ?? 0 }),
    usage: entry(limit, usage, files.count('memory.peak'), failures),
    swap: entry(unlimited ? UNLIMITED : sum(limit, swapLimit), sum(usage, files.count('memory.swap.current')), 0, 0),
    kernel: entry(0, stat['kernel'] ?? 0, 0, 0),
    kernelTCP: nothing,
    ...rawStats(stat),
    ...pressure(files, 'memory'),
  };
}

function limitOf(files: CgroupFiles, name: string): Count {
  return files.text(name).startsWith('max') ? UNLIMITED : files.count(name);
}

const OPERATIONS = [
  ['Read', 'rbytes', 'rios'],
  ['Write', 'wbytes', 'wios'],
  ['Discard', 'dbytes', 'dios'],
] as const;

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`, in any order. */
export function blkio(files: CgroupFiles): BlkioStats {
  const bytes: BlkioEntry[] = [];
  const counts: BlkioEntry[] = [];
  for (const line of files.lines('io.stat')) {
    const [, major = '', minor = '', rest = ''] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    const values = Object.fromEntries(rest.split(' ').map((pair) => pair.split('=', 2)));
    const device = withoutZeros({ major: countOf(major), minor: countOf(minor) });
    for (const [op, bytesKey, countKey] of OPERATIONS) {
      if (values[bytesKey] !== undefined) bytes.push({ ...device, op, ...withoutZeros({ value: countOf(values[bytesKey]) }) });
      if (values[countKey] !== undefined) counts.push({ ...device, op, ...withoutZeros({ value: countOf(values[countKey]) }) });
    }
  }
  return { ...someList('ioServiceBytesRecursive', bytes), ...someList('ioServicedRecursive', counts), ...pressure(files, 'io') };
}

export function hugetlb(files: CgroupFiles, size: string): HugetlbStats {
  const reserved = files.text(`hugetlb.${size}.rsvd.current`) === '' ? '' : 'rsvd.';
  const usage = files.count(`hugetlb.${size}.${reserved}current`);
  return { ...withoutZeros({ usage }), failcnt: files.keyed(`hugetlb.${size}.events`)['max'] ?? 0 };
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full` where the kernel has it. */
function pressure(files: CgroupFiles, resource: string): { readonly psi?: PressureStats } {
  const found = files.lines(`${resource}.pressure`).flatMap((line): [string, Pressure][] => {
    const [kind = '', ...pairs] = line.split(' ');
    const { avg10 = '', avg60 = '', avg300 = '', total = '' } = Object.fromEntries(pairs.map((pair) => pair.split('=', 2)));
    return [[kind, { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), total: countOf(total) }]];
  });
  return found.length === 0 ? {} : { psi: Object.fromEntries(found) };
}
