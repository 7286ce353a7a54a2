/** config-linux.md, Control groups: where the cgroups are, and what their files hold while the container runs. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, eventually, type Workspace, withNamespace, withoutNamespaces, withUserNamespace } from '../../helpers/container.ts';
import { containerTest, failed, mountTable, unless } from '../_support.ts';

/** Mount points of the hierarchies, by controller; `unified` and `name=systemd` among them. */
function hierarchies(): Record<string, string> {
  const out: Record<string, string> = {};
  for (const line of fs.readFileSync('/proc/self/cgroup', 'utf8').trimEnd().split('\n')) {
    const [, names = ''] = line.split(':');
    const directory = names === '' ? (fs.existsSync('/sys/fs/cgroup/unified') ? 'unified' : '') : names.replace('name=', '');
    if (fs.existsSync(join('/sys/fs/cgroup', directory)))
      for (const name of (names || 'unified').split(',')) out[name] = join('/sys/fs/cgroup', directory);
  }
  return out;
}
const HIERARCHIES = hierarchies();

/** Creates the container, hands out what its cgroup files hold, and removes it. A file is named `controller: file`. */
async function filesOf(workspace: Workspace, bundle: Bundle, names: readonly string[]): Promise<Record<string, string | undefined>> {
  const { id } = await workspace.create(bundle);
  const out = Object.fromEntries(
    names.map((name) => {
      const [controller = '', file = ''] = name.split(': ');
      const path = join(HIERARCHIES[controller] ?? '/none', bundle.config.linux.cgroupsPath ?? '', file);
      return [name, fs.existsSync(path) ? fs.readFileSync(path, 'utf8').trim() : undefined];
    }),
  );
  await workspace.remove(id);
  return out;
}

function has(controller: string): boolean {
  return HIERARCHIES[controller] !== undefined;
}

/** Declares a test that needs a hierarchy with this controller. */
function withController(controller: string): typeof containerTest {
  return unless(has(controller) ? undefined : `needs cgroup v1 with ${controller}`);
}
const onV2 = unless(has('unified') ? undefined : 'needs cgroup v2');

containerTest('the process is in its cgroup in every hierarchy, wherever that is', async (t, workspace) => {
  const paths: [asked: string | undefined, found: (id: string) => string][] = [
    [`/${workspace.token}/absolute`, () => `/${workspace.token}/absolute`],
    [`${workspace.token}/relative/deeper/`, () => `/${workspace.token}/relative/deeper`],
    [undefined, (id) => `/strata-${id}`],
    ['', (id) => `/strata-${id}`],
  ];
  for (const [asked, found] of paths) {
    const { id } = await workspace.create(workspace.bundle({ linux: { cgroupsPath: asked } }));
    const { pid } = await workspace.state(id);
    const places = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').trimEnd().split('\n');
    for (const line of places) t.is(line.split(':')[2], found(id), line);
    t.true(workspace.cgroups(found(id)).length >= Object.values(HIERARCHIES).length - 1);
    await workspace.remove(id);
    t.deepEqual(workspace.cgroups(found(id)), []);
  }
  for (const wrong of ['/', '/../..', `/${workspace.token}/../../etc`]) {
    failed(t, await workspace.run(workspace.bundle({ linux: { cgroupsPath: wrong } })), '/linux/cgroupsPath');
  }
});

containerTest('parents that were there stay, and a cgroup that is in use is left alone', async (t, workspace) => {
  const parents = [...new Set(Object.values(HIERARCHIES))].map((directory) => join(directory, workspace.token));
  for (const parent of parents) fs.mkdirSync(parent);
  await workspace.shell('true', { linux: { cgroupsPath: `/${workspace.token}/a/b` } });
  for (const parent of parents) {
    t.true(fs.existsSync(parent));
    t.false(fs.existsSync(join(parent, 'a')));
  }

  // Somebody else's process is there: neither is it killed nor is the cgroup removed.
  const helper = workspace.helper(['sleep', '1000']);
  const busy = join(HIERARCHIES.pids ?? HIERARCHIES.unified ?? '', workspace.token, 'busy');
  fs.mkdirSync(busy);
  fs.writeFileSync(join(busy, 'cgroup.procs'), `${helper.pid}`);
  failed(t, await workspace.run(workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/busy` } })), '/linux/cgroupsPath', 'not empty');
  t.is(helper.exitCode, null);
  t.is(helper.signalCode, null);
  t.is(fs.readFileSync(join(busy, 'cgroup.procs'), 'utf8'), `${helper.pid}\n`);
  await workspace.endHelpers();
  await eventually('the cgroup to be empty', () => fs.readFileSync(join(busy, 'cgroup.procs'), 'utf8') === '');

  // So is another container's.
  const { id } = await workspace.create(workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/shared` } }));
  failed(t, await workspace.run(workspace.bundle({ linux: { cgroupsPath: `/${workspace.token}/shared` } })), '/linux/cgroupsPath');
  t.is((await workspace.state(id)).status, 'created');
  await workspace.remove(id);
  fs.rmdirSync(busy);
  for (const parent of parents) fs.rmdirSync(parent);
});

