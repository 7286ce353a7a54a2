/** cgroup v2 alone: what the files hold, who hands controllers down, and what else only v2 has. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, CGROUP_V2, type Edit, eventually, toJson, type Workspace, withNamespace, withoutNamespaces } from '../../helpers/container.ts';
import { failed, unless } from '../_support.ts';

const TOP = '/sys/fs/cgroup';
const CONTROLLERS = CGROUP_V2 ? fs.readFileSync(join(TOP, 'cgroup.controllers'), 'utf8').trim().split(' ') : [];
const has = (controller: string): boolean => CONTROLLERS.includes(controller);

const NO_V2 = CGROUP_V2 ? undefined : 'needs cgroup v2 only';
const v2Test = unless(NO_V2);
const NO_DELEGATION =
  NO_V2 ?? (/^cgroup2? \S+ cgroup2 \S*nsdelegate/m.test(fs.readFileSync('/proc/mounts', 'utf8')) ? undefined : 'needs the mount option nsdelegate');

function directoryOf(bundle: Bundle): string {
  return join(TOP, bundle.config.linux.cgroupsPath ?? '');
}

/** What files of the cgroup hold; undefined where there is none of the name. */
function held(bundle: Bundle, ...names: string[]): (string | undefined)[] {
  return names.map((name) => {
    const path = join(directoryOf(bundle), name);
    return fs.existsSync(path) ? fs.readFileSync(path, 'utf8').trim() : undefined;
  });
}

async function sleeping(workspace: Workspace, edit: Edit = {}): Promise<{ id: string; bundle: Bundle }> {
  const bundle = workspace.bundle({ process: { args: ['sleep', '1000'] } }).edit(edit);
  return { id: (await workspace.start(bundle)).id, bundle };
}

/** A disk as `major:minor`. */
function disk(): string | undefined {
  const name = fs.readdirSync('/sys/block').find((item) => !/^(loop|ram|zram)/.test(item));
  return name && fs.readFileSync(`/sys/block/${name}/dev`, 'utf8').trim();
}

const MIB = 1048576;

v2Test('limits are in the files of v2', async (t, workspace) => {
  const resources = {
    memory: { limit: 64 * MIB, swap: 96 * MIB, reservation: 32 * MIB },
    cpu: { shares: 512, quota: 20000, period: 50000, burst: 10000 },
    pids: { limit: 17 },
  };
  const { id, bundle } = await sleeping(workspace, { linux: { resources } });
  t.deepEqual(held(bundle, 'memory.max', 'memory.swap.max', 'memory.low', 'cpu.weight', 'cpu.max', 'cpu.max.burst', 'pids.max'), [
    `${64 * MIB}`,
    `${32 * MIB}`,
    `${32 * MIB}`,
    '59',
    '20000 50000',
    '10000',
    '17',
  ]);
  await workspace.succeed(['update', '--memory', '-1', '--cpu-quota', '-1', '--cpu-burst', '0', '--pids-limit', '-1', '--cpu-share', '2', id]);
  t.deepEqual(held(bundle, 'memory.max', 'memory.swap.max', 'cpu.weight', 'cpu.max', 'cpu.max.burst', 'pids.max'), [
    'max',
    'max',
    '1',
    'max 50000',
    '0',
    'max',
  ]);
  await workspace.succeed(['update', '--cpu-idle', '1', id]);
  t.deepEqual(held(bundle, 'cpu.idle'), ['1']);
  await workspace.succeed(['update', '--cpu-idle', '0', '--cpu-share', '262144', id]);
  t.deepEqual(held(bundle, 'cpu.idle', 'cpu.weight'), ['0', '10000']);
  await workspace.remove(id);
});

v2Test('a limit of tasks that leaves no room to be born into', async (t, workspace) => {
  const holder = await sleeping(workspace);
  const { pid } = await workspace.state(holder.id);
  const two: Edit = (config) => {
    config.linux.namespaces = [...config.linux.namespaces.filter(({ type }) => type !== 'pid'), { type: 'pid', path: `/proc/${pid}/ns/pid` }];
  };
  for (const limit of [0, 1]) {
    for (const stages of [{}, two]) {
      const bundle = workspace.bundle({ process: { args: ['cat', '/sys/fs/cgroup/pids.max'] }, linux: { resources: { pids: { limit } } } });
      const { stdout } = await workspace.succeed(['run', '--bundle', bundle.edit(stages).directory, workspace.id()]);
      t.is(stdout, `${limit}\n`);
    }
  }
  await workspace.remove(holder.id);
});

