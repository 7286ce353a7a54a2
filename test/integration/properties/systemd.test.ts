/** `--systemd-cgroup`: scopes that systemd makes, where the machine has systemd and cgroup v2 only. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Bundle, CGROUP_MANAGER, type Edit, eventually, STRATA, toJson, type Workspace } from '../../helpers/container.ts';
import { notifyProgram } from '../../helpers/notify.ts';
import { User } from '../../helpers/user.ts';
import { failed, NO_SYSTEMD, unless } from '../_support.ts';

const TOP = '/sys/fs/cgroup';
const SYSTEMD = '--systemd-cgroup';

function systemdTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>, lacking?: string): void {
  unless(NO_SYSTEMD ?? lacking)(title, async (t, workspace) => {
    await body(t, workspace);
    t.deepEqual(units(workspace), [], 'units are left');
  });
}

function units({ token }: Workspace): string[] {
  return execFileSync('systemctl', ['list-units', '--all', '--plain', '--no-legend', '--type=scope'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(token));
}

/** Properties of a unit, as `systemctl show` writes them. */
function shown(unit: string, ...names: string[]): Record<string, string> {
  const text = execFileSync('systemctl', ['show', unit, ...names.map((name) => `--property=${name}`)], { encoding: 'utf8' });
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

interface Scoped {
  readonly id: string;
  readonly unit: string;
  /** Of the container's cgroup. */
  readonly directory: string;
}

function bundleIn(workspace: Workspace, slice: string, edit: Edit = {}): { bundle: Bundle; unit: string } {
  const bundle = workspace.bundle({ process: { args: ['sleep', '1000'] } }).edit(edit);
  const name = workspace.id('scope').replace('.', '');
  bundle.edit({ linux: { cgroupsPath: `${slice}:${workspace.token}:${name}` } });
  return { bundle, unit: `${workspace.token}-${name}.scope` };
}

async function started(workspace: Workspace, edit: Edit = {}, slice = 'strata-test.slice'): Promise<Scoped> {
  const { bundle, unit } = bundleIn(workspace, slice, edit);
  const id = workspace.id();
  await workspace.succeed([SYSTEMD, 'create', '--bundle', bundle.directory, id]);
  await workspace.succeed(['start', id]);
  const { pid } = await workspace.state(id);
  const place = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().slice('0::'.length);
  return { id, unit, directory: TOP + place };
}

function read(directory: string, file: string): string {
  return fs.readFileSync(`${directory}/${file}`, 'utf8').trim();
}

systemdTest('the limits are properties of the scope, and files of the container', async (t, workspace) => {
  const resources = {
    memory: { limit: 67108864, swap: 134217728, reservation: 33554432 },
    cpu: { shares: 512, quota: 12345, period: 50000, burst: 1000 },
    pids: { limit: 20 },
    unified: { 'memory.high': '60000000', 'cgroup.max.descendants': '5' },
  };
  const { id, unit, directory } = await started(workspace, { linux: { resources }, annotations: { 'org.systemd.property.TimeoutStopSec': '12' } });
  const scope = `${TOP}/strata.slice/strata-test.slice/${unit}`;
  t.is(directory, `${scope}/container`);
  t.deepEqual(
    shown(
      unit,
      'MemoryMax',
      'MemorySwapMax',
      'MemoryLow',
      'MemoryHigh',
      'CPUWeight',
      'CPUQuotaPerSecUSec',
      'CPUQuotaPeriodUSec',
      'TasksMax',
      'Slice',
    ),
    {
      MemoryMax: '67108864',
      MemorySwapMax: '67108864',
      MemoryLow: '33554432',
      MemoryHigh: '60000000',
      CPUWeight: '59',
      CPUQuotaPerSecUSec: '250ms',
      CPUQuotaPeriodUSec: '50ms',
      TasksMax: '20',
      Slice: 'strata-test.slice',
    },
  );
  t.deepEqual(shown(unit, 'Delegate', 'DevicePolicy', 'TimeoutStopUSec', 'Description'), {
    Delegate: 'yes',
    DevicePolicy: 'strict',
    TimeoutStopUSec: '12s',
    Description: `strata container ${id}`,
  });
  const files = ['memory.max', 'memory.swap.max', 'memory.low', 'cpu.weight', 'cpu.max', 'cpu.max.burst', 'pids.max', 'cgroup.max.descendants'];
  t.deepEqual(
    files.map((file) => read(directory, file)),
    ['67108864', '67108864', '33554432', '59', '12345 50000', '1000', '20', '5'],
  );
  t.is(read(scope, 'cgroup.procs'), '', 'the scope itself has no process');
  t.deepEqual(
    fs.readdirSync(scope, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])),
    ['container'],
  );

  // What systemd writes again is what was asked for last.
  await workspace.succeed([
    'update',
    '--memory',
    '128m',
    '--memory-swap',
    '128m',
    '--cpu-quota',
    '30000',
    '--cpu-share',
    '1024',
    '--pids-limit',
    '-1',
    id,
  ]);
  execFileSync('systemctl', ['daemon-reload']);
  t.deepEqual(shown(unit, 'MemoryMax', 'MemorySwapMax', 'CPUWeight', 'CPUQuotaPerSecUSec', 'TasksMax'), {
    MemoryMax: '134217728',
    MemorySwapMax: '0',
    CPUWeight: '100',
    CPUQuotaPerSecUSec: '600ms',
    TasksMax: 'infinity',
  });
  for (const place of [scope, directory]) {
    t.deepEqual(
      ['memory.max', 'memory.swap.max', 'cpu.weight', 'cpu.max', 'pids.max'].map((file) => read(place, file)),
      ['134217728', '0', '100', '30000 50000', 'max'],
    );
  }
  await workspace.remove(id);
  t.false(fs.existsSync(scope));
});

