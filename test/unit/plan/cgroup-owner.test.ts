/** config-linux.md, Cgroup ownership. */
import test from 'ava';
import type { HostFacts } from '../../../src/host/facts.ts';
import { delegationMount } from '../../../src/plan/cgroup-owner.ts';
import { HYBRID, only, plan, specOf, V1, V2 } from './_support.ts';

const FILES = ['cgroup.procs', 'cgroup.threads'];
const MOUNT = { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['rw'] };
const IDS = [
  { containerID: 0, hostID: 100000, size: 10 },
  { containerID: 1000, hostID: 200000, size: 10 },
];
const USER = [{ type: 'user' }, { type: 'cgroup' }, { type: 'mount' }, { type: 'pid' }];

interface Case {
  readonly facts?: HostFacts;
  readonly mount?: object;
  readonly namespaces?: readonly object[];
  readonly uid?: number;
}

/** Who gets the cgroup; undefined if nobody does. */
function owner({ facts = V2, mount = {}, namespaces = USER, uid = 0 }: Case): number | undefined {
  const isUser = namespaces.some((namespace) => 'type' in namespace && namespace.type === 'user' && !('path' in namespace));
  const config = {
    process: { user: { uid, gid: 0 } },
    mounts: [
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs' },
      { ...MOUNT, ...mount },
    ],
    linux: { cgroupsPath: '/c', namespaces, ...(isUser && { uidMappings: IDS, gidMappings: IDS }) },
  };
  const delegates = delegationMount(specOf(config), facts) !== undefined;
  const [operation] = only(plan(config, { ...facts, ...(delegates && { delegate: FILES }) }), 'cgroup-own');
  return operation?.uid;
}

test('the cgroup of a user namespace that can write to it belongs to the user of its process', (t) => {
  t.is(owner({}), 100000);
  t.is(owner({ uid: 1003 }), 200003);
  t.is(owner({ mount: { destination: '/sys/fs//cgroup/' } }), 100000);
  const config = { mounts: [MOUNT], linux: { cgroupsPath: '/c', namespaces: USER, uidMappings: IDS, gidMappings: IDS } };
  t.deepEqual(only(plan(config, { ...V2, delegate: FILES }), 'cgroup-own'), [
    { op: 'cgroup-own', pointer: '/mounts/0', directory: '/sys/fs/cgroup/c', files: FILES, uid: 100000 },
  ]);
});

test('without a user namespace too, but there is nothing to do for root', (t) => {
  const namespaces = [{ type: 'cgroup' }, { type: 'mount' }, { type: 'pid' }];
  t.is(owner({ namespaces, uid: 1000 }), 1000);
  t.is(owner({ namespaces }), undefined);
});

test('it stays as it is without a cgroup namespace of its own, or if it is read-only, elsewhere or of another source', (t) => {
  t.is(owner({ namespaces: USER.filter(({ type }) => type !== 'cgroup') }), undefined);
  t.is(owner({ mount: { options: ['nosuid', 'ro'] } }), undefined);
  t.is(owner({ mount: { destination: '/cgroup' } }), undefined);
  t.is(owner({ mount: { source: 'none' } }), undefined);
});

test('v1 is never given away; beside it v2 is, where v2 is what is mounted', (t) => {
  t.is(owner({ facts: V1 }), undefined);
  t.is(owner({ facts: HYBRID }), undefined);
  t.is(owner({ facts: HYBRID, mount: { type: 'cgroup2' } }), 100000);
});
