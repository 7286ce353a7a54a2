/** What the static command promises beyond what it does on both hosts: it needs nothing, finds Node without help, and stays small. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join, resolve } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ContainerState } from '../../src/lifecycle/state.ts';
import { type Bundle, type CommandOptions, eventually, type Result, STRATA, type Workspace } from '../helpers/container.ts';
import { failed, isStatic, unless } from './_support.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const HOSTS = ['static', 'node'] as const;
/** Far more than any configuration takes, and less than what would hurt a small machine, KiB. */
const CEILING = 400 * 1024;
const MIB = 1024 * 1024;

function staticTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>): void {
  unless(isStatic() ? undefined : 'needs the static command')(title, body);
}

staticTest('the program is one static file at a fixed address', async (t) => {
  const { stdout, stderr } = spawnSync('ldd', [STRATA], { encoding: 'utf8' });
  t.regex(stdout + stderr, /not a dynamic executable/);
  const headers = execFileSync('readelf', ['--file-header', '--program-headers', STRATA], { encoding: 'utf8' });
  t.regex(headers, /Type:\s+EXEC/);
  t.notRegex(headers, /INTERP|DYNAMIC/);
  t.true(fs.lstatSync(STRATA).isFile());
});

staticTest('a verb that is like several is answered with all of them', async (t, workspace) => {
  failed(t, await workspace.strata(['stat']), "unknown command 'stat' (Did you mean one of start, state?)");
});

/** A root that holds a copy of the command, a bundle, /proc, /sys and /dev; only helpers of the workspace see its mounts. */
class Cell {
  readonly workspace: Workspace;
  readonly root: string;
  private readonly through: readonly string[];

  private constructor(workspace: Workspace, root: string, through: readonly string[]) {
    this.workspace = workspace;
    this.root = root;
    this.through = through;
  }

  /** `isMount`: the root is a mount; else it is a plain directory of a mount that is shared with others. */
  static async make(workspace: Workspace, bundle: Bundle, isMount: boolean): Promise<Cell> {
    const root = workspace.path('cell');
    fs.mkdirSync(root);
    const script = `
      ${isMount ? `mount -t tmpfs -o mode=755 cell ${root}` : 'mount --make-rshared /'}
      mkdir ${root}/proc ${root}/sys ${root}/dev
      cp ${STRATA} ${root}/strata
      cp -a ${bundle.directory} ${root}/bundle
      for name in proc sys dev; do mount --rbind /$name ${root}/$name; done
      echo ready
      exec sleep 1000`;
    const { pid, stdout } = workspace.helper(['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', script]);
    const ready = await new Promise<string>((fulfil) => stdout?.once('data', (data: Buffer) => fulfil(data.toString())));
    if (ready !== 'ready\n') throw new Error(`the cell cannot be made: ${ready}`);
    return new Cell(workspace, root, ['nsenter', `--mount=/proc/${pid}/ns/mnt`, 'chroot', root]);
  }

  strata(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return this.workspace.strata(['--root', '/state', ...args], { ...options, through: this.through, command: '/strata' });
  }

  async succeed(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.strata(args);
    if (code !== 0) throw new Error(`strata ${args.join(' ')}: status ${code}\n${stderr}`);
    return stdout;
  }

  /** The mounts around and in the cell. */
  mounts(): string {
    const [nsenter = '', mount = ''] = this.through;
    return execFileSync(nsenter, [mount, 'cat', '/proc/self/mountinfo'], { encoding: 'utf8' });
  }

  /** What is in a directory of the cell. */
  list(directory: string): string[] {
    const [nsenter = '', mount = ''] = this.through;
    return execFileSync(nsenter, [mount, 'ls', '-A', join(this.root, directory)], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);
  }
}

for (const isMount of [true, false]) {
  staticTest(`in a root with nothing but a bundle, /proc, /sys and /dev: a ${isMount ? 'mount' : 'plain directory'}`, (t, workspace) =>
    inCell(t, workspace, isMount),
  );
}

