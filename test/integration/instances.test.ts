/** The life of containers made of images: in the background with a keeper, stopped, started again, attached to, renamed, deleted; and volumes. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { CommandOptions, Result, Workspace } from '../helpers/container.ts';
import { eventually, STRATA } from '../helpers/container.ts';
import { Screen } from '../helpers/screen.ts';
import { IMAGE, makeStore } from '../helpers/store.ts';
import { containerTest, failed, failedWith, noPs, unless } from './_support.ts';

/** A store with an image, and one container of it. */
class Life {
  readonly store: string;
  readonly id: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace, config: object = {}) {
    this.workspace = workspace;
    this.id = workspace.id();
    this.store = makeStore(workspace.path('store'), config).store;
  }

  path(...names: readonly string[]): string {
    return join(this.store, 'containers', this.id, ...names);
  }

  try(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return this.workspace.strata(['--store', this.store, ...args], options);
  }

  /** What the command prints. @throws Error if it fails. */
  async strata(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return (await this.workspace.succeed(['--store', this.store, ...args], options)).stdout;
  }

  /** A script in the background. */
  async run(script: string, flags: readonly string[] = []): Promise<void> {
    await this.strata(['run', '--detach', ...flags, '--image', IMAGE, this.id, 'sh', '-c', script]);
  }

  /** What `ps` tells of the container, without asking for all. */
  async listed(): Promise<Record<string, unknown> | undefined> {
    return (JSON.parse(await this.strata(['ps', '--all', '--format', 'json'])) as Record<string, unknown>[]).find(({ id }) => id === this.id);
  }

  async said(words: string): Promise<void> {
    await eventually(`${JSON.stringify(words)} in the log`, async () => (await this.strata(['logs', this.id])).includes(words));
  }

  keeper(): number {
    const found = fs.readdirSync('/proc').filter((name) => {
      try {
        return /^\d+$/.test(name) && fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').startsWith(`strata-keeper\0${this.id}\0`);
      } catch {
        return false;
      }
    });
    if (found.length !== 1) throw new Error(`${found.length} keepers of ${this.id}`);
    return Number(found[0]);
  }

  /** Waits until so many are attached: each is a socket of the keeper's, beside the one that it listens on. */
  async attached(count: number): Promise<void> {
    const directory = `/proc/${this.keeper()}/fd`;
    await eventually(`${count} to be attached`, () => {
      return descriptors(directory).filter((link) => link.startsWith('socket:')).length === 1 + count;
    });
  }

  /** Ends its keeper as nothing else can. */
  async loseKeeper(): Promise<void> {
    const keeper = this.keeper();
    process.kill(keeper, 'SIGKILL');
    await eventually('the keeper to be gone', () => isOver(keeper));
  }

  get pid(): Promise<number> {
    return this.strata(['state', this.id]).then((text) => (JSON.parse(text) as { pid: number }).pid);
  }
}

/** What is open in this directory of /proc, as far as it is still when it is looked at. */
function descriptors(directory: string): string[] {
  return fs.readdirSync(directory).flatMap((name) => {
    try {
      return [fs.readlinkSync(`${directory}/${name}`)];
    } catch {
      return [];
    }
  });
}

