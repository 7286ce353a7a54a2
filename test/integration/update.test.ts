/** `update` on real cgroups: what engines pass, and that a refusal leaves everything as it was. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, toJson, type Workspace } from '../helpers/container.ts';
import { containerTest, failed, unless } from './_support.ts';

const TOP = '/sys/fs/cgroup';

/** The container's cgroup below where its hierarchy is mounted. */
function cgroupOf(bundle: Bundle): string {
  const { cgroupsPath = '' } = bundle.config.linux;
  const [, prefix, name] = cgroupsPath.split(':');
  return name === undefined ? cgroupsPath : `/system.slice/${prefix}-${name}.scope/container`;
}

/** What the cgroup files of a container hold, wherever they are; undefined where there is none of the name. */
function limits(bundle: Bundle, ...names: string[]): (string | undefined)[] {
  const places = fs.readdirSync(TOP).map((name) => join(TOP, name));
  return names.map((name) => {
    const file = [TOP, ...places].map((place) => join(place, cgroupOf(bundle), name)).find((path) => fs.existsSync(path));
    return file === undefined ? undefined : fs.readFileSync(file, 'utf8').trim();
  });
}

const V1 = fs.existsSync(`${TOP}/memory/memory.limit_in_bytes`);
const HAS_CPUSET = V1 || fs.readFileSync(`${TOP}/cgroup.controllers`, 'utf8').includes('cpuset');
const FILES = [
  ...(V1
    ? ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', 'cpu.cfs_quota_us', 'cpu.shares', 'pids.max']
    : ['memory.max', 'memory.swap.max', 'cpu.max', 'cpu.weight', 'pids.max']),
  ...(HAS_CPUSET ? ['cpuset.cpus'] : []),
];

/** What {@link FILES} are to hold, on v1 and on v2; the CPUs are always the first one. */
function expected(v1: readonly string[], v2: readonly string[]): string[] {
  return [...(V1 ? v1 : v2), ...(HAS_CPUSET ? ['0'] : [])];
}

async function sleeping(workspace: Workspace): Promise<{ id: string; bundle: Bundle }> {
  const bundle = workspace.bundle({ process: { args: ['sleep', '1000'] } });
  return { id: (await workspace.start(bundle)).id, bundle };
}

containerTest('update by flags and from standard input, up and down again', async (t, workspace) => {
  const { id, bundle } = await sleeping(workspace);
  const flags = [
    '--memory',
    '64m',
    '--memory-swap',
    '128M',
    '--cpu-quota',
    '50000',
    '--cpu-share',
    '512',
    '--pids-limit',
    '50',
    ...(HAS_CPUSET ? ['--cpuset-cpus', '0'] : []),
  ];
  await workspace.succeed(['update', ...flags, id]);
  t.deepEqual(
    limits(bundle, ...FILES),
    expected(['67108864', '134217728', '50000', '512', '50'], ['67108864', '67108864', '50000 100000', '59', '50']),
  );

  await workspace.succeed(['update', '--resources', '-', id], {
    stdin: '{"memory": {"limit": 1073741824, "swap": 2147483648}, "cpu": {"shares": 0}}',
  });
  t.deepEqual(
    limits(bundle, ...FILES),
    expected(['1073741824', '2147483648', '50000', '512', '50'], ['1073741824', '1073741824', '50000 100000', '59', '50']),
  );

  // What podman and containerd hand over: everything, in a file.
  const resources = {
    devices: [{ allow: false, access: 'rwm' }],
    memory: { limit: 33554432n, swap: 33554432n, kernel: 0, disableOOMKiller: false },
    cpu: { shares: 1024, quota: -1, period: 100000, cpus: '', mems: '' },
    pids: { limit: -1 },
    blockIO: { weight: 0 },
  };
  const file = workspace.path('resources');
  fs.writeFileSync(file, toJson(resources));
  await workspace.succeed(['update', `--resources=${file}`, id]);
  t.deepEqual(limits(bundle, ...FILES), expected(['33554432', '33554432', '-1', '1024', 'max'], ['33554432', '0', 'max 100000', '100', 'max']));

  await workspace.succeed(['update', '--memory', '-1', id]);
  const none = V1 ? '9223372036854771712' : 'max';
  t.deepEqual(limits(bundle, ...FILES).slice(0, 2), [none, none]);
  await workspace.remove(id);
});

