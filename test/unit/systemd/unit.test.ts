import test from 'ava';
import { scopeName, slicePath } from '../../../src/systemd/unit.ts';

test('the scope that a cgroupsPath stands for', (t) => {
  t.deepEqual(scopeName('machine-pod.slice:libpod:0abc', 'c1', 'system'), {
    manager: 'system',
    slice: 'machine-pod.slice',
    unit: 'libpod-0abc.scope',
    path: '/machine.slice/machine-pod.slice/libpod-0abc.scope',
  });
  t.like(scopeName(undefined, 'c1', 'system'), { slice: 'system.slice', unit: 'strata-c1.scope', path: '/system.slice/strata-c1.scope' });
  t.like(scopeName('', 'a+b', 'user'), { slice: 'user.slice', unit: 'strata-a\\x2bb.scope' });
  t.like(scopeName(':docker:c1', 'c1', 'system'), { slice: 'system.slice', unit: 'docker-c1.scope' });
  t.like(scopeName('-.slice::c1', 'c1', 'system'), { unit: '-c1.scope', path: '/-c1.scope' });
});

test('paths that name no scope', (t) => {
  const bad = [
    '/pod/c1',
    'a:b',
    'system.slice:a:',
    'system.slice:a:b:c',
    'a.service:b:c',
    'a-.slice:b:c',
    '-a.slice:b:c',
    'a--b.slice:b:c',
    'a/b.slice:b:c',
  ];
  const worse = ['.slice:b:c', 'system.slice:a:b/c', 'system.slice:a:b c', 'system.slice:ä:b', `system.slice:a:${'b'.repeat(260)}`];
  for (const path of [...bad, ...worse]) {
    t.throws(() => scopeName(path, 'c1', 'system'), { message: /^config\.json \/linux\/cgroupsPath: / }, path);
  }
});

test('slices lie in one another, and names that the kernel could have are escaped', (t) => {
  t.is(slicePath('a-b-c.slice'), '/a.slice/a-b.slice/a-b-c.slice');
  t.is(slicePath('-.slice'), '');
  t.is(slicePath('cgroup.slice'), '/_cgroup.slice');
  t.is(scopeName('system.slice:cpu.x:1', '', 'system').path, '/system.slice/_cpu.x-1.scope');
});
