/** `exec`: a process more in a container is what the first one is, and leaves nothing behind. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import {
  type Edit,
  eventually,
  hasCapability,
  namespaceOf,
  toJson,
  type Workspace,
  withNamespace,
  withoutNamespaces,
  withUserNamespace,
} from '../helpers/container.ts';
import { Screen } from '../helpers/screen.ts';
import { containerTest, failed, fields, unless } from './_support.ts';

const SLEEP = 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done';

/** A container whose program sleeps. */
async function sleeping(workspace: Workspace, edit: Edit = {}, args: readonly string[] = []): Promise<{ id: string; pid: number }> {
  const { id } = await workspace.start(workspace.script(SLEEP, edit), args);
  return { id, pid: (await workspace.state(id)).pid };
}

/** What a script prints that is executed in a container, without the last newline. */
async function shell(workspace: Workspace, id: string, script: string, flags: readonly string[] = []): Promise<string> {
  return (await workspace.succeed(['exec', ...flags, id, 'sh', '-c', script])).stdout.trimEnd();
}

/** Starts `sleep` in a container, detached; its pid. */
async function another(workspace: Workspace, id: string, flags: readonly string[] = []): Promise<number> {
  const file = workspace.path('pid');
  await workspace.succeed(['exec', '--detach', '--pid-file', file, ...flags, id, 'sleep', '1000']);
  return Number(fs.readFileSync(file, 'utf8'));
}

const TYPES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];
const RIGHTS = 'Umask Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters SigIgn SigBlk Cpus_allowed'.split(' ');

/** What can be seen of a process from outside that has to be equal for all of a container. */
function traits(pid: number): Record<string, string> {
  const read = (name: string): string => fs.readFileSync(`/proc/${pid}/${name}`, 'utf8');
  const status = fields(read('status'));
  return {
    ...Object.fromEntries(TYPES.map((type) => [type, namespaceOf(pid, type)])),
    ...Object.fromEntries(RIGHTS.map((name) => [name, status[name] ?? ''])),
    root: fs.readlinkSync(`/proc/${pid}/root`),
    cwd: fs.readlinkSync(`/proc/${pid}/cwd`),
    cgroups: read('cgroup'),
    limits: read('limits'),
    personality: read('personality'),
    oom: read('oom_score_adj'),
    mounts: read('mountinfo'),
    environment: read('environ').split('\0').sort().join('\n'),
  };
}

const SECCOMP = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 36 }],
};

function sameTest(
  title: string,
  edit: Edit,
  prepare: (workspace: Workspace, edit: Edit) => Edit = (_, same) => same,
  args: readonly string[] = [],
): void {
  containerTest(`as the first process: ${title}`, async (t, workspace) => {
    const { id, pid } = await sleeping(workspace, prepare(workspace, edit), args);
    const second = await another(workspace, id);
    // A shell changes some of its own environment and of its signals.
    const ignored = { environment: '', SigIgn: '', SigBlk: '' };
    t.deepEqual({ ...traits(second), ...ignored }, { ...traits(pid), ...ignored });
    t.is(fields(fs.readFileSync(`/proc/${second}/status`, 'utf8'))['SigBlk'], '0000000000000000');
    t.is(fs.readFileSync(`/proc/${second}/comm`, 'utf8'), 'sleep\n');
    await workspace.remove(id);
  });
}

