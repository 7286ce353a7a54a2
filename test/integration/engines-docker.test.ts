/** Docker drives strata: what its users do all day, and that nothing differs from what they have with runc. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Result, Workspace } from '../helpers/container.ts';
import { eventually, whyNoContainers } from '../helpers/container.ts';
import { Docker } from '../helpers/docker.ts';
import { BAD_COMMANDS, badCommands, cgroupFile, IMAGE, missingPrograms, removeParents } from '../helpers/engine.ts';
import { containerTest } from './_support.ts';

const missing = [...missingPrograms('dockerd', 'docker-init', 'runc', 'script'), ...Docker.missing()];
let docker: Docker | undefined;

test.before(async () => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  docker = new Docker();
  await docker.ready();
});
test.after.always(async () => {
  await docker?.end();
  docker?.dispose();
});

/** Docker in a workspace, with one of its runtimes. */
class Engine {
  readonly workspace: Workspace;
  readonly #docker: Docker;
  readonly #runtime: string;

  constructor(workspace: Workspace, engine: Docker, runtime = 'strata') {
    this.workspace = workspace;
    this.#docker = engine;
    this.#runtime = runtime;
  }

  /** `docker ARGS...` */
  docker(args: readonly string[], input?: string): Promise<Result> {
    return this.#docker.run(args, input);
  }

  /** The same, and it must succeed: what it prints, without the last newline. */
  told(...args: readonly string[]): Promise<string> {
    return this.#docker.told([...this.#docker.command, ...args]);
  }

  /** `docker run --rm OPTIONS... IMAGE COMMAND...` */
  run(options: readonly string[], ...command: readonly string[]): Promise<Result> {
    return this.docker(['run', '--rm', ...this.usual, ...options, IMAGE, ...command]);
  }

  /** What a script prints in a container with these options. */
  shell(options: readonly string[], script: string): Promise<string> {
    return this.told('run', '--rm', ...this.usual, ...options, IMAGE, 'sh', '-c', script);
  }

  /** `docker run --detach`; the container's id. */
  detached(options: readonly string[], script: string): Promise<string> {
    return this.told('run', '--detach', ...this.usual, ...options, IMAGE, 'sh', '-c', script);
  }

  /** `docker VERB...` with a terminal, into which `input` is typed. */
  terminal(input: string, ...args: readonly string[]): Promise<Result> {
    return this.#docker.terminal([...this.#docker.command, ...args], input);
  }

  inspect(container: string, field: string): Promise<string> {
    return this.told('inspect', '--format', `{{.${field}}}`, container);
  }

  async reach(container: string, field: string, value: string): Promise<void> {
    await eventually(`${field} of ${container} to be ${value}`, async () => (await this.inspect(container, field)) === value);
  }

  /** `docker rm --force` */
  async remove(...containers: string[]): Promise<void> {
    await this.told('rm', '--force', ...containers);
  }

