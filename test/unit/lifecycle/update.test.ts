/** `update` on a machine in memory, whose cgroup files are those of the tests. */
import test, { type ExecutionContext } from 'ava';
import { parseExact } from '../../../src/base/json.ts';
import { load, save } from '../../../src/lifecycle/store.ts';
import { type UpdateOptions, update } from '../../../src/lifecycle/update.ts';
import { type FakeHost, type FakeMachine, HIERARCHIES } from '../../helpers/fake-host.ts';
import { createAndStart, failure, machineWith, NAME } from './_machine.ts';

const MEMORY = `${HIERARCHIES[0]}/strata-c1`;
const UNLIMITED = '9223372036854771712';

type Running = { readonly machine: FakeMachine; readonly host: FakeHost };

/** A running container whose cgroup has these files. */
async function running(files: Readonly<Record<string, string>>, config: Readonly<Record<string, unknown>> = {}): Promise<Running> {
  const { machine, host } = machineWith(config);
  await createAndStart(host);
  for (const [path, text] of Object.entries(files)) machine.file(path, `${text}\n`);
  return { machine, host };
}

function limits(machine: FakeMachine, ...paths: string[]): string[] {
  return paths.map((path) => (machine.text(path) ?? 'none').trim());
}

function change(host: FakeHost, resources: unknown, more: Partial<UpdateOptions> = {}): Promise<void> {
  return update(host, { ...NAME, resources, ...more });
}

/** The kernel's own rule: memory and swap are never less than memory. */
function ruleOfMemory(machine: FakeMachine): void {
  const number = (text: string): bigint => (text.trim() === '-1' ? BigInt(UNLIMITED) : BigInt(text.trim()));
  const [limit, swap] = [`${MEMORY}/memory.limit_in_bytes`, `${MEMORY}/memory.memsw.limit_in_bytes`];
  machine.refusals.set(limit, (text) => (number(text) > number(machine.text(swap) ?? '0') ? 22 : undefined));
  machine.refusals.set(swap, (text) => (number(text) < number(machine.text(limit) ?? '0') ? 22 : undefined));
}

const V1_MEMORY = {
  [`${MEMORY}/memory.limit_in_bytes`]: '1000',
  [`${MEMORY}/memory.memsw.limit_in_bytes`]: '2000',
  [`${MEMORY}/memory.soft_limit_in_bytes`]: UNLIMITED,
};

for (const [title, memory, expected] of [
  ['raised beyond the old sum', { limit: 5000, swap: 6000 }, ['5000', '6000']],
  ['lowered below the old limit', { limit: 100, swap: 200 }, ['100', '200']],
  ['the limit alone', { limit: 1500 }, ['1500', '2000']],
  ['swap alone', { swap: 9000 }, ['1000', '9000']],
  ['no limit, then for swap neither', { limit: -1 }, ['-1', '-1']],
  ['0 is no change', { limit: 0, swap: 0 }, ['1000', '2000']],
] as const) {
  test(`memory and swap on v1, in the order that the kernel takes them: ${title}`, async (t) => {
    const { machine, host } = await running(V1_MEMORY);
    ruleOfMemory(machine);
    await change(host, { memory });
    t.deepEqual(limits(machine, `${MEMORY}/memory.limit_in_bytes`, `${MEMORY}/memory.memsw.limit_in_bytes`), expected);
  });
}

async function refusedSwap(t: ExecutionContext): Promise<void> {
  const { machine, host } = await running({ ...V1_MEMORY, [`${MEMORY}/memory.usage_in_bytes`]: '777' });
  ruleOfMemory(machine);
  machine.refusals.set(`${MEMORY}/memory.soft_limit_in_bytes`, (text) => (text === '300' ? 16 : undefined));
  const error = await failure(t, change(host, { memory: { limit: 5000, swap: 6000, reservation: 300 } }));
  t.deepEqual(
    [error.code, error.pointer, error.document, error.errno, error.path],
    ['system', '/memory/reservation', 'resources', 16, `${MEMORY}/memory.soft_limit_in_bytes`],
  );
  t.is(
    error.message,
    `resources /memory/reservation: cannot write '300' to ${MEMORY}/memory.soft_limit_in_bytes: device or resource busy (the container uses 777 bytes)`,
  );
  t.deepEqual(limits(machine, ...Object.keys(V1_MEMORY)), Object.values(V1_MEMORY));
}
test('what was written before a refusal is taken back', refusedSwap);