async function inCell(t: ExecutionContext, workspace: Workspace, isMount: boolean): Promise<void> {
  const busybox = '/bundle/rootfs/bin/busybox';
  const note = (kind: string) => [
    { path: busybox, args: ['sh', '-c', `echo ${kind} >>/bundle/rootfs/notes; cat >/bundle/state.${kind}`], timeout: 60 },
  ];
  const bundle = workspace.script('cat /notes; while [ ! -e /end ]; do sleep 0.02; done; exit 7', {
    hooks: { prestart: note('prestart'), createRuntime: note('createRuntime'), poststart: note('poststart'), poststop: note('poststop') },
    linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['swapon'], action: 'SCMP_ACT_ERRNO' }] } },
  });
  const cell = await Cell.make(workspace, bundle, isMount);
  const mounts = cell.mounts();

  t.regex(await cell.succeed('--version'), /^host: static$/m);
  failed(t, await cell.strata(['spec', '--bundle', '/bundle']), '/bundle/config.json', 'exists');
  await cell.succeed('spec', '--bundle', '/bundle/rootfs');
  t.regex(await cell.succeed('plan', '--bundle', '/bundle/rootfs'), /mount/);
  t.deepEqual(cell.list(''), ['bundle', 'dev', 'proc', 'strata', 'sys']);

  await cell.succeed('create', '--bundle', '/bundle', '--pid-file', '/pid', 'a');
  const created = JSON.parse(await cell.succeed('state', 'a')) as ContainerState;
  t.like(created, { status: 'created', bundle: '/bundle', rootfs: '/bundle/rootfs' });
  await cell.succeed('start', 'a');
  t.regex(await cell.succeed('list'), /^a +\d+ +running +\/bundle /m);
  t.deepEqual(JSON.parse(await cell.succeed('ps', '--format', 'json', 'a'))[0], created.pid);
  // ps(1) is not there.
  failed(t, await cell.strata(['ps', 'a']), 'executable file not found');
  await cell.succeed('pause', 'a');
  await cell.succeed('resume', 'a');
  await cell.succeed('kill', 'a', 'KILL');
  await eventually('it to be dead', async () => (JSON.parse(await cell.succeed('state', 'a')) as ContainerState).status === 'stopped');
  await cell.succeed('delete', 'a');
  t.deepEqual(
    cell.list('bundle').filter((name) => name.startsWith('state')),
    ['createRuntime', 'poststart', 'poststop', 'prestart'].map((kind) => `state.${kind}`),
  );
  t.deepEqual(
    cell.list('state').filter((name) => name !== '@seccomp'),
    [],
  );

  const running = cell.strata(['run', '--bundle', '/bundle', 'b']);
  await eventually(
    'it to run',
    async () => cell.list('bundle/rootfs').includes('notes') && /"running"/.test((await cell.strata(['state', 'b'])).stdout),
  );
  await cell.succeed('kill', 'b', 'KILL');
  t.is((await running).code, 137);

  t.is(cell.mounts(), mounts);

  // Neither Node nor what would run on it is there.
  failed(t, await cell.strata(['list'], { env: { STRATA_HOST: 'node' } }), 'not installed');
}

staticTest('without an environment', async (t, workspace) => {
  const bundle = workspace.script('echo ran; exit 5');
  for (const host of HOSTS) {
    const through = ['env', '-i', `STRATA_HOST=${host}`];
    const strata = (...args: string[]): Promise<Result> => workspace.strata(args, { through });
    t.regex((await strata('--version')).stdout, new RegExp(`^host: ${host}$`, 'm'));
    const { code, stdout, stderr } = await strata('run', '--bundle', bundle.directory, workspace.id());
    t.deepEqual([code, stdout, stderr], [5, 'ran\n', ''], host);
    const id = workspace.id();
    for (const args of [['create', '--bundle', bundle.directory, id], ['start', id], ['state', id], ['list'], ['delete', '--force', id]])
      t.is((await strata(...args)).code, 0, args[0]);
  }
  // Not even this word.
  t.regex((await workspace.strata(['--version'], { through: ['env', '-i'] })).stdout, /^host: static$/m);
});

