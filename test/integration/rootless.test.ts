/** Containers of ordinary users: without any right on the host, with ids that newuidmap(1) gives, with cgroups that were given to them; and of root in a user namespace. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import {
  CGROUP_V2,
  type Config,
  type Edit,
  eventually,
  HOST,
  type Result,
  type Workspace,
  withNamespace,
  withoutNamespaces,
  withUserNamespace,
} from '../helpers/container.ts';
import { Caller, notifyProgram } from '../helpers/notify.ts';
import { agent } from '../helpers/seccomp-agent.ts';
import { program, SUBORDINATE, User } from '../helpers/user.ts';
import { failed, isStatic, unless } from './_support.ts';

const missing = ['useradd', 'userdel', 'setpriv', 'newuidmap', 'newgidmap'].filter((name) => program(name) === undefined);
let reason: string | undefined;
if (missing.length > 0) reason = `needs ${missing.join(', ')} (Debian: passwd, util-linux, uidmap)`;
else if (HOST === 'node' || !isStatic()) reason = 'needs the static command, for the user cannot read the build';

function usersUnless(lacking: string | undefined) {
  return (title: string, body: (t: ExecutionContext, user: User, workspace: Workspace) => Promise<unknown>): void =>
    unless(lacking)(title, async (t, workspace) => {
      const user = new User(workspace);
      try {
        await body(t, user, workspace);
      } finally {
        await user.end();
      }
    });
}

const userTest = usersUnless(reason);

function withoutUser(config: Config): void {
  withoutNamespaces(config, 'user');
  config.linux.uidMappings = [];
  config.linux.gidMappings = [];
}

/** One line, with blanks as one blank each. */
function lines(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '));
}

userTest('one id: the user is root inside, with every device and no rights outside', async (t, user) => {
  const bundle = user.script(
    'id -u; id -g; cat /proc/self/uid_map /proc/self/setgroups; touch /made; echo x >/dev/null; hostname; ls /proc | head -1',
  );
  t.deepEqual(lines(await user.output(bundle)), ['0', '0', `0 ${user.uid} 1`, 'deny', 'strata', '1']);
  const { uid, gid } = fs.statSync(join(bundle.rootfs, 'made'));
  t.deepEqual([uid, gid], [user.uid, user.gid]);
});

userTest('a program says that it is ready, as root and as another of its ids', async (t, user, workspace) => {
  const caller = await Caller.listen(workspace, `@strata-${workspace.token}`);
  for (const [index, uid] of [0, 1000].entries()) {
    const bundle = user.script('notify READY=1 !; exec sleep 1000', (config) => {
      if (uid !== 0) user.mapAll(config);
      config.process.user = { uid, gid: uid };
    });
    fs.copyFileSync(notifyProgram(), join(bundle.rootfs, 'bin/notify'));
    const id = workspace.id();
    const options = { env: { NOTIFY_SOCKET: caller.env.NOTIFY_SOCKET } };
    const { code, stderr } = await user.strata(['run', '--detach', '--bundle', bundle.directory, id], [], options);
    t.is(code, 0, stderr);
    t.regex((await caller.hears(2 * index + 2))[2 * index] ?? '', /^READY=1\|MAINPID=\d+$/);
    t.is((await user.strata(['delete', '--force', id])).code, 0);
  }
});

userTest('what spec --rootless writes runs, also in the directory that XDG_RUNTIME_DIR names', async (t, user, workspace) => {
  const bundle = user.own(workspace.bundle());
  fs.rmSync(join(bundle.directory, 'config.json'));
  t.is((await user.strata(['spec', '--rootless', '--bundle', bundle.directory])).code, 0);
  const config = JSON.parse(fs.readFileSync(join(bundle.directory, 'config.json'), 'utf8'));
  config.process.terminal = false;
  config.process.args = ['id', '-u'];
  bundle.write(JSON.stringify(config));
  // Without --root, which every command of a workspace is given.
  const plain = ['sh', '-c', 'command=$0; shift 2; exec "$command" "$@"'];
  const result = await user.run(bundle, plain);
  t.is(result.stdout, '0\n', result.stderr);
  const { uid, mode } = fs.statSync(join(user.runtime, 'strata'));
  t.deepEqual([uid, mode & 0o7777], [user.uid, 0o1700]);

  const none = await user.strata(['list', '-q'], ['env', '-u', 'XDG_RUNTIME_DIR', ...plain]);
  t.deepEqual([none.code, none.stdout], [0, '']);
  failed(t, await user.run(bundle, ['env', '-u', 'XDG_RUNTIME_DIR', ...plain]), /\/run\/user|permission denied/);
});

