import test from 'ava';
import { LaunchError } from '../../../src/host/host.ts';
import { deleteContainer } from '../../../src/lifecycle/delete.ts';
import { kill } from '../../../src/lifecycle/kill.ts';
import { list } from '../../../src/lifecycle/list.ts';
import { pause, resume } from '../../../src/lifecycle/pause.ts';
import { pids, processTable } from '../../../src/lifecycle/ps.ts';
import { runDetached, runForeground } from '../../../src/lifecycle/run.ts';
import { start } from '../../../src/lifecycle/start.ts';
import { state } from '../../../src/lifecycle/state.ts';
import { wait } from '../../../src/lifecycle/wait.ts';
import { FakeHost, HIERARCHIES } from '../../helpers/fake-host.ts';
import { createAndStart, createOne, failure, hook, machineWith, NAME, ROOT, statusOf } from './_machine.ts';

const NOT_RUNNING = /container not running/;

test('the life of a container', async (t) => {
  const { machine, host } = machineWith({ hooks: { poststart: [hook('/bin/up')], poststop: [hook('/bin/down')] } });
  const { pid } = await createOne(host);
  await start(host, NAME);
  t.is(await statusOf(host), 'running');
  t.regex(machine.events.at(-1) ?? '', /^run \/bin\/up .*"status":"running","pid":\d+/);
  t.false(machine.nodes.has(`${ROOT}/c1/start.sock`));
  await pause(host, NAME);
  t.is(await statusOf(host), 'paused');
  await resume(host, NAME);
  t.is(await statusOf(host), 'running');
  t.regex((await failure(t, deleteContainer(host, NAME))).message, /not stopped: running/);
  await kill(host, { ...NAME, signal: 15 });
  t.is(machine.events.at(-1), `signal 15 to ${pid}`);
  await kill(host, { ...NAME, signal: 9 });
  t.is(await statusOf(host), 'stopped');
  t.is((await state(host, NAME)).pid, 0);
  t.regex((await failure(t, kill(host, { ...NAME, signal: 15 }))).message, NOT_RUNNING);
  await deleteContainer(host, NAME);
  t.regex(machine.events.at(-1) ?? '', /^run \/bin\/down .*"status":"stopped","pid":0/);
  t.deepEqual(machine.leftovers(), []);
  t.regex((await failure(t, deleteContainer(host, NAME))).message, /container does not exist/);
  t.is(host.open.size, 0);
});

test("the state has runc's properties in runc's order", async (t) => {
  const { host } = machineWith({ annotations: { a: 'b' } });
  await createOne(host);
  t.deepEqual(Object.keys(await state(host, NAME)), ['ociVersion', 'id', 'pid', 'status', 'bundle', 'rootfs', 'created', 'annotations', 'owner']);
  t.is((await state(host, NAME)).owner, 'root');
});

test('a pid that now belongs to another process is not signalled', async (t) => {
  const { machine, host } = machineWith();
  const { pid } = await createAndStart(host);
  const [first] = machine.processes;
  if (first !== undefined) machine.die(first, { code: 0 });
  machine.processes.push({ pid, startTime: 1n, cgroups: new Set(), plan: [], at: 0, phase: 'running', socket: '', parent: undefined });
  t.is(await statusOf(host), 'stopped');
  await failure(t, kill(host, { ...NAME, signal: 9 }));
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual(
    machine.events.filter((event) => event.startsWith('signal')),
    [],
  );
  t.deepEqual(machine.leftovers(), [`process ${pid} (running)`]);
});

test('a killed start that ran the program reads as running', async (t) => {
  const { machine, host } = machineWith();
  await createOne(host);
  // The last step of the fake's start comes after the program has been executed.
  for (let killAt = 1; ; killAt++) {
    const doomed = new FakeHost(machine, killAt);
    await t.throwsAsync(start(doomed, NAME), { name: 'Killed' });
    if (machine.processes[0]?.phase === 'running') break;
    t.is(await statusOf(host), 'created');
  }
  t.is(await statusOf(host), 'running');
  t.regex((await failure(t, start(host, NAME))).message, /already running/);
});