  /** What a scenario comes to with strata, which must be what it comes to with runc. */
  async alike<T>(t: ExecutionContext, scenario: (engine: Engine) => Promise<T>): Promise<T> {
    const ours = await scenario(this);
    t.deepEqual(ours, await scenario(new Engine(this.workspace, this.#docker, 'runc')));
    return ours;
  }

  /** The runtime, no network, and cgroups where the workspace looks for leaks. */
  get usual(): string[] {
    return ['--runtime', this.#runtime, '--network', 'none', '--cgroup-parent', `/${this.workspace.token}`];
  }
}

function dockerTest(title: string, body: (t: ExecutionContext, engine: Engine) => Promise<void>): void {
  if (missing.length > 0) {
    test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());
    return;
  }
  containerTest(title, async (t, workspace) => {
    if (docker === undefined) throw new Error('docker has not been set up');
    const engine = new Engine(workspace, docker);
    try {
      await body(t, engine);
      t.is(await engine.told('ps', '--all', '--quiet'), '');
      t.deepEqual(docker.containers(), []);
    } catch (error) {
      await docker.clear();
      throw error;
    }
    // Runc, too, has had containers there, and leaves it.
    await removeParents(workspace.token);
  });
}

dockerTest('run: output, environment, working directory, host name, exit status', async (t, engine) => {
  const { code, stdout, stderr } = await engine.run(
    ['--env', 'GREETING=hello world', '--workdir', '/new', '--hostname', 'somewhere'],
    'sh',
    '-c',
    'echo "$GREETING $FROM_IMAGE $PWD $(hostname) $$"; echo err >&2; exit 42',
  );
  t.deepEqual([code, stdout, stderr], [42, 'hello world yes /new somewhere 1\n', 'err\n']);
});

dockerTest('run -i reads its standard input, run -it has a terminal', async (t, engine) => {
  t.is((await engine.docker(['run', '--rm', '-i', ...engine.usual, IMAGE, 'sort'], 'b\na\n')).stdout, 'a\nb\n');
  // The client tells the size when the container runs already.
  const script = 'until [ "$(stty size)" = "34 112" ]; do sleep 0.01; done; tty; read line; echo "got $line"; exit 5';
  const { code, stdout } = await engine.terminal('typed\n', 'run', '--rm', '-it', ...engine.usual, IMAGE, 'sh', '-c', script);
  t.is(code, 5, stdout);
  t.regex(stdout, /\/dev\/(pts\/0|console)/);
  t.regex(stdout, /^got typed\r$/m);
});

dockerTest('an invalid command is 127, one that cannot be executed 126', async (t, engine) => {
  await badCommands(t, (command) => engine.run([], command));
  const nowhere = (other: Engine) => other.run(['--workdir', '/etc/passwd/x'], 'true').then(({ code }) => code);
  t.is(await engine.alike(t, nowhere), 125);
});

dockerTest('a container that cannot be created is told in words, and can be removed', async (t, engine) => {
  const id = await engine.told('create', ...engine.usual, IMAGE, 'nope');
  t.regex((await engine.docker(['start', id])).stderr, /OCI runtime create failed: .*executable file not found/);
  t.is(await engine.inspect(id, 'State.ExitCode'), '127');
  t.regex((await engine.docker(['start', id])).stderr, /OCI runtime create failed: .*executable file not found/);
  await engine.told('rm', id);
  const settings = ['--sysctl', 'net.ipv4.no_such_setting=1'];
  t.regex((await engine.run(settings, 'true')).stderr, /no such file or directory/);
  await engine.alike(t, (other) => other.run(settings, 'true').then(({ code }) => code));
  t.is((await engine.run(['--user', 'nobody-of-that-name'], 'true')).code, 125);
});

dockerTest('run -d: logs, attach, inspect, stop, start, restart, rm', async (t, engine) => {
  const script = 'trap "echo bye; exit 4" TERM; echo started; while :; do sleep 0.01; done';
  const id = await engine.detached(['--name', engine.workspace.token], script);
  await eventually('its first words', async () => (await engine.told('logs', id)) === 'started');
  t.is(await engine.inspect(id, 'State.Status'), 'running');
  t.true(fs.existsSync(`/proc/${await engine.inspect(id, 'State.Pid')}`));
  await engine.told('stop', '--time', '60', id);
  t.deepEqual([await engine.inspect(id, 'State.Status'), await engine.inspect(id, 'State.ExitCode')], ['exited', '4']);
  t.is(await engine.told('logs', id), 'started\nbye');
  await engine.told('start', id);
  await eventually('its words', async () => (await engine.told('logs', id)) === 'started\nbye\nstarted');
  await engine.told('restart', '--time', '60', id);
  await eventually('its words', async () => (await engine.told('logs', id)) === 'started\nbye\nstarted\nbye\nstarted');
  await engine.told('kill', '--signal', 'TERM', id);
  t.is(await engine.told('wait', id), '4');
  await engine.told('rm', id);
  const reader = await engine.told('create', '-i', ...engine.usual, IMAGE, 'sort');
  t.is((await engine.docker(['start', '--attach', '--interactive', reader], 'b\na\n')).stdout, 'a\nb\n');
  await engine.told('rm', reader);
});

dockerTest('kill, by number and by name', async (t, engine) => {
  const id = await engine.detached([], 'trap "exit 6" USR1; while :; do sleep 0.01; done');
  await engine.told('kill', '--signal', '10', id);
  t.is(await engine.told('wait', id), '6');
  const other = await engine.detached([], 'exec sleep 1000');
  await engine.told('kill', other);
  t.is(await engine.told('wait', other), '137');
  await engine.told('rm', id, other);
});

dockerTest('pause and unpause; rm -f of a running and of a paused one', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  await engine.told('pause', id);
  t.is(await engine.inspect(id, 'State.Status'), 'paused');
  await engine.told('unpause', id);
  t.is(await engine.inspect(id, 'State.Status'), 'running');
  await engine.told('pause', id);
  await engine.remove(id, await engine.detached([], 'exec sleep 1000'));
});

dockerTest('exec: output, input, user, working directory, environment, exit status, detached', async (t, engine) => {
  const id = await engine.detached(['--env', 'OF=container'], 'exec sleep 1000');
  const script = 'echo "$OF $MY $PWD $(id -u):$(id -g)"; echo err >&2; exit 9';
  const told = await engine.docker(['exec', '--env', 'MY=exec', '--workdir', '/tmp', '--user', '1000:1000', id, 'sh', '-c', script]);
  t.deepEqual([told.code, told.stdout, told.stderr], [9, 'container exec /tmp 1000:1000\n', 'err\n']);
  t.is((await engine.docker(['exec', '-i', id, 'sort'], 'b\na\n')).stdout, 'a\nb\n');
  await engine.told('exec', '--detach', id, 'sh', '-c', 'echo detached >/tmp/file; exec sleep 2000');
  await eventually('what the detached one writes', async () => (await engine.docker(['exec', id, 'cat', '/tmp/file'])).stdout === 'detached\n');
  t.is(await engine.told('exec', id, 'sh', '-c', 'cat /proc/1/cmdline | tr "\\0" " "'), 'sleep 1000');
  await engine.remove(id);
});

dockerTest('exec -it has a terminal', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  const script = 'until [ "$(stty size)" = "34 112" ]; do sleep 0.01; done; tty; read line; echo "got $line"; exit 5';
  const { code, stdout } = await engine.terminal('typed\n', 'exec', '-it', id, 'sh', '-c', script);
  t.is(code, 5, stdout);
  t.regex(stdout, /\/dev\/pts\/0/);
  t.regex(stdout, /^got typed\r$/m);
  await engine.remove(id);
});

dockerTest('exec of commands that cannot be executed, and where nothing runs', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  // Docker 20.10 has one status for all of them.
  for (const { command, words } of BAD_COMMANDS) {
    const { code, stdout, stderr } = await engine.docker(['exec', id, command]);
    t.true(code === 126 || code === 127, `${command}: status ${code}`);
    t.regex(stdout + stderr, words);
  }
  await engine.told('pause', id);
  t.is((await engine.docker(['exec', id, 'true'])).code, 1);
  await engine.told('unpause', id);
  await engine.told('kill', id);
  await engine.told('wait', id);
  t.is((await engine.docker(['exec', id, 'true'])).code, 1);
  await engine.remove(id);
});

