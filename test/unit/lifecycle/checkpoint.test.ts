import test from 'ava';
import { MessageReader } from '../../../src/criu/protobuf.ts';
import { type CheckpointOptions, checkpoint } from '../../../src/lifecycle/checkpoint.ts';
import { deleteContainer } from '../../../src/lifecycle/delete.ts';
import { type RestoreOptions, restoreDetached, restoreForeground } from '../../../src/lifecycle/restore.ts';
import { start } from '../../../src/lifecycle/start.ts';
import { load } from '../../../src/lifecycle/store.ts';
import { FakeCriu } from '../../helpers/fake-criu.ts';
import { FakeHost, type FakeMachine, Killed } from '../../helpers/fake-host.ts';
import { createAndStart, createOne, failure, hook, machineWith, NAME, ROOT, statusOf } from './_machine.ts';

const IMAGES = '/work/images';

function criuMachine(changes: Readonly<Record<string, unknown>> = {}): { machine: FakeMachine; host: FakeHost; criu: FakeCriu } {
  const { machine, host } = machineWith(changes);
  const criu = new FakeCriu(machine);
  machine.criu = criu;
  return { machine, host, criu };
}

/** The same with an image directory, as a checkpoint leaves it. */
function imageMachine(changes: Readonly<Record<string, unknown>> = {}): ReturnType<typeof criuMachine> {
  const all = criuMachine(changes);
  all.machine.file(`${IMAGES}/descriptors.json`, '["pipe:[1]","/dev/null","file[1a:2b]"]');
  return all;
}

const dump = (host: FakeHost, options: Partial<CheckpointOptions> = {}): Promise<void> =>
  checkpoint(host, { ...NAME, imagePath: IMAGES, ...options });
const RESTORE: RestoreOptions = { ...NAME, bundle: '/bundle', imagePath: IMAGES };

test('a checkpoint writes the container, and deletes it', async (t) => {
  const { machine, host, criu } = criuMachine();
  const { pid } = await createAndStart(host);
  await dump(host);
  t.deepEqual([machine.leftovers(), host.open.size], [[], 0]);
  t.deepEqual(JSON.parse(machine.text(`${IMAGES}/descriptors.json`) ?? ''), ['', '', '']);
  const options = new MessageReader(criu.requests[1] ?? '').message(2);
  t.is(options?.number(2), pid);
  t.is(options?.string(10), 'dump.log');
  t.is(options?.string(44), '/sys/fs/cgroup/freezer/strata-c1');
  t.is(options?.string(51), '/etc/criu/strata.conf');
});

test('with cgroup v2 alone CRIU is shown where it is, and mounts it not anew', async (t) => {
  const { machine, host, criu } = imageMachine({ linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] } });
  machine.file('/proc/self/cgroup', '0::/\n');
  machine.file('/proc/self/mountinfo', '32 1 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n');
  machine.file('/sys/fs/cgroup/unified/cgroup.controllers', 'memory pids\n');
  await createAndStart(host);
  machine.file('/sys/fs/cgroup/unified/strata-c1/cgroup.events', 'populated 1\nfrozen 1\n');
  for (let round = 0; round < 2; round++) await dump(host, { leaveRunning: true });
  t.is(new MessageReader(criu.requests[1] ?? '').message(2)?.string(60), `${ROOT}/c1`);
  t.false(machine.nodes.has(`${ROOT}/c1/unified`));
  await deleteContainer(host, { ...NAME, force: true });
  const { length } = criu.requests;
  await restoreDetached(host, RESTORE);
  t.is(new MessageReader(criu.requests[length + 1] ?? '').message(2)?.string(60), `${ROOT}/c1`);
  t.false(machine.nodes.has(`${ROOT}/c1/unified`));
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual(machine.leftovers(), []);
});

test('a container that is to run on does, and so does one whose checkpoint has failed', async (t) => {
  const { machine, host, criu } = criuMachine();
  await createAndStart(host);
  await dump(host, { leaveRunning: true });
  t.is(await statusOf(host), 'running');
  await dump(host, { preDump: true });
  t.is(await statusOf(host), 'running');
  criu.fails = true;
  machine.file(
    `${IMAGES}/dump.log`,
    '(00.01) fine\n(00.02) Error (criu/sk-inet.c:188): inet: Connected TCP socket\n(00.03) Error (criu/cr-dump.c:1): Dumping FAILED.\n',
  );
  const error = await failure(t, dump(host));
  t.is(error.code, 'criu');
  t.regex(error.message, /^the container cannot be checkpointed: CRIU: /);
  t.is(error.hint, `its log is ${IMAGES}/dump.log`);
  t.is(await statusOf(host), 'running');
  t.is(machine.locks.size, 0);
});

