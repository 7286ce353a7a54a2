/**
 * From a JSON value to a {@link Spec}: types, ranges of integers, enumerations and patterns, as the official schema (schema/ of runtime-spec 1.3.0)
 * has them, for every property that concerns Linux, also those that are not honoured. Sections of other platforms are ignored.
 *
 * What differs from the schema, on purpose:
 * - `resources.pids.limit` is optional (config-linux.md);
 * - `root` is required (config.md), and so are `personality.domain`, `memoryPolicy.mode` and the numbers of a device that is not a fifo (config-linux.md);
 * - null is an absent property, an empty string an absent name or path (engines written in Go emit both);
 * - `rootfsPropagation` may have the r of recursion, as the mount options have it and the other runtimes take it;
 * - `devices[].fileMode` may carry the file type (stat(2) `st_mode`), as engines emit it; the permission bits are kept;
 * - device numbers must fit Linux's `dev_t`: major 0 to 4095, minor 0 to 2^20 - 1; -1 is 'every' in `resources.devices`;
 * - `resources.devices[].type` and `access` hold only what config-linux.md lists;
 * - a string or key with a NUL byte, the empty string as a key of a map, and integers of unlimited size beyond 2^53 are errors.
 */
import { StrataError } from '../base/error.ts';
import { parseExact } from '../base/json.ts';
import {
  MEMORY_FLAGS,
  MEMORY_MODES,
  SCHEDULER_FLAGS,
  SCHEDULERS,
  SECCOMP_ACTIONS,
  SECCOMP_ARCHITECTURES,
  SECCOMP_FLAGS,
  SECCOMP_OPERATORS,
} from './names.ts';
import type { Reader } from './reader.ts';
import {
  defaulting,
  flag,
  integer,
  list,
  long,
  map,
  mismatch,
  mismatchAt,
  object,
  oneOf,
  optional,
  readWhole,
  required,
  someOf,
  someText,
  text,
  textLike,
  texts,
} from './reader.ts';
import type * as spec from './types.ts';
import { NAMESPACE_TYPES } from './types.ts';

/** The longest document that is read: bytes for who reads the file, characters here. */
export const MAX_SPEC_LENGTH = 16 * 1024 * 1024;

const NONE: readonly never[] = [];
const EMPTY: Readonly<Record<string, never>> = {};

const uint16 = integer(0, 0xffff);
const uint32 = integer(0, 0xffff_ffff);
const int32 = integer(-0x8000_0000, 0x7fff_ffff);
const int64 = long(-(2n ** 63n), 2n ** 63n - 1n);
const uint64 = long(0n, 2n ** 64n - 1n);
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xf_ffff;
const major = integer(0, MAJOR_MAX);
const minor = integer(0, MINOR_MAX);
const strings = map(text);

/** -1, which stands for every number, is the same as an absent one. */
function orEvery(max: number): Reader<number | undefined> {
  const read = integer(-1, max);
  return (value) => {
    const number = read(value);
    return number === -1 ? undefined : number;
  };
}

const idMapping = object<spec.IdMapping>({ containerID: required(uint32), hostID: required(uint32), size: required(uint32) });
const idMappings = list(idMapping);

const root = object<spec.Root>({ path: required(text), readonly: defaulting(flag, false) });

const mount = object<spec.Mount>({
  destination: required(text),
  type: optional(someText),
  source: optional(someText),
  options: defaulting(texts, NONE),
  uidMappings: optional(someOf(idMapping)),
  gidMappings: optional(someOf(idMapping)),
});

const hook = object<spec.Hook>({
  path: required(text),
  args: defaulting(texts, NONE),
  env: optional(texts),
  timeout: optional(integer(1, Number.MAX_SAFE_INTEGER)),
});
const hookList = defaulting(list(hook), NONE);
const hooks = object<spec.Hooks>({
  prestart: hookList,
  createRuntime: hookList,
  createContainer: hookList,
  startContainer: hookList,
  poststart: hookList,
  poststop: hookList,
});

const user = object<spec.User>(
  { uid: defaulting(uint32, 0), gid: defaulting(uint32, 0), umask: optional(uint32), additionalGids: defaulting(list(uint32), NONE) },
  { username: text },
);

const capabilitySet = defaulting(texts, NONE);
const capabilities = object<spec.Capabilities>({
  bounding: capabilitySet,
  effective: capabilitySet,
  inheritable: capabilitySet,
  permitted: capabilitySet,
  ambient: capabilitySet,
});

const rlimit = object<spec.Rlimit>({
  type: required(textLike(/^RLIMIT_[A-Z]+$/, 'a name such as RLIMIT_NOFILE')),
  soft: required(uint64),
  hard: required(uint64),
});

/** Characters: uint64 in the schema; what a terminal can have is looked at only when there is one. */
const characters = (value: unknown): number => Number(uint64(value));