dockerTest('exec has what the container has', async (t, engine) => {
  const id =
    'grep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp):?" /proc/self/status; grep -v hugetlb /proc/self/cgroup | sed "s/[0-9a-f]\\{64\\}/ID/"; umask; ulimit -n';
  await engine.alike(t, async (other) => {
    const options = ['--cap-drop', 'chown', '--group-add', '5', '--ulimit', 'nofile=99:99', '--security-opt', 'no-new-privileges'];
    const container = await other.detached(options, 'exec sleep 1000');
    const seen = [await other.told('exec', container, 'sh', '-c', id), await other.told('exec', '--user', '1000', container, 'sh', '-c', id)];
    await other.remove(container);
    return seen;
  });
});

/** Values of a container's cgroup that docker's options set. */
const LIMITS: readonly (readonly [string, string])[] = [
  ['memory.limit_in_bytes', 'memory.max'],
  ['memory.soft_limit_in_bytes', 'memory.low'],
  ['cpu.cfs_quota_us', 'cpu.max'],
  ['cpu.shares', 'cpu.weight'],
  ['cpuset.cpus', 'cpuset.cpus'],
  ['pids.max', 'pids.max'],
];

dockerTest('limits hold, and update changes them', async (t, engine) => {
  const options = [
    '--memory',
    '64m',
    '--memory-reservation',
    '32m',
    '--cpus',
    '0.5',
    '--cpu-shares',
    '512',
    '--cpuset-cpus',
    '0',
    '--pids-limit',
    '20',
  ];
  const seen = await engine.alike(t, async (other) => {
    const id = await other.detached(options, 'exec sleep 1000');
    const values = (): string[] => LIMITS.map(([one, two]) => cgroupFile(`${engine.workspace.token}/${id}`, one, two));
    const before = values();
    await other.told('update', '--memory', '96m', '--memory-swap', '-1', '--cpus', '0.25', '--cpu-shares', '256', '--pids-limit', '30', id);
    const after = values();
    const told = [await other.inspect(id, 'HostConfig.Memory'), await other.inspect(id, 'HostConfig.NanoCpus')];
    const refused = await other.docker(['update', '--cpuset-cpus', '4000', id]);
    const unchanged = values();
    await other.remove(id);
    return { before, after, told, refused: refused.code, unchanged };
  });
  t.is(seen.before[0], String(64 * 1024 * 1024));
  t.is(seen.after[0], String(96 * 1024 * 1024));
  t.deepEqual(seen.unchanged, seen.after);
  t.is(seen.refused, 1);
});

