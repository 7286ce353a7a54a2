import test from 'ava';
import type { ErrorCode } from '../../../src/base/error.ts';
import { create } from '../../../src/lifecycle/create.ts';
import { FakeHost, HIERARCHIES } from '../../helpers/fake-host.ts';
import { createOne, failure, hook, machineWith, NAME, ROOT, statusOf } from './_machine.ts';

test('a created container waits', async (t) => {
  const { machine, host } = machineWith({ annotations: { a: 'b' } });
  const { pid } = await createOne(host, { pidFile: '/tmp/pid' });
  t.is(await statusOf(host), 'created');
  t.is(machine.text('/tmp/pid'), String(pid));
  t.is(machine.processes[0]?.phase, 'waiting');
  t.is(machine.nodes.get(`${ROOT}/c1`)?.mode, 0o700);
  t.is(machine.nodes.get(ROOT)?.mode, 0o711);
  t.is(host.open.size, 0);
});

test("hooks of the runtime run before the container's, with the state", async (t) => {
  const { machine, host } = machineWith({
    annotations: { a: 'b' },
    hooks: { createRuntime: [hook('/bin/two')], prestart: [hook('/bin/one')], createContainer: [hook('/bin/three')] },
  });
  const { pid } = await createOne(host);
  const state = (status: string) => JSON.stringify({ ociVersion: '1.3.0', id: 'c1', status, pid, bundle: '/bundle', annotations: { a: 'b' } });
  t.deepEqual(machine.events, [`run /bin/one ${state('created')}`, `run /bin/two ${state('creating')}`, 'createContainer /bin/three']);
});

test('twelve creates of one id have one winner', async (t) => {
  const { machine } = machineWith();
  const hosts = Array.from({ length: 12 }, () => new FakeHost(machine));
  const results = await Promise.allSettled(hosts.map((host) => createOne(host)));
  const losers = results.filter((result) => result.status === 'rejected');
  t.is(losers.length, 11);
  for (const { reason } of losers) t.is((reason as Error).message, 'container with id c1 exists');
  t.is(machine.processes.length, 1);
});

/** Where a create can fail, and what the error must be like. */
const FAILURES: Readonly<
  Record<string, { changes?: object; op?: string; value?: string; failure?: object; message: RegExp; code: ErrorCode; poststop: boolean }>
> = {
  cgroup: {
    op: 'cgroup-make',
    value: HIERARCHIES[1],
    failure: { errno: 28 },
    message: /cannot make the cgroup .*: no space left on device/,
    code: 'system',
    poststop: false,
  },
  clone: {
    op: 'clone',
    failure: { errno: 11 },
    message: /cannot make the container's process: resource temporarily unavailable/,
    code: 'system',
    poststop: false,
  },
  'root file system': { op: 'root-bind', failure: { errno: 1 }, message: /\/root\/path.*: operation not permitted/, code: 'system', poststop: false },
  'a command in PATH': {
    changes: { process: { args: ['foo'], cwd: '/', user: { uid: 0, gid: 0 } } },
    op: 'executable',
    failure: { errno: 2 },
    message: /exec: "foo": executable file not found in \$PATH$/,
    code: 'exec',
    poststop: true,
  },
  'a command by path': {
    changes: { process: { args: ['/nope'], cwd: '/', user: { uid: 0, gid: 0 } } },
    op: 'executable',
    failure: { errno: 2 },
    message: /exec: "\/nope": stat \/nope: no such file or directory$/,
    code: 'exec',
    poststop: true,
  },
  'a command without permission': {
    op: 'executable',
    failure: { errno: 13 },
    message: /exec: "\/bin\/true": permission denied$/,
    code: 'exec',
    poststop: true,
  },
  'a directory for a command': {
    op: 'executable',
    failure: { errno: 21 },
    message: /exec: "\/bin\/true": is a directory: permission denied$/,
    code: 'exec',
    poststop: true,
  },
  'death during set-up': {
    op: 'pivot',
    failure: { syscall: 'init', errno: 0, detail: 'killed by SIGKILL' },
    message: /killed by SIGKILL \(is the memory limit too low\?\)/,
    code: 'system',
    poststop: true,
  },
  'a createContainer hook': {
    op: 'hook',
    failure: { errno: 0, detail: 'exit status 3: no' },
    message: /^config.json \/hooks\/createContainer\/0: createContainer hook \/bin\/cc failed: exit status 3: no$/,
    code: 'hook',
    poststop: true,
  },
};