sameTest('the default configuration', {});
sameTest('limits, umask, user, groups, CPUs', {
  process: {
    user: { uid: 1000, gid: 1000, umask: 0o27, additionalGids: [7, 8] },
    cwd: '/tmp',
    oomScoreAdj: 500,
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 77, hard: 88 }],
    noNewPrivileges: false,
    capabilities: {
      bounding: ['CAP_KILL', 'CAP_CHOWN'],
      inheritable: ['CAP_KILL'],
      permitted: ['CAP_KILL'],
      effective: ['CAP_KILL'],
      ambient: ['CAP_KILL'],
    },
  },
});
sameTest('seccomp, with noNewPrivileges', { process: { noNewPrivileges: true }, linux: { seccomp: SECCOMP } });
sameTest('seccomp, without noNewPrivileges', { process: { noNewPrivileges: false }, linux: { seccomp: SECCOMP } });
sameTest('personality', { linux: { personality: { domain: 'LINUX32' } } });
sameTest('a user namespace', {}, (workspace) => (config) => {
  withUserNamespace(config, 200_000);
  for (const mount of config.mounts) if (mount.type === 'devpts') mount.options = ['newinstance', 'ptmxmode=0666'];
  fs.chmodSync(workspace.directory, 0o755);
});
sameTest('a time namespace', {}, () => (config) => {
  withNamespace(config, 'time');
  config.linux['timeOffsets'] = { boottime: { secs: 1000 } };
});
sameTest('no mount namespace', {}, () => (config) => withoutNamespaces(config, 'mount', 'cgroup'));
sameTest('no pid namespace', {}, () => (config) => withoutNamespaces(config, 'pid'));
sameTest('no namespace at all', {}, () => (config) => {
  withoutNamespaces(config, 'pid', 'mount', 'cgroup', 'network', 'ipc', 'uts');
  config.hostname = undefined as never;
  config.mounts = config.mounts.filter(({ type }) => type !== 'sysfs' && type !== 'mqueue' && type !== 'cgroup');
});
sameTest('a root that was entered without pivot_root', {}, undefined, ['--no-pivot']);
sameTest('a read-only root without /proc', {}, () => (config) => {
  config.root.readonly = true;
  config.mounts = config.mounts.filter(({ type }) => type !== 'proc');
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
});

containerTest('it is in the pid namespace and ends with the container', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const second = await another(workspace, id);
  t.regex(await shell(workspace, id, 'cat /proc/*/cmdline'), /sleep.1000/);
  await workspace.remove(id);
  t.false(fs.existsSync(`/proc/${second}`));
});

containerTest('the exit status is that of the program, or 128 and its signal', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  t.is((await workspace.strata(['exec', id, 'true'])).code, 0);
  t.is((await workspace.strata(['exec', id, 'sh', '-c', 'exit 77'])).code, 77);
  t.is((await workspace.strata(['exec', id, 'sh', '-c', 'kill -9 $$'])).code, 137);
  t.is((await workspace.strata(['exec', id, '--', 'sh', '-c', 'exit 3', '--detach'])).code, 3);
  await workspace.remove(id);
});

containerTest('standard streams go through, and signals', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const result = await workspace.strata(['exec', id, 'sh', '-c', 'cat; echo error >&2'], { stdin: 'text\n' });
  t.deepEqual([result.code, result.stdout, result.stderr], [0, 'text\n', 'error\n']);
  for (const [signal, code] of [
    ['SIGTERM', 5],
    ['SIGHUP', 6],
  ] as const) {
    const running = workspace.spawn(['exec', id, 'sh', '-c', 'trap "exit 5" TERM; trap "exit 6" HUP; echo ready; while :; do sleep 0.02; done']);
    await eventually('the program to run', () => running.stdout() === 'ready\n');
    running.process.kill(signal);
    t.is((await running.result).code, code);
  }
  await workspace.remove(id);
});

containerTest('flags change what the container was created with', async (t, workspace) => {
  const { id } = await sleeping(workspace, { process: { env: ['PATH=/bin', 'A=1'], user: { uid: 0, gid: 5 }, terminal: false } });
  const flags = ['--cwd', '/tmp', '-e', 'A=2', '--env', 'B=3=4', '-u', '1000:1001', '-g', '7', '--additional-gids', '8'];
  t.is(await shell(workspace, id, 'pwd; echo $A $B; id -u; id -G', flags), '/tmp\n2 3=4\n1000\n1001 7 8');
  t.is(await shell(workspace, id, 'id -u; id -g; id -G', ['--user', '1']), '1\n5\n5');
  const rights = async (...words: string[]) => fields(await shell(workspace, id, 'cat /proc/self/status', words));
  t.is((await rights())['NoNewPrivs'], '1');
  const chown = 1n;
  const before = await rights();
  const after = await rights('--cap', 'CAP_CHOWN');
  for (const set of ['CapBnd', 'CapEff', 'CapPrm']) t.is(BigInt(`0x${after[set]}`), BigInt(`0x${before[set]}`) | chown, set);
  t.is(BigInt(`0x${after['CapAmb']}`) & chown, 0n);
  await workspace.remove(id);
  const open = await sleeping(workspace, { process: { noNewPrivileges: false } });
  t.is(fields(await shell(workspace, open.id, 'cat /proc/self/status', ['--no-new-privs']))['NoNewPrivs'], '1');
  t.is(fields(await shell(workspace, open.id, 'cat /proc/self/status'))['NoNewPrivs'], '0');
  await workspace.remove(open.id);
});

