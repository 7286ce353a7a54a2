/**
 * The configurations of the differential test: one for each value in the table below, and combinations of several, drawn with a fixed seed. Values
 * that the specification has refused, or that no machine can give, stand in lines that begin with `bad`.
 */

import { toJson } from '../helpers/container.ts';
import { fileSystem } from './rootfs.ts';

// biome-ignore lint/suspicious/noExplicitAny: what is written into a configuration is wrong on purpose, too
export type Json = any;

/** What a piece may refer to: the container's own places, which differ between the runtimes. */
export interface Place {
  /** The bundle; its root file system is `rootfs` in it. */
  readonly directory: string;
  readonly log: string;
  /** cgroupsPath of this container, absolute. */
  readonly cgroup: string;
  /** A name for a network interface outside. */
  readonly interface: string;
  /** The path of a namespace of a process that has new ones of every type but user. */
  readonly namespace: (type: string) => string;
}

type Edit = (config: Json, place: Place) => void;

export interface Piece {
  /** The property; a combination has only one piece of each. */
  readonly property: string;
  readonly name: string;
  readonly edit: Edit;
  readonly bad: boolean;
  /** The text of the file, where JSON of our own writing would not do. */
  readonly text?: (json: string) => string;
  /** Changes the root file system. */
  readonly prepare?: (place: Place) => void;
  /** Not for combinations: nothing of it can be seen beside others. */
  readonly alone: boolean;
  /** Paths that the probe looks at besides the usual ones. */
  readonly watch: readonly string[];
}

export interface Configuration {
  readonly name: string;
  readonly pieces: readonly Piece[];
}

const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE', 'CAP_CHOWN', 'CAP_SETUID', 'CAP_SETGID'];
const MASKED = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/scsi', '/sys/firmware'];
const READONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
const WATCHED = [
  '/',
  '/etc',
  '/tmp',
  '/tmp/link',
  '/made',
  '/dev',
  ...[
    'null',
    'zero',
    'full',
    'random',
    'urandom',
    'tty',
    'console',
    'ptmx',
    'fd',
    'stdin',
    'stdout',
    'stderr',
    'core',
    'pts',
    'shm',
    'mqueue',
    'kmsg',
  ].map((name) => `/dev/${name}`),
  ...['acpi', 'kcore', 'keys', 'timer_list', 'bus', 'fs', 'irq', 'sys', 'sysrq-trigger', 'sys/kernel/shmmax'].map((name) => `/proc/${name}`),
  '/sys',
  '/sys/firmware',
  '/sys/fs/cgroup',
];

/** What every configuration begins with: much the same as `strata spec`. */
export function base(place: Place): Json {
  return {
    ociVersion: '1.2.1',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['/bin/probe'],
      env: ['PATH=/usr/bin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: false },
    hostname: 'differential',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'] },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    ],
    linux: {
      cgroupsPath: place.cgroup,
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      maskedPaths: MASKED,
      readonlyPaths: READONLY,
    },
  };
}

// --- how the table is written --------------------------------------------------------------------------------------------------------------------

const pieces: Piece[] = [];

interface Extra {
  readonly text?: (json: string) => string;
  readonly prepare?: (place: Place) => void;
  readonly alone?: boolean;
  readonly watch?: readonly string[];
}

function add(bad: boolean, property: string, label: string, edit: Edit, extra: Extra): void {
  pieces.push({ property, name: `${property}: ${label}`, edit, bad, alone: false, watch: [], ...extra });
}

/** One change, in words. */
const good = (property: string, label: string, edit: Edit, extra: Extra = {}): void => add(false, property, label, edit, extra);
const bad = (property: string, label: string, edit: Edit, extra: Extra = {}): void => add(true, property, label, edit, extra);

/** The property at a path of names takes each of these values in turn; `undefined` removes it. */
function put(bad: boolean, property: string, values: readonly unknown[], extra: Extra = {}): void {
  for (const value of values) add(bad, property, shown(value), (config) => assign(config, property, value), extra);
}
const goodValues = (property: string, values: readonly unknown[], extra: Extra = {}): void => put(false, property, values, extra);
const badValues = (property: string, values: readonly unknown[], extra: Extra = {}): void => put(true, property, values, extra);

function shown(value: unknown): string {
  if (value === undefined) return 'absent';
  const text = typeof value === 'bigint' ? String(value) : JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item));
  return text.length > 150 ? `${text.slice(0, 60)}… (${text.length})` : text;
}

function assign(config: Json, property: string, value: unknown): void {
  const names = property.split('.');
  const last = names.pop() ?? '';
  let at = config;
  for (const name of names) at = at[name] ??= {};
  if (value === undefined) delete at[last];
  else at[last] = structuredClone(value);
}

/** One more entry of a list. */
const also = (list: string, entry: unknown): Edit => {
  return (config) => {
    const names = list.split('.');
    let at = config;
    for (const name of names.slice(0, -1)) at = at[name] ??= {};
    const last = names.at(-1) ?? '';
    at[last] = [...(at[last] ?? []), structuredClone(entry)];
  };
};

const without = (...types: string[]): Edit => {
  return (config) => {
    config.linux.namespaces = config.linux.namespaces.filter((entry: { type: string }) => !types.includes(entry.type));
  };
};

const withNamespace = (type: string, path?: (place: Place) => string): Edit => {
  return (config, place) => {
    without(type)(config, place);
    config.linux.namespaces.push(path === undefined ? { type } : { type, path: path(place) });
  };
};

const both =
  (...edits: Edit[]): Edit =>
  (config, place) => {
    for (const edit of edits) edit(config, place);
  };

const set =
  (property: string, value: unknown): Edit =>
  (config) =>
    assign(config, property, value);

const { executable, give, link } = fileSystem;

// --- the top level -------------------------------------------------------------------------------------------------------------------------------