userTest('ranges of ids, through newuidmap and newgidmap', async (t, user) => {
  const script = 'id -u; id -g; id -G; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /tmp/made; stat -c %g /dev/pts';
  const bundle = user.script(script, (config) => {
    user.mapAll(config);
    config.process.user = { uid: 1000, gid: 5, additionalGids: [6, 7] };
    for (const mount of config.mounts) if (mount.type === 'devpts') mount.options?.push('gid=5');
  });
  t.deepEqual(lines(await user.output(bundle)), [
    '1000',
    '5',
    '5 6 7',
    `0 ${user.uid} 1`,
    `1 ${user.firstUid} ${SUBORDINATE}`,
    `0 ${user.gid} 1`,
    `1 ${user.firstGid} ${SUBORDINATE}`,
    'allow',
    '0',
  ]);
  const { uid, gid } = fs.statSync(join(bundle.rootfs, 'tmp/made'));
  t.deepEqual([uid, gid], [user.firstUid + 999, user.firstGid + 4]);

  // The user's own id need not be among them, only the user's own files then belong to nobody.
  const strangers = user.script('id -u; ls -dn /bin', (config) => {
    config.linux.uidMappings = [{ containerID: 0, hostID: user.firstUid, size: 10 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: user.firstGid, size: 10 }];
    config.mounts = [];
  });
  strangers.giveTo(user.firstUid);
  fs.chmodSync(strangers.directory, 0o700);
  t.regex(await user.output(strangers), /^0\ndrwx\S+ +\d+ 0 +0 /);
});

userTest('ids that are not given to the user: the words of the helper', async (t, user) => {
  for (const [edit, pointer, words] of [
    [{ uidMappings: [{ containerID: 0, hostID: 0, size: 1 }] }, '/linux/uidMappings', /newuidmap: uid range \[0-1\) -> \[0-1\) not allowed/],
    [{ gidMappings: [{ containerID: 0, hostID: 0, size: 2 }] }, '/linux/gidMappings', /newgidmap: gid range/],
    [{ uidMappings: [{ containerID: 0, hostID: user.firstUid, size: SUBORDINATE + 10 }] }, '/linux/uidMappings', /not allowed/],
  ] as const) {
    failed(t, await user.run(user.script('true', { linux: edit as Edit & object })), pointer, words);
  }
});

userTest('the life of a container', async (t, user, workspace) => {
  const bundle = user.script('sleep 1000');
  const id = workspace.id();
  const must = async (...args: string[]): Promise<string> => {
    const result = await user.strata(args);
    t.is(result.code, 0, `${args[0]}: ${result.stderr}`);
    return result.stdout;
  };
  const state = async (): Promise<{ status: string; owner: string; pid: number }> => JSON.parse(await must('state', id));
  await must('create', '--bundle', bundle.directory, id);
  const { status, owner, pid } = await state();
  t.deepEqual([status, owner], ['created', user.name]);
  t.is(fs.statSync(`/proc/${pid}/maps`).uid, 0, 'not dumpable while it waits');
  await must('start', id);
  t.regex(await must('list'), new RegExp(`${id}\\s+${pid}\\s+running`));
  t.is(await must('exec', id, 'sh', '-c', 'id -u; echo x >/tmp/made; cat /proc/1/comm'), '0\nsleep\n');
  t.is(fs.statSync(join(bundle.rootfs, 'tmp/made')).uid, user.uid);
  // What would need a cgroup says so.
  failed(t, await user.strata(['pause', id]), 'it has no cgroup with a freezer');
  failed(t, await user.strata(['ps', id]), 'it has no cgroup of its own');
  failed(t, await user.strata(['delete', id]), 'is not stopped');
  await must('kill', id, 'KILL');
  await eventually('the container to stop', async () => (await state()).status === 'stopped');
  await must('delete', id);
  t.is(await must('list', '-q'), '');
});

