/** Partitions of CPUs on cgroup v2 (admin-guide/cgroup-v2, Cpuset): those above a container and beside it, and containers that are one. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { CGROUP_V2, type Edit, eventually, toJson, type Workspace } from '../../helpers/container.ts';
import { failed, unless } from '../_support.ts';

const TOP = '/sys/fs/cgroup';
const CPUSET = CGROUP_V2 && fs.existsSync(join(TOP, 'cpuset.cpus.effective'));
const ALL = CPUSET ? read(TOP, 'cpuset.cpus.effective') : '';
const LAST = Number(/^0-(\d+)$/.exec(ALL)?.[1] ?? 0);
const OTHERS = LAST === 1 ? '0' : `0-${LAST - 1}`;
const cpusetTest = unless(CPUSET ? (LAST > 0 ? undefined : 'needs two CPUs') : 'needs cgroup v2 with cpuset');

const ALLOWED = ['sh', '-c', 'grep Cpus_allowed_list /proc/self/status'];
const PARTITION = 'cpuset.cpus.partition';

function read(directory: string, file: string): string {
  return fs.readFileSync(join(directory, file), 'utf8').trim();
}

/** A cgroup of the test's own below the root, with these CPUs. */
function parentOf(workspace: Workspace, cpus: string, partition: string): string {
  fs.writeFileSync(join(TOP, 'cgroup.subtree_control'), '+cpuset');
  const directory = join(TOP, workspace.token);
  fs.mkdirSync(directory);
  fs.writeFileSync(join(directory, 'cpuset.cpus'), cpus);
  fs.writeFileSync(join(directory, PARTITION), partition);
  return directory;
}

function state(directory: string): string[] {
  return ['cpuset.cpus', 'cpuset.cpus.effective', 'cpuset.mems', PARTITION].map((file) => read(directory, file));
}

/** For a container in the cgroup `path`, limited like this. */
function limited(path: string, cpu: object, unified: object = {}): Edit {
  return { process: { args: ALLOWED }, linux: { cgroupsPath: path, resources: { cpu, unified } } };
}

async function allowed(t: ExecutionContext, workspace: Workspace, edit: Edit, expected: number | string): Promise<void> {
  t.is(await workspace.output(workspace.bundle(edit)), `Cpus_allowed_list:\t${expected}\n`);
}

for (const kind of ['root', 'isolated']) {
  cpusetTest(`below a partition (${kind}) a container has the CPUs of the partition, which stays what it is`, async (t, workspace) => {
    const parent = parentOf(workspace, `${LAST}`, kind);
    const before = state(parent);
    t.deepEqual(before, [`${LAST}`, `${LAST}`, '', kind]);
    const path = `/${workspace.token}/pods/one`;
    for (const cpu of [{}, { cpus: `${LAST}` }, { cpus: ALL, mems: '0' }]) {
      await allowed(t, workspace, limited(path, cpu), LAST);
      t.deepEqual(state(parent), before, toJson(cpu));
    }
    // The kernel takes these too, and would give what there is.
    const refused = await workspace.run(workspace.bundle(limited(path, { cpus: '0' })));
    failed(t, refused, '/linux/resources/cpu/cpus', `of 0 the cgroup above has none, only ${LAST}`);
    const { id } = await workspace.start(workspace.bundle(limited(path, { cpus: `${LAST}` })).edit({ process: { args: ['sleep', '1000'] } }));
    failed(t, await workspace.strata(['update', '--cpuset-cpus', '0', id]), 'resources /cpu/cpus', 'cannot be had', `only ${LAST}`);
    t.is(read(join(TOP, path), 'cpuset.cpus'), `${LAST}`);
    await workspace.remove(id);
    t.deepEqual(state(parent), before);
    t.deepEqual(
      fs.readdirSync(parent, { withFileTypes: true }).filter((entry) => entry.isDirectory()),
      [],
    );
    fs.rmdirSync(parent);
  });
}

