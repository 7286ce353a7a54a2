import test from 'ava';
import { type ErrorCode, StrataError } from '../../../src/base/error.ts';
import { type CheckFacts, check } from '../../../src/spec/check.ts';
import { sysctlPath } from '../../../src/spec/check-sysctl.ts';
import { parseSpec } from '../../../src/spec/parse.ts';
import { cleanPath } from '../../../src/spec/refuse.ts';

const ALL = (1n << 41n) - 1n;
const facts: CheckFacts = { lastCapability: 40, permitted: ALL, bounding: ALL };

interface Parts {
  readonly process?: object;
  readonly linux?: object;
  /** Namespaces beside the mount namespace, such as `uts`, or `net=/path`. */
  readonly namespaces?: readonly string[];
  readonly [property: string]: unknown;
}
function config({ process, linux, namespaces = [], ...rest }: Parts): unknown {
  const list = ['mount', ...namespaces].map((entry) => {
    const [type, path] = entry.split('=');
    return { type, path };
  });
  const whole = { ociVersion: '1.3.0', root: { path: 'rootfs' }, linux: { namespaces: list, ...linux }, ...rest };
  return process === undefined ? whole : { ...whole, process: { cwd: '/', args: ['sh'], ...process } };
}
const seccomp = (rule: object): Parts => ({
  linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['open'], action: 'SCMP_ACT_ERRNO', ...rule }] } },
});
const netDevices = (value: object): Parts => ({ namespaces: ['network'], linux: { netDevices: value } });
const resources = (value: object): Parts => ({ linux: { resources: value } });
const mount = (value: object): Parts => ({ mounts: [{ destination: '/a', type: 'tmpfs', ...value }] });
const bind = (value: object): Parts => mount({ type: 'none', source: '/src', options: ['rbind'], ...value });
const map = (containerID: number, hostID: number, size: number): object => ({ containerID, hostID, size });
const userns = (uidMappings: object[], gidMappings = uidMappings, rest: Parts = {}): Parts => ({
  ...rest,
  namespaces: ['user'],
  linux: { uidMappings, gidMappings },
});
const identity = [map(0, 0, 65536)];
const sysctl = (key: string, ...namespaces: string[]): Parts => ({ namespaces, linux: { sysctl: { [key]: '1' } } });
const device = (value: object): object => ({ type: 'c', path: '/dev/x', major: 1, minor: 3, ...value });
const process = (value: object): Parts => ({ process: value });