v2Test('block I/O, huge pages, CPUs, and files by their names', async (t, workspace) => {
  const device = disk();
  const [major, minor] = (device ?? '').split(':').map(Number);
  const rate = (value: number) => [{ major, minor, rate: value }];
  const blockIO = {
    throttleReadBpsDevice: rate(1000000),
    throttleWriteBpsDevice: rate(2000000),
    throttleReadIOPSDevice: rate(300),
    throttleWriteIOPSDevice: rate(400),
  };
  const resources = {
    ...(device !== undefined && has('io') && { blockIO }),
    ...(has('hugetlb') && { hugepageLimits: [{ pageSize: '2MB', limit: 4 * MIB }] }),
    ...(has('cpuset') && { cpu: { cpus: '0', mems: '0' } }),
    unified: { 'memory.high': `${48 * MIB}`, 'memory.oom.group': '1', 'cgroup.max.depth': '3' },
  };
  const { id, bundle } = await sleeping(workspace, { linux: { resources } });
  t.deepEqual(held(bundle, 'memory.high', 'memory.oom.group', 'cgroup.max.depth'), [`${48 * MIB}`, '1', '3']);
  if (device !== undefined) {
    t.deepEqual(held(bundle, 'io.max'), [`${device} rbps=1000000 wbps=2000000 riops=300 wiops=400`]);
    await workspace.succeed(['update', '-r', '-', id], { stdin: toJson({ blockIO: { throttleReadBpsDevice: rate(0) } }) });
    t.deepEqual(held(bundle, 'io.max'), [`${device} rbps=max wbps=2000000 riops=300 wiops=400`]);
  }
  if (has('hugetlb')) t.deepEqual(held(bundle, 'hugetlb.2MB.max', 'hugetlb.2MB.rsvd.max'), [`${4 * MIB}`, `${4 * MIB}`]);
  if (has('cpuset')) t.deepEqual(held(bundle, 'cpuset.cpus', 'cpuset.cpus.effective', 'cpuset.mems'), ['0', '0', '0']);
  await workspace.remove(id);
});

v2Test('a weight of block I/O goes where the kernel has one, or is said to be impossible', async (t, workspace) => {
  const bundle = workspace.bundle({ linux: { resources: { blockIO: { weight: 505 } } } });
  const result = await workspace.strata(['create', '--bundle', bundle.directory, 'weight']);
  if (result.code !== 0) return failed(t, result, '/linux/resources/blockIO/weight');
  const [bfq, other] = held(bundle, 'io.bfq.weight', 'io.weight');
  t.is(bfq ?? other, bfq === undefined ? 'default 5000' : 'default 505');
  await workspace.remove('weight');
});

v2Test('a controller that is not there, and what v2 has no counterpart for', async (t, workspace) => {
  const missing: [object, string][] = [
    [{ memory: { kernel: MIB } }, '/linux/resources/memory/kernel'],
    [{ memory: { swappiness: 10 } }, '/linux/resources/memory/swappiness'],
    [{ memory: { disableOOMKiller: true } }, '/linux/resources/memory/disableOOMKiller'],
    [{ memory: { swap: MIB } }, '/linux/resources/memory/swap'],
    [{ cpu: { realtimeRuntime: 1000 } }, '/linux/resources/cpu/realtimeRuntime'],
    [{ network: { classID: 5 } }, '/linux/resources/network/classID'],
    // With the controller it is the kernel that knows of no such device.
    [{ rdma: { nothing0: { hcaHandles: 3 } } }, '/linux/resources/rdma/nothing0'],
    [{ unified: { 'nothing.max': '1' } }, '/linux/resources/unified/nothing.max'],
    [{ unified: { 'memory.nothing': '1' } }, '/linux/resources/unified/memory.nothing'],
  ];
  if (!has('cpuset'))
    missing.push(
      [{ cpu: { cpus: '0' } }, '/linux/resources/cpu/cpus'],
      [{ unified: { 'cpuset.cpus': '0' } }, '/linux/resources/unified/cpuset.cpus'],
    );
  if (!has('hugetlb')) missing.push([{ hugepageLimits: [{ pageSize: '2MB', limit: 0 }] }, '/linux/resources/hugepageLimits/0']);
  for (const [resources, pointer] of missing) failed(t, await workspace.run(workspace.bundle({ linux: { resources } })), pointer);
});