goodValues('ociVersion', ['1.0.0', '1.0.2-dev', '1.3.0', '1.9.9', '1.2.0+build.1']);
badValues('ociVersion', ['2.0.0', '0.9.0', '', 'one', undefined, 1, '1.0'], { alone: true });
good('root.path', 'absolute', (config, { directory }) => assign(config, 'root.path', `${directory}/rootfs`));
goodValues('root.path', ['./rootfs/../rootfs/']);
good('root.path', 'a link to the directory', set('root.path', 'link'), { prepare: link('../link', 'rootfs') });
badValues('root.path', ['', 'missing', 'config.json', undefined, 7], { alone: true });
badValues('root', [undefined, null, 'rootfs'], { alone: true });
goodValues('root.readonly', [true]);
badValues('root.readonly', ['true', 1], { alone: true });
goodValues('hostname', ['other', '', undefined, 'h'.repeat(64)]);
badValues('hostname', ['h'.repeat(65), 5], { alone: true });
bad('hostname', 'without a uts namespace', without('uts'), { alone: true });
goodValues('domainname', ['example.test']);
bad('domainname', 'without a uts namespace', both(without('uts'), set('hostname', undefined), set('domainname', 'example.test')), { alone: true });
goodValues('annotations', [{ a: 'b', 'org.example/c': '' }, { 'org.opencontainers.image.os': 'linux' }, null]);
badValues('annotations', [{ a: 1 }, ['a'], 'a'], { alone: true });
goodValues('unknownProperty', [{ a: [1] }]);
goodValues('process.unknownProperty', ['x']);
goodValues('linux.unknownProperty', [null]);
goodValues('windows', [{ layerFolders: ['x'] }]);
goodValues('solaris', [{ milestone: 'x' }]);
good('text', 'a byte order mark', () => {}, { alone: true, text: (json) => `\ufeff${json}` });
good('text', 'Hostname in place of hostname', () => {}, { alone: true, text: (json) => json.replace('"hostname"', '"Hostname"') });
good('text', 'hostname twice', () => {}, { alone: true, text: (json) => json.replace('"hostname"', '"hostname":"first","hostname"') });
bad('text', 'something behind it', () => {}, { alone: true, text: (json) => `${json}{}` });
bad('text', 'a comma at the end', () => {}, { alone: true, text: (json) => json.replace(/}$/, ',}') });
bad('text', 'cut short', () => {}, { alone: true, text: (json) => json.slice(0, -1) });
bad('text', 'empty', () => {}, { alone: true, text: () => '' });
bad('text', 'a list', () => {}, { alone: true, text: (json) => `[${json}]` });
bad('text', 'null', () => {}, { alone: true, text: () => 'null' });

// --- process -------------------------------------------------------------------------------------------------------------------------------------

badValues('process', [undefined, [], 'probe'], { alone: true });
badValues('process.terminal', ['true', 1], { alone: true });
goodValues('process.consoleSize', [{ height: 10, width: 20 }]);
goodValues('process.cwd', ['/tmp', '/not/there', '/tmp/../etc/.']);
good('process.cwd', 'through a link', set('process.cwd', '/tmp/inner'), { prepare: link('tmp/inner', '/etc') });
good('process.cwd', 'through a link that climbs out', set('process.cwd', '/tmp/outer'), { prepare: link('tmp/outer', '../../../../etc') });
badValues('process.cwd', ['tmp', '', undefined, '/etc/passwd', 3], { alone: true });
good('process.cwd', "another user's", both(set('process.cwd', '/closed'), set('process.user', { uid: 1000, gid: 1000 })), {
  prepare: give('closed', 0, 0, 0o700),
  alone: true,
});
badValues(
  'process.args',
  [[], undefined, ['not-there'], ['/not/there'], ['/etc/passwd'], ['/etc'], [''], ['/etc/passwd/below'], 'probe', [1], [null]],
  { alone: true },
);
goodValues('process.args', [['probe'], ['/bin/probe', '', 'with space', 'ünïcode', 'new\nline', '$HOME'], ['bin/probe'], ['./bin/probe']]);
goodValues(
  'process.args',
  [
    ['/bin/probe', 'exit', '3'],
    ['/bin/probe', 'exit', '255'],
  ],
  { alone: true },
);
for (const signal of ['9', '11', '15'])
  good('process.args', `ends by signal ${signal}`, both(without('pid'), set('process.args', ['/bin/probe', 'kill', signal])), { alone: true });
