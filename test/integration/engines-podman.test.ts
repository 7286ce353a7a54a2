/** Podman drives strata: what its users do all day. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ContainerState } from '../../src/lifecycle/state.ts';
import type { Result, Workspace } from '../helpers/container.ts';
import { eventually, STRATA, whyNoContainers } from '../helpers/container.ts';
import { whyNoCheckpoints } from '../helpers/criu.ts';
import { badCommands, cgroupFile, IMAGE, missingPrograms, removeParents } from '../helpers/engine.ts';
import { Caller, notifyProgram } from '../helpers/notify.ts';
import { Podman } from '../helpers/podman.ts';
import { containerTest } from './_support.ts';

const missing = missingPrograms('podman', 'conmon', 'catatonit', 'script');
let podman: Podman | undefined;

test.before(() => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  podman = new Podman();
  podman.importImage();
});
test.after.always(() => podman?.end());

const V2_BESIDE_V1 = '/sys/fs/cgroup/unified/cgroup.controllers';
/** Does such a hierarchy hold a controller? */
const MIXED = fs.existsSync(V2_BESIDE_V1) && fs.readFileSync(V2_BESIDE_V1, 'utf8').trim() !== '';

/** Podman in a workspace. */
class Engine {
  readonly workspace: Workspace;
  readonly #podman: Podman;

  /** Options of podman that say which runtime. */
  readonly #runtime: readonly string[];

  constructor(workspace: Workspace, engine: Podman, runtime: readonly string[] = ['--runtime', STRATA]) {
    this.workspace = workspace;
    this.#podman = engine;
    this.#runtime = runtime;
  }

  /** `podman ARGS...` */
  podman(...args: readonly string[]): Promise<Result> {
    return this.#podman.run(args, undefined, this.#runtime);
  }