v2Test('controllers are handed down the path, and given up with it', async (t, workspace) => {
  const bundle = workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/a/b/c` } });
  const { id } = await workspace.create(bundle);
  for (const above of ['', '/a', '/a/b']) {
    t.deepEqual(
      fs
        .readFileSync(join(TOP, workspace.token, above, 'cgroup.subtree_control'), 'utf8')
        .trim()
        .split(' ')
        .sort(),
      [...CONTROLLERS].sort(),
    );
  }
  t.deepEqual(held(bundle, 'cgroup.subtree_control', 'cgroup.type'), ['', 'domain']);
  await workspace.remove(id);
  t.false(fs.existsSync(join(TOP, workspace.token)));
});

v2Test('a parent with processes of its own, and one that is threaded', async (t, workspace) => {
  const parent = join(TOP, workspace.token);
  fs.mkdirSync(parent);
  const helper = workspace.helper(['sleep', '1000']);
  fs.writeFileSync(join(parent, 'cgroup.procs'), `${helper.pid}`);
  const inner = (resources: object) => workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/inner`, resources } });
  failed(t, await workspace.run(inner({ pids: { limit: 5 } })), '/linux/cgroupsPath', 'device or resource busy', 'has processes of its own');
  t.false(fs.existsSync(join(parent, 'inner')));
  // What is not limited needs no controller.
  t.is((await workspace.run(inner({}))).code, 0);
  t.false(fs.existsSync(join(parent, 'inner')));
  await workspace.endHelpers();

  fs.mkdirSync(join(parent, 'threads'));
  fs.writeFileSync(join(parent, 'threads/cgroup.type'), 'threaded');
  const threaded = (resources: object) => workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/threads/inner`, resources } });
  failed(t, await workspace.run(threaded({ memory: { limit: 64 * MIB } })), '/linux/cgroupsPath', /threaded/);
  failed(t, await workspace.run(threaded({})), /threaded/);
  const sibling = workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/sibling` } });
  failed(t, await workspace.run(sibling), /threaded|domain invalid/);
  fs.rmdirSync(join(parent, 'threads'));
  await eventually('the parent to be free', () => {
    fs.rmdirSync(parent);
    return true;
  });
});

unless(NO_DELEGATION)('a container that may write to its cgroup cannot lift its own limits', async (t, workspace) => {
  const script =
    'echo max >/sys/fs/cgroup/pids.max; mkdir /sys/fs/cgroup/in && echo $$ >/sys/fs/cgroup/in/cgroup.procs && cat /proc/self/cgroup /sys/fs/cgroup/pids.max';
  const bundle = workspace.script(script, (config) => {
    withNamespace(config, 'cgroup');
    config.linux.resources['pids'] = { limit: 21 };
    config.mounts = config.mounts.filter(({ destination }) => destination !== '/sys/fs/cgroup');
    config.mounts.push({ destination: '/sys/fs/cgroup', type: 'cgroup2', source: 'cgroup', options: ['rw', 'nosuid'] });
  });
  const { stdout, stderr } = await workspace.run(bundle);
  t.is(stdout, '0::/in\n21\n');
  t.regex(stderr, /pids\.max: Operation not permitted|write error: Operation not permitted/);
});

v2Test('SIGKILL reaches also what is just being forked', async (_, workspace) => {
  const script = 'bomb() { while :; do sleep 1000 & done; }; for i in 1 2 3; do bomb & done; wait';
  const bundle = workspace.script(script, (config) => {
    withoutNamespaces(config, 'pid');
    config.linux.resources['pids'] = { limit: 100 };
  });
  const { id } = await workspace.start(bundle);
  await eventually('processes', () => Number(held(bundle, 'pids.current')[0]) > 50);
  await workspace.succeed(['kill', '--all', id, 'KILL']);
  await eventually('all to be gone', () => held(bundle, 'pids.current')[0] === '0');
  await workspace.remove(id);
});

v2Test('a frozen container is killed, with cgroups of its own below', async (t, workspace) => {
  const { id, bundle } = await sleeping(workspace);
  fs.mkdirSync(join(directoryOf(bundle), 'below/deeper'), { recursive: true });
  const helper = workspace.helper(['sleep', '1000']);
  fs.writeFileSync(join(directoryOf(bundle), 'below/deeper/cgroup.procs'), `${helper.pid}`);
  await workspace.succeed(['pause', id]);
  t.regex(held(bundle, 'cgroup.events')[0] ?? '', /frozen 1/);
  await workspace.remove(id);
  t.false(fs.existsSync(directoryOf(bundle)));
});