good('process.args', 'a link to the program', set('process.args', ['/tmp/program']), { prepare: link('tmp/program', '/bin/probe'), alone: true });
good('process.args', 'a script', set('process.args', ['/tmp/script', 'x']), { prepare: executable('tmp/script', '#!/bin/probe\n'), alone: true });
bad('process.args', 'a script without its interpreter', set('process.args', ['/tmp/script']), {
  prepare: executable('tmp/script', '#!/not/there\n'),
  alone: true,
});
bad('process.args', 'text that is executable', set('process.args', ['/tmp/script']), { prepare: executable('tmp/script', 'exit 5\n'), alone: true });
bad('process.args', 'too long', set('process.args', ['/bin/probe', 'x'.repeat(200_000)]), { alone: true });
good('process.args', 'the second directory of PATH', both(set('process.args', ['probe']), set('process.env', ['PATH=/etc::/bin'])), { alone: true });
bad('process.args', 'nowhere in PATH', both(set('process.args', ['probe']), set('process.env', ['PATH=/etc'])), { alone: true });
good('process.args', 'without PATH', both(set('process.args', ['probe']), set('process.env', ['A=1'])), { alone: true });
good('process.args', 'in PATH, but not executable; then executable', both(set('process.args', ['probe']), set('process.env', ['PATH=/tmp:/bin'])), {
  prepare: (place) => fileSystem.file('tmp/probe', 'x')(place),
  alone: true,
});
goodValues('process.env', [undefined, [], ['A=1', 'B=2', 'A=3'], ['A='], ['A=b=c', 'Ü=ü'], ['HOME=/nowhere'], ['HOME=']]);
badValues('process.env', [['NOEQUALS'], ['=x'], [''], [1], 'A=1', ['A=\u0000x']], { alone: true });
goodValues('process.user', [
  undefined,
  { uid: 1000, gid: 1000 },
  { uid: 1000, gid: 0 },
  { uid: 0, gid: 1000 },
  { uid: 4294967294, gid: 4294967294 },
  { uid: 12345, gid: 5, additionalGids: [5, 6, 6, 4294967294] },
  { uid: 0, gid: 0, additionalGids: [] },
  { uid: 0, gid: 0, additionalGids: [10] },
  { uid: 0, gid: 0, username: 'nobody' },
]);
badValues(
  'process.user',
  [
    { uid: -1, gid: 0 },
    { uid: 4294967295, gid: 0 },
    { uid: 4294967296, gid: 0 },
    { uid: 0, gid: 4294967295 },
    { uid: 0, gid: 4294967296 },
    { uid: 1.5, gid: 0 },
    { uid: '0', gid: 0 },
    { uid: 0, gid: 0, additionalGids: [4294967295] },
    { uid: 0, gid: 0, additionalGids: [-1] },
    { uid: 0, gid: 0, additionalGids: 5 },
  ],
  { alone: true },
);
goodValues('process.user.umask', [0, 0o027, 0o777]);
badValues('process.user.umask', [0o1000, -1, '022'], { alone: true });
const all = { bounding: ['CAP_CHOWN', 'CAP_KILL'], effective: ['CAP_CHOWN'], permitted: ['CAP_CHOWN', 'CAP_KILL'] };
goodValues('process.capabilities', [
  undefined,
  {},
  { bounding: ['CAP_CHOWN'] },
  all,
  { ...all, bounding: ['CAP_CHOWN', 'CAP_CHOWN', 'CAP_KILL'] },
  { ...all, inheritable: ['CAP_CHOWN'] },
  { ...all, inheritable: ['CAP_CHOWN'], ambient: ['CAP_CHOWN'] },
]);
good('process.capabilities', 'of an ordinary user', both(set('process.capabilities', all), set('process.user', { uid: 1000, gid: 1000 })), {
  alone: true,
});
good(
  'process.capabilities',
  'of an ordinary user, ambient',
  both(set('process.capabilities', { ...all, inheritable: ['CAP_CHOWN'], ambient: ['CAP_CHOWN'] }), set('process.user', { uid: 1000, gid: 1000 })),
  { alone: true },
);
goodValues('process.capabilities', [{ ...all, bounding: ['CAP_CHOWN', 'CAP_KILL', 'CAP_SYS_RESOURCE'] }], { alone: true });
badValues(
  'process.capabilities',
  [
    { ...all, ambient: ['CAP_CHOWN'] },
    { ...all, effective: ['CAP_KILL', 'CAP_FOWNER'] },
    { ...all, bounding: ['CAP_CHOWN'] },
    { ...all, bounding: ['CAP_CHOWN', 'CAP_KILL', 'CAP_UNKNOWN'] },
    { bounding: ['chown'] },
    { bounding: ['cap_chown'] },
    { bounding: ['CHOWN'] },
    { bounding: [''] },
    { bounding: 'CAP_CHOWN' },
    ['CAP_CHOWN'],
  ],
  { alone: true },
);
const rlimit = (name: string, soft: unknown, hard: unknown): object => ({ type: `RLIMIT_${name}`, soft, hard });
goodValues('process.rlimits', [
  undefined,
  [],
  [rlimit('NOFILE', 50, 100)],
  [rlimit('CORE', 0, 0), rlimit('FSIZE', 1_000_000_000, 2_000_000_000), rlimit('STACK', 8388608, 16777216), rlimit('MSGQUEUE', 1, 819200)],
  [
    rlimit('CPU', 60, 120),
    rlimit('DATA', 1_000_000_000, 1_000_000_000),
    rlimit('RSS', 5, 6),
    rlimit('AS', 4_000_000_000, 4_000_000_000),
    rlimit('LOCKS', 7, 8),
  ],
  [
    rlimit('NPROC', 50, 60),
    rlimit('MEMLOCK', 4096, 8192),
    rlimit('SIGPENDING', 9, 10),
    rlimit('RTTIME', 1000, 2000),
    rlimit('NICE', 0, 0),
    rlimit('RTPRIO', 0, 0),
  ],
  [rlimit('CORE', 5, 18446744073709551615n)],
]);
badValues(
  'process.rlimits',
  [
    [rlimit('NOFILE', 100, 50)],
    [rlimit('UNKNOWN', 1, 1)],
    [rlimit('NOFILE', 1, 1), rlimit('NOFILE', 2, 2)],
    [{ type: 'nofile', soft: 1, hard: 1 }],
    [{ type: 'NOFILE', soft: 1, hard: 1 }],
    [rlimit('NOFILE', -1, -1)],
    [rlimit('CORE', 18446744073709551616n, 18446744073709551616n)],
    [rlimit('NOFILE', '100', '100')],
    [rlimit('NOFILE', 1.5, 2)],
    [{ type: 'RLIMIT_CORE', soft: 0 }],
    [{ soft: 1, hard: 1 }],
    [rlimit('NOFILE', 100, 18446744073709551615n)],
  ],
  { alone: true },
);
goodValues('process.apparmorProfile', ['']);
badValues('process.apparmorProfile', ['not-there', 5], { alone: true });
goodValues('process.selinuxLabel', ['']);
badValues('process.selinuxLabel', ['system_u:system_r:container_t:s0'], { alone: true });
goodValues('process.noNewPrivileges', [false, undefined]);
badValues('process.noNewPrivileges', ['true', 0], { alone: true });
goodValues('process.oomScoreAdj', [100, 0, 1000]);
badValues('process.oomScoreAdj', [-500, 1001, -1001, '5', 1.5], { alone: true });
goodValues('process.scheduler', [
  { policy: 'SCHED_OTHER' },
  { policy: 'SCHED_OTHER', nice: 5 },
  { policy: 'SCHED_BATCH', nice: 3 },
  { policy: 'SCHED_IDLE' },
  { policy: 'SCHED_FIFO', priority: 10 },
  { policy: 'SCHED_RR', priority: 5, flags: ['SCHED_FLAG_RESET_ON_FORK'] },
]);
badValues(
  'process.scheduler',
  [
    { policy: 'SCHED_UNKNOWN' },
    {},
    { policy: 'SCHED_OTHER', nice: 20 },
    { policy: 'SCHED_OTHER', priority: 5 },
    { policy: 'SCHED_FIFO', priority: 100 },
    { policy: 'SCHED_OTHER', flags: ['SCHED_FLAG_UNKNOWN'] },
    { policy: 'SCHED_DEADLINE', runtime: 20, deadline: 10, period: 30 },
    { policy: 'SCHED_OTHER', nice: '5' },
  ],
  { alone: true },
);
goodValues('process.ioPriority', [
  { class: 'IOPRIO_CLASS_BE', priority: 5 },
  { class: 'IOPRIO_CLASS_IDLE', priority: 0 },
  { class: 'IOPRIO_CLASS_RT', priority: 1 },
]);
badValues(
  'process.ioPriority',
  [
    { class: 'IOPRIO_CLASS_BE', priority: 8 },
    { class: 'IOPRIO_CLASS_BE', priority: -1 },
    { class: 'IOPRIO_CLASS_X', priority: 1 },
    {},
    { priority: 3 },
  ],
  { alone: true },
);
goodValues('process.execCPUAffinity', [{ initial: '0', final: '0' }]);
badValues('process.execCPUAffinity', [{ initial: 'all' }], { alone: true });

// --- hooks ---------------------------------------------------------------------------------------------------------------------------------------

/** The hooks that run in the container's namespaces before its root is the root have a path outside, the last of them one inside. */
const hook = (kind: string, log: string, more: object = {}): object => ({
  path: kind === 'startContainer' ? '/bin/probe' : '/run/differential/probe',
  args: ['probe', 'hook', log, kind],
  env: [`KIND=${kind}`],
  ...more,
});
const HOOKS = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'];
good('hooks', 'one of each kind', (config, { log }) => {
  config.hooks = Object.fromEntries(HOOKS.map((kind) => [kind, [hook(kind, kind === 'startContainer' ? '/tmp/log' : log)]]));
});
good('hooks', 'two of a kind, one without arguments and environment', (config, { log }) => {
  config.hooks = { createRuntime: [hook('createRuntime', log), hook('createRuntime', log, { env: undefined })] };
});
for (const kind of HOOKS) {
  bad(
    'hooks',
    `${kind} fails`,
    (config, { log }) => {
      const path = kind === 'startContainer' ? '/bin/probe' : '/run/differential/probe';
      config.hooks = { poststop: [hook('poststop', log)] };
      config.hooks[kind] = [{ path, args: ['probe', 'fail'] }, ...(config.hooks[kind] ?? [])];
    },
    { alone: true },
  );
}
const badHook = (label: string, change: (log: string) => object): void =>
  bad(
    'hooks',
    label,
    (config, { log }) => {
      config.hooks = { createRuntime: [hook('createRuntime', log, change(log))] };
    },
    { alone: true },
  );
