/** The library as a program uses it: src/index.ts. */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import * as strata from '../../src/index.ts';
import type { Bundle, Config, Edit, Workspace } from '../helpers/container.ts';
import { eventually, makeRootfs } from '../helpers/container.ts';
import { containerTest } from './_support.ts';

const execute = promisify(execFile);
const top = resolve(import.meta.dirname, '../..');

/** The options of a container of this workspace. */
function options(workspace: Workspace, bundle: Bundle): { id: string; bundle: string; root: string } {
  return { id: workspace.id(), bundle: bundle.directory, root: workspace.root };
}

/** One of a container's streams, which must be there. */
function stream<Stream>(value: Stream | null): Stream {
  if (value === null) throw new Error('not a pipe');
  return value;
}

/** All of an output. */
function read(output: Readable | null): Promise<string> {
  return text(stream(output));
}

/** The error that a promise rejects with, which is one of strata's. */
async function rejection(t: ExecutionContext, promise: Promise<unknown>): Promise<strata.StrataError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof strata.StrataError)) {
    t.fail(`not a StrataError: ${error}`);
    throw error;
  }
  return error;
}

containerTest('run: output is a stream, the exit a promise', async (t, workspace) => {
  const container = await strata.run({
    ...options(workspace, workspace.script('echo out; echo err >&2; exit 7')),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.is(container.stdin, null);
  t.is(container.console, null);
  t.true(Number.isInteger(container.pid) && container.pid > 1);
  t.deepEqual(await Promise.all([read(container.stdout), read(container.stderr)]), ['out\n', 'err\n']);
  t.deepEqual(await container.wait(), { code: 7 });
  t.deepEqual(await container.wait(), { code: 7 }, 'as often as asked');
  t.is((await container.state()).status, 'stopped');
  await container.delete();
  t.is((await rejection(t, container.state())).code, 'not-found');
});

containerTest('create, then start: a program that is fed and read through pipes', async (t, workspace) => {
  const container = await strata.create({ ...options(workspace, workspace.script('exec cat')), stdio: ['pipe', 'pipe', 'inherit'] });
  t.is((await container.state()).status, 'created');
  t.is((await container.state()).pid, container.pid);
  t.is(fs.readFileSync(`/proc/${container.pid}/comm`, 'utf8'), 'strata-init\n');
  await container.start();
  t.is((await container.state()).status, 'running');
  const sent = Buffer.alloc(8 * 1024 * 1024, 'strata ');
  container.stdin?.end(sent);
  t.true((await buffer(stream(container.stdout))).equals(sent));
  t.deepEqual(await container.wait(), { code: 0 });
  t.is((await rejection(t, container.start())).code, 'status');
  await container.delete();
});

containerTest('stdio: ignored, a descriptor, a stream that has one', async (t, workspace) => {
  const [first, second] = [workspace.path('first'), workspace.path('second')];
  const descriptor = fs.openSync(first, 'w');
  const file = await fs.promises.open(second, 'w');
  const bundle = workspace.script('wc -c; echo out; echo err >&2; readlink /proc/self/fd/0');
  const container = await strata.run({ ...options(workspace, bundle), stdio: ['ignore', descriptor, file] });
  await container.wait();
  await container.delete();
  t.is(fs.readFileSync(first, 'utf8'), '0\nout\n/dev/null\n');
  t.is(fs.readFileSync(second, 'utf8'), 'err\n');
  // They are still the caller's.
  fs.closeSync(descriptor);
  await file.close();

  const quiet = await strata.run({ ...options(workspace, bundle), stdio: 'ignore' });
  t.deepEqual([quiet.stdin, quiet.stdout, quiet.stderr], [null, null, null]);
  t.deepEqual(await quiet.wait(), { code: 0 });
  await quiet.delete();

  for (const wrong of [-1, 1.5, Number.NaN]) t.is((await rejection(t, strata.run({ ...options(workspace, bundle), stdio: wrong }))).code, 'usage');
});

containerTest('a terminal of its own', async (t, workspace) => {
  const bundle = workspace.script('test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; read line; echo "got $line"', (config) => {
    config.process.terminal = true;
    config.process['consoleSize'] = { height: 33, width: 111 };
  });
  const container = await strata.run({ ...options(workspace, bundle), stdio: 'ignore' });
  const console = stream(container.console);
  let said = '';
  console.setEncoding('utf8');
  console.on('data', (chunk) => {
    said += chunk;
  });
  const ended = new Promise((fulfil) => console.once('end', fulfil));
  await eventually('the prompt', () => said.includes('33 111'));
  console.write('hello\n');
  await ended;
  t.is(said, 'terminal\r\n33 111\r\nhello\r\ngot hello\r\n');
  t.deepEqual(await container.wait(), { code: 0 });
  console.destroy();
  await container.delete();
});

containerTest('kill, pause and resume', async (t, workspace) => {
  const bundle = workspace.script('trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.01; done');
  const container = await strata.run({ ...options(workspace, bundle), stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((fulfil) => container.stdout?.once('readable', fulfil));
  await container.pause();
  t.is((await container.state()).status, 'paused');
  await container.kill('SIGTERM');
  t.is((await container.state()).status, 'paused');
  t.is((await rejection(t, container.pause())).code, 'status');
  await container.resume();
  t.is(await read(container.stdout), 'ready\ncaught\n');
  t.deepEqual(await container.wait(), { code: 5 });
  t.is((await rejection(t, container.kill('TERM'))).code, 'status');
  await container.kill('TERM', { all: true });
  t.is((await rejection(t, container.kill('NONSENSE'))).code, 'usage');
  await container.delete();

  const killed = await strata.run({ ...options(workspace, bundle), stdio: 'ignore' });
  await killed.pause();
  await killed.kill(9);
  const exit = await killed.wait();
  t.is(exit.signal, 9);
  await killed.delete();
});

containerTest('delete: by force only while it lives, and at the end of its block', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000');
  const container = await strata.run({ ...options(workspace, bundle), stdio: 'ignore' });
  t.is((await rejection(t, container.delete())).code, 'status');
  await container.delete({ force: true });
  t.is((await container.wait()).signal, 9);
  await container.delete({ force: true });
  t.is((await rejection(t, container.delete())).code, 'not-found');
  let pid = 0;
  {
    await using scoped = await strata.create({ ...options(workspace, bundle), stdio: 'ignore' });
    pid = scoped.pid;
    t.is((await scoped.state()).status, 'created');
  }
  t.false(fs.existsSync(`/proc/${pid}`));
  t.deepEqual(await strata.list({ root: workspace.root }), []);
});

containerTest('the verbs by name, on a container that somebody else has created', async (t, workspace) => {
  const { id } = await workspace.create(workspace.script('while [ ! -e /go ]; do sleep 0.01; done; exit 9'));
  const name = { id, root: workspace.root };
  t.is((await strata.state(name)).status, 'created');
  await strata.start(name);
  await strata.pause(name);
  t.is((await strata.state(name)).status, 'paused');
  await strata.resume(name);
  const waiting = strata.wait(name);
  const stop = new AbortController();
  const stopped = strata.wait({ ...name, signal: stop.signal });
  stop.abort();
  t.is((await rejection(t, stopped)).code, 'aborted');
  t.is((await strata.state(name)).status, 'running');
  await strata.kill({ ...name, signal: 'KILL' });
  const exit = await waiting;
  // Another process's child: older kernels do not tell how it ended.
  if (exit !== 'unknown') t.is(exit.signal, 9);
  t.is(await strata.wait(name), 'unknown');
  await strata.delete(name);
  t.is((await rejection(t, strata.wait(name))).code, 'not-found');
});

containerTest('list and state tell what the command tells', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000', (config) => {
    config.annotations = { colour: 'grün' };
  });
  await using one = await strata.create({ ...options(workspace, bundle), stdio: 'ignore' });
  const told = JSON.parse((await workspace.succeed(['state', one.id])).stdout) as strata.ContainerState;
  t.deepEqual(await one.state(), told);
  t.deepEqual(await strata.list({ root: workspace.root }), [told]);
  t.deepEqual(told.annotations, { colour: 'grün' });
  t.is(told.bundle, bundle.directory);
  t.deepEqual(await strata.list({ root: join(workspace.directory, 'none') }), []);
});

