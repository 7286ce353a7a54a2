/** `checkpoint` and `restore` of containers of bundles: what a program has goes on where it was, and nothing is left of what fails. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Bundle, CommandOptions, Edit, Result, Running, Workspace } from '../helpers/container.ts';
import { CGROUP_V2, eventually, hasCapability, namespaceOf, withNamespace, withUserNamespace } from '../helpers/container.ts';
import { CRIU_PATH, criuMajor, hasFeature, whyNoCheckpoints } from '../helpers/criu.ts';
import { containerTest, failed, fields, mountTable } from './_support.ts';

const reason = process.getuid?.() === 0 ? whyNoCheckpoints() : undefined;

/** A test that needs CRIU, and what is named of it. */
function checkpointTest(
  title: string,
  body: (t: ExecutionContext, subject: Subject, workspace: Workspace) => Promise<unknown>,
  feature?: string,
): void {
  const why = reason ?? (feature === undefined || hasFeature(feature) ? undefined : `criu finds no ${feature} in this kernel`);
  if (why !== undefined) {
    test.skip(`checkpoint: ${title} (${why})`, (t) => t.pass());
    return;
  }
  containerTest(`checkpoint: ${title}`, (t, workspace) => body(t, new Subject(workspace), workspace));
}

/** A container that is taken down and up again. */
class Subject {
  readonly images: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    this.images = workspace.path('images');
  }

  try(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return this.workspace.strata(args, { ...options, env: { PATH: CRIU_PATH, ...options.env } });
  }

  spawn(args: readonly string[], options: CommandOptions = {}): Running {
    return this.workspace.spawn(args, { ...options, env: { PATH: CRIU_PATH, ...options.env } });
  }

  async must(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    const result = await this.try(args, options);
    if (result.code !== 0) throw new Error(`strata ${args.join(' ')}: ${result.stderr}\n${this.log()}`);
    return result;
  }

  checkpoint(id: string, ...flags: readonly string[]): Promise<Result> {
    return this.must(['checkpoint', '--image-path', this.images, ...flags, id]);
  }

  /** In the background, under a new id; gives that back. */
  async restore(bundle: Bundle, ...flags: readonly string[]): Promise<string> {
    const id = this.workspace.id('r');
    await this.must(['restore', '--detach', '--bundle', bundle.directory, '--image-path', this.images, ...flags, id]);
    return id;
  }

  /** The end of CRIU's logs: why something failed is there. */
  private log(): string {
    const out: string[] = [];
    for (const name of ['dump.log', 'restore.log', 'pre-dump.log']) {
      const path = join(this.images, name);
      if (fs.existsSync(path))
        out.push(
          name,
          ...fs
            .readFileSync(path, 'utf8')
            .split('\n')
            .filter((line) => /Error|Warn/.test(line)),
        );
    }
    return out.join('\n');
  }
}

/** Counts in memory, into a file that it holds open. */
const COUNTS = 'exec 3>/count; i=0; while :; do i=$((i+1)); echo $i >&3; sleep 0.02; done';

function lines(path: string): string[] {
  return fs.existsSync(path) ? fs.readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
}

/** Waits until the count has grown. */
async function grows(bundle: Bundle, file = 'count'): Promise<number> {
  const path = join(bundle.rootfs, file);
  const before = lines(path).length;
  await eventually('the count to grow', () => lines(path).length > before + 2);
  return lines(path).length;
}

/** Has it counted without a gap, and nothing twice? */
function isWhole(bundle: Bundle, file = 'count'): boolean {
  return lines(join(bundle.rootfs, file)).every((line, index) => line === String(index + 1));
}

