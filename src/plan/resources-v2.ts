/** The same limits as files of cgroup v2 (kernel documentation, admin-guide/cgroup-v2). What has no counterpart there is an error. */
import { StrataError } from '../base/error.ts';
import { isAtLeast, type Kernel } from '../host/facts.ts';
import type { BlockIO, Cpu, HugepageLimit, Memory } from '../spec/types.ts';
import { isSet, refuseLeafWeights } from './resources-v1.ts';
import { entryOf, type Setting } from './setting.ts';

function limit(value: bigint): string {
  return value < 0n ? 'max' : `${value}`;
}

export function memory(asked: Memory | undefined): Setting[] {
  if (asked === undefined) return [];
  refuse(isSet(asked.kernel) && asked.kernel !== -1n, '/memory/kernel');
  refuse(isSet(asked.kernelTCP) && asked.kernelTCP !== -1n, '/memory/kernelTCP');
  refuse(asked.swappiness !== undefined, '/memory/swappiness');
  refuse(asked.disableOOMKiller === true, '/memory/disableOOMKiller');
  refuse(asked.useHierarchy === false, '/memory/useHierarchy');
  const out: Setting[] = [];
  if (isSet(asked.limit)) out.push({ pointer: '/memory/limit', file: 'memory.max', value: limit(asked.limit) });
  if (asked.swap !== undefined && (asked.swap !== 0n || asked.limit !== 0n)) {
    const value = swapAlone(asked.swap, asked.limit ?? 0n);
    // Without swap in the kernel the file is missing; 'none' and 'no limit' are then true already.
    out.push({ pointer: '/memory/swap', file: 'memory.swap.max', value, optional: value === '0' || value === 'max' });
  }
  if (isSet(asked.reservation)) out.push({ pointer: '/memory/reservation', file: 'memory.low', value: limit(asked.reservation) });
  return out;
}

/** v1, and the specification, count memory and swap together; v2 counts swap alone, and so 0, less than any memory, can be told: no swap. */
function swapAlone(together: bigint, memoryLimit: bigint): string {
  if (together <= 0n) return together < 0n ? 'max' : '0';
  if (memoryLimit <= 0n) {
    const reason = 'requires a memory limit, because cgroup v2 limits swap alone';
    throw new StrataError({ code: 'config-invalid', stage: 'plan', pointer: '/linux/resources/memory/swap', reason });
  }
  return `${together - memoryLimit}`;
}

export function cpu(asked: Cpu | undefined): Setting[] {
  if (asked === undefined) return [];
  refuse(isSet(asked.realtimePeriod), '/cpu/realtimePeriod');
  refuse(isSet(asked.realtimeRuntime), '/cpu/realtimeRuntime');
  const out: Setting[] = [];
  if (asked.idle === 1n) out.push({ pointer: '/cpu/idle', file: 'cpu.idle', value: '1' });
  else if (isSet(asked.shares)) out.push({ pointer: '/cpu/shares', file: 'cpu.weight', value: `${weightOfShares(asked.shares)}` });
  if (isSet(asked.quota) || isSet(asked.period)) {
    const quota = isSet(asked.quota) ? limit(asked.quota) : 'max';
    const value = isSet(asked.period) ? `${quota} ${asked.period}` : quota;
    out.push({ pointer: isSet(asked.quota) ? '/cpu/quota' : '/cpu/period', file: 'cpu.max', value });
  }
  if (isSet(asked.burst)) out.push({ pointer: '/cpu/burst', file: 'cpu.max.burst', value: `${asked.burst}` });
  return out;
}

/**
 * CPU shares (2 to 262144, default 1024) as a weight (1 to 10000, default 100). The curve through the three pairs is the one that runtimes
 * agreed on in 2025 (opencontainers/runc#4772): quadratic in the logarithm of the shares, so that the two defaults meet.
 */
export function weightOfShares(shares: bigint): number {
  if (shares <= 2n) return 1;
  if (shares >= 262144n) return 10000;
  const log = Math.log2(Number(shares));
  // The smallest of margins keeps rounding errors from lifting an exact result, such as 100, to the next integer.
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34) - 1e-9);
}

export function blockIO(asked: BlockIO | undefined, weightFile: 'io.weight' | 'io.bfq.weight'): Setting[] {
  if (asked === undefined) return [];
  refuseLeafWeights(asked);
  const out: Setting[] = [];
  const weight = (value: number): number => (weightFile === 'io.bfq.weight' ? value : ioWeight(value));
  if (isSet(asked.weight))
    out.push({ pointer: '/blockIO/weight', file: weightFile, value: `default ${weight(asked.weight)}`, former: entryOf('default', 'default 100') });
  asked.weightDevice.forEach((device, index) => {
    if (!isSet(device.weight)) return;
    const key = `${device.major}:${device.minor}`;
    const former = entryOf(key, `${key} default`);
    out.push({ pointer: `/blockIO/weightDevice/${index}`, file: weightFile, value: `${key} ${weight(device.weight)}`, former });
  });
  for (const [key, name] of [
    ['throttleReadBpsDevice', 'rbps'],
    ['throttleWriteBpsDevice', 'wbps'],
    ['throttleReadIOPSDevice', 'riops'],
    ['throttleWriteIOPSDevice', 'wiops'],
  ] as const) {
    asked[key].forEach(({ major, minor, rate }, index) => {
      // v1 lifts a limit with 0; v2 refuses 0.
      const device = `${major}:${minor}`;
      const former = entryOf(device, `${device} ${name}=max`);
      out.push({ pointer: `/blockIO/${key}/${index}`, file: 'io.max', value: `${device} ${name}=${rate === 0n ? 'max' : rate}`, former });
    });
  }
  return out;
}

/** 10..1000 of v1 on the scale of io.weight, 1..10000. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

export function hugepages(limits: readonly HugepageLimit[], kernel: Kernel): Setting[] {
  const kinds = isAtLeast(kernel, 5, 7) ? ['rsvd.max', 'max'] : ['max'];
  return limits.flatMap(({ pageSize, limit }, index) =>
    kinds.map((kind) => ({ pointer: `/hugepageLimits/${index}`, file: `hugetlb.${pageSize}.${kind}`, value: `${limit}` })),
  );
}

function refuse(isAsked: boolean, at: string): void {
  if (!isAsked) return;
  const reason = 'has no counterpart in cgroup v2';
  throw new StrataError({ code: 'config-unsupported', stage: 'plan', pointer: `/linux/resources${at}`, reason });
}
