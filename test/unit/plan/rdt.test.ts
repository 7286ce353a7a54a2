/** linux.intelRdt: which groups are made, joined, compared and removed (config-linux.md, IntelRdt). */
import test, { type ExecutionContext } from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import type { RdtFacts } from '../../../src/host/facts.ts';
import { planCreate } from '../../../src/plan/create.ts';
import { planRdt, type RdtPlan } from '../../../src/plan/rdt.ts';
import { contextOf, SMALL, specOf } from './_support.ts';

const MOUNT = '/sys/fs/resctrl';
const NONE: RdtFacts = { mount: MOUNT };

function planned(intelRdt: object | undefined, rdt: RdtFacts | undefined = NONE, id = 'c1'): RdtPlan | undefined {
  return planRdt(specOf({ linux: { intelRdt } }), { id, facts: { ...SMALL, ...(rdt && { rdt }) } });
}

/** `make PATH`, `share PATH`, `PATH < VALUE`. */
function story(plan: RdtPlan | undefined): string[] {
  return (plan?.operations ?? []).map((operation) => {
    if (operation.op === 'rdt-make') return `${operation.shared ? 'share' : 'make'} ${operation.path}`;
    return operation.op === 'cgroup-write' ? `${operation.path} < ${JSON.stringify(operation.value)}` : operation.op;
  });
}

function refused(t: ExecutionContext, pointer: string, code: string, intelRdt: object, rdt?: RdtFacts | null, id?: string): void {
  const error = t.throws(
    () => planRdt(specOf({ linux: { intelRdt } }), { id: id ?? 'c1', facts: { ...SMALL, ...(rdt === null ? {} : { rdt: rdt ?? NONE }) } }),
    {
      instanceOf: StrataError,
    },
  ) as StrataError;
  t.deepEqual([error.pointer, error.code], [`/linux/intelRdt${pointer}`, code]);
}

test('without intelRdt nothing is touched; with it resctrl must be mounted', (t) => {
  t.is(planned(undefined), undefined);
  refused(t, '', 'config-unsupported', {}, null);
});

test('a class of its own is made, filled in order and removed with the container', (t) => {
  const plan = planned({ schemata: ['L2:0=f', 'L3:0=1'], memBwSchema: 'MB:0=20', l3CacheSchema: 'L3:0=7f0' });
  t.deepEqual(story(plan), [
    `make ${MOUNT}/c1`,
    `${MOUNT}/c1/schemata < "L3:0=7f0\\n"`,
    `${MOUNT}/c1/schemata < "MB:0=20\\n"`,
    `${MOUNT}/c1/schemata < "L2:0=f\\n"`,
    `${MOUNT}/c1/schemata < "L3:0=1\\n"`,
  ]);
  t.deepEqual([plan?.group, plan?.own, plan?.tasks], [`${MOUNT}/c1`, [`${MOUNT}/c1`], [`${MOUNT}/c1/tasks`]]);
  t.deepEqual(story(planned({})), [`make ${MOUNT}/c1`]);
  refused(t, '/closID', 'config-invalid', {}, NONE, 'info');
});

test('a class with a name is made if need be, and stays', (t) => {
  const plan = planned({ closID: 'gold', l3CacheSchema: 'L3:0=7f0' });
  t.deepEqual(story(plan), [`share ${MOUNT}/gold`, `${MOUNT}/gold/schemata < "L3:0=7f0\\n"`]);
  t.deepEqual([plan?.own, plan?.tasks], [[], [`${MOUNT}/gold/tasks`]]);
  refused(t, '/closID', 'config-invalid', { closID: 'gold' });
});

test('a class that exists must be as the configuration has it, and is not written to', (t) => {
  const rdt = { mount: MOUNT, schemata: '    MB:0=100;1= 70\n    L3:0=7f0;1=01f\n' };
  t.deepEqual(story(planned({ closID: 'gold' }, rdt)), []);
  t.deepEqual(story(planned({ closID: 'gold', l3CacheSchema: 'L3:1=1F', memBwSchema: 'MB:1=70;0=100', schemata: ['L3:0=07f0'] }, rdt)), []);
  refused(t, '/l3CacheSchema', 'config-invalid', { closID: 'gold', l3CacheSchema: 'L3:0=7ff' }, rdt);
  refused(t, '/memBwSchema', 'config-invalid', { closID: 'gold', memBwSchema: 'MB:0=10' }, rdt);
  refused(t, '/schemata/1', 'config-invalid', { closID: 'gold', schemata: ['MB:0=100', 'L2:0=1'] }, rdt);
});

test("/ is the root's class", (t) => {
  const rdt = { mount: MOUNT, schemata: 'L3:0=7ff\n' };
  const plan = planned({ closID: '/', enableMonitoring: true }, rdt);
  t.deepEqual(story(plan), [`make ${MOUNT}/mon_groups/c1`]);
  t.deepEqual([plan?.group, plan?.own], [MOUNT, [`${MOUNT}/mon_groups/c1`]]);
  t.deepEqual(plan?.tasks, [`${MOUNT}/tasks`, `${MOUNT}/mon_groups/c1/tasks`]);
});

test('monitoring has a group of its own below the class, which goes first', (t) => {
  const plan = planned({ enableMonitoring: true });
  t.deepEqual(story(plan), [`make ${MOUNT}/c1`, `make ${MOUNT}/c1/mon_groups/c1`]);
  t.deepEqual(plan?.own, [`${MOUNT}/c1/mon_groups/c1`, `${MOUNT}/c1`]);
});

test('the process joins by itself, as it does its v1 cgroups', (t) => {
  const { operations } = planCreate(specOf({ linux: { intelRdt: {} } }), contextOf({ ...SMALL, rdt: NONE }));
  const clone = operations.findIndex(({ op }) => op === 'clone');
  const made = operations.findIndex(({ op }) => op === 'rdt-make');
  t.true(made !== -1 && made < clone);
  const operation = operations[clone];
  t.is(operation?.op === 'clone' ? operation.tasks.at(-1) : '', `${MOUNT}/c1/tasks`);
});
