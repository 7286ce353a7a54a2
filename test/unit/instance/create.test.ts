import test from 'ava';
import type { CreatedInstance, InstanceOptions } from '../../../src/instance/create.ts';
import { createInstance, discardInstance } from '../../../src/instance/create.ts';
import { recordStart } from '../../../src/instance/directory.ts';
import { pruneAll } from '../../../src/instance/prune.ts';
import { DEFAULT_LOG } from '../../../src/instance/wishes.ts';
import { containerPath, volumePath } from '../../../src/store/paths.ts';
import type { Store } from '../../../src/store/store.ts';
import { prepareStore } from '../../../src/store/store.ts';
import { FakeHost, FakeMachine, Killed } from '../../helpers/fake-host.ts';
import { addImage, ROOT } from '../store/_images.ts';

const ID = 'one';
const RUN = '/run/strata';

async function makeStore(config: object = {}): Promise<{ machine: FakeMachine; store: Store }> {
  const machine = new FakeMachine();
  const store = prepareStore(new FakeHost(machine), ROOT);
  const image = { Cmd: ['sh'], Volumes: { '/data': {} }, ...config };
  await addImage(store, { names: ['docker.io/library/web:latest'], layers: ['low', 'high'], config: { config: image } });
  return { machine, store };
}

const OPTIONS: InstanceOptions = {
  root: RUN,
  id: ID,
  store: ROOT,
  image: 'web',
  env: [],
  terminal: false,
  readonly: false,
  volumes: [],
  tmpfs: [],
  devices: [],
  limits: [],
  addedCapabilities: [],
  droppedCapabilities: [],
  network: 'none',
  newPrivileges: false,
  security: {},
  labels: {},
  interactive: false,
  remove: false,
  log: DEFAULT_LOG,
};

async function create(machine: FakeMachine, changes: Partial<InstanceOptions> = {}): Promise<CreatedInstance> {
  const host = new FakeHost(machine);
  const created = await createInstance(host, { ...OPTIONS, ...changes });
  host.close(created.lock);
  checkClosed(host);
  return created;
}

/** No descriptor is left open. */
function checkClosed(host: FakeHost): void {
  if (host.open.size > 0) throw new Error(`${host.open.size} descriptors are still open`);
}

const left = (machine: FakeMachine): string[] =>
  ['containers', 'volumes', 'tmp'].flatMap((name) => machine.children(`${ROOT}/${name}`).map((one) => `${name}/${one}`));

test('an instance is a bundle over the layers of its image', async (t) => {
  const { machine } = await makeStore({ StopSignal: 'quit' });
  const { instance, directory, newVolumes } = await create(machine, {
    volumes: [{ source: 'mine', destination: '/m', readonly: true, options: [], copy: true }],
  });
  t.is(directory, containerPath(ROOT, ID));
  t.is(instance.stopSignal, 'SIGQUIT');
  t.deepEqual(JSON.parse(machine.text(`${directory}/container.json`) ?? ''), instance);
  const { annotations, mounts } = JSON.parse(machine.text(`${directory}/config.json`) ?? '') as {
    annotations: Record<string, string>;
    mounts: { destination: string; source: string; options: string[] }[];
  };
  const overlay = JSON.parse(annotations['dev.strata.overlay'] ?? '') as { lower: string[]; upper: string };
  t.deepEqual(
    overlay.lower,
    instance.layers.toReversed().map((id) => `${ROOT}/layers/${id.slice(7)}/diff`),
  );
  t.is(overlay.upper, 'upper');
  t.deepEqual(machine.children(directory), ['config.json', 'container.json', 'hostname', 'hosts', 'resolv.conf', 'rootfs', 'upper', 'work']);
  const mount = (destination: string) => mounts.find((one) => one.destination === destination);
  t.is(mount('/etc/hosts')?.source, 'hosts');
  t.is(mount('/m')?.source, `${ROOT}/volumes/mine/data`);
  t.true(mount('/m')?.options.includes('ro'));
  t.is(newVolumes.length, 2);
  t.deepEqual(instance.volumes.map(({ anonymous }) => anonymous).sort(), [false, true]);
  t.is(mount('/data')?.source, `${ROOT}/volumes/${instance.volumes.find(({ anonymous }) => anonymous)?.name}/data`);
});

test('with a label, its own files and new volumes are labelled, volumes so that others can have them too', async (t) => {
  const { machine, store } = await makeStore();
  machine.file('/sys/fs/selinux/enforce', '1');
  const label = { type: 'x_t', filetype: 'y_t', level: 's0:c1,c2' };
  const old = { source: 'old', destination: '/o', readonly: false, options: [], copy: true };
  await create(machine, { id: 'first', volumes: [old] });
  const { directory, instance } = await create(machine, { security: { label }, volumes: [old] });
  const labelOf = (path: string): string | undefined => machine.nodes.get(path)?.label;
  for (const name of ['hostname', 'hosts', 'resolv.conf']) t.is(labelOf(`${directory}/${name}`), 'system_u:object_r:y_t:s0:c1,c2');
  const fresh = instance.volumes.find(({ anonymous }) => anonymous)?.name ?? '';
  t.is(labelOf(`${volumePath(store.root, fresh)}/data`), 'system_u:object_r:y_t:s0');
  t.is(labelOf(`${volumePath(store.root, 'old')}/data`), undefined);
  const { process, linux } = JSON.parse(machine.text(`${directory}/config.json`) ?? '') as Record<string, Record<string, unknown>>;
  t.is(process?.['selinuxLabel'], 'system_u:system_r:x_t:s0:c1,c2');
  t.is(linux?.['mountLabel'], 'system_u:object_r:y_t:s0:c1,c2');
});