containerTest('HOME is that of the user', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  t.is(await shell(workspace, id, 'echo $HOME'), '/root');
  t.is(await shell(workspace, id, 'echo $HOME', ['--user', '1000']), '/home');
  t.is(await shell(workspace, id, 'echo $HOME', ['--env', 'HOME=/tmp']), '/tmp');
  await workspace.remove(id);
});

containerTest('--process says everything, but what it leaves out does not free it from what confines the container', async (t, workspace) => {
  const { id } = await sleeping(workspace, {
    process: { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 77, hard: 88 }], oomScoreAdj: 400, noNewPrivileges: false, env: ['PATH=/bin', 'A=1'] },
  });
  const section = (process: object): string => {
    const file = workspace.path('process.json');
    fs.writeFileSync(
      file,
      toJson({ cwd: '/', args: ['sh', '-c', 'cat /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj; env'], ...process }),
    );
    return file;
  };
  const run = async (process: object) => (await workspace.succeed(['exec', '--process', section(process), id])).stdout;
  const bare = await run({ env: ['PATH=/bin'] });
  t.like(fields(bare), { CapBnd: '0000000020000420', Uid: '0\t0\t0\t0' });
  t.regex(bare, /\n77\n400\n/);
  t.notRegex(bare, /^A=/m);
  const told = await run({
    env: ['PATH=/bin', 'C=1'],
    user: { uid: 5, gid: 6, umask: 0o77 },
    capabilities: { bounding: ['CAP_KILL'], permitted: [], effective: [] },
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 33, hard: 44 }],
    oomScoreAdj: 600,
    noNewPrivileges: true,
  });
  t.like(fields(told), { CapBnd: '0000000000000020', Uid: '5\t5\t5\t5', Gid: '6\t6\t6\t6', NoNewPrivs: '1', Umask: '0077' });
  t.regex(told, /\n33\n600\n/);
  failed(t, await workspace.strata(['exec', '--process', section({ args: [] }), id]), 'exec /process/args: must have at least one entry');
  failed(t, await workspace.strata(['exec', '--process', section({ cwd: 'tmp' }), id]), '/process/cwd');
  failed(t, await workspace.strata(['exec', '--process', '/nowhere', id]), '/nowhere', 'no such file or directory');
  const broken = workspace.path('broken');
  fs.writeFileSync(broken, '{');
  failed(t, await workspace.strata(['exec', '--process', broken, id]), 'exec (document)');
  await workspace.remove(id);
});

containerTest('a program that cannot be executed', async (t, workspace) => {
  const bundle = workspace.script(SLEEP);
  bundle.file('plain', 'text', 0o644);
  bundle.file('broken', '#!/nowhere\n', 0o755);
  const { id } = await workspace.start(bundle);
  for (const flags of [[], ['--detach']]) {
    failed(t, await workspace.strata(['exec', ...flags, id, 'absent']), 'exec: "absent": executable file not found in $PATH');
    failed(t, await workspace.strata(['exec', ...flags, id, '/absent']), 'exec: "/absent": stat /absent: no such file or directory');
    failed(t, await workspace.strata(['exec', ...flags, id, '/plain']), 'permission denied');
    failed(t, await workspace.strata(['exec', ...flags, id, '/tmp']), 'is a directory');
    failed(t, await workspace.strata(['exec', ...flags, id, '/broken']), 'no such file or directory');
    failed(
      t,
      await workspace.strata(['exec', ...flags, '--cwd', '/absent', id, 'true']),
      'change to the working directory /absent',
      'no such file or directory',
    );
    failed(t, await workspace.strata(['exec', ...flags, '--cwd', '/plain', id, 'true']), 'not a directory');
  }
  t.false(fs.existsSync(join(bundle.rootfs, 'absent')));
  await workspace.remove(id);
});

