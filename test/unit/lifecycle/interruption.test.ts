/** SIGKILL at every call that a verb makes: `delete --force` removes completely what is left, and the id can be used again. */
import test from 'ava';
import { deleteContainer } from '../../../src/lifecycle/delete.ts';
import { kill } from '../../../src/lifecycle/kill.ts';
import { runForeground } from '../../../src/lifecycle/run.ts';
import { start } from '../../../src/lifecycle/start.ts';
import { FakeHost, Killed } from '../../helpers/fake-host.ts';
import { createAndStart, createOne, hook, machineWith, NAME, statusOf } from './_machine.ts';

const HOOKS = {
  createRuntime: [hook('/bin/cr')],
  createContainer: [hook('/bin/cc')],
  startContainer: [hook('/bin/sc')],
  poststart: [hook('/bin/up')],
  poststop: [hook('/bin/down')],
};

/** A verb to interrupt, and what is done before it. */
const VERBS: Readonly<Record<string, { before?: (host: FakeHost) => Promise<unknown>; verb: (host: FakeHost) => Promise<unknown> }>> = {
  create: { verb: (host) => createOne(host) },
  run: { verb: (host) => runForeground(host, { ...NAME, bundle: '/bundle' }) },
  start: { before: (host) => createOne(host), verb: (host) => start(host, NAME) },
  'run with a caller that listens': { verb: (host) => runForeground(host, { ...NAME, bundle: '/bundle', notifySocket: '@caller' }) },
  'start with a caller that listens': {
    before: (host) => createOne(host, { notifySocket: '@caller' }),
    verb: (host) => start(host, { ...NAME, notifySocket: '@caller' }),
  },
  'delete --force of a created container': { before: (host) => createOne(host), verb: (host) => deleteContainer(host, { ...NAME, force: true }) },
  'delete --force of a running container': { before: createAndStart, verb: (host) => deleteContainer(host, { ...NAME, force: true }) },
  'delete of a stopped container': {
    before: async (host) => {
      await createAndStart(host);
      await kill(host, { ...NAME, signal: 9 });
    },
    verb: (host) => deleteContainer(host, NAME),
  },
};

for (const [name, { before, verb }] of Object.entries(VERBS)) {
  for (const [kind, changes] of Object.entries({
    plain: {},
    'with hooks': { hooks: HOOKS },
    'with a shared pid namespace': { linux: { namespaces: [{ type: 'mount' }], cgroupsPath: '/a/b/c' } },
  })) {
    test(`${name}, ${kind}, killed at every call`, async (t) => {
      for (let killAt = 1; ; killAt++) {
        const { machine, host } = machineWith(changes);
        await before?.(host);
        const doomed = new FakeHost(machine, killAt);
        let survived = true;
        try {
          await verb(doomed);
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          survived = false;
        }
        await deleteContainer(new FakeHost(machine), { ...NAME, force: true });
        const left = machine.leftovers();
        if (left.length > 0 || machine.locks.size > 0) t.fail(`killed at call ${killAt}: ${left.join(', ')}`);
        await createOne(host);
        if ((await statusOf(host)) !== 'created') t.fail(`killed at call ${killAt}: the id cannot be used again`);
        if (survived) break;
      }
      t.pass();
    });
  }
}

test('create with a bad command, killed at every call of undoing it', async (t) => {
  for (let killAt = 1; ; killAt++) {
    const { machine } = machineWith({ hooks: HOOKS });
    machine.failure = { op: 'executable', failure: { errno: 2 } };
    const error = await t.throwsAsync(createOne(new FakeHost(machine, killAt)));
    await deleteContainer(new FakeHost(machine), { ...NAME, force: true });
    t.deepEqual(machine.leftovers(), []);
    if (!(error instanceof Killed)) return;
  }
});

test('after any interruption the container is not taken for one that is being created', async (t) => {
  for (let killAt = 1; ; killAt++) {
    const { machine, host } = machineWith();
    try {
      await createOne(new FakeHost(machine, killAt));
      break;
    } catch {
      if (!machine.nodes.has('/run/strata/c1/state.json')) continue;
      t.true(['stopped', 'created'].includes(await statusOf(host)));
    }
  }
});