badHook('a relative path', () => ({ path: 'bin/probe' }));
badHook('a path that is not there', () => ({ path: '/not/there' }));
badHook('no path', () => ({ path: undefined }));
// runc ends it at once, if it has not ended by then.
badHook('a timeout of 0', () => ({ args: ['probe', 'slow'], timeout: 0 }));
badHook('a timeout below 0', () => ({ timeout: -1 }));
badHook('a timeout in letters', () => ({ timeout: '1' }));
badHook('longer than its timeout', () => ({ args: ['probe', 'sleep'], timeout: 1 }));
badHook('an environment without =', () => ({ env: ['A'] }));
good('hooks', 'of an unknown kind', set('hooks', { afterwards: [{ path: '/not/there' }] }));
badValues('hooks', [[], { createRuntime: {} }], { alone: true });

// --- mounts --------------------------------------------------------------------------------------------------------------------------------------

const at = '/mnt';
const tmpfs = (...options: string[]): object => ({ destination: at, type: 'tmpfs', source: 'tmpfs', options });
const bind = (source: string, ...options: string[]): object => ({ destination: at, type: 'bind', source, options: ['bind', ...options] });
const mounts = (mark: typeof good, label: string, list: readonly object[], extra: Extra = {}): void =>
  mark('mounts', label, (config) => config.mounts.push(...structuredClone(list)), { watch: [at, `${at}/file`, `${at}/sub`], ...extra });

for (const options of [
  ...[
    'ro',
    'rw',
    'nosuid',
    'nodev',
    'noexec',
    'noatime',
    'nodiratime',
    'relatime',
    'strictatime',
    'sync',
    'dirsync',
    'lazytime',
    'nosymfollow',
    'defaults',
  ],
  ...['iversion', 'noiversion', 'nolazytime', 'loud', 'silent', 'mand', 'nomand', 'symfollow', 'async', 'suid', 'dev', 'exec', 'atime', 'diratime'],
  ...['norelatime', 'nostrictatime', 'ro,rw', 'rw,ro', 'noexec,exec', 'size=1m', 'mode=0700', 'mode=01777,size=64k,nr_inodes=10', 'size=10%'],
]) {
  mounts(good, `tmpfs, ${options}`, [tmpfs(...options.split(','))]);
}
for (const options of ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave', 'unbindable', 'runbindable']) {
  mounts(good, `bind, ${options}`, [bind('data', options)]);
  if (options === 'rshared' || options === 'slave') mounts(good, `tmpfs, ${options}`, [tmpfs(options)]);
}
for (const options of [
  ...['ro', 'nosuid,nodev,noexec', 'noatime', 'nosymfollow', 'ro,rw', 'strictatime', 'remount', 'idmap'],
  ...['rro', 'rrw', 'rnosuid', 'rnodev', 'rnoexec', 'rnoatime', 'rrelatime', 'rstrictatime', 'rnosymfollow', 'rnodiratime', 'rsuid', 'rexec', 'rdev'],
]) {
  mounts(options === 'idmap' || options === 'remount' ? bad : good, `rbind, ${options}`, [
    { ...bind('data'), options: ['rbind', ...options.split(',')] },
  ]);
}
mounts(good, 'bind of a directory, relative source', [bind('data')]);
mounts(good, 'bind without a type', [{ ...bind('data'), type: undefined }]);
mounts(good, 'bind of type none', [{ ...bind('data'), type: 'none' }]);
mounts(good, 'bind of another type', [{ ...bind('data'), type: 'tmpfs' }]);
mounts(good, 'bind of a file', [{ ...bind('data/file'), destination: '/mnt/new-file' }], { watch: [at, '/mnt/new-file'] });
mounts(good, 'bind of a file over a file', [{ ...bind('data/file', 'ro'), destination: '/etc/passwd' }], { watch: ['/etc/passwd'] });
mounts(good, 'bind of a device', [{ ...bind('/dev/null'), destination: '/dev/none' }], { watch: ['/dev/none'] });
mounts(good, 'bind to a new directory, deep', [{ ...bind('data'), destination: '/mnt/a/b/c' }], { watch: [at, '/mnt/a', '/mnt/a/b/c'] });
mounts(good, 'tmpfs to a new directory', [{ ...tmpfs(), destination: '/mnt/new' }], { watch: [at, '/mnt/new'] });
mounts(good, 'a relative destination', [{ ...tmpfs(), destination: 'mnt/relative' }], { watch: ['/mnt/relative'] });
mounts(good, 'a destination with ..', [{ ...tmpfs(), destination: '/etc/../mnt' }]);
mounts(good, 'a destination that climbs out', [{ ...tmpfs(), destination: '/../../mnt' }]);
mounts(good, 'a destination behind a link', [{ ...tmpfs(), destination: '/tmp/absolute' }], { prepare: link('tmp/absolute', '/mnt') });
mounts(good, 'a destination behind a link that climbs out', [{ ...tmpfs(), destination: '/tmp/outer' }], {
  prepare: link('tmp/outer', '../../../../mnt'),
});
mounts(good, 'a destination behind a link to nothing', [{ ...tmpfs(), destination: '/tmp/dangling' }], {
  prepare: link('tmp/dangling', '/mnt/not-there'),
  watch: [at, '/tmp/dangling', '/mnt/not-there'],
});
mounts(good, 'two on one another', [tmpfs('mode=0700'), tmpfs('mode=0711')]);
mounts(good, 'one below another', [tmpfs('mode=0755'), { ...tmpfs('mode=0711'), destination: '/mnt/sub' }]);
mounts(good, 'the upper after the lower', [{ ...tmpfs('mode=0711'), destination: '/mnt/sub' }, tmpfs('mode=0755')]);
mounts(good, 'tmpcopyup', [{ ...tmpfs('tmpcopyup'), destination: '/etc' }], { watch: ['/etc', '/etc/passwd'] });
mounts(good, 'no options', [{ destination: at, type: 'tmpfs', source: 'tmpfs' }]);
mounts(good, 'no source', [{ destination: at, type: 'tmpfs' }]);
mounts(
  good,
  'cgroup',
  [{ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] }],
  {
    watch: ['/sys/fs/cgroup/memory'],
  },
);
mounts(good, 'cgroup, writable', [{ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup' }], { watch: ['/sys/fs/cgroup/memory'] });
mounts(good, 'proc elsewhere', [{ destination: '/mnt', type: 'proc', source: 'proc' }]);
mounts(good, 'mappings', [
  { ...bind('data', 'idmap'), uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }], gidMappings: [{ containerID: 0, hostID: 2000, size: 10 }] },
]);
mounts(good, 'mappings, ridmap', [
  { ...bind('data', 'ridmap'), uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }], gidMappings: [{ containerID: 0, hostID: 2000, size: 10 }] },
]);
mounts(good, 'mappings without idmap', [
  { ...bind('data'), uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }], gidMappings: [{ containerID: 0, hostID: 2000, size: 10 }] },
]);
mounts(bad, 'mappings of users only', [{ ...bind('data', 'idmap'), uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }] }]);
for (const [label, mount] of [
  ['no destination', { type: 'tmpfs', source: 'tmpfs' }],
  ['an empty destination', { ...tmpfs(), destination: '' }],
  ['the destination /', { ...tmpfs(), destination: '/' }],
  ['an unknown type', { ...tmpfs(), type: 'nonsense' }],
  ['no type', { destination: at, source: 'tmpfs' }],
  ['a source that is not there', bind('not-there')],
  ['bind without a source', { ...bind(''), source: undefined }],
  ['an unknown option of tmpfs', tmpfs('nonsense')],
  ['an unknown option of bind', bind('data', 'nonsense')],
  ['a directory over a file', { ...bind('data'), destination: '/etc/passwd' }],
  ['a file over a directory', { ...bind('data/file'), destination: '/mnt' }],
  ['below a file', { ...tmpfs(), destination: '/etc/passwd/below' }],
  ['below /proc', { ...tmpfs(), destination: '/proc/sys' }],
  ['a file of /proc', { ...bind('data/file'), destination: '/proc/version' }],
  ['/proc/self', { ...tmpfs(), destination: '/proc/self' }],
  ['a bad size', tmpfs('size=lots')],
  ['options in one string', { ...tmpfs(), options: 'ro' }],
  ['a number for a destination', { ...tmpfs(), destination: 5 }],
] as const) {
  mounts(bad, label, [mount], { alone: true });
}
goodValues('mounts', [[], undefined], { alone: true });
badValues('mounts', [{}, 'none'], { alone: true });

