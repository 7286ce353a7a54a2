/** Podman with `--cgroup-manager systemd`: the scopes of its containers are strata's to ask systemd for. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { eventually, STRATA, type Workspace } from '../helpers/container.ts';
import { IMAGE, missingPrograms } from '../helpers/engine.ts';
import { Podman } from '../helpers/podman.ts';
import { NO_SYSTEMD, unless } from './_support.ts';

const missing = missingPrograms('podman', 'conmon', 'catatonit', 'script');
const LACKING = NO_SYSTEMD ?? (missing.length > 0 ? `needs ${missing.join(', ')}` : undefined);
const MIB = 1048576;
let podman: Podman;

test.before(() => {
  if (LACKING !== undefined) return;
  podman = new Podman('systemd');
  podman.importImage();
});
test.after.always(() => podman?.end());

/** Podman in a workspace, with strata or with another runtime. */
class Engine {
  readonly slice: string;
  readonly #runtime: readonly string[];

  constructor({ token }: Workspace, runtime = STRATA) {
    this.slice = `${token}.slice`;
    this.#runtime = ['--runtime', runtime];
  }

  /** `podman ARGS...`, which must succeed: what it prints, without the last newline. @throws Error with what it said. */
  async told(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await podman.run(args, undefined, this.#runtime);
    if (code !== 0) throw new Error(`podman ${args.join(' ')}: status ${code}\n${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** `podman run OPTIONS... IMAGE COMMAND...`, without a network, which podman would need plugins for. */
  run(options: readonly string[], ...command: readonly string[]): Promise<string> {
    return this.told('run', '--network', 'none', '--cgroup-parent', this.slice, ...options, IMAGE, ...command);
  }

  /** `podman run --detach`; the container's id. */
  sleeping(...options: readonly string[]): Promise<string> {
    return this.run(['--detach', ...options], 'sleep', '1000');
  }

  inspect(container: string, field: string): Promise<string> {
    return this.told('container', 'inspect', '--format', `{{.${field}}}`, container);
  }

  async remove(container: string): Promise<void> {
    await this.told('rm', '--force', '--time', '0', container);
  }

  /** The cgroup that a container's first process is in. */
  async cgroup(container: string): Promise<string> {
    return fs
      .readFileSync(`/proc/${await this.inspect(container, 'State.Pid')}/cgroup`, 'utf8')
      .trim()
      .slice('0::'.length);
  }
}

function podmanTest(title: string, body: (t: ExecutionContext, engine: Engine, workspace: Workspace) => Promise<unknown>): void {
  unless(LACKING)(title, async (t, workspace) => {
    const engine = new Engine(workspace);
    try {
      await body(t, engine, workspace);
      t.deepEqual(podman.containers(), []);
      // Conmon, and its scope with it, ends a little later than its container.
      await eventually('the scopes to be gone', () => scopes(engine.slice) === '');
    } finally {
      await podman.clear();
      execFileSync('systemctl', ['stop', engine.slice]);
    }
  });
}

/** Scopes in a slice, as systemd lists them. */
function scopes(slice: string): string {
  const directory = `/sys/fs/cgroup/${slice}`;
  if (!fs.existsSync(directory)) return '';
  return fs
    .readdirSync(directory)
    .filter((name) => name.endsWith('.scope'))
    .join(' ');
}

/** Properties of a unit, one a line. */
function shown(unit: string, ...names: readonly string[]): string {
  return execFileSync('systemctl', ['show', unit, ...names.map((name) => `--property=${name}`)], { encoding: 'utf8' }).trim();
}

const LIMITS = [
  '--memory',
  '64m',
  '--memory-swap',
  '96m',
  '--memory-reservation',
  '32m',
  '--pids-limit',
  '50',
  '--cpus',
  '0.5',
  '--cpu-shares',
  '512',
];
const FILES = ['memory.max', 'memory.swap.max', 'memory.low', 'pids.max', 'cpu.max', 'cpu.weight'];
const VALUES = [`${64 * MIB}`, `${32 * MIB}`, `${32 * MIB}`, '50', '50000 100000', '59'];
const PROPERTIES = ['MemoryMax', 'MemorySwapMax', 'MemoryLow', 'TasksMax', 'CPUQuotaPerSecUSec', 'Slice', 'DevicePolicy', 'ActiveState'];

podmanTest('limits are seen inside, and are properties of a scope in the slice, as with runc', async (t, engine, workspace) => {
  const script = `cd /sys/fs/cgroup && cat ${FILES.join(' ')}`;
  t.deepEqual((await engine.run(['--rm', ...LIMITS], 'sh', '-c', script)).split('\n'), VALUES);
  const properties: string[] = [];
  for (const one of [engine, ...(missingPrograms('runc').length === 0 ? [new Engine(workspace, 'runc')] : [])]) {
    const id = await one.sleeping(...LIMITS);
    t.true((await one.cgroup(id)).startsWith(`/${engine.slice}/libpod-${id}.scope`));
    properties.push(shown(`libpod-${id}.scope`, ...PROPERTIES));
    await one.remove(id);
    t.is(shown(`libpod-${id}.scope`, 'LoadState'), 'LoadState=not-found');
  }
  for (const line of [`MemoryMax=${64 * MIB}`, `MemorySwapMax=${32 * MIB}`, 'TasksMax=50', `Slice=${engine.slice}`, 'ActiveState=active'])
    t.true(properties[0]?.split('\n').includes(line), `${line} in ${properties[0]}`);
  t.is(new Set(properties).size, 1, properties.join('\n\n'));
});

podmanTest('update, stats, top and exec', async (t, engine) => {
  const id = await engine.sleeping('--memory', '64m');
  await engine.told('update', '--memory', '128m', '--cpus', '0.25', id);
  const directory = `/sys/fs/cgroup${await engine.cgroup(id)}`;
  t.deepEqual(
    ['memory.max', 'cpu.max'].map((file) => fs.readFileSync(`${directory}/${file}`, 'utf8').trim()),
    [`${128 * MIB}`, '25000 100000'],
  );
  t.is(shown(`libpod-${id}.scope`, 'MemoryMax', 'CPUQuotaPerSecUSec'), `CPUQuotaPerSecUSec=250ms\nMemoryMax=${128 * MIB}`);
  t.regex(await engine.told('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDS}}', id), /^[1-9]\S*B \/ \S+B 1$/);
  t.regex(await engine.told('top', id, 'args'), /sleep 1000/);
  t.is(await engine.told('exec', id, 'cat', '/proc/self/cgroup'), '0::/');
  t.is(await engine.told('exec', '--user', '1000', id, 'id', '-u'), '1000');
  await engine.remove(id);
});

podmanTest('pause, unpause, stop, start and rm', async (t, engine) => {
  const id = await engine.run(['--detach'], 'sh', '-c', 'trap "exit 4" TERM; while :; do sleep 0.01; done');
  const unit = `libpod-${id}.scope`;
  await engine.told('pause', id);
  t.is(await engine.inspect(id, 'State.Status'), 'paused');
  t.is(fs.readFileSync(`/sys/fs/cgroup${await engine.cgroup(id)}/cgroup.events`, 'utf8').includes('frozen 1'), true);
  await engine.told('unpause', id);
  await engine.told('stop', '--time', '60', id);
  t.is(await engine.inspect(id, 'State.ExitCode'), '4');
  await eventually('the scope to be gone', () => shown(unit, 'LoadState') === 'LoadState=not-found');
  await engine.told('start', id);
  t.is(shown(unit, 'ActiveState'), 'ActiveState=active');
  await engine.told('pause', id);
  await engine.remove(id);
});

podmanTest('-it has a terminal', async (t, engine) => {
  const args = ['run', '--rm', '-it', '--network', 'none', '--cgroup-parent', engine.slice, IMAGE, 'sh'];
  const { code, stdout } = await podman.terminal([...podman.command, ...args], 'tty; stty size; exit 5\n');
  t.is(code, 5);
  t.regex(stdout, /\/dev\/pts\/0/);
  t.regex(stdout, /^34 112\r$/m);
});

podmanTest('a pod: its containers are in a slice of its own, with its limits', async (t, engine) => {
  const pod = await engine.told('pod', 'create', '--network', 'none', '--cgroup-parent', engine.slice, '--memory', '256m');
  const containers: string[] = [];
  for (const _ of ['one', 'other']) containers.push(await engine.told('run', '--detach', '--pod', pod, IMAGE, 'sleep', '1000'));
  const places = await Promise.all(containers.map((id) => engine.cgroup(id)));
  for (const [index, id] of containers.entries()) t.regex(places[index] ?? '', new RegExp(`^/${engine.slice}/\\S+\\.slice/libpod-${id}\\.scope`));
  const [parents] = places.map((place) => place.split('/').slice(0, 3).join('/'));
  t.is(fs.readFileSync(`/sys/fs/cgroup${parents}/memory.max`, 'utf8'), `${256 * MIB}\n`);
  await engine.told('pod', 'rm', '--force', '--time', '0', pod);
  await eventually('the slice to be gone', () => !fs.existsSync(`/sys/fs/cgroup${parents}`));
});
