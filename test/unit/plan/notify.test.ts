import test from 'ava';
import { notifyPlace } from '../../../src/plan/notify.ts';
import { ATTR } from '../../../src/plan/op.ts';
import { names, only, plan, SMALL } from './_support.ts';

const NOTIFY = { directory: '/run/strata/c1/notify', place: '/run/notify' };

test('the socket is at the name that the caller has for it, or where runc has it', (t) => {
  const places: readonly [address: string, place: string][] = [
    ['/tmp/parent/socket', '/tmp/parent/socket'],
    ['/tmp/./parent//socket/', '/tmp/parent/socket'],
    // A systemd in the container makes sockets of its own there.
    ['/run/systemd/notify', '/run/notify'],
    ['/run/user/1000/systemd/notify', '/run/notify'],
    ['/run/systemd/notify2', '/run/systemd/notify2'],
    ['@abstract', '/run/notify'],
    ['/proc/1/x', '/run/notify'],
    ['/sys', '/run/notify'],
    ['/dev/log', '/run/notify'],
    ['/device', '/device'],
    ['/', '/run/notify'],
    ['/tmp/../..', '/run/notify'],
    // What could not be connected to, or is best not written into a variable.
    [`/${'x'.repeat(91)}`, '/run/notify'],
    ['/tmp/a b', '/run/notify'],
    ['/tmp/ä', '/run/notify'],
  ];
  for (const [address, place] of places) t.is(notifyPlace(address), place, address);
});

test('the directory is bound after the mounts of the configuration, and the program gets the variable', (t) => {
  const changes = { mounts: [{ destination: '/run', type: 'tmpfs', source: 'tmpfs' }], root: { path: 'rootfs', readonly: true } };
  const planned = plan(changes, SMALL, { notify: NOTIFY });
  const order = names(planned).filter((name) => ['mount', 'bind', 'root-readonly'].includes(name));
  t.deepEqual(order, ['mount', 'bind', 'root-readonly']);
  t.like(only(planned, 'bind')[0], {
    source: NOTIFY.directory,
    destination: NOTIFY.place,
    set: ATTR.rdonly | ATTR.nosuid | ATTR.nodev | ATTR.noexec,
    recursive: false,
    overProc: false,
  });
  t.is(only(planned, 'exec')[0]?.env.at(-1), 'NOTIFY_SOCKET=/run/notify/notify');
  t.deepEqual(only(plan(changes), 'bind'), []);
});

test('the variable of the configuration gives way', (t) => {
  const planned = plan({ process: { env: ['NOTIFY_SOCKET=/own', 'A=b'] } }, SMALL, { notify: NOTIFY });
  t.deepEqual(only(planned, 'exec')[0]?.env, ['A=b', 'NOTIFY_SOCKET=/run/notify/notify']);
});