/** Whether a process is gone, or a zombie: of a pid namespace that has seen all others off. */
function isOver(pid: number): boolean {
  try {
    return /\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

type LifeTest = (t: ExecutionContext, life: Life, workspace: Workspace) => Promise<unknown>;

function lifeTest(title: string, body: LifeTest, config: object = {}, declare = containerTest): void {
  declare(`a container of an image: ${title}`, async (t, workspace) => {
    const life = new Life(workspace, config);
    await body(t, life, workspace);
    await life.strata(['delete', '--force', life.id]);
    t.deepEqual(fs.readdirSync(join(life.store, 'containers')), []);
    // A keeper may have its container just deleted.
    await eventually('nothing half-made to be left', () => fs.readdirSync(join(life.store, 'tmp')).length === 0);
  });
}

const WAITS = 'trap "echo asked; exit 3" TERM; echo ready; while :; do sleep 0.05; done';

lifeTest('what it writes in the background is logged, and its end is recorded', async (t, life) => {
  await life.run('echo out; echo err >&2; printf "a \\"quoted\\" \\\\ tab\\t \\377 half"; exit 7');
  t.is(await life.strata(['wait', life.id]), '7\n');
  const { stdout, stderr } = await life.try(['logs', life.id]);
  t.is(stdout, 'out\na "quoted" \\ tab\t \ufffd half');
  t.is(stderr, 'err\n');
  const lines = fs.readFileSync(life.path('container.log'), 'utf8').trimEnd().split('\n');
  const records = lines.map((line) => JSON.parse(line) as Record<string, string>);
  t.deepEqual(records.map(({ stream }) => stream).sort(), ['stderr', 'stdout', 'stdout']);
  for (const record of records) {
    t.deepEqual(Object.keys(record), ['log', 'stream', 'time']);
    t.regex(record['time'] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  }
  const { exit, status } = (await life.listed()) as { exit: Record<string, unknown>; status: string };
  t.is(status, 'stopped');
  t.like(exit, { code: 7, oomKilled: false });
  t.is((JSON.parse(await life.strata(['state', life.id])) as { status: string }).status, 'stopped');
});

lifeTest('a want of memory that ends it is recorded, wherever its cgroup is by then', async (t, life, workspace) => {
  const greedy = ['--memory', '16m'];
  await life.run('exec tail /dev/zero', greedy);
  for (let round = 0; round < 3; round++) {
    if (round > 0) await life.strata(['start', life.id]);
    t.is(await life.strata(['wait', life.id]), '137\n');
    t.like((await life.listed())?.['exit'], { code: 137, signal: 9, oomKilled: true });
  }
  const run = async (flags: readonly string[], ...args: readonly string[]): Promise<unknown> => {
    const id = workspace.id();
    await life.try(['run', ...flags, '--image', IMAGE, id, ...args]);
    await life.strata(['wait', id]);
    const { oomKilled } = JSON.parse(fs.readFileSync(join(life.store, 'containers', id, 'exit.json'), 'utf8')) as { oomKilled: boolean };
    await life.strata(['delete', id]);
    return oomKilled;
  };
  t.deepEqual([await run(greedy, 'tail', '/dev/zero'), await run([], 'false'), await run(['--detach'], 'false')], [true, false, false]);
});

lifeTest('logs ends without a word when nobody reads it any more', async (t, life) => {
  await life.run('yes | head -c 1000000');
  await life.strata(['wait', life.id]);
  const through = ['bash', '-c', 'set -o pipefail; "$@" | head -n 1', 'bash'];
  for (const flags of [[], ['--follow']]) {
    const { code, stdout, stderr } = await life.try(['logs', ...flags, life.id], { through });
    // As if by SIGPIPE.
    t.deepEqual([code, stdout, stderr], [141, 'y\n', '']);
  }
});

lifeTest('its keeper is small, holds nothing of ours, and no signal but SIGKILL ends it', async (t, life) => {
  await life.run(WAITS);
  const keeper = life.keeper();
  const memory = fs.readFileSync(`/proc/${keeper}/smaps_rollup`, 'utf8');
  const kibibytes = ['Private_Clean', 'Private_Dirty'].map((name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(memory)?.[1]));
  t.true((kibibytes[0] ?? 0) + (kibibytes[1] ?? 0) <= 300, memory);
  for (const standard of ['0', '1', '2']) t.is(fs.readlinkSync(`/proc/${keeper}/fd/${standard}`), '/dev/null');
  t.is(fs.readlinkSync(`/proc/${keeper}/cwd`), '/');
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR1', 'SIGPIPE'] as const) process.kill(keeper, signal);
  process.kill(await life.pid, 'SIGKILL');
  t.is(await life.strata(['wait', life.id]), '137\n');
  await eventually('its end to be recorded', () => fs.existsSync(life.path('exit.json')));
  t.like(JSON.parse(fs.readFileSync(life.path('exit.json'), 'utf8')), { code: 137, signal: 9 });
});

lifeTest('who has its output still open and goes on writing does not keep its end from being recorded', async (t, life) => {
  await life.run(WAITS);
  await life.said('ready');
  const pid = await life.pid;
  const writer = spawn('sh', ['-c', `exec yes >/proc/${pid}/fd/1`], { stdio: 'ignore' });
  try {
    // Not through logs, which would read what comes faster than it can be told.
    const size = (): number => fs.statSync(life.path('container.log'), { throwIfNoEntry: false })?.size ?? 0;
    const before = size();
    await eventually('the log to grow', () => size() > before);
    process.kill(pid, 'SIGKILL');
    t.is(await life.strata(['wait', life.id]), '137\n');
    await eventually('its end to be recorded', () => fs.existsSync(life.path('exit.json')));
  } finally {
    writer.kill('SIGKILL');
  }
});

lifeTest('stop asks first, and the writable layer stays for the next start', async (t, life) => {
  await life.run(`echo more >>/kept; cat /kept; ${WAITS}`);
  await life.said('ready');
  await life.strata(['stop', life.id]);
  t.like(await life.listed(), { status: 'stopped', exit: { code: 3 } });
  await life.strata(['stop', life.id]);
  await life.strata(['start', life.id]);
  failed(t, await life.try(['start', life.id]), `cannot start container ${life.id}, which is running`);
  await life.strata(['restart', '--time', '5', life.id]);
  await eventually('the third start', async () => (await life.strata(['logs', life.id])).split('ready').length === 4);
  t.is((await life.strata(['logs', life.id])).split('more').length - 1, 6);
  t.is((await life.strata(['logs', '--tail', '1', life.id])).trim(), 'ready');
});

lifeTest(
  'stop sends the signal of the image, and SIGKILL if that does not help',
  async (t, life) => {
    await life.run('trap "echo usr1" USR1; trap "" TERM; echo ready; while :; do sleep 0.05; done');
    await life.said('ready');
    await life.strata(['stop', '--time', '2', life.id]);
    t.like(await life.listed(), { exit: { code: 137, signal: 9 } });
    t.true((await life.strata(['logs', life.id])).includes('usr1'));
  },
  { StopSignal: 'SIGUSR1' },
);

lifeTest('it is there after the machine was down, and is started again', async (t, life, workspace) => {
  await life.run(`echo more >>/kept; cat /kept; ${WAITS}`);
  await life.said('ready');
  const pid = await life.pid;
  await life.loseKeeper();
  process.kill(pid, 'SIGKILL');
  await eventually('the end', () => isOver(pid));
  await workspace.succeed(['delete', life.id]).catch(() => undefined);
  fs.rmSync(join(workspace.root, life.id), { recursive: true, force: true });
  const listed = await life.listed();
  t.is(listed?.['status'], 'stopped');
  t.is(listed?.['exit'], undefined);
  await life.strata(['start', life.id]);
  await eventually('the second start', async () => (await life.strata(['logs', life.id])).split('ready').length === 3);
  t.is((await life.strata(['logs', life.id])).split('more').length - 1, 3);
});

lifeTest('without its keeper it can still be stopped and deleted', async (t, life) => {
  await life.run('while :; do sleep 0.05; done');
  await life.loseKeeper();
  failed(t, await life.try(['attach', life.id]), 'no keeper to attach to');
  await life.strata(['stop', '--time', '0', life.id]);
  t.is((await life.listed())?.['status'], 'stopped');
});

lifeTest('with --rm it goes when it has ended', async (t, life, workspace) => {
  await life.run('until [ -e /go ]; do sleep 0.02; done; exit 4', ['--rm']);
  const waiting = workspace.spawn(['--store', life.store, 'wait', life.id]);
  await eventually('somebody to wait', () => descriptors(`/proc/${waiting.pid}/fd`).some((link) => link.includes('pidfd')));
  await life.strata(['exec', life.id, 'touch', '/go']);
  t.is((await waiting.result).stdout, '4\n');
  await workspace.gone(life.id);
  t.is(await life.listed(), undefined);
  failed(t, await life.try(['start', life.id]), 'does not exist');
});

lifeTest('a program that cannot be run is an error of the command, and nothing is left', async (t, life) => {
  failedWith(t, 127, await life.try(['run', '--detach', '--image', IMAGE, life.id, '/bin/nothing']), /no such file or directory/);
  t.is(await life.listed(), undefined);
});

lifeTest('logs: the last ones, those since a moment, with moments, and following until the end', async (t, life, workspace) => {
  await life.run('for i in 1 2 3; do echo line $i; done; until [ -e /go ]; do sleep 0.02; done; echo line 4; echo line 5');
  await life.said('line 3');
  t.is(await life.strata(['logs', '--tail', '2', life.id]), 'line 2\nline 3\n');
  t.is(await life.strata(['logs', '--tail', '0', life.id]), '');
  const [first = ''] = (await life.strata(['logs', '--timestamps', life.id])).split('\n');
  t.regex(first, /^\d{4}-\d\d-\d\dT[0-9:.]+Z line 1$/);
  t.is(await life.strata(['logs', '--since', '1h', '--until', first.split(' ')[0] ?? '', life.id]), '');
  t.is(await life.strata(['logs', '--since', '2100-01-01', life.id]), '');
  failed(t, await life.try(['logs', '--since', 'yesterday', life.id]), 'a moment such as');
  const following = workspace.spawn(['--store', life.store, 'logs', '--follow', '--tail', '1', life.id]);
  await eventually('the first line', () => following.stdout() !== '');
  await life.strata(['exec', life.id, 'touch', '/go']);
  t.is((await following.result).stdout, 'line 3\nline 4\nline 5\n');
});

lifeTest('its log is begun anew when it is long enough, and old files go', async (t, life) => {
  const script = 'i=0; while [ $i -lt 2000 ]; do echo "number $i"; i=$((i+1)); done; head -c 40000 /dev/zero | tr "\\0" x; echo';
  await life.run(script, ['--log-opt', 'max-size=20k', '--log-opt', 'max-file=3']);
  const followed = await life.strata(['logs', '--follow', life.id]);
  await life.strata(['wait', life.id]);
  const files = fs.readdirSync(life.path()).filter((name) => name.startsWith('container.log'));
  t.deepEqual(files.sort(), ['container.log', 'container.log.1', 'container.log.2']);
  const left = await life.strata(['logs', life.id]);
  t.true(left.endsWith(`${'x'.repeat(40000)}\n`));
  t.true(followed.endsWith(left));
});

lifeTest('attach: what is typed goes to its terminal, which is as large; keys leave it; its status is the command’s', async (t, life, workspace) => {
  await life.run('stty size; while read -r line; do echo "<$line>"; [ "$line" = end ] && exit 5; done', ['--tty', '--interactive']);
  const attach = `$STRATA --store ${life.store} attach`;
  const first = new Screen(workspace, `stty rows 31 cols 79; ${attach} ${life.id}; echo "left $?"`);
  await eventually('the size', async () => (await life.strata(['exec', life.id, 'sh', '-c', 'stty size </proc/1/fd/0'])) === '31 79\n');
  first.type('one\n');
  await first.until('<one>');
  first.type('\x10\x11');
  await first.until('left 0');
  await first.end();
  t.is((await life.listed())?.['status'], 'running');
  const second = new Screen(workspace, `${attach} --detach-keys x,y ${life.id}; echo "ended $?"`);
  await life.attached(1);
  second.type('end\n');
  await second.until('ended 5');
  await second.end();
});

lifeTest('attach: standard input goes to a pipe and ends it; others see the same', async (t, life) => {
  await life.run('cat; echo end >&2', ['--interactive']);
  const watching = life.try(['attach', '--no-stdin', life.id]);
  await life.attached(1);
  const { code, stdout, stderr } = await life.try(['attach', life.id], { stdin: 'one\ntwo\n' });
  t.deepEqual([code, stdout, stderr], [0, 'one\ntwo\n', 'end\n']);
  const watched = await watching;
  t.deepEqual([watched.code, watched.stdout, watched.stderr], [0, 'one\ntwo\n', 'end\n']);
});

lifeTest('attach: one more than the keeper takes is told so', async (t, life, workspace) => {
  await life.run('exec cat', ['--interactive']);
  const others = Array.from({ length: 8 }, () => connect(join(workspace.root, life.id, 'attach.sock')));
  await life.attached(others.length);
  failed(t, await life.try(['attach', life.id], { stdin: 'lost' }), '8 others are attached already');
  for (const socket of others) socket.destroy();
  await life.attached(0);
  t.is((await life.try(['attach', life.id], { stdin: 'heard' })).stdout, 'heard');
});

lifeTest('attach: signals are passed on; who does not read holds nobody up for long', async (t, life, workspace) => {
  await life.run(
    `echo ready; i=0; while [ $i -lt 30000 ]; do echo "a line of some length, so that buffers are filled $i"; i=$((i+1)); done; ${WAITS}`,
  );
  const args = ['--root', workspace.root, '--store', life.store, 'attach', life.id];
  const stuck = spawn(STRATA, args, { env: { PATH: process.env.PATH ?? '', STRATA_TEST: workspace.token }, stdio: ['ignore', 'pipe', 'ignore'] });
  stuck.stdout.pause();
  t.teardown(() => stuck.kill('SIGKILL'));
  await life.said('29999');
  const attached = workspace.spawn(['--store', life.store, 'attach', life.id]);
  await life.attached(2);
  attached.process.kill('SIGTERM');
  t.is((await attached.result).code, 3);
  stuck.kill('SIGKILL');
});

lifeTest('rename: it is the same container under another id, while it does not run', async (t, life, workspace) => {
  await life.run(`echo kept >/kept; ${WAITS}`);
  await life.said('ready');
  const other = workspace.id('other');
  failed(t, await life.try(['rename', life.id, other]), 'which is running');
  await life.strata(['stop', life.id]);
  failed(t, await life.try(['rename', life.id, '../x']), 'invalid container id');
  await life.strata(['rename', life.id, other]);
  failed(t, await life.try(['rename', life.id, other]), 'does not exist');
  await life.strata(['start', other]);
  t.is(await life.strata(['exec', other, 'cat', '/kept']), 'kept\n');
  await life.strata(['stop', '--time', '0', other]);
  await life.strata(['rename', other, life.id]);
});

lifeTest('ps lists those that run, with --all the others, and containers of bundles', async (t, life, workspace) => {
  await life.strata(['create', '--image', IMAGE, life.id, 'sleep', '100']);
  t.is(await life.strata(['ps', '--quiet']), '');
  t.like(await life.listed(), { status: 'created', command: ['sleep', '100'], image: 'docker.io/library/box:latest', pid: 0 });
  await life.strata(['start', life.id]);
  const bundle = await workspace.start(workspace.script('sleep 100'));
  const ids = (await life.strata(['ps', '--quiet'])).trimEnd().split('\n');
  t.deepEqual(ids, [bundle.id, life.id].sort());
  t.regex(await life.strata(['ps', '--size']), new RegExp(`${life.id} +box:latest +sleep 100 .*Up since .* \\(virtual `));
  t.is(await life.strata(['ps', '--quiet', '--filter', 'image=box']), `${life.id}\n`);
  t.is(await life.strata(['ps', '--quiet', '--filter', 'status=stopped']), '');
  failed(t, await life.try(['ps', '--all', life.id]), 'with a container id there is only --format');
  failed(t, await life.try(['delete', life.id]), 'not stopped');
  await life.strata(['stop', '--time', '0', bundle.id, life.id]);
  t.is(await life.strata(['ps', '--quiet']), '');
  await workspace.remove(bundle.id);
});

const shown: LifeTest = async (t, life) => {
  await life.run('sleep 100');
  t.regex(await life.strata(['ps', life.id]), /sleep 100/);
};
lifeTest('ps with its id lists its processes', shown, {}, unless(noPs()));

lifeTest('one that was run in the foreground stays, and verbs that need it running say so', async (t, life) => {
  t.is((await life.try(['run', '--image', IMAGE, life.id, 'sh', '-c', 'exit 6'])).code, 6);
  t.like(await life.listed(), { status: 'stopped', exit: { code: 6 } });
  t.is(await life.strata(['wait', life.id]), '6\n');
  for (const verb of [
    ['kill', life.id],
    ['exec', life.id, 'true'],
    ['pause', life.id],
    ['attach', life.id],
  ]) {
    failed(t, await life.try(verb), `container not running: ${life.id} has stopped`);
  }
  await life.strata(['start', life.id]);
  t.is(await life.strata(['wait', life.id]), '6\n');
});

lifeTest('of several who start it at once, one succeeds', async (t, life) => {
  await life.strata(['create', '--image', IMAGE, life.id, 'sleep', '100']);
  const results = await Promise.all([1, 2, 3, 4].map(() => life.try(['start', life.id])));
  t.is(results.filter(({ code }) => code === 0).length, 1);
  for (const result of results.filter(({ code }) => code !== 0)) failed(t, result, `container ${life.id}`);
  life.keeper();
});

lifeTest('volumes are kept when containers go, unless nobody has named them', async (t, life) => {
  await life.strata(['volume', 'create', '--label', 'a=b', 'data']);
  failed(t, await life.try(['volume', 'create', 'data']), 'volume data exists');
  failed(t, await life.try(['volume', 'create', '../x']), 'invalid volume name');
  await life.run('echo kept >/data/file', ['--volume', 'data:/data', '--volume', '/nameless']);
  await life.strata(['wait', life.id]);
  const volumes = JSON.parse(await life.strata(['volume', 'ls', '--format', 'json'])) as { name: string; anonymous: boolean; containers: string[] }[];
  t.deepEqual(volumes.map(({ anonymous }) => anonymous).sort(), [false, true]);
  t.true(volumes.every(({ containers }) => containers[0] === life.id));
  failed(t, await life.try(['volume', 'rm', 'data']), `volume data is in use by container ${life.id}`);
  t.is(await life.strata(['volume', 'prune', '--all']), '');
  await eventually('the end', async () => (await life.listed())?.['status'] === 'stopped');
  await life.strata(['delete', life.id]);
  t.is(await life.strata(['volume', 'ls', '--quiet']), 'data\n');
  const report = JSON.parse(await life.strata(['volume', 'inspect', 'data'])) as { path: string; labels: object; containers: string[] };
  t.deepEqual([report.labels, report.containers], [{ a: 'b' }, []]);
  t.is(fs.readFileSync(join(report.path, 'file'), 'utf8'), 'kept\n');
  t.is(await life.strata(['volume', 'prune']), '');
  t.is(await life.strata(['volume', 'prune', '--all', '--dry-run']), 'would remove data\n');
  await life.strata(['volume', 'rm', 'data']);
  failed(t, await life.try(['volume', 'rm', 'data']), 'volume does not exist');
  await life.strata(['volume', 'rm', '--force', 'data']);
});