containerTest('plan is data, and touches nothing', async (t, workspace) => {
  const bundle = workspace.script('true');
  const { operations } = await strata.plan(options(workspace, bundle));
  t.true(operations.length > 20);
  t.true(operations.some(({ op }) => op === 'clone') && operations.at(-1)?.op === 'exec');
  t.false(fs.existsSync(workspace.root));
});

containerTest('a configuration as an object, exact, with paths from the bundle', async (t, workspace) => {
  const bundle = workspace.script('');
  const spec = structuredClone(bundle.config) as Config;
  spec.process.args = ['sh', '-c', 'ulimit -n; grep -c " /data " /proc/self/mountinfo'];
  spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 512n, hard: 1024 }];
  spec.mounts.push({ destination: '/data', type: 'bind', source: 'data', options: ['bind'] });
  fs.mkdirSync(join(bundle.directory, 'data'));
  fs.rmSync(join(bundle.directory, 'config.json'));
  const container = await strata.run({ ...options(workspace, bundle), spec, stdio: ['ignore', 'pipe', 'inherit'] });
  t.is(await read(container.stdout), '512\n1\n');
  await container.wait();
  await container.delete();
  const error = await rejection(t, strata.run({ ...options(workspace, bundle), spec: { ...spec, hostname: 5 } }));
  t.is(error.pointer, '/hostname');
});