// --- namespaces ----------------------------------------------------------------------------------------------------------------------------------

for (const type of ['network', 'pid', 'ipc', 'cgroup']) {
  good(`linux.namespaces ${type}`, 'none', without(type), { alone: type === 'network' });
  good(
    `linux.namespaces ${type}`,
    'joined',
    withNamespace(type, ({ namespace }) => namespace(type)),
    { alone: type === 'network' },
  );
}
good('linux.namespaces uts', 'none, no host name', both(without('uts'), set('hostname', undefined)), { alone: true });
good(
  'linux.namespaces uts',
  'joined',
  withNamespace('uts', ({ namespace }) => namespace('uts')),
  { alone: true },
);
good('linux.namespaces mount', 'none', both(without('mount'), set('linux.maskedPaths', undefined), set('linux.readonlyPaths', undefined)), {
  alone: true,
});
good('linux.namespaces mount', 'none, with masked paths', without('mount'), { alone: true });
good(
  'linux.namespaces mount',
  'joined',
  withNamespace('mount', ({ namespace }) => namespace('mount')),
  { alone: true },
);
good('linux.namespaces time', 'new', withNamespace('time'));
good(
  'linux.namespaces time',
  'joined',
  withNamespace('time', ({ namespace }) => namespace('time')),
  { alone: true },
);
good(
  'linux.namespaces',
  'all but mount joined',
  (config, place) => {
    for (const type of ['network', 'pid', 'ipc', 'uts', 'cgroup']) withNamespace(type, ({ namespace }) => namespace(type))(config, place);
  },
  { alone: true },
);
good(
  'linux.namespaces',
  'sharing with sysfs',
  both(without('network'), (config) => (config.mounts.find(({ destination }: Json) => destination === '/sys').options = [])),
  { alone: true },
);
bad('linux.namespaces', 'twice the same', (config) => config.linux.namespaces.push({ type: 'pid' }), { alone: true });
bad('linux.namespaces', 'an unknown type', (config) => config.linux.namespaces.push({ type: 'other' }), { alone: true });
bad('linux.namespaces', 'mnt for mount', (config) => config.linux.namespaces.push({ type: 'net' }), { alone: true });
bad(
  'linux.namespaces',
  'a path of another type',
  withNamespace('network', ({ namespace }) => namespace('uts')),
  { alone: true },
);
bad(
  'linux.namespaces',
  'a path that is not there',
  withNamespace('network', () => '/not/there'),
  { alone: true },
);
bad(
  'linux.namespaces',
  'a path that is no namespace',
  withNamespace('network', () => '/etc/passwd'),
  { alone: true },
);
bad(
  'linux.namespaces',
  'a relative path',
  withNamespace('network', () => 'net'),
  { alone: true },
);
good(
  'linux.namespaces',
  'an empty path',
  withNamespace('network', () => ''),
  { alone: true },
);
badValues('linux.namespaces', [[], undefined, [{}], {}], { alone: true });

const mapping = (hostID: number, size = 65536): object[] => [{ containerID: 0, hostID, size }];
const userNamespace = (first: number): Edit =>
  both(withNamespace('user'), set('linux.uidMappings', mapping(first)), set('linux.gidMappings', mapping(first)));
const owned = { prepare: give('', 100_000, 100_000), alone: true };
good('linux.uidMappings', 'a user namespace', userNamespace(100_000), owned);
good('linux.uidMappings', 'a user namespace, an ordinary user', both(userNamespace(100_000), set('process.user', { uid: 1000, gid: 1000 })), owned);
good('linux.uidMappings', 'a user namespace, the same ids', userNamespace(0), { alone: true });
good(
  'linux.uidMappings',
  'a user namespace, two ranges',
  both(
    withNamespace('user'),
    set('linux.uidMappings', [
      { containerID: 0, hostID: 100_000, size: 10 },
      { containerID: 1000, hostID: 200_000, size: 10 },
    ]),
    set('linux.gidMappings', mapping(100_000)),
  ),
  owned,
);
good(
  'linux.uidMappings',
  'a user namespace, devices',
  both(userNamespace(100_000), also('linux.devices', { path: '/dev/mine', type: 'c', major: 1, minor: 3 })),
  {
    ...owned,
    watch: ['/dev/mine'],
  },
);
good('linux.uidMappings', 'a user namespace, sysctl', both(userNamespace(100_000), set('linux.sysctl', { 'net.ipv4.ip_forward': '1' })), {
  ...owned,
  watch: ['/proc/sys/net/ipv4/ip_forward'],
});
bad('linux.uidMappings', 'a user namespace without mappings', withNamespace('user'), { alone: true });
bad('linux.uidMappings', 'a user namespace without gid mappings', both(withNamespace('user'), set('linux.uidMappings', mapping(0))), { alone: true });
bad('linux.uidMappings', 'without a user namespace', both(set('linux.uidMappings', mapping(0)), set('linux.gidMappings', mapping(0))), {
  alone: true,
});
bad(
  'linux.uidMappings',
  'root is not mapped',
  both(withNamespace('user'), set('linux.uidMappings', [{ containerID: 5, hostID: 100_000, size: 10 }]), set('linux.gidMappings', mapping(100_000))),
  owned,
);
bad(
  'linux.uidMappings',
  'the user is not mapped',
  both(
    withNamespace('user'),
    set('linux.uidMappings', mapping(100_000, 10)),
    set('linux.gidMappings', mapping(100_000, 10)),
    set('process.user', { uid: 1000, gid: 0 }),
  ),
  owned,
);
bad(
  'linux.uidMappings',
  'ranges that overlap',
  both(withNamespace('user'), set('linux.uidMappings', [...mapping(100_000), ...mapping(100_000)]), set('linux.gidMappings', mapping(100_000))),
  owned,
);
bad(
  'linux.uidMappings',
  'a size of 0',
  both(withNamespace('user'), set('linux.uidMappings', mapping(100_000, 0)), set('linux.gidMappings', mapping(100_000))),
  owned,
);
good(
  'linux.timeOffsets',
  'both clocks',
  both(withNamespace('time'), set('linux.timeOffsets', { monotonic: { secs: 100, nanosecs: 5 }, boottime: { secs: 200 } })),
);
good('linux.timeOffsets', 'below 0', both(withNamespace('time'), set('linux.timeOffsets', { boottime: { secs: -10, nanosecs: 1 } })), {
  alone: true,
});
bad('linux.timeOffsets', 'without a time namespace', set('linux.timeOffsets', { boottime: { secs: 10 } }), { alone: true });
bad('linux.timeOffsets', 'an unknown clock', both(withNamespace('time'), set('linux.timeOffsets', { realtime: { secs: 10 } })), { alone: true });
bad('linux.timeOffsets', 'too many nanoseconds', both(withNamespace('time'), set('linux.timeOffsets', { boottime: { nanosecs: 1_000_000_000 } })), {
  alone: true,
});
bad('linux.timeOffsets', 'before the beginning', both(withNamespace('time'), set('linux.timeOffsets', { boottime: { secs: -1_000_000_000 } })), {
  alone: true,
});
bad(
  'linux.timeOffsets',
  'with a joined namespace',
  both(
    withNamespace('time', ({ namespace }) => namespace('time')),
    set('linux.timeOffsets', { boottime: { secs: 10 } }),
  ),
  { alone: true },
);

