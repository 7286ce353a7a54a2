/**
 * What the fuzz targets begin with: plans of real configurations, as strata itself encodes them, and the other inputs in their forms.
 *
 *     node test/fuzz/seeds.ts DIRECTORY     writes DIRECTORY/TARGET/NAME
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostFacts } from '../../src/host/facts.ts';
import type { WireValue } from '../../src/host/host.ts';
import { RecordWriter } from '../../src/layer/records.ts';
import type { PlanOptions } from '../../src/plan/context.ts';
import { planCreate } from '../../src/plan/create.ts';
import { encode } from '../../src/plan/encode.ts';
import { planExec } from '../../src/plan/exec.ts';
import { CLONE } from '../../src/plan/op.ts';
import { encodeSeccomp } from '../../src/plan/seccomp.ts';
import { parseProcess } from '../../src/spec/parse.ts';
import { contextOf, HYBRID, RUNC_SPEC, SMALL, specOf, V1, V2 } from '../unit/plan/_support.ts';

const [directory = 'build/fuzz/seeds'] = process.argv.slice(2);

function write(target: string, name: string, ...parts: Uint8Array[]): void {
  mkdirSync(join(directory, target), { recursive: true });
  writeFileSync(join(directory, target, name), Buffer.concat(parts));
}

// What native/face makes of values (src/plan/encode.ts).
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
function sized(bytes: Uint8Array, ...behind: number[]): Buffer {
  return Buffer.concat([u32(bytes.length), bytes, Buffer.from(behind)]);
}
function pack(value: WireValue): Buffer {
  if (typeof value === 'string') return sized(Buffer.from(value), 0);
  if (typeof value === 'number' || typeof value === 'boolean') return u32(Number(value));
  if (typeof value === 'bigint') return Buffer.from(new BigUint64Array([value]).buffer);
  return sized(value instanceof Uint8Array ? value : packAll(value));
}
function packAll(values: readonly WireValue[]): Buffer {
  return Buffer.concat(values.map(pack));
}
function planBytes(values: readonly WireValue[]): Buffer {
  const body = packAll(values);
  return Buffer.concat([Buffer.from('STRA'), u32(1), u32(16 + body.length), u32(values.length / 2), body]);
}

// --- plans -------------------------------------------------------------------------------------------------------------------------------------

const IDS = [{ containerID: 0, hostID: 100000, size: 65536 }];
const SECCOMP = {
  defaultAction: 'SCMP_ACT_ERRNO',
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  flags: ['SECCOMP_FILTER_FLAG_LOG'],
  syscalls: [
    { names: ['read', 'write', 'execve', 'exit_group', 'no_such_call'], action: 'SCMP_ACT_ALLOW' },
    { names: ['personality'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 8, op: 'SCMP_CMP_EQ' }] },
    { names: ['clone'], action: 'SCMP_ACT_ERRNO', errnoRet: 38, args: [{ index: 0, value: 1, valueTwo: 1, op: 'SCMP_CMP_MASKED_EQ' }] },
  ],
};
const hook = (name: string) => [{ path: `/hooks/${name}`, args: [name, 'x'], env: ['A=1'], timeout: 2 }];
const user = [{ type: 'user' }, { type: 'mount' }, { type: 'pid' }];

const CONFIGURATIONS: Readonly<Record<string, readonly [Record<string, unknown>, HostFacts, Partial<PlanOptions>?]>> = {
  small: [{}, SMALL],
  runc: [RUNC_SPEC, V1],
  'runc-v2': [RUNC_SPEC, V2],
  limits: [
    {
      linux: {
        cgroupsPath: '/a/b',
        resources: {
          memory: { limit: 1 << 26, swap: 1 << 27 },
          cpu: { shares: 100, quota: 1000, period: 10000, cpus: '0' },
          pids: { limit: 9 },
          devices: [{ allow: false, access: 'rwm' }],
        },
      },
    },
    HYBRID,
  ],
  devices: [
    {
      linux: {
        devices: [
          { path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o666, uid: 5, gid: 6 },
          { path: '/dev/p', type: 'p' },
        ],
      },
    },
    V2,
  ],
  user: [
    {
      process: {
        user: { uid: 7, gid: 8, umask: 0o27, additionalGids: [3, 4] },
        rlimits: [{ type: 'RLIMIT_NOFILE', soft: 64, hard: 1 << 20 }],
        oomScoreAdj: 5,
      },
      linux: { namespaces: user, uidMappings: IDS, gidMappings: IDS, devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229 }] },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/m', type: 'none', source: '/src', options: ['rbind', 'idmap'], uidMappings: IDS, gidMappings: IDS },
      ],
    },
    SMALL,
  ],
  joins: [
    {
      linux: {
        namespaces: [
          { type: 'mount' },
          { type: 'network', path: '/run/netns/x' },
          { type: 'pid', path: '/proc/9/ns/pid' },
          { type: 'time' },
          { type: 'cgroup' },
        ],
        timeOffsets: { monotonic: { secs: 9, nanosecs: 1 } },
      },
    },
    SMALL,
  ],
  'no-mount-namespace': [{ linux: { namespaces: [{ type: 'pid' }] } }, SMALL],
  layers: [
    {
      annotations: {
        'dev.strata.overlay': JSON.stringify({ lower: ['/l/1', `/l/${'x'.repeat(300)}`, '/l/a\\b'], upper: 'u', work: 'w', options: ['volatile'] }),
      },
    },
    SMALL,
  ],
  layer: [{ annotations: { 'dev.strata.overlay': JSON.stringify({ lower: ['/l/1'] }) } }, SMALL],
  hooks: [
    {
      hooks: {
        prestart: hook('prestart'),
        createRuntime: hook('createRuntime'),
        createContainer: hook('createContainer'),
        startContainer: hook('startContainer'),
      },
    },
    SMALL,
  ],
  process: [
    {
      process: {
        args: ['sh', '-c', 'true'],
        env: ['PATH=/bin::/usr/bin', 'A=é'],
        cwd: '/work',
        noNewPrivileges: true,
        capabilities: { bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], effective: ['CAP_KILL'], inheritable: ['CAP_KILL'], ambient: ['CAP_KILL'] },
      },
      hostname: 'h',
      domainname: 'd',
      linux: {
        namespaces: [{ type: 'mount' }, { type: 'uts' }, { type: 'network' }, { type: 'ipc' }],
        seccomp: SECCOMP,
        sysctl: { 'net.ipv4.ip_forward': '1' },
        personality: { domain: 'LINUX32' },
        rootfsPropagation: 'shared',
      },
    },
    SMALL,
    { seccompCache: '' },
  ],
  scheduling: [
    {
      process: {
        scheduler: { policy: 'SCHED_RR', priority: 5, nice: -3 },
        ioPriority: { class: 'IOPRIO_CLASS_RT', priority: 3 },
        apparmorProfile: 'profile',
        selinuxLabel: 'u:r:t:s0:c1,c2',
      },
      linux: {
        namespaces: user,
        uidMappings: IDS,
        gidMappings: IDS,
        memoryPolicy: { mode: 'MPOL_BIND', nodes: '0-1,70', flags: ['MPOL_F_RELATIVE_NODES'] },
        mountLabel: 'u:r:t:s0:c1,c2',
        maskedPaths: ['/sys/firmware'],
      },
      mounts: [
        { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue' },
        { destination: '/t', type: 'tmpfs', source: 'tmpfs', options: ['size=1m'] },
        { destination: '/v', type: 'tmpfs', source: 'tmpfs', options: ['iversion', 'silent', 'sync', 'size=1m', 'mode=700'] },
        { destination: '/t', options: ['remount', 'size=2m', 'nosuid'] },
      ],
    },
    SMALL,
  ],
  handover: [
    {
      process: { noNewPrivileges: true },
      linux: {
        namespaces: [{ type: 'mount' }, { type: 'network' }],
        netDevices: { eth0: {}, eth1: { name: 'net%d' } },
        seccomp: { ...SECCOMP, defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/agent', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }] },
      },
    },
    SMALL,
  ],
  'early-seccomp': [{ linux: { seccomp: SECCOMP } }, SMALL],
  mounts: [
    {
      mounts: [
        { destination: '/t', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', 'size=1m', 'ro'] },
        { destination: '/b', type: 'bind', source: '/src', options: ['bind', 'ro', 'rprivate'] },
        { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro'] },
      ],
      root: { path: 'rootfs', readonly: true },
      linux: { maskedPaths: ['/proc/kcore', '/proc/acpi', '/proc/keys'], readonlyPaths: ['/proc/sys'] },
    },
    V1,
    { noPivot: true },
  ],
};

// Answers of test/fuzz/kernel.hpp: what the first one says, and one fault in what would succeed.
const FAULTS = 64;
const POPULATED = 128;
const EMFILE = 17;
const fault = (kind: number, calls: number, error = 1) => Uint8Array.of(kind | FAULTS, calls, error, 255, 0, 255, 0, 255, 0);
const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nuser:x:7:8::/home/user:/bin/sh\n';

// InitHeader of native/core/message.hpp, the plan, the filter.
function orders(plan: Uint8Array, twoStage: boolean, flags = 0): Buffer {
  const filter = Buffer.from('06000000000ff7f', 'hex');
  const size = 52;
  const start = Math.ceil((size + plan.length) / 8) * 8;
  const whole = Buffer.alloc(start + 8);
  [0x54494e49, size, plan.length, start, 8, flags, 7, 8, 9, 10, 0, twoStage ? 1 : 0].forEach((value, index) => {
    whole.writeUInt32LE(value, index * 4);
  });
  whole.set(plan, size);
  whole.set(filter, start);
  return whole;
}

for (const [name, [changes, facts, options]] of Object.entries(CONFIGURATIONS)) {
  const plan = planBytes(encode(planCreate(specOf(changes), contextOf(facts, options))));
  write('plan', name, plan);
  write('launch', name, plan);
  write('launch', `${name}-fault`, plan, fault(0, 9));
  // The first answer also chooses how strata-init talks.
  if (name === 'small' || name === 'joins') for (let way = 1; way < 16; way++) write('launch', `${name}-${way}`, plan, fault(way << 2, 9));
  // Every call of a start in two stages fails once for want of descriptors.
  if (name === 'joins') for (let call = 0; call < 64; call++) write('launch', `${name}-at-${call}`, plan, fault(4 << 2, call, EMFILE));
  const twoStage = name === 'user' || name === 'joins' || name === 'scheduling';
  write('init', name, orders(plan, twoStage));
  // The kinds of kernel that the first answer chooses: the child's side of a clone, no openat2.
  write('init', `${name}-child`, orders(plan, twoStage), Uint8Array.of(1));
  write('init', `${name}-walk`, orders(plan, twoStage), Uint8Array.of(2));
  write('init', `${name}-fault`, orders(plan, twoStage), fault(1 | POPULATED, 30), Buffer.from(PASSWD));
}

// Other rules in the place of those that are attached.
const v2 = planCreate(specOf({}), contextOf(V2));
const replacing = planBytes(
  encode({ operations: v2.operations.map((item) => (item.op === 'cgroup-device-program' ? { ...item, replace: true } : item)) }),
);
write('launch', 'replace', replacing);
for (let call = 0; call < 24; call++) write('launch', `replace-at-${call}`, replacing, fault(0, call));

const NEW_LISTENER = 8;
const [handover] = CONFIGURATIONS['handover'] ?? [];
const asking = planBytes(encode(planCreate(specOf(handover ?? {}), contextOf(SMALL))));
write('init', 'listener', orders(asking, false, NEW_LISTENER));
write('init', 'listener-fault', orders(asking, false, NEW_LISTENER), fault(1, 30));

// Into containers with a pid namespace and without, with a user namespace, with a root that is none of theirs.
const RLIMITS = [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }];
for (const [name, namespaces, ownRoot] of [
  ['exec', CLONE.mount | CLONE.pid | CLONE.network, true],
  ['exec-user', CLONE.user | CLONE.mount | CLONE.pid, true],
  ['exec-shared', CLONE.ipc, false],
  ['exec-alone', 0, false],
] as const) {
  const section = {
    terminal: name !== 'exec-alone',
    cwd: '/',
    args: ['sh'],
    env: ['PATH=/bin'],
    noNewPrivileges: ownRoot,
    rlimits: RLIMITS,
    oomScoreAdj: 1,
  };
  const process = parseProcess({ ...section, execCPUAffinity: { initial: '0', final: '0-1' } });
  const traits = { namespaces, ownRoot, keyring: true, seccomp: name === 'exec' };
  const place = { pid: 77, startTime: 4242n, cgroup: '/sys/fs/cgroup/unified/c1', tasks: ['/sys/fs/cgroup/memory/c1/tasks'] };
  const plan = planBytes(encode(planExec(process, { id: 'c1', facts: SMALL, traits, ...place, seccompProgram: '/r/c1/seccomp' })));
  const twoStage = (namespaces & CLONE.pid) !== 0;
  write('launch', name, plan);
  for (let way = 1; way < 12; way++) write('launch', `${name}-${way}`, plan, fault(way << 2, 9));
  write('init', name, orders(plan, twoStage));
  for (let call = 0; call < 48; call += 3) write('init', `${name}-${call}`, orders(plan, twoStage), fault(1 | POPULATED, call), Buffer.from(PASSWD));
}

// --- seccomp profiles --------------------------------------------------------------------------------------------------------------------------

const { seccomp } = specOf({ linux: { seccomp: SECCOMP } }).linux;
if (seccomp === undefined) throw new Error('the configuration has a profile');
write('seccomp', 'errno', packAll(encodeSeccomp(seccomp)));
write('seccomp', 'allow', packAll(encodeSeccomp({ ...seccomp, defaultAction: 'SCMP_ACT_ALLOW', architectures: [], flags: [] })));
write('seccomp', 'kill', packAll(encodeSeccomp({ ...seccomp, defaultAction: 'SCMP_ACT_KILL_PROCESS', syscalls: [] })));

// --- what the runtime reads --------------------------------------------------------------------------------------------------------------------

const STAT =
  '77 (a) b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 9\n';
const answered = (choice: number, answers: readonly number[], text: string) => [Uint8Array.of(choice, answers.length, ...answers), Buffer.from(text)];
write('host', 'text', ...answered(0, [], 'aé\u{10ffff}\u0800zzzzzzzzzzzz'));
write('host', 'line', ...answered(1, [], '\x01\x02\x03\x04\x05\x06\x07\x08\x09\x01\x00\x02) name (x'));
write('host', 'stat', ...answered(2, [], STAT));
write('host', 'pidfd', ...answered(2, [], 'pos:\t0\nPid:\t77\nNSpid:\t77\n'));
write('host', 'cgroup', ...answered(3, [], '1\n22\n333\n'));
write('host', 'files', ...answered(4, [0, 0, 2, 3, 0, 97, 98, 99], '/run/strata/c1'));
write('host', 'descriptors', ...answered(5, [0, 0, 0, 0, 1, 0, 120, 2, 3, 0, 1], ''));
write('host', 'command', ...answered(6, [0], '/bin/hook'));

// --- layers --------------------------------------------------------------------------------------------------------------------------------------

// test/fuzz/layer.cpp makes records of four bytes each, or takes them as they are.
for (const [index, name] of ['overlay', 'flat', 'raw', 'read', 'copy', 'compare', 'remove', 'changes', 'scan', 'usage'].entries()) {
  const program = Array.from({ length: 160 }, (_, at) => (at * 37 + index * 11) % 256);
  write('layer', name, Uint8Array.of(index, 0, ...program));
  write('layer', `${name}-fault`, Uint8Array.of(index, 6, ...fault(3, 17), 0, 9, 5, 1, ...program));
}
const records = new RecordWriter();
const bytes = (text: string) => Buffer.from(text);
const ENTRY = { mode: 0o644, uid: 1, gid: 2, mtime: { seconds: 5n, nanoseconds: 6 }, major: 0, minor: 0, link: bytes('d/a'), size: 3n };
for (const type of ['file', 'directory', 'symlink', 'hardlink', 'block', 'fifo'] as const) {
  records.entry({ ...ENTRY, type, path: bytes(`../d/${type}`), xattrs: [{ name: bytes('user.a'), value: bytes('b') }] });
}
records.entry({ ...ENTRY, type: 'file', path: bytes('f'), xattrs: [] });
records.data(1, bytes('ab'));
records.whiteout(bytes('d/f'));
records.opaque(bytes('l'));
write('layer', 'records', Uint8Array.of(2, 0), ...records.flush());

// --- the host's functions, as JavaScript calls them ----------------------------------------------------------------------------------------------

// test/fuzz/engine.cpp has them in the order of their registration, and makes bytes, a bigint and undefined of texts that begin so.
const LEFT_OUT = ['attach', 'divide', 'exitNow', 'foreground', 'holdSignals', 'interruption', 'keep', 'tell'];
const registered = (file: string) => [
  ...readFileSync(join(import.meta.dirname, '../../native', file), 'utf8').matchAll(/(?:now|later)<.*>\("(\w+)"\)/g),
];
const FUNCTIONS = [...registered('face/functions.hpp'), ...registered('cli/functions.cpp')]
  .map(([, name = '']) => name)
  .filter((name) => !LEFT_OUT.includes(name));
const PLAN = encode(planCreate(specOf(CONFIGURATIONS['process']?.[0]), contextOf()));
const ARGUMENTS: Readonly<Record<string, readonly unknown[]>> = {
  readText: ['/proc/self/stat', 100],
  writeText: ['/f', `é${String.fromCharCode(0xd800)}\u{10ffff}`],
  createFile: ['/d/f', 'text', 0o600],
  replaceFile: ['/d/f', 'text', 0o600],
  appendFile: ['/f', 'text'],
  writeAll: [1, 'text'],
  makeDirectory: ['/d', 0o755],
  makeDirectories: ['/d/e/f', 0o755],
  tryLock: ['/d'],
  close: [5],
  receiveDescriptor: [5],
  planBytes: [PLAN],
  launch: [PLAN, [0, 1, 2], 1, -1, -1],
  settle: [5, 6],
  proceed: [5, 6, false],
  awaitExecution: [5, 6],
  abandon: [5, 6],
  sendDescriptor: [5, 6, 'text'],
  start: ['/s/start.sock'],
  openProcess: [77, 'n:18446744073709551615'],
  signal: [5, 9],
  signalCgroup: [['/sys/fs/cgroup/a'], 9],
  removeCgroups: [['/sys/fs/cgroup'], ['/a/b'], 100],
  run: [{ path: '/bin/hook', args: ['hook'], env: ['A=1'], stdin: '{}', timeout: 50 }],
  waitExit: [5, 10],
  isFileAt: [5, '/f'],
  readLines: [5, 'n:0', 100],
  lastLines: [5, 3],
  readLayered: [['/top', '/bottom'], 'd/a', 100],
  copyLayered: [['/top', '/bottom'], 'd', '/copy'],
  environment: ['PATH'],
  sleep: [10],
  isInherited: [3],
};
for (const [index, name] of FUNCTIONS.entries()) {
  const values = JSON.stringify(ARGUMENTS[name] ?? ['/path'], (_, value: unknown) => {
    if (typeof value === 'bigint') return `n:${value}`;
    return value instanceof Uint8Array ? `b:${Buffer.from(value).toString('latin1')}` : value;
  });
  write('engine', name, ...answered(index, [], values));
  write('engine', `${name}-fault`, ...answered(index, [...fault(0, 1)], values));
  write('engine', `${name}-data`, ...answered(index, [0, 0, 0, 3, 0, 97, 98, 10], values));
}
