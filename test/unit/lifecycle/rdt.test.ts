/** A class of service from create to delete, on a machine in memory with a resctrl file system. */
import test from 'ava';
import { deleteContainer } from '../../../src/lifecycle/delete.ts';
import { stats } from '../../../src/lifecycle/events.ts';
import { update } from '../../../src/lifecycle/update.ts';
import type { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { createAndStart, createOne, failure, machineWith, NAME } from './_machine.ts';

const MOUNT = '/sys/fs/resctrl';

function machine(intelRdt: object): { machine: FakeMachine; host: FakeHost } {
  const made = machineWith({ linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], intelRdt } });
  const { machine: one } = made;
  one.file('/proc/self/mountinfo', `${one.text('/proc/self/mountinfo')}40 1 0:40 / ${MOUNT} rw,relatime shared:9 - resctrl resctrl rw\n`);
  one.file(`${MOUNT}/schemata`, '    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n');
  one.file(`${MOUNT}/info/last_cmd_status`, 'ok\n');
  one.directory(`${MOUNT}/mon_groups`);
  return made;
}

const groups = ({ nodes }: FakeMachine): string[] =>
  [...nodes]
    .filter(([name, { type }]) => name.startsWith(`${MOUNT}/`) && type === 'directory' && !/info|mon_groups$/.test(name))
    .map(([name]) => name);

test('what was made for the container alone goes with it', async (t) => {
  const { machine: one, host } = machine({ l3CacheSchema: 'L3:0=f' });
  await createAndStart(host);
  t.deepEqual(groups(one), [`${MOUNT}/c1`]);
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual([groups(one), one.leftovers()], [[], []]);
});

test('a class with a name stays, its monitoring group goes', async (t) => {
  const { machine: one, host } = machine({ closID: '/', enableMonitoring: true });
  await createAndStart(host);
  t.deepEqual(groups(one), [`${MOUNT}/mon_groups/c1`]);
  await deleteContainer(host, { ...NAME, force: true });
  t.deepEqual(groups(one), []);
  t.true(one.nodes.has(MOUNT));

  const named = machine({ closID: 'gold', l3CacheSchema: 'L3:0=f' });
  await createAndStart(named.host);
  await deleteContainer(named.host, { ...NAME, force: true });
  t.deepEqual(groups(named.machine), [`${MOUNT}/gold`]);
});

test("somebody else's group of that name is left alone", async (t) => {
  const { machine: one, host } = machine({});
  one.directory(`${MOUNT}/c1`);
  one.file(`${MOUNT}/c1/schemata`, 'L3:0=1\n');
  const error = await failure(t, createOne(host));
  t.deepEqual([error.code, error.pointer, error.path], ['config-invalid', '/linux/intelRdt', `${MOUNT}/c1`]);
  t.deepEqual([groups(one), one.leftovers()], [[`${MOUNT}/c1`], []]);
});

test('a class that the kernel refuses is told with its words, and taken back', async (t) => {
  const { machine: one, host } = machine({ l3CacheSchema: 'L3:0=0' });
  one.failure = { op: 'cgroup-write', value: 'L3:0=0\n', failure: { syscall: 'write', errno: 22, path: `${MOUNT}/c1/schemata` } };
  one.file(`${MOUNT}/info/last_cmd_status`, 'Mask is all zeros\n');
  const error = await failure(t, createOne(host));
  t.deepEqual([error.pointer, error.errno, error.hint], ['/linux/intelRdt/l3CacheSchema', 22, 'Mask is all zeros']);
  t.deepEqual([groups(one), one.leftovers()], [[], []]);

  const monitored = machine({ closID: 'gold', l3CacheSchema: 'L3:0=f', enableMonitoring: true });
  monitored.machine.failure = { op: 'rdt-make', value: `${MOUNT}/gold/mon_groups/c1`, failure: { syscall: 'mkdir', errno: 28 } };
  const full = await failure(t, createOne(monitored.host));
  t.deepEqual([full.pointer, full.errno], ['/linux/intelRdt/enableMonitoring', 28]);
});

test('update changes lines of the class, or nothing', async (t) => {
  const { machine: one, host } = machine({});
  await createAndStart(host);
  const file = `${MOUNT}/c1/schemata`;
  one.file(file, '    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n');
  const written: string[] = [];
  one.refusals.set(file, (text, { nodes }) => {
    written.push(text);
    if (text.startsWith('MB:0=1\n')) return 22;
    const node = nodes.get(file);
    const kept = node?.text;
    if (node !== undefined && kept !== undefined) queueMicrotask(() => nodes.set(file, { ...node, text: kept }));
    return undefined;
  });
  await update(host, { ...NAME, resources: {}, l3CacheSchema: 'L3:0=f', memBwSchema: 'MB:0=10' });
  t.deepEqual(written.splice(0), ['L3:0=f\n', 'MB:0=10\n']);
  one.file(file, '    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n');
  one.file(`${MOUNT}/info/last_cmd_status`, 'MB value 1 below minimum\n');
  const error = await failure(t, update(host, { ...NAME, resources: {}, l3CacheSchema: 'L3:0=f', memBwSchema: 'MB:0=1' }));
  t.deepEqual([error.pointer, error.document, error.hint], ['/intelRdt/memBwSchema', 'resources', 'MB value 1 below minimum']);
  t.deepEqual(written, ['L3:0=f\n', 'MB:0=1\n', 'MB:0=1\n', 'L3:0=7ff;1=7ff\n']);

  const without = machineWith();
  await createAndStart(without.host);
  const none = await failure(t, update(without.host, { ...NAME, resources: {}, l3CacheSchema: 'L3:0=f' }));
  t.deepEqual([none.code, none.pointer], ['config-unsupported', '/intelRdt/l3CacheSchema']);
});

test('statistics of the class, with the names of runc', async (t) => {
  const { machine: one, host } = machine({ enableMonitoring: true });
  await createAndStart(host);
  one.file(`${MOUNT}/c1/schemata`, '    L3:0=f;1=7ff\n    MB:0=20;1=100\n');
  for (const [name, text] of Object.entries({
    'info/L3/cbm_mask': '7ff',
    'info/L3/min_cbm_bits': '1',
    'info/L3/num_closids': '16',
    'info/MB/bandwidth_gran': '10',
    'info/MB/delay_linear': '1',
    'info/MB/min_bandwidth': '10',
    'info/MB/num_closids': '8',
    'info/L3_MON/mon_features': 'llc_occupancy\nmbm_total_bytes\nmbm_local_bytes',
    'c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy': '5',
    'c1/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes': '6',
    'c1/mon_groups/c1/mon_data/mon_L3_00/mbm_local_bytes': '7',
  })) {
    one.file(`${MOUNT}/${name}`, `${text}\n`);
  }
  t.deepEqual((await stats(host, NAME)).data.intel_rdt, {
    l3_cache_info: { cbm_mask: '7ff', min_cbm_bits: 1, num_closids: 16 },
    l3_cache_schema_root: 'L3:0=7ff;1=7ff',
    l3_cache_schema: 'L3:0=f;1=7ff',
    mem_bw_info: { bandwidth_gran: 10, delay_linear: 1, min_bandwidth: 10, num_closids: 8 },
    mem_bw_schema_root: 'MB:0=100;1=100',
    mem_bw_schema: 'MB:0=20;1=100',
    mbm_stats: [{ mbm_total_bytes: 6, mbm_local_bytes: 7 }],
    cmt_stats: [{ llc_occupancy: 5 }],
  });
});
