import test from 'ava';
import type { HostFacts } from '../../../src/host/facts.ts';
import { names, only, plan, SMALL } from './_support.ts';

const exec = (process: object, options = {}, linux = {}) => only(plan({ process, linux }, SMALL, options), 'exec')[0];
const capabilities = (sets: object, facts: HostFacts = SMALL, linux = {}) => {
  const operations = plan({ process: { capabilities: sets }, linux }, facts);
  return { bounding: only(operations, 'bounding')[0]?.bounding, ...only(operations, 'capabilities')[0] };
};

test('of a variable that is set twice the last value counts, for the program and for the search', (t) => {
  const env = ['PATH=/a', 'X=1', 'PATH=/b', 'Y=2=3', 'X=4'];
  t.deepEqual(exec({ env })?.env, ['PATH=/b', 'Y=2=3', 'X=4']);
  t.is(only(plan({ process: { env } }), 'executable')[0]?.search, '/b');
});

test('without PATH the search is that of execvp', (t) => {
  t.is(only(plan({ process: { env: ['XPATH=/a'] } }), 'executable')[0]?.search, '/bin:/usr/bin');
});

test('socket activation', (t) => {
  t.deepEqual(exec({ env: ['A=1'] }, { listenFds: 2 })?.env, ['A=1', 'LISTEN_FDS=2', 'LISTEN_PID=1']);
  const shared = { namespaces: [{ type: 'mount' }] };
  t.deepEqual(exec({ env: [] }, { listenFds: 2 }, shared)?.env, ['LISTEN_FDS=2']);
});

test('user, groups, umask', (t) => {
  const [user] = only(plan({ process: { user: { uid: 4294967294, gid: 100, umask: 0o27, additionalGids: [5, 6] } } }), 'user');
  t.like(user, { uid: 4294967294, gid: 100, umask: 0o27 });
  t.deepEqual(user?.groups, [5, 6]);
  t.is(only(plan({ process: { user: { uid: 0, gid: 0, umask: 0 } } }), 'user')[0]?.umask, 0);
});

test('the console belongs to the user; its size only with a terminal', (t) => {
  const size = { consoleSize: { height: 24, width: 80 } };
  t.like(only(plan({ process: { terminal: true, ...size, user: { uid: 7, gid: 8 } } }), 'console')[0], {
    height: 24,
    width: 80,
    uid: 7,
  });
  t.deepEqual(only(plan({ process: size }), 'console'), []);
});

test('pipes for standard input and output are given to a user who is not root', (t) => {
  t.deepEqual(
    only(plan({ process: { user: { uid: 7, gid: 8 } } }), 'stdio').map(({ uid }) => uid),
    [7],
  );
  t.deepEqual(only(plan({ process: { user: { uid: 0, gid: 8 } } }), 'stdio'), []);
  t.deepEqual(only(plan({ process: { terminal: true, user: { uid: 7, gid: 8 } } }), 'stdio'), []);
});

test('capabilities: absent means none, what nobody holds is left out', (t) => {
  t.like(capabilities({}), { bounding: 0n, permitted: 0n, effective: 0n, inheritable: 0n, ambient: 0n });
  t.like(only(plan(), 'capabilities')[0], { permitted: 0n, effective: 0n, inheritable: 0n, ambient: 0n });
  const all = ['CAP_CHOWN', 'CAP_SYS_RESOURCE'];
  const sets = { bounding: all, effective: all, inheritable: all, permitted: all, ambient: all };
  const without = ~(1n << 24n);
  const facts = { ...SMALL, permitted: SMALL.permitted & without, bounding: SMALL.bounding & without };
  t.like(capabilities(sets, facts), { bounding: 1n, permitted: 1n, effective: 1n, inheritable: 1n, ambient: 1n });
  const both = 1n | (1n << 24n);
  const user = { namespaces: [{ type: 'mount' }, { type: 'user' }] };
  t.like(capabilities(sets, facts, user), { bounding: both, permitted: both, effective: both, inheritable: both, ambient: both });
});