dockerTest('top and stats', async (t, engine) => {
  const id = await engine.detached(['--memory', '64m', '--pids-limit', '20'], 'sleep 2000 & exec sleep 1000');
  await eventually('both processes', async () => (await engine.told('top', id)).split('\n').length === 3);
  const listed = await engine.told('top', id, '-o', 'pid,args');
  t.regex(listed, /sleep 1000/);
  t.regex(listed, /sleep 2000/);
  const stats = JSON.parse(await engine.told('stats', '--no-stream', '--format', '{{json .}}', id)) as { MemUsage: string; PIDs: string };
  t.regex(stats.MemUsage, /[1-9].* \/ 64MiB/);
  t.is(stats.PIDs, '2');
  await engine.remove(id);
});

dockerTest('an OOM is reported', async (t, engine) => {
  const greedy = ['--memory', '16m', '--memory-swap', '16m'];
  // The kernel kills a child, and not at once: docker may hear of the end of a first process before it hears why, and listens only after the start,
  // with any runtime.
  const id = await engine.detached(greedy, 'sleep 2; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1; exit 3');
  t.is(await engine.told('wait', id), '3');
  await engine.reach(id, 'State.OOMKilled', 'true');
  await engine.remove(id);
});

dockerTest('--init has a small init reap', async (t, engine) => {
  t.regex(await engine.shell(['--init'], 'tr "\\0" " " </proc/1/cmdline'), /docker-init/);
  t.is((await engine.run(['--init'], 'sh', '-c', 'exit 7')).code, 7);
});

dockerTest('restart policies', async (t, engine) => {
  const id = await engine.detached(['--restart', 'on-failure:2'], 'exit 3');
  await engine.reach(id, 'RestartCount', '2');
  await engine.reach(id, 'State.Status', 'exited');
  t.is(await engine.inspect(id, 'State.ExitCode'), '3');
  await engine.remove(id);
});