staticTest('with standard descriptors closed', async (t, workspace) => {
  const out = workspace.path('out');
  const script =
    'echo printed; echo complained >&2; links=$(for fd in 0 1 2; do readlink /proc/1/fd/$fd; done); exec >/out; echo "$links"; ls /proc/1/fd; exit 4';
  const bundle = workspace.script(script);
  const { length } = '012';
  for (const host of HOSTS) {
    for (let closed = 1; closed < 1 << length; closed++) {
      const redirections = ['0<&-', '1>&-', '2>&-'].filter((_, descriptor) => (closed >> descriptor) & 1);
      const through = ['sh', '-c', `exec "$@" ${redirections.join(' ')}`, 'sh'];
      const options = { through, env: { STRATA_HOST: host } };
      const where = `${host}, ${redirections.join(' ')}`;
      const { code, stdout, stderr } = await workspace.run(bundle, [], options);
      t.is(code, 4, where);
      t.is(stdout, closed & 2 ? '' : 'printed\n', where);
      t.is(stderr, closed & 4 ? '' : 'complained\n', where);
      const [first, second, third, ...open] = fs.readFileSync(join(bundle.rootfs, 'out'), 'utf8').trimEnd().split('\n');
      for (const [descriptor, file] of [first, second, third].entries()) if ((closed >> descriptor) & 1) t.is(file, '/dev/null', where);
      t.deepEqual(open, ['0', '1', '2'], where);
      const id = workspace.id();
      t.is((await workspace.strata(['create', '--bundle', bundle.directory, '--pid-file', out, id], options)).code, 0, where);
      t.regex(fs.readFileSync(out, 'utf8'), /^\d+$/);
      t.is((await workspace.state(id)).status, 'created');
      await workspace.remove(id);
    }
  }
});

staticTest('descriptors that strata opens itself are never taken for those of the caller', async (t, workspace) => {
  const bundle = workspace.script('ls /proc/1/fd; [ ! -e /proc/1/fd/5 ] || cat <&5');
  const file = workspace.path('five');
  fs.writeFileSync(file, 'five');
  for (const host of HOSTS) {
    const run = (open: string, args: string[], env: Record<string, string> = {}): Promise<Result> =>
      workspace.run(bundle, args, { env: { STRATA_HOST: host, ...env }, through: ['bash', '-c', `exec "$@" ${open}`, 'bash'] });
    t.is((await run(`3<${file} 4<${file} 5<${file}`, [])).stdout, '0\n1\n2\n');
    t.is((await run(`3<${file} 4<${file} 5<${file}`, ['--preserve-fds', '3'])).stdout, '0\n1\n2\n3\n4\n5\nfive');
    t.is((await run(`3<${file} 4<${file} 5<${file}`, [], { LISTEN_FDS: '3' })).stdout, '0\n1\n2\n3\n4\n5\nfive');
    failed(t, await run(`5<${file}`, ['--preserve-fds', '3']), 'descriptor 3 is not open');
    failed(t, await run(`3<${file} 5<${file}`, ['--preserve-fds', '3']), 'descriptor 4 is not open');
    failed(t, await run(`3<${file}`, [], { LISTEN_FDS: '2' }), 'descriptor 4 is not open');
    failed(t, await run('', ['--preserve-fds', '1']), 'descriptor 3 is not open');
  }
});

staticTest('STRATA_HOST, and a copy of the program alone', async (t, workspace) => {
  const home = workspace.path('home');
  fs.mkdirSync(join(home, 'bin'), { recursive: true });
  const command = join(home, 'bin/strata');
  fs.copyFileSync(STRATA, command);
  const link = workspace.path('link');
  fs.symlinkSync(command, link);
  const version = async (env: Record<string, string>, path = command): Promise<Result> => workspace.strata(['--version'], { command: path, env });
  const host = async (env: Record<string, string>, path?: string): Promise<string | undefined> =>
    /^host: (.*)$/m.exec((await version(env, path)).stdout)?.[1];

  for (const chosen of [{}, { STRATA_HOST: '' }, { STRATA_HOST: 'static' }]) t.is(await host(chosen), 'static');
  for (const nonsense of ['nonsense', 'Node', 'static ', 'node,static', '\n'])
    failed(t, await version({ STRATA_HOST: nonsense }), 'STRATA_HOST', 'static or node');
  failed(t, await version({ STRATA_HOST: 'node' }), 'dist/bin/strata.cjs', 'not installed');

  // With what runs on Node, but without Node; then with it in PATH, and last where the build would have noted it.
  fs.cpSync(join(PROJECT, 'dist/bin/strata.cjs'), join(home, 'dist/bin/strata.cjs'));
  fs.cpSync(join(PROJECT, 'build/Release/strata.node'), join(home, 'build/Release/strata.node'));
  for (const PATH of ['/nowhere', '', ':', '.:relative']) failed(t, await version({ STRATA_HOST: 'node', PATH }), 'no Node.js', 'PATH');
  const tools = workspace.path('tools');
  fs.mkdirSync(join(tools, 'directory/node'), { recursive: true });
  fs.mkdirSync(join(tools, 'no-program'));
  fs.writeFileSync(join(tools, 'no-program/node'), 'x', { mode: 0o644 });
  fs.symlinkSync(process.execPath, join(tools, 'node'));
  t.is(await host({ STRATA_HOST: 'node', PATH: `:/nowhere:${tools}/no-program:${tools}:/usr/bin` }), 'node');
  fs.writeFileSync(join(home, 'build/node-path'), `${process.execPath}\n`);
  t.is(await host({ STRATA_HOST: 'node', PATH: '' }), 'node');
  t.is(await host({ STRATA_HOST: 'node', PATH: '' }, link), 'node');
  fs.writeFileSync(join(home, 'build/node-path'), '/no/such/node\n');
  failed(t, await version({ STRATA_HOST: 'node', PATH: '/nowhere' }), 'no Node.js');
  t.is(await host({ STRATA_HOST: 'node', PATH: tools }), 'node');

  // What is meant for other programs on Node has no effect.
  const env = { STRATA_HOST: 'node', PATH: tools, NODE_OPTIONS: '--no-such-option', NODE_EXTRA_CA_CERTS: '/no/such/file' };
  t.deepEqual(await version(env), await version({ STRATA_HOST: 'node', PATH: tools }));
});