containerTest('wrong command lines', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  for (const user of ['', 'a', '-1', '4294967295', '4294967296', '1:', ':1', '1:2:3', '0x1', ' 1', '1 ', '+1'])
    failed(t, await workspace.strata(['exec', `--user=${user}`, id, 'true']), '--user');
  for (const [flag, value] of [
    ['--additional-gids', '-1'],
    ['--env', 'A'],
    ['--env', '=A'],
    ['--cwd', ''],
    ['--preserve-fds', 'x'],
    ['--cap', ''],
  ])
    failed(t, await workspace.strata(['exec', `${flag}=${value}`, id, 'true']), `${flag}`);
  t.regex((await workspace.succeed(['exec', '--cap', 'CAP_NONE', id, 'true'])).stderr, /warning: capability "CAP_NONE" cannot be granted/);
  failed(t, await workspace.strata(['exec', '--cwd', 'tmp', id, 'true']), 'must be an absolute path');
  failed(t, await workspace.strata(['exec', id]), 'exec needs a program');
  failed(t, await workspace.strata(['exec', '--tty', '--detach', id, 'true']), 'console socket');
  failed(t, await workspace.strata(['exec', '--detach', '--console-socket', '/nowhere', id, 'true']), 'console socket');
  failed(t, await workspace.strata(['exec', '--preserve-fds', '1', id, 'true']), 'descriptor 3 is not open');
  failed(t, await workspace.strata(['exec', '--pid-file', '/nowhere/pid', id, 'sleep', '1000']), 'cannot write the pid file /nowhere/pid');
  failed(t, await workspace.strata(['exec', 'absent', 'true']), 'container does not exist: absent');
  await workspace.remove(id);
});

containerTest('what a container permits depends on its status', async (t, workspace) => {
  const { id } = await workspace.create(workspace.script(SLEEP));
  t.is(await shell(workspace, id, 'echo created; cat /proc/1/comm'), 'created\nstrata-init');
  await workspace.succeed(['start', id]);
  await workspace.succeed(['pause', id]);
  failed(t, await workspace.strata(['exec', id, 'true']), 'cannot exec in a paused container');
  const waiting = workspace.spawn(['exec', '--ignore-paused', id, 'echo', 'resumed']);
  await eventually('a process to be frozen with the container', async () =>
    (await workspace.succeed(['ps', '--format', 'json', id])).stdout.includes(','),
  );
  t.is(waiting.stdout(), '');
  await workspace.succeed(['resume', id]);
  t.deepEqual(await waiting.result, { code: 0, signal: null, stdout: 'resumed\n', stderr: '' });

  await workspace.succeed(['pause', id]);
  const given = workspace.spawn(['exec', '--ignore-paused', id, 'touch', '/tmp/executed']);
  await eventually('a process to be frozen with the container', async () =>
    (await workspace.succeed(['ps', '--format', 'json', id])).stdout.includes(','),
  );
  given.process.kill('SIGINT');
  t.is((await given.result).signal, 'SIGINT');
  await workspace.succeed(['resume', id]);
  await eventually('it to be gone', async () => (await workspace.succeed(['ps', '--format', 'json', id])).stdout.split(',').length <= 2);
  t.is(await shell(workspace, id, 'ls /tmp'), '');

  await workspace.succeed(['kill', id, 'KILL']);
  await workspace.reach(id, 'stopped');
  failed(t, await workspace.strata(['exec', id, 'true']), 'container not running');
  await workspace.remove(id);
});