userTest('bind mounts, tmpfs, masked and read-only paths, a read-only root, hooks, sysctls, an overlay', async (t, user, workspace) => {
  const shared = user.directory('shared');
  fs.writeFileSync(join(shared, 'file'), 'shared\n');
  const hook = join(shared, 'hook');
  const bundle = user.script(
    'cat /shared/file; touch /shared/x; touch /y; cat /proc/sys/kernel/msgmax; cat /etc/passwd; cat /proc/self/oom_score_adj',
    (config) => {
      config.mounts.push({ destination: '/shared', source: shared, options: ['rbind', 'ro', 'nosuid'] });
      config.root.readonly = true;
      config.linux.maskedPaths = ['/etc/passwd'];
      config.linux.sysctl = { 'kernel.msgmax': '9999' };
      config.process['oomScoreAdj'] = 700;
      const args = ['sh', '-c', `id -u >>${hook}`];
      config.hooks = { createRuntime: [{ path: '/bin/sh', args }], poststop: [{ path: '/bin/sh', args }] };
    },
  );
  const result = await user.run(bundle);
  t.is(result.stdout, 'shared\n9999\n700\n');
  t.regex(result.stderr, /\/shared\/x: Read-only[\s\S]*\/y: Read-only/);
  t.is(fs.readFileSync(hook, 'utf8'), `${user.uid}\n${user.uid}\n`);

  const upper = user.directory('upper');
  const layered = user.script('rm /etc/group; mkdir /new; cat /lower', (config) => {
    const lower = join(workspace.directory, 'lower');
    fs.mkdirSync(lower);
    fs.writeFileSync(join(lower, 'lower'), 'below\n');
    const overlay = { lower: [lower, join(workspace.directory, 'root')], upper, work: user.directory('work') };
    fs.symlinkSync('/', join(workspace.directory, 'unused'));
    config.annotations = { 'dev.strata.overlay': JSON.stringify(overlay) };
  });
  fs.renameSync(layered.rootfs, join(workspace.directory, 'root'));
  fs.mkdirSync(layered.rootfs);
  t.is(await user.output(layered), 'below\n');
  t.deepEqual(fs.readdirSync(upper).sort(), ['etc', 'new', 'sys']);
  t.true(fs.statSync(join(upper, 'etc/group')).isCharacterDevice());
});

userTest('new and joined namespaces: network, time, and those of another container of the user', async (t, user, workspace) => {
  const sysfs = { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] };
  const offsets = user.script('cat /proc/self/timens_offsets; ls /sys/class/net; ip addr show lo | grep -c 127.0.0.1', (config) => {
    withNamespace(config, 'network');
    withNamespace(config, 'time');
    config.linux['timeOffsets'] = { boottime: { secs: 5000, nanosecs: 1 } };
    config.mounts.push(sysfs);
  });
  t.deepEqual(lines(await user.output(offsets)), ['monotonic 0 0', 'boottime 5000 1', 'lo', '1']);

  const first = workspace.id();
  t.is((await user.strata(['run', '--detach', '--bundle', user.script('hostname first; sleep 1000').directory, first])).code, 0);
  const { pid } = JSON.parse((await user.strata(['state', first])).stdout) as { pid: number };
  const second = user.script('id -u; echo $$; cat /proc/1/comm', (config) => {
    for (const [type, name] of [
      ['user', 'user'],
      ['pid', 'pid'],
      ['ipc', 'ipc'],
      ['uts', 'uts'],
    ] as const)
      withNamespace(config, type, `/proc/${pid}/ns/${name}`);
    config.linux.uidMappings = [];
    config.linux.gidMappings = [];
    delete config.hostname;
  });
  const [uid, own = '', comm] = lines(await user.output(second));
  t.deepEqual([uid, comm], ['0', 'sleep']);
  t.true(Number(own) > 1);
  t.is((await user.strata(['delete', '--force', first])).code, 0);

  // Namespaces of others are not his to join.
  failed(
    t,
    await user.run(user.script('true', (config) => withNamespace(config, 'ipc', '/proc/1/ns/ipc'))),
    '/linux/namespaces',
    'permission denied',
  );
});