const refused: Readonly<Record<string, readonly [parts: Parts, pointer: string, reason: RegExp][]>> = {
  'config-invalid': [
    [{ ociVersion: 'x' }, '/ociVersion', /expected a version such as .*, found "x"/],
    [{ ociVersion: '' }, '/ociVersion', /SemVer/],
    [{ ociVersion: '1.0' }, '/ociVersion', /SemVer/],
    [{ ociVersion: '1.0.00' }, '/ociVersion', /SemVer/],
    [{ ociVersion: '1.0.0-' }, '/ociVersion', /SemVer/],
    [{ ociVersion: '1.0.0-a..b' }, '/ociVersion', /SemVer/],
    [{ root: { path: '' } }, '/root/path', /empty/],
    [process({ cwd: 'tmp' }), '/process/cwd', /absolute path, found "tmp"/],
    [process({ cwd: '' }), '/process/cwd', /absolute/],
    [process({ args: [] }), '/process/args', /at least one/],
    [process({ env: ['A=1', 'PATH'] }), '/process/env/1', /NAME=value, found "PATH"/],
    [process({ env: ['=1'] }), '/process/env/0', /NAME=value/],
    [process({ user: { uid: 4294967295 } }), '/process/user/uid', /-1/],
    [process({ user: { gid: 4294967295 } }), '/process/user/gid', /-1/],
    [process({ user: { additionalGids: [1, 4294967295] } }), '/process/user/additionalGids/1', /-1/],
    [process({ user: { umask: 512 } }), '/process/user/umask', /0 to 511/],
    [process({ oomScoreAdj: 1001 }), '/process/oomScoreAdj', /-1000 to 1000/],
    [process({ oomScoreAdj: -1001 }), '/process/oomScoreAdj', /-1000 to 1000/],
    [process({ terminal: true, consoleSize: { height: 65536, width: 1 } }), '/process/consoleSize/height', /0 to 65535/],
    [process({ rlimits: [{ type: 'RLIMIT_FOO', soft: 0, hard: 0 }] }), '/process/rlimits/0/type', /unknown resource limit "RLIMIT_FOO"/],
    [process({ rlimits: [1, 2].map((n) => ({ type: 'RLIMIT_CPU', soft: n, hard: n })) }), '/process/rlimits/1/type', /duplicate/],
    [process({ rlimits: [{ type: 'RLIMIT_CPU', soft: 2, hard: 1 }] }), '/process/rlimits/0/soft', /above the hard limit/],
    [{ namespaces: ['pid', 'pid'] }, '/linux/namespaces/2/type', /duplicate namespace of type pid/],
    [{ namespaces: ['network=netns/a'] }, '/linux/namespaces/1/path', /absolute/],
    [{ linux: { uidMappings: identity } }, '/linux/uidMappings', /needs a namespace of type user/],
    [userns([]), '/linux/uidMappings', /at least one/],
    [userns(identity, []), '/linux/gidMappings', /at least one/],
    [userns([map(0, 0, 0)]), '/linux/uidMappings/0/size', /at least 1/],
    [userns([map(0, 0, 4294967295), map(4294967295, 4294967295, 1)]), '/linux/uidMappings/1/size', /beyond the last id/],
    [userns([map(0, 100, 10), map(9, 200, 1)]), '/linux/uidMappings/1/containerID', /overlaps \/linux\/uidMappings\/0/],
    [userns(identity, [map(5, 100, 10), map(0, 105, 5)]), '/linux/gidMappings/1/hostID', /overlaps/],
    [userns(Array.from({ length: 341 }, (_, n) => map(n, n, 1))), '/linux/uidMappings', /341 mappings, the kernel takes 340/],
    [userns([map(0, 1000, 1)], [map(0, 1000, 1)], process({ user: { uid: 1 } })), '/process/user/uid', /1 is not mapped/],
    [userns([map(0, 1000, 1)], [map(0, 1000, 1)], process({ user: { gid: 1 } })), '/process/user/gid', /not mapped/],
    [userns(identity, identity, process({ user: { additionalGids: [5, 65536] } })), '/process/user/additionalGids/1', /not mapped/],
    [{ linux: { namespaces: [], rootfsPropagation: 'shared' } }, '/linux/rootfsPropagation', /a new namespace of type mount/],
    [
      { linux: { namespaces: [{ type: 'mount', path: '/m' }], rootfsPropagation: 'slave' } },
      '/linux/rootfsPropagation',
      /a new namespace of type mount/,
    ],
    [{ hostname: 'a' }, '/hostname', /type uts/],
    [{ domainname: 'a' }, '/domainname', /type uts/],
    [{ hostname: 'a'.repeat(65), namespaces: ['uts'] }, '/hostname', /64/],
    [{ linux: { timeOffsets: { monotonic: { secs: 1 } } } }, '/linux/timeOffsets/monotonic', /type time/],
    [{ namespaces: ['time=/proc/1/ns/time'], linux: { timeOffsets: { boottime: {} } } }, '/linux/timeOffsets/boottime', /a new namespace/],
    [
      { namespaces: ['time'], linux: { timeOffsets: { boottime: { nanosecs: 1_000_000_000 } } } },
      '/linux/timeOffsets/boottime/nanosecs',
      /999999999/,
    ],
    [mount({ destination: '' }), '/mounts/0/destination', /empty/],
    [mount({ type: '' }), '/mounts/0/type', /needs a type/],
    [bind({ source: undefined }), '/mounts/0/source', /needs a source/],
    [mount({ type: 'proc', options: ['ro', 'tmpcopyup'] }), '/mounts/0/options/1', /tmpfs/],
    [mount({ destination: '/proc' }), '/mounts/0/destination', /only procfs/],
    [mount({ destination: 'proc/./sys/..//sys' }), '/mounts/0/destination', /inside \/proc/],
    [bind({ destination: '/proc/self/attr' }), '/mounts/0/destination', /inside \/proc/],
    [mount({ destination: '/proc/cpuinfo' }), '/mounts/0/destination', /inside \/proc/],
    [bind({ options: ['bind', 'idmap'] }), '/mounts/0/options/1', /needs uidMappings and gidMappings, or a user namespace/],
    [bind({ uidMappings: identity }), '/mounts/0/gidMappings', /required/],
    [bind({ gidMappings: identity }), '/mounts/0/uidMappings', /required/],
    [bind({ uidMappings: identity, gidMappings: [map(0, 0, 0)] }), '/mounts/0/gidMappings/0/size', /at least 1/],
    [{ linux: { maskedPaths: ['proc/kcore'] } }, '/linux/maskedPaths/0', /absolute/],
    [{ linux: { readonlyPaths: ['/a', 'b'] } }, '/linux/readonlyPaths/1', /absolute/],
    [{ linux: { devices: [device({ path: 'dev/x' })] } }, '/linux/devices/0/path', /absolute/],
    [{ linux: { devices: [device({ uid: 4294967295 })] } }, '/linux/devices/0/uid', /-1/],
    [{ linux: { devices: [device({}), device({ path: '/dev/./x', minor: 4 })] } }, '/linux/devices/1/path', /another device/],
    [{ hooks: { prestart: [{ path: 'bin/true' }] } }, '/hooks/prestart/0/path', /absolute/],
    [{ hooks: { poststop: [{ path: '/a' }, { path: '/b', env: ['x'] }] } }, '/hooks/poststop/1/env/0', /NAME=value/],
    [{ linux: { cgroupsPath: '/a/../b' } }, '/linux/cgroupsPath', /'\.\.'/],
    [resources({ memory: { limit: -2 } }), '/linux/resources/memory/limit', /-1 for no limit/],
    [resources({ memory: { limit: 10, swap: 9 } }), '/linux/resources/memory/swap', /below the memory limit/],
    [resources({ memory: { limit: -1, swap: 9 } }), '/linux/resources/memory/swap', /memory is not/],
    [resources({ memory: { swappiness: 101 } }), '/linux/resources/memory/swappiness', /0 to 100/],
    [resources({ cpu: { quota: 1000, burst: 1001 } }), '/linux/resources/cpu/burst', /above the quota/],
    [resources({ cpu: { idle: 2 } }), '/linux/resources/cpu/idle', /0 or 1/],
    [resources({ pids: { limit: -5 } }), '/linux/resources/pids/limit', /found -5/],
    [resources({ blockIO: { weight: 9 } }), '/linux/resources/blockIO/weight', /10 to 1000/],
    [resources({ blockIO: { weightDevice: [{ major: 8, minor: 0 }] } }), '/linux/resources/blockIO/weightDevice/0', /weight or leafWeight/],
    [resources({ hugepageLimits: [1, 2].map((limit) => ({ pageSize: '2MB', limit })) }), '/linux/resources/hugepageLimits/1/pageSize', /duplicate/],
    [{ linux: { intelRdt: { closID: 'a/b' } } }, '/linux/intelRdt/closID', /name of a directory/],
    [{ linux: { intelRdt: { closID: 'mon_groups' } } }, '/linux/intelRdt/closID', /name of a directory/],
    [{ linux: { intelRdt: { schemata: ['L3:0=1', 'L3:0=1\nL2:0=1'] } } }, '/linux/intelRdt/schemata/1', /one line/],
    [resources({ rdma: { 'a b': { hcaHandles: 1 } } }), '/linux/resources/rdma/a b', /RDMA device/],
    [resources({ unified: { 'memory/high': '1' } }), '/linux/resources/unified/memory~1high', /name of a cgroup file/],
    [resources({ unified: { '..': '1' } }), '/linux/resources/unified/..', /name of a cgroup file/],
    [resources({ unified: { 'cgroup.procs': '1' } }), '/linux/resources/unified/cgroup.procs', /is no limit/],
    [resources({ unified: { tasks: '1' } }), '/linux/resources/unified/tasks', /name of a cgroup file/],
    [sysctl('kernel.hostname', 'uts'), '/linux/sysctl/kernel.hostname', /property hostname/],
    [sysctl('vm.swappiness', 'ipc', 'network', 'uts'), '/linux/sysctl/vm.swappiness', /would change the host/],
    [sysctl('kernel.core_pattern', 'ipc', 'uts'), '/linux/sysctl/kernel.core_pattern', /would change the host/],
    [sysctl('net.ipv4.ip_forward'), '/linux/sysctl/net.ipv4.ip_forward', /type network/],
    [sysctl('kernel.shmmax'), '/linux/sysctl/kernel.shmmax', /type ipc/],
    [sysctl('fs/mqueue/msg_max'), '/linux/sysctl/fs~1mqueue~1msg_max', /type ipc/],
    [sysctl('kernel.domainname'), '/linux/sysctl/kernel.domainname', /type uts/],
    [sysctl('user.max_user_namespaces'), '/linux/sysctl/user.max_user_namespaces', /type user/],
    [sysctl('net/../kernel/core_pattern', 'network'), '/linux/sysctl/net~1..~1kernel~1core_pattern', /not the name/],
    [sysctl('net.//.kernel', 'network'), '/linux/sysctl/net.~1~1.kernel', /not the name/],
    [sysctl('/net/x', 'network'), '/linux/sysctl/~1net~1x', /not the name/],
    [seccomp({ names: ['open', ''] }), '/linux/seccomp/syscalls/0/names/1', /empty/],
    [seccomp({ args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }), '/linux/seccomp/syscalls/0/args/0/index', /0 to 5/],
    [seccomp({ errnoRet: 4096 }), '/linux/seccomp/syscalls/0/errnoRet', /0 to 4095/],
    [seccomp({ action: 'SCMP_ACT_TRACE', errnoRet: 65536 }), '/linux/seccomp/syscalls/0/errnoRet', /0 to 65535/],
    [seccomp({ action: 'SCMP_ACT_KILL', errnoRet: 1 }), '/linux/seccomp/syscalls/0/errnoRet', /does not return an errno/],
    [{ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', defaultErrnoRet: 1 } } }, '/linux/seccomp/defaultErrnoRet', /does not return an errno/],
    [{ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerMetadata: 'a' } } }, '/linux/seccomp/listenerMetadata', /without listenerPath/],
    [seccomp({ action: 'SCMP_ACT_NOTIFY' }), '/linux/seccomp/syscalls/0/action', /needs listenerPath/],
    [
      { linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'] } } },
      '/linux/seccomp/flags/1',
      /needs a rule with SCMP_ACT_NOTIFY/,
    ],
    [{ linux: { netDevices: { eth0: {} } } }, '/linux/netDevices', /needs a namespace of type network/],
    [netDevices({ 'a/b': {} }), '/linux/netDevices/a~1b', /"a\/b" cannot be the name of a network device/],
    [netDevices({ '..': {} }), '/linux/netDevices/..', /cannot be the name/],
    [netDevices({ 'eth%d': {} }), '/linux/netDevices/eth%d', /cannot be the name/],
    [netDevices({ abcdefghijklmnop: {} }), '/linux/netDevices/abcdefghijklmnop', /at most 15 bytes/],
    [netDevices({ eth0: { name: 'a b' } }), '/linux/netDevices/eth0/name', /"a b" cannot be the name/],
    [netDevices({ eth0: { name: 'a:b' } }), '/linux/netDevices/eth0/name', /cannot be the name/],
    [netDevices({ eth0: { name: '%d%d' } }), '/linux/netDevices/eth0/name', /cannot be the name/],
    [netDevices({ eth0: { name: 'abcdefghijklmn%d' } }), '/linux/netDevices/eth0/name', /at most 15 bytes/],
    [netDevices({ eth0: {}, eth1: { name: 'eth0' } }), '/linux/netDevices/eth1/name', /"eth0" is the name of eth0 in the container, too/],
  ],
  'config-unsupported': [
    [mount({ uidMappings: identity, gidMappings: identity }), '/mounts/0/uidMappings', /only bind mounts/],
    [mount({ uidMappings: identity, gidMappings: identity, options: ['ridmap'] }), '/mounts/0/options/0', /only bind mounts/],
    [{ ociVersion: '2.0.0' }, '/ociVersion', /version "2.0.0" is not supported/],
    [{ ociVersion: '0.1.0' }, '/ociVersion', /only versions that begin with 1/],
    [{ ociVersion: '11.0.0' }, '/ociVersion', /not supported/],
    [process({ apparmorProfile: 'a' }), '/process/apparmorProfile', /AppArmor/],
    [process({ selinuxLabel: 'a' }), '/process/selinuxLabel', /SELinux/],
    [{ linux: { mountLabel: 'a' } }, '/linux/mountLabel', /SELinux/],
    [{ linux: { personality: { domain: 'LINUX', flags: ['x'] } } }, '/linux/personality/flags', /flag/],
    [{ linux: { seccomp: { defaultAction: 'SCMP_ACT_NOTIFY' } } }, '/linux/seccomp/defaultAction', /SCMP_ACT_NOTIFY/],
  ],
};

for (const [code, cases] of Object.entries(refused)) {
  for (const [index, [parts, pointer, reason]] of cases.entries()) {
    test(`${code} ${index}: ${pointer} ${reason}`, (t) => {
      const error = t.throws(() => check(parseSpec(config(parts)), facts), { instanceOf: StrataError }) as StrataError;
      t.is(error.code, code as ErrorCode, error.message);
      t.is(error.pointer, pointer, error.message);
      t.regex(error.reason, reason);
      t.is(error.stage, 'check');
    });
  }
}

const accepted: readonly Parts[] = [
  {},
  { linux: { namespaces: [] } },
  { linux: { rootfsPropagation: 'unbindable' } },
  ...['1.0.0', '1.0.2-dev', '1.2.0-rc.1+dev', '1.99.0', '1.3.0+build.7-a'].map((ociVersion) => ({ ociVersion })),
  process({
    env: ['A=', 'B=c=d'],
    user: { uid: 4294967294, umask: 0o777, additionalGids: [0] },
    oomScoreAdj: -1000,
    execCPUAffinity: { initial: '0' },
  }),
  process({ consoleSize: { height: 65536, width: 1 } }),
  process({ terminal: true, consoleSize: { height: 65535, width: 0 } }),
  process({ rlimits: [{ type: 'RLIMIT_CORE', soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n }] }),
  userns([map(0, 100000, 65536), map(65536, 0, 1)], identity, process({ user: { uid: 65536 } })),
  userns([map(0, 0, 4294967295)]),
  userns(Array.from({ length: 340 }, (_, n) => map(n, n, 1))),
  { namespaces: ['uts=/proc/1/ns/uts'], hostname: 'a'.repeat(64), domainname: 'b' },
  { namespaces: ['time'], linux: { timeOffsets: { monotonic: { secs: -1, nanosecs: 999_999_999 }, boottime: {} } } },
  netDevices({ eth0: { name: 'eth%d' }, eth1: { name: 'eth%d' }, eth2: {}, eth3: { name: '' }, eth4: { name: 'abcdefghijklmno' } }),
  { linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/a', listenerMetadata: 'b' } } },
  { linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/a', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }] } } },
  { linux: { timeOffsets: {}, netDevices: {}, intelRdt: {}, personality: { domain: 'LINUX32' } } },
  mount({ destination: 'relative' }),
  mount({ options: ['tmpcopyup'] }),
  mount({ destination: '/proc', type: 'proc' }),
  mount({ destination: '/proc/../process' }),
  mount({ type: '', options: ['remount', 'ro'] }),
  bind({ destination: '/proc' }),
  bind({ destination: '/proc/./net/../cpuinfo' }),
  bind({ destination: '/proc/sys/kernel/ns_last_pid', type: 'bind', options: [] }),
  bind({ uidMappings: identity, gidMappings: identity }),
  { ...bind({ options: ['rbind', 'ridmap'] }), ...userns(identity) },
  { linux: { devices: [device({}), device({ type: 'u' }), device({ type: 'p', path: '/run/p' })] } },
  { hooks: { startContainer: [{ path: '/bin/true', args: ['true', ''], env: ['A=b'], timeout: 1 }] } },
  { linux: { cgroupsPath: 'a/..b/c..' } },
  resources({
    memory: { limit: 10, swap: 10, reservation: -1, swappiness: 100 },
    cpu: { quota: -1, burst: 5, idle: 1 },
    pids: { limit: 0 },
    rdma: {},
  }),
  resources({
    blockIO: { weight: 0, leafWeight: 1000, weightDevice: [{ major: 8, minor: 0, weight: 10 }] },
    unified: { 'memory.high': 'max', 'cgroup.max.depth': '0' },
  }),
  sysctl('net.ipv4.conf.eth0/100.forwarding', 'network'),
  sysctl('net/ipv4/conf/eth0.100/forwarding', 'network=/run/netns/a'),
  sysctl('kernel/sem', 'ipc'),
  sysctl('fs.mqueue.msg_max', 'ipc'),
  sysctl('kernel.domainname', 'uts'),
  seccomp({ errnoRet: 4095, args: [{ index: 5, value: 2n ** 64n - 1n, op: 'SCMP_CMP_MASKED_EQ' }] }),
  seccomp({ action: 'SCMP_ACT_TRACE', errnoRet: 65535 }),
  { linux: { seccomp: { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38 } } },
];
for (const [index, parts] of accepted.entries()) {
  test(`accepted ${index}: ${index === 0 ? 'a minimal configuration' : JSON.stringify(parts, (_, value) => (typeof value === 'bigint' ? `${value}` : value)).slice(0, 100)}`, (t) => {
    t.deepEqual(check(parseSpec(config(parts)), facts), []);
  });
}

test('what cannot be granted or is not used is a warning', (t) => {
  const warnings = (parts: Parts, poor = facts): readonly string[] => check(parseSpec(config(parts)), poor);
  const capable = { capabilities: { bounding: ['CAP_SYS_RESOURCE'], permitted: ['CAP_SYS_RESOURCE'] } };
  const poor = { lastCapability: 40, permitted: 0n, bounding: 0n };
  t.deepEqual(warnings(process(capable), poor), ['capability CAP_SYS_RESOURCE cannot be granted: the runtime does not have it']);
  t.deepEqual(warnings(userns(identity, identity, process(capable)), poor), []);
  t.regex(warnings({ namespaces: ['user=/proc/1/ns/user'], linux: { uidMappings: identity, gidMappings: identity } })[0] ?? '', /ignored/);
  t.regex(warnings({ linux: { cgroupsPath: 'system.slice:strata:a' } })[0] ?? '', /systemd/);
});

test('a message is one short line, whatever the configuration holds', (t) => {
  for (const parts of [{ ociVersion: 'x\n'.repeat(100_000) }, process({ env: ['\x1b[31m'.repeat(100_000)] }), sysctl('x'.repeat(100_000))]) {
    const error = t.throws(() => check(parseSpec(config(parts)), facts), { instanceOf: StrataError }) as StrataError;
    t.true(error.message.length < 400, `${error.message.length}`);
    t.true(
      [...error.message].every((char) => char >= ' '),
      error.message,
    );
  }
});

test('a version of a million characters is refused at once', (t) => {
  const start = Date.now();
  for (const version of [`1.0.0-${'a'.repeat(1_000_000)}!`, `1.0.0-${'0'.repeat(1_000_000)}!`, `1.0.0-${'a.'.repeat(500_000)}!`]) {
    t.throws(() => check(parseSpec(config({ ociVersion: version })), facts));
  }
  t.true(Date.now() - start < 1000);
});

test('sysctl names become paths as sysctl(8) has them', (t) => {
  t.is(sysctlPath('net.ipv4.conf.eth0/100.forwarding'), 'net/ipv4/conf/eth0.100/forwarding');
  t.is(sysctlPath('net/ipv4/conf/eth0.100/forwarding'), 'net/ipv4/conf/eth0.100/forwarding');
  t.is(sysctlPath('plain'), 'plain');
});

test('paths are cleaned as text', (t) => {
  t.is(cleanPath('/a//./b/../c/'), '/a/c');
  t.is(cleanPath('../..'), '/');
  t.is(cleanPath('a'), '/a');
});

test('annotations without end are refused', (t) => {
  const annotations = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, '']));
  t.notThrows(() => check(parseSpec(config({ annotations: annotations(10_000) })), facts));
  const error = t.throws(() => check(parseSpec(config({ annotations: annotations(10_001) })), facts), { instanceOf: StrataError });
  t.is(error?.code, 'config-unsupported');
  t.is(error?.pointer, '/annotations');
});