const DISK = fs.existsSync('/sys/block') ? fs.readdirSync('/sys/block').find((name) => !/^(loop|ram|zram)/.test(name)) : undefined;
const HAS_CPUSET = fs.existsSync(`${TOP}/cpuset.cpus.effective`);

systemdTest('an idle container: a weight of its own kind', async (t, workspace) => {
  const { id, unit, directory } = await started(workspace, { linux: { resources: { cpu: { idle: 1 } } } });
  const places = [`${directory}/..`, directory];
  const idle = () => places.map((place) => read(place, 'cpu.idle'));
  t.regex(shown(unit, 'CPUWeight')['CPUWeight'] ?? '', /^(idle|0)$/);
  t.deepEqual(idle(), ['1', '1']);
  await workspace.succeed(['update', '--cpu-idle', '0', '--cpu-share', '512', id]);
  execFileSync('systemctl', ['daemon-reload']);
  t.is(shown(unit, 'CPUWeight')['CPUWeight'], '59');
  t.deepEqual([...idle(), ...places.map((place) => read(place, 'cpu.weight'))], ['0', '0', '59', '59']);
  await workspace.succeed(['update', '--cpu-idle', '1', id]);
  t.regex(shown(unit, 'CPUWeight')['CPUWeight'] ?? '', /^(idle|0)$/);
  t.deepEqual(idle(), ['1', '1']);
  await workspace.remove(id);
});

