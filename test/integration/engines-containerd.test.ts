/** Containerd drives strata through its shim: `ctr run --runc-binary`, and all that ctr can do with a task. */
import * as fs from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Result, Workspace } from '../helpers/container.ts';
import { eventually, STRATA, whyNoContainers } from '../helpers/container.ts';
import { Containerd } from '../helpers/containerd.ts';
import { BAD_COMMANDS, cgroupFile, IMAGE, missingPrograms, removeParents, whereIs } from '../helpers/engine.ts';
import { containerTest } from './_support.ts';

const missing = missingPrograms('containerd', 'containerd-shim-runc-v2', 'ctr', 'podman', 'runc', 'script');
let containerd: Containerd | undefined;

test.before(async () => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  containerd = new Containerd();
  await containerd.ready();
});
test.after.always(async () => {
  await containerd?.end();
  containerd?.dispose();
});

/** Ctr in a workspace, with one runtime. */
class Engine {
  readonly workspace: Workspace;
  readonly #containerd: Containerd;
  readonly #binary: string;

  constructor(workspace: Workspace, engine: Containerd, binary = STRATA) {
    this.workspace = workspace;
    this.#containerd = engine;
    this.#binary = binary;
  }

  /** `ctr ARGS...` */
  ctr(args: readonly string[], input?: string): Promise<Result> {
    return this.#containerd.ctr(args, input);
  }

  /** The same, and it must succeed: what it prints, without the last newline. */
  told(...args: readonly string[]): Promise<string> {
    return this.#containerd.told([...this.#containerd.command, ...args]);
  }

  /** `ctr run --rm OPTIONS... IMAGE ID COMMAND...` */
  run(options: readonly string[], ...command: readonly string[]): Promise<Result> {
    return this.ctr(this.line(['--rm', ...options], this.workspace.id(), ...command));
  }

  /** `ctr run --detach`; the container's id. */
  async detached(options: readonly string[], script: string): Promise<string> {
    const id = this.workspace.id();
    await this.told(...this.line(['--detach', ...options], id, 'sh', '-c', script));
    return id;
  }

  /** `ctr task exec` */
  exec(id: string, options: readonly string[], command: readonly string[], input?: string): Promise<Result> {
    return this.ctr(['task', 'exec', '--exec-id', this.workspace.id('e'), ...options, id, ...command], input);
  }

  /** `ctr ARGS...` with a terminal, into which `input` is typed. */
  terminal(input: string, ...args: readonly string[]): Promise<Result> {
    return this.#containerd.terminal([...this.#containerd.command, ...args], input);
  }

  async status(id: string): Promise<string> {
    const line = (await this.told('task', 'ls')).split('\n').find((text) => text.startsWith(id));
    return line?.split(/\s+/)[2] ?? '';
  }

  async pid(id: string): Promise<number> {
    const line = (await this.told('task', 'ls')).split('\n').find((text) => text.startsWith(id));
    return Number(line?.split(/\s+/)[1]);
  }

  async reach(id: string, status: string): Promise<void> {
    await eventually(`${id} to be ${status}`, async () => (await this.status(id)) === status);
  }

  /** Kills and deletes. */
  async remove(id: string): Promise<void> {
    await this.told('task', 'delete', '--force', id);
    await this.told('container', 'delete', id);
  }

