/** Podman drives strata: what its users do all day. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ContainerState } from '../../src/lifecycle/state.ts';
import type { Result, Workspace } from '../helpers/container.ts';
import { eventually, STRATA, whyNoContainers } from '../helpers/container.ts';
import { IMAGE, missingPrograms, Podman } from '../helpers/podman.ts';
import { containerTest } from './_support.ts';

const missing = missingPrograms('podman', 'conmon', 'catatonit', 'script');
let podman: Podman | undefined;

test.before(() => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  podman = new Podman();
  podman.importImage();
});
test.after.always(() => podman?.dispose());

/** Podman in a workspace. */
class Engine {
  readonly workspace: Workspace;
  readonly #podman: Podman;

  constructor(workspace: Workspace, engine: Podman) {
    this.workspace = workspace;
    this.#podman = engine;
  }

  /** `podman ARGS...` */
  podman(...args: readonly string[]): Promise<Result> {
    return this.#podman.run(args);
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

  /** With a terminal, into which `input` is typed. */
  terminal(options: readonly string[], input: string, ...command: readonly string[]): Promise<Result> {
    const line = [...this.#podman.command, 'run', '--rm', '-it', ...this.usual, ...options, IMAGE, ...command];
    return this.#podman.execute(['script', '-qec', `stty rows 34 cols 112; ${line.join(' ')}`, '/dev/null'], input);
  }

  /** `podman rm --force`, which now and then, with any runtime, runs into podman's own clean-up after the container. */
  async remove(container: string): Promise<void> {
    await eventually(`${container} to be removed`, async () => {
      const { code, stderr } = await this.podman('rm', '--force', '--time', '0', container);
      if (code !== 0 && !stderr.includes('device or resource busy')) throw new Error(stderr);
      return code === 0;
    });
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
    await removeParents(workspace.token);
  });
}

/** Podman itself makes the parent cgroup, with one for its conmon in it, and leaves both. */
async function removeParents(token: string): Promise<void> {
  for (const name of fs.readdirSync('/sys/fs/cgroup')) {
    for (const path of [`${token}/conmon`, token]) {
      const directory = join('/sys/fs/cgroup', name, path);
      await eventually(`${directory} to be unused`, () => !fs.existsSync(directory) || isRemoved(directory));
    }
  }
}

function isRemoved(directory: string): boolean {
  try {
    fs.rmdirSync(directory);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false;
    throw error;
  }
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
  const cases: readonly (readonly [string, number, RegExp])[] = [
    ['nope', 127, /executable file not found in \$PATH/],
    ['/no/such/program', 127, /stat \/no\/such\/program: no such file or directory/i],
    ['/etc/passwd', 126, /permission denied/i],
    ['/etc', 126, /permission denied|is a directory/i],
  ];
  for (const [command, status, words] of cases) {
    const { code, stdout, stderr } = await engine.run([], command);
    t.is(code, status, stderr);
    t.is(stdout, '');
    t.regex(stderr, words);
  }
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
  const path = (name: string) => engine.workspace.cgroups(`${engine.workspace.token}/libpod-${id}/${name}`)[0] ?? '';
  const limit = (one: string, two: string) => fs.readFileSync(path(one) || path(two), 'utf8').trim();
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
  const script = 'id -u; id -g; id -G; umask; touch /tmp/x && stat -c %u:%g /tmp/x';
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
