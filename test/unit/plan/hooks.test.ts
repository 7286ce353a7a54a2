import test from 'ava';
import { planCreate } from '../../../src/plan/create.ts';
import { contextOf, names, only, plan, SMALL, specOf } from './_support.ts';

test('the runtime is waited for only when it has hooks to run', (t) => {
  t.deepEqual(
    only(plan({ hooks: { createContainer: [{ path: '/h' }], poststart: [{ path: '/h' }], poststop: [{ path: '/h' }] } }), 'runtime-hooks'),
    [],
  );
  t.is(only(plan({ hooks: { prestart: [{ path: '/h' }] } }), 'runtime-hooks')[0]?.pointer, '/hooks/prestart');
  t.is(only(plan({ hooks: { createRuntime: [{ path: '/h' }] } }), 'runtime-hooks')[0]?.pointer, '/hooks/createRuntime');
});

test('hooks run between the mounts and the pivot, and between ready and the program', (t) => {
  const hook = [{ path: '/h' }];
  const operations = plan({
    hooks: { createRuntime: hook, createContainer: hook, startContainer: hook },
    mounts: [{ destination: '/proc', type: 'proc' }],
  });
  const order = names(operations).filter((name) => ['mount', 'runtime-hooks', 'hook', 'pivot', 'ready', 'exec'].includes(name));
  t.deepEqual(order, ['mount', 'runtime-hooks', 'hook', 'pivot', 'ready', 'hook', 'exec']);
});

test('a hook with all its properties, and with none', (t) => {
  const operations = plan({
    annotations: { 'a"b': 'é\n' },
    hooks: { createContainer: [{ path: '/h', args: ['h', '-x'], env: ['A=1'], timeout: 5 }], startContainer: [{ path: '/s' }] },
  });
  const [first, second] = only(operations, 'hook');
  t.like(first, { kind: 'createContainer', path: '/h', timeout: 5000, pointer: '/hooks/createContainer/0' });
  t.deepEqual(first?.args, ['h', '-x']);
  t.deepEqual(first?.env, ['A=1']);
  t.like(second, { kind: 'startContainer', timeout: 0, pointer: '/hooks/startContainer/0' });
  t.deepEqual(second?.args, ['/s']);
  t.deepEqual(second?.env, []);
  t.deepEqual(JSON.parse(`${first?.stateBefore}1${first?.stateAfter}`), {
    ociVersion: '1.3.0',
    id: 'c1',
    status: 'creating',
    pid: 1,
    bundle: '/bundle',
    annotations: { 'a"b': 'é\n' },
  });
  t.like(JSON.parse(`${second?.stateBefore}1${second?.stateAfter}`), { status: 'created' });
});

test("a hook without an environment has the runtime's, one with an empty one has none", (t) => {
  const spec = specOf({ ociVersion: '1.0.2', hooks: { createContainer: [{ path: '/h' }, { path: '/h', env: [] }] } });
  const { operations } = planCreate(spec, contextOf(SMALL, { environment: ['PATH=/p', 'A=1'] }));
  const [inherits, empty] = only(operations, 'hook');
  t.deepEqual(inherits?.env, ['PATH=/p', 'A=1']);
  t.deepEqual(empty?.env, []);
  t.is(JSON.parse(`${inherits?.stateBefore}1${inherits?.stateAfter}`).ociVersion, '1.0.2', 'as `state` tells it');
});

test('a state without annotations has none', (t) => {
  const [hook] = only(plan({ hooks: { startContainer: [{ path: '/s' }] } }), 'hook');
  t.deepEqual(JSON.parse(`${hook?.stateBefore}9${hook?.stateAfter}`), {
    ociVersion: '1.3.0',
    id: 'c1',
    status: 'created',
    pid: 9,
    bundle: '/bundle',
  });
});