// --- devices -------------------------------------------------------------------------------------------------------------------------------------

const devices = (mark: typeof good, label: string, list: readonly object[], extra: Extra = {}): void =>
  mark('linux.devices', label, set('linux.devices', list), { watch: ['/dev/mine', '/mine', '/dev/a', '/dev/a/b'], ...extra });
const device = { path: '/dev/mine', type: 'c', major: 1, minor: 3 };
devices(good, 'c', [device]);
devices(good, 'c, with mode and owner', [{ ...device, fileMode: 0o640, uid: 1000, gid: 2000 }]);
devices(good, 'c, mode with the file type', [{ ...device, fileMode: 0o20600 }]);
devices(good, 'b', [{ ...device, type: 'b', major: 7, minor: 0 }]);
devices(good, 'u', [{ ...device, type: 'u' }]);
devices(good, 'p', [{ path: '/dev/mine', type: 'p' }]);
devices(good, 'p, with mode', [{ path: '/dev/mine', type: 'p', fileMode: 0o600 }]);
devices(good, 'not below /dev', [{ ...device, path: '/mine' }]);
devices(good, 'deep', [{ ...device, path: '/dev/a/b' }]);
devices(good, 'one that is there by default, the same', [{ ...device, path: '/dev/null' }]);
devices(good, 'one that is there by default, other mode', [{ ...device, path: '/dev/null', fileMode: 0o600 }]);
devices(good, 'the same twice', [device, device]);
devices(bad, 'one that is there by default, another number', [{ ...device, path: '/dev/null', minor: 5 }], { alone: true });
devices(bad, 'one path, two numbers', [device, { ...device, minor: 5 }], { alone: true });
devices(bad, 'over a file of another type', [{ ...device, path: '/etc/passwd' }], { alone: true, watch: ['/etc/passwd'] });
devices(bad, 'a relative path', [{ ...device, path: 'dev/mine' }], { alone: true });
devices(bad, 'no path', [{ ...device, path: undefined }], { alone: true });
devices(bad, 'an empty path', [{ ...device, path: '' }], { alone: true });
devices(bad, 'an unknown type', [{ ...device, type: 'x' }], { alone: true });
devices(bad, 'no type', [{ ...device, type: undefined }], { alone: true });
devices(bad, 'no numbers', [{ path: '/dev/mine', type: 'c' }], { alone: true });
devices(bad, 'a negative number', [{ ...device, major: -1 }], { alone: true });
devices(bad, 'a large number', [{ ...device, major: 5000 }], { alone: true });
devices(bad, 'a mode in letters', [{ ...device, fileMode: '0600' }], { alone: true });
goodValues('linux.netDevices', [{}]);
for (const value of [{}, { name: 'inside' }, { name: 'in%d' }]) {
  good('linux.netDevices', `moved, ${shown(value)}`, (config, place) => assign(config, 'linux.netDevices', { [place.interface]: value }), {
    prepare: fileSystem.interface,
    alone: true,
  });
}
badValues('linux.netDevices', [{ 'not-there': {} }, { lo: { name: 'renamed' } }, []], { alone: true });

// --- cgroups and resources -----------------------------------------------------------------------------------------------------------------------

good('linux.cgroupsPath', 'nested', (config, { cgroup }) => assign(config, 'linux.cgroupsPath', `${cgroup}/a/b`));
good('linux.cgroupsPath', 'relative', (config, { cgroup }) => assign(config, 'linux.cgroupsPath', cgroup.slice(1)), { alone: true });
good('linux.cgroupsPath', 'with . and a / at the end', (config, { cgroup }) => assign(config, 'linux.cgroupsPath', `${cgroup}/./a//`), {
  alone: true,
});
goodValues('linux.cgroupsPath', [undefined, ''], { alone: true });
bad('linux.cgroupsPath', 'with ..', (config, { cgroup }) => assign(config, 'linux.cgroupsPath', `${cgroup}/../../${cgroup}/x`), { alone: true });
badValues('linux.cgroupsPath', [5], { alone: true });

const resources = (name: string, values: readonly unknown[], mark = goodValues): void =>
  mark(`linux.resources.${name}`, values, mark === badValues ? { alone: true } : {});