test('what cannot be asked of a container or of this CRIU is refused before anything is done', async (t) => {
  const { machine, host, criu } = criuMachine();
  await createOne(host);
  t.is((await failure(t, dump(host))).code, 'status');
  const running = criuMachine();
  await createAndStart(running.host);
  running.criu.features = false;
  t.regex((await failure(t, dump(running.host, { preDump: true }))).message, /track changes of memory/);
  t.regex((await failure(t, dump(running.host, { lazyPages: true }))).message, /userfaultfd/);
  t.regex((await failure(t, dump(running.host, { parentPath: '/absolute' }))).message, /must be relative/);
  t.regex((await failure(t, dump(running.host, { parentPath: '../none' }))).message, /is not a directory/);
  t.regex((await failure(t, dump(running.host, { statusFd: 99 }))).message, /--status-fd is for --lazy-pages/);
  t.regex((await failure(t, dump(running.host, { statusFd: 99, lazyPages: true }))).message, /descriptor 99 is not open/);
  running.machine.directory('/work/shared', 0o777);
  t.regex((await failure(t, dump(running.host, { imagePath: '/work/shared' }))).message, /can be written by them/);
  t.regex((await failure(t, dump(running.host, { workPath: '/work/shared' }))).message, /the work directory .* can be written by them/);
  t.is(await statusOf(running.host), 'running');
  t.is(criu.requests.length, 0);
  t.is(machine.text(`${IMAGES}/descriptors.json`), undefined);

  const none = machineWith();
  await createAndStart(none.host);
  none.machine.failure = { op: 'executable', failure: { errno: 2 } };
  t.regex((await failure(t, dump(none.host))).message, /CRIU is not installed/);
});

