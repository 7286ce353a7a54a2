/**
 * What the cgroups of a container have used, with the names and in the order of the JSON that runc's `events` prints and that monitoring programs
 * read. A property that may be left out is, as there, left out when it is 0.
 */
import type { HostFacts } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import { knownPlaces } from '../plan/cgroup.ts';
import { placeOf } from '../plan/resources.ts';
import { CgroupFiles, type Count } from './cgroup-files.ts';
import { type RdtStats, rdtStats } from './rdt.ts';
import * as v1 from './stats-v1.ts';
import * as v2 from './stats-v2.ts';
import type { ContainerRecord } from './store.ts';

/** One share of time that tasks waited for a resource, in percent and in microseconds. */
export interface Pressure {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly total: Count;
}
export interface PressureStats {
  readonly some?: Pressure;
  readonly full?: Pressure;
}
/** Times are nanoseconds. */
export interface CpuStats {
  readonly usage: {
    readonly total?: Count;
    readonly percpu?: readonly Count[];
    readonly percpu_kernel?: readonly Count[];
    readonly percpu_user?: readonly Count[];
    readonly kernel: Count;
    readonly user: Count;
  };
  readonly throttling: { readonly periods?: Count; readonly throttledPeriods?: Count; readonly throttledTime?: Count };
  readonly psi?: PressureStats;
}
export interface CpusetStats {
  readonly cpus?: readonly number[];
  readonly cpu_exclusive: Count;
  readonly mems?: readonly number[];
  readonly mem_hardwall: Count;
  readonly mem_exclusive: Count;
  readonly memory_migrate: Count;
  readonly memory_spread_page: Count;
  readonly memory_spread_slab: Count;
  readonly memory_pressure: Count;
  readonly sched_load_balance: Count;
  readonly sched_relax_domain_level: Count;
}
/** Bytes. */
export interface MemoryEntry {
  readonly limit: Count;
  readonly usage?: Count;
  readonly max?: Count;
  readonly failcnt: Count;
}
export interface MemoryStats {
  readonly cache?: Count;
  readonly usage: MemoryEntry;
  /** Memory and swap together. */
  readonly swap: MemoryEntry;
  readonly kernel: MemoryEntry;
  readonly kernelTCP: MemoryEntry;
  /** memory.stat. */
  readonly raw?: Readonly<Record<string, Count>>;
  readonly psi?: PressureStats;
}
export interface BlkioEntry {
  readonly major?: Count;
  readonly minor?: Count;
  readonly op?: string;
  readonly value?: Count;
}
export interface BlkioStats {
  readonly ioServiceBytesRecursive?: readonly BlkioEntry[];
  readonly ioServicedRecursive?: readonly BlkioEntry[];
  readonly psi?: PressureStats;
}
export interface HugetlbStats {
  readonly usage?: Count;
  readonly max?: Count;
  readonly failcnt: Count;
}
export interface Stats {
  readonly cpu: CpuStats;
  readonly cpuset: CpusetStats;
  readonly memory: MemoryStats;
  readonly pids: { readonly current?: Count; readonly limit?: Count };
  readonly blkio: BlkioStats;
  readonly hugetlb: Readonly<Record<string, HugetlbStats>>;
  readonly intel_rdt: RdtStats;
  /** Of interfaces that the runtime itself would have made: there are none. */
  readonly network_interfaces: null;
}

/** The statistics of this moment. */
export function readStats(host: Host, record: ContainerRecord, facts: HostFacts): Stats {
  const places = knownPlaces(record.cgroups, facts);
  const files = (controller: string): { readonly files: CgroupFiles; readonly unified: boolean } => {
    const place = placeOf(controller, places);
    return { files: new CgroupFiles(host, place?.directory), unified: place?.unified === true };
  };
  const cpu = files('cpu');
  const cpuset = files('cpuset');
  const memory = files('memory');
  const blkio = files('blkio');
  const hugetlb = files('hugetlb');
  const pids = files('pids').files;
  const directory = record.systemd && placeOf('memory', places)?.directory;
  const scope = directory === undefined ? undefined : new CgroupFiles(host, directory.slice(0, directory.lastIndexOf('/')));
  return {
    cpu: cpu.unified ? v2.cpu(cpu.files) : v1.cpu(cpu.files, files('cpuacct').files),
    cpuset: cpuset.unified ? v2.cpuset(cpuset.files) : v1.cpuset(cpuset.files),
    memory: memory.unified ? v2.memory(memory.files, scope ?? memory.files) : v1.memory(memory.files),
    pids: withoutZeros({ current: pids.count('pids.current'), limit: pids.count('pids.max') }),
    blkio: blkio.unified ? v2.blkio(blkio.files) : v1.blkio(blkio.files),
    hugetlb: Object.fromEntries(pageSizes(host).map((size) => [size, (hugetlb.unified ? v2 : v1).hugetlb(hugetlb.files, size)])),
    intel_rdt: record.rdt === undefined ? {} : rdtStats(host, record.rdt),
    network_interfaces: null,
  };
}

const HUGEPAGES = '/sys/kernel/mm/hugepages';

/** Sizes of huge pages as cgroup files have them, `2MB`. */
function pageSizes(host: Host): string[] {
  if (host.stat(HUGEPAGES) === undefined) return [];
  const sizes = host.list(HUGEPAGES).flatMap((name) => {
    const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    if (kilobytes === 0) return [];
    if (kilobytes >= 1024 * 1024) return `${kilobytes / 1024 / 1024}GB`;
    return kilobytes >= 1024 ? `${kilobytes / 1024}MB` : `${kilobytes}KB`;
  });
  return sizes.sort();
}

/** The properties that are not 0. */
export function withoutZeros<T extends Readonly<Record<string, Count>>>(counts: T): Partial<T> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => BigInt(count) !== 0n)) as Partial<T>;
}

/** The list, unless it is empty. */
export function someList<Key extends string, Item>(key: Key, items: readonly Item[]): { readonly [K in Key]?: readonly Item[] } {
  return (items.length === 0 ? {} : { [key]: items }) as { readonly [K in Key]?: readonly Item[] };
}

export function entry(limit: Count, usage: Count, max: Count, failcnt: Count): MemoryEntry {
  return { limit, ...withoutZeros({ usage, max }), failcnt };
}

/** memory.stat, by name, as Go prints a map. */
export function rawStats(all: Readonly<Record<string, Count>>): Pick<MemoryStats, 'raw'> {
  const names = Object.keys(all).sort();
  return names.length === 0 ? {} : { raw: Object.fromEntries(names.map((name) => [name, all[name] ?? 0])) };
}

/** `0-2,7` as 0, 1, 2, 7. */
export function numbersOf(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}