containerTest('a container that was created without process, or before there was exec', async (t, workspace) => {
  const bundle = workspace.bundle((config) => {
    (config as { process?: unknown }).process = undefined;
  });
  const { id } = await workspace.create(bundle);
  failed(t, await workspace.strata(['exec', id, 'true']), 'was created without process');
  const file = workspace.path('process.json');
  fs.writeFileSync(file, toJson({ cwd: '/', args: ['/bin/echo', 'yes'] }));
  t.is((await workspace.succeed(['exec', '--process', file, id])).stdout, 'yes\n');
  const state = join(workspace.root, id, 'state.json');
  const { traits: _, ...old } = JSON.parse(fs.readFileSync(state, 'utf8'));
  fs.writeFileSync(state, JSON.stringify(old));
  failed(t, await workspace.strata(['exec', '--process', file, id]), 'that had no exec');
  await workspace.remove(id);
});

containerTest('a terminal: its own, with job control and a size', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const before = await shell(workspace, id, 'cat /proc/1/mountinfo');
  const script = [
    'for fd in 0 1 2; do [ -t $fd ] || echo "$fd is none"; done',
    'tty',
    ': </dev/tty && echo controlling',
    'stat -c %u $(tty)',
    '[ -e /dev/console ] || echo no console',
    'stty size',
    'set -m; sleep 1000 & kill %1; wait; set +m; echo jobs',
    // The size changes in two steps: rows, then columns.
    'trap "stty size | grep -x 55.66 && exit 9" WINCH; echo ready; while :; do sleep 0.02; done',
  ].join('; ');
  const screen = new Screen(workspace, `stty rows 41 cols 123; $STRATA exec --tty --user 1000 ${id} sh -c '${script}'`);
  await screen.until('ready');
  t.regex(screen.seen, /^\/dev\/pts\/0\ncontrolling\n1000\nno console\n41 123\n[\s\S]*jobs\nready\n$/);
  screen.resize(55, 66);
  t.is(await screen.end(), 9);
  t.regex(screen.seen, /55 66\n$/);
  t.is(await shell(workspace, id, 'cat /proc/1/mountinfo'), before);

  const typed = new Screen(
    workspace,
    `$STRATA exec --tty ${id} sh -c 'trap "echo interrupted; exit 4" INT; echo ready; while :; do sleep 0.02; done'`,
  );
  await typed.until('ready');
  typed.type('\x03');
  t.is(await typed.end(), 4);
  await workspace.remove(id);
});

containerTest('a terminal that is sent away', async (t, workspace) => {
  const receiver = workspace.path('receiver');
  execFileSync('cc', ['-D_GNU_SOURCE', '-o', receiver, join(import.meta.dirname, '../helpers/console-receiver.c')]);
  const { id } = await sleeping(workspace);
  const socket = join(workspace.directory, 'console.sock');
  const helper = workspace.helper([receiver, socket]);
  let seen = '';
  helper.stdout?.on('data', (data: Buffer) => {
    seen += data.toString();
  });
  await eventually('the receiver to listen', () => fs.existsSync(socket));
  const process = workspace.path('process.json');
  const args = ['sh', '-c', 'stty size; echo well?; read -r line; echo "got $line"'];
  fs.writeFileSync(process, toJson({ terminal: true, consoleSize: { height: 22, width: 33 }, cwd: '/', args, env: ['PATH=/bin'] }));
  await workspace.succeed(['exec', '--detach', '--console-socket', socket, '--process', process, id]);
  await eventually('the program to ask', () => seen.includes('22 33\r\nwell?\r\n'));
  helper.stdin?.write('an answer\n');
  await eventually('the program to echo it', () => seen.includes('got an answer'));
  t.true(seen.startsWith('name '));
  await workspace.remove(id);
});

