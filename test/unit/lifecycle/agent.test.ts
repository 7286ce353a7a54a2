import test from 'ava';
import { runDetached } from '../../../src/lifecycle/run.ts';
import { start } from '../../../src/lifecycle/start.ts';
import type { FakeMachine } from '../../helpers/fake-host.ts';
import { createOne, failure, hook, machineWith, NAME } from './_machine.ts';

const NOTIFY = { names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' };
const process = (noNewPrivileges: boolean): object => ({ args: ['/bin/true'], cwd: '/', user: { uid: 0, gid: 0 }, noNewPrivileges });
const seccomp = (changes: object = {}): object => ({
  seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/agent', listenerMetadata: 'a "b"', syscalls: [NOTIFY], ...changes },
});

function told(machine: FakeMachine): string[] {
  return machine.events.filter((event) => event.startsWith('agent '));
}

test('the agent is told when the filter is loaded: while the container is made, or with no_new_privs by start', async (t) => {
  for (const noNewPrivileges of [false, true]) {
    for (const hooks of [{}, { createRuntime: [hook('/bin/one')] }]) {
      const { machine, host } = machineWith({ annotations: { c: 'd' }, hooks, process: process(noNewPrivileges), linux: seccomp() });
      const { pid } = await createOne(host);
      t.is(told(machine).length, noNewPrivileges ? 0 : 1);
      await start(host, NAME);
      const state = {
        ociVersion: '1.3.0',
        id: 'c1',
        status: noNewPrivileges ? 'created' : 'creating',
        pid,
        bundle: '/bundle',
        annotations: { c: 'd' },
      };
      t.deepEqual(told(machine), [`agent /agent ${JSON.stringify({ ociVersion: '1.3.0', fds: ['seccompFd'], pid, metadata: 'a "b"', state })}`]);
      t.is(host.open.size, 0);
    }
  }
});

test('run tells it too', async (t) => {
  const { machine, host } = machineWith({ process: process(true), linux: seccomp({ listenerPath: 'agent', listenerMetadata: undefined }) });
  const { pid } = await runDetached(host, { ...NAME, bundle: '/bundle' });
  const state = { ociVersion: '1.3.0', id: 'c1', status: 'created', pid, bundle: '/bundle' };
  t.deepEqual(told(machine), [`agent /bundle/agent ${JSON.stringify({ ociVersion: '1.3.0', fds: ['seccompFd'], pid, state })}`]);
});

test('a listenerPath that no rule needs is ignored', async (t) => {
  const { machine, host } = machineWith({ process: process(true), linux: seccomp({ syscalls: [{ ...NOTIFY, action: 'SCMP_ACT_ERRNO' }] }) });
  await createOne(host);
  await start(host, NAME);
  t.deepEqual(told(machine), []);
});

test('an agent that cannot be reached by start ends the container', async (t) => {
  const { machine, host } = machineWith({ process: process(true), linux: seccomp() });
  await createOne(host);
  machine.failure = { op: 'seccomp-load', failure: { syscall: 'connect', errno: 111, path: '/agent', detail: 'nobody is there' } };
  t.is(
    (await failure(t, start(host, NAME))).message,
    'config.json /linux/seccomp: cannot load the seccomp program: /agent: connection refused (nobody is there)',
  );
  t.deepEqual(machine.leftovers(), []);
  t.is(host.open.size, 0);
});

test('a name that nobody knows is a warning where the rule was to deny something', async (t) => {
  const syscalls = (action: string): object => ({
    seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'no_call'], action }] },
  });
  const warnings: string[] = [];
  const warn = (message: string): number => warnings.push(message);
  await createOne(machineWith({ linux: syscalls('SCMP_ACT_LOG') }).host, { warn });
  t.deepEqual(warnings, []);
  await createOne(machineWith({ linux: syscalls('SCMP_ACT_ERRNO') }).host, { warn });
  t.deepEqual(warnings, ['config.json /linux/seccomp/syscalls/0/names: the rule has no effect on "no_call", which libseccomp does not know']);
});