const M = 1024 * 1024;
resources('memory', [
  { limit: 64 * M },
  { limit: -1 },
  { limit: 0 },
  { limit: 64 * M, reservation: 32 * M },
  { reservation: -1 },
  { limit: 64 * M, swap: 128 * M },
  { limit: 64 * M, swap: -1 },
  { swap: -1 },
  { swap: 0 },
  { swappiness: 0 },
  { swappiness: 60 },
  { disableOOMKiller: true },
  { disableOOMKiller: false },
  { useHierarchy: true },
  { checkBeforeUpdate: true, limit: 64 * M },
  {},
  { limit: 70_000_001 },
]);
resources(
  'memory',
  [
    { limit: 1 },
    { limit: 64 * M, swap: 32 * M },
    { swap: 64 * M },
    { limit: -2 },
    { swappiness: 101 },
    { limit: '64M' },
    { limit: 1.5 },
    { limit: 9223372036854775808n },
    { kernel: 32 * M },
    { kernelTCP: 32 * M },
    { useHierarchy: false },
    { limit: -1, swap: 64 * M },
  ],
  badValues,
);
resources('cpu', [
  { shares: 512 },
  { shares: 1 },
  { shares: 0 },
  { shares: 1_000_000 },
  { quota: 50_000 },
  { quota: -1 },
  { quota: 0 },
  { period: 50_000 },
  { quota: 20_000, period: 50_000 },
  { quota: 50_000, burst: 10_000 },
  { cpus: '0' },
  { cpus: '0-1', mems: '0' },
  { idle: 1 },
  { idle: 0 },
  {},
]);
resources(
  'cpu',
  [
    { quota: 500 },
    { quota: -5 },
    { period: 500 },
    { period: 2_000_000 },
    { quota: 10_000, burst: 20_000 },
    { cpus: '99' },
    { cpus: 'all' },
    { mems: '9' },
    { idle: 2 },
    { shares: -1 },
    { realtimeRuntime: 1000, realtimePeriod: 10_000 },
  ],
  badValues,
);
resources('pids', [{ limit: 10 }, { limit: -1 }, { limit: 0 }, { limit: 4_194_304 }]);
resources('pids', [{ limit: -2 }, {}, { limit: '10' }, { limit: 1.5 }], badValues);
resources('blockIO', [
  { throttleReadBpsDevice: [{ major: 254, minor: 0, rate: 1_000_000 }], throttleWriteIOPSDevice: [{ major: 254, minor: 0, rate: 100 }] },
  {},
]);
resources(
  'blockIO',
  [
    { weight: 500 },
    { weight: 5 },
    { leafWeight: 500 },
    { weightDevice: [{ major: 254, minor: 0, weight: 300 }] },
    { throttleReadBpsDevice: [{ major: 4000, minor: 77, rate: 1 }] },
  ],
  badValues,
);
resources('hugepageLimits', [[{ pageSize: '2MB', limit: 4 * M }], [{ pageSize: '2MB', limit: 0 }], []]);
resources(
  'hugepageLimits',
  [
    [{ pageSize: '3MB', limit: 1 }],
    [{ pageSize: '2mb', limit: 1 }],
    [{ limit: 1 }],
    [
      { pageSize: '2MB', limit: 4 * M },
      { pageSize: '2MB', limit: 8 * M },
    ],
  ],
  badValues,
);
resources('network', [{}]);
resources('network', [{ classID: 0x100001 }, { priorities: [{ name: 'lo', priority: 5 }] }, { classID: -1 }], badValues);
resources('rdma', [{}]);
resources('rdma', [{ mlx5_1: { hcaHandles: 3 } }, { mlx5_1: { hcaHandles: -1 } }], badValues);
resources('unified', [{}, { 'cgroup.max.depth': '5' }]);
resources(
  'unified',
  [{ 'memory.high': '1000000' }, { nonsense: '1' }, { '../x': '1' }, { 'cgroup.max.depth': 5 }, { 'cgroup.max.depth': 'x' }],
  badValues,
);
resources('unknownProperty', [{ limit: 1 }]);
const allow = (rule: object = {}): object => ({ allow: true, type: 'c', major: 1, minor: 3, access: 'rwm', ...rule });
resources('devices', [
  undefined,
  [],
  [{ allow: false }],
  [{ allow: true }],
  [{ allow: true, access: 'rwm' }],
  [{ allow: false, access: 'rwm' }, allow({ major: 10, minor: 200, access: 'rw' })],
  [{ allow: false, access: 'rwm' }, allow({ major: 10, minor: undefined })],
  [{ allow: false, access: 'rwm' }, allow({ type: 'b', major: 254, minor: 0, access: 'r' })],
  [
    { allow: false, access: 'rwm' },
    { allow: false, type: 'c', major: 1, minor: 3, access: 'w' },
  ],
  [{ allow: false, access: 'rwm' }, allow({ major: -1, minor: -1, access: 'm' })],
  [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'a' },
  ],
  [
    { allow: true, type: 'a' },
    { allow: false, type: 'c', major: 10, minor: 200, access: 'rwm' },
  ],
]);
resources('devices', [[{ type: 'c' }], [allow({ type: 'x' })], [allow({ access: 'x' })], [allow({ major: '1' })], {}], badValues);

// --- sysctl, paths, the rest ---------------------------------------------------------------------------------------------------------------------

const setting = (mark: typeof good, name: string, value: unknown, extra: Extra = {}): void =>
  mark('linux.sysctl', `${name || '""'}=${value}`, set('linux.sysctl', { [name]: value }), {
    watch: [`/proc/sys/${name.replaceAll('.', '/')}`],
    ...extra,
  });
setting(good, 'kernel.shmmax', '1048576');
setting(good, 'kernel.shm_rmid_forced', '1');
setting(good, 'fs.mqueue.msg_max', '20');
setting(good, 'net.ipv4.ip_forward', '1');
setting(good, 'net/ipv4/ip_forward', '1');
setting(good, 'net.ipv4.conf.lo.forwarding', '1');
setting(good, 'kernel.msgmax', '4096');
setting(good, 'kernel.domainname', 'example.test');
for (const [name, value] of [
  ['vm.swappiness', '60'],
  ['kernel.pid_max', '4194304'],
  ['kernel.hostname', 'other'],
  ['kernel.msgmax', 'many'],
  ['net.ipv4.not_there', '1'],
  ['kernel.shmall', 1048576],
  ['user.max_user_namespaces', '100'],
  ['', '1'],
  ['kernel.sem/../pid_max', '4194304'],
] as const)
  setting(bad, name, value, { alone: true });
bad(
  'linux.sysctl',
  'kernel.shmmax without an ipc namespace',
  both(without('ipc'), set('linux.sysctl', { 'kernel.shmmax': '18446744073692774399' })),
  { alone: true },
);
bad(
  'linux.sysctl',
  'net.ipv4.ip_forward without a network namespace',
  both(without('network'), set('linux.sysctl', { 'net.ipv4.ip_forward': '0' })),
  { alone: true },
);

for (const list of ['linux.maskedPaths', 'linux.readonlyPaths']) {
  goodValues(list, [undefined, [], ['/not/there'], ['/tmp/..//etc']]);
  goodValues(list, [['/etc/passwd'], ['/etc'], ['/etc', '/etc/passwd'], ['/tmp']], { watch: ['/etc/passwd', '/etc'] });
  goodValues(list, [['/dev/null', '/proc/self/status']], { watch: ['/proc/self/status'], alone: true });
  good(list, 'a link', set(list, ['/tmp/link']), { prepare: link('tmp/link', '/etc'), watch: ['/etc/passwd'], alone: true });
  badValues(list, [['etc'], [''], '/etc', [5]], { watch: ['/etc/passwd'], alone: true });
}
const seccomp = (mark: typeof goodValues, label: string, value: object): void =>
  mark === badValues
    ? bad('linux.seccomp', label, set('linux.seccomp', value), { alone: true })
    : good('linux.seccomp', label, set('linux.seccomp', value));