// --- hostile configurations

/** Runs the command under peak.c. */
class Scale {
  private readonly program: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    this.program = workspace.path('peak');
    execFileSync('cc', ['-O1', '-Wall', '-Werror', '-o', this.program, join(import.meta.dirname, '../helpers/peak.c')]);
  }

  /** The result, and the most memory that the command had, KiB. */
  async run(args: readonly string[]): Promise<Result & { readonly peak: number }> {
    const file = this.workspace.path('kib');
    const descriptor = fs.openSync(file, 'w');
    try {
      const result = await this.workspace.strata(args, { through: [this.program], descriptors: [descriptor], env: { STRATA_HOST: 'static' } });
      return { ...result, peak: Number(fs.readFileSync(file, 'utf8')) };
    } finally {
      fs.closeSync(descriptor);
    }
  }
}

/** Text of about 16 MiB, the most that is read, out of pieces. */
function large(piece: (index: number) => string, before = '', after = ''): string {
  const parts = [before];
  let size = before.length + after.length;
  for (let index = 0; ; index++) {
    const next = piece(index);
    if (size + next.length > 16 * MIB) return parts.join('') + after;
    size += next.length;
    parts.push(next);
  }
}

const inDocument = (piece: (index: number) => string, last: string): string => large(piece, '{"ociVersion":"1.3.0","x":[', `${last}]}`);
const inProcess = (text: string): string =>
  `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["x"],"user":{"uid":0,"gid":0},${text}}}`;

