import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { ERRNO } from '../../../src/base/fault.ts';
import type { ExecOptions, ProcessChanges } from '../../../src/lifecycle/exec.ts';
import { checkChanges, execDetached, execForeground } from '../../../src/lifecycle/exec.ts';
import { pause, resume } from '../../../src/lifecycle/pause.ts';
import { pids } from '../../../src/lifecycle/ps.ts';
import { type Decoded, type FakeHost, HIERARCHIES } from '../../helpers/fake-host.ts';
import { createAndStart, createOne, failure, machineWith, NAME, ROOT } from './_machine.ts';

const TRUE: ProcessChanges = { args: ['/bin/true'], terminal: false };

async function detached(host: FakeHost, options: Partial<ExecOptions> = {}): Promise<number> {
  const { pid, pidfd } = await execDetached(host, { ...NAME, changes: TRUE, ...options });
  host.close(pidfd);
  return pid;
}

function last(host: FakeHost): readonly Decoded[] {
  return host.machine.processes.at(-1)?.plan ?? [];
}

function find(host: FakeHost, op: string): Decoded {
  return last(host).find((operation) => operation.op === op) ?? { op: 'none' };
}

test('a process more, in the cgroups of the first; the record stays as it is', async (t) => {
  const { machine, host } = machineWith();
  const { pid } = await createAndStart(host);
  const before = machine.text(`${ROOT}/c1/state.json`);
  const second = await detached(host, { pidFile: '/tmp/pid' });
  t.not(second, pid);
  t.is(machine.text('/tmp/pid'), String(second));
  t.is(machine.text(`${ROOT}/c1/state.json`), before);
  t.like(find(host, 'enter'), { pid, chroot: false, cgroup: `${HIERARCHIES[2]}/strata-c1` });
  t.deepEqual(find(host, 'enter').tasks, [`${HIERARCHIES[0]}/strata-c1/tasks`, `${HIERARCHIES[1]}/strata-c1/tasks`]);
  t.is(host.open.size, 0);
});

test('in the foreground, with the exit status', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  machine.foregroundExit = { code: 3 };
  t.deepEqual(await execForeground(host, { ...NAME, changes: { args: ['x'], terminal: true } }), { code: 3 });
  t.is(host.open.size, 0);
  t.regex((await failure(t, execForeground(host, { ...NAME, changes: TRUE, consoleSocket: '/s' }))).message, /console socket/);
});

test('changes are made to the section with which the container was created', async (t) => {
  const process = {
    args: ['/bin/sleep'],
    cwd: '/',
    env: ['A=1', 'PATH=/bin'],
    user: { uid: 1, gid: 2, additionalGids: [3] },
    terminal: true,
    rlimits: [],
  };
  const { host } = machineWith({ process: { ...process, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 ** 40 }] } });
  // A container with a terminal needs somebody to hold it.
  const [mine, theirs] = host.socketPair();
  await createOne(host, { console: theirs });
  host.close(mine);
  host.close(theirs);
  await detached(host);
  t.like(find(host, 'user'), { uid: 1, gid: 2, groups: [3] });
  t.like(find(host, 'rlimit'), { soft: 1n, hard: 2n ** 40n });
  t.is(find(host, 'console').op, 'none');
  await detached(host, { changes: { ...TRUE, cwd: '/tmp', env: ['A=2'], uid: 5, additionalGids: [4], capabilities: ['CAP_KILL'] } });
  t.like(find(host, 'user'), { uid: 5, gid: 2, groups: [3, 4] });
  t.like(find(host, 'cwd'), { path: '/tmp' });
  t.like(find(host, 'capabilities'), { effective: 1n << 5n, permitted: 1n << 5n, inheritable: 0n, ambient: 0n });
  t.deepEqual((find(host, 'exec').env as string[]).slice(0, 2), ['PATH=/bin', 'A=2']);
});