for (const [name, changes, op, fields, message] of [
  [
    'a startContainer hook',
    { hooks: { startContainer: [hook('/bin/sc')], poststop: [hook('/bin/down')] } },
    'hook',
    { detail: 'exit status 1', errno: 0 },
    /^config.json \/hooks\/startContainer\/0: startContainer hook \/bin\/sc failed: exit status 1$/,
  ],
  ['the program', { hooks: { poststop: [hook('/bin/down')] } }, 'exec', { errno: 8 }, /exec: "\/bin\/true": exec format error$/],
] as const) {
  test(`start fails at ${name}: the container is destroyed`, async (t) => {
    const { machine, host } = machineWith(changes);
    await createOne(host);
    machine.failure = { op, failure: fields };
    t.regex((await failure(t, start(host, NAME))).message, message);
    t.regex(machine.events.at(-1) ?? '', /^run \/bin\/down/);
    t.deepEqual(machine.leftovers(), []);
    t.is(host.open.size, 0);
  });
}

test('a start that nobody hears changes nothing', async (t) => {
  const { machine, host } = machineWith();
  await createOne(host);
  host.start = async (path) => {
    throw new LaunchError({ operation: -1, syscall: 'socket', errno: 24, path, detail: '' });
  };
  t.regex((await failure(t, start(host, NAME))).message, /socket .*: too many open files$/);
  t.is(await statusOf(host), 'created');
  const [process] = machine.processes;
  host.start = async (path) => {
    if (process !== undefined) machine.die(process, { code: 137, signal: 9 });
    throw new LaunchError({ operation: -1, syscall: 'connect', errno: 111, path, detail: '' });
  };
  t.is((await failure(t, start(host, NAME))).message, 'cannot start a container that has stopped');
});

test('a process that is killed while it starts is destroyed', async (t) => {
  const { machine, host } = machineWith();
  await createOne(host);
  host.start = async () => {
    throw new LaunchError({ operation: -1, syscall: 'init', errno: 0, path: '', detail: 'killed by signal 9' });
  };
  t.regex((await failure(t, start(host, NAME))).message, /ended while it was set up: killed by signal 9/);
  t.deepEqual(machine.leftovers(), []);
});

test('start fails at a poststart hook: the container is destroyed', async (t) => {
  const { machine, host } = machineWith({ hooks: { poststart: [hook('/bin/bad')], poststop: [hook('/bin/down')] } });
  machine.commands.set('/bin/bad', { status: { code: 137, signal: 9 } });
  await createOne(host);
  t.is((await failure(t, start(host, NAME))).message, 'config.json /hooks/poststart/0: poststart hook /bin/bad failed: signal 9');
  t.regex(machine.events.at(-1) ?? '', /^run \/bin\/down/);
  t.deepEqual(machine.leftovers(), []);
});

test('a container without a process is created but not started', async (t) => {
  const { host } = machineWith({ process: undefined });
  await createOne(host);
  t.is((await failure(t, start(host, NAME))).pointer, '/process');
  t.is(await statusOf(host), 'created');
});

test('a poststop hook that fails is a warning, and the others run', async (t) => {
  const { machine, host } = machineWith({ hooks: { poststop: [hook('/bin/bad'), hook('/bin/good')] } });
  machine.commands.set('/bin/bad', { status: { code: 1 } });
  await createOne(host);
  const warnings: string[] = [];
  await deleteContainer(host, { ...NAME, force: true, warn: (text) => warnings.push(text) });
  t.deepEqual(warnings, ['config.json /hooks/poststop/0: poststop hook /bin/bad failed: exit status 1']);
  t.regex(machine.events.at(-1) ?? '', /^run \/bin\/good/);
  t.deepEqual(machine.leftovers(), []);
});

test('SIGKILL ends a paused container', async (t) => {
  const { host } = machineWith();
  await createAndStart(host);
  await pause(host, NAME);
  await kill(host, { ...NAME, signal: 9 });
  t.is(await statusOf(host), 'stopped');
});

test('another signal leaves a paused container paused', async (t) => {
  const { host } = machineWith();
  await createAndStart(host);
  await pause(host, NAME);
  await kill(host, { ...NAME, signal: 15 });
  t.is(await statusOf(host), 'paused');
});

test('a paused container is deleted by force', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  await pause(host, NAME);
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual(machine.leftovers(), []);
});

test('a container that does not freeze is thawed again', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  const freezer = `${HIERARCHIES[1]}/strata-c1/freezer.state`;
  const { readText } = host;
  host.readText = (path, limit) => (path === freezer && machine.text(path) === 'FROZEN' ? 'FREEZING\n' : readText.call(host, path, limit));
  t.is((await failure(t, pause(host, NAME))).code, 'timeout');
  t.is(machine.text(freezer), 'THAWED');
  t.is(await statusOf(host), 'running');
});