async function blockIo(t: ExecutionContext, workspace: Workspace): Promise<void> {
  const disk = read(`/sys/block/${DISK}`, 'dev');
  // A kernel can have the scheduler without its weights.
  const weights = read(`/sys/block/${DISK}/queue`, 'scheduler').includes('[bfq]') && fs.existsSync(`${TOP}/system.slice/io.bfq.weight`);
  const [major, minor] = disk.split(':').map(Number);
  const rate = (value: number) => [{ major, minor, rate: value }];
  const blockIO = {
    throttleReadBpsDevice: rate(1000000),
    throttleWriteBpsDevice: rate(2000000),
    throttleReadIOPSDevice: rate(300),
    throttleWriteIOPSDevice: rate(400),
    ...(weights && { weight: 505, weightDevice: [{ major, minor, weight: 200 }] }),
  };
  const { id, unit, directory } = await started(workspace, { linux: { resources: { blockIO } } });
  const places = [`${directory}/..`, directory];
  const known = () => shown(unit, 'IOReadBandwidthMax', 'IOWriteBandwidthMax', 'IOReadIOPSMax', 'IOWriteIOPSMax', 'IOWeight', 'IODeviceWeight');
  const device = `/dev/block/${disk}`;
  t.like(known(), {
    IOReadBandwidthMax: `${device} 1000000`,
    IOWriteBandwidthMax: `${device} 2000000`,
    IOReadIOPSMax: `${device} 300`,
    IOWriteIOPSMax: `${device} 400`,
    // 100 to 1000 of BFQ are 100 to 10000 here.
    ...(weights && { IOWeight: '4555', IODeviceWeight: `${device} 1200` }),
  });
  for (const place of places) {
    t.is(read(place, 'io.max'), `${disk} rbps=1000000 wbps=2000000 riops=300 wiops=400`);
    if (weights) t.is(read(place, 'io.bfq.weight'), `default 505\n${disk} 200`);
  }
  const changed = {
    throttleReadBpsDevice: rate(0),
    throttleWriteIOPSDevice: rate(500),
    ...(weights && { weightDevice: [{ major, minor, weight: 300 }] }),
  };
  await workspace.succeed(['update', '--resources', '-', id], { stdin: toJson({ blockIO: changed }) });
  execFileSync('systemctl', ['daemon-reload']);
  t.like(known(), {
    IOReadBandwidthMax: undefined,
    IOWriteBandwidthMax: `${device} 2000000`,
    IOWriteIOPSMax: `${device} 500`,
    ...(weights && { IOWeight: '4555', IODeviceWeight: `${device} 2300` }),
  });
  for (const place of places) {
    t.is(read(place, 'io.max'), `${disk} rbps=max wbps=2000000 riops=300 wiops=500`);
    if (weights) t.is(read(place, 'io.bfq.weight'), `default 505\n${disk} 300`);
  }
  await workspace.remove(id);
}
systemdTest('limits of block I/O, and weights where the kernel has them', blockIo, DISK === undefined ? 'needs a disk' : undefined);

async function cpus(t: ExecutionContext, workspace: Workspace): Promise<void> {
  const { id, unit, directory } = await started(workspace, { linux: { resources: { cpu: { cpus: '0', mems: '0' } } } });
  const places = [`${directory}/..`, directory];
  const told = () => shown(unit, 'AllowedCPUs', 'AllowedMemoryNodes');
  const held = () => places.map((place) => ['cpuset.cpus', 'cpuset.cpus.effective', 'cpuset.mems'].map((file) => read(place, file)));
  const first = { AllowedCPUs: '0', AllowedMemoryNodes: '0' };
  t.deepEqual([told(), held()], [first, places.map(() => ['0', '0', '0'])]);
  t.is((await workspace.succeed(['exec', id, 'grep', 'Cpus_allowed_list', '/proc/self/status'])).stdout, 'Cpus_allowed_list:\t0\n');
  const all = read(TOP, 'cpuset.cpus.effective');
  await workspace.succeed(['update', '--cpuset-cpus', all, id]);
  execFileSync('systemctl', ['daemon-reload']);
  t.deepEqual([told(), held()], [{ ...first, AllowedCPUs: all }, places.map(() => [all, all, '0'])]);
  // A partition of its own the container cannot have in a scope, which is none: what systemd was told is taken back.
  const partition = { cpu: { cpus: '0' }, unified: { 'cpuset.cpus.partition': 'root' } };
  const refused = await workspace.strata(['update', '--resources', '-', id], { stdin: toJson(partition) });
  failed(t, refused, 'resources /unified/cpuset.cpus.partition', 'cannot be had', 'root invalid');
  t.deepEqual([told(), held()], [{ ...first, AllowedCPUs: all }, places.map(() => [all, all, '0'])]);
  t.is(read(directory, 'cpuset.cpus.partition'), 'member');
  await workspace.remove(id);
}
systemdTest('CPUs and memory nodes', cpus, HAS_CPUSET ? undefined : 'needs cgroup v2 with cpuset');

systemdTest('the verbs know a container in a scope without being told', async (t, workspace) => {
  const { id, unit, directory } = await started(workspace);
  t.is(JSON.parse((await workspace.succeed(['state', id])).stdout)['systemd-scope'], unit);
  t.is((await workspace.succeed(['exec', id, 'cat', '/proc/self/cgroup'])).stdout, '0::/\n');
  t.is(JSON.parse((await workspace.succeed(['ps', '--format', 'json', id])).stdout).length, 1);
  await workspace.succeed(['pause', id]);
  t.regex(read(directory, 'cgroup.events'), /frozen 1/);
  await workspace.succeed(['resume', id]);
  t.is(JSON.parse((await workspace.succeed(['events', '--stats', id])).stdout).data.pids.current, 1);
  await workspace.succeed(['kill', id, 'KILL']);
  await workspace.reach(id, 'stopped');
  await workspace.succeed(['delete', id]);
});

