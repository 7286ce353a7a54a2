import test from 'ava';
import { stringifyExact } from '../../../src/base/json.ts';
import type { Surroundings, Wishes } from '../../../src/image/convert.ts';
import { convert, imageVolumes } from '../../../src/image/convert.ts';
import { parseProfile } from '../../../src/image/seccomp-profile.ts';
import type { ExecutionConfig, ImageConfig } from '../../../src/image/types.ts';
import { check } from '../../../src/spec/check.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import type { Spec } from '../../../src/spec/types.ts';
import { missing, oracle } from '../spec/_schema.ts';

const facts = { lastCapability: 40, permitted: (1n << 41n) - 1n, bounding: (1n << 41n) - 1n };

function image(config: ExecutionConfig = {}, more: Partial<ImageConfig> = {}): ImageConfig {
  return { architecture: 'amd64', os: 'linux', config: { Cmd: ['sh'], ...config }, diffIds: [], history: [], ...more };
}

const NOTHING: Wishes = {
  env: [],
  terminal: false,
  readonly: false,
  mounts: [],
  addedCapabilities: [],
  droppedCapabilities: [],
  devices: [],
  limits: [],
  network: 'none',
  newPrivileges: false,
  security: { masked: [], unmasked: [] },
  labels: {},
};
const AROUND: Surroundings = { user: { uid: 0, gid: 0, additionalGids: [] }, hostname: 'box', root: 'rootfs', annotations: {} };

function converted(config: ImageConfig, wishes: Partial<Wishes> = {}, around: Partial<Surroundings> = {}): Spec {
  return loadSpec(stringifyExact(convert(config, { ...NOTHING, ...wishes }, { ...AROUND, ...around }).spec));
}

test('the default passes every check without a warning, and is sparing', (t) => {
  const spec = converted(image());
  t.deepEqual(check(spec, facts), []);
  t.true(spec.process?.noNewPrivileges);
  t.is(spec.process?.capabilities?.bounding.length, 14);
  t.deepEqual(spec.process?.capabilities?.inheritable, []);
  t.deepEqual(spec.process?.capabilities?.ambient, []);
  t.deepEqual(spec.linux.namespaces.map(({ type }) => type).sort(), ['cgroup', 'ipc', 'mount', 'network', 'pid', 'uts']);
  t.true(spec.linux.maskedPaths.includes('/proc/kcore') && spec.linux.readonlyPaths.includes('/proc/sys'));
  t.is(spec.linux.seccomp?.defaultAction, 'SCMP_ACT_ERRNO');
  t.deepEqual(spec.linux.resources.devices, [{ allow: false, access: 'rwm' }]);
});

const official = missing === undefined ? test : test.skip;
official('the official schema accepts a conversion with everything in it', (t) => {
  const wishes: Wishes = {
    ...NOTHING,
    memory: 1024,
    cpuQuota: 50_000,
    pids: 9,
    terminal: true,
    limits: [{ type: 'RLIMIT_CORE', soft: 0n, hard: 2n ** 53n }],
    devices: [{ type: 'c', major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0, path: '/dev/fuse', access: 'rw' }],
    mounts: [{ destination: '/data', type: 'bind', source: '/srv', options: ['rbind'] }],
    network: { path: '/run/netns/x' },
    security: {
      masked: ['/srv'],
      unmasked: ['/proc/kcore'],
      apparmorProfile: 'a',
      selinuxLabel: 'b',
      mountLabel: 'c',
      seccomp: {
        profile: parseProfile('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"bpf","action":"SCMP_ACT_LOG"}]}', 'f'),
        kernel: { major: 6, minor: 1 },
      },
    },
    labels: { a: 'b' },
  };
  const labelled = image({ Labels: { c: 'd' }, ExposedPorts: ['80/tcp'] }, { author: 'me' });
  t.true(oracle()(JSON.parse(stringifyExact(convert(labelled, wishes, AROUND).spec))));
});