const HOSTILE: Readonly<Record<string, () => string>> = {
  'empty lists': () => inDocument(() => '[],', '[]'),
  'empty objects': () => inDocument(() => '{},', '{}'),
  'lists that are not closed': () => '['.repeat(16 * MIB),
  'objects that are not closed': () => large(() => '{"a":'),
  'a depth of 100000': () => `{"ociVersion":"1.3.0","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  'objects to a depth of 100000': () => `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
  'many lists of a depth of 500': () => inDocument(() => `${'['.repeat(500)}${']'.repeat(500)},`, '0'),
  'many keys': () => large((index) => `"${index.toString(36)}":0,`, '{', '"ociVersion":"x"}'),
  'many small strings': () => inDocument((index) => `"${index.toString(36)}",`, '0'),
  'many escapes': () => large(() => '\\u00e4', '{"ociVersion":"', '"}'),
  'one long string': () => large(() => 'x', '{"ociVersion":"', '"}'),
  'one long string beyond Latin-1': () => `{"ociVersion":"${'€'.repeat(5 * MIB)}"}`,
  'one long key': () => large(() => 'x', '{"', '":0}'),
  'one long number': () => large(() => '9', '{"ociVersion":', '}'),
  'many numbers beyond 2^53': () => inDocument(() => '18446744073709551615,', '0'),
  'many numbers that are none': () => inDocument(() => '1e999,', 'x'),
  fractions: () => inDocument(() => '0.1,', '0'),
  'a version of many parts': () => large(() => '1.', '{"ociVersion":"', '"}'),
  'a long environment': () => inProcess(`"env":[${'"A=b",'.repeat(2 * MIB)}7]`),
  'many limits': () => inProcess(`"rlimits":[${'{"type":"RLIMIT_CPU","soft":1,"hard":1},'.repeat(300_000)}7]`),
  'many capabilities': () => inProcess(`"capabilities":{"bounding":["CAP_X"${',"CAP_CHOWN"'.repeat(MIB)}]}`),
  'many unknown capabilities': () =>
    large(
      (index) => `"CAP_${index.toString(36)}",`,
      '{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["x"],"capabilities":{"bounding":[',
      '"x"]}}}',
    ),
  'a long working directory': () => inProcess(`"cwd":"${'../'.repeat(4 * MIB)}"`),
  'many annotations': () => large((index) => `"a${index}":"",`, '{"ociVersion":"1.3.0","annotations":{', '"":7}}'),
  'layers without end': () =>
    `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"annotations":{"dev.strata.overlay":"{\\"lower\\":[${'\\"a\\",'.repeat(MIB)}7]}"}}`,
  '50 MB of blanks': () => ' '.repeat(50 * MIB),
  '50 MB of lists': () => '[],'.repeat((50 * MIB) / 3),
};

staticTest('hostile configurations: one line, nothing left, and not much memory', async (t, workspace) => {
  const scale = new Scale(workspace);
  const directory = workspace.path('bundle');
  fs.mkdirSync(join(directory, 'rootfs'), { recursive: true });
  for (const [what, text] of Object.entries(HOSTILE)) {
    fs.writeFileSync(join(directory, 'config.json'), text());
    const result = await scale.run(['create', '--bundle', directory, 'x']);
    t.log(`${what}: ${Math.ceil(result.peak / 1024)} MiB: ${result.stderr.slice(0, 150).trimEnd()}`);
    t.is(result.code, 1, what);
    t.regex(result.stderr, /^(strata: warning: [^\n]+\n)*strata: [^\n]+\n$/, what);
    t.true(result.stderr.length < 8192, what);
    t.true(result.peak > 0 && result.peak < CEILING, `${what}: ${result.peak} KiB`);
    t.deepEqual(workspace.leaks(), [], what);
  }
});

staticTest('what a command takes when nobody is hostile', async (t, workspace) => {
  const scale = new Scale(workspace);
  const bundle = workspace.script('true');
  const { code, peak } = await scale.run(['run', '--bundle', bundle.directory, workspace.id()]);
  t.is(code, 0);
  t.log(`run: ${peak} KiB`);
  t.true(peak > 0 && peak < 16 * 1024);
});

staticTest('with too little memory or stack, wherever it ends: one line, and nothing that a forced delete does not remove', async (t, workspace) => {
  const annotations = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`com.example.${index}`, 'x']));
  const bundle = workspace.script('true', { annotations });
  const limited = async (limit: string): Promise<number> => {
    const id = workspace.id();
    const result = await workspace.strata(['run', '--bundle', bundle.directory, id], { through: ['prlimit', limit], env: { STRATA_HOST: 'static' } });
    if (result.code !== 0) {
      t.is(result.code, 1, `${limit}: ${result.signal ?? ''} ${result.stderr}`);
      t.regex(result.stderr, /^strata: [^\n]+\n$/, limit);
    }
    await workspace.remove(id);
    t.deepEqual(workspace.leaks(), [], limit);
    return result.code;
  };

  // From where the kernel can just load the program, to where all is well.
  let size = MIB;
  while ((await workspace.strata(['--version'], { through: ['prlimit', `--as=${size}`], env: { STRATA_HOST: 'static' } })).code !== 0)
    size += MIB / 64;
  let [starved, fed] = [0, 0];
  for (; fed < 3; size += MIB / 16) {
    if ((await limited(`--as=${size}`)) === 0) fed++;
    else starved++;
  }
  t.log(`${starved} times too little memory`);
  t.true(starved > 5);

  for (const stack of [64, 128, 256, 1024]) await limited(`--stack=${stack * 1024}`);
  t.is(await limited('--stack=unlimited'), 0);
});