containerTest('a pidfd that is sent away', async (t, workspace) => {
  const receiver = workspace.path('receiver');
  execFileSync('cc', ['-D_GNU_SOURCE', '-o', receiver, join(import.meta.dirname, '../helpers/pidfd-receiver.c')]);
  const listen = async (name: string): Promise<{ socket: string; seen: () => string; go: () => void }> => {
    const socket = join(workspace.directory, name);
    const helper = workspace.helper([receiver, socket]);
    let text = '';
    helper.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
    });
    await eventually('the receiver to listen', () => fs.existsSync(socket));
    return { socket, seen: () => text, go: () => void helper.stdin?.write('\n') };
  };
  const first = await listen('a');
  const { id } = await workspace.create(workspace.script('exec sleep 1000', { process: { args: ['sleep', '1000'] } }), [
    '--pidfd-socket',
    first.socket,
  ]);
  await eventually('the pidfd', () => first.seen() === 'standard\n');
  await workspace.remove(id);

  const second = await sleeping(workspace);
  const other = await listen('b');
  const running = workspace.spawn(['exec', '--pidfd-socket', other.socket, second.id, 'sh', '-c', 'echo ready; exec sleep 1000']);
  await eventually('the text, and the program', () => other.seen() === 'setns\n' && running.stdout() === 'ready\n');
  other.go();
  t.is((await running.result).code, 143);
  failed(
    t,
    await workspace.strata(['exec', '--pidfd-socket', '/nowhere', second.id, 'sleep', '1000']),
    'cannot connect to the pidfd socket /nowhere',
  );
  await workspace.remove(second.id);
});

containerTest('descriptors: stdio and those that are to be preserved, nothing else', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const file = workspace.path('file');
  fs.writeFileSync(file, 'content\n');
  const open = [fs.openSync(file, 'r'), fs.openSync('/', 'r'), fs.openSync('/proc', 'r')];
  const list = 'for file in /proc/$$/fd/*; do [ -e $file ] && printf "%s " $(basename $file); done; true';
  t.is(await shell(workspace, id, list), '0 1 2');
  t.is((await workspace.succeed(['exec', id, 'sh', '-c', list], { descriptors: open })).stdout, '0 1 2 ');
  const kept = await workspace.succeed(['exec', '--preserve-fds', '1', id, 'sh', '-c', `${list}; cat <&3`], { descriptors: open });
  t.is(kept.stdout, '0 1 2 3 content\n');
  for (const descriptor of open) fs.closeSync(descriptor);
  await workspace.remove(id);
});

containerTest('a working directory outside the root is refused', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  for (const number of [3, 4, 5, 6, 7, 8, 9]) {
    const result = await workspace.strata(['exec', '--cwd', `/proc/self/fd/${number}`, id, 'pwd']);
    failed(t, result, `/proc/self/fd/${number}`);
  }
  await workspace.remove(id);
});

containerTest('the session keyring is that of the container, or the caller’s', async (t, workspace) => {
  const helper = workspace.path('session-keyring');
  execFileSync('cc', ['-static', '-o', helper, join(import.meta.dirname, '../helpers/session-keyring.c')]);
  const keyrings = async (...args: string[]): Promise<string[]> => {
    const bundle = workspace.script(`/session-keyring; ${SLEEP}`);
    fs.copyFileSync(helper, join(bundle.rootfs, 'session-keyring'));
    const { id, stdout } = await workspace.start(bundle, args);
    await eventually('the container to tell its keyring', () => stdout().endsWith('\n'));
    const told = [
      stdout().trim(),
      await shell(workspace, id, '/session-keyring'),
      await shell(workspace, id, '/session-keyring', ['--user', '1000']),
    ];
    await workspace.remove(id);
    return told;
  };
  const own = await keyrings();
  t.deepEqual(new Set(own).size, 1, own.join(' '));
  const caller = execFileSync(helper, { encoding: 'utf8' }).trim();
  t.not(own[0], caller);
  const kept = await keyrings('--no-new-keyring');
  t.false(kept.includes(own[0] ?? ''));
  t.is(kept[1], kept[0]);
});