dockerTest('health checks', async (_, engine) => {
  const check = ['--health-cmd', 'test -e /tmp/healthy', '--health-interval', '200ms', '--health-retries', '1'];
  const id = await engine.detached(check, 'exec sleep 1000');
  await engine.reach(id, 'State.Health.Status', 'unhealthy');
  await engine.told('exec', id, 'touch', '/tmp/healthy');
  await engine.reach(id, 'State.Health.Status', 'healthy');
  await engine.remove(id);
});

dockerTest('--read-only, --tmpfs and volumes', async (t, engine) => {
  const volume = engine.workspace.path('volume');
  fs.mkdirSync(volume);
  fs.writeFileSync(join(volume, 'file'), 'from the host\n');
  const script = `
    touch /etc/x 2>/dev/null && echo root written; touch /tmpfs/x && echo tmpfs written; cat /ro/file; touch /ro/x 2>/dev/null && echo ro written
    echo from the container >/rw/back; grep " /tmpfs " /proc/self/mountinfo | grep -c size=1024k`;
  const options = ['--read-only', '--tmpfs', '/tmpfs:size=1m', '--volume', `${volume}:/ro:ro`, '--volume', `${volume}:/rw`];
  t.is(await engine.shell(options, script), 'tmpfs written\nfrom the host\n1');
  t.is(fs.readFileSync(join(volume, 'back'), 'utf8'), 'from the container\n');
  t.is(await engine.shell(['--mount', 'type=volume,source=named,destination=/v'], 'echo kept >/v/file'), '');
  t.is(await engine.shell(['--mount', 'type=volume,source=named,destination=/v'], 'cat /v/file'), 'kept');
  await engine.told('volume', 'rm', 'named');
});

dockerTest('a container looks from inside as it does with runc', async (t, engine) => {
  const script = `
    grep -E '^(Name|Umask|Uid|Gid|Groups|Cap.*|NoNewPrivs|Seccomp|Seccomp_filters|Sig[BIC].*):' /proc/self/status
    cat /proc/self/limits /proc/self/oom_score_adj; env | sort; pwd; id; ls -l /proc/self/fd | grep -c ' -> '
    sed 's/[0-9a-f]\\{64\\}/ID/g' /proc/self/cgroup; cut -d ' ' -f 5 /proc/self/mountinfo | sort; ls /sys/fs/cgroup
    ls -ln /dev /dev/fd | sed 's/ [A-Z][a-z][a-z] .*:[0-9][0-9]//'; cat /proc/sys/net/ipv4/ip_unprivileged_port_start`;
  for (const options of [[], ['--user', '1000:1000', '--cap-add', 'NET_ADMIN', '--read-only', '--shm-size', '1m', '--cgroupns', 'private']]) {
    await engine.alike(t, (other) => other.shell(['--hostname', 'h', ...options], script));
  }
});

dockerTest('users, capabilities, seccomp, devices, sysctls, limits of processes', async (t, engine) => {
  t.is(await engine.shell(['--user', 'user', '--group-add', '5'], 'id -u; id -g; id -G >/dev/stdout'), '1000\n1000\n1000 5');
  const effective = async (...options: string[]) => BigInt(`0x${await engine.shell(options, "sed -n 's/^CapEff:.//p' /proc/self/status")}`);
  t.is(await effective('--cap-drop', 'all'), 0n);
  t.is(await effective('--cap-drop', 'all', '--cap-add', 'NET_ADMIN'), 1n << 12n);
  const swapon = (...options: string[]) => engine.run(['--cap-add', 'SYS_ADMIN', '--security-opt', ...options], 'swapon', '/etc/passwd');
  t.regex((await swapon('seccomp=unconfined')).stderr, /Invalid argument/);
  const profile = engine.workspace.path('profile.json');
  fs.writeFileSync(
    profile,
    JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['swapon'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }] }),
  );
  t.regex((await swapon(`seccomp=${profile}`)).stderr, /No space left on device/);
  t.is(await engine.shell(['--device', '/dev/null:/dev/mine:rw'], 'stat -c "%t %T %F" /dev/mine'), '1 3 character special file');
  t.is(await engine.shell(['--sysctl', 'kernel.shm_rmid_forced=1'], 'cat /proc/sys/kernel/shm_rmid_forced'), '1');
  t.is(await engine.shell(['--ulimit', 'nofile=123:456'], 'ulimit -n; ulimit -Hn'), '123\n456');
  t.is(await engine.shell(['--oom-score-adj', '500'], 'cat /proc/self/oom_score_adj'), '500');
});