test("only the machine's root is let through to CRIU", async (t) => {
  const { machine, host, criu } = imageMachine();
  await createAndStart(host);
  const refused = async (words: RegExp): Promise<void> => {
    for (const [verb, work] of [
      ['checkpoint', dump(host)],
      ['restore', restoreDetached(host, { ...RESTORE, id: 'c2' })],
    ] as const) {
      const error = await failure(t, work);
      t.is(error.code, 'config-unsupported');
      t.regex(error.message, new RegExp(`only root can ${verb} a container${words.source}`));
    }
  };
  machine.file('/proc/self/uid_map', '         0       1000          1\n');
  await refused(/: who calls is the root of a user namespace, and not the machine's$/);
  machine.uid = 1000;
  await refused(/$/);
  machine.uid = 0;
  t.is(criu.requests.length, 0);
  t.is(await statusOf(host), 'running');
});

test('a restore: hooks, the record, the pid file, and what CRIU is asked', async (t) => {
  const { machine, host, criu } = imageMachine({
    hooks: { prestart: [hook('/bin/one')], createRuntime: [hook('/bin/two')], poststop: [hook('/bin/three')] },
  });
  const up = await restoreDetached(host, { ...RESTORE, pidFile: '/work/pid' });
  host.close(up.pidfd);
  t.is(await statusOf(host), 'running');
  t.is(machine.text('/work/pid'), String(up.pid));
  const record = load(host, ROOT, 'c1');
  t.deepEqual([record.status, record.process?.pid, record.hooksBegun], ['running', up.pid, true]);
  t.deepEqual(
    machine.events.filter((event) => /bin\/(?:one|two)/.test(event)).map((event) => /\/bin\/\w+/.exec(event)?.[0]),
    ['/bin/one', '/bin/two'],
  );
  const options = new MessageReader(criu.requests[1] ?? '').message(2);
  t.is(options?.string(13), '/bundle/rootfs');
  t.is(options?.message(27)?.string(1), 'file[1a:2b]');
  t.is(options?.message(25)?.string(2), '/strata-c1');
  t.is(host.open.size, 0);
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual(machine.leftovers(), []);
  t.true(machine.events.some((event) => event.includes('/bin/three')));
});

test('in the foreground the container is deleted when it has ended', async (t) => {
  const { machine, host } = imageMachine();
  machine.foregroundExit = { code: 3 };
  t.deepEqual(await restoreForeground(host, RESTORE), { code: 3 });
  t.deepEqual([machine.leftovers(), host.open.size], [[], 0]);
});

test('a restore that fails leaves nothing', async (t) => {
  const bad = imageMachine();
  bad.criu.fails = true;
  t.is((await failure(t, restoreDetached(bad.host, RESTORE))).code, 'criu');
  const hooked = imageMachine({ hooks: { createRuntime: [hook('/bin/bad')] } });
  hooked.machine.commands.set('/bin/bad', { status: { code: 1 } });
  t.is((await failure(t, restoreDetached(hooked.host, RESTORE))).code, 'hook');
  const cgroups = imageMachine();
  cgroups.machine.failure = { op: 'cgroup-make', failure: { errno: 13 } };
  t.is((await failure(t, restoreDetached(cgroups.host, RESTORE))).errno, 13);
  const missing = imageMachine();
  missing.machine.failure = { op: 'executable', failure: { errno: 2 } };
  t.regex((await failure(t, restoreDetached(missing.host, RESTORE))).message, /CRIU is not installed/);
  const terminal = imageMachine({ process: { terminal: true, args: ['/bin/sh'], cwd: '/', user: { uid: 0, gid: 0 } } });
  t.regex((await failure(t, restoreDetached(terminal.host, { ...RESTORE, console: 77 }))).message, /has no terminal/);
  for (const { machine, host } of [bad, hooked, cgroups, missing, terminal])
    t.deepEqual([machine.leftovers(), machine.locks.size, host.open.size], [[], 0, 0]);
});

test('a CRIU that dies is noticed, though its helpers keep the socket', async (t) => {
  for (const diesAt of ['setup-namespaces', 'post-restore', 'post-resume']) {
    const { machine, host, criu } = imageMachine();
    criu.diesAt = diesAt;
    machine.file(`${IMAGES}/restore.log`, '');
    const error = await failure(t, restoreDetached(host, RESTORE));
    t.is(error.code, 'criu');
    t.regex(error.message, /^CRIU has ended without a result \(signal 9\).*its log is \/work\/images\/restore\.log/);
    t.deepEqual([machine.leftovers(), machine.locks.size, host.open.size], [[], 0, 0]);
  }
});

test('a process that somebody kills while CRIU is at work on it is not waited for', async (t) => {
  const { machine, host, criu } = imageMachine();
  criu.losesAt = 'post-resume';
  t.regex((await failure(t, restoreDetached(host, RESTORE))).message, /was ended while it was restored/);
  t.deepEqual([machine.leftovers(), machine.locks.size, host.open.size], [[], 0, 0]);
});

test('a root that CRIU has left writable, against the configuration, is not handed on', async (t) => {
  const { pid } = await restoreDetached(imageMachine().host, RESTORE);
  for (const [flags, isKept] of [
    ['rw,relatime', false],
    ['ro,relatime', true],
  ] as const) {
    const { machine, host } = imageMachine({ root: { path: 'rootfs', readonly: true } });
    machine.file(`/proc/${pid}/mountinfo`, `40 1 8:1 /bundle/rootfs / ${flags} - ext4 /dev/root rw\n41 40 0:5 / /proc ro - proc proc ro\n`);
    if (isKept) {
      t.is((await restoreDetached(host, RESTORE)).pid, pid);
      continue;
    }
    const error = await failure(t, restoreDetached(host, RESTORE));
    t.deepEqual([error.code, error.pointer], ['criu', '/root/readonly']);
    t.deepEqual([machine.leftovers(), machine.locks.size, host.open.size], [[], 0, 0]);
  }
});

test('a CRIU that is too old would pass over what it does not know', async (t) => {
  const { machine, host, criu } = imageMachine();
  criu.version = 3;
  t.regex((await failure(t, restoreDetached(host, RESTORE))).message, /CRIU 3\.0 is too old: 3\.16 is needed/);
  t.deepEqual(machine.leftovers(), []);
});

test('only a file of the administrator can configure CRIU', async (t) => {
  const named = async (path: string): Promise<string> => {
    const { machine, host } = imageMachine({ annotations: { 'org.criu.config': path } });
    machine.file('/etc/criu/good.conf', '');
    machine.file('/etc/criu/bad.conf', '');
    const bad = machine.nodes.get('/etc/criu/bad.conf');
    if (bad !== undefined) bad.mode = 0o664;
    try {
      host.close((await restoreDetached(host, RESTORE)).pidfd);
      return new MessageReader(machine.criu?.requests.at(1) ?? '').message(2)?.string(51) ?? '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.is(await named('/etc/criu/good.conf'), '/etc/criu/good.conf');
  t.is(await named(''), '');
  for (const path of ['rootfs/evil.conf', '/bundle/rootfs/etc/criu/x', '/etc/criu/../evil'])
    t.regex(await named(path), /must be a file in \/etc\/criu\//);
  t.regex(await named('/etc/criu/none.conf'), /does not exist/);
  t.regex(await named('/etc/criu/bad.conf'), /nobody else can write/);
});

test('what CRIU does not save is from the configuration again, or told', async (t) => {
  const warnings: string[] = [];
  const { machine, host } = imageMachine({
    process: { args: ['/bin/true'], cwd: '/', user: { uid: 0, gid: 0 }, ioPriority: { class: 'IOPRIO_CLASS_IDLE', priority: 0 } },
    hooks: { poststart: [hook('/bin/late')] },
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'network' }], sysctl: { 'net.ipv4.ping_group_range': '0 77' } },
  });
  host.close((await restoreDetached(host, { ...RESTORE, warn: (text) => warnings.push(text) })).pidfd);
  const criu = machine.processes.find(({ plan }) => plan.some(({ op }) => op === 'exec'));
  const before = criu?.plan.map(({ op }) => op) ?? [];
  t.true(['keyring', 'io-priority'].every((op) => before.includes(op) && before.indexOf(op) < before.indexOf('exec')));
  const entered = machine.processes.find(({ plan }) => plan.some(({ op }) => op === 'enter'));
  t.deepEqual(
    entered?.plan.map(({ op }) => op),
    ['enter', 'sysctl', 'loopback-up', 'ready'],
  );
  t.deepEqual(warnings, ['/hooks: at a restore the hooks poststart are not run']);

  const device = imageMachine({ linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'network' }], netDevices: { eth7: {} } } });
  t.is((await failure(t, restoreDetached(device.host, RESTORE))).pointer, '/linux/netDevices');
});