containerTest('--cgroup', async (t, workspace) => {
  const { id, pid } = await sleeping(workspace);
  const own = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  const path = /memory:(\/.*)$/m.exec(own)?.[1] ?? /^0::(\/.*)$/m.exec(own)?.[1] ?? '';
  for (const directory of workspace.cgroups(path)) {
    fs.mkdirSync(join(directory, 'below'));
    // A cpuset takes nobody before it has these.
    for (const name of ['cpuset.cpus', 'cpuset.mems'].filter((file) => directory.includes('/cpuset/') && fs.existsSync(join(directory, file))))
      fs.writeFileSync(join(directory, 'below', name), fs.readFileSync(join(directory, name)));
  }
  const all = await another(workspace, id, ['--cgroup', 'below']);
  t.is(
    fs.readFileSync(`/proc/${all}/cgroup`, 'utf8'),
    own.replace(/:(\/.*)$/gm, (line, at: string) => (at === path ? `:${at}/below` : line)),
  );
  if (own.includes('memory:')) {
    const one = await another(workspace, id, ['--cgroup', 'memory,pids:/below/']);
    t.is(fs.readFileSync(`/proc/${one}/cgroup`, 'utf8'), own.replace(/((?:memory|pids):.*)$/gm, '$1/below'));
  }
  failed(t, await workspace.strata(['exec', '--cgroup', 'absent', id, 'true']), 'no such file or directory');
  failed(t, await workspace.strata(['exec', '--cgroup', '../up', id, 'true']), 'must not lead out');
  failed(t, await workspace.strata(['exec', '--cgroup', 'none:below', id, 'true']), "no cgroup of a controller 'none'");
  failed(t, await workspace.strata(['exec', '--cgroup', 'a', '--cgroup', 'b', id, 'true']), '--cgroup a');
  await workspace.remove(id);
});

const CPUS = fields(fs.readFileSync('/proc/self/status', 'utf8'))['Cpus_allowed_list'] ?? '';

unless(CPUS === '0' ? 'needs two CPUs' : undefined)('execCPUAffinity', async (t, workspace) => {
  const { id } = await sleeping(workspace, { process: { execCPUAffinity: { initial: '0', final: '1' } } });
  t.is(fields(await shell(workspace, id, 'cat /proc/self/status'))['Cpus_allowed_list'], '1');
  t.is(fields(await shell(workspace, id, 'cat /proc/1/status'))['Cpus_allowed_list'], CPUS);
  await workspace.remove(id);
});

containerTest('a container that has as many processes as it may is told, and nothing gets past its limit', async (t, workspace) => {
  for (const limit of [1, 2]) {
    const bundle = workspace.bundle({ process: { args: ['sleep', '1000'] }, linux: { resources: { pids: { limit } } } });
    const { id } = await workspace.start(bundle);
    const { pid } = await workspace.state(id);
    const { code, stderr } = await workspace.strata(['exec', id, 'true']);
    t.is(code, 1);
    t.regex(stderr, new RegExp(`resource temporarily unavailable.*has 1 of the ${limit} processes that it may have \\(pids\\.max\\)`));
    t.is((await workspace.succeed(['ps', '--format', 'json', id])).stdout.trim(), `[${pid}]`);
    await workspace.succeed(['update', '--pids-limit', '3', id]);
    t.is((await workspace.succeed(['exec', id, 'echo', 'in'])).stdout, 'in\n');
    await workspace.remove(id);
  }
});

containerTest('execCPUAffinity: CPUs that are not there', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const file = workspace.path('process.json');
  const section = (affinity: object): string[] => {
    fs.writeFileSync(file, toJson({ cwd: '/', args: ['/bin/true'], execCPUAffinity: affinity }));
    return ['exec', '--process', file, id];
  };
  failed(t, await workspace.strata(section({ initial: '8000' })), '/process/execCPUAffinity/initial');
  failed(t, await workspace.strata(section({ final: '8000' })), '/process/execCPUAffinity/final');
  failed(t, await workspace.strata(section({ final: '3-1' })), '/process/execCPUAffinity/final');
  await workspace.remove(id);
});

containerTest('many at the same time', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const results = await Promise.all(
    Array.from({ length: 24 }, (_, index) => workspace.strata(['exec', id, 'sh', '-c', `echo ${index}; exit ${index}`])),
  );
  t.deepEqual(
    results.map(({ code, stdout, stderr }) => [code, stdout, stderr]),
    results.map((_, index) => [index, `${index}\n`, '']),
  );
  await workspace.remove(id);
});