  /** What a scenario comes to with strata, which must be what it comes to with runc. */
  async alike<T>(t: ExecutionContext, scenario: (engine: Engine) => Promise<T>): Promise<T> {
    const ours = await scenario(this);
    t.deepEqual(ours, await scenario(new Engine(this.workspace, this.#containerd, whereIs('runc'))));
    return ours;
  }

  /** A command line of `ctr run`, with the cgroup where the workspace looks for leaks. */
  line(options: readonly string[], id: string, ...command: readonly string[]): string[] {
    return [
      'run',
      '--runc-binary',
      this.#binary,
      '--runc-root',
      this.#containerd.state,
      '--cgroup',
      `/${this.workspace.token}/${id}`,
      ...options,
      IMAGE,
      id,
      ...command,
    ];
  }
}

function ctrTest(title: string, body: (t: ExecutionContext, engine: Engine) => Promise<void>): void {
  if (missing.length > 0) {
    test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());
    return;
  }
  containerTest(title, async (t, workspace) => {
    if (containerd === undefined) throw new Error('containerd has not been set up');
    const engine = new Engine(workspace, containerd);
    try {
      await body(t, engine);
    } catch (error) {
      await containerd.clear();
      throw error;
    }
    t.is(await engine.told('container', 'ls', '--quiet'), '');
    t.is(await engine.told('task', 'ls', '--quiet'), '');
    t.deepEqual(containerd.containers(), []);
    // A shim goes a little later than its task.
    await eventually('shims to end', () => !workspace.leaks().some((line) => line.startsWith('process')));
    await removeParents(workspace.token);
  });
}

ctrTest('run: output, environment, working directory, exit status, input', async (t, engine) => {
  const script = 'echo "$GREETING $FROM_IMAGE $PWD $$"; echo err >&2; exit 42';
  const { code, stdout, stderr } = await engine.run(['--env', 'GREETING=hello world', '--cwd', '/tmp'], 'sh', '-c', script);
  t.deepEqual([code, stdout, stderr], [42, 'hello world yes /tmp 1\n', 'err\n']);
  // Ctr 1.6 does not tell a container that its input has come to an end.
  const reader = engine.line(['--rm'], engine.workspace.id(), 'sh', '-c', 'read line; echo "got $line"');
  t.is((await engine.ctr(reader, 'typed\n')).stdout, 'got typed\n');
});

ctrTest('run --tty has a terminal', async (t, engine) => {
  const script = 'until [ "$(stty size)" = "34 112" ]; do sleep 0.01; done; tty; read line; echo "got $line"; exit 5';
  const { code, stdout } = await engine.terminal('typed\n', ...engine.line(['--rm', '--tty'], engine.workspace.id(), 'sh', '-c', script));
  t.is(code, 5, stdout);
  t.regex(stdout, /\/dev\/(pts\/0|console)/);
  t.regex(stdout, /^got typed\r$/m);
});

ctrTest('commands that cannot be executed are told in words, and leave nothing', async (t, engine) => {
  for (const { command, words } of BAD_COMMANDS) {
    const id = engine.workspace.id();
    const { code, stdout, stderr } = await engine.ctr(engine.line(['--rm'], id, command));
    t.deepEqual([code, stdout], [1, '']);
    t.regex(stderr, /OCI runtime create failed/);
    t.regex(stderr, words);
  }
  const limit = await engine.run(['--memory-limit', '1'], 'true');
  t.is(limit.code, 1);
  t.regex(limit.stderr, /OCI runtime create failed/);
});

ctrTest('a task: list, processes, pause, resume, kill, delete', async (t, engine) => {
  const id = await engine.detached([], 'trap "exit 6" USR1; sleep 1000 & while :; do sleep 0.01; done');
  t.is(await engine.status(id), 'RUNNING');
  const pid = await engine.pid(id);
  t.true(fs.existsSync(`/proc/${pid}`));
  await eventually('both processes', async () => (await engine.told('task', 'ps', id)).split('\n').length >= 3);
  t.regex(await engine.told('task', 'ps', id), new RegExp(`^${pid} `, 'm'));
  await engine.told('task', 'pause', id);
  t.is(await engine.status(id), 'PAUSED');
  await engine.told('task', 'resume', id);
  t.is(await engine.status(id), 'RUNNING');
  await engine.told('task', 'kill', '--signal', 'SIGUSR1', id);
  await engine.reach(id, 'STOPPED');
  await engine.told('task', 'delete', id);
  await engine.told('container', 'delete', id);
});

ctrTest('kill --all, and tasks that are deleted by force, running or paused', async (t, engine) => {
  const id = await engine.detached([], 'sleep 1000 & exec sleep 2000');
  await engine.told('task', 'kill', '--all', '--signal', 'SIGKILL', id);
  await engine.reach(id, 'STOPPED');
  await engine.told('task', 'delete', id);
  await engine.told('container', 'delete', id);
  const paused = await engine.detached([], 'exec sleep 1000');
  await engine.told('task', 'pause', paused);
  await engine.remove(paused);
  await engine.remove(await engine.detached([], 'exec sleep 1000'));
  const again = await engine.ctr(['task', 'kill', id]);
  t.regex(again.stderr, /not found/);
});

ctrTest('a container whose task is started again', async (t, engine) => {
  const id = await engine.detached([], 'echo started; exit 3');
  await engine.reach(id, 'STOPPED');
  await engine.told('task', 'delete', id);
  const { code, stdout } = await engine.ctr(['task', 'start', id]);
  t.deepEqual([code, stdout], [3, 'started\n']);
  await engine.told('container', 'delete', id);
});

ctrTest('exec: output, input, user, working directory, exit status, terminal, detached', async (t, engine) => {
  const id = await engine.detached(['--env', 'OF=container'], 'exec sleep 1000');
  const script = 'echo "$OF $PWD $(id -u):$(id -g)"; echo err >&2; exit 9';
  const told = await engine.exec(id, ['--cwd', '/tmp', '--user', '1000:1000'], ['sh', '-c', script]);
  t.deepEqual([told.code, told.stdout, told.stderr], [9, 'container /tmp 1000:1000\n', 'err\n']);
  t.is((await engine.exec(id, [], ['sh', '-c', 'read line; echo "got $line"'], 'typed\n')).stdout, 'got typed\n');
  const typed = 'until [ "$(stty size)" = "34 112" ]; do sleep 0.01; done; tty; read line; echo "got $line"; exit 5';
  const terminal = await engine.terminal('typed\n', 'task', 'exec', '--exec-id', 'terminal', '--tty', id, 'sh', '-c', typed);
  t.is(terminal.code, 5, terminal.stdout);
  t.regex(terminal.stdout, /\/dev\/pts\/0/);
  t.regex(terminal.stdout, /^got typed\r$/m);
  t.is((await engine.exec(id, ['--detach'], ['sh', '-c', 'echo detached >/tmp/file'])).code, 0);
  await eventually('what the detached one writes', async () => (await engine.exec(id, [], ['cat', '/tmp/file'])).stdout === 'detached\n');
  await engine.remove(id);
});

ctrTest('exec of commands that cannot be executed, and where nothing runs', async (t, engine) => {
  const id = await engine.detached([], 'exec sleep 1000');
  for (const { command, words } of BAD_COMMANDS) {
    const { code, stderr } = await engine.exec(id, [], [command]);
    t.is(code, 1);
    t.regex(stderr, /OCI runtime exec failed/);
    t.regex(stderr, words);
  }
  await engine.told('task', 'kill', '--signal', 'SIGKILL', id);
  await engine.reach(id, 'STOPPED');
  t.is((await engine.exec(id, [], ['true'])).code, 1);
  await engine.remove(id);
});

ctrTest('metrics, and limits that are seen in them', async (t, engine) => {
  const options = ['--memory-limit', String(64 * 1024 * 1024), '--cpus', '0.5', '--cpu-shares', '512'];
  const limits = await engine.alike(t, async (other) => {
    const id = await other.detached(options, 'exec sleep 1000');
    const path = `${engine.workspace.token}/${id}`;
    const values = [
      cgroupFile(path, 'memory.limit_in_bytes', 'memory.max'),
      cgroupFile(path, 'cpu.cfs_quota_us', 'cpu.max'),
      cgroupFile(path, 'cpu.shares', 'cpu.weight'),
    ];
    const metrics = async () => JSON.parse(await other.told('task', 'metrics', '--format', 'json', id)) as Metrics;
    // runc's process has several threads until it has become the program, which may be after it is said to run.
    await eventually('one process', async () => (await metrics()).pids.current === 1);
    const { usage } = (await metrics()).memory;
    await other.remove(id);
    return [...values, String(usage.limit)];
  });
  t.deepEqual([limits[0], limits[3]], [String(64 * 1024 * 1024), String(64 * 1024 * 1024)]);
});

/** What is looked at of the metrics of a task. */
interface Metrics {
  readonly memory: { readonly usage: { readonly limit: number } };
  readonly pids: { readonly current: number };
}

ctrTest('the kernel kills who takes more memory', async (t, engine) => {
  const options = ['--memory-limit', String(16 * 1024 * 1024)];
  const { code } = await engine.run(options, 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=64M', 'count=1');
  t.is(code, 137);
});

ctrTest('a read-only root, mounts, devices, capabilities, seccomp, privileged', async (t, engine) => {
  const volume = engine.workspace.path('volume');
  fs.mkdirSync(volume);
  fs.writeFileSync(`${volume}/file`, 'from the host\n');
  const mount = ['--read-only', '--mount', `type=bind,src=${volume},dst=/mnt,options=rbind:ro`];
  const seen = await engine.run(
    mount,
    'sh',
    '-c',
    'touch /x 2>/dev/null && echo root written; touch /mnt/x 2>/dev/null && echo written; cat /mnt/file',
  );
  t.is(seen.stdout, 'from the host\n', seen.stderr);
  const status = `grep -E '^(Uid|Gid|Cap.*|NoNewPrivs|Seccomp):' /proc/self/status; cut -d ' ' -f 5 /proc/self/mountinfo | sort; ls /dev; cat /proc/self/limits`;
  for (const options of [[], ['--seccomp', '--cap-drop', 'CAP_CHOWN', '--cap-add', 'CAP_NET_ADMIN'], ['--privileged'], ['--net-host']]) {
    await engine.alike(t, async (other) => (await other.run(options, 'sh', '-c', status)).stdout);
  }
});

ctrTest('a pid file, and a bundle whose root file system is a directory', async (t, engine) => {
  const file = engine.workspace.path('pid');
  const id = await engine.detached(['--pid-file', file], 'exec sleep 1000');
  t.is(Number(fs.readFileSync(file, 'utf8')), await engine.pid(id));
  await engine.remove(id);
  const [rootfs, other] = [`${engine.workspace.bundle().directory}/rootfs`, engine.workspace.id()];
  const line = engine
    .line(['--rm', '--rootfs'], other, '/bin/sh', '-c', 'echo written >/root/file')
    .map((argument) => (argument === IMAGE ? rootfs : argument));
  const ran = await engine.ctr(line);
  t.is(ran.code, 0, ran.stderr);
  t.is(fs.readFileSync(`${rootfs}/root/file`, 'utf8'), 'written\n');
});

if (missing.length === 0) {
  containerTest('when the daemon has ended, nothing is left of it', async (t) => {
    await containerd?.end();
    t.deepEqual(containerd?.leaks(), []);
  });
}