cpusetTest('below a partition that is invalid a container is as in any cgroup, and cannot be a partition', async (t, workspace) => {
  // Nothing would be left for those in the root cgroup.
  const parent = parentOf(workspace, ALL, 'root');
  const before = state(parent);
  t.regex(before.at(-1) ?? '', /^root invalid/);
  const path = `/${workspace.token}/one`;
  await allowed(t, workspace, limited(path, {}), ALL);
  await allowed(t, workspace, limited(path, { cpus: `${LAST}` }), LAST);
  const partition = workspace.bundle(limited(path, { cpus: `${LAST}` }, { [PARTITION]: 'root' }));
  failed(t, await workspace.run(partition), `/linux/resources/unified/${PARTITION}`, 'the partition is root invalid');
  t.deepEqual(state(parent), before);
  t.false(fs.existsSync(join(TOP, path)));
  fs.rmdirSync(parent);
});

cpusetTest('a container that is a partition keeps its CPUs to itself', async (t, workspace) => {
  const path = `/${workspace.token}`;
  const own = join(TOP, path);
  const beside = `/${workspace.token}-beside`;
  const bundle = workspace.bundle(limited(path, { cpus: `${LAST}` }, { [PARTITION]: 'root' })).edit({ process: { args: ['sleep', '1000'] } });
  const { id } = await workspace.start(bundle);
  const alone = [`${LAST}`, `${LAST}`, '', 'root'];
  t.deepEqual(state(own), alone);
  t.is(read(TOP, 'cpuset.cpus.effective'), OTHERS);
  t.is((await workspace.succeed(['exec', id, ...ALLOWED])).stdout, `Cpus_allowed_list:\t${LAST}\n`);

  await allowed(t, workspace, limited(beside, {}), OTHERS);
  await allowed(t, workspace, limited(beside, { cpus: '0' }), 0);
  // The kernel would take these, and make the partition invalid.
  for (const cpus of [`${LAST}`, ALL]) {
    failed(t, await workspace.run(workspace.bundle(limited(beside, { cpus }))), '/linux/resources/cpu/cpus', own, 'it is a partition');
    t.deepEqual(state(own), alone);
  }
  t.false(fs.existsSync(join(TOP, beside)));
  const other = await workspace.start(workspace.bundle(limited(beside, { cpus: '0' })).edit({ process: { args: ['sleep', '1000'] } }));
  const taken = await workspace.strata(['update', '--cpuset-cpus', `${LAST}`, '--pids-limit', '7', other.id]);
  failed(t, taken, 'resources /cpu/cpus', 'cannot be had', 'it is a partition');
  t.deepEqual([read(join(TOP, beside), 'cpuset.cpus'), read(join(TOP, beside), 'pids.max')], ['0', 'max']);
  await workspace.remove(other.id);

  // All there are: the root cgroup would have none. What is refused leaves the partition as it was.
  failed(t, await workspace.strata(['update', '--cpuset-cpus', ALL, id]), 'resources /cpu/cpus', 'the partition is root invalid');
  t.deepEqual(state(own), alone);
  await workspace.remove(id);
  // The kernel takes a partition apart when its cgroup has gone, in its own time.
  await eventually('the CPUs to be free again', () => read(TOP, 'cpuset.cpus.effective') === ALL);
});

cpusetTest('a partition that cannot be, and a cgroup whose CPUs are all given to one', async (t, workspace) => {
  const path = `/${workspace.token}/one`;
  const without = workspace.bundle(limited(path, { cpus: `${LAST}` }, { [PARTITION]: 'isolated' }));
  failed(t, await workspace.run(without), `/linux/resources/unified/${PARTITION}`, 'the partition is isolated invalid');
  t.false(fs.existsSync(join(TOP, workspace.token)));

  const parent = parentOf(workspace, `${LAST}`, 'root');
  const bundle = workspace.bundle(limited(path, { cpus: `${LAST}` }, { [PARTITION]: 'root' })).edit({ process: { args: ['sleep', '1000'] } });
  const { id } = await workspace.start(bundle);
  t.deepEqual(state(parent), [`${LAST}`, '', '', 'root']);
  const late = await workspace.run(workspace.bundle(limited(`/${workspace.token}/late`, {})));
  failed(t, late, 'no space left on device', 'have all CPUs of the cgroup above');
  await workspace.remove(id);
  await eventually('the CPUs to be those of the cgroup above again', () => read(parent, 'cpuset.cpus.effective') === `${LAST}`);
  t.deepEqual(state(parent), [`${LAST}`, `${LAST}`, '', 'root']);
  fs.rmdirSync(parent);
});