withController('memory')('memory, exact beyond 2^53', async (t, workspace) => {
  const set = await filesOf(
    workspace,
    workspace.bundle({
      linux: {
        resources: { memory: { limit: 67108864, reservation: 33554432, swap: 134217728, swappiness: 17, kernelTCP: 16777216, useHierarchy: true } },
      },
    }),
    ['limit_in_bytes', 'soft_limit_in_bytes', 'memsw.limit_in_bytes', 'swappiness', 'kmem.tcp.limit_in_bytes'].map(
      (name) => `memory: memory.${name}`,
    ),
  );
  t.deepEqual(Object.values(set).slice(0, 5), [
    '67108864',
    '33554432',
    fs.existsSync(`${HIERARCHIES.memory}/memory.memsw.limit_in_bytes`) ? '134217728' : undefined,
    '17',
    '16777216',
  ]);

  const large = 9223372036854771712n;
  for (const [limit, shown] of [
    [large, large],
    [-1, large],
    [9007199254740993n, 9007199254740992n],
  ] as const) {
    const { 'memory: memory.limit_in_bytes': found } = await filesOf(workspace, workspace.bundle({ linux: { resources: { memory: { limit } } } }), [
      'memory: memory.limit_in_bytes',
    ]);
    t.is(found, `${shown}`);
  }
  // To the nearest double this would be rounded up into the next page.
  const exact = await filesOf(workspace, workspace.bundle({ linux: { resources: { memory: { limit: 4611686018427391999n } } } }), [
    'memory: memory.limit_in_bytes',
  ]);
  t.is(exact['memory: memory.limit_in_bytes'], '4611686018427387904');
});

withController('memory')('disableOOMKiller is done, or said to be impossible', async (t, workspace) => {
  const bundle = workspace.bundle({ linux: { resources: { memory: { disableOOMKiller: true } } } });
  const result = await workspace.strata(['create', '--bundle', bundle.directory, 'probe']);
  if (result.code === 0) {
    t.regex(
      fs.readFileSync(join(HIERARCHIES.memory ?? '', bundle.config.linux.cgroupsPath ?? '', 'memory.oom_control'), 'utf8'),
      /oom_kill_disable 1/,
    );
    await workspace.remove('probe');
  } else failed(t, result, '/linux/resources/memory/disableOOMKiller');
});

withController('memory')('a memory limit is in force', async (t, workspace) => {
  const { code } = await workspace.run(
    workspace.bundle({ process: { args: ['tail', '/dev/zero'] }, linux: { resources: { memory: { limit: 16777216, swap: 16777216 } } } }),
  );
  t.is(code, 137);
});