checkpointTest('a shell that has put its standard output aside for a moment', async (t, subject, workspace) => {
  const bundle = workspace.script('exec 3>/count; while :; do echo x >&3; done');
  const { id } = await workspace.start(bundle);
  await eventually('the shell to write', () => fs.existsSync(join(bundle.rootfs, 'count')) && fs.statSync(join(bundle.rootfs, 'count')).size > 0);
  // One in three looks would find the other file in its place.
  for (let look = 0; look < 8; look++) {
    const images = join(subject.images, String(look));
    await subject.must(['checkpoint', '--leave-running', '--image-path', images, id]);
    const names = JSON.parse(fs.readFileSync(join(images, 'descriptors.json'), 'utf8')) as readonly string[];
    t.regex(names.join(' '), /^\S+ file\[\S+\] file\[\S+\]$/);
  }
  await workspace.remove(id);
});

checkpointTest('a root that is read-only and has no /tmp', async (t, subject, workspace) => {
  const bundle = workspace.script('sleep 1000', { root: { readonly: true } });
  fs.rmSync(join(bundle.rootfs, 'tmp'), { recursive: true, force: true });
  const { id } = await workspace.start(bundle);
  await subject.checkpoint(id);
  if (criuMajor() < 4) {
    const refused = workspace.id();
    failed(t, await subject.try(['restore', '--detach', '--bundle', bundle.directory, '--image-path', subject.images, refused]), '/root/readonly');
    failed(t, await subject.try(['state', refused]), 'not exist');
    return;
  }
  const restored = await subject.restore(bundle);
  t.is((await workspace.state(restored)).status, 'running');
  t.is((await workspace.strata(['exec', restored, 'touch', '/made'])).stderr, 'touch: /made: Read-only file system\n');
  await workspace.remove(restored);
});

checkpointTest('memory, open files and their offsets; the old container is gone, the new one whole', async (t, subject, workspace) => {
  const script = `exec 4</input; read first <&4; trap 'read second <&4; echo "$first $second" >/both' USR1; ${COUNTS}`;
  // prlimit(2) of another user's process, which CRIU asks for its limits, needs that capability.
  const user = hasCapability('CAP_SYS_RESOURCE') ? 1000 : 0;
  const bundle = workspace.script(script, { process: { user: { uid: user, gid: user, additionalGids: [5] }, env: ['PATH=/bin', 'NAME=value'] } });
  bundle.file('input', 'one\ntwo\nthree\n');
  for (const name of ['count', 'both']) fs.chownSync(bundle.file(name, ''), user, user);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  await subject.checkpoint(id);
  failed(t, await subject.try(['state', id]), 'not exist');
  t.deepEqual(workspace.leaks(), []);
  t.true(isWhole(bundle));
  const count = lines(join(bundle.rootfs, 'count')).length;

  const pidFile = workspace.path('pid');
  const restored = await subject.restore(bundle, '--pid-file', pidFile);
  t.true((await grows(bundle)) > count);
  t.true(isWhole(bundle), 'a number is missing or there twice');
  const state = await workspace.state(restored);
  t.is(state.status, 'running');
  t.is(fs.readFileSync(pidFile, 'utf8'), String(state.pid));
  t.like(fields(fs.readFileSync(`/proc/${state.pid}/status`, 'utf8')), { Uid: `${user}\t${user}\t${user}\t${user}`, Groups: '5', NoNewPrivs: '1' });
  t.true(fs.readFileSync(`/proc/${state.pid}/environ`, 'utf8').includes('NAME=value'));
  await subject.must(['kill', restored, 'USR1']);
  await eventually('the program to read on', () => lines(join(bundle.rootfs, 'both')).length === 1);
  t.deepEqual(lines(join(bundle.rootfs, 'both')), ['one two']);
  t.is((await subject.must(['exec', restored, 'sh', '-c', 'echo $(hostname) $$'])).stdout.split(' ')[0], 'strata');
  await workspace.remove(restored);
});

checkpointTest('restore in the foreground ends with the status of the program', async (t, subject, workspace) => {
  const bundle = workspace.script('while [ ! -e /end ]; do sleep 0.02; done; exit 7');
  const { id } = await workspace.start(bundle);
  await subject.checkpoint(id);
  const running = subject.spawn(['restore', '--bundle', bundle.directory, '--image-path', subject.images, id]);
  await workspace.reach(id, 'running').catch(() => {});
  bundle.file('end', '');
  t.is((await running.result).code, 7, running.stderr());
  failed(t, await subject.try(['state', id]), 'not exist');
});