test('a limit above that of memory and swap together is told with the latter', async (t) => {
  const { machine, host } = await running(V1_MEMORY);
  ruleOfMemory(machine);
  const error = await failure(t, change(host, { memory: { limit: 5000 } }));
  t.deepEqual([error.pointer, error.errno, error.hint], ['/memory/limit', 22, 'memory and swap together are limited to 2000']);
});

test('what cannot be taken back is told', async (t) => {
  const { machine, host } = await running(V1_MEMORY);
  machine.refusals.set(`${MEMORY}/memory.limit_in_bytes`, (text) => (text === '1000' ? 22 : undefined));
  machine.refusals.set(`${MEMORY}/memory.soft_limit_in_bytes`, () => 22);
  const error = await failure(t, change(host, { memory: { limit: 1500, reservation: 300 } }));
  t.regex(error.hint ?? '', /memory\.limit_in_bytes could not be set back/);
});

test('a limit that is in force is not written again', async (t) => {
  const { machine, host } = await running(V1_MEMORY);
  machine.refusals.set(`${MEMORY}/memory.limit_in_bytes`, () => 16);
  await t.notThrowsAsync(change(host, { memory: { limit: 1000, reservation: 5 } }));
  t.is(machine.text(`${MEMORY}/memory.soft_limit_in_bytes`), '5');
});

test('the OOM killer is allowed to work again', async (t) => {
  const file = `${MEMORY}/memory.oom_control`;
  const { machine, host } = await running({ [file]: 'oom_kill_disable 1\nunder_oom 0' });
  await change(host, { memory: { disableOOMKiller: false } });
  t.is(machine.text(file), '0');
});

test('nothing is written when a value is wrong, or no controller has it', async (t) => {
  const { machine, host } = await running(V1_MEMORY);
  for (const [resources, code, pointer] of [
    [{ memory: { limit: 5000 }, pids: { limit: -2 } }, 'config-invalid', '/pids/limit'],
    [{ memory: { limit: 5000 }, cpu: { shares: 'many' } }, 'config-invalid', '/cpu/shares'],
    [{ memory: { limit: 5000 }, cpu: { shares: 5 } }, 'config-unsupported', '/cpu/shares'],
    [{ memory: { limit: 5000, swappiness: 5 } }, 'config-unsupported', '/memory/swappiness'],
    [{ memory: { limit: 5000 }, unified: { 'memory.high': '1' } }, 'config-unsupported', '/unified/memory.high'],
    [[], 'config-invalid', ''],
  ] as const) {
    const error = await failure(t, change(host, resources));
    t.deepEqual([error.code, error.pointer, error.document], [code, pointer, 'resources']);
  }
  t.deepEqual(limits(machine, ...Object.keys(V1_MEMORY)), Object.values(V1_MEMORY));
});

test('a v2 controller that create had no use for is enabled from the top down', async (t) => {
  const unified = HIERARCHIES[2];
  const { machine, host } = await running({}, { linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], cgroupsPath: '/a/b' } });
  machine.refusals.set(`${unified}/a/cgroup.subtree_control`, (text) => {
    for (const kind of ['', 'rsvd.']) machine.file(`${unified}/a/b/hugetlb.2MB.${kind}max`, 'max\n');
    return text === '+hugetlb' ? undefined : 22;
  });
  await change(host, { hugepageLimits: [{ pageSize: '2MB', limit: 4096 }] });
  t.deepEqual(limits(machine, `${unified}/cgroup.subtree_control`, `${unified}/a/cgroup.subtree_control`, `${unified}/a/b/hugetlb.2MB.rsvd.max`), [
    '+hugetlb',
    '+hugetlb',
    '4096',
  ]);
});