containerTest('errors have fields to decide by', async (t, workspace) => {
  const bundle = workspace.script('true');
  const attempt = (edit: Edit) => rejection(t, strata.run({ ...options(workspace, bundle.edit(edit)), stdio: 'ignore' }));

  const wrongType = await attempt((config) => {
    config.hostname = 5 as unknown as string;
  });
  t.deepEqual([wrongType.code, wrongType.pointer], ['config-invalid', '/hostname']);
  t.true(wrongType instanceof Error && wrongType.stack !== undefined);
  t.is(wrongType.name, 'StrataError');

  const unsupported = await attempt((config) => {
    config.hostname = 'x';
    config.linux['personality'] = { domain: 'LINUX', flags: ['SOME'] };
  });
  t.deepEqual([unsupported.code, unsupported.pointer], ['config-unsupported', '/linux/personality/flags']);

  const missing = await attempt((config) => {
    delete config.linux['personality'];
    config.process.args = ['no-such-program'];
  });
  t.deepEqual([missing.code, missing.pointer, missing.stage], ['exec', '/process/args/0', 'process']);
  t.is(missing.message.includes('exec: "no-such-program": executable file not found in $PATH'), true);

  const mount = await attempt((config) => {
    config.process.args = ['true'];
    config.mounts.push({ destination: '/x', type: 'bind', source: '/no/such/source', options: ['bind'] });
  });
  t.is(mount.code, 'system');
  t.is(mount.pointer, `/mounts/${bundle.config.mounts.length - 1}`);
  t.is(mount.errno, 2);
  t.is(mount.path, '/no/such/source');
  t.like(mount.toJSON(), { code: 'system', stage: 'rootfs', errno: 'ENOENT', path: '/no/such/source' });

  bundle.write('{');
  const syntax = await rejection(t, strata.run(options(workspace, bundle)));
  t.deepEqual([syntax.code, syntax.pointer], ['config-syntax', '']);
  bundle.edit((config) => {
    config.mounts.pop();
  });

  t.is((await rejection(t, strata.run({ ...options(workspace, bundle), id: 'a/b' }))).code, 'id-invalid');
  t.is((await rejection(t, strata.run({ ...options(workspace, bundle), bundle: '/no/such/bundle' }))).code, 'usage');
  t.is((await rejection(t, strata.state({ id: 'nobody', root: workspace.root }))).code, 'not-found');
  t.deepEqual(workspace.leaks(), []);

  await using container = await strata.create({ ...options(workspace, bundle), stdio: 'ignore' });
  t.is((await rejection(t, strata.create({ ...options(workspace, bundle), id: container.id }))).code, 'exists');
});

containerTest('a failure closes every descriptor that was opened for it', async (t, workspace) => {
  const bundle = workspace.bundle((config) => {
    config.process.args = ['/no/such/program'];
  });
  const terminal = workspace.bundle((config) => {
    config.process.args = ['/no/such/program'];
    config.process.terminal = true;
  });
  const attempts = async () => {
    for (const each of [bundle, terminal]) {
      t.is((await rejection(t, strata.run({ ...options(workspace, each), stdio: 'pipe' }))).code, 'exec');
      t.is((await rejection(t, strata.create({ ...options(workspace, each), stdio: 'pipe' }))).code, 'exec');
    }
  };
  await attempts();
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 5; round++) await attempts();
  t.is(fs.readdirSync('/proc/self/fd').length, before);
});