for (const [name, { changes, op, value, failure: fields, message, code, poststop }] of Object.entries(FAILURES)) {
  test(`a failure at ${name} leaves nothing`, async (t) => {
    const { machine, host } = machineWith({ hooks: { createContainer: [hook('/bin/cc')], poststop: [hook('/bin/after')] }, ...changes });
    machine.failure = { op: op ?? '', failure: fields ?? {}, ...(value !== undefined && { value }) };
    const error = await failure(t, createOne(host, { pidFile: '/tmp/pid' }));
    t.regex(error.message, message);
    t.is(error.code, code);
    t.deepEqual(machine.leftovers(), []);
    t.is(machine.text('/tmp/pid'), undefined);
    t.is(host.open.size, 0);
    t.is(
      machine.events.some((event) => event.startsWith('run /bin/after')),
      poststop,
    );
    machine.failure = undefined;
    await createOne(host);
    t.is(await statusOf(host), 'created');
  });
}

for (const kind of ['prestart', 'createRuntime'] as const) {
  test(`a ${kind} hook that fails leaves nothing, and the poststop hooks run`, async (t) => {
    const { machine, host } = machineWith({ hooks: { [kind]: [hook('/bin/ok'), hook('/bin/bad')], poststop: [hook('/bin/after')] } });
    machine.commands.set('/bin/bad', { status: { code: 3 }, stderr: 'first\nlast words\n' });
    const error = await failure(t, createOne(host));
    t.is(error.message, `config.json /hooks/${kind}/1: ${kind} hook /bin/bad failed: exit status 3: last words`);
    t.is(error.code, 'hook');
    t.deepEqual(machine.leftovers(), []);
    t.regex(machine.events.at(-1) ?? '', /^run \/bin\/after .*"status":"stopped","pid":0/);
    t.is(host.open.size, 0);
  });
}

test('a hook that does not end in time', async (t) => {
  const { machine, host } = machineWith({ hooks: { createRuntime: [{ path: '/bin/slow', timeout: 2 }] } });
  machine.commands.set('/bin/slow', { timedOut: true, status: { code: 137, signal: 9 } });
  const error = await failure(t, createOne(host));
  t.is(error.message, 'config.json /hooks/createRuntime/0: createRuntime hook /bin/slow did not end within 2 s');
});

test('a hook that cannot be run', async (t) => {
  const { machine, host } = machineWith({ hooks: { createRuntime: [hook('/nope')] } });
  const error = await failure(t, createOne(host));
  t.is(error.message, 'config.json /hooks/createRuntime/0: cannot run createRuntime hook /nope: no such file or directory');
  t.deepEqual(machine.leftovers(), []);
});

test('the cgroup of another container is neither killed nor removed', async (t) => {
  const { machine, host } = machineWith({ linux: { cgroupsPath: '/shared', namespaces: [{ type: 'pid' }, { type: 'mount' }] } });
  await createOne(host);
  const error = await failure(t, createOne(host, { id: 'c2' }));
  t.is(error.pointer, '/linux/cgroupsPath');
  t.regex(error.message, /is not empty: there are processes in it/);
  t.is(await statusOf(host), 'created');
  t.false(machine.nodes.has(`${ROOT}/c2`));
});

test('a cgroup that another takes at the last moment is left alone', async (t) => {
  const { machine, host } = machineWith();
  machine.failure = { op: 'cgroup-make', value: HIERARCHIES[0], failure: { errno: 17 } };
  machine.directory(`${HIERARCHIES[0]}/strata-c1`);
  await failure(t, createOne(host));
  t.deepEqual(machine.leftovers(), [`${HIERARCHIES[0]}/strata-c1`]);
});

