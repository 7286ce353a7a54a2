import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { defaultStore } from '../../../src/instance/default-store.ts';
import { becomeNamespaceRoot, inUserNamespace } from '../../../src/instance/user-namespace.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

function ordinary(): { machine: FakeMachine; host: FakeHost } {
  const machine = new FakeMachine();
  for (const name of ['unshare', 'newuidmap', 'newgidmap']) machine.file(`/usr/bin/${name}`, '');
  machine.file('/etc/passwd', 'root:x:0:0::/root:/bin/sh\nkim:x:1000:1000::/home/kim:/bin/sh\n');
  machine.file('/etc/subuid', 'lee:300000:10\nkim:100000:65536\nkim:500000:10\n');
  machine.file('/etc/subgid', '1000:200000:1000\n');
  machine.become(1000);
  return { machine, host: new FakeHost(machine) };
}

const COMMAND = ['/usr/bin/unshare', '--user', '--map-root-user', '--map-auto', '--', '/usr/bin/strata', 'fsck'];

test('an ordinary user goes on in a user namespace, root stays where he is', (t) => {
  const { machine, host } = ordinary();
  t.throws(() => becomeNamespaceRoot(host, ['fsck']), { message: 'nothing of this process is left' });
  t.true(machine.events.includes(`become ${COMMAND.join(' ')}`));
  const root = new FakeMachine();
  becomeNamespaceRoot(new FakeHost(root), ['fsck']);
  t.deepEqual(root.events, []);
});

test('what is lacking is told', (t) => {
  for (const [path, text, words] of [
    ['/etc/subuid', 'lee:300000:10\n', /\/etc\/subuid has no ids for user kim/],
    ['/etc/subgid', 'kim:x:10\n', /\/etc\/subgid has no ids for user kim/],
    ['/usr/bin/newuidmap', undefined, /there is no newuidmap/],
    ['/usr/bin/unshare', undefined, /there is no unshare/],
  ] as const) {
    const { machine, host } = ordinary();
    if (text === undefined) machine.nodes.delete(path);
    else machine.file(path, text);
    const error = t.throws(() => becomeNamespaceRoot(host, []), { instanceOf: StrataError });
    t.is(error?.code, 'config-unsupported');
    t.regex(error?.message ?? '', words);
  }
});

test('the container of an ordinary user: its ids, no device rules, and sysfs only of a network of its own', (t) => {
  const { host } = ordinary();
  const spec = (...namespaces: string[]) => ({
    mounts: [
      { destination: '/proc', type: 'proc' },
      { destination: '/sys', type: 'sysfs' },
    ],
    linux: { namespaces: namespaces.map((type) => ({ type })), resources: { devices: [{ allow: false }], pids: { limit: 5 } } },
  });
  t.deepEqual(inUserNamespace(host, spec('network')), {
    mounts: spec().mounts,
    linux: {
      namespaces: [{ type: 'network' }, { type: 'user' }],
      resources: { pids: { limit: 5 } },
      uidMappings: [
        { containerID: 0, hostID: 1000, size: 1 },
        { containerID: 1, hostID: 100000, size: 65536 },
      ],
      gidMappings: [
        { containerID: 0, hostID: 1000, size: 1 },
        { containerID: 1, hostID: 200000, size: 1000 },
      ],
    },
  });
  const { mounts } = inUserNamespace(host, spec()) as { mounts: { destination: string; options?: string[] }[] };
  t.true(mounts[1]?.options?.includes('rbind'));
});

test('where the store is', (t) => {
  const { machine, host } = ordinary();
  host.variables.set('HOME', '/home/kim');
  t.is(defaultStore(host), '/home/kim/.local/share/strata');
  host.variables.set('XDG_DATA_HOME', 'relative');
  t.is(defaultStore(host), '/home/kim/.local/share/strata');
  host.variables.set('XDG_DATA_HOME', '/data');
  t.is(defaultStore(host), '/data/strata');
  machine.become(0);
  t.is(defaultStore(host), '/var/lib/strata');
});