const rule = (action: string, more: object = {}): object => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['getppid', 'mkdir'], action: `SCMP_ACT_${action}`, ...more }],
});
seccomp(goodValues, 'errno', rule('ERRNO'));
seccomp(goodValues, 'errno 5', rule('ERRNO', { errnoRet: 5 }));
seccomp(goodValues, 'errno 0', rule('ERRNO', { errnoRet: 0 }));
seccomp(goodValues, 'trace', rule('TRACE', { errnoRet: 3 }));
seccomp(goodValues, 'log', rule('LOG'));
for (const action of ['KILL', 'KILL_THREAD', 'KILL_PROCESS', 'TRAP'])
  good('linux.seccomp', action, set('linux.seccomp', rule(action)), { alone: true });
seccomp(goodValues, 'unknown and known names', {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['not_a_syscall', 'getppid'], action: 'SCMP_ACT_ERRNO' }],
});
seccomp(goodValues, 'argument, equal', rule('ERRNO', { names: ['unshare'], args: [{ index: 0, value: 0x4000000, op: 'SCMP_CMP_EQ' }] }));
seccomp(
  goodValues,
  'argument, masked',
  rule('ERRNO', { names: ['unshare'], args: [{ index: 0, value: 0x4000000, valueTwo: 0x4000000, op: 'SCMP_CMP_MASKED_EQ' }] }),
);
seccomp(
  goodValues,
  'arguments, one index twice',
  rule('ERRNO', {
    names: ['mkdir'],
    args: [
      { index: 1, value: 1, op: 'SCMP_CMP_GT' },
      { index: 1, value: 4095, op: 'SCMP_CMP_LT' },
    ],
  }),
);
seccomp(goodValues, 'architectures', { ...rule('ERRNO'), architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] });
seccomp(goodValues, 'flags', { ...rule('ERRNO'), flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW'] });
seccomp(goodValues, 'TSYNC', { ...rule('ERRNO'), flags: ['SECCOMP_FILTER_FLAG_TSYNC'] });
seccomp(goodValues, 'no rule', { defaultAction: 'SCMP_ACT_ALLOW' });
seccomp(goodValues, 'log by default', { defaultAction: 'SCMP_ACT_LOG', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }] });
seccomp(goodValues, 'two rules for one call', {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    { names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errnoRet: 5 },
    { names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errnoRet: 6 },
  ],
});
seccomp(goodValues, 'a rule of the default action', rule('ALLOW'));
good('linux.seccomp', 'without noNewPrivileges', both(set('process.noNewPrivileges', false), set('linux.seccomp', rule('ERRNO'))), { alone: true });
seccomp(badValues, 'no default action', { syscalls: [] });
seccomp(badValues, 'an unknown action', rule('NONSENSE'));
seccomp(badValues, 'an unknown default action', { defaultAction: 'ALLOW' });
seccomp(badValues, 'an unknown architecture', { ...rule('ERRNO'), architectures: ['SCMP_ARCH_Z80'] });
seccomp(badValues, 'an unknown flag', { ...rule('ERRNO'), flags: ['SECCOMP_FILTER_FLAG_NONSENSE'] });
seccomp(badValues, 'an unknown operator', rule('ERRNO', { args: [{ index: 0, value: 1, op: 'EQ' }] }));
seccomp(badValues, 'an argument that no call has', rule('ERRNO', { args: [{ index: 6, value: 1, op: 'SCMP_CMP_EQ' }] }));
seccomp(badValues, 'no names', rule('ERRNO', { names: [] }));
seccomp(badValues, 'names in one string', rule('ERRNO', { names: 'mkdir' }));
seccomp(badValues, 'an errno for allow', rule('ALLOW', { errnoRet: 5 }));
seccomp(badValues, 'a large errno', rule('ERRNO', { errnoRet: 5000 }));
seccomp(badValues, 'notify without a listener', rule('NOTIFY'));
seccomp(badValues, 'a listener that is not there', { ...rule('NOTIFY'), listenerPath: '/not/there' });
seccomp(badValues, 'metadata without a listener', { ...rule('ERRNO'), listenerMetadata: 'x' });
seccomp(badValues, 'only unknown names', rule('ERRNO', { names: ['not_a_syscall'] }));
goodValues('linux.rootfsPropagation', ['private', 'shared', 'slave', 'unbindable', '']);
badValues('linux.rootfsPropagation', ['rprivate', 'rshared', 'nonsense', 1], { alone: true });
goodValues('linux.personality', [{ domain: 'LINUX' }, { domain: 'LINUX32' }, { domain: 'LINUX', flags: [] }]);
badValues('linux.personality', [{ domain: 'NONSENSE' }, {}, { domain: 'LINUX', flags: ['ADDR_NO_RANDOMIZE'] }], { alone: true });
goodValues(
  'linux.memoryPolicy',
  [
    { mode: 'MPOL_BIND', nodes: '0' },
    { mode: 'MPOL_DEFAULT', nodes: '' },
  ],
  { alone: true },
);
badValues(
  'linux.memoryPolicy',
  [
    { mode: 'MPOL_NONSENSE', nodes: '0' },
    { nodes: '0' },
    { mode: 'MPOL_BIND', nodes: '9' },
    { mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_NONSENSE'] },
  ],
  { alone: true },
);
badValues('linux.intelRdt', [{ closID: 'class', l3CacheSchema: 'L3:0=f' }], { alone: true });
goodValues('linux.mountLabel', ['']);
badValues('linux.mountLabel', ['system_u:object_r:container_file_t:s0'], { alone: true });
badValues('linux', [undefined, [], 'x'], { alone: true });

// --- the configurations --------------------------------------------------------------------------------------------------------------------------

export const SEED = 20261121;
const COMBINATIONS = 120;

/** Numbers from 0 to 1 that are always the same; mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Each value of the table by itself, then combinations of two to five; in one of six there is something bad. */
export function configurations(seed = SEED): Configuration[] {
  const next = random(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const mixable = pieces.filter(({ alone, bad }) => !alone && !bad);
  const faulty = pieces.filter(({ bad }) => bad);
  const made: Configuration[] = [{ name: 'as it is', pieces: [] }, ...pieces.map((piece) => ({ name: piece.name, pieces: [piece] }))];
  for (let number = 1; number <= COMBINATIONS; number++) {
    const chosen: Piece[] = number % 6 === 0 ? [pick(faulty)] : [];
    const size = 2 + Math.floor(next() * 4);
    while (chosen.length < size) {
      const piece = pick(mixable);
      const related = ({ property }: Piece): boolean => property.startsWith(piece.property) || piece.property.startsWith(property);
      if (!chosen.some(related)) chosen.push(piece);
    }
    made.push({ name: `${number}) ${chosen.map(({ name }) => name).join(' + ')}`, pieces: chosen });
  }
  return made;
}

/** The text of config.json. */
export function textOf(configuration: Configuration, place: Place): string {
  const config = base(place);
  for (const piece of configuration.pieces) piece.edit(config, place);
  const [program, order] = config.process?.args ?? [];
  if (/^\S*probe$/.test(program) && order !== 'exit' && order !== 'kill')
    config.process.args.push(...new Set([...WATCHED, ...configuration.pieces.flatMap(({ watch }) => watch)]));
  return configuration.pieces.reduce((text, piece) => piece.text?.(text) ?? text, toJson(config));
}