userTest('what an ordinary user cannot have is one clear error, and leaves nothing', async (t, user, workspace) => {
  const bind = { destination: '/m', source: '/usr', options: ['bind', 'idmap'] };
  for (const [edit, ...words] of [
    [(config) => withoutUser(config), '/linux/namespaces', 'needs a namespace of type user: operation not permitted'],
    [(config) => withoutNamespaces(config, 'mount'), '/linux/namespaces', 'needs a namespace of type mount'],
    [{ linux: { resources: { pids: { limit: 10 } } } }, '/linux/resources/pids/limit', 'in whose hierarchy this user may not make a cgroup'],
    [{ linux: { cgroupsPath: '/mine' } }, '/linux/cgroupsPath', 'permission denied'],
    [{ process: { oomScoreAdj: -500 } }, '/process/oomScoreAdj', 'permission denied'],
    [{ process: { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1 << 30, hard: 1 << 30 }] } }, '/process/rlimits/0', 'operation not permitted'],
    [{ process: { user: { uid: 0, gid: 0, additionalGids: [0] } } }, '/process/user/additionalGids'],
    [(config) => void config.mounts.push(bind), '/options/1', 'id-mapped mounts need rights'],
    [(config) => void config.mounts.push({ destination: '/m', type: 'tmpfs', source: 'x', options: ['gid=5'] }), '"gid=5" names an id'],
    [(config) => void config.mounts.push({ destination: '/m', source: '/sys', options: ['bind'] }), '/mounts/', 'then use rbind'],
    [
      (config) => void config.mounts.push({ destination: '/m', source: '/root/none', options: ['bind'] }),
      '/mounts/',
      /permission denied|no such file/,
    ],
    [(config) => void config.mounts.push({ destination: '/m', type: 'sysfs', source: 'x' }), '/mounts/', 'operation not permitted'],
  ] as [Edit, ...(string | RegExp)[]][]) {
    failed(t, await user.run(user.script('true', edit)), ...words);
    t.deepEqual(workspace.leaks(), []);
  }
  const warned = await user.run(user.script('true', { linux: { resources: { devices: [{ allow: false, access: 'rwm' }] } } }));
  t.is(warned.code, 0);
  t.regex(warned.stderr, /^strata: warning: \/linux\/resources\/devices is not in force[^\n]*\n$/);
});

const PIDS = '/sys/fs/cgroup/pids';
const NO_V1 = fs.existsSync(`${PIDS}/tasks`) ? undefined : 'needs cgroup v1 with pids';

usersUnless(reason ?? NO_V1)('cgroups that were given to the user: by cgroupsPath, and as the own one', async (t, user, workspace) => {
  const given = join(PIDS, workspace.token);
  fs.mkdirSync(given);
  try {
    for (const name of ['', 'tasks', 'cgroup.procs']) fs.chownSync(join(given, name), user.uid, user.gid);
    const limits = { resources: { pids: { limit: 7 } } };
    const asked = user.script('cat /sys/fs/cgroup/pids/pids.max', { linux: { ...limits, cgroupsPath: `/${workspace.token}/a/b` } });
    t.is(await user.output(asked), '7\n');
    t.deepEqual(
      fs.readdirSync(given).filter((name) => fs.statSync(join(given, name)).isDirectory()),
      [],
      'parents go too',
    );
    failed(
      t,
      await user.run(user.script('true', { linux: { resources: { memory: { limit: 50_000_000 } }, cgroupsPath: `/${workspace.token}/a` } })),
      '/memory/limit',
    );

    const inside = ['sh', '-c', `echo $$ >${given}/cgroup.procs; exec "$0" "$@"`];
    t.is(await user.output(user.script('cat /sys/fs/cgroup/pids/pids.max', { linux: limits }), inside), '7\n');
    t.deepEqual(
      fs.readdirSync(given).filter((name) => fs.statSync(join(given, name)).isDirectory()),
      [],
    );
    // Where --rootless=false nothing is forgiven.
    const strict = await user.strata(['--rootless=false', 'run', '--bundle', user.script('true').directory, workspace.id()]);
    failed(t, strict, 'cannot make the cgroup', 'permission denied');
  } finally {
    fs.rmdirSync(given);
  }
});

unless(CGROUP_V2 ? undefined : NO_V1)('a user namespace for one process at most: an intermediate one is not counted', async (t, workspace) => {
  const bundle = workspace.bundle((config) => {
    config.process.args = ['echo', 'alone'];
    config.linux.resources['pids'] = { limit: 1 };
    withUserNamespace(config, 100_000);
  });
  bundle.giveTo(100_000);
  t.is(await workspace.output(bundle), 'alone\n');
});

userTest('root in a user namespace, as engines of ordinary users call the runtime', async (t, user, workspace) => {
  const asRoot = ['unshare', '--user', '--map-root-user', '--map-auto'];
  const plain: Edit = (config) => {
    delete config.linux.cgroupsPath;
    config.linux.resources = {};
  };
  const script = 'id -u; cat /proc/self/uid_map; echo x >/dev/null; stat -c %t:%T /dev/zero; cat /proc/self/oom_score_adj';
  const bundle = user.own(workspace.script(script, plain));
  t.deepEqual(lines(await user.output(bundle, asRoot)).slice(0, 2), ['0', `0 ${user.uid} 1`]);

  const nested = user.own(
    workspace.script('id -u; cat /proc/self/uid_map; touch /tmp/made', (config) => {
      withNamespace(config, 'user');
      config.linux.uidMappings = [{ containerID: 0, hostID: 1000, size: 100 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 1000, size: 100 }];
      delete config.linux.cgroupsPath;
      config.linux.resources = {};
    }),
  );
  t.deepEqual(lines(await user.output(nested, asRoot)), ['0', '0 1000 100']);
  t.is(fs.statSync(join(nested.rootfs, 'tmp/made')).uid, user.firstUid + 999);

  // Its state is the user's, not that of the machine's root.
  const shifted = ['sh', '-c', 'command=$0; shift 2; exec "$command" "$@"'];
  const listed = await user.run(bundle, [...asRoot, ...shifted]);
  t.is(listed.code, 0, listed.stderr);
  t.true(fs.existsSync(join(user.runtime, 'strata')));
});