test('--process says everything, but for what confines', async (t) => {
  const capabilities = { bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], effective: ['CAP_KILL'] };
  const process = { args: ['x'], cwd: '/', env: ['A=1'], capabilities, oomScoreAdj: 7, scheduler: { policy: 'SCHED_OTHER', nice: 5 } };
  const { machine, host } = machineWith({ process });
  await createAndStart(host);
  await detached(host, { process: { cwd: '/', args: ['y'] }, changes: {} });
  t.like(find(host, 'capabilities'), { permitted: 1n << 5n });
  t.is(find(host, 'oom-score-adj').value, '7');
  t.is(find(host, 'scheduler').nice, 5);
  t.deepEqual(find(host, 'exec').args, ['y']);
  t.deepEqual(find(host, 'exec').env, []);
  await detached(host, { process: { cwd: '/', args: ['y'], capabilities: {}, oomScoreAdj: 8, scheduler: { policy: 'SCHED_IDLE' } }, changes: {} });
  t.like(find(host, 'capabilities'), { permitted: 0n });
  t.is(find(host, 'oom-score-adj').value, '8');
  const error = await failure(t, detached(host, { process: { cwd: 'x', args: ['y'] }, changes: {} }));
  t.regex(error.message, /^exec \/process\/cwd: must be an absolute path/);
  t.is(error.pointer, '/process/cwd');
  // Nothing is missing, so nothing is read.
  machine.nodes.delete(`${ROOT}/c1/process.json`);
  await detached(host, { process: { cwd: '/', args: ['y'], capabilities: {}, oomScoreAdj: 8, scheduler: { policy: 'SCHED_IDLE' } }, changes: {} });
  // A delete has begun: nothing is run with less confinement than the container's.
  t.regex((await failure(t, detached(host, { process: { cwd: '/', args: ['y'] }, changes: {} }))).message, /container not running/);
  t.regex((await failure(t, detached(host))).message, /container not running/);
});

test('cgroups below', async (t) => {
  const { host } = machineWith();
  await createAndStart(host);
  await detached(host, { cgroups: ['a//./b/'] });
  t.is(find(host, 'enter').cgroup, `${HIERARCHIES[2]}/strata-c1/a/b`);
  await detached(host, { cgroups: ['memory:a'] });
  t.is(find(host, 'enter').cgroup, `${HIERARCHIES[2]}/strata-c1`);
  t.deepEqual(find(host, 'enter').tasks, [`${HIERARCHIES[0]}/strata-c1/a/tasks`, `${HIERARCHIES[1]}/strata-c1/tasks`]);
  for (const cgroups of [['../a'], ['nothing:a'], ['memory:a', 'memory:b'], ['a', 'b'], [':a']])
    t.is((await failure(t, detached(host, { cgroups }))).code, 'usage', cgroups.join(' '));
});

test('the status decides', async (t) => {
  const { machine, host } = machineWith();
  t.is((await failure(t, detached(host))).code, 'not-found');
  await createOne(host);
  await detached(host);
  await pause(host, NAME);
  t.regex((await failure(t, detached(host))).message, /paused container/);
  await detached(host, { ignorePaused: true });
  await resume(host, NAME);
  const [first] = machine.processes;
  if (first !== undefined) machine.die(first, { code: 0 });
  t.regex((await failure(t, detached(host))).message, /container not running: c1 has stopped/);
  t.is(host.open.size, 0);
});

test('a container that ends while it is looked at is not running', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  const read = host.readText.bind(host);
  host.readText = (path, limit) => {
    if (!path.endsWith('/freezer.state')) return read(path, limit);
    const [first] = machine.processes;
    if (first !== undefined) machine.die(first, { code: 0 });
    throw new StrataError({ code: 'system', reason: 'read', errno: ERRNO.ENODEV, path });
  };
  t.regex((await failure(t, detached(host))).message, /container not running/);
  t.deepEqual(await pids(host, NAME), []);
  t.is(host.open.size, 0);
});

test('a failure leaves nothing', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  const living = () => machine.processes.filter(({ phase }) => phase !== 'dead').length;
  machine.failure = { op: 'executable', failure: { errno: 2 }, value: '/bin/true' };
  t.regex((await failure(t, detached(host, { pidFile: '/tmp/pid' }))).message, /exec: "\/bin\/true": stat \/bin\/true: no such file or directory/);
  t.false(machine.nodes.has('/tmp/pid'));
  // The process of the step could not be made, and the step has nothing to do with it.
  machine.failure = { op: 'executable', failure: { syscall: 'clone3', errno: 11 }, value: '/bin/true' };
  t.regex((await failure(t, detached(host, {}))).message, /clone3: resource temporarily unavailable \(is the pids limit reached\?\)$/);
  machine.failure = undefined;
  await failure(t, detached(host, { pidFile: '/nowhere/pid' }));
  await failure(t, detached(host, { pidfdSocket: '/nowhere' }));
  await failure(t, detached(host, { consoleSocket: '/nowhere', changes: { ...TRUE, terminal: true } }));
  t.is(living(), 1);
  t.is(host.open.size, 0);
});