test('a label that this kernel does not enforce leaves nothing', async (t) => {
  const { machine } = await makeStore();
  for (const security of [{ apparmor: 'mine' }, { label: { type: 'x_t' } }]) {
    await t.throwsAsync(create(machine, { security }), { code: 'config-unsupported', message: /is not enabled in this kernel/ });
  }
  t.deepEqual(left(machine), []);
});

test('an id is taken by a container of the store and by one that runs', async (t) => {
  const { machine } = await makeStore();
  await create(machine);
  await t.throwsAsync(create(machine), { code: 'exists' });
  machine.directory(`${RUN}/other`);
  await t.throwsAsync(create(machine, { id: 'other' }), { code: 'exists' });
  t.deepEqual(machine.children(`${ROOT}/containers`), [ID]);
  t.is(machine.children(`${ROOT}/volumes`).length, 1);
});

test('what is wrong with the image or the wishes leaves nothing', async (t) => {
  const { machine } = await makeStore({ StopSignal: 'NOPE' });
  await t.throwsAsync(create(machine), { code: 'image-invalid' });
  const named = { source: 'new', destination: '/n', readonly: false, options: [], copy: true };
  await t.throwsAsync(create(machine, { stopSignal: '0' }), { code: 'usage' });
  await t.throwsAsync(create(machine, { stopSignal: '9', volumes: [named], user: 'nobody' }), { code: 'image-invalid' });
  await t.throwsAsync(create(machine, { stopSignal: '9', volumes: [named, named] }), { code: 'usage' });
  await t.throwsAsync(create(machine, { stopSignal: '9', hostname: 'a/b' }), { code: 'usage' });
  await t.throwsAsync(create(machine, { image: 'nope' }), { code: 'image-not-found' });
  await t.throwsAsync(create(machine, { id: '../x' }), { code: 'id-invalid' });
  const stop = (): never => {
    throw new Error('interrupted');
  };
  await t.throwsAsync(create(machine, { stopSignal: '9', checkpoint: stop }), { message: 'interrupted' });
  t.deepEqual(left(machine), []);
});

test('discarded, it is gone with the volumes that were made for it, and no others', async (t) => {
  const { machine } = await makeStore();
  const named = { source: 'kept', destination: '/k', readonly: false, options: [], copy: true };
  await create(machine, { volumes: [named] });
  const before = left(machine);
  const second = await create(machine, { id: 'two', volumes: [named, { ...named, source: 'fresh', destination: '/f' }] });
  await discardInstance(second);
  t.deepEqual(left(machine), before);
});

test('killed at any call, there is a whole instance or none, and it can be made then', async (t) => {
  const { machine: sample } = await makeStore();
  const counting = new FakeHost(sample);
  await createInstance(counting, OPTIONS);
  for (let at = 1; at <= counting.calls; at++) {
    const { machine } = await makeStore();
    await t.throwsAsync(createInstance(new FakeHost(machine, at), OPTIONS), { instanceOf: Killed });
    for (const name of machine.children(`${ROOT}/volumes`)) {
      const path = volumePath(ROOT, name);
      t.is((JSON.parse(machine.text(`${path}/volume.json`) ?? '') as { name: string }).name, name);
      t.true(machine.nodes.has(`${path}/data`));
    }
    const directory = containerPath(ROOT, ID);
    if (machine.nodes.has(directory)) {
      t.is((JSON.parse(machine.text(`${directory}/container.json`) ?? '') as { id: string }).id, ID);
      for (const name of ['config.json', 'rootfs', 'upper', 'work', 'hosts']) t.true(machine.nodes.has(`${directory}/${name}`), name);
    } else {
      await create(machine);
    }
  }
});

test('prune leaves what is held, though nothing of it runs yet or any more', async (t) => {
  const { machine } = await makeStore();
  const host = new FakeHost(machine);
  const { directory, lock } = await createInstance(host, OPTIONS);
  recordStart(host, directory);
  const other = { host: new FakeHost(machine), root: ROOT };
  t.deepEqual((await pruneAll(other, { root: RUN, dryRun: false })).containers, []);
  t.true(machine.nodes.has(directory));
  host.close(lock);
  t.deepEqual(
    (await pruneAll(other, { root: RUN, dryRun: false })).containers.map(({ id }) => id),
    [ID],
  );
  t.false(machine.nodes.has(directory));
});