checkpointTest('pipes and files that were its standard streams become the new ones', async (t, subject, workspace) => {
  const bundle = workspace.script('i=0; while :; do i=$((i+1)); echo "out $i"; echo "err $i" >&2; sleep 0.02; done');
  const { id, stdout } = await workspace.start(bundle);
  await eventually('it to print', () => stdout().includes('out 3\n'));
  await subject.checkpoint(id);
  const running = subject.spawn(['restore', '--detach', '--bundle', bundle.directory, '--image-path', subject.images, id]);
  t.is((await running.result).code, 0, running.stderr());
  await eventually('it to print on', () => running.stdout().split('\n').length > 3 && running.stderr().split('\n').length > 3);
  const before = stdout().trim().split('\n').length;
  t.regex(running.stdout(), new RegExp(`^out ${before + 1}\n`));
  await workspace.remove(id);
});

checkpointTest('a terminal', async (t, subject, workspace) => {
  const bundle = workspace.script('stty -echo; echo ready; while read -r line; do echo "<$line>"; done', { process: { terminal: true } });
  const receiver = (): { socket: string; said: () => string; type: (text: string) => void } => {
    const socket = workspace.path('console');
    const child = workspace.helper([consoleReceiver(workspace), socket]);
    let said = '';
    child.stdout?.on('data', (data: Buffer) => {
      said += data.toString();
    });
    return { socket, said: () => said, type: (text) => void child.stdin?.write(text) };
  };
  const first = receiver();
  await eventually('the socket', () => fs.existsSync(first.socket));
  const { id } = await workspace.start(bundle, ['--console-socket', first.socket]);
  await eventually('the program to be ready', () => first.said().includes('ready'));
  await subject.checkpoint(id);
  const second = receiver();
  await eventually('the socket', () => fs.existsSync(second.socket));
  const restored = await subject.restore(bundle, '--console-socket', second.socket);
  second.type('hello\n');
  await eventually('the program to answer', () => second.said().includes('<hello>'));
  t.regex(second.said(), /^name /);
  await workspace.remove(restored);
});

/** A program that says n1, n2 and so on over a connection to another, which writes what it hears to a file. */
const TALKS = (address: string): string => `(i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done) | nc ${address}`;

checkpointTest('a connection between two of its own processes, with --tcp-established only', async (t, subject, workspace) => {
  const listens = "grep -q ':1B58 .* 0A ' /proc/net/tcp /proc/net/tcp6";
  const talks = TALKS('127.0.0.1 7000');
  const bundle = workspace.script(`tail -f /dev/null | nc -l -p 7000 >/count & until ${listens}; do sleep 0.1; done; ${talks}`);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  const refused = await subject.try(['checkpoint', '--image-path', subject.images, id]);
  failed(t, refused, '--tcp-established');
  t.is((await workspace.state(id)).status, 'running');
  await grows(bundle);
  await subject.checkpoint(id, '--tcp-established');
  const restored = await subject.restore(bundle, '--tcp-established');
  await grows(bundle);
  t.true(isWhole(bundle));
  await workspace.remove(restored);
});

async function joinedNetwork(t: ExecutionContext, subject: Subject, workspace: Workspace): Promise<void> {
  const heard = workspace.path('heard');
  const server = workspace.helper(['unshare', '--net', 'sh', '-c', `ip link set lo up; echo up; exec busybox nc -l -p 7000 >${heard}`]);
  await new Promise((fulfil) => server.stdout?.once('data', fulfil));
  const bundle = workspace.script(TALKS('127.0.0.1 7000'), (config) => withNamespace(config, 'network', `/proc/${server.pid}/ns/net`));
  await eventually('the server to listen', () => /:1B58 .* 0A /.test(fs.readFileSync(`/proc/${server.pid}/net/tcp6`, 'utf8')));
  const { id } = await workspace.start(bundle);
  await eventually('the server to hear it', () => lines(heard).length > 3);
  await subject.checkpoint(id, '--tcp-established');
  const count = lines(heard).length;
  const restored = await subject.restore(bundle, '--tcp-established');
  await eventually('the server to hear more', () => lines(heard).length > count + 3);
  t.deepEqual(
    lines(heard),
    lines(heard).map((_, index) => String(index + 1)),
  );
  t.is(namespaceOf((await workspace.state(restored)).pid, 'net'), namespaceOf(server.pid, 'net'));
  await workspace.remove(restored);
}
// 3.17 locks such a namespace at dump and at restore, and then cannot take the rules away.
if (criuMajor() >= 4) checkpointTest('a connection out of a network namespace that it has joined', joinedNetwork);
else test.skip('checkpoint: a connection out of a network namespace that it has joined (needs CRIU 4)', (t) => t.pass());

