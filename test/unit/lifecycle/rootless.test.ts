import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { readFacts } from '../../../src/host/facts.ts';
import { prepare } from '../../../src/lifecycle/prepare.ts';
import { defaultRoot } from '../../../src/lifecycle/root.ts';
import { withinReach } from '../../../src/lifecycle/rootless.ts';
import type { Operation } from '../../../src/plan/op.ts';
import { defaultSpec } from '../../../src/spec/defaults.ts';
import { parseSpec } from '../../../src/spec/parse.ts';
import { FakeHost, FakeMachine, HIERARCHIES } from '../../helpers/fake-host.ts';

const ROOT = '/run/user/1000/strata';
const [MEMORY, FREEZER, UNIFIED] = HIERARCHIES;

function ordinary(): { machine: FakeMachine; host: FakeHost } {
  const machine = new FakeMachine();
  machine.become(1000);
  return { machine, host: new FakeHost(machine) };
}

function specOf(linux: object = {}): object {
  const spec = defaultSpec({ rootless: true, uid: 1000, gid: 1000 }) as { linux: object };
  return { ...spec, linux: { ...spec.linux, ...linux } };
}

function plan(host: FakeHost, linux: object = {}): readonly Operation[] {
  return prepare(host, { root: ROOT, id: 'c1', bundle: '/bundle', spec: specOf(linux) }).plan.operations;
}

function fault(work: () => unknown): StrataError {
  try {
    work();
  } catch (error) {
    if (error instanceof StrataError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('one id of the caller is mapped without help, more by the programs that may', (t) => {
  const { machine, host } = ordinary();
  const [own] = plan(host).filter(({ op }) => op === 'clone');
  t.like(own, { uidMap: '0 1000 1\n', gidMap: '0 1000 1\n', unprivileged: true, tasks: [], cgroup: '' });

  const more = {
    uidMappings: [
      { containerID: 0, hostID: 1000, size: 1 },
      { containerID: 1, hostID: 100000, size: 10 },
    ],
  };
  const none = fault(() => plan(host, more));
  t.is(none.code, 'config-unsupported');
  t.is(none.pointer, '/linux/uidMappings');
  t.regex(none.message, /needs newuidmap, and there is none/);

  machine.file('/usr/bin/newuidmap', '');
  const helped = plan(host, more);
  t.like(
    helped.find(({ op }) => op === 'id-map-helper'),
    { program: '/usr/bin/newuidmap', args: ['0', '1000', '1', '1', '100000', '10'], pointer: '/linux/uidMappings' },
  );
  t.like(
    helped.find(({ op }) => op === 'clone'),
    { uidMap: '', gidMap: '0 1000 1\n' },
  );
  // PATH comes first, as for every other program of the user's.
  machine.file('/home/kim/bin/newuidmap', '');
  host.variables.set('PATH', 'bin:/home/kim/bin');
  t.like(
    plan(host, more).find(({ op }) => op === 'id-map-helper'),
    { program: '/home/kim/bin/newuidmap' },
  );
});

test('cgroups: none that the user may not make; those that were given to him', (t) => {
  const { machine, host } = ordinary();
  const reach = (linux: object, rootless: 'true' | 'false' | 'auto' = 'auto') =>
    withinReach(host, parseSpec(specOf(linux)), 'c1', readFacts(host), rootless).cgroup;
  machine.uid = 0;
  for (const path of [`${MEMORY}/given`, `${MEMORY}/given/full`, `${FREEZER}/other`]) machine.directory(path);
  machine.uid = 1000;
  for (const path of HIERARCHIES) (machine.nodes.get(path) as { uid: number }).uid = 0;

  t.deepEqual(reach({}).hierarchies, []);
  t.is(reach({}).unified, undefined);
  t.deepEqual(
    reach({}).forbidden?.map(({ mount }) => mount),
    [MEMORY, FREEZER, UNIFIED],
  );
  t.is(reach({}, 'false').hierarchies.length, 2, 'nothing is looked at');
  t.regex(
    fault(() => reach({ cgroupsPath: '/given/c1' })).message,
    /\/linux\/cgroupsPath: cannot make the cgroup \/given\/c1 in any hierarchy: permission denied/,
  );

  (machine.nodes.get(`${MEMORY}/given`) as { uid: number }).uid = 1000;
  t.deepEqual(
    reach({ cgroupsPath: '/given/c1' }).hierarchies.map(({ mount }) => mount),
    [MEMORY],
  );
  t.deepEqual(
    reach({ cgroupsPath: '/given/a/b' }).hierarchies.map(({ mount }) => mount),
    [MEMORY],
  );
  // A cgroup that is there must take processes.
  t.is(fault(() => reach({ cgroupsPath: '/given/full' })).code, 'system');

  machine.file('/proc/self/cgroup', '3:memory:/given\n2:freezer:/other\n0::/\n');
  const operations = plan(host, { resources: { memory: { limit: 1_000_000 } } });
  t.deepEqual(
    operations.flatMap((operation) => (operation.op === 'cgroup-make' ? [operation.hierarchy + operation.path] : [])),
    [`${MEMORY}/given/strata-c1`],
  );
  t.regex(fault(() => plan(host, { resources: { pids: { limit: 5 } } })).message, /which no mounted hierarchy has/);
  // The mount of cgroups still shows those that the container is in.
  t.true(operations.some((operation) => operation.op === 'bind' && operation.source === `${FREEZER}/other`));
});

test('a limit in a hierarchy that is out of reach is an error that says so', (t) => {
  const { machine, host } = ordinary();
  for (const path of HIERARCHIES) (machine.nodes.get(path) as { uid: number }).uid = 0;
  const error = fault(() => plan(host, { resources: { memory: { limit: 1_000_000 } } }));
  t.is(error.pointer, '/linux/resources/memory/limit');
  t.regex(error.message, /in whose hierarchy this user may not make a cgroup/);
});

test('where the state is kept', (t) => {
  const { machine, host } = ordinary();
  t.is(defaultRoot(host), '/run/user/1000/strata');
  host.variables.set('XDG_RUNTIME_DIR', '/tmp/kim');
  t.is(defaultRoot(host), '/tmp/kim/strata');
  machine.become(0);
  t.is(defaultRoot(host), '/run/strata', 'root has one place, wherever he comes from');
  machine.file('/proc/self/uid_map', '         0       1000          1\n');
  t.is(defaultRoot(host), '/tmp/kim/strata', 'root of a user namespace is the user');
  host.variables.set('USER', 'root');
  t.is(defaultRoot(host), '/run/strata');
});

test('root of a user namespace: devices are bound, overlays keep their notes in user.*', (t) => {
  const machine = new FakeMachine();
  const host = new FakeHost(machine);
  machine.file('/proc/self/uid_map', '         0       1000          1\n');
  const spec = { ...defaultSpec(), annotations: { 'dev.strata.overlay': '{"lower":["/a"],"upper":"/u","work":"/w","options":["volatile"]}' } };
  const warnings: string[] = [];
  const { plan: made } = prepare(host, { root: ROOT, id: 'c1', bundle: '/bundle', spec, warn: (text) => void warnings.push(text) });
  t.true(made.operations.every((operation) => operation.op !== 'device' || operation.bind));
  t.like(
    made.operations.find(({ op }) => op === 'root-overlay'),
    { options: ['volatile', 'userxattr'] },
  );
  t.like(
    made.operations.find(({ op }) => op === 'clone'),
    { unprivileged: false, uidMap: '' },
  );
  t.regex(warnings.join('\n'), /^\/linux\/resources\/devices is not in force/);
});
