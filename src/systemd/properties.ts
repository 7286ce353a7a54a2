/**
 * Limits as properties of a systemd unit (systemd.resource-control(5), org.freedesktop.systemd1(5)). systemd writes them to the files of the scope,
 * and would take back what anybody else wrote there; what it has no property for is in the files of the container's own cgroup alone.
 */
import { StrataError } from '../base/error.ts';
import { pointer } from '../base/pointer.ts';
import { deviceLines } from '../plan/device-list.ts';
import { allDeviceRules } from '../plan/device-rules.ts';
import type { LimitWrite } from '../plan/resources.ts';
import type { DeviceRule } from '../spec/types.ts';
import { parseVariant } from './gvariant.ts';
import type { Value, Variant } from './message.ts';

export type Property = readonly [name: string, value: Variant];

const NONE = 2n ** 64n - 1n;
/** Microseconds. */
const SECOND = 1_000_000n;
const PERCENT = SECOND / 100n;
/** Of cpu.max, where nothing else is said. */
const CPU_PERIOD = 100_000n;

export function text(value: string): Variant {
  return { signature: 's', value };
}
export function flag(value: boolean): Variant {
  return { signature: 'b', value };
}
export function count(value: bigint): Variant {
  return { signature: 't', value };
}

/** The properties by file: those for one number or `max`. */
const COUNTS: Readonly<Record<string, string>> = {
  'memory.max': 'MemoryMax',
  'memory.high': 'MemoryHigh',
  'memory.low': 'MemoryLow',
  'memory.min': 'MemoryMin',
  'memory.swap.max': 'MemorySwapMax',
  'pids.max': 'TasksMax',
  'cpu.weight': 'CPUWeight',
};
const LISTS: Readonly<Record<string, string>> = { 'cpuset.cpus': 'AllowedCPUs', 'cpuset.mems': 'AllowedMemoryNodes' };
const THROTTLES: Readonly<Record<string, string>> = {
  rbps: 'IOReadBandwidthMax',
  wbps: 'IOWriteBandwidthMax',
  riops: 'IOReadIOPSMax',
  wiops: 'IOWriteIOPSMax',
};

/** The writes that systemd has properties for; the last word about one counts. `version`: systemd's. */
export function limitProperties(writes: readonly LimitWrite[], version: number): Property[] {
  const single = new Map<string, Variant>();
  const devices = new Map<string, Map<string, bigint>>();
  const forDevice = (name: string, key: string, value: bigint): void => {
    const known = devices.get(name) ?? new Map<string, bigint>();
    devices.set(name, known.set(`/dev/block/${key}`, value));
  };
  for (const { place, file, value } of writes) {
    if (!place.unified) continue;
    const name = COUNTS[file];
    const list = LISTS[file];
    if (name !== undefined) {
      const asked = size(value);
      // 0 tasks are none for systemd. What is no number the kernel refuses.
      if (asked !== undefined) single.set(name, count(file === 'pids.max' && asked === 0n ? 1n : asked));
    } else if (list !== undefined) {
      if (version >= 244 && isList(value)) single.set(list, { signature: 'ay', value: bitmap(value) });
    } else if (file === 'cpu.idle' && version >= 252) {
      single.set('CPUWeight', count(value === '1' ? 0n : NONE));
    } else if (file === 'cpu.max') for (const [key, item] of quota(value, version)) single.set(key, item);
    else if (file === 'io.weight' || file === 'io.bfq.weight') weight(file, value, single, forDevice);
    else if (file === 'io.max') throttle(value, forDevice);
  }
  const lists = [...devices].map(
    ([name, values]): Property => [name, { signature: 'a(st)', value: [...values].map(([path, limit]) => [path, limit]) }],
  );
  return [...single, ...lists];
}

/** A number as the kernel takes it, `512`, `64M` or `max`; undefined for anything else. */
function size(value: string): bigint | undefined {
  if (value.trim() === 'max') return NONE;
  const [, digits, unit = ''] = /^(\d+)([kmgtpe]?)$/i.exec(value.trim()) ?? [];
  return digits === undefined ? undefined : BigInt(digits) << BigInt(10 * ('kmgtpe'.indexOf(unit.toLowerCase()) + (unit === '' ? 0 : 1)));
}

/** Of numbers and ranges alone: the kernel knows more forms, and systemd none. */
function isList(value: string): boolean {
  return /^(?:\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)?$/.test(value.trim());
}

function number(value: string): bigint {
  return /^\d+$/.test(value.trim()) ? BigInt(value.trim()) : NONE;
}

/** `20000 100000`, `max 100000` or `20000`. In whole percents of a CPU, rounded up: the container's own file has the exact figure. */
function quota(value: string, version: number): Property[] {
  const [, share, period = `${CPU_PERIOD}`] = /^(max|\d+)(?: ([1-9]\d*))?$/.exec(value.trim()) ?? [];
  if (share === undefined) return [];
  const out: Property[] = [];
  if (share === 'max') out.push(['CPUQuotaPerSecUSec', count(NONE)]);
  else out.push(['CPUQuotaPerSecUSec', count((((BigInt(share) * SECOND) / BigInt(period) + PERCENT - 1n) / PERCENT) * PERCENT)]);
  if (version >= 242) out.push(['CPUQuotaPeriodUSec', count(BigInt(period))]);
  return out;
}