checkpointTest('--leave-running, and the copy under another id from another bundle beside it', async (t, subject, workspace) => {
  const bundle = workspace.script(COUNTS);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  // Paused it stays so, and its files are as the checkpoint has them.
  await subject.must(['pause', id]);
  await subject.checkpoint(id, '--leave-running');
  t.is((await workspace.state(id)).status, 'paused');
  const other = workspace.script('exit 1');
  fs.copyFileSync(join(bundle.rootfs, 'count'), join(other.rootfs, 'count'));
  await subject.must(['resume', id]);
  const copy = await subject.restore(other);
  await grows(bundle);
  await grows(other);
  t.true(isWhole(bundle));
  const [first, second] = [await workspace.state(id), await workspace.state(copy)];
  t.is(first.status, 'running');
  t.is(second.bundle, other.directory);
  t.not(first.pid, second.pid);
  for (const type of ['pid', 'net', 'mnt', 'ipc', 'uts']) t.not(namespaceOf(first.pid, type), namespaceOf(second.pid, type), type);
  t.not(fs.readFileSync(`/proc/${first.pid}/cgroup`, 'utf8'), fs.readFileSync(`/proc/${second.pid}/cgroup`, 'utf8'));
  await workspace.remove(id);
  await workspace.remove(copy);
});

checkpointTest('limits are in force again, and the devices', async (t, subject, workspace) => {
  const bundle = workspace.script(COUNTS, {
    linux: { resources: { memory: { limit: 64 * 1024 * 1024 }, pids: { limit: 33 }, cpu: { shares: 512 } } },
  });
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  await subject.checkpoint(id);
  const restored = await subject.restore(bundle);
  await grows(bundle);
  const { pid } = await workspace.state(restored);
  const files = CGROUP_V2
    ? { 'memory.max': String(64 * 1024 * 1024), 'pids.max': '33' }
    : { 'memory.limit_in_bytes': String(64 * 1024 * 1024), 'pids.max': '33', 'cpu.shares': '512' };
  for (const [file, value] of Object.entries(files)) {
    const found = cgroupsOf(pid).filter((directory) => fs.existsSync(join(directory, file)));
    t.is(found.length, 1, file);
    t.is(fs.readFileSync(join(found[0] ?? '', file), 'utf8').trim(), value, file);
  }
  t.is(
    (await subject.must(['exec', restored, 'sh', '-c', 'mknod /tmp/d b 7 200 2>&1 && cat /tmp/d 2>&1; true'])).stdout.includes('not permitted'),
    true,
  );
  await workspace.remove(restored);
});

checkpointTest('bind mounts are taken from the bundle that is restored', async (t, subject, workspace) => {
  const [first, second] = [workspace.path('first'), workspace.path('second')];
  for (const directory of [first, second]) fs.mkdirSync(directory);
  const mounts = (source: string): Edit => {
    return (config) => void config.mounts.push({ destination: '/data', type: 'bind', source, options: ['bind'] });
  };
  const script = 'i=0; while :; do i=$((i+1)); echo $i >>/data/count; sleep 0.02; done';
  const bundle = workspace.script(script, mounts(first));
  const { id } = await workspace.start(bundle);
  await eventually('it to write', () => lines(join(first, 'count')).length > 2);
  await subject.checkpoint(id);
  const count = lines(join(first, 'count')).length;
  const restored = await subject.restore(workspace.script(script, mounts(second)));
  await eventually('it to write elsewhere', () => lines(join(second, 'count')).length > 2);
  t.true(Math.abs(Number(lines(join(second, 'count'))[0]) - count) <= 1);
  t.is(lines(join(first, 'count')).length, count);
  await workspace.remove(restored);
});