test('with a shared pid namespace SIGKILL reaches everyone, and delete what is left', async (t) => {
  const { machine, host } = machineWith({ linux: { namespaces: [{ type: 'mount' }] } });
  await createAndStart(host);
  const cgroups = machine.processes[0]?.cgroups ?? new Set<string>();
  const other = machine.spawn({ cgroups, plan: [], socket: '', parent: undefined });
  Object.assign(other, { phase: 'running' });
  await kill(host, { ...NAME, signal: 15, all: true });
  t.deepEqual(machine.events.slice(-2), [`signal 15 to ${machine.processes[0]?.pid}`, `signal 15 to ${other.pid}`]);
  await kill(host, { ...NAME, signal: 9 });
  t.is(other.phase, 'dead');
  await kill(host, { ...NAME, signal: 9, all: true });
  const straggler = machine.spawn({ cgroups, plan: [], socket: '', parent: undefined });
  straggler.phase = 'running';
  await deleteContainer(host, NAME);
  t.deepEqual(machine.leftovers(), []);
});

test('a process that SIGKILL does not end keeps the state, so that delete can be repeated', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  const [process] = machine.processes;
  if (process !== undefined) process.immortal = true;
  const error = await failure(t, deleteContainer(host, { ...NAME, force: true }));
  t.is(error.code, 'timeout');
  if (process !== undefined) process.immortal = false;
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual(machine.leftovers(), []);
});

test('delete by force of what does not exist succeeds', async (t) => {
  const { host } = machineWith();
  await deleteContainer(host, { ...NAME, force: true });
  await createOne(host);
  await deleteContainer(host, { root: ROOT, id: 'c2', force: true });
  t.is(await statusOf(host), 'created');
});

test('many deletes by force at once all succeed', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  await Promise.all(Array.from({ length: 8 }, () => deleteContainer(new FakeHost(machine), { ...NAME, force: true })));
  t.deepEqual(machine.leftovers(), []);
});

for (const [name, text] of Object.entries({
  'no state': undefined,
  'an empty state': '',
  'half a state': '{"version":1,',
  'a state with a guessed pid': '{"version":1,"id":"c1","pid":1}',
})) {
  test(`delete by force of a directory with ${name}`, async (t) => {
    const { machine, host } = machineWith();
    await createOne(host);
    await deleteContainer(host, { ...NAME, force: true });
    machine.events.length = 0;
    machine.directory(`${ROOT}/c1`, 0o700);
    if (text !== undefined) machine.file(`${ROOT}/c1/state.json`, text);
    t.is((await failure(t, state(host, NAME))).code, 'state-damaged');
    t.is((await failure(t, start(host, NAME))).code, 'state-damaged');
    t.is((await failure(t, kill(host, { ...NAME, signal: 9 }))).code, 'state-damaged');
    t.is((await failure(t, deleteContainer(host, NAME))).code, 'state-damaged');
    const warnings: string[] = [];
    await deleteContainer(host, { ...NAME, force: true, warn: (warning) => warnings.push(warning) });
    t.is(warnings.length, text === undefined ? 0 : 1);
    t.deepEqual(machine.leftovers(), []);
    t.deepEqual(machine.events, []);
    await createOne(host);
  });
}

test('while another process holds the lock a verb waits, then says so', async (t) => {
  const { machine, host } = machineWith();
  await createOne(host);
  const other = new FakeHost(machine);
  const lock = other.tryLock(`${ROOT}/c1`);
  t.is((await failure(t, start(host, NAME))).message, 'container c1 is in use by another strata process (it did not finish within 10 s)');
  t.is(await statusOf(host), 'created');
  await kill(host, { ...NAME, signal: 15 });
  const starting = start(host, NAME);
  if (lock !== undefined) other.close(lock);
  await starting;
  t.is(await statusOf(host), 'running');
});

test('a container reads as creating while its hooks run', async (t) => {
  const { machine, host } = machineWith({ hooks: { createRuntime: [hook('/bin/look')] } });
  const { run } = host;
  const seen: string[] = [];
  host.run = async (command) => {
    seen.push(await statusOf(new FakeHost(machine)));
    return run.call(host, command);
  };
  await createOne(host);
  t.deepEqual(seen, ['creating']);
});

test('run in the foreground gives the status and leaves nothing', async (t) => {
  const { machine, host } = machineWith({ hooks: { poststart: [hook('/bin/up')], poststop: [hook('/bin/down')] } });
  machine.foregroundExit = { code: 137, signal: 9 };
  t.deepEqual(await runForeground(host, { ...NAME, bundle: '/bundle' }), { code: 137, signal: 9 });
  t.deepEqual(machine.leftovers(), []);
  t.deepEqual(
    machine.events.map((event) => event.split(' ')[1]),
    [String(machine.processes[0]?.pid), '/bin/up', '/bin/down'],
  );
  t.is(host.open.size, 0);
});