test('a failure of clearing up is told second', async (t) => {
  const { machine, host } = machineWith({ hooks: { createRuntime: [hook('/bin/bad')] } });
  machine.commands.set('/bin/bad', { status: { code: 1 } });
  host.abandon = async () => {
    throw new Error('no luck');
  };
  const error = await failure(t, createOne(host));
  t.is(error.code, 'hook');
  t.regex(error.message, /failed: exit status 1 \(clearing up failed too: no luck\)$/);
});

test('the caller can give up at any stage', async (t) => {
  for (let stage = 1; ; stage++) {
    const { machine, host } = machineWith({ hooks: { createRuntime: [hook('/bin/ok')] } });
    let left = stage;
    const checkpoint = () => {
      left--;
      if (left === 0) throw new Error('enough');
    };
    try {
      await createOne(host, { checkpoint });
      t.true(stage > 4);
      return;
    } catch (error) {
      t.is((error as Error).message, 'enough');
      t.deepEqual(machine.leftovers(), []);
      t.is(host.open.size, 0);
    }
  }
});

test('terminals and console sockets go together', async (t) => {
  const plain = machineWith();
  t.regex((await failure(t, createOne(plain.host, { consoleSocket: '/tmp/s' }))).message, /without a terminal/);
  const { machine, host } = machineWith({ process: { terminal: true, args: ['sh'], cwd: '/', user: { uid: 0, gid: 0 } } });
  t.regex((await failure(t, createOne(host))).message, /without a console socket/);
  t.regex((await failure(t, createOne(host, { consoleSocket: '/tmp/none' }))).message, /console socket \/tmp\/none: no such file or directory/);
  t.deepEqual(machine.leftovers(), []);
  machine.nodes.set('/tmp/s', { type: 'socket', mode: 0o600, uid: 0, text: '' });
  await createOne(host, { consoleSocket: '/tmp/s' });
  t.is(host.open.size, 0);
});

test('descriptors to be preserved must be open', async (t) => {
  const { machine, host } = machineWith();
  host.inherited.add(3);
  t.regex((await failure(t, createOne(host, { preserveFds: 2 }))).message, /2 descriptors are to be preserved, but descriptor 4 is not open/);
  t.regex((await failure(t, createOne(host, { listenFds: 2 }))).message, /LISTEN_FDS is 2, but descriptor 4 is not open/);
  t.false(machine.nodes.has(ROOT));
  await createOne(host, { preserveFds: 1 });
});

test('only root can create without a user namespace', async (t) => {
  const { machine, host } = machineWith();
  machine.become(1000);
  const error = await failure(t, createOne(host));
  t.is(error.pointer, '/linux/namespaces');
  t.regex(error.message, /needs a namespace of type user: operation not permitted/);
});

test('what is wrong with a bundle is said before anything is made', async (t) => {
  const { machine, host } = machineWith();
  const message = async (options: { bundle?: string; id?: string }) =>
    (await failure(t, create(host, { ...NAME, bundle: '/bundle', ...options }))).message;
  t.is(await message({ bundle: '/none' }), 'cannot open the bundle /none: no such file or directory');
  machine.directory('/tmp/empty');
  t.regex(await message({ bundle: '/tmp/empty' }), /^cannot read \/tmp\/empty\/config.json: no such file or directory \(/);
  machine.file('/tmp/huge/config.json', 'x'.repeat(17 * 1024 * 1024));
  t.regex(await message({ bundle: '/tmp/huge' }), /larger than 16 MiB/);
  machine.bundle('/tmp/noroot', { root: { path: 'missing' } });
  t.is(
    await message({ bundle: '/tmp/noroot' }),
    'config.json /root/path: cannot open the root file system /tmp/noroot/missing: no such file or directory',
  );
  t.regex(await message({ id: '../x' }), /^invalid container id/);
  t.false(machine.nodes.has(ROOT));
});