checkpointTest('a bind mount whose source is a symbolic link, of a file and of a directory', async (t, subject, workspace) => {
  const directory = workspace.path('real');
  fs.mkdirSync(directory);
  fs.writeFileSync(join(directory, 'file'), 'behind a link\n');
  const [toDirectory, toFile] = [workspace.path('link'), workspace.path('link')];
  fs.symlinkSync(directory, toDirectory);
  fs.symlinkSync(join(directory, 'file'), toFile);
  const bundle = workspace.script(COUNTS, (config) => {
    for (const [destination, source] of [
      ['/directory', toDirectory],
      ['/file', toFile],
    ] as const)
      config.mounts.push({ destination, type: 'bind', source, options: ['bind'] });
  });
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  await subject.checkpoint(id);
  const restored = await subject.restore(bundle);
  t.is((await subject.must(['exec', restored, 'cat', '/directory/file', '/file'])).stdout, 'behind a link\nbehind a link\n');
  await workspace.remove(restored);
});

checkpointTest('the directory of a socket of sd_notify(3), whoever restores it', async (t, subject, workspace) => {
  const edits: readonly [address: string, place: string, edit: Edit][] = [
    ['@nobody', '/run/notify', (config) => void config.mounts.push({ destination: '/run', type: 'tmpfs', source: 'tmpfs' })],
    ['/tmp/a/socket', '/tmp/a/socket', {}],
  ];
  for (const [index, [address, place, edit]] of edits.entries()) {
    const images = ['--image-path', workspace.path('notified')];
    const bundle = workspace.script(COUNTS, edit);
    const { id } = await workspace.create(bundle, [], { env: { NOTIFY_SOCKET: address, PATH: CRIU_PATH } });
    await workspace.succeed(['start', id]);
    await grows(bundle);
    await subject.must(['checkpoint', ...images, id]);
    // Of another root file system, where nothing was made for the mount.
    if (index === 1) fs.rmSync(join(bundle.rootfs, 'tmp/a'), { recursive: true });
    const restored = workspace.id('r');
    const env = { PATH: CRIU_PATH, ...(index === 0 && { NOTIFY_SOCKET: '@somebody-else' }) };
    await subject.must(['restore', '--detach', '--bundle', bundle.directory, ...images, restored], { env });
    await grows(bundle);
    const { pid } = await workspace.state(restored);
    const mount = mountTable(fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8'))[place];
    t.true(mount?.root.endsWith(`/${restored}/notify`), mount?.root);
    for (const option of ['ro', 'nosuid', 'nodev', 'noexec']) t.true(mount?.options.includes(option), option);
    // Once more, of what was restored.
    await subject.must(['checkpoint', ...images, restored]);
    t.deepEqual(workspace.leaks(), []);
    const again = workspace.id('r');
    await subject.must(['restore', '--detach', '--bundle', bundle.directory, ...images, again], { env });
    await grows(bundle);
    await workspace.remove(again);
  }
});

checkpointTest('what CRIU leaves out: session keyring, sysctls of the network, I/O priority', async (t, subject, workspace) => {
  // Whole at any moment.
  const report = (name: string, command: string): string => `${command} >/new && mv /new /${name}`;
  const reports = [report('serial', '/ring'), report('port', 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start'), report('priority', 'ionice -p 1')];
  const script = `while :; do ${reports.join('; ')}; echo >>/count; sleep 0.05; done`;
  const bundle = workspace.script(script, {
    process: { ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 6 } },
    linux: { sysctl: { 'net.ipv4.ip_unprivileged_port_start': '77' } },
  });
  const ring = join(bundle.rootfs, 'ring');
  execFileSync('cc', ['-static', '-o', ring, join(import.meta.dirname, '../helpers/session-keyring.c')]);
  const seen = (): string[] => ['serial', 'port', 'priority'].map((name) => fs.readFileSync(join(bundle.rootfs, name), 'utf8').trim());
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  const [, port, priority] = seen();
  t.is(port, '77');
  await subject.checkpoint(id);
  const restored = await subject.restore(bundle);
  await grows(bundle);
  const [serial, ...others] = seen();
  t.not(serial, execFileSync(ring, { encoding: 'utf8' }).trim());
  t.deepEqual(others, [port, priority]);
  await workspace.remove(restored);
});

checkpointTest('a user namespace', async (t, subject, workspace) => {
  // Its standard streams are its own: CRIU opens those of others again, as a user whom our files are not for.
  const bundle = workspace.script(`exec </dev/null >/dev/null 2>&1; ${COUNTS}`, (config) => withUserNamespace(config, 100_000));
  bundle.giveTo(100_000);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  await subject.checkpoint(id);
  // Memory of programs is in it.
  t.is(fs.statSync(subject.images).mode & 0o007, 0);
  const restored = await subject.restore(bundle);
  await grows(bundle);
  t.true(isWhole(bundle));
  const { pid } = await workspace.state(restored);
  t.regex(fs.readFileSync(`/proc/${pid}/uid_map`, 'utf8'), /^\s+0\s+100000\s+65536\n$/);
  await workspace.remove(restored);
});

checkpointTest('a file lock, with --file-locks only', async (t, subject, workspace) => {
  const bundle = workspace.bundle({ process: { args: ['/lock', '/count'] } });
  execFileSync('cc', ['-O', '-static', '-o', join(bundle.rootfs, 'lock'), join(import.meta.dirname, '../helpers/lock.c')]);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  failed(t, await subject.try(['checkpoint', '--image-path', subject.images, id]), 'lock');
  t.is((await workspace.state(id)).status, 'running');
  await subject.checkpoint(id, '--file-locks');
  const restored = await subject.restore(bundle, '--file-locks');
  await grows(bundle);
  t.true(isWhole(bundle));
  t.throws(() => execFileSync('flock', ['--nonblock', join(bundle.rootfs, 'count'), 'true']));
  await workspace.remove(restored);
});

checkpointTest(
  '--pre-dump, and the rest of it with --parent-path',
  async (t, subject, workspace) => {
    const bundle = workspace.script(`x=$(seq 1 20000); ${COUNTS}`);
    const { id } = await workspace.start(bundle);
    await grows(bundle);
    const parent = workspace.path('parent');
    await subject.must(['checkpoint', '--pre-dump', '--image-path', parent, id]);
    t.is((await workspace.state(id)).status, 'running');
    await grows(bundle);
    await subject.checkpoint(id, '--parent-path', `../${parent.split('/').pop()}`);
    t.is(fs.readlinkSync(join(subject.images, 'parent')), `../${parent.split('/').pop()}`);
    t.true(sizeOf(subject.images) < sizeOf(parent));
    const restored = await subject.restore(bundle);
    await grows(bundle);
    t.true(isWhole(bundle));
    await workspace.remove(restored);
  },
  'mem_dirty_track',
);

checkpointTest('--page-server: memory goes to another place', async (t, subject, workspace) => {
  const bundle = workspace.script(COUNTS);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  fs.mkdirSync(subject.images);
  const port = await pageServer(workspace, subject.images);
  const work = workspace.path('images');
  await subject.must(['checkpoint', '--image-path', work, '--page-server', `127.0.0.1:${port}`, id]);
  t.deepEqual(
    fs.readdirSync(work).filter((name) => name.startsWith('pages-')),
    [],
  );
  for (const name of fs.readdirSync(work)) fs.copyFileSync(join(work, name), join(subject.images, name));
  const restored = await subject.restore(bundle);
  await grows(bundle);
  t.true(isWhole(bundle));
  await workspace.remove(restored);
});

checkpointTest('an image directory that is damaged, or none: one line, and nothing is left', async (t, subject, workspace) => {
  const bundle = workspace.script(COUNTS);
  const { id } = await workspace.start(bundle);
  await grows(bundle);
  await subject.checkpoint(id);
  const core = fs.readdirSync(subject.images).filter((name) => name.startsWith('core-'))[0] as string;
  const whole = fs.readFileSync(join(subject.images, core));
  const attempt = (images = subject.images): Promise<Result> =>
    subject.try(['restore', '--detach', '--bundle', bundle.directory, '--image-path', images, workspace.id()]);
  for (const damaged of [whole.subarray(0, 40), Buffer.alloc(whole.length, 0xff)]) {
    fs.writeFileSync(join(subject.images, core), damaged);
    failed(t, await attempt(), 'restore');
    t.deepEqual(workspace.leaks(), []);
  }
  failed(t, await attempt(workspace.path('nothing')));
  t.deepEqual(workspace.leaks(), []);
  fs.writeFileSync(join(subject.images, core), whole);
  await workspace.remove(await subject.restore(bundle));
});

checkpointTest('what cannot be is told before anything is touched', async (t, subject, workspace) => {
  const bundle = workspace.script(COUNTS);
  const { id } = await workspace.create(bundle);
  failed(t, await subject.try(['checkpoint', '--image-path', subject.images, id]), 'not been started');
  failed(t, await subject.try(['checkpoint', '--image-path', subject.images, 'absent']), 'not exist');
  failed(t, await subject.try(['restore', '--detach', '--bundle', bundle.directory, '--image-path', subject.images, id]), id);
  failed(t, await subject.try(['checkpoint', '--image-path', subject.images, id], { env: { PATH: '/nowhere' } }));
  await workspace.succeed(['start', id]);
  // It is looked for in the usual directories too.
  if (!fs.existsSync('/usr/sbin/criu'))
    failed(t, await subject.try(['checkpoint', '--image-path', subject.images, id], { env: { PATH: '/nowhere' } }), 'criu');
  t.is((await workspace.state(id)).status, 'running');
  await workspace.remove(id);
  // What could not be restored is not taken down.
  const joined = await workspace.start(workspace.script(COUNTS, (config) => withNamespace(config, 'ipc', `/proc/${process.pid}/ns/ipc`)));
  failed(t, await subject.try(['checkpoint', '--image-path', subject.images, joined.id]), 'ipc namespace');
  t.is((await workspace.state(joined.id)).status, 'running');
  await workspace.remove(joined.id);
});

// --- small things ------------------------------------------------------------------------------------------------------------------------------

function cgroupsOf(pid: number): string[] {
  return fs
    .readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, controllers = '', path = ''] = line.split(':');
      const name = controllers === '' ? (CGROUP_V2 ? '' : 'unified') : controllers.replace('name=', '');
      return join('/sys/fs/cgroup', name, path);
    });
}

function sizeOf(directory: string): number {
  return fs.readdirSync(directory).reduce((sum, name) => sum + (name.startsWith('pages-') ? fs.statSync(join(directory, name)).size : 0), 0);
}

async function pageServer(workspace: Workspace, directory: string): Promise<number> {
  const port = 20_000 + (process.pid % 10_000);
  const log = workspace.path('page-server.log');
  workspace.helper([
    'env',
    `PATH=${CRIU_PATH}`,
    'criu',
    'page-server',
    '-D',
    directory,
    '--address',
    '127.0.0.1',
    '--port',
    String(port),
    '-o',
    log,
    '-v4',
  ]);
  const listening = new RegExp(`^\\s*\\d+: 0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A `, 'm');
  await eventually('the page server to listen', () => listening.test(fs.readFileSync('/proc/net/tcp', 'utf8')));
  return port;
}

function consoleReceiver(workspace: Workspace): string {
  const program = join(workspace.directory, 'console-receiver');
  if (!fs.existsSync(program)) execFileSync('cc', ['-O', '-o', program, join(import.meta.dirname, '../helpers/console-receiver.c')]);
  return program;
}
