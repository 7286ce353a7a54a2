import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { cgroupPaths } from '../../../src/plan/cgroup.ts';
import { HYBRID, NO_CGROUPS, names, plan, SMALL, specOf } from './_support.ts';

const path = (cgroupsPath?: string): string | undefined => cgroupPaths(specOf({ linux: { cgroupsPath } }), 'c1', SMALL)[0]?.path;

test('forms of cgroupsPath', (t) => {
  t.is(path(), '/strata-c1');
  t.is(path(''), '/strata-c1');
  t.is(path('/a/b'), '/a/b');
  t.is(path('a/b'), '/a/b');
  t.is(path('//a/./b/'), '/a/b');
  t.is(path('system.slice:strata:x'), '/system.slice:strata:x');
});

test("the root cgroup is nobody's", (t) => {
  for (const asked of ['/', '.', '//', './']) {
    const error = t.throws(() => path(asked), { instanceOf: StrataError }) as StrataError;
    t.is(error.code, 'config-invalid');
    t.is(error.pointer, '/linux/cgroupsPath');
  }
});

test('a place in every hierarchy, v2 last', (t) => {
  const places = cgroupPaths(specOf({ linux: { cgroupsPath: 'x' } }), 'c1', HYBRID);
  t.deepEqual(places[0], {
    hierarchy: '/sys/fs/cgroup/cpu,cpuacct',
    path: '/x',
    directory: '/sys/fs/cgroup/cpu,cpuacct/x',
    controllers: ['cpu', 'cpuacct'],
    unified: false,
  });
  t.deepEqual(places.at(-1), {
    hierarchy: '/sys/fs/cgroup/unified',
    path: '/x',
    directory: '/sys/fs/cgroup/unified/x',
    controllers: ['hugetlb'],
    unified: true,
  });
  t.is(places.length, HYBRID.cgroup.hierarchies.length + 1);
});

test('without cgroups there is nothing to make', (t) => {
  t.is(names(plan({}, NO_CGROUPS))[0], 'clone');
});
