import test from 'ava';
import { type ContainerTraits, namespaceBits, planExec } from '../../../src/plan/exec.ts';
import { CLONE } from '../../../src/plan/op.ts';
import { parseProcess } from '../../../src/spec/parse.ts';
import { names, only, SMALL, specOf } from './_support.ts';

const TRAITS: ContainerTraits = { namespaces: CLONE.pid | CLONE.mount, ownRoot: true, keyring: true, seccomp: false };

function plan(process: object, traits: Partial<ContainerTraits> = {}) {
  const section = parseProcess({ cwd: '/', args: ['/bin/true'], env: ['PATH=/bin', 'HOME=/'], ...process });
  const place = {
    pid: 7,
    startTime: 70n,
    cgroup: '/sys/fs/cgroup/unified/c1',
    tasks: ['/sys/fs/cgroup/memory/c1/tasks'],
    seccompProgram: '/r/c1/seccomp',
  };
  return planExec(section, { id: 'c1', facts: SMALL, traits: { ...TRAITS, ...traits }, ...place }).operations;
}

test('a process joins, and becomes what the section says; nothing of the container is made', (t) => {
  const operations = plan({});
  t.deepEqual(names(operations), ['enter', 'keyring', 'cwd', 'executable', 'bounding', 'user', 'cwd', 'capabilities', 'exec']);
  t.deepEqual(operations[0], {
    op: 'enter',
    pointer: '',
    pid: 7,
    startTime: 70n,
    namespaces: CLONE.pid | CLONE.mount,
    chroot: false,
    cgroup: '/sys/fs/cgroup/unified/c1',
    tasks: ['/sys/fs/cgroup/memory/c1/tasks'],
  });
  t.deepEqual(only(operations, 'exec')[0]?.env, ['PATH=/bin', 'HOME=/']);
});

test('the filter is loaded while that is a right, or last of all', (t) => {
  const early = names(plan({}, { seccomp: true }));
  t.is(early[0], 'seccomp-compile');
  t.true(early.indexOf('seccomp-load') < early.indexOf('capabilities'));
  t.deepEqual(names(plan({ noNewPrivileges: true }, { seccomp: true })).slice(-3), ['no-new-privileges', 'seccomp-load', 'exec']);
  t.like(only(plan({}, { seccomp: true }), 'seccomp-compile')[0], { keep: '/r/c1/seccomp', cache: '' });
});

test('a terminal is opened, and not bound', (t) => {
  t.like(only(plan({ terminal: true }), 'console')[0], { bind: false });
});

test('what belongs to the container', (t) => {
  t.is(only(plan({}, { ownRoot: false }), 'enter')[0]?.chroot, true);
  t.deepEqual(only(plan({}, { keyring: false }), 'keyring'), []);
  t.is(only(plan({}, { personality: 'LINUX32' }), 'personality')[0]?.domain, 8);
  t.is(namespaceBits(specOf({ linux: { namespaces: [{ type: 'user', path: '/u' }, { type: 'time' }] } })), CLONE.user | CLONE.time);
});

test('in a user namespace every capability can be had', (t) => {
  const process = { capabilities: { permitted: ['CAP_CHOWN'], effective: ['CAP_CHOWN'], bounding: ['CAP_CHOWN'] } };
  const facts = { permitted: 0n, bounding: 0n, lastCapability: 40 };
  const of = (namespaces: number) =>
    only(
      planExec(parseProcess({ cwd: '/', args: ['x'], ...process }), {
        id: 'c1',
        facts,
        traits: { ...TRAITS, namespaces },
        pid: 7,
        startTime: 70n,
        cgroup: '',
        tasks: [],
        seccompProgram: '',
      }).operations,
      'capabilities',
    )[0]?.permitted;
  t.is(of(CLONE.pid), 0n);
  t.is(of(CLONE.pid | CLONE.user), 1n);
});

test('CPUs, on the way in and for the program', (t) => {
  const operations = plan({ execCPUAffinity: { initial: '0', final: '1-2, 33' } });
  t.deepEqual(names(operations).slice(0, 2), ['cpu-affinity', 'enter']);
  t.deepEqual(
    only(operations, 'cpu-affinity').map(({ mask }) => mask),
    [[1], [6, 2]],
  );
  t.deepEqual(only(plan({ execCPUAffinity: { initial: '', final: '' } }), 'cpu-affinity'), []);
});