containerTest('pipes are closed when there is nothing more to come', async (t, workspace) => {
  const bundle = workspace.script('echo out; echo err >&2');
  const round = async () => {
    const container = await strata.run({ ...options(workspace, bundle), stdio: 'pipe' });
    t.deepEqual(await Promise.all([read(container.stdout), read(container.stderr), container.wait()]), ['out\n', 'err\n', { code: 0 }]);
    await container.delete();
    await using unread = await strata.create({ ...options(workspace, bundle), stdio: 'pipe' });
    await unread.start();
    await unread.wait();
  };
  const open = () => fs.readdirSync('/proc/self/fd').length;
  await round();
  const before = open();
  for (let count = 0; count < 5; count++) await round();
  await eventually('the pipes to be closed', () => open() <= before);
  // What has been written before the exit can be read after it.
  const container = await strata.run({ ...options(workspace, bundle), stdio: ['ignore', 'pipe', 'ignore'] });
  await container.wait();
  await container.delete();
  t.is(await read(container.stdout), 'out\n');
});

containerTest('the event loop goes on while containers are brought up', async (t, workspace) => {
  const go = workspace.path('go');
  const bundle = workspace.script('exit 0', (config) => {
    config.hooks = { createRuntime: [{ path: '/bin/sh', args: ['sh', '-c', `while [ ! -e ${go} ]; do sleep 0.01; done`] }] };
  });
  let up = false;
  const container = strata.run({ ...options(workspace, bundle), stdio: 'ignore' }).finally(() => {
    up = true;
  });
  // The hook, and with it the creation, waits for us: in an event loop that stood still this would never end.
  for (let turn = 0; turn < 20; turn++) {
    t.false(up);
    await new Promise((fulfil) => setTimeout(fulfil, 1));
  }
  fs.writeFileSync(go, '');
  t.deepEqual(await (await container).wait(), { code: 0 });
  await (await container).delete();
});

containerTest('an AbortSignal gives up before, while, and after the container is brought up', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000');
  const early = AbortSignal.abort();
  t.is((await rejection(t, strata.create({ ...options(workspace, bundle), stdio: 'pipe', signal: early }))).code, 'aborted');
  t.false(fs.existsSync(workspace.root));

  const inHook = workspace.path('in-hook');
  const gone = workspace.path('gone');
  const slow = workspace.script('exec sleep 1000', (config) => {
    config.hooks = {
      createRuntime: [{ path: '/bin/sh', args: ['sh', '-c', `touch ${inHook}; sleep 0.2`] }],
      poststop: [{ path: '/bin/touch', args: ['touch', gone] }],
    };
  });
  const midway = new AbortController();
  const attempt = rejection(t, strata.run({ ...options(workspace, slow), stdio: 'pipe', signal: midway.signal }));
  await eventually('the hook', () => fs.existsSync(inHook));
  midway.abort();
  t.is((await attempt).code, 'aborted');
  t.true(fs.existsSync(gone), 'the hooks have their counterpart');
  t.deepEqual(workspace.leaks(), []);

  const late = new AbortController();
  const container = await strata.run({ ...options(workspace, bundle), stdio: 'ignore', signal: late.signal });
  t.is((await container.state()).status, 'running');
  const impatient = new AbortController();
  const waiting = rejection(t, container.wait({ signal: impatient.signal }));
  impatient.abort();
  t.is((await waiting).code, 'aborted');
  t.is((await container.state()).status, 'running');
  late.abort();
  t.is((await container.wait()).signal, 9);
  await container.delete();
});

containerTest('warnings are told, and the pid file is written', async (t, workspace) => {
  const pidFile = workspace.path('pid');
  const bundle = workspace.script('exit 0', (config) => {
    config.hooks = { poststop: [{ path: '/bin/sh', args: ['sh', '-c', 'echo no good >&2; exit 3'] }] };
  });
  const warnings: string[] = [];
  const container = await strata.run({ ...options(workspace, bundle), stdio: 'ignore', pidFile, onWarning: (warning) => warnings.push(warning) });
  t.is(fs.readFileSync(pidFile, 'utf8'), String(container.pid));
  await container.wait();
  await container.delete();
  const refused = await rejection(t, strata.run({ ...options(workspace, bundle), stdio: 'ignore', pidFile: '/no/such/place/pid' }));
  t.is(refused.message, 'cannot write the pid file /no/such/place/pid: no such file or directory');
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /poststop.*no good/);
});