test('capabilities: the sets keep to the rules of capset(2)', (t) => {
  t.like(capabilities({ inheritable: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'], ambient: ['CAP_CHOWN'] }), {
    permitted: 1n,
    inheritable: 0n,
    ambient: 0n,
  });
  t.like(capabilities({ effective: ['CAP_CHOWN'] }), { effective: 0n });
});

test('limits, also of 64 bits', (t) => {
  const rlimits = [{ type: 'RLIMIT_CORE', soft: 0, hard: 18446744073709551615n }];
  const [limit] = only(plan({ process: { rlimits } }), 'rlimit');
  t.deepEqual(limit, { op: 'rlimit', pointer: '/process/rlimits/0', resource: 4, name: 'RLIMIT_CORE', soft: 0n, hard: 18446744073709551615n });
});

test('the OOM score is touched only when asked, also for 0', (t) => {
  t.deepEqual(only(plan(), 'oom-score-adj'), []);
  t.is(only(plan({ process: { oomScoreAdj: 0 } }), 'oom-score-adj')[0]?.value, '0');
  t.is(only(plan({ process: { oomScoreAdj: -500 } }), 'oom-score-adj')[0]?.value, '-500');
});

test('keyring, personality, names, kernel parameters', (t) => {
  t.deepEqual(only(plan({}, SMALL, { noNewKeyring: true }), 'keyring'), []);
  t.is(only(plan({ linux: { personality: { domain: 'LINUX32' } } }), 'personality')[0]?.domain, 8);
  t.is(only(plan({ linux: { personality: { domain: 'LINUX' } } }), 'personality')[0]?.domain, 0);
  const operations = plan({ hostname: 'h', domainname: 'd', linux: { sysctl: { 'net.ipv4.conf.eth0/1.forwarding': '1', 'kernel/msgmax': '9' } } });
  t.is(only(operations, 'hostname')[0]?.name, 'h');
  t.is(only(operations, 'domainname')[0]?.name, 'd');
  t.deepEqual(
    only(operations, 'sysctl').map(({ path, value, pointer }) => [path, value, pointer]),
    [
      ['net/ipv4/conf/eth0.1/forwarding', '1', '/linux/sysctl/net.ipv4.conf.eth0~11.forwarding'],
      ['kernel/msgmax', '9', '/linux/sysctl/kernel~1msgmax'],
    ],
  );
});

test('the working directory is made before the root can become read-only, and entered twice', (t) => {
  const operations = plan({ root: { path: 'r', readonly: true }, process: { cwd: '/srv/app' } });
  t.deepEqual(only(operations, 'directory'), [{ op: 'directory', pointer: '/process/cwd', path: '/srv/app', mode: 0o755 }]);
  t.deepEqual(
    only(operations, 'cwd').map(({ last }) => last),
    [false, true],
  );
  const order = names(operations);
  t.true(order.indexOf('directory') < order.indexOf('root-readonly'));
  t.true(order.indexOf('cwd') < order.indexOf('user') && order.indexOf('user') < order.lastIndexOf('cwd'));
});

test('scheduling: numbers of the kernel, before the rights to them are gone', (t) => {
  const scheduler = {
    policy: 'SCHED_DEADLINE',
    nice: -5,
    flags: ['SCHED_FLAG_RESET_ON_FORK', 'SCHED_FLAG_DL_OVERRUN'],
    runtime: 2048,
    deadline: 4096,
  };
  const operations = plan({ process: { scheduler, ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 6 } } });
  t.like(only(operations, 'scheduler')[0], { policy: 6, nice: 0xfffffffb, priority: 0, flags: 5n, runtime: 2048n, deadline: 4096n, period: 0n });
  t.like(only(operations, 'io-priority')[0], { class: 2, priority: 6 });
  const order = names(operations);
  t.true(order.indexOf('scheduler') < order.indexOf('bounding') && order.indexOf('io-priority') < order.indexOf('user'));
  t.deepEqual([...only(plan(), 'scheduler'), ...only(plan(), 'io-priority'), ...only(plan(), 'memory-policy')], []);
});

test('memory policy: mode with flags, and a mask as long as the nodes need', (t) => {
  const policy = (mode: string, nodes?: string, flags: string[] = []) =>
    only(plan({ linux: { memoryPolicy: { mode, nodes, flags } } }), 'memory-policy')[0];
  t.deepEqual(policy('MPOL_INTERLEAVE', '0-1,31,33', ['MPOL_F_STATIC_NODES']), {
    op: 'memory-policy',
    pointer: '/linux/memoryPolicy',
    mode: 0x8003,
    nodes: '0-1,31,33',
    mask: [0x80000003, 2],
  });
  t.is(policy('MPOL_BIND', '2000', ['MPOL_F_RELATIVE_NODES'])?.mask.length, 63);
  t.deepEqual(policy('MPOL_LOCAL')?.mask, []);
});

test('labels: for keys before the keyring, for the program at the end of what needs rights', (t) => {
  const operations = plan({ process: { apparmorProfile: 'p', selinuxLabel: 'l', noNewPrivileges: true }, linux: { mountLabel: 'm' } });
  const order = names(operations);
  t.deepEqual(
    only(operations, 'selinux-label').map(({ attribute, label }) => [attribute, label]),
    [
      ['keycreate', 'l'],
      ['exec', 'l'],
    ],
  );
  t.is(order.indexOf('selinux-label') + 1, order.indexOf('keyring'));
  t.like(only(operations, 'apparmor-profile')[0], { profile: 'p', pointer: '/process/apparmorProfile' });
  for (const label of ['apparmor-profile', 'selinux-label'] as const) {
    t.true(order.lastIndexOf(label) < order.indexOf('bounding'));
    t.true(order.lastIndexOf(label) < order.indexOf('no-new-privileges'));
  }
  t.true(order.indexOf('mount-label') < order.indexOf('root-bind'));
  t.deepEqual(only(plan({ process: { selinuxLabel: 'l' } }, SMALL, { noNewKeyring: true }), 'selinux-label').length, 1);
});
