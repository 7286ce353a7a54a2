import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { deleteContainer } from '../../../src/lifecycle/delete.ts';
import { runDetached, runForeground } from '../../../src/lifecycle/run.ts';
import { start } from '../../../src/lifecycle/start.ts';
import { load } from '../../../src/lifecycle/store.ts';
import type { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { createOne, failure, machineWith, NAME, ROOT, statusOf } from './_machine.ts';

const ADDRESS = '/run/caller';
const NOTIFY = { notifySocket: ADDRESS } as const;
const RUN = { ...NAME, ...NOTIFY, bundle: '/bundle' };
const DIRECTORY = `${ROOT}/c1/notify`;

/** A machine on which somebody listens. */
function listening(changes: Readonly<Record<string, unknown>> = {}): { machine: FakeMachine; host: FakeHost } {
  const all = machineWith(changes);
  all.machine.file(ADDRESS, '');
  return all;
}

const told = ({ events }: FakeMachine): string[] => events.filter((event) => event.startsWith('tell '));

test('create makes the directory, start names the socket before the program runs and waits for it', async (t) => {
  const { machine, host } = listening();
  const { pid } = await createOne(host, NOTIFY);
  t.deepEqual([machine.children(DIRECTORY), load(host, ROOT, 'c1').notify], [[], { place: ADDRESS }]);
  machine.heard.push('signal', 'ready');
  await start(host, { ...NAME, ...NOTIFY });
  t.deepEqual(machine.children(DIRECTORY), ['notify']);
  t.deepEqual(told(machine), [`tell ${ADDRESS} READY=1\nMAINPID=${pid}`]);
  t.is(machine.locks.size, 0);
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual([machine.leftovers(), host.open.size], [[], 0]);
});

test('a program that has ended without a word says nothing', async (t) => {
  const { machine, host } = listening();
  machine.heard.push('exit');
  host.close((await runDetached(host, RUN)).pidfd);
  t.deepEqual(told(machine), []);
  t.is(host.open.size, 0);
});

test('in the foreground the first word is handed on by whoever stands there', async (t) => {
  const { machine, host } = listening();
  t.deepEqual(await runForeground(host, RUN), { code: 0 });
  t.deepEqual([machine.leftovers(), host.open.size, told(machine)], [[], 0, []]);
});

test('nobody waits where nobody listens, which is told', async (t) => {
  const { machine, host } = machineWith();
  const warnings: string[] = [];
  const options = { ...RUN, warn: (text: string) => warnings.push(text) };
  host.close((await runDetached(host, options)).pidfd);
  t.regex(warnings.join('|'), /^nobody will be told that the container is ready: NOTIFY_SOCKET is \/run\/caller: .*no such file or directory$/);
  t.deepEqual([machine.children(DIRECTORY), told(machine)], [[], []]);
  await deleteContainer(host, { ...NAME, force: true });
  await runForeground(host, options);
  t.is(warnings.length, 2);
  t.deepEqual([machine.leftovers(), host.open.size], [[], 0]);
});

test('a caller that goes away meanwhile is a warning', async (t) => {
  const { machine, host } = listening();
  const warnings: string[] = [];
  await createOne(host, NOTIFY);
  await start(host, { ...NAME, ...NOTIFY, warn: (text) => warnings.push(text), debug: () => machine.nodes.delete(ADDRESS) });
  t.regex(warnings.join('|'), /^nobody could be told that the container is ready: .*connection refused$/);
  t.is(await statusOf(host), 'running');
});

test('whoever is interrupted while waiting leaves the container running', async (t) => {
  const { machine, host } = listening();
  machine.heard.push('signal');
  let interrupted = false;
  const checkpoint = (): void => {
    if (interrupted) throw new StrataError({ code: 'aborted', reason: 'interrupted' });
  };
  const debug = (text: string): void => {
    interrupted = text === 'wait until the program is ready';
  };
  t.is((await failure(t, runDetached(host, { ...RUN, checkpoint, debug }))).code, 'aborted');
  t.deepEqual([await statusOf(host), host.open.size, told(machine)], ['running', 0, []]);
});

test('start does nothing of it for a container that was created without, or where nobody has asked', async (t) => {
  const { machine, host } = listening();
  await createOne(host);
  await start(host, { ...NAME, ...NOTIFY });
  await createOne(host, { id: 'c2', ...NOTIFY });
  await start(host, { ...NAME, id: 'c2' });
  t.deepEqual([machine.nodes.has(DIRECTORY), machine.children(`${ROOT}/c2/notify`), told(machine)], [false, [], []]);
});

test('a variable of the configuration is told to be another', async (t) => {
  const { host } = listening({ process: { args: ['/bin/true'], cwd: '/', user: { uid: 0, gid: 0 }, env: ['PATH=/bin', 'NOTIFY_SOCKET=/mine'] } });
  const warnings: string[] = [];
  await createOne(host, { ...NOTIFY, warn: (text) => warnings.push(text) });
  t.deepEqual(warnings, ["/process/env/1: NOTIFY_SOCKET is that of the container's own socket, since strata was given one"]);
});