containerTest('a value that the kernel refuses changes nothing and is named', async (t, workspace) => {
  const { id, bundle } = await sleeping(workspace);
  const before = limits(bundle, ...FILES);
  const impossible = HAS_CPUSET ? { cpu: { quota: 70000, cpus: '4000' } } : { cpu: { quota: 70000 }, unified: { 'memory.high': 'nothing' } };
  const refused = await workspace.strata(['update', '-r', '-', id], { stdin: toJson({ ...impossible, pids: { limit: 9 } }) });
  failed(t, refused, ...(HAS_CPUSET ? ['resources /cpu/cpus: ', 'cpuset.cpus'] : ['resources /unified/memory.high: ', 'invalid argument']));
  t.deepEqual(limits(bundle, ...FILES), before);
  if (V1) {
    failed(
      t,
      await workspace.strata(['update', '--pids-limit', '9', '--memory', '4096', id]),
      '/memory/limit',
      'device or resource busy',
      'the container uses',
    );
    t.deepEqual(limits(bundle, ...FILES), before);
  }
  failed(t, await workspace.strata(['update', '-r', '-', id], { stdin: '{"memory":' }), 'resources (document)', 'not valid JSON');
  failed(t, await workspace.strata(['update', '-r', '-', '--memory', '1g', id], { stdin: '{}' }), '--resources cannot be combined');
  failed(t, await workspace.strata(['update', '--memory', '1x', id]), '--memory', 'such as 64m');
  await workspace.remove(id);
});

containerTest('a created and a paused container can be updated, a stopped one cannot', async (t, workspace) => {
  const bundle = workspace.bundle({ process: { args: ['sleep', '1000'] } });
  const { id } = await workspace.create(bundle);
  await workspace.succeed(['update', '--pids-limit', '41', id]);
  t.deepEqual(limits(bundle, 'pids.max'), ['41']);
  await workspace.succeed(['start', id]);
  await workspace.succeed(['pause', id]);
  await workspace.succeed(['update', '--pids-limit', '42', id]);
  t.deepEqual(limits(bundle, 'pids.max'), ['42']);
  await workspace.succeed(['resume', id]);
  await workspace.succeed(['kill', id, '9']);
  await workspace.reach(id, 'stopped');
  failed(t, await workspace.strata(['update', '--pids-limit', '43', id]), 'container not running');
  await workspace.remove(id);
  failed(t, await workspace.strata(['update', '--pids-limit', '43', id]), 'container does not exist');
});

containerTest('huge pages, and limits of single devices, which are set back one by one', async (t, workspace) => {
  const { id, bundle } = await sleeping(workspace);
  const huge = fs.existsSync('/sys/kernel/mm/hugepages/hugepages-2048kB');
  const resources = { hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }] };
  const result = await workspace.strata(['update', '-r', '-', id], { stdin: toJson(resources) });
  if (huge && result.code === 0) t.true(limits(bundle, 'hugetlb.2MB.rsvd.limit_in_bytes', 'hugetlb.2MB.rsvd.max').includes('4194304'));
  else failed(t, result, '/hugepageLimits/0');
  const disk = /^ +(\d+) +(\d+) +\d+ (?!ram|loop|zram)/m.exec(fs.readFileSync('/proc/partitions', 'utf8'));
  if (V1 && disk !== null) {
    const device = `${disk[1]}:${disk[2]}`;
    const throttle = (rate: number, major = 4095) => ({
      blockIO: {
        throttleReadBpsDevice: [{ major: Number(disk[1]), minor: Number(disk[2]), rate }],
        throttleWriteIOPSDevice: rate === 0 ? [] : [{ major, minor: 9, rate: 5 }],
      },
    });
    failed(t, await workspace.strata(['update', '-r', '-', id], { stdin: toJson(throttle(1048576)) }), '/blockIO/throttleWriteIOPSDevice/0');
    t.deepEqual(limits(bundle, 'blkio.throttle.read_bps_device'), ['']);
    const one = { blockIO: { throttleReadBpsDevice: [{ major: Number(disk[1]), minor: Number(disk[2]), rate: 1048576 }] } };
    await workspace.succeed(['update', '-r', '-', id], { stdin: toJson(one) });
    t.deepEqual(limits(bundle, 'blkio.throttle.read_bps_device'), [`${device} 1048576`]);
    await workspace.succeed(['update', '-r', '-', id], { stdin: toJson(throttle(0)) });
    t.deepEqual(limits(bundle, 'blkio.throttle.read_bps_device'), ['']);
  }
  await workspace.remove(id);
});

