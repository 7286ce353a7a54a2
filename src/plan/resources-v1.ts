/** Limits as files of cgroup v1 controllers (kernel documentation, admin-guide/cgroup-v1). Order within a list is the order of the writes. */
import { StrataError } from '../base/error.ts';
import { isAtLeast, type Kernel } from '../host/facts.ts';
import type { BlockIO, Cpu, HugepageLimit, Memory, Resources, Throttle } from '../spec/types.ts';
import { entryOf, type Setting } from './setting.ts';

/** Engines write 0 where they mean 'not set': none of these limits has a use for 0. */
export function isSet(value: bigint | number | undefined): value is bigint | number {
  return value !== undefined && BigInt(value) !== 0n;
}

export function memory(asked: Memory | undefined): Setting[] {
  if (asked === undefined) return [];
  const out: Setting[] = [];
  const bytes = (key: keyof Memory, file: string, optional = false): void => {
    const value = asked[key];
    if (typeof value === 'bigint' && isSet(value)) out.push({ pointer: `/memory/${key}`, file: `memory.${file}`, value: `${value}`, optional });
  };
  // True is what every kernel since 5.11 does anyway; false is refused there, and the refusal is the answer.
  if (asked.useHierarchy !== undefined) {
    out.push({ pointer: '/memory/useHierarchy', file: 'memory.use_hierarchy', value: asked.useHierarchy ? '1' : '0' });
  }
  // Memory and swap may not be less than memory: a new cgroup has no limit, so memory goes first.
  bytes('limit', 'limit_in_bytes');
  bytes('swap', 'memsw.limit_in_bytes', asked.swap === -1n);
  bytes('reservation', 'soft_limit_in_bytes');
  // Newer kernels answer EOPNOTSUPP here: they account kernel memory within the one limit.
  bytes('kernel', 'kmem.limit_in_bytes');
  bytes('kernelTCP', 'kmem.tcp.limit_in_bytes');
  if (asked.swappiness !== undefined) out.push({ pointer: '/memory/swappiness', file: 'memory.swappiness', value: `${asked.swappiness}` });
  if (asked.disableOOMKiller === true) out.push(oomKiller(true));
  return out;
}

export function oomKiller(disabled: boolean): Setting {
  const former = (text: string): string => /^oom_kill_disable (\d)/m.exec(text)?.[1] ?? '0';
  return { pointer: '/memory/disableOOMKiller', file: 'memory.oom_control', value: disabled ? '1' : '0', former };
}

export function cpu(asked: Cpu | undefined): Setting[] {
  if (asked === undefined) return [];
  const out: Setting[] = [];
  const set = (key: keyof Cpu, file: string): void => {
    const value = asked[key];
    if (typeof value === 'bigint' && isSet(value)) out.push({ pointer: `/cpu/${key}`, file: `cpu.${file}`, value: `${value}` });
  };
  // An idle cgroup has the least weight there is, and the kernel refuses to give it shares.
  if (asked.idle === 1n) set('idle', 'idle');
  else set('shares', 'shares');
  // A quota is checked against the period in force, a burst against the quota, and a real-time runtime against its period.
  set('period', 'cfs_period_us');
  set('quota', 'cfs_quota_us');
  set('burst', 'cfs_burst_us');
  set('realtimePeriod', 'rt_period_us');
  set('realtimeRuntime', 'rt_runtime_us');
  return out;
}

export function blockIO(asked: BlockIO | undefined): Setting[] {
  if (asked === undefined) return [];
  const out: Setting[] = [];
  // `blkio.weight` and all of `leaf_weight` went with the CFQ scheduler in Linux 5.0, before the oldest kernel we run on; BFQ's took its place.
  refuseLeafWeights(asked);
  if (isSet(asked.weight)) out.push({ pointer: '/blockIO/weight', file: 'blkio.bfq.weight', value: `${asked.weight}` });
  asked.weightDevice.forEach(({ major, minor, weight }, index) => {
    const at = `/blockIO/weightDevice/${index}`;
    const device = `${major}:${minor}`;
    const former = entryOf(device, `${device} 0`);
    if (isSet(weight)) out.push({ pointer: at, file: 'blkio.bfq.weight_device', value: `${device} ${weight}`, former });
  });
  for (const [key, file] of [
    ['throttleReadBpsDevice', 'read_bps_device'],
    ['throttleWriteBpsDevice', 'write_bps_device'],
    ['throttleReadIOPSDevice', 'read_iops_device'],
    ['throttleWriteIOPSDevice', 'write_iops_device'],
  ] as const) {
    asked[key].forEach(({ major, minor, rate }: Throttle, index) => {
      const device = `${major}:${minor}`;
      const former = entryOf(device, `${device} 0`);
      out.push({ pointer: `/blockIO/${key}/${index}`, file: `blkio.throttle.${file}`, value: `${device} ${rate}`, former });
    });
  }
  return out;
}

/** @throws StrataError `config-unsupported` */
export function refuseLeafWeights(asked: BlockIO): void {
  const index = asked.weightDevice.findIndex((device) => isSet(device.leafWeight));
  if (!isSet(asked.leafWeight) && index === -1) return;
  const at = isSet(asked.leafWeight) ? 'leafWeight' : `weightDevice/${index}/leafWeight`;
  const reason = 'is not supported by the kernel: leaf weights were removed in Linux 5.0';
  throw new StrataError({ code: 'config-unsupported', stage: 'plan', pointer: `/linux/resources/blockIO/${at}`, reason });
}

/** Limits on reservations where the kernel has them (5.7), and on page faults, where engines and tests look. */
export function hugepages(limits: readonly HugepageLimit[], kernel: Kernel): Setting[] {
  const kinds = isAtLeast(kernel, 5, 7) ? ['rsvd.limit_in_bytes', 'limit_in_bytes'] : ['limit_in_bytes'];
  return limits.flatMap(({ pageSize, limit }, index) =>
    kinds.map((kind) => ({ pointer: `/hugepageLimits/${index}`, file: `hugetlb.${pageSize}.${kind}`, value: `${limit}` })),
  );
}

export function networkClass(asked: Resources['network']): Setting[] {
  return isSet(asked?.classID) ? [{ pointer: '/network/classID', file: 'net_cls.classid', value: `${asked?.classID}` }] : [];
}

/** The file takes one interface for each write(2). */
export function networkPriorities(asked: Resources['network']): Setting[] {
  return (asked?.priorities ?? []).map(({ name, priority }, index) => ({
    pointer: `/network/priorities/${index}`,
    file: 'net_prio.ifpriomap',
    value: `${name} ${priority}`,
    former: entryOf(name, `${name} 0`),
  }));
}