const scheduler = object<spec.Scheduler>({
  policy: required(oneOf(Object.keys(SCHEDULERS).join(' '))),
  nice: defaulting(int32, 0),
  priority: defaulting(int32, 0),
  flags: defaulting(list(oneOf(Object.keys(SCHEDULER_FLAGS).join(' '))), NONE),
  runtime: defaulting(uint64, 0n),
  deadline: defaulting(uint64, 0n),
  period: defaulting(uint64, 0n),
});
const ioPriority = object<spec.IoPriority>({ class: required(oneOf('RT BE IDLE', 'IOPRIO_CLASS_')), priority: defaulting(int32, 0) });
const someCpus = textLike(/^[0-9, -]*$/, 'a list of CPUs such as 0-3,7');
const cpuList = optional((value) => (someText(value) === undefined ? undefined : someCpus(value)));

const process = object<spec.Process>(
  {
    terminal: defaulting(flag, false),
    consoleSize: optional(object({ height: required(characters), width: required(characters) })),
    cwd: required(text),
    env: defaulting(texts, NONE),
    args: defaulting(texts, NONE),
    user: defaulting(user, { uid: 0, gid: 0, additionalGids: NONE }),
    capabilities: optional(capabilities),
    rlimits: defaulting(list(rlimit), NONE),
    noNewPrivileges: defaulting(flag, false),
    apparmorProfile: optional(someText),
    selinuxLabel: optional(someText),
    oomScoreAdj: optional(integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
    scheduler: optional(scheduler),
    ioPriority: optional(ioPriority),
    execCPUAffinity: optional(object<NonNullable<spec.Process['execCPUAffinity']>>({ initial: cpuList, final: cpuList })),
  },
  { commandLine: text },
);

const namespace = object<spec.Namespace>({ type: required(oneOf(NAMESPACE_TYPES.join(' '))), path: optional(someText) });

const timeOffset = object<spec.TimeOffset>({ secs: defaulting(int64, 0n), nanosecs: defaulting(uint32, 0) });

const deviceProperties = object<spec.Device>({
  type: required(oneOf('c b u p')),
  path: required(text),
  major: defaulting(major, 0),
  minor: defaulting(minor, 0),
  fileMode: optional((value) => permissionBits(value)),
  uid: optional(uint32),
  gid: optional(uint32),
});
const mode = integer(0, 0o177777);
function permissionBits(value: unknown): number {
  return mode(value) & 0o7777;
}
function device(value: unknown): spec.Device {
  const read = deviceProperties(value);
  if (read.type === 'p') return { ...read, major: 0, minor: 0 };
  for (const key of ['major', 'minor'] as const) {
    const number = (value as Partial<spec.Device>)[key];
    if (number === undefined || number === null) mismatchAt(key, `required for a device of type ${read.type}, but absent`);
  }
  return read;
}

const deviceRule = object<spec.DeviceRule>({
  allow: required(flag),
  type: optional((value) => (someText(value) === undefined ? undefined : ruleType(value))),
  major: optional(orEvery(MAJOR_MAX)),
  minor: optional(orEvery(MINOR_MAX)),
  access: optional((value) => (someText(value) === undefined ? undefined : access(value))),
});
const ruleType = oneOf<'a' | 'c' | 'b'>('a c b');
const access = textLike(/^[rwm]*$/, 'letters of rwm');

const throttles = defaulting(list(object<spec.Throttle>({ major: required(major), minor: required(minor), rate: defaulting(uint64, 0n) })), NONE);
const weightDevice = object<spec.BlockIO['weightDevice'][number]>({
  major: required(major),
  minor: required(minor),
  weight: optional(uint16),
  leafWeight: optional(uint16),
});
const blockIO = object<spec.BlockIO>({
  weight: optional(uint16),
  leafWeight: optional(uint16),
  weightDevice: defaulting(list(weightDevice), NONE),
  throttleReadBpsDevice: throttles,
  throttleWriteBpsDevice: throttles,
  throttleReadIOPSDevice: throttles,
  throttleWriteIOPSDevice: throttles,
});

const memory = object<spec.Memory>({
  limit: optional(int64),
  reservation: optional(int64),
  swap: optional(int64),
  kernel: optional(int64),
  kernelTCP: optional(int64),
  swappiness: optional(uint64),
  disableOOMKiller: optional(flag),
  useHierarchy: optional(flag),
  checkBeforeUpdate: optional(flag),
});
const cpu = object<spec.Cpu>({
  shares: optional(uint64),
  quota: optional(int64),
  burst: optional(uint64),
  period: optional(uint64),
  realtimeRuntime: optional(int64),
  realtimePeriod: optional(uint64),
  cpus: optional(someText),
  mems: optional(someText),
  idle: optional(int64),
});
const hugepageLimit = object<spec.HugepageLimit>({
  pageSize: required(textLike(/^[1-9][0-9]*[KMG]B$/, 'a page size such as 2MB')),
  limit: required(uint64),
});
const priority = object({ name: required(text), priority: required(uint32) });

const rdmaLimit = object<{ readonly hcaHandles?: number; readonly hcaObjects?: number }>({
  hcaHandles: optional(uint32),
  hcaObjects: optional(uint32),
});

const resources = object<spec.Resources>({
  devices: defaulting(list(deviceRule), NONE),
  memory: optional(memory),
  cpu: optional(cpu),
  pids: optional(object<NonNullable<spec.Resources['pids']>>({ limit: optional(int64) })),
  blockIO: optional(blockIO),
  hugepageLimits: defaulting(list(hugepageLimit), NONE),
  network: optional(object<NonNullable<spec.Resources['network']>>({ classID: optional(uint32), priorities: defaulting(list(priority), NONE) })),
  rdma: optional(map(rdmaLimit)),
  unified: defaulting(strings, EMPTY),
});

const action = oneOf<string>(SECCOMP_ACTIONS.join(' '));
const seccompArg = object<spec.SeccompArg>({
  index: required(uint32),
  value: required(uint64),
  valueTwo: defaulting(uint64, 0n),
  op: required(oneOf(SECCOMP_OPERATORS.join(' '))),
});
const syscallNames: Reader<readonly string[]> = (value) => {
  const names = texts(value);
  return names.length > 0 ? names : mismatch('at least one name', value);
};
const seccompRule = object<spec.SeccompRule>({
  names: required(syscallNames),
  action: required(action),
  errnoRet: optional(uint32),
  args: defaulting(list(seccompArg), NONE),
});
const seccomp = object<spec.Seccomp>({
  defaultAction: required(action),
  defaultErrnoRet: optional(uint32),
  architectures: defaulting(list(oneOf(SECCOMP_ARCHITECTURES.join(' '))), NONE),
  flags: defaulting(list(oneOf(SECCOMP_FLAGS.join(' '))), NONE),
  listenerPath: optional(someText),
  listenerMetadata: optional(someText),
  syscalls: defaulting(list(seccompRule), NONE),
});

const intelRdt = object<spec.IntelRdt>({
  closID: optional(someText),
  schemata: defaulting(texts, NONE),
  l3CacheSchema: optional(someText),
  memBwSchema: optional(textLike(/^MB:[^\n]*$/, 'one line that begins with MB:')),
  enableMonitoring: defaulting(flag, false),
});
const memoryPolicy = object<spec.MemoryPolicy>({
  mode: required(oneOf(Object.keys(MEMORY_MODES).join(' '))),
  nodes: optional(someText),
  flags: defaulting(list(oneOf(Object.keys(MEMORY_FLAGS).join(' '))), NONE),
});

const linux = object<spec.Linux>({
  namespaces: defaulting(list(namespace), NONE),
  uidMappings: defaulting(idMappings, NONE),
  gidMappings: defaulting(idMappings, NONE),
  timeOffsets: optional(object<NonNullable<spec.Linux['timeOffsets']>>({ monotonic: optional(timeOffset), boottime: optional(timeOffset) })),
  devices: defaulting(list(device), NONE),
  netDevices: optional(map(object<{ readonly name?: string }>({ name: optional(someText) }))),
  cgroupsPath: optional(someText),
  resources: defaulting(resources, resources({})),
  sysctl: defaulting(strings, EMPTY),
  seccomp: optional(seccomp),
  rootfsPropagation: optional(oneOf('private shared slave unbindable rprivate rshared rslave runbindable')),
  maskedPaths: defaulting(texts, NONE),
  readonlyPaths: defaulting(texts, NONE),
  mountLabel: optional(someText),
  intelRdt: optional(intelRdt),
  memoryPolicy: optional(memoryPolicy),
  personality: optional(object({ domain: required(oneOf('LINUX LINUX32')), flags: defaulting(texts, NONE) })),
});

const whole = object<spec.Spec>({
  ociVersion: required(text),
  root: required(root),
  process: optional(process),
  hostname: optional(someText),
  domainname: optional(someText),
  mounts: defaulting(list(mount), NONE),
  hooks: defaulting(hooks, hooks({})),
  annotations: defaulting(strings, EMPTY),
  linux: defaulting(linux, linux({})),
});

/**
 * Reads a configuration from a JSON value ({@link parseExact}, so that 64-bit integers are exact), with defaults for what is absent.
 *
 * @throws StrataError `config-invalid` with the pointer of the property, what was expected there and what was found.
 */
export function parseSpec(value: unknown): spec.Spec {
  return readWhole(whole, value, '');
}

/** Reads the text of config.json, at most {@link MAX_SPEC_LENGTH}. @throws StrataError `config-syntax` or `config-invalid`. */
export function loadSpec(text: string): spec.Spec {
  if (text.length > MAX_SPEC_LENGTH) {
    throw new StrataError({ code: 'config-syntax', stage: 'load', pointer: '', reason: `is larger than ${MAX_SPEC_LENGTH / 1024 / 1024} MiB` });
  }
  return parseSpec(parseExact(text));
}

/** Reads a process by itself, as `exec --process` has it. @param base what pointers in errors begin with */
export function parseProcess(value: unknown, base = ''): spec.Process {
  return readWhole(process, value, base);
}

/** Reads resources by themselves, as `update --resources` has them. @param base what pointers in errors begin with */
export function parseResources(value: unknown, base = ''): spec.Resources {
  return readWhole(resources, value, base);
}

/** Reads a seccomp profile by itself, as `linux.seccomp` has it. */
export function parseSeccomp(value: unknown): spec.Seccomp {
  return readWhole(seccomp, value, '');
}