test('where no process can be born, the cgroup that is full is named', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  machine.failure = { op: 'enter', failure: { syscall: 'clone3', errno: 11 } };
  const words = async (): Promise<string> => {
    const { hint = '' } = await failure(t, detached(host));
    return hint;
  };
  t.is(await words(), '');
  machine.file(`${HIERARCHIES[2]}/strata-c1/pids.max`, 'max\n');
  machine.file(`${HIERARCHIES[2]}/strata-c1/pids.current`, '9\n');
  t.is(await words(), '');
  machine.file(`${HIERARCHIES[2]}/strata-c1/pids.max`, '11\n');
  t.is(await words(), '');
  machine.file(`${HIERARCHIES[2]}/strata-c1/pids.max`, '10\n');
  t.is(await words(), 'the cgroup /strata-c1 has 9 of the 10 processes that it may have (pids.max), and needs room for 2');
  machine.failure = { op: 'enter', failure: { syscall: 'clone3', errno: 12 } };
  t.is(await words(), '');
});

test('where the container takes no process, the cgroup of its first one does', async (t) => {
  const { machine, host } = machineWith();
  const { pid } = await createAndStart(host);
  machine.file(`/proc/${pid}/cgroup`, '3:memory:/strata-c1\n0::/strata-c1/init.scope\n');
  for (const refused of [
    { syscall: 'clone3', errno: 16 },
    { syscall: 'open', errno: 2 },
  ]) {
    machine.failure = { op: 'enter', failure: refused, value: `${HIERARCHIES[2]}/strata-c1` };
    await detached(host);
    t.is(find(host, 'enter').cgroup, `${HIERARCHIES[2]}/strata-c1/init.scope`);
  }
  machine.failure = { op: 'enter', failure: { syscall: 'clone3', errno: 16 }, value: `${HIERARCHIES[2]}/strata-c1` };
  machine.failure = { ...machine.failure, value: `${HIERARCHIES[2]}/strata-c1/a` };
  t.is((await failure(t, detached(host, { cgroups: ['a'] }))).errno, 16);
});

test('pidfds are sent where they are wanted', async (t) => {
  const { machine, host } = machineWith();
  machine.nodes.set('/tmp/socket', { type: 'socket', mode: 0o600, uid: 0, text: '' });
  const { pid } = await createOne(host, { pidfdSocket: '/tmp/socket' });
  t.is(machine.events.at(-1), `standard pidfd of ${pid} to /tmp/socket`);
  const second = await detached(host, { pidfdSocket: '/tmp/socket' });
  t.true(machine.events.includes(`setns pidfd of ${second} to /tmp/socket`));
  t.is(host.open.size, 0);
});

test('a state of before there was exec', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  const node = machine.nodes.get(`${ROOT}/c1/state.json`);
  const { traits: _, ...old } = JSON.parse(node?.text ?? '');
  if (node !== undefined) node.text = JSON.stringify(old);
  t.regex((await failure(t, detached(host))).message, /no exec/);
});

test('a section that cannot be read', async (t) => {
  const { machine, host } = machineWith();
  await createAndStart(host);
  for (const text of ['', '{', 'null', '{}', '{"rlimits":[]}', '{"rlimits":[{"type":"RLIMIT_CPU","soft":"x","hard":"1"}],"cwd":"/"}']) {
    machine.file(`${ROOT}/c1/process.json`, text);
    t.is((await failure(t, detached(host))).code, 'state-damaged', text);
  }
});

test('changes that a program makes are looked at', (t) => {
  t.notThrows(() => checkChanges({ args: ['a'], cwd: '/', env: ['A=1'], uid: 1, gid: 2, additionalGids: [3], capabilities: ['CAP_KILL'] }));
  for (const changes of [{ uid: -1 }, { uid: 1.5 }, { gid: 2 ** 32 }, { args: ['a\0'] }, { env: [1] }, { cwd: 5 }])
    t.throws(() => checkChanges(changes as unknown as ProcessChanges), { name: 'StrataError', message: /^exec \/process/ });
});
