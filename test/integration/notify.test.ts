/** $NOTIFY_SOCKET: what a program says of its readiness, from the container to whoever started strata. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, type Edit, eventually, type Running, type Workspace, withUserNamespace } from '../helpers/container.ts';
import { Caller, notifyProgram } from '../helpers/notify.ts';
import { IMAGE, makeStore } from '../helpers/store.ts';
import { containerTest, failed, mountTable } from './_support.ts';

/** A bundle whose script can use the command `notify`. */
function notifying(workspace: Workspace, script: string, edit: Edit = {}): Bundle {
  const bundle = workspace.script(script, edit);
  fs.copyFileSync(notifyProgram(), join(bundle.rootfs, 'bin/notify'));
  return bundle;
}

/** What comes with every word, so that it has been read before strata ends. */
const BARRIER = 'BARRIER=1 +1';
/** Until a file is there. */
const until = (path: string): string => `until [ -e ${path} ]; do sleep 0.01; done`;

containerTest('run hands on that its program is ready, once, and nothing else', async (t, workspace) => {
  const caller = await Caller.listen(workspace);
  const place = caller.env.NOTIFY_SOCKET;
  const says = "notify STATUS=busy MAINPID=1 READY=0 'STATUS=READY=1' 'WATCHDOG=trigger' 'STOPPING=1'";
  const bundle = notifying(
    workspace,
    `echo $NOTIFY_SOCKET; cat /proc/self/mountinfo >/mounts; ls -ln ${place} | tail -n 1 | cut -c 1-10; touch ${place}/x; ${says}
    notify "$(printf 'STATUS=up\\nREADY=1\\nMAINPID=1')" ! READY=1 '*100' WATCHDOG=1; echo $?; exit 7`,
    { root: { readonly: false }, mounts: [] },
  );
  bundle.edit({ mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }] });
  const result = await workspace.run(bundle, [], { env: caller.env });
  t.is(result.code, 7, result.stderr);
  t.is(result.stdout, `${place}/notify\nsrw-rw-rw-\n0\n`);
  t.regex(result.stderr, /Read-only file system/);
  t.deepEqual(await caller.hears(2), ['READY=1', BARRIER]);
  const mount = mountTable(fs.readFileSync(join(bundle.rootfs, 'mounts'), 'utf8'))[place];
  for (const option of ['ro', 'nosuid', 'nodev', 'noexec']) t.true(mount?.options.includes(option), option);
  t.false(fs.existsSync(join(bundle.rootfs, 'x')));
});

containerTest('start and run --detach wait for it, and hold nobody up meanwhile', async (t, workspace) => {
  const caller = await Caller.listen(workspace);
  const script = `${until('/go')}; notify READY=1; ${until('/end')}; exec sleep 1000`;
  let said = 0;
  const ready = async (bundle: Bundle, id: string, waiting: Running): Promise<void> => {
    await eventually('it to be made', async () => (await workspace.strata(['state', id])).code === 0);
    const { pid } = await workspace.reach(id, 'running');
    // Whoever wants the lock gets it.
    await workspace.succeed(['pause', id]);
    await workspace.succeed(['resume', id]);
    t.is(waiting.process.exitCode, null);
    bundle.file('go', '');
    t.is((await waiting.result).code, 0);
    // strata ends only when the word has been read.
    said += 2;
    t.deepEqual((await caller.hears(said)).slice(-2), [`READY=1|MAINPID=${pid}`, BARRIER]);
    await workspace.remove(id);
  };
  const first = notifying(workspace, script);
  const { id } = await workspace.create(first, [], { env: caller.env });
  await ready(first, id, workspace.spawn(['start', id], { env: caller.env }));

  const second = notifying(workspace, script);
  const other = workspace.id();
  await ready(second, other, workspace.spawn(['run', '--detach', '--bundle', second.directory, other], { env: caller.env }));
  t.is(caller.heard.length, 4);
});

containerTest('a program that ends without a word ends the waiting; one that said it last is heard', async (t, workspace) => {
  const caller = await Caller.listen(workspace);
  for (const script of ['exit 3', 'notify STATUS=x']) {
    const { id } = await workspace.create(notifying(workspace, script), [], { env: caller.env });
    const { stderr } = await workspace.succeed(['start', id], { env: caller.env });
    t.is(stderr, '');
    await workspace.remove(id);
  }
  t.deepEqual(caller.heard, []);
  const { id } = await workspace.create(notifying(workspace, 'exec notify READY=1'), [], { env: caller.env });
  await workspace.succeed(['start', id], { env: caller.env });
  t.regex((await caller.hears(2)).join(' '), /^READY=1(\|MAINPID=\d+)? BARRIER=1 \+1$/);
  await workspace.remove(id);
  t.is((await workspace.run(notifying(workspace, 'exec notify READY=1'), [], { env: caller.env })).code, 0);
  t.deepEqual((await caller.hears(4)).slice(2), ['READY=1', BARRIER]);
});