containerTest('a program ends by itself when its containers have', async (t, workspace) => {
  const program = `
    import * as strata from ${JSON.stringify(join(top, 'src/index.ts'))};
    const [bundle, root, id] = process.argv.slice(1);
    const container = await strata.run({ id, bundle, root, stdio: ['ignore', 'inherit', 'inherit'] });
    process.on('exit', () => console.log('end'));`;
  const { root, directory } = { root: workspace.root, directory: workspace.script('sleep 0.1; echo from the container').directory };
  const id = workspace.id();
  const { stdout, stderr } = await execute(process.execPath, ['--input-type=module', '-e', program, directory, root, id]);
  t.is(stderr, '');
  t.is(stdout, 'from the container\nend\n');
  await workspace.succeed(['delete', id]);
});

containerTest('the example', async (t, workspace) => {
  const rootfs = makeRootfs(workspace.path('rootfs'));
  const { stdout, stderr } = await execute(process.execPath, [join(top, 'examples/library.mjs'), rootfs], { cwd: '/' });
  t.is(stderr, '');
  t.deepEqual(stdout.trimEnd().split('\n'), [
    'it says: hello from example, I am pid 1',
    'it exits with: 7',
    'it is: created',
    'it sorts: apple pear',
    'running: 4',
    'killed by signal: 9 9 9 9',
    'refused: config-invalid at /hostname',
  ]);
});

containerTest('exec: streams, a terminal, the exit, signals', async (t, workspace) => {
  const container = await strata.run({
    ...options(workspace, workspace.script('exec sleep 1000', { process: { args: ['sleep', '1000'] } })),
    stdio: 'ignore',
  });
  const echo = await container.exec({
    args: ['sh', '-c', 'cat; id -u; pwd; echo $A >&2; exit 7'],
    stdio: 'pipe',
    cwd: '/tmp',
    env: ['A=b'],
    user: { uid: 5 },
  });
  echo.stdin?.end('text\n');
  t.deepEqual(await Promise.all([read(echo.stdout), read(echo.stderr), echo.wait()]), ['text\n5\n/tmp\n', 'b\n', { code: 7 }]);
  t.false(echo.kill(), 'it has exited');

  const screen = await container.exec({
    args: ['sh', '-c', 'stty size; read -r line; echo "<$line>"'],
    terminal: true,
    consoleSize: { height: 11, width: 22 },
  });
  screen.console?.write('typed\n');
  t.regex(await text(stream(screen.console)), /11 22\r\n[\s\S]*<typed>\r\n$/);
  t.deepEqual(await screen.wait(), { code: 0 });

  const { id, root } = { id: container.id, root: workspace.root };
  const controller = new AbortController();
  const sleeping = await strata.exec({ id, root, args: ['sleep', '1000'], stdio: 'ignore', signal: controller.signal });
  controller.abort();
  t.deepEqual(await sleeping.wait(), { code: 137, signal: 9 });
  t.is((await rejection(t, strata.exec({ id, root, args: ['true'], signal: controller.signal }))).code, 'aborted');
  {
    await using ended = await strata.exec({ id, root, process: { cwd: '/', args: ['/bin/sleep', '1000'] }, stdio: 'ignore' });
    t.true(ended.kill(0));
  }
  t.is((await rejection(t, strata.exec({ id, root, args: ['absent'] }))).code, 'exec');
  t.is((await rejection(t, strata.exec({ id, root }))).code, 'usage');
  t.is((await rejection(t, strata.exec({ id, root, args: ['a\0'] }))).pointer, '/process/args/0');
  const all = await Promise.all(Array.from({ length: 16 }, (_, index) => container.exec({ args: ['sh', '-c', `exit ${index}`], stdio: 'ignore' })));
  t.deepEqual(
    (await Promise.all(all.map((one) => one.wait()))).map(({ code }) => code),
    all.map((_, index) => index),
  );
  await container.delete({ force: true });
  t.is((await rejection(t, strata.exec({ id, root, args: ['true'] }))).code, 'not-found');
});