withController('cpu')('cpu and cpuset', async (t, workspace) => {
  const names = [
    'cpu: cpu.shares',
    'cpu: cpu.cfs_quota_us',
    'cpu: cpu.cfs_period_us',
    'cpu: cpu.cfs_burst_us',
    'cpuset: cpuset.cpus',
    'cpuset: cpuset.mems',
  ];
  const set = await filesOf(
    workspace,
    workspace.bundle({ linux: { resources: { cpu: { shares: 512, quota: 20000, period: 50000, burst: 10000, cpus: '0', mems: '0' } } } }),
    names,
  );
  t.deepEqual(Object.values(set), ['512', '20000', '50000', '10000', '0', '0']);
  // Without them the container may use what its parent may.
  const unset = await filesOf(workspace, workspace.bundle(), names);
  t.is(unset['cpuset: cpuset.cpus'], fs.readFileSync(`${HIERARCHIES.cpuset}/cpuset.cpus`, 'utf8').trim());
  t.is(unset['cpu: cpu.shares'], '1024');
  if (fs.existsSync(`${HIERARCHIES.cpu}/cpu.idle`)) {
    t.is((await filesOf(workspace, workspace.bundle({ linux: { resources: { cpu: { idle: 1 } } } }), ['cpu: cpu.idle']))['cpu: cpu.idle'], '1');
  }
  t.is(await workspace.shell('nproc', { linux: { resources: { cpu: { cpus: '0' } } } }), '1');
  for (const [cpu, pointer] of [
    [{ cpus: '4095' }, '/linux/resources/cpu/cpus'],
    [{ mems: 'x' }, '/linux/resources/cpu/mems'],
    [{ period: 1 }, '/linux/resources/cpu/period'],
    [{ quota: 10000, burst: 20000 }, '/linux/resources/cpu/burst'],
  ] as const) {
    failed(t, await workspace.run(workspace.bundle({ linux: { resources: { cpu } } })), pointer);
  }
});