containerTest('a signal ends the waiting and not the program', async (t, workspace) => {
  const caller = await Caller.listen(workspace);
  const bundle = notifying(workspace, 'exec sleep 1000');
  const id = workspace.id();
  const waiting = workspace.spawn(['--debug', 'run', '--detach', '--bundle', bundle.directory, id], { env: caller.env });
  await eventually('it to wait', () => waiting.stderr().includes('wait until the program is ready'));
  process.kill(waiting.pid, 'SIGUSR1');
  process.kill(waiting.pid, 'SIGTERM');
  const { code, stderr } = await waiting.result;
  t.is(code, 143);
  t.regex(stderr, /interrupted by signal 15/);
  t.is((await workspace.state(id)).status, 'running');
  await workspace.remove(id);

  const created = await workspace.create(bundle, [], { env: caller.env });
  const start = workspace.spawn(['--debug', 'start', created.id], { env: caller.env });
  await eventually('it to wait', () => start.stderr().includes('wait until the program is ready'));
  process.kill(start.pid, 'SIGTERM');
  t.is((await start.result).signal, 'SIGTERM');
  t.is((await workspace.state(created.id)).status, 'running');
  // Nobody listens now: what is sent is refused, and does not hang.
  fs.copyFileSync(notifyProgram(), join(bundle.rootfs, 'bin/notify'));
  const variable = ['--env', `NOTIFY_SOCKET=${caller.env.NOTIFY_SOCKET}/notify`];
  t.is((await workspace.strata(['exec', ...variable, created.id, 'notify', 'READY=1'])).code, 6);
  t.deepEqual(caller.heard, []);
  await workspace.remove(created.id);
});

containerTest('abstract names; messages that are too large, too many, or bring descriptors along', async (t, workspace) => {
  const caller = await Caller.listen(workspace, `@strata-${workspace.token}`);
  const hostile = "notify '?' %4097 '?' %100000 '*500' +100 STATUS=x '*500' %4096 +253 READY=0";
  const bundle = notifying(workspace, `echo $NOTIFY_SOCKET; ${hostile}; touch /flooded; ${until('/go')}; notify READY=1; ${until('/end')}`);
  const id = workspace.id();
  const running = workspace.spawn(['run', '--bundle', bundle.directory, id], { env: caller.env });
  await eventually('the flood', () => fs.existsSync(join(bundle.rootfs, 'flooded')));
  const open = fs.readdirSync(`/proc/${running.pid}/fd`).length;
  bundle.file('go', '');
  await eventually('the word', () => caller.heard.length === 2);
  t.true(fs.readdirSync(`/proc/${running.pid}/fd`).length < open + 5, 'descriptors are left');
  bundle.file('end', '');
  t.is((await running.result).code, 0);
  t.is(running.stdout(), '/run/notify/notify\n');
  t.deepEqual(await caller.hears(2), ['READY=1', BARRIER]);
});

containerTest('any user of the container can say it, also in a user namespace, on a read-only root and below a mount', async (t, workspace) => {
  const caller = await Caller.listen(workspace, `@strata-${workspace.token}`);
  const edits: readonly Edit[] = [
    { process: { user: { uid: 1000, gid: 1000 } }, root: { readonly: true } },
    (config) => {
      withUserNamespace(config, 300_000);
      config.process.user = { uid: 1000, gid: 1000 };
    },
    (config) => {
      withUserNamespace(config, 300_000);
      config.mounts.push({ destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['mode=0700'] });
    },
    (config) => void config.mounts.push({ destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['ro', 'size=64k'] }),
  ];
  for (const [index, edit] of edits.entries()) {
    const bundle = notifying(workspace, 'exec notify READY=1 !', edit);
    if (bundle.config.linux.uidMappings !== undefined) bundle.giveTo(300_000);
    // The caller's umask is of no account.
    const result = await workspace.run(bundle, [], { env: caller.env, through: ['sh', '-c', 'umask 077; exec "$@"', 'sh'] });
    t.is(result.code, 0, result.stderr);
    t.is((await caller.hears(2 * index + 2)).filter((line) => line === 'READY=1').length, index + 1);
  }
});