test('an image directory is not believed', async (t) => {
  for (const text of ['', '{}', '[1]', '"pipe:[1]"']) {
    const { machine, host } = imageMachine();
    machine.file(`${IMAGES}/descriptors.json`, text);
    t.regex((await failure(t, restoreDetached(host, RESTORE))).message, /is not a list of names/);
    t.deepEqual(machine.leftovers(), []);
  }
  const { machine, host, criu } = imageMachine();
  machine.file(`${IMAGES}/descriptors.json`, '["/etc/shadow","pipe:[1]x","extRootNetNS","pipe:[9]"]');
  host.close((await restoreDetached(host, RESTORE)).pidfd);
  t.is(new MessageReader(criu.requests[1] ?? '').message(2)?.message(27), undefined);
  const none = criuMachine();
  none.machine.directory(IMAGES);
  t.is((await failure(t, restoreDetached(none.host, RESTORE))).hint, 'is it the directory of a checkpoint?');
});

test('a restore, killed at every call, leaves nothing that delete --force does not remove', async (t) => {
  for (let killAt = 1; ; killAt++) {
    const { machine } = imageMachine({ hooks: { createRuntime: [hook('/bin/two')] } });
    const doomed = new FakeHost(machine, killAt);
    let survived = true;
    try {
      await restoreDetached(doomed, RESTORE);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      survived = false;
    }
    const host = new FakeHost(machine);
    await deleteContainer(host, { ...NAME, force: true });
    if (machine.leftovers().length > 0 || machine.locks.size > 0) t.fail(`killed at call ${killAt}: ${machine.leftovers().join(', ')}`);
    if (survived) break;
  }
  t.pass();
});

test('a checkpoint, killed at every call: the container runs, or is stopped and can be deleted', async (t) => {
  for (let killAt = 1; ; killAt++) {
    const { machine, host } = criuMachine();
    await createAndStart(host);
    const doomed = new FakeHost(machine, killAt);
    let survived = true;
    try {
      await dump(doomed);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      survived = false;
    }
    await deleteContainer(new FakeHost(machine), { ...NAME, force: true });
    if (machine.leftovers().length > 0 || machine.locks.size > 0) t.fail(`killed at call ${killAt}: ${machine.leftovers().join(', ')}`);
    if (survived) break;
  }
  t.pass();
});

test('the directory of a socket of sd_notify(3) is where it was, by the word of the image', async (t) => {
  const { machine, host } = criuMachine();
  await createOne(host, { notifySocket: '@caller' });
  await start(host, NAME);
  await dump(host, { leaveRunning: true });
  t.is(machine.text(`${IMAGES}/notify.json`), '"/run/notify"');
  await deleteContainer(host, { ...NAME, force: true });
  // A container without leaves none there.
  await createAndStart(host);
  await dump(host);
  t.false(machine.nodes.has(`${IMAGES}/notify.json`));

  const other = imageMachine();
  other.machine.file(`${IMAGES}/notify.json`, '"/run/notify"');
  other.host.close((await restoreDetached(other.host, RESTORE)).pidfd);
  t.deepEqual(load(other.host, ROOT, 'c1').notify, { place: '/run/notify' });
  t.deepEqual(other.machine.children(`${ROOT}/c1/notify`), []);
  t.regex((other.criu.requests.at(1) ?? '') || '', /mnt\[\/run\/notify\]:\/run\/strata\/c1\/notify/);
  for (const text of ['', '1', '"run"', '["/run"]', '"/a\\u0000b"']) {
    const broken = imageMachine();
    broken.machine.file(`${IMAGES}/notify.json`, text);
    const error = await failure(t, restoreDetached(broken.host, RESTORE));
    t.deepEqual([error.code, error.path, broken.machine.leftovers()], ['criu', `${IMAGES}/notify.json`, []]);
  }
});