systemdTest('run, without a cgroupsPath, and with room for one process', async (t, workspace) => {
  const bundle = workspace.script('cat /proc/self/cgroup', { linux: { cgroupsPath: undefined, resources: { pids: { limit: 1 } } } });
  bundle.edit((config) => {
    config.process.args = ['cat', '/proc/self/cgroup'];
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'cgroup');
  });
  const id = workspace.id();
  const { stdout } = await workspace.succeed([SYSTEMD, 'run', '--bundle', bundle.directory, id]);
  t.is(stdout, `0::/system.slice/strata-${id}.scope/container\n`);
  const detached = bundleIn(workspace, '', { linux: { resources: { pids: { limit: 1 } } } });
  await workspace.succeed([SYSTEMD, 'run', '--detach', '--bundle', detached.bundle.directory, id]);
  t.is(shown(detached.unit, 'TasksMax')['TasksMax'], '1');
  await workspace.remove(id);
});

systemdTest('what systemd refuses is told, and nothing is left', async (t, workspace) => {
  const { bundle, unit } = bundleIn(workspace, '');
  const first = workspace.id();
  await workspace.succeed([SYSTEMD, 'run', '--detach', '--bundle', bundle.directory, first]);
  // A unit of that name is somebody else's.
  failed(t, await workspace.strata([SYSTEMD, 'run', '--bundle', bundle.directory, workspace.id()]), '/linux/cgroupsPath');
  t.is((await workspace.state(first)).status, 'running');
  t.is(shown(unit, 'ActiveState')['ActiveState'], 'active');
  await workspace.remove(first);

  for (const [edit, ...words] of [
    [{ annotations: { 'org.systemd.property.NoSuchThing': 'true' } }, '/annotations/org.systemd.property.NoSuchThing', 'systemd refuses'],
    [{ annotations: { 'org.systemd.property.CollectMode': 'no quotes' } }, '/annotations/org.systemd.property.CollectMode'],
    [{ annotations: { 'org.systemd.property.CollectMode': "'sometimes'" } }, 'systemd refuses'],
    [{ linux: { cgroupsPath: '/a/b' } }, '/linux/cgroupsPath', 'slice:prefix:name'],
    [{ linux: { cgroupsPath: 'a.service:b:c' } }, '/linux/cgroupsPath', 'systemd slice'],
    [{ process: { args: ['/no/such/program'] } }, '/no/such/program', 'no such file'],
    [{ linux: { resources: { unified: { 'memory.no.such': '1' } } } }, '/linux/resources/unified/memory.no.such'],
  ] as const) {
    const other = bundleIn(workspace, '').bundle.edit(edit as Edit);
    failed(t, await workspace.strata([SYSTEMD, 'run', '--bundle', other.directory, workspace.id()]), ...words);
    await eventually('the scope to be gone', () => units(workspace).length === 0);
  }
  failed(
    t,
    await workspace.run(workspace.bundle(), [], { env: { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nowhere' } }).then(() =>
      workspace.strata([SYSTEMD, 'run', '--bundle', bundle.directory, workspace.id()], {
        through: ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh'],
      }),
    ),
    'cannot reach systemd',
  );
});

systemdTest('a scope whose processes were killed can be made again', async (t, workspace) => {
  const limits = { memory: { limit: 16777216, swap: 16777216 } };
  const { bundle, unit } = bundleIn(workspace, '', { process: { args: ['tail', '/dev/zero'] }, linux: { resources: limits } });
  const id = workspace.id();
  for (let round = 0; round < 3; round++) {
    const { code } = await workspace.strata([SYSTEMD, 'run', '--bundle', bundle.directory, id]);
    t.is(code, 137);
    t.is(shown(unit, 'ActiveState')['ActiveState'], 'inactive');
  }
});

systemdTest('events tell of a want of memory that ends the container and the scope', async (t, workspace) => {
  const limits = { memory: { limit: 16777216, swap: 16777216 } };
  for (let round = 0; round < 3; round++) {
    const { bundle } = bundleIn(workspace, 'strata-oom.slice', { process: { args: ['tail', '/dev/zero'] }, linux: { resources: limits } });
    const id = workspace.id();
    await workspace.succeed([SYSTEMD, 'create', '--bundle', bundle.directory, id]);
    const watching = workspace.spawn(['events', '--interval', '20ms', id]);
    await eventually('the first statistics', () => watching.stdout().includes('\n'));
    await workspace.succeed(['start', id]);
    t.is((await watching.result).code, 0);
    t.regex(watching.stdout(), /^\{"type":"oom"/m);
    await workspace.reach(id, 'stopped');
    await workspace.remove(id);
  }
});

systemdTest('a unit of the name that has failed is no hindrance', async (t, workspace) => {
  const { bundle, unit } = bundleIn(workspace, '', { process: { args: ['true'] } });
  const obstinate = ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'];
  const helper = workspace.helper(['systemd-run', '--scope', `--unit=${unit}`, '--property=TimeoutStopSec=100ms', ...obstinate]);
  await eventually('the scope', () => shown(unit, 'ActiveState')['ActiveState'] === 'active');
  t.is(spawnSync('systemctl', ['stop', unit]).status, 0);
  t.is(shown(unit, 'ActiveState')['ActiveState'], 'failed', `${helper.pid}`);
  await workspace.succeed([SYSTEMD, 'run', '--bundle', bundle.directory, workspace.id()]);
});

systemdTest('the rules for devices, and other ones', async (t, workspace) => {
  const denied = [{ allow: false, access: 'rwm' }];
  const device = { type: 'c', path: '/dev/loop-control', major: 10, minor: 237, fileMode: 0o666 };
  const rule = { allow: true, type: 'c', major: 10, minor: 237, access: 'rw' };
  const { id, unit } = await started(workspace, { linux: { devices: [device], resources: { devices: [...denied, rule] } } });
  const opens = async () => (await workspace.strata(['exec', id, 'sh', '-c', ': </dev/loop-control && : </dev/zero'])).code === 0;
  t.true(await opens(), 'as created');
  t.regex(execFileSync('systemctl', ['show', unit, '--property=DeviceAllow'], { encoding: 'utf8' }), /\/dev\/char\/10:237 rw/);
  await workspace.succeed(['update', '--resources', '-', id], { stdin: toJson({ devices: denied }) });
  t.false(await opens());
  t.notRegex(execFileSync('systemctl', ['show', unit, '--property=DeviceAllow'], { encoding: 'utf8' }), /10:237/);
  await workspace.succeed(['update', '--resources', '-', id], { stdin: toJson({ devices: [{ allow: true, access: 'rwm' }] }) });
  t.true(await opens(), 'everything allowed');
  // More than the kernel takes: nothing changes, with systemd either.
  const told = () =>
    execFileSync('systemctl', ['show', unit, '-p', 'DevicePolicy', '-p', 'DeviceAllow', '-p', 'TasksMax'], { encoding: 'utf8' }).split('\n').sort();
  const known = told();
  const holes = Array.from({ length: 9000 }, (_, minor) => ({ allow: false, type: 'c', major: 10, minor, access: 'rwm' }));
  const devices = [...denied, { allow: true, type: 'c', major: 10, access: 'rwm' }, ...holes];
  const refused = await workspace.strata(['update', '--resources', '-', id], { stdin: toJson({ devices, pids: { limit: 9 } }) });
  failed(t, refused, '/devices', 'the kernel takes some thousands of rules');
  t.deepEqual(told(), known);
  t.true(await opens());
  t.regex(execFileSync('systemctl', ['show', unit, '--property=DeviceAllow'], { encoding: 'utf8' }), /char-\* rwm/);
  await workspace.remove(id);
});

systemdTest('systemd stops the container with the scope', async (t, workspace) => {
  const { id, unit } = await started(workspace, { annotations: { 'org.systemd.property.TimeoutStopSec': '1' } }, '');
  t.is(spawnSync('systemctl', ['stop', unit]).status, 0);
  await workspace.reach(id, 'stopped');
  await workspace.succeed(['delete', id]);
  t.pass();
});

systemdTest('services of Type=notify are started when the program is ready; in the background it is their main process', async (t, workspace) => {
  for (const detach of [[], ['--detach']]) {
    const ready = 'until [ -e /go ]; do sleep 0.02; done; trap "exit 0" TERM; notify READY=1 !; while :; do sleep 0.02; done';
    const bundle = workspace.script(ready);
    fs.copyFileSync(notifyProgram(), join(bundle.rootfs, 'bin/notify'));
    const id = workspace.id();
    const unit = `${workspace.token}-notify${detach.length}.service`;
    const run = [STRATA, '--root', workspace.root, ...(CGROUP_MANAGER === 'systemd' ? [SYSTEMD] : []), 'run', ...detach];
    const service = ['--collect', '--service-type=notify', `--unit=${unit}`, '--property=TimeoutStopSec=20'];
    const starting = workspace.helper(['systemd-run', '--quiet', ...service, ...run, '--bundle', bundle.directory, id]);
    await eventually('the container to be there', async () => (await workspace.strata(['state', id])).code === 0);
    const { pid } = await workspace.reach(id, 'running');
    t.is(shown(unit, 'ActiveState')['ActiveState'], 'activating');
    bundle.file('go', '');
    await eventually('the service to be started', () => starting.exitCode !== null);
    const { ActiveState, MainPID } = shown(unit, 'ActiveState', 'MainPID');
    t.is(ActiveState, 'active');
    t.is(Number(MainPID) === pid, detach.length > 0, `${MainPID}, and the program is ${pid}`);
    t.is(spawnSync('systemctl', ['stop', unit]).status, 0);
    if (detach.length > 0) await workspace.reach(id, 'stopped');
    await workspace.remove(id);
  }
});

systemdTest("a user's own systemd", async (t, workspace) => {
  const user = new User(workspace);
  const service = `user@${user.uid}.service`;
  const file = `/run/systemd/system/${service}`;
  const manager = ['[Service]', 'Type=notify', 'ExecStart=/lib/systemd/systemd --user', 'Delegate=yes', 'TimeoutStopSec=5'];
  const setting = [`User=${user.uid}`, `Slice=user-${user.uid}.slice`, `Environment=XDG_RUNTIME_DIR=${user.runtime} HOME=${user.home}`];
  fs.writeFileSync(file, [...manager, ...setting, ''].join('\n'));
  try {
    execFileSync('systemctl', ['daemon-reload']);
    execFileSync('systemctl', ['start', service]);
    const resources = { memory: { limit: 67108864 }, pids: { limit: 20 } };
    const bundle = user.script('sleep 1000', { linux: { resources, cgroupsPath: `:${workspace.token}:own` } });
    const id = workspace.id();
    // Whoever puts a process of his into a cgroup has to be below where he may.
    const within = ['systemd-run', '--user', '--scope', '--quiet'];
    const run = [SYSTEMD, 'run', '--detach', '--bundle', bundle.directory, id];
    const made = await user.strata(run, within);
    t.is(made.code, 0, made.stderr);
    const { pid } = JSON.parse((await user.strata(['state', id])).stdout) as { pid: number };
    const place = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().slice('0::'.length);
    t.is(place, `/user.slice/user-${user.uid}.slice/${service}/user.slice/${workspace.token}-own.scope/container`);
    const limits = () => [TOP + place, `${TOP + place}/..`].map((directory) => read(directory, 'memory.max'));
    t.deepEqual(limits(), ['67108864', '67108864']);
    t.is((await user.strata(['update', '--memory', '128m', id], within)).code, 0);
    t.deepEqual(limits(), ['134217728', '134217728']);
    t.is((await user.strata(['exec', id, 'cat', '/proc/self/cgroup'], within)).stdout, '0::/\n');
    t.is((await user.strata(['delete', '--force', id], within)).code, 0);
    t.false(fs.existsSync(`${TOP + place}/..`));
    failed(t, await user.strata(run), '/linux', 'systemd-run --user --scope');
  } finally {
    spawnSync('systemctl', ['stop', service]);
    fs.rmSync(file);
    execFileSync('systemctl', ['daemon-reload']);
    await user.end();
  }
});