/** A machine with nothing but cgroup v2. */
async function pureV2(files: Readonly<Record<string, string>>, memory: object = {}): Promise<Running & { directory: string }> {
  const { machine, host } = machineWith({ linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], resources: { memory } } });
  const [top] = HIERARCHIES.slice(2) as [string];
  machine.file('/proc/self/cgroup', '0::/\n');
  machine.file('/proc/self/mountinfo', `32 1 0:32 / ${top} rw - cgroup2 cgroup2 rw\n`);
  machine.file(`${top}/cgroup.controllers`, 'cpuset cpu io memory hugetlb pids rdma\n');
  await createAndStart(host);
  const directory = `${top}/strata-c1`;
  machine.file(`${directory}/cgroup.freeze`, '0\n');
  for (const [name, text] of Object.entries(files)) machine.file(`${directory}/${name}`, `${text}\n`);
  return { machine, host, directory };
}

test('v2: swap and period are reckoned with the limit and the quota in force', async (t) => {
  const { machine, host, directory } = await pureV2({ 'memory.max': '1000', 'memory.swap.max': 'max', 'cpu.max': '5000 100000' });
  await change(host, { memory: { swap: 1500 }, cpu: { period: 50000 } });
  t.deepEqual(limits(machine, `${directory}/memory.swap.max`, `${directory}/cpu.max`), ['500', '5000 50000']);
  await change(host, { memory: { limit: -1 }, cpu: { quota: -1 } });
  t.deepEqual(limits(machine, `${directory}/memory.max`, `${directory}/memory.swap.max`, `${directory}/cpu.max`), ['max', 'max', 'max']);
  t.is((await failure(t, change(host, { memory: { swap: 1500 } }))).pointer, '/memory/swap');
});

test('v2: a refusal takes back the line of one device only', async (t) => {
  const { machine, host, directory } = await pureV2({ 'io.max': '8:0 rbps=5 wbps=max riops=max wiops=max', 'pids.max': 'max', 'rdma.max': '' });
  const written: string[] = [];
  machine.refusals.set(`${directory}/io.max`, (text) => {
    written.push(text);
    return text.startsWith('9:9') ? 19 : undefined;
  });
  const throttleReadBpsDevice = [
    { major: 8, minor: 0, rate: 7 },
    { major: 8, minor: 16, rate: 7 },
    { major: 9, minor: 9, rate: 7 },
  ];
  const error = await failure(t, change(host, { blockIO: { throttleReadBpsDevice }, pids: { limit: 5 } }));
  t.is(error.pointer, '/blockIO/throttleReadBpsDevice/2');
  t.deepEqual(written.slice(-2), ['8:16 rbps=max', '8:0 rbps=5 wbps=max riops=max wiops=max']);
  t.is(machine.text(`${directory}/pids.max`), 'max');
});

test('v2: rdma, and files of unified by their names', async (t) => {
  const { machine, host, directory } = await pureV2({ 'rdma.max': 'mlx hca_handle=max hca_object=max', 'memory.high': 'max' });
  await change(host, { rdma: { mlx: { hcaHandles: 3 } }, unified: { 'memory.high': '4096' } });
  t.deepEqual(limits(machine, `${directory}/rdma.max`, `${directory}/memory.high`), ['mlx hca_handle=3', '4096']);
  const error = await failure(t, change(host, { unified: { 'memory.nosuch': '1' } }));
  t.deepEqual([error.code, error.pointer], ['config-unsupported', '/unified/memory.nosuch']);
});