async function racing(t: ExecutionContext, workspace: Workspace, edit: Edit): Promise<void> {
  for (let round = 0; round < 12; round++) {
    const { id } = await sleeping(workspace, edit);
    const execs = Array.from({ length: 4 }, () => workspace.strata(['exec', '--detach', id, 'sleep', '1000']));
    await new Promise((fulfil) => setTimeout(fulfil, round));
    await workspace.remove(id);
    for (const result of await Promise.all(execs)) {
      if (result.code !== 0) failed(t, result, /container (not running|does not exist)|state of container/);
    }
    await eventually('everything to be gone', () => workspace.leaks().length === 0);
  }
}

containerTest('exec and delete at the same time: an error, or a process that goes with the container', (t, workspace) => racing(t, workspace, {}));
containerTest('the same in a container without a pid namespace', (t, workspace) =>
  racing(t, workspace, (config) => withoutNamespaces(config, 'pid')),
);

containerTest('a kept seccomp program that is damaged, gone or not ours alone is refused', async (t, workspace) => {
  const { id } = await sleeping(workspace, { linux: { seccomp: SECCOMP } });
  const program = join(workspace.root, id, 'seccomp');
  const good = fs.readFileSync(program);
  for (const [content, mode] of [
    [good.subarray(0, 40), 0o600],
    [Buffer.alloc(good.length), 0o600],
    [good, 0o622],
  ] as const) {
    fs.writeFileSync(program, content);
    fs.chmodSync(program, mode);
    failed(t, await workspace.strata(['exec', id, 'true']), "take the container's seccomp program");
  }
  fs.rmSync(program);
  failed(t, await workspace.strata(['exec', id, 'true']), "take the container's seccomp program");
  await workspace.remove(id);
});

containerTest('the first process of another pid cannot be taken for the container’s', async (t, workspace) => {
  const { id, pid } = await sleeping(workspace);
  const state = join(workspace.root, id, 'state.json');
  const text = fs.readFileSync(state, 'utf8');
  const record = JSON.parse(text);
  for (const wrong of [{ pid: process.pid }, { startTime: '1' }, { pid: 4_194_304 }]) {
    fs.writeFileSync(state, JSON.stringify({ ...record, ...wrong }));
    failed(t, await workspace.strata(['exec', id, 'true']), 'container not running');
  }
  fs.writeFileSync(state, text);
  t.is(await shell(workspace, id, 'cat /proc/1/comm'), 'sh');
  t.true(pid > 1);
  await workspace.remove(id);
});

if (hasCapability('CAP_SYS_PTRACE')) {
  containerTest('nobody in the container sees more of it than the program', async (t, workspace) => {
    // A program in the container that looks, all the time, at every process that appears.
    const script = [
      'while [ ! -e /end ]; do for p in /proc/[0-9]*; do',
      'n=$(basename $p); [ $n != 1 ] && [ $n != $$ ] || continue; r=$(readlink $p/exe 2>/dev/null) && [ "$r" != /bin/busybox ] && echo "exe $r";',
      'for f in $p/fd/*; do l=$(readlink $f 2>/dev/null) && case $l in /proc|/|*strata-orders*) echo "fd $l";; esac; done;',
      'grep -q "^CapEff:.*0000000020000420" $p/status 2>/dev/null || grep -H ^CapEff $p/status 2>/dev/null; done; done; exit 0',
    ].join(' ');
    const bundle = workspace.script(SLEEP);
    const { id } = await workspace.start(bundle);
    const watcher = workspace.spawn(['exec', '--cap', 'CAP_KILL', id, 'sh', '-c', script]);
    for (let count = 0; count < 30; count++) await workspace.succeed(['exec', id, 'true']);
    bundle.file('end', '');
    const { stdout, code } = await watcher.result;
    t.is(code, 0);
    t.is(stdout, '');
    await workspace.remove(id);
  });
}