dockerTest('namespaces of the host and of another container', async (t, engine) => {
  const first = await engine.detached(['--ipc', 'shareable'], 'exec sleep 1000');
  const link = (name: string) => fs.readlinkSync(`/proc/self/ns/${name}`);
  const script = 'cd /proc/self/ns; for name in pid ipc uts; do readlink $name; done';
  t.is(await engine.shell(['--pid', 'host', '--ipc', 'host', '--uts', 'host'], script), [link('pid'), link('ipc'), link('uts')].join('\n'));
  const options = ['--pid', `container:${first}`, '--ipc', `container:${first}`, '--network', `container:${first}`];
  const shared = options.filter((_, index) => index < 4);
  t.is(await engine.shell(shared, 'tr "\\0" " " </proc/1/cmdline'), 'sleep 1000');
  await engine.remove(first);
  // Both of its processes have to go, though the kernel does not end the second with the first.
  const hostPid = await engine.detached(['--pid', 'host'], 'sleep 1000 & exec sleep 2000');
  await engine.told('stop', '--time', '0', hostPid);
  await engine.remove(hostPid);
});

dockerTest('cp, diff and commit', async (t, engine) => {
  const [file, back] = [engine.workspace.path('file'), engine.workspace.path('back')];
  fs.writeFileSync(file, 'from the host\n');
  const id = await engine.detached([], 'exec sleep 1000');
  await engine.told('cp', file, `${id}:/root/file`);
  t.is(await engine.told('exec', id, 'cat', '/root/file'), 'from the host');
  await engine.told('cp', `${id}:/root/file`, back);
  t.is(fs.readFileSync(back, 'utf8'), 'from the host\n');
  t.regex(await engine.told('diff', id), /^A \/root\/file$/m);
  const image = `${engine.workspace.token}:1`;
  await engine.told('commit', id, image);
  await engine.remove(id);
  t.is(await engine.told('run', '--rm', ...engine.usual, image, 'cat', '/root/file'), 'from the host');
  await engine.told('rmi', image);
});

dockerTest('build', async (t, engine) => {
  const context = engine.workspace.path('context');
  fs.mkdirSync(context);
  const build = async (...lines: string[]) => {
    fs.writeFileSync(join(context, 'Dockerfile'), [`FROM ${IMAGE}`, ...lines, ''].join('\n'));
    const options = ['--network', 'none', '--cgroup-parent', `/${engine.workspace.token}`, '--tag', `${engine.workspace.token}:1`];
    return engine.docker(['build', ...options, context]);
  };
  const built = await build('RUN echo built by $(id -un) >/built', 'RUN test -e /built && rm /etc/group', 'CMD cat /built');
  t.is(built.code, 0, built.stderr);
  t.is(await engine.told('run', '--rm', ...engine.usual, `${engine.workspace.token}:1`), 'built by root');
  await engine.told('rmi', `${engine.workspace.token}:1`);
  const failed = await build('RUN exit 9');
  t.is(failed.code, 9);
  t.regex(failed.stderr, /returned a non-zero code: 9/);
  // Steps of a build that has failed stay.
  await (docker as Docker).clear();
});

dockerTest('ten containers at the same time', async (t, engine) => {
  const numbers = Array.from({ length: 10 }, (_, index) => index);
  t.deepEqual(await Promise.all(numbers.map((number) => engine.shell([], `echo ${number}`))), numbers.map(String));
});

if (missing.length === 0) {
  containerTest('when the daemon has ended, nothing is left of it', async (t) => {
    await docker?.end();
    await eventually('shims to end', () => docker?.leaks().length === 0).catch(() => {});
    t.deepEqual(docker?.leaks(), []);
  });
}