test('run keeps the container when asked to', async (t) => {
  const { host } = machineWith();
  await runForeground(host, { ...NAME, bundle: '/bundle', keep: true });
  t.is(await statusOf(host), 'stopped');
});

test('run does not delete a container that took its id meanwhile', async (t) => {
  const { machine, host } = machineWith();
  const { foreground } = host;
  host.foreground = async (pidfd) => {
    const other = new FakeHost(machine);
    await deleteContainer(other, { ...NAME, force: true });
    await createOne(other);
    return foreground.call(host, pidfd);
  };
  await runForeground(host, { ...NAME, bundle: '/bundle' });
  t.is(await statusOf(host), 'created');
});

test('run with a terminal stands in front of its master', async (t) => {
  const { machine, host } = machineWith({ process: { terminal: true, args: ['sh'], cwd: '/', user: { uid: 0, gid: 0 } } });
  t.deepEqual(await runForeground(host, { ...NAME, bundle: '/bundle' }), { code: 0 });
  t.is(host.open.size, 0);
  t.deepEqual(machine.leftovers(), []);
  t.regex((await failure(t, runForeground(host, { ...NAME, bundle: '/bundle', consoleSocket: '/tmp/s' }))).message, /in the foreground/);
  t.regex((await failure(t, runDetached(host, { ...NAME, bundle: '/bundle' }))).message, /without a console socket/);
});

test('run detached returns when the program runs', async (t) => {
  const { host } = machineWith();
  const { pidfd } = await runDetached(host, { ...NAME, bundle: '/bundle' });
  host.close(pidfd);
  t.is(await statusOf(host), 'running');
});

test('run whose program cannot be executed leaves nothing', async (t) => {
  const { machine, host } = machineWith();
  machine.failure = { op: 'exec', failure: { errno: 8 } };
  t.is((await failure(t, runForeground(host, { ...NAME, bundle: '/bundle' }))).code, 'exec');
  t.deepEqual(machine.leftovers(), []);
  t.is(host.open.size, 0);
});

test('list tells all, and warns of what is damaged', async (t) => {
  const { machine, host } = machineWith();
  t.deepEqual(await list(host, { root: ROOT }), []);
  await createOne(host, { id: 'b' });
  await createOne(host, { id: 'a' });
  machine.file(`${ROOT}/x/state.json`, '{');
  machine.directory(`${ROOT}/@seccomp`);
  const warnings: string[] = [];
  const found = await list(host, { root: ROOT, warn: (text) => warnings.push(text) });
  t.deepEqual(
    found.map(({ id, status }) => [id, status]),
    [
      ['a', 'created'],
      ['b', 'created'],
    ],
  );
  t.is(warnings.length, 1);
});

test('ps finds the processes of the cgroup and those below', async (t) => {
  const { machine, host } = machineWith();
  const { pid } = await createAndStart(host);
  const below = `${HIERARCHIES[1]}/strata-c1/inner`;
  machine.directory(below);
  const inner = machine.spawn({ cgroups: new Set([below]), plan: [], socket: '', parent: undefined });
  inner.phase = 'running';
  t.deepEqual(await pids(host, NAME), [pid, inner.pid]);
  machine.file('/usr/bin/ps', '');
  machine.commands.set('/usr/bin/ps', { stdout: `UID          PID CMD\nroot           1 init\nroot         ${pid} sh\nroot  ${inner.pid} top\n` });
  t.is(await processTable(host, { ...NAME, args: [] }), `UID          PID CMD\nroot         ${pid} sh\nroot  ${inner.pid} top\n`);
  machine.commands.set('/usr/bin/ps', { stdout: 'CMD\nsh\n' });
  t.regex((await failure(t, processTable(host, { ...NAME, args: ['-o', 'cmd'] }))).message, /no PID column/);
});

test('wait tells how the process exited', async (t) => {
  const { host } = machineWith();
  await createAndStart(host);
  t.is(await wait(host, { ...NAME, timeout: 20 }), undefined);
  const waiting = wait(host, NAME);
  await kill(host, { ...NAME, signal: 9 });
  t.deepEqual(await waiting, { code: 137, signal: 9 });
  t.is(await wait(host, NAME), 'unknown');
  t.is(host.open.size, 0);
});