test('security: labels, a profile of system calls, and what of the kernel is masked', (t) => {
  const secured = (security: Partial<Wishes['security']>) => converted(image(), { security: { ...NOTHING.security, ...security } });
  const { process, linux } = secured({ apparmorProfile: 'a', selinuxLabel: 'b', mountLabel: 'c' });
  t.deepEqual([process?.apparmorProfile, process?.selinuxLabel, linux.mountLabel], ['a', 'b', 'c']);
  t.is(secured({ seccomp: 'unconfined' }).linux.seccomp, undefined);
  const rules = [
    { names: ['chown'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_CHOWN'] } },
    { names: ['bpf'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_BPF'] }, args: [{ index: 0, value: 2 ** 53, op: 'SCMP_CMP_EQ' }] },
  ];
  const profile = parseProfile(stringifyExact({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: rules }), 'f');
  const { seccomp } = secured({ seccomp: { profile, kernel: { major: 6, minor: 1 } } }).linux;
  t.deepEqual(
    seccomp?.syscalls.map(({ names }) => names),
    [['chown']],
  );

  const usual = converted(image()).linux;
  const masked = secured({ masked: ['/srv/x/', '/proc/keys'] }).linux;
  t.deepEqual(masked.maskedPaths, [...usual.maskedPaths.filter((path) => path !== '/proc/keys'), '/srv/x', '/proc/keys']);
  t.deepEqual(masked.readonlyPaths, usual.readonlyPaths);
  const freed = secured({ unmasked: ['/proc/keys', '/proc/sys/'] }).linux;
  t.deepEqual(
    freed.maskedPaths,
    usual.maskedPaths.filter((path) => path !== '/proc/keys'),
  );
  t.deepEqual(
    freed.readonlyPaths,
    usual.readonlyPaths.filter((path) => path !== '/proc/sys'),
  );
  const all = secured({ unmasked: 'ALL', masked: ['/srv'] }).linux;
  t.deepEqual([all.maskedPaths, all.readonlyPaths], [['/srv'], []]);
  t.throws(() => secured({ unmasked: ['/proc/sys/net'] }), {
    code: 'usage',
    message: /nothing is masked or read-only at \/proc\/sys\/net.*\/proc\/kcore/,
  });
  t.throws(() => secured({ unmasked: ['/proc/keys'], masked: ['/proc/keys'] }), { code: 'usage', message: /both masked and unmasked/ });
});

const commands: readonly (readonly [name: string, config: ExecutionConfig, wishes: Partial<Wishes>, args: readonly string[]])[] = [
  ['entrypoint and cmd', { Entrypoint: ['/e', '1'], Cmd: ['2'] }, {}, ['/e', '1', '2']],
  ['a command replaces cmd', { Entrypoint: ['/e'], Cmd: ['2'] }, { command: ['3'] }, ['/e', '3']],
  ['an empty command does not', { Cmd: ['2'] }, { command: [] }, ['2']],
  ['an entrypoint replaces both', { Entrypoint: ['/e'], Cmd: ['2'] }, { entrypoint: ['/f'] }, ['/f']],
  ['an entrypoint with a command', { Entrypoint: ['/e'], Cmd: ['2'] }, { entrypoint: ['/f'], command: ['3'] }, ['/f', '3']],
  ['no entrypoint', { Entrypoint: ['/e'], Cmd: ['2'] }, { entrypoint: [], command: ['3'] }, ['3']],
];
for (const [name, config, wishes, args] of commands) test(`args: ${name}`, (t) => t.deepEqual(converted(image(config), wishes).process?.args, args));

test('an image without a program needs one', (t) => {
  t.throws(() => converted(image({ Cmd: [] })), { message: /names no program/ });
  t.throws(() => converted(image({ Entrypoint: ['/e'] }), { entrypoint: [] }), { message: /names no program/ });
});

test('env: the image over the defaults, the caller over the image', (t) => {
  const env = converted(image({ Env: ['PATH=/x', 'A=1', 'B=2', 'A=3', 'BARE'] }), { env: ['B=9', 'C=', 'GONE', 'A'], terminal: true }).process?.env;
  t.deepEqual(env, ['PATH=/x', 'HOSTNAME=box', 'TERM=xterm', 'B=9', 'BARE=', 'C=']);
  t.deepEqual(converted(image()).process?.env, ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOSTNAME=box']);
  t.throws(() => converted(image({ Env: ['=x'] })), { message: /has no name/ });
});

test('the working directory is absolute', (t) => {
  t.is(converted(image()).process?.cwd, '/');
  t.is(converted(image({ WorkingDir: 'srv/app/' })).process?.cwd, '/srv/app');
  t.is(converted(image({ WorkingDir: '/srv' }), { workingDirectory: '/tmp/../var' }).process?.cwd, '/var');
});

test('an ordinary user has no capabilities, but they stay within reach of the bounding set', (t) => {
  const { process } = converted(image(), {}, { user: { uid: 5, gid: 6, additionalGids: [7] } });
  t.deepEqual(process?.user, { uid: 5, gid: 6, additionalGids: [7] });
  t.deepEqual(process?.capabilities?.effective, []);
  t.is(process?.capabilities?.bounding.length, 14);
});

test('capabilities are added and dropped by name, by case and with ALL', (t) => {
  const bounding = (added: string[], dropped: string[]): readonly string[] =>
    converted(image(), { addedCapabilities: added, droppedCapabilities: dropped }).process?.capabilities?.bounding ?? [];
  t.true(bounding(['net_admin'], []).includes('CAP_NET_ADMIN'));
  t.false(bounding([], ['CAP_CHOWN']).includes('CAP_CHOWN'));
  t.deepEqual(bounding([], ['ALL']), []);
  t.deepEqual(bounding(['CHOWN'], ['all']), ['CAP_CHOWN']);
  t.is(bounding(['ALL'], []).length, 41);
  t.false(bounding(['ALL'], ['SYS_ADMIN']).includes('CAP_SYS_ADMIN'));
  t.throws(() => bounding(['SYS_ADMN'], []), { message: /no capability "SYS_ADMN"/ });
});

test('labels become annotations, over the implicit ones; nothing that gives a runtime orders does', (t) => {
  const orders = {
    'dev.strata.overlay': '{"lower":["/etc"]}',
    'run.oci.handler': 'krun',
    'org.criu.config': '/etc/passwd',
    'org.systemd.property.DynamicUser': 'true',
    'module.wasm.image/variant': 'compat',
    'io.kubernetes.cri.container-type': 'sandbox',
    'io.katacontainers.config_path': '/x',
    'dev.gvisor.flag.network': 'host',
    bundle: '/x',
  };
  const labels = { 'org.opencontainers.image.os': 'mine', ...orders, plain: 'x', bundled: 'x', 'org.criu.configured': 'x' };
  const config = image(
    { Labels: labels, StopSignal: 'SIGQUIT', ExposedPorts: ['80/tcp', '53/udp'] },
    { author: 'A', created: '2026-01-01T00:00:00Z', 'os.version': '6', 'os.features': ['a', 'b'] },
  );
  const { spec, warnings } = convert(config, { ...NOTHING, labels: { plain: 'y' } }, { ...AROUND, annotations: { 'dev.strata.overlay': 'ours' } });
  t.deepEqual((spec as { annotations: unknown }).annotations, {
    'org.opencontainers.image.os': 'mine',
    'org.opencontainers.image.architecture': 'amd64',
    'org.opencontainers.image.os.version': '6',
    'org.opencontainers.image.os.features': 'a,b',
    'org.opencontainers.image.author': 'A',
    'org.opencontainers.image.created': '2026-01-01T00:00:00Z',
    'org.opencontainers.image.exposedPorts': '80/tcp,53/udp',
    'org.opencontainers.image.stopSignal': 'SIGQUIT',
    plain: 'y',
    bundled: 'x',
    'org.criu.configured': 'x',
    'dev.strata.overlay': 'ours',
  });
  t.deepEqual(
    warnings,
    Object.keys(orders).map((name) => `the image's label "${name}" is an order to a runtime: it does not become an annotation`),
  );
});

test('mounts: the caller takes the place of a usual one, and parents come before children', (t) => {
  const bind = (destination: string) => ({ destination, type: 'bind', source: '/x', options: ['rbind'] });
  const mounts = converted(image(), { mounts: [bind('/a/b'), bind('/dev/shm'), bind('/a')] }).mounts.map(({ destination }) => destination);
  t.is(mounts.filter((one) => one === '/dev/shm').length, 1);
  t.true(mounts.indexOf('/dev/shm') > mounts.indexOf('/dev') && mounts.indexOf('/a/b') > mounts.indexOf('/a'));
  t.throws(() => converted(image(), { mounts: [bind('/a'), bind('/a/')] }), { message: /two mounts are asked for at \/a/ });
  t.throws(() => converted(image(), { mounts: [bind('/')] }), { message: /over the root/ });
});

test('volumes of the image are those where the caller has put nothing', (t) => {
  const warnings: string[] = [];
  const volumes = (paths: readonly string[], ...asked: readonly string[]): string[] =>
    imageVolumes(
      image({ Volumes: paths }),
      asked.map((destination) => ({ destination })),
      (text) => warnings.push(text),
    );
  t.deepEqual(volumes(['/a', '/b/', '/b'], '/a/'), ['/b']);
  t.throws(() => volumes(['../x']), { message: /no absolute path/ });
  for (const root of ['/', '//', '/.', '/a/..']) t.throws(() => volumes([root]), { message: /no absolute path below the root/ }, root);
  t.deepEqual(warnings, []);

  const places = ['/proc', '/proc/', '//proc/sys', '/x/../sys', '/sys/fs/cgroup', '/dev', '/dev/pts', '/dev/mqueue'];
  t.deepEqual(volumes([...places, '/dev/shm', '/process', '/sys2'], '/proc'), ['/dev/shm', '/process', '/sys2']);
  t.is(warnings.length, places.length - 2);
  t.is(warnings[0], `the image's volume "//proc/sys" would cover what the kernel has there: it is left out`);
});

test('limits, devices and networks', (t) => {
  const { linux } = converted(image(), { memory: 5, cpuQuota: 7, pids: 3, network: 'host' });
  t.deepEqual(
    [linux.resources.memory?.limit, linux.resources.cpu?.quota, linux.resources.cpu?.period, linux.resources.pids?.limit],
    [5n, 7n, 100_000n, 3n],
  );
  t.false(linux.namespaces.some(({ type }) => type === 'network'));
  t.deepEqual(
    converted(image(), { network: { path: '/n' } }).linux.namespaces.find(({ type }) => type === 'network'),
    { type: 'network', path: '/n' },
  );
  const device = { type: 'c', major: 1, minor: 2, mode: 0o600, uid: 3, gid: 4, path: '/dev/x', access: 'r' } as const;
  const spec = converted(image(), { devices: [device] });
  t.deepEqual(spec.linux.resources.devices.at(-1), { allow: true, type: 'c', major: 1, minor: 2, access: 'r' });
  t.deepEqual(spec.linux.devices, [{ type: 'c', path: '/dev/x', major: 1, minor: 2, fileMode: 0o600, uid: 3, gid: 4 }]);
});

test('an image of another operating system is refused', (t) => {
  t.throws(() => converted(image({}, { os: 'windows' })), { message: /made for windows/ });
});