v2Test('with memory.oom.group all are killed together; events tell of it', async (t, workspace) => {
  const limits = { memory: { limit: 16 * MIB, swap: 16 * MIB }, unified: { 'memory.oom.group': '1' } };
  const bundle = workspace.script('sleep 1000 & tail /dev/zero; echo survived', { linux: { resources: limits } });
  const { id, stdout } = await workspace.create(bundle);
  const watching = workspace.spawn(['events', '--interval', '20ms', id]);
  await eventually('the first statistics', () => watching.stdout().includes('\n'));
  await workspace.succeed(['start', id]);
  t.is((await watching.result).code, 0);
  t.regex(watching.stdout(), /^\{"type":"oom"/m);
  t.is(stdout(), '');
  await workspace.reach(id, 'stopped');
  await workspace.remove(id);
});

v2Test('statistics have pressure where the kernel measures it', async (t, workspace) => {
  const { id } = await sleeping(workspace);
  const { data } = JSON.parse((await workspace.succeed(['events', '--stats', id])).stdout);
  const measured = fs.existsSync('/proc/pressure/cpu');
  for (const part of [data.cpu, data.memory, data.blkio]) t.is(typeof part.psi?.some?.total === 'number', measured);
  await workspace.remove(id);
});

v2Test('rules for devices: the last that matches decides, and update replaces them all', async (t, workspace) => {
  // One that the default rules do not name, and that can be opened without a capability.
  const control = { type: 'c', path: '/dev/loop-control', major: 10, minor: 237, fileMode: 0o666 };
  const rule = (allow: boolean, more: object = {}) => ({ allow, access: 'rwm', ...more });
  const one = { type: 'c', major: 10, minor: 237 };
  const { id } = await sleeping(workspace, {
    linux: { devices: [control], resources: { devices: [rule(false), rule(true, { type: 'c', major: 10 })] } },
  });
  const opens = async (mode = '<') => (await workspace.strata(['exec', id, 'sh', '-c', `: ${mode}/dev/loop-control && : </dev/zero`])).code === 0;
  t.true(await opens());
  const update = (...devices: object[]) => workspace.succeed(['update', '-r', '-', id], { stdin: toJson({ devices }) });
  await update(rule(true), rule(false, one));
  t.false(await opens());
  await update(rule(false), rule(true, { ...one, access: 'r' }));
  t.deepEqual([await opens('<'), await opens('>')], [true, false]);
  await update(rule(false));
  t.false(await opens());
  const many = Array.from({ length: 5000 }, (_, minor) => rule(minor % 2 === 0, { type: 'c', major: 1000 + (minor % 3), minor }));
  await update(...many, rule(true, one));
  t.true(await opens());
  const more = Array.from({ length: 9000 }, (_, minor) => rule(true, { type: 'b', major: 1000, minor }));
  failed(
    t,
    await workspace.strata(['update', '-r', '-', id], { stdin: toJson({ devices: more }) }),
    '/devices',
    'the kernel takes some thousands of rules',
  );
  t.true(await opens());
  // As often as anyone likes: the kernel attaches 64 programs at most.
  for (let round = 0; round < 70; round++) await update(rule(true));
  t.true(await opens());
  await workspace.remove(id);
});

const PEERS = ['/usr/bin/crun', '/usr/sbin/runc'].filter((path) => fs.existsSync(path));
const NO_PEERS = NO_V2 ?? (PEERS.length > 0 ? undefined : 'needs crun or runc');
const COMPARED = [
  'memory.max',
  'memory.swap.max',
  'memory.low',
  'memory.high',
  'cpu.max',
  'pids.max',
  'io.max',
  'cpuset.cpus',
  'cpuset.mems',
  'hugetlb.2MB.max',
];

unless(NO_PEERS)('the files hold what crun and runc write for the same resources', async (t, workspace) => {
  const cases: object[] = [
    {},
    { memory: { limit: 64 * MIB } },
    { memory: { limit: 64 * MIB, swap: 64 * MIB, reservation: 16 * MIB } },
    { memory: { limit: 64 * MIB, swap: -1 } },
    { memory: { limit: -1, swap: -1 } },
    { cpu: { quota: 50000 } },
    { cpu: { quota: 50000, period: 200000 } },
    { cpu: { quota: -1, period: 50000 } },
    { pids: { limit: 20 }, unified: { 'memory.high': '1000000000' } },
    { pids: { limit: -1 } },
    ...(has('cpuset') ? [{ cpu: { cpus: '0-1', mems: '0' } }] : []),
  ];
  for (const resources of cases) {
    const bundle = workspace.bundle({ ociVersion: '1.0.2', linux: { resources } });
    const { id } = await workspace.create(bundle);
    const ours = held(bundle, ...COMPARED);
    await workspace.remove(id);
    for (const peer of PEERS) {
      const root = workspace.path('peer');
      const as = (...args: string[]) => spawnSync(peer, ['--root', root, ...args], { stdio: 'ignore' }).status;
      t.is(as('create', '--bundle', bundle.directory, 'peer'), 0, `${peer} ${toJson(resources)}`);
      const theirs = held(bundle, ...COMPARED);
      as('delete', '--force', 'peer');
      t.deepEqual(theirs, ours, `${peer} ${toJson(resources)}`);
    }
  }
  // The peers leave the cgroup above the container's.
  if (fs.existsSync(join(TOP, workspace.token))) fs.rmdirSync(join(TOP, workspace.token));
});