const NO_PODMAN = program('podman') === undefined || program('conmon') === undefined ? 'needs podman and conmon' : undefined;

usersUnless(reason ?? NO_PODMAN)('podman without root', async (t, user) => {
  const { rootfs } = user.script('true');
  const podman = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await user.execute('podman', '--cgroup-manager=cgroupfs', '--storage-driver=vfs', ...args);
    t.is(code, 0, `podman ${args[0]}: ${stderr}`);
    return stdout;
  };
  const runtime = ['--runtime', user.command];
  const start = (...args: string[]): Promise<string> => podman(...runtime, 'run', '--network=none', ...args);
  const out = await start('--rm', '--rootfs', rootfs, 'sh', '-c', 'id -u; cat /proc/self/uid_map; echo x >/dev/null');
  t.deepEqual(lines(out).slice(0, 2), ['0', `0 ${user.uid} 1`]);
  t.is(await start('--rm', '--userns=keep-id', '--rootfs', rootfs, 'id', '-u'), `${user.uid}\n`);

  await start('--detach', '--name', 'long', '--rootfs', rootfs, 'sleep', '1000');
  t.is(await podman(...runtime, 'exec', '--user', '1000:1000', 'long', 'id', '-u'), '1000\n');
  t.regex(await podman(...runtime, 'top', 'long', 'args'), /sleep 1000/);
  await podman(...runtime, 'rm', '--force', '--time', '0', 'long');
  await podman('system', 'migrate');
});

userTest('nothing is written with rights that the user has not', async (t, user, workspace) => {
  const bundle = user.script('true');
  const target = join(workspace.directory, 'of-root');
  fs.writeFileSync(target, 'root\n');
  const run = (args: readonly string[], options: readonly string[] = []): Promise<Result> =>
    user.strata([...options, 'run', '--bundle', bundle.directory, ...args, workspace.id()]);
  failed(t, await run(['--pid-file', join(workspace.directory, 'pid')]), 'permission denied');
  failed(t, await run([], ['--log', target]), 'permission denied');
  t.is(fs.readFileSync(target, 'utf8'), 'root\n');
  t.deepEqual(workspace.leaks(), []);

  // A state root that somebody else could change, or that is somebody else's.
  const open = user.directory('open');
  fs.chmodSync(open, 0o777);
  failed(t, await user.strata(['--root', open, 'run', '--bundle', bundle.directory, workspace.id()]), 'can be written by others');
  const foreign = join(workspace.directory, 'foreign');
  fs.mkdirSync(foreign);
  fs.chownSync(foreign, user.firstUid, user.firstGid);
  failed(t, await user.strata(['--root', foreign, 'run', '--bundle', bundle.directory, workspace.id()]), `belongs to user ${user.firstUid}`);
  // Root does not believe the state of a user either.
  failed(t, await workspace.strata(['list']), `belongs to user ${user.uid}`);
});

userTest('a seccomp listener goes to the agent; network devices are the host root’s', async (t, user, workspace) => {
  const { path, said } = await agent(workspace);
  fs.chmodSync(path, 0o777);
  for (const noNewPrivileges of [true, false]) {
    const seccomp = { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: path, syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }] };
    const bundle = user.script('mkdir /tmp/a; echo on', { process: { noNewPrivileges }, linux: { seccomp } });
    const ran = await user.run(bundle);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'on\n', "mkdir: can't create directory '/tmp/a': Disk quota exceeded\n"]);
  }
  t.is(said().filter((line) => line === 'descriptors 1').length, 2);
  const bundle = user.script('true', (config) => {
    withNamespace(config, 'network');
    config.linux.netDevices = { lo: { name: 'eth0' } };
  });
  failed(t, await user.run(bundle), 'config.json /linux/netDevices: ');
});