/** `default 100`, `8:0 100`, or a number alone. */
function weight(file: string, value: string, single: Map<string, Variant>, forDevice: (name: string, key: string, value: bigint) => void): void {
  const [key = '', digits] = value.trim().split(' ');
  const asked = number(digits ?? key);
  if (asked === NONE) return;
  // systemd counts as io.weight does, and turns 100 to 10000 into the 100 to 1000 of BFQ.
  const scaled = file === 'io.weight' || asked <= 100n ? asked : 100n + (asked - 100n) * 11n;
  if (digits === undefined || key === 'default') single.set('IOWeight', count(scaled));
  else forDevice('IODeviceWeight', key, scaled);
}

/** `8:0 rbps=1000 wiops=max`. */
function throttle(value: string, forDevice: (name: string, key: string, value: bigint) => void): void {
  const [key = '', ...pairs] = value.trim().split(' ');
  for (const pair of pairs) {
    const [kind = '', limit = ''] = pair.split('=');
    const name = THROTTLES[kind];
    if (name !== undefined) forDevice(name, key, number(limit));
  }
}

/** A list such as `0-3,7` as bytes, the lowest number first. */
function bitmap(list: string): number[] {
  const bytes: number[] = [];
  for (const range of list.trim().split(',')) {
    const [first = 0, last = first] = range.split('-').map(Number);
    for (let bit = first; bit <= last && last < 65536; bit++) {
      while (bytes.length <= bit >> 3) bytes.push(0);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }
  return bytes;
}

/**
 * What systemd is to allow. It knows only lists of what is allowed: what they cannot say exactly, it leaves to the program of the container's own
 * cgroup, which has every rule in any case.
 */
export function deviceProperties(rules: readonly DeviceRule[]): Property[] {
  return allowedDevices(rules) ?? [['DevicePolicy', text('auto')]];
}

/**
 * The same for a scope that has a filter already: systemd would not take that away (252), so it is told to let everything pass. The empty list takes
 * back what was allowed; otherwise the new one would be added to it.
 */
export function changedDeviceProperties(rules: readonly DeviceRule[]): Property[] {
  const everything: Value = [
    ['char-*', 'rwm'],
    ['block-*', 'rwm'],
  ];
  return [['DeviceAllow', { signature: 'a(ss)', value: [] }], ...(allowedDevices(rules) ?? strict(everything))];
}

function strict(allowed: Value): Property[] {
  return [
    ['DevicePolicy', text('strict')],
    ['DeviceAllow', { signature: 'a(ss)', value: allowed }],
  ];
}

function allowedDevices(rules: readonly DeviceRule[]): Property[] | undefined {
  let lines: ReturnType<typeof deviceLines>;
  try {
    lines = deviceLines(allDeviceRules(rules));
  } catch (error) {
    if (error instanceof StrataError && error.code === 'config-unsupported') return undefined;
    throw error;
  }
  if (lines[0]?.file !== 'devices.deny') return undefined;
  const allowed: Value[] = [];
  for (const { line } of lines.slice(1)) {
    const [, type, major, minor, access = ''] = /^([bc]) (\*|\d+):(\*|\d+) (\w+)$/.exec(line) ?? [];
    const kind = type === 'b' ? 'block' : 'char';
    if (minor !== '*' && major === '*') return undefined;
    allowed.push([minor === '*' ? `${kind}-${major}` : `/dev/${kind}/${major}:${minor}`, access]);
  }
  return strict(allowed);
}

const PREFIX = 'org.systemd.property.';
/** What makes the unit the container's is not to be changed. */
const OWN = ['PIDs', 'PIDFDs', 'Slice', 'Delegate'];

/**
 * `org.systemd.property.NAME` of the annotations, values in the text form of GVariant. A name in `Sec` is a time in seconds, as in unit files, and is
 * told as microseconds.
 *
 * @throws StrataError `config-invalid` for what is no name or no value.
 */
export function annotatedProperties(annotations: Readonly<Record<string, string>>): Property[] {
  return Object.entries(annotations).flatMap(([key, value]): Property[] => {
    if (!key.startsWith(PREFIX)) return [];
    const at = annotationPointer(key.slice(PREFIX.length));
    const name = key.slice(PREFIX.length);
    if (!/^[A-Z][A-Za-z]{2,}$/.test(name) || OWN.includes(name)) throw invalid(at, `${name} is not a property that can be given to a scope`);
    const variant = parseVariant(value);
    if (variant === undefined) throw invalid(at, `'${value}' is not a value such as 'text', uint32 5 or ['a', 'b']`);
    if (!/[^U]Sec$/.test(name)) return [[name, variant]];
    if (typeof variant.value !== 'number' && typeof variant.value !== 'bigint') throw invalid(at, `'${value}' is not a number of seconds`);
    const time = typeof variant.value === 'bigint' ? variant.value * SECOND : BigInt(Math.round(variant.value * Number(SECOND)));
    if (time < 0n || time > NONE) throw invalid(at, `'${value}' is not a number of seconds`);
    return [[name.replace(/Sec$/, 'USec'), count(time)]];
  });
}

export function annotationPointer(name: string): string {
  return pointer('/annotations', PREFIX + name);
}

function invalid(at: string, reason: string): StrataError {
  return new StrataError({ code: 'config-invalid', stage: 'check', pointer: at, reason });
}