  /** The same, and it must succeed: what it prints, without the last newline. */
  async told(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.podman(...args);
    if (code !== 0) throw new Error(`podman ${args.join(' ')}: status ${code}\n${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** `podman run --rm OPTIONS... IMAGE COMMAND...` */
  run(options: readonly string[], ...command: readonly string[]): Promise<Result> {
    return this.podman('run', '--rm', ...this.usual, ...options, IMAGE, ...command);
  }

  /** What a script prints in a container with these options. */
  async shell(options: readonly string[], script: string): Promise<string> {
    return this.told('run', '--rm', ...this.usual, ...options, IMAGE, 'sh', '-c', script);
  }

  /** `podman run --detach`; the container's id. */
  detached(options: readonly string[], script: string): Promise<string> {
    return this.told('run', '--detach', ...this.usual, ...options, IMAGE, 'sh', '-c', script);
  }

  /** The same for somebody who listens there for sd_notify(3). */
  async detachedFor(listener: string, options: readonly string[], script: string): Promise<string> {
    const command = ['env', `NOTIFY_SOCKET=${listener}`, ...this.#podman.command, 'run', '--detach', ...this.usual, ...options];
    const { code, stdout, stderr } = await this.#podman.execute([...command, IMAGE, 'sh', '-c', script]);
    if (code !== 0) throw new Error(stderr);
    return stdout.trimEnd();
  }

  /** `podman ARGS...` with a terminal, into which `input` is typed. */
  typed(input: string, ...args: readonly string[]): Promise<Result> {
    return this.#podman.terminal([...this.#podman.command, ...args], input);
  }

  /** The same for `podman run`. */
  terminal(options: readonly string[], input: string, ...command: readonly string[]): Promise<Result> {
    return this.typed(input, 'run', '--rm', '-it', ...this.usual, ...options, IMAGE, ...command);
  }

  /** `podman rm --force`, which now and then, with any runtime, runs into podman's own clean-up after the container. */
  async remove(container: string): Promise<void> {
    await eventually(`${container} to be removed`, async () => {
      const { code, stderr } = await this.podman('rm', '--force', '--time', '0', container);
      if (code !== 0 && !stderr.includes('device or resource busy')) throw new Error(stderr);
      return code === 0;
    });
  }

  /** `podman exec OPTIONS... CONTAINER COMMAND...` */
  exec(container: string, options: readonly string[], ...command: readonly string[]): Promise<Result> {
    return this.podman('exec', ...options, container, ...command);
  }

  /** What a scenario comes to with strata, which must be what it comes to with podman's default runtime, where that can be used. */
  async alike<T>(t: ExecutionContext, scenario: (engine: Engine) => Promise<T>): Promise<T> {
    const ours = await scenario(this);
    if (MIXED) t.log('not compared with crun, which refuses a machine with a controller in a v2 hierarchy beside v1');
    else t.deepEqual(ours, await scenario(new Engine(this.workspace, this.#podman, [])));
    return ours;
  }

  inspect(container: string, field: string): Promise<string> {
    return this.told('inspect', '--format', `{{.${field}}}`, container);
  }

  /** What strata says of it. */
  async state(id: string): Promise<ContainerState> {
    return JSON.parse((await this.#podman.execute([STRATA, 'state', id])).stdout) as ContainerState;
  }

  async reach(container: string, status: string): Promise<void> {
    await eventually(`${container} to be ${status}`, async () => (await this.inspect(container, 'State.Status')) === status);
  }

  /** No network, which podman would need plugins for; cgroups where the workspace looks for leaks. */
  get usual(): string[] {
    return ['--network', 'none', '--cgroup-parent', `/${this.workspace.token}`];
  }
}

function podmanTest(title: string, body: (t: ExecutionContext, engine: Engine) => Promise<void>): void {
  if (missing.length > 0) {
    test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());
    return;
  }
  containerTest(title, async (t, workspace) => {
    if (podman === undefined) throw new Error('podman has not been set up');
    const engine = new Engine(workspace, podman);
    try {
      await body(t, engine);
      t.is(await engine.told('ps', '--all', '--quiet'), '');
      t.deepEqual(podman.containers(), []);
    } catch (error) {
      await podman.clear();
      throw error;
    }
    // Conmon ends a little later than its container.
    await eventually('conmon to have ended', () => !workspace.leaks().some((line) => line.startsWith('process')));
    // Podman itself makes the parent cgroup, with one for its conmon in it, and leaves both.
    await removeParents(workspace.token);
  });
}

function checkpointTest(title: string, body: (t: ExecutionContext, engine: Engine) => Promise<void>): void {
  const reason = process.getuid?.() === 0 ? whyNoCheckpoints() : undefined;
  if (reason === undefined) podmanTest(title, body);
  else test.skip(`${title} (${reason})`, (t) => t.pass());
}

podmanTest('run: output, environment, working directory, host name, exit status', async (t, engine) => {
  const { code, stdout, stderr } = await engine.run(
    ['--env', 'GREETING=hello world', '--workdir', '/tmp', '--hostname', 'somewhere'],
    'sh',
    '-c',
    'echo "$GREETING $FROM_IMAGE $PWD $(hostname) $$"; echo err >&2; exit 42',
  );
  t.deepEqual([code, stdout], [42, 'hello world yes /tmp somewhere 1\n']);
  t.true(stderr.includes('err'));
});

podmanTest('run -i reads its standard input', async (t, engine) => {
  const args = ['run', '--rm', '-i', ...engine.usual, IMAGE, 'sort'];
  t.deepEqual((await (podman as Podman).run(args, 'b\na\n')).stdout, 'a\nb\n');
});

podmanTest('run -it has a terminal', async (t, engine) => {
  const { code, stdout } = await engine.terminal([], 'tty; stty size; exit 5\n', 'sh');
  t.is(code, 5);
  t.regex(stdout, /\/dev\/pts\/0/);
  t.regex(stdout, /^34 112\r$/m);
});

podmanTest('an invalid command is 127, one that cannot be executed 126, in the words that podman looks for', async (t, engine) => {
  await badCommands(t, (command) => engine.run([], command));
});

podmanTest('run -d: logs, inspect, stop, rm', async (t, engine) => {
  const id = await engine.detached(['--name', 'service'], 'trap "echo bye; exit 4" TERM; echo started; while :; do sleep 0.01; done');
  await eventually('its first words', async () => (await engine.told('logs', 'service')) === 'started');
  t.is(await engine.inspect(id, 'State.Status'), 'running');
  const pid = await engine.inspect(id, 'State.Pid');
  t.true(fs.existsSync(`/proc/${pid}`));
  t.like(await engine.state(id), { pid: Number(pid), status: 'running' });
  await engine.told('stop', '--time', '60', 'service');
  t.deepEqual([await engine.inspect(id, 'State.Status'), await engine.inspect(id, 'State.ExitCode')], ['exited', '4']);
  t.is(await engine.told('logs', 'service'), 'started\nbye');
  await engine.told('start', 'service');
  await engine.reach(id, 'running');
  await engine.remove('service');
});

podmanTest('kill, by number and by name', async (t, engine) => {
  const id = await engine.detached([], 'trap "exit 6" USR1; while :; do sleep 0.01; done');
  await engine.told('kill', '--signal', 'USR1', id);
  t.is(await engine.told('wait', id), '6');
  await engine.told('rm', id);
  const other = await engine.detached([], 'exec sleep 1000');
  await engine.told('kill', other);
  t.is(await engine.told('wait', other), '137');
  await engine.told('rm', other);
});

podmanTest('pause and unpause; rm -f of a running and of a paused one', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  await engine.told('pause', id);
  t.is(await engine.inspect(id, 'State.Status'), 'paused');
  t.is((await engine.state(id)).status, 'paused');
  await engine.told('unpause', id);
  t.is(await engine.inspect(id, 'State.Status'), 'running');
  await engine.told('pause', id);
  await engine.remove(id);
  const running = await engine.detached([], 'exec sleep 1000');
  await engine.remove(running);
});

podmanTest('create, then start --attach', async (t, engine) => {
  const id = await engine.told('create', ...engine.usual, IMAGE, 'sh', '-c', 'echo started; exit 3');
  t.is(await engine.inspect(id, 'State.Status'), 'created');
  const { code, stdout } = await engine.podman('start', '--attach', id);
  t.deepEqual([code, stdout], [3, 'started\n']);
  await engine.told('rm', id);
});

podmanTest('--memory and --pids-limit hold, inside and outside', async (t, engine) => {
  const script =
    'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max';
  t.is(await engine.shell(['--memory', '64m', '--pids-limit', '20'], script), `${64 * 1024 * 1024}\n20`);
  const id = await engine.detached(['--memory', '64m', '--pids-limit', '20', '--cpus', '0.5'], 'exec sleep 1000');
  const limit = (one: string, two: string) => cgroupFile(`${engine.workspace.token}/libpod-${id}`, one, two);
  t.is(limit('memory.limit_in_bytes', 'memory.max'), String(64 * 1024 * 1024));
  t.is(limit('pids.max', 'pids.max'), '20');
  t.regex(limit('cpu.cfs_quota_us', 'cpu.max'), /^50000/);
  await engine.remove(id);
  const forks = await engine.run(['--pids-limit', '5'], 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo done');
  t.regex(forks.stderr, /can't fork|Resource temporarily unavailable/);
  // The kernel kills who takes more; where there is swap, that is limited too.
  const greedy = await engine.run(['--memory', '16m', '--memory-swap', '16m'], 'sh', '-c', 'dd if=/dev/zero of=/dev/null bs=64M count=1');
  t.is(greedy.code, 137);
});

podmanTest('--read-only, --tmpfs and volumes', async (t, engine) => {
  const volume = engine.workspace.path('volume');
  fs.mkdirSync(volume);
  fs.writeFileSync(join(volume, 'file'), 'from the host\n');
  const script = `
    touch /etc/x 2>/dev/null && echo root written; touch /tmpfs/x && echo tmpfs written; cat /ro/file; touch /ro/x 2>/dev/null && echo ro written
    echo from the container >/rw/back; grep " /tmpfs " /proc/self/mountinfo | grep -c size=1024k`;
  const options = [
    '--read-only',
    '--read-only-tmpfs=false',
    '--tmpfs',
    '/tmpfs:size=1m',
    '--volume',
    `${volume}:/ro:ro`,
    '--volume',
    `${volume}:/rw`,
  ];
  t.is(await engine.shell(options, script), 'tmpfs written\nfrom the host\n1');
  t.is(fs.readFileSync(join(volume, 'back'), 'utf8'), 'from the container\n');
  t.deepEqual(fs.readdirSync(volume).sort(), ['back', 'file']);
  t.is(await engine.shell(['--mount', 'type=volume,source=named,destination=/v'], 'echo kept >/v/file'), '');
  t.is(await engine.shell(['--mount', 'type=volume,source=named,destination=/v'], 'cat /v/file'), 'kept');
  await engine.told('volume', 'rm', 'named');
});

podmanTest('--user, --group-add and --umask', async (t, engine) => {
  const script = 'id -u; id -g; id -G >/dev/stdout; umask; touch /tmp/x && stat -c %u:%g /tmp/x';
  t.is(await engine.shell(['--user', '1000:1000', '--group-add', '5', '--umask', '0027'], script), '1000\n1000\n1000 5\n0027\n1000:1000');
  t.is(await engine.shell(['--user', 'user'], 'id -un'), 'user');
});

podmanTest('--cap-drop and --cap-add', async (t, engine) => {
  const effective = async (...options: string[]) => BigInt(`0x${await engine.shell(options, "sed -n 's/^CapEff:.//p' /proc/self/status")}`);
  const [chown, netAdmin] = [1n << 0n, 1n << 12n];
  t.is((await effective()) & (chown | netAdmin), chown);
  t.is(await effective('--cap-drop', 'all'), 0n);
  t.is(await effective('--cap-drop', 'all', '--cap-add', 'NET_ADMIN'), netAdmin);
  const refused = await engine.run(['--cap-drop', 'chown'], 'chown', '1', '/etc/passwd');
  t.not(refused.code, 0);
  t.regex(refused.stderr, /Operation not permitted/);
  t.is(await engine.shell(['--security-opt', 'no-new-privileges'], "sed -n 's/^NoNewPrivs:.//p' /proc/self/status"), '1');
});

podmanTest('the default seccomp profile holds', async (t, engine) => {
  t.is(await engine.shell([], "sed -n 's/^Seccomp:.//p' /proc/self/status"), '2');
  // With the capability it is the profile that refuses; without the profile the kernel finds that this is no swap file.
  const swapon = (...options: string[]) => engine.run(['--cap-add', 'SYS_ADMIN', ...options], 'swapon', '/etc/passwd');
  t.regex((await swapon()).stderr, /Operation not permitted/);
  t.regex((await swapon('--security-opt', 'seccomp=unconfined')).stderr, /Invalid argument/);
  const profile = engine.workspace.path('profile.json');
  const rule = { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 };
  fs.writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }));
  const own = await engine.run(['--security-opt', `seccomp=${profile}`], 'mkdir', '/tmp/x');
  t.regex(own.stderr, /No space left on device/);
});

podmanTest('--uidmap and --gidmap: a user namespace', async (t, engine) => {
  const options = ['--uidmap', '0:100000:5000', '--gidmap', '0:200000:5000'];
  t.is(await engine.shell(options, 'id -u; cat /proc/self/uid_map | tr -s " "; touch /root/x; stat -c %u:%g /root/x'), '0\n 0 100000 5000\n0:0');
  const id = await engine.detached(options, 'exec sleep 1000');
  const status = fs.readFileSync(`/proc/${await engine.inspect(id, 'State.Pid')}/status`, 'utf8');
  t.regex(status, /^Uid:\t100000\t/m);
  t.regex(status, /^Gid:\t200000\t/m);
  await engine.remove(id);
});

podmanTest('namespaces of the host and of another container', async (t, engine) => {
  const first = await engine.detached(['--hostname', 'first'], 'exec sleep 1000');
  const link = (name: string) => fs.readlinkSync(`/proc/self/ns/${name}`);
  t.is(
    await engine.shell(['--pid', 'host', '--ipc', 'host', '--uts', 'host'], 'cd /proc/self/ns; for name in pid ipc uts; do readlink $name; done'),
    [link('pid'), link('ipc'), link('uts')].join('\n'),
  );
  t.is(await engine.shell(['--uts', 'host', '--pid', `container:${first}`, '--ipc', 'host'], 'tr "\\0" " " </proc/1/cmdline'), 'sleep 1000');
  await engine.remove(first);
  const hostPid = await engine.detached(['--pid', 'host'], 'sleep 1000 & exec sleep 2000');
  await engine.remove(hostPid);
});

podmanTest('devices, sysctls and limits', async (t, engine) => {
  t.is(await engine.shell(['--device', '/dev/null:/dev/mine:rw'], 'stat -c "%t %T %F" /dev/mine'), '1 3 character special file');
  t.is(await engine.shell(['--sysctl', 'kernel.shm_rmid_forced=1'], 'cat /proc/sys/kernel/shm_rmid_forced'), '1');
  t.is(await engine.shell(['--ulimit', 'nofile=123:456', '--ulimit', 'nproc=4096:4096'], 'ulimit -n; ulimit -Hn'), '123\n456');
  t.is(await engine.shell(['--shm-size', '1m'], 'df -k /dev/shm | tail -n 1 | tr -s " " | cut -d " " -f 2'), '1024');
  t.is(await engine.shell(['--oom-score-adj', '500'], 'cat /proc/self/oom_score_adj'), '500');
});

podmanTest('--init has a small init reap', async (t, engine) => {
  t.regex(await engine.shell(['--init'], 'tr "\\0" " " </proc/1/cmdline'), /init/);
});

podmanTest('a pod, whose containers share what the infra container has', async (t, engine) => {
  const infra = ['--infra-image', IMAGE, '--infra-command', '/bin/sleep 1000'];
  await engine.told('pod', 'create', '--name', 'pod', ...engine.usual, ...infra);
  const args = (script: string) => ['run', '--rm', '--pod', 'pod', IMAGE, 'sh', '-c', script];
  const one = await engine.told(...args('readlink /proc/self/ns/net; readlink /proc/self/ns/uts'));
  t.is(await engine.told(...args('readlink /proc/self/ns/net; readlink /proc/self/ns/uts')), one);
  await engine.told('pod', 'rm', '--force', '--time', '0', 'pod');
});

podmanTest('exec: output, input, user, working directory, environment, exit status, detached', async (t, engine) => {
  const id = await engine.detached(['--env', 'OF=container'], 'exec sleep 1000');
  const options = ['--env', 'MY=exec', '--workdir', '/tmp', '--user', '1000:1000'];
  const { code, stdout, stderr } = await engine.exec(id, options, 'sh', '-c', 'echo "$OF $MY $PWD $(id -u):$(id -g)"; echo err >&2; exit 9');
  t.deepEqual([code, stdout], [9, 'container exec /tmp 1000:1000\n']);
  t.regex(stderr, /^err$/m);
  t.is((await (podman as Podman).run(['exec', '-i', id, 'sort'], 'b\na\n')).stdout, 'a\nb\n');
  await engine.told('exec', '--detach', id, 'sh', '-c', 'echo detached >/tmp/file; exec sleep 2000');
  await eventually('what the detached one writes', async () => (await engine.exec(id, [], 'cat', '/tmp/file')).stdout === 'detached\n');
  t.is(await engine.told('exec', id, 'sh', '-c', 'tr "\\0" " " </proc/1/cmdline'), 'sleep 1000');
  await engine.remove(id);
});

podmanTest('exec -it has a terminal', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  const script = 'until [ "$(stty size)" = "34 112" ]; do sleep 0.01; done; tty; read line; echo "got $line"; exit 5';
  const { code, stdout } = await engine.typed('typed\n', 'exec', '-it', id, 'sh', '-c', script);
  t.is(code, 5, stdout);
  t.regex(stdout, /\/dev\/pts\/\d/);
  t.regex(stdout, /^got typed\r$/m);
  await engine.remove(id);
});

podmanTest('exec of commands that cannot be executed, and where nothing runs', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  await badCommands(t, (command) => engine.exec(id, [], command));
  await engine.told('kill', id);
  await engine.told('wait', id);
  const stopped = await engine.exec(id, [], 'true');
  t.is(stopped.code, 255);
  t.regex(stopped.stderr, /container state improper/);
  await engine.remove(id);
});

podmanTest('exec has what the container has', async (t, engine) => {
  const script = 'grep -E "^(Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp):" /proc/self/status; cut -d : -f 2 /proc/self/cgroup | sort; umask; ulimit -n';
  await engine.alike(t, async (other) => {
    const options = [
      '--cap-drop',
      'chown',
      '--group-add',
      '5',
      '--ulimit',
      'nofile=99:99',
      '--ulimit',
      'nproc=4096:4096',
      '--security-opt',
      'no-new-privileges',
      '--umask',
      '0027',
    ];
    const container = await other.detached(options, 'exec sleep 1000');
    const seen = [
      await other.told('exec', container, 'sh', '-c', script),
      await other.told('exec', '--user', '1000', container, 'sh', '-c', script),
      await other.told('exec', '--privileged', container, 'sh', '-c', 'sed -n "/^CapBnd/p; /^Seccomp/p" /proc/self/status'),
    ];
    await other.remove(container);
    return seen;
  });
});

podmanTest('a container looks from inside as it does with the default runtime', async (t, engine) => {
  const script = `
    grep -E '^(Name|Umask|Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp|Seccomp_filters|Sig[BIC].*):' /proc/self/status
    cat /proc/self/limits /proc/self/oom_score_adj; env | sort; pwd; id; ls -l /proc/self/fd | grep -c ' -> '
    cut -d ' ' -f 5 /proc/self/mountinfo | sort
    ls -ln /dev /dev/fd | grep -vE 'kcore| null$' | sed 's/ [A-Z][a-z][a-z] .*:[0-9][0-9]//'; cat /proc/sys/net/ipv4/ping_group_range`;
  for (const options of [[], ['--user', '1000:1000', '--cap-add', 'NET_ADMIN', '--read-only', '--shm-size', '1m', '--cgroupns', 'private']]) {
    await engine.alike(t, (other) => other.shell(['--hostname', 'h', ...options], script));
  }
});

podmanTest('--preserve-fds, of run and of exec', async (t, engine) => {
  const file = engine.workspace.path('file');
  fs.writeFileSync(file, 'from the host\n');
  const open = (): number => fs.openSync(file, 'r');
  const passing = async (...args: string[]): Promise<string> => {
    const descriptor = open();
    try {
      return (await (podman as Podman).execute([...(podman as Podman).command, ...args], undefined, [descriptor])).stdout;
    } finally {
      fs.closeSync(descriptor);
    }
  };
  const script = ['sh', '-c', 'cat <&3; ls /proc/self/fd | tr "\\n" " "'];
  t.regex(await passing('run', '--rm', '--preserve-fds', '1', ...engine.usual, IMAGE, ...script), /^from the host\n0 1 2 3 4 $/);
  const id = await engine.detached([], 'exec sleep 1000');
  t.regex(await passing('exec', '--preserve-fds', '1', id, ...script), /^from the host\n0 1 2 3 4 $/);
  await engine.remove(id);
});

/** Values of a container's cgroup that podman's options set. */
const LIMITS: readonly (readonly [string, string])[] = [
  ['memory.limit_in_bytes', 'memory.max'],
  ['memory.soft_limit_in_bytes', 'memory.low'],
  ['cpu.cfs_quota_us', 'cpu.max'],
  ['cpu.shares', 'cpu.weight'],
  ['cpuset.cpus', 'cpuset.cpus'],
  ['pids.max', 'pids.max'],
];

podmanTest('update', async (t, engine) => {
  const options = ['--memory', '64m', '--cpus', '0.5', '--cpu-shares', '512', '--pids-limit', '20'];
  const seen = await engine.alike(t, async (other) => {
    const id = await other.detached(options, 'exec sleep 1000');
    const values = (): string[] => LIMITS.map(([one, two]) => cgroupFile(`${engine.workspace.token}/libpod-${id}`, one, two));
    const before = values();
    await other.told('update', '--memory', '96m', '--memory-swap', '-1', '--cpus', '0.25', '--cpu-shares', '256', '--cpuset-cpus', '0', id);
    const after = values();
    await other.remove(id);
    return { before, after };
  });
  t.is(seen.before[0], String(64 * 1024 * 1024));
  t.is(seen.after[0], String(96 * 1024 * 1024));
  const id = await engine.detached(options, 'exec sleep 1000');
  const refused = await engine.podman('update', '--cpuset-cpus', '4000', id);
  t.not(refused.code, 0);
  t.is(cgroupFile(`${engine.workspace.token}/libpod-${id}`, 'memory.limit_in_bytes', 'memory.max'), String(64 * 1024 * 1024));
  await engine.remove(id);
});

podmanTest('top and stats, with limits', async (t, engine) => {
  const id = await engine.detached(['--memory', '64m', '--pids-limit', '20'], 'sleep 2000 & exec sleep 1000');
  await eventually('both processes', async () => (await engine.told('top', id)).split('\n').length === 3);
  const listed = await engine.told('top', id, 'pid', 'args');
  t.regex(listed, /^1 +sleep 1000/m);
  t.regex(listed, /sleep 2000/);
  const [stats] = JSON.parse(await engine.told('stats', '--no-stream', '--format', 'json', id)) as { mem_usage: string; pids: string }[];
  t.regex(stats?.mem_usage ?? '', /[1-9].* \/ 67\.1/);
  t.is(stats?.pids, '2');
  t.is(await engine.inspect(id, 'HostConfig.Memory'), String(64 * 1024 * 1024));
  await engine.remove(id);
});

podmanTest('health checks', async (t, engine) => {
  const options = ['--health-cmd', 'test -e /tmp/healthy', '--health-interval', 'disable', '--health-retries', '1'];
  const id = await engine.detached(options, 'exec sleep 1000');
  t.is((await engine.podman('healthcheck', 'run', id)).code, 1);
  await engine.told('exec', id, 'touch', '/tmp/healthy');
  t.is((await engine.podman('healthcheck', 'run', id)).code, 0);
  await engine.remove(id);
});

podmanTest('restart, and restart policies', async (t, engine) => {
  const id = await engine.detached([], 'trap "exit 4" TERM; echo started; while :; do sleep 0.01; done');
  await eventually('its first words', async () => (await engine.told('logs', id)) === 'started');
  const pid = await engine.inspect(id, 'State.Pid');
  await engine.told('restart', '--time', '60', id);
  await eventually('its words', async () => (await engine.told('logs', id)) === 'started\nstarted');
  t.not(await engine.inspect(id, 'State.Pid'), pid);
  await engine.remove(id);
  const fails = await engine.detached(['--restart', 'on-failure:2'], 'echo started; exit 3');
  await eventually('two restarts', async () => (await engine.told('logs', fails)) === 'started\nstarted\nstarted');
  await engine.reach(fails, 'exited');
  t.is(await engine.inspect(fails, 'State.ExitCode'), '3');
  await engine.remove(fails);
});

podmanTest('--sdnotify: conmon hears what the program says, and strata has no part in it', async (t, engine) => {
  const caller = await Caller.listen(engine.workspace);
  const script = 'echo "<$NOTIFY_SOCKET>"; [ -z "$NOTIFY_SOCKET" ] || notify READY=1; exec sleep 1000';
  for (const [mode, socket, said] of [
    ['container', '</run/notify/notify.sock>', /^MAINPID=\d+ READY=1$/],
    ['conmon', '<>', /^MAINPID=\d+\|READY=1$/],
    ['ignore', '<>', /^$/],
  ] as const) {
    const before = caller.heard.length;
    const options = ['--sdnotify', mode, '--volume', `${notifyProgram()}:/bin/notify:ro`];
    const id = await engine.detachedFor(caller.env.NOTIFY_SOCKET, options, script);
    await eventually('the program to have its say', async () => (await engine.told('logs', id)) === socket);
    await eventually(`the word with ${mode}`, () => said.test(caller.heard.slice(before).sort().join(' ')));
    await engine.told('rm', '--force', '--time', '0', id);
  }
  await engine.workspace.endHelpers();
  t.is(caller.heard.length, 3);
});

podmanTest('attach, cp, diff and commit', async (t, engine) => {
  const reader = await engine.told('run', '--detach', '-i', ...engine.usual, IMAGE, 'sh', '-c', 'read line; echo "got $line"');
  t.is((await (podman as Podman).run(['attach', reader], 'typed\n')).stdout.trim(), 'got typed');
  await engine.remove(reader);
  const [file, back] = [engine.workspace.path('file'), engine.workspace.path('back')];
  fs.writeFileSync(file, 'from the host\n');
  const id = await engine.detached([], 'exec sleep 1000');
  await engine.told('cp', file, `${id}:/root/file`);
  t.is(await engine.told('exec', id, 'cat', '/root/file'), 'from the host');
  await engine.told('cp', `${id}:/root/file`, back);
  t.is(fs.readFileSync(back, 'utf8'), 'from the host\n');
  t.regex(await engine.told('diff', id), /^A \/root\/file$/m);
  const image = `localhost/${engine.workspace.token}:1`;
  await engine.told('commit', '--quiet', id, image);
  await engine.remove(id);
  t.is(await engine.told('run', '--rm', ...engine.usual, image, 'cat', '/root/file'), 'from the host');
  await engine.told('rmi', image);
});

checkpointTest('checkpoint and restore, in its place and by an archive', async (t, engine) => {
  const id = await engine.detached([], 'i=0; while :; do i=$((i+1)); echo $i; echo $i >/last; sleep 0.05; done');
  const counts = async (container: string): Promise<string[]> => (await engine.told('logs', container)).split('\n');
  const more = async (container: string): Promise<void> => {
    const before = (await counts(container)).length;
    await eventually('the count to grow', async () => (await counts(container)).length > before + 2);
  };
  await more(id);
  await engine.told('container', 'checkpoint', id);
  t.is(await engine.told('inspect', '--format', '{{.State.Status}} {{.State.Checkpointed}}', id), 'exited true');
  await engine.told('container', 'restore', id);
  await more(id);
  t.true((await counts(id)).every((line, index) => line === String(index + 1)));
  const archive = engine.workspace.path('archive.tar');
  await engine.told('container', 'checkpoint', '--leave-running', '--export', archive, id);
  const copy = (await engine.told('container', 'restore', '--import', archive, '--name', `copy-${id.slice(0, 12)}`)).split('\n').at(-1) as string;
  t.true(Number(await engine.told('exec', copy, 'cat', '/last')) > 3);
  await more(id);
  for (const container of [id, copy]) await engine.remove(container);
});

podmanTest('a container that cannot be created is told in words, and can be removed', async (t, engine) => {
  const id = await engine.told('create', ...engine.usual, IMAGE, 'nope');
  t.regex((await engine.podman('start', id)).stderr, /executable file not found in \$PATH/);
  await engine.told('rm', id);
  const settings = ['--sysctl', 'net.ipv4.no_such_setting=1'];
  t.regex((await engine.run(settings, 'true')).stderr, /no such file or directory/i);
  await engine.alike(t, (other) => other.run(settings, 'true').then((result) => result.code));
  await engine.alike(t, (other) => other.run(['--workdir', '/etc/passwd'], 'true').then((result) => result.code));
});

podmanTest('all of a pod: stats, pause, exec, stop, start, kill', async (t, engine) => {
  const infra = ['--infra-image', IMAGE, '--infra-command', '/bin/sleep 1000'];
  const pod = engine.workspace.token;
  await engine.told('pod', 'create', '--name', pod, ...engine.usual, ...infra);
  const id = await engine.told('run', '--detach', '--pod', pod, IMAGE, 'sleep', '1000');
  t.is(await engine.told('exec', id, 'echo', 'in the pod'), 'in the pod');
  t.is((JSON.parse(await engine.told('pod', 'stats', '--no-stream', '--format', 'json', pod)) as unknown[]).length, 2);
  await engine.told('pod', 'pause', pod);
  t.is(await engine.inspect(id, 'State.Status'), 'paused');
  await engine.told('pod', 'unpause', pod);
  t.is(await engine.inspect(id, 'State.Status'), 'running');
  await engine.told('pod', 'stop', '--time', '0', pod);
  await engine.reach(id, 'exited');
  await engine.told('pod', 'start', pod);
  await engine.reach(id, 'running');
  await engine.told('pod', 'kill', pod);
  await engine.reach(id, 'exited');
  await engine.told('pod', 'rm', '--force', '--time', '0', pod);
});