withController('pids')('pids', async (t, workspace) => {
  const limit = async (value: number) =>
    (await filesOf(workspace, workspace.bundle({ linux: { resources: { pids: { limit: value } } } }), ['pids: pids.max']))['pids: pids.max'];
  t.is(await limit(17), '17');
  t.is(await limit(-1), 'max');
  const { stdout, stderr } = await workspace.run(
    workspace.script('echo begin; for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo unreached', {
      linux: { resources: { pids: { limit: 5 } } },
    }),
  );
  t.is(stdout, 'begin\n');
  t.regex(stderr, /can't fork|Resource temporarily unavailable/);
});

unless(has('hugetlb') || has('blkio') ? undefined : 'needs cgroup v1 with hugetlb or blkio')('hugetlb and block I/O', async (t, workspace) => {
  if (has('hugetlb') && fs.existsSync(`${HIERARCHIES.hugetlb}/hugetlb.2MB.limit_in_bytes`)) {
    const files = ['hugetlb.2MB.limit_in_bytes', 'hugetlb.2MB.rsvd.limit_in_bytes'].filter((name) => fs.existsSync(`${HIERARCHIES.hugetlb}/${name}`));
    const resources = { hugepageLimits: [{ pageSize: '2MB', limit: 8388608 }] };
    const set = await filesOf(
      workspace,
      workspace.bundle({ linux: { resources } }),
      files.map((name) => `hugetlb: ${name}`),
    );
    t.deepEqual(new Set(Object.values(set)), new Set(['8388608']));
    failed(
      t,
      await workspace.run(workspace.bundle({ linux: { resources: { hugepageLimits: [{ pageSize: '3MB', limit: 0 }] } } })),
      '/linux/resources/hugepageLimits/0',
    );
  }
  const [disk] = fs.readdirSync('/sys/block').filter((name) => !/^(loop|ram|zram)/.test(name));
  if (has('blkio') && disk !== undefined) {
    const number = fs.readFileSync(`/sys/block/${disk}/dev`, 'utf8').trim();
    const [major, minor] = number.split(':').map(Number);
    const files = ['read_bps', 'write_bps', 'read_iops', 'write_iops'].map((name) => `blkio: blkio.throttle.${name}_device`);
    const blockIO = {
      throttleReadBpsDevice: [{ major, minor, rate: 5000000000 }],
      throttleWriteBpsDevice: [{ major, minor, rate: 2000000 }],
      throttleReadIOPSDevice: [{ major, minor, rate: 300 }],
      throttleWriteIOPSDevice: [{ major, minor, rate: 400 }],
    };
    const set = await filesOf(workspace, workspace.bundle({ linux: { resources: { blockIO } } }), files);
    t.deepEqual(Object.values(set), [`${number} 5000000000`, `${number} 2000000`, `${number} 300`, `${number} 400`]);

    const weights = workspace.bundle({ linux: { resources: { blockIO: { weight: 321 } } } });
    if (fs.existsSync(`${HIERARCHIES.blkio}/blkio.bfq.weight`)) {
      t.regex((await filesOf(workspace, weights, ['blkio: blkio.bfq.weight']))['blkio: blkio.bfq.weight'] ?? '', /321/);
    }
    failed(
      t,
      await workspace.run(workspace.bundle({ linux: { resources: { blockIO: { leafWeight: 100 } } } })),
      '/linux/resources/blockIO/leafWeight',
    );
  }
  t.pass();
});

containerTest('a limit whose controller is not there is an error', async (t, workspace) => {
  for (const [resources, controller, pointer] of [
    [{ network: { classID: 5 } }, 'net_cls', '/linux/resources/network/classID'],
    [{ network: { priorities: [{ name: 'lo', priority: 1 }] } }, 'net_prio', '/linux/resources/network/priorities/0'],
    [{ rdma: { mlx5_1: { hcaHandles: 3 } } }, 'rdma', '/linux/resources/rdma'],
  ] as const) {
    if (!has(controller)) failed(t, await workspace.run(workspace.bundle({ linux: { resources: { ...(resources as object) } } })), pointer);
  }
  const unified = fs.existsSync('/sys/fs/cgroup/unified/cgroup.controllers')
    ? fs.readFileSync('/sys/fs/cgroup/unified/cgroup.controllers', 'utf8')
    : 'memory';
  if (!unified.includes('memory')) {
    failed(
      t,
      await workspace.run(workspace.bundle({ linux: { resources: { unified: { 'memory.high': '1000000' } } } })),
      '/linux/resources/unified/memory.high',
    );
  }
  if (has('unified')) {
    const file = 'unified: cgroup.max.descendants';
    t.is((await filesOf(workspace, workspace.bundle({ linux: { resources: { unified: { 'cgroup.max.descendants': '5' } } } }), [file]))[file], '5');
    failed(
      t,
      await workspace.run(workspace.bundle({ linux: { resources: { unified: { 'cgroup.no.such.file': '5' } } } })),
      '/linux/resources/unified/cgroup.no.such.file',
    );
  }
});

containerTest("a mount of type cgroup shows the container's own cgroups and nobody else's", async (t, workspace) => {
  const script =
    'cat /proc/self/cgroup; echo; cat /proc/self/mountinfo; echo; ls /sys/fs/cgroup; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/*/cgroup.procs | head -n 3; mkdir /sys/fs/cgroup/pids/x';
  for (const own of [true, false]) {
    const bundle = workspace.script(script, (config) => {
      config.linux.resources.pids = { limit: 99 };
      if (!own) withoutNamespaces(config, 'cgroup');
    });
    const { stdout, stderr } = await workspace.run(bundle);
    const [places = '', table = '', view = ''] = stdout.split('\n\n');
    for (const line of places.split('\n')) t.is(line.split(':')[2], own ? '/' : bundle.config.linux.cgroupsPath);
    const mounts = mountTable(table);
    t.true(mounts['/sys/fs/cgroup']?.options.includes('ro'));
    if (has('pids')) {
      t.true(mounts['/sys/fs/cgroup/pids']?.options.includes('ro'));
      t.regex(view, /^99\n/m);
      t.regex(view, /\n1\n[\s\S]*$/);
      t.regex(stderr, /mkdir: [^\n]*Read-only file system/);
    }
  }
});

onV2('the user of a container with a v2 cgroup to write to can make cgroups in it, and change no limit', async (t, workspace) => {
  const script = 'mkdir /sys/fs/cgroup/inner && echo 0 >/sys/fs/cgroup/inner/cgroup.procs && ls -n /sys/fs/cgroup && sleep 1000';
  const bundle = workspace.script(script, (config) => {
    withUserNamespace(config, 100000);
    withNamespace(config, 'cgroup');
    config.mounts = config.mounts.filter(({ destination }) => destination !== '/sys/fs/cgroup');
    config.mounts.push({ destination: '/sys/fs/cgroup', type: 'cgroup2', source: 'cgroup', options: ['rw', 'nosuid'] });
  });
  bundle.giveTo(100000);
  const { id, stdout } = await workspace.start(bundle);
  await eventually('the list of files', () => stdout().includes('inner'));
  const directory = join(HIERARCHIES['unified'] ?? '', bundle.config.linux.cgroupsPath ?? '');
  const owner = (name: string): number => fs.statSync(join(directory, name)).uid;
  t.deepEqual(['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads', 'cgroup.freeze'].map(owner), [100000, 100000, 100000, 100000, 0]);
  await workspace.remove(id);
  t.false(fs.existsSync(directory));
});