test('v2: checkBeforeUpdate, here or in the configuration, refuses a limit below the usage', async (t) => {
  const files = { 'memory.max': 'max', 'memory.swap.max': 'max', 'memory.current': '4096', 'memory.swap.current': '100' };
  const unchecked = await pureV2(files);
  await change(unchecked.host, { memory: { limit: 1024 } });
  const asked = await failure(t, change((await pureV2(files)).host, { memory: { limit: 1024, checkBeforeUpdate: true } }));
  t.deepEqual([asked.code, asked.pointer], ['config-invalid', '/memory/limit']);
  const configured = await pureV2(files, { checkBeforeUpdate: true });
  t.is((await failure(t, change(configured.host, { memory: { limit: 1024 } }))).pointer, '/memory/limit');
  t.is((await failure(t, change(configured.host, { memory: { limit: 4100, swap: 4100 } }))).pointer, '/memory/swap');
  await change(configured.host, { memory: { limit: 1024, checkBeforeUpdate: false } });
  t.is(configured.machine.text(`${configured.directory}/memory.max`), '1024');
});

test('v2: CPUs that the kernel takes and does not give: its reason is told, and nothing has changed', async (t) => {
  const { machine, host, directory } = await pureV2({ 'cpuset.cpus': '', 'pids.max': 'max' });
  machine.failure = { op: 'cpuset-check', failure: { detail: 'it has none' } };
  const error = await failure(t, change(host, { cpu: { cpus: '3' }, pids: { limit: 5 } }));
  t.deepEqual([error.pointer, error.hint], ['/cpu/cpus', 'it has none']);
  t.deepEqual(limits(machine, `${directory}/cpuset.cpus`, `${directory}/pids.max`), ['', 'max']);
  machine.failure = { op: 'cpuset-claim', failure: { detail: 'it is a partition' } };
  t.is((await failure(t, change(host, { cpu: { cpus: '3' } }))).hint, 'it is a partition');
  machine.failure = undefined;
  machine.refusals.set(`${directory}/cpuset.cpus`, () => 22);
  t.regex((await failure(t, change(host, { cpu: { cpus: '3' } }))).hint ?? '', /has some of them to itself/);
});

test('integers are exact', async (t) => {
  const { machine, host } = await running(V1_MEMORY);
  await change(host, parseExact('{"memory": {"limit": 9007199254740993}}'));
  t.is(machine.text(`${MEMORY}/memory.limit_in_bytes`), '9007199254740993');
});

test('rules for devices that the kernel refuses: its reason is told, and nothing has changed', async (t) => {
  const { machine, host, directory } = await pureV2({ 'pids.max': '5' });
  machine.programs.add(directory);
  machine.failure = { op: 'cgroup-device-program', failure: { errno: 7, detail: 'these are more' } };
  const error = await failure(t, change(host, { pids: { limit: 6 }, devices: [{ allow: true }] }));
  t.is(error.pointer, '/devices');
  t.regex(error.message, /argument list too long \(these are more\)$/);
  t.is(machine.text(`${directory}/pids.max`)?.trim(), '5');
});

test("rules for devices take the place of the container's own; where somebody else has put others, they stay", async (t) => {
  const { machine, host } = await running({});
  const directory = `${HIERARCHIES[2]}/strata-c1`;
  const warnings: string[] = [];
  const replace = () => change(host, { devices: [{ allow: true }] }, { warn: (text) => warnings.push(text) });
  await replace();
  t.deepEqual([warnings.length, machine.events.filter((event) => event.startsWith('cgroup-device-program'))], [1, []]);
  machine.programs.add(directory);
  await replace();
  t.deepEqual([warnings.length, machine.events.at(-1)], [1, `cgroup-device-program ${directory}`]);
});

test('a stopped container, and one that does not exist', async (t) => {
  const { host, machine } = await running({});
  for (const process of machine.processes) machine.die(process, { code: 0 });
  const stopped = await failure(t, change(host, {}));
  t.deepEqual([stopped.code, stopped.message.startsWith('container not running')], ['status', true]);
  t.is((await failure(t, update(host, { ...NAME, id: 'nobody', resources: {} }))).code, 'not-found');
});

test('an ordinary user is told that he may not, rather than that nobody could', async (t) => {
  const { host } = await running(V1_MEMORY);
  save(host, NAME.root, { ...load(host, NAME.root, NAME.id), cgroups: [], unmarked: true });
  t.regex((await failure(t, change(host, { memory: { limit: 5000 } }))).message, /memory, in whose hierarchy this user may not make a cgroup/);
});
