import test from 'ava';
import { only, plan } from './_support.ts';

test('a device of the configuration, with its defaults and in place of a default one', (t) => {
  const operations = plan({
    linux: {
      devices: [
        { type: 'b', path: '/dev//sda', major: 8, minor: 0, fileMode: 0o640, uid: 1, gid: 6 },
        { type: 'c', path: '/dev/null', major: 1, minor: 3, fileMode: 0o600 },
        { type: 'u', path: '/dev/fuse', major: 10, minor: 229 },
        { type: 'p', path: '/run/pipe' },
      ],
    },
  });
  const devices = only(operations, 'device');
  t.deepEqual(devices.slice(0, 4), [
    { op: 'device', pointer: '/linux/devices/0', path: '/dev/sda', type: 'b', major: 8, minor: 0, mode: 0o640, uid: 1, gid: 6, bind: false },
    { op: 'device', pointer: '/linux/devices/1', path: '/dev/null', type: 'c', major: 1, minor: 3, mode: 0o600, uid: 0, gid: 0, bind: false },
    { op: 'device', pointer: '/linux/devices/2', path: '/dev/fuse', type: 'u', major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0, bind: false },
    { op: 'device', pointer: '/linux/devices/3', path: '/run/pipe', type: 'p', major: 0, minor: 0, mode: 0o666, uid: 0, gid: 0, bind: false },
  ]);
  t.deepEqual(
    devices.slice(4).map(({ path }) => path),
    ['/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty'],
  );
});

test('in a user namespace nodes are bound, fifos are made', (t) => {
  for (const user of [{ type: 'user' }, { type: 'user', path: '/ns' }]) {
    const operations = plan({ linux: { namespaces: [{ type: 'mount' }, user], devices: [{ type: 'p', path: '/pipe' }] } });
    for (const { path, bind } of only(operations, 'device')) t.is(bind, path !== '/pipe', path);
  }
});

test('in a new user namespace a node has the owner that the mappings say', (t) => {
  const linux = {
    namespaces: [{ type: 'mount' }, { type: 'user' }],
    uidMappings: [{ containerID: 0, hostID: 100000, size: 10 }],
    gidMappings: [{ containerID: 5, hostID: 200000, size: 10 }],
  };
  const device = { type: 'c', path: '/dev/fuse', major: 10, minor: 229, gid: 7 };
  t.like(only(plan({ linux: { ...linux, devices: [device] } }), 'device')[0], { mode: 0o666, uid: 100000, gid: 200002, bind: true });
  for (const { uid } of only(plan({ linux }), 'device')) t.is(uid, 0xffffffff);
  t.throws(() => plan({ linux: { ...linux, devices: [{ ...device, gid: 4 }] } }), { message: /\/linux\/devices\/0\/gid/ });
});

test('nothing is made in a /dev that is a bind mount', (t) => {
  const operations = plan({
    mounts: [{ destination: '/dev/', source: '/dev', options: ['rbind'] }],
    linux: {
      devices: [
        { type: 'c', path: '/dev/fuse', major: 10, minor: 229 },
        { type: 'c', path: '/opt/null', major: 1, minor: 3 },
      ],
    },
  });
  t.deepEqual(
    only(operations, 'device').map(({ path }) => path),
    ['/opt/null'],
  );
  t.deepEqual(only(operations, 'symlink'), []);
});

test('a device of the configuration at the place of a link', (t) => {
  const operations = plan({ linux: { devices: [{ type: 'c', path: '/dev/ptmx', major: 5, minor: 2 }] } });
  t.false(only(operations, 'symlink').some(({ path }) => path === '/dev/ptmx'));
});