/** Does a v2 hierarchy beside v1 hold a controller? crun refuses such a machine. */
const MIXED = fs.existsSync(join(TOP, 'unified')) && fs.readFileSync(join(TOP, 'unified/cgroup.controllers'), 'utf8').trim() !== '';
/** Where crun and runc are installed: what they write is what engines know. */
const PEERS = [...(MIXED ? [] : ['/usr/bin/crun']), '/usr/sbin/runc'].filter((path) => fs.existsSync(path));
const NO_PEERS = V1 && PEERS.length > 0 ? undefined : 'needs cgroup v1, and crun or runc';
const COMPARED = [
  ...['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', 'memory.soft_limit_in_bytes', 'memory.swappiness'],
  ...['cpu.shares', 'cpu.cfs_quota_us', 'cpu.cfs_period_us', 'cpuset.cpus', 'cpuset.mems', 'pids.max', 'hugetlb.2MB.limit_in_bytes'],
];
const MIB = 1048576;
const STEPS: readonly [created: Record<string, unknown>, updated: Record<string, unknown>][] = [
  [{}, { memory: { limit: 64 * MIB }, pids: { limit: 20 } }],
  [{ memory: { limit: 64 * MIB, swap: 128 * MIB, reservation: 32 * MIB, swappiness: 10 } }, { memory: { limit: 256 * MIB, swap: 512 * MIB } }],
  [{ memory: { limit: 64 * MIB, swap: 128 * MIB } }, { memory: { limit: 32 * MIB, swap: 32 * MIB } }],
  [{ memory: { limit: 64 * MIB } }, { memory: { swap: 256 * MIB } }],
  [{ cpu: { shares: 512, quota: 50000, period: 200000, cpus: '0', mems: '0' } }, { cpu: { period: 50000 } }],
  [{ cpu: { quota: 50000, period: 100000 } }, { cpu: { quota: 500000, period: 1000000 } }],
  [{ pids: { limit: 20 } }, { cpu: { shares: 100 }, devices: [{ allow: true, access: 'rwm' }] }],
  [{ hugepageLimits: [{ pageSize: '2MB', limit: 4 * MIB }] }, { cpu: { shares: 300 } }],
];

unless(NO_PEERS)('the files hold what crun and runc write for the same resources', async (t, workspace) => {
  for (const [created, updated] of STEPS) {
    if (created['hugepageLimits'] !== undefined && !fs.existsSync(join(TOP, 'hugetlb/cgroup.procs'))) continue;
    const bundle = workspace.bundle({ ociVersion: '1.0.2', linux: { resources: created } });
    const file = workspace.path('resources');
    fs.writeFileSync(file, JSON.stringify(updated));
    const { id } = await workspace.create(bundle);
    await workspace.succeed(['update', '--resources', file, id]);
    const ours = limits(bundle, ...COMPARED);
    await workspace.remove(id);
    for (const peer of PEERS) {
      const name = workspace.id('peer');
      const root = workspace.path('peer');
      // Into a file: a container that was created would keep a pipe open.
      const complaints = workspace.path('complaints');
      const as = (args: readonly string[]): string => {
        const output = fs.openSync(complaints, 'w');
        const { status } = spawnSync(peer, ['--root', root, ...args], { stdio: ['ignore', 'ignore', output] });
        fs.closeSync(output);
        return status === 0 ? '' : fs.readFileSync(complaints, 'utf8');
      };
      t.is(as(['create', '--bundle', bundle.directory, name]), '');
      const answer = as(['update', '--resources', file, name]);
      const theirs = limits(bundle, ...COMPARED);
      as(['delete', '--force', name]);
      t.is(answer, '', peer);
      t.deepEqual(theirs, ours, `${peer} ${JSON.stringify([created, updated])}`);
    }
  }
  // The peers leave the cgroups above the container's.
  for (const name of fs.readdirSync(TOP)) if (fs.existsSync(join(TOP, name, workspace.token))) fs.rmdirSync(join(TOP, name, workspace.token));
});