containerTest('a container of an image in the background, when it is run and when it is started again', async (t, workspace) => {
  const caller = await Caller.listen(workspace);
  const notify = (directory: string): void => {
    fs.mkdirSync(join(directory, 'bin'), { recursive: true });
    fs.copyFileSync(notifyProgram(), join(directory, 'bin/notify'));
  };
  const { store } = makeStore(workspace.path('store'), {}, [notify]);
  const [id, env] = [workspace.id(), { ...caller.env, NOTIFY_SOCKET: caller.env.NOTIFY_SOCKET }];
  const script = 'echo $NOTIFY_SOCKET; cat /proc/self/environ | tr "\\0" "\\n" | grep -c NOTIFY; notify READY=1 !; exec sleep 1000';
  await workspace.succeed(['--store', store, 'run', '--detach', '--image', IMAGE, id, 'sh', '-c', script], { env });
  const first = await workspace.state(id);
  t.deepEqual(await caller.hears(2), [`READY=1|MAINPID=${first.pid}`, BARRIER]);
  await workspace.succeed(['--store', store, 'stop', '--time', '0', id]);
  await workspace.succeed(['--store', store, 'start', id], { env });
  const { pid } = await workspace.state(id);
  t.deepEqual((await caller.hears(4)).slice(2), [`READY=1|MAINPID=${pid}`, BARRIER]);
  t.is((await workspace.succeed(['--store', store, 'logs', id])).stdout, '/run/notify/notify\n1\n'.repeat(2));
  t.is((await workspace.succeed(['--store', store, 'diff', id])).stdout, '', 'nothing of the caller is in the layer');
  await workspace.succeed(['--store', store, 'delete', '--force', id]);

  const other = workspace.id();
  const said = await workspace.succeed(['--store', store, 'run', '--detach', '--rm', '--image', IMAGE, other, 'notify', 'READY=1'], { env });
  t.is(said.stderr, '');
  await workspace.gone(other);
  t.regex((await caller.hears(6)).slice(4).join(' '), /^READY=1(\|MAINPID=\d+)? BARRIER=1 \+1$/);
});

containerTest('where nobody listens it is told, and nothing is waited for', async (t, workspace) => {
  const none = join(workspace.directory, 'none');
  const env = { NOTIFY_SOCKET: none, PATH: process.env.PATH ?? '' };
  const warning = /^strata: warning: nobody will be told that the container is ready: NOTIFY_SOCKET is \/.*none: .*no such file or directory\n$/;
  const { code, stdout, stderr } = await workspace.run(notifying(workspace, 'ls $(dirname $NOTIFY_SOCKET); exec notify READY=1'), [], { env });
  t.deepEqual([code, stdout], [0, 'notify\n'], stderr);
  t.regex(stderr, warning);
  const bundle = notifying(workspace, 'exec sleep 1000');
  const { id } = await workspace.create(bundle, [], { env });
  t.regex((await workspace.succeed(['start', id], { env })).stderr, warning);
  await workspace.remove(id);
  const garbage = await workspace.run(notifying(workspace, 'echo "<$NOTIFY_SOCKET>"'), [], { env: { ...env, NOTIFY_SOCKET: 'vsock:2:1' } });
  t.is(garbage.stdout, '<>\n');
  t.regex(garbage.stderr, /^strata: warning: NOTIFY_SOCKET is "vsock:2:1", which is neither [^\n]+\n$/);
});

containerTest('exec and the configuration: one variable, and one socket', async (t, workspace) => {
  const caller = await Caller.listen(workspace);
  const bundle = notifying(workspace, 'echo $NOTIFY_SOCKET; notify READY=1; exec sleep 1000', {
    process: { env: ['PATH=/bin', 'NOTIFY_SOCKET=/own'] },
  });
  const created = await workspace.create(bundle, [], { env: caller.env });
  t.regex(created.stderr(), /^strata: warning: \/process\/env\/1: NOTIFY_SOCKET is that of the container's own socket/);
  await workspace.succeed(['start', created.id], { env: caller.env });
  await eventually('the path', () => created.stdout() === `${caller.env.NOTIFY_SOCKET}/notify\n`);
  const own = await workspace.succeed(['exec', created.id, 'sh', '-c', 'echo $NOTIFY_SOCKET'], { env: caller.env });
  t.is(own.stdout, '/own\n');
  // A directory that somebody with the rights to it has made there does not stay.
  fs.mkdirSync(join(workspace.root, created.id, 'notify/a/b'), { recursive: true });
  await workspace.remove(created.id);
  t.deepEqual(
    workspace.leaks().filter((line) => line.startsWith('state')),
    [],
  );

  const plain = notifying(workspace, 'echo "<$NOTIFY_SOCKET>"');
  t.is((await workspace.run(plain)).stdout, '<>\n');
  const blocked = notifying(workspace, 'true');
  blocked.file(caller.env.NOTIFY_SOCKET.slice(1), 'a file');
  failed(t, await workspace.run(blocked, [], { env: caller.env }), 'cannot bind', caller.env.NOTIFY_SOCKET);
});
