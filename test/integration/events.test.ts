/** `events`: the JSON that monitoring programs read, and a want of memory. */
import * as fs from 'node:fs';
import * as strata from '../../src/index.ts';
import type { Workspace } from '../helpers/container.ts';
import { containerTest, failed, unless } from './_support.ts';

interface Line {
  readonly type: string;
  readonly id: string;
  readonly data?: strata.Stats;
}

function lines(text: string): Line[] {
  return text
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

const LIMIT = { resources: { memory: { limit: 16777216, swap: 16777216 }, pids: { limit: 33 } } };
const HAS_MEMORY = ['memory/memory.limit_in_bytes', 'cgroup.controllers'].some((file) => fs.existsSync(`/sys/fs/cgroup/${file}`));
const NO_MEMORY = HAS_MEMORY ? undefined : 'needs cgroups with memory';

async function sleeping(workspace: Workspace): Promise<string> {
  return (await workspace.start(workspace.bundle({ process: { args: ['sleep', '1000'] }, linux: LIMIT }))).id;
}

containerTest('events --stats prints what the container uses, once', async (t, workspace) => {
  const id = await sleeping(workspace);
  const [line, ...more] = lines(await workspace.succeed(['events', '--stats', id]).then(({ stdout }) => stdout));
  t.deepEqual([line?.type, line?.id, more], ['stats', id, []]);
  t.deepEqual(Object.keys(line?.data ?? {}), ['cpu', 'cpuset', 'memory', 'pids', 'blkio', 'hugetlb', 'intel_rdt', 'network_interfaces']);
  t.deepEqual(line?.data?.pids, { current: 1, limit: 33 });
  t.true(Number(line?.data?.memory.usage.usage) > 0);
  t.is(line?.data?.memory.usage.limit, 16777216);
  for (const wrong of ['0', '5', '-1s', '1x', '']) failed(t, await workspace.strata(['events', '--interval', wrong, id]), '--interval');
  await workspace.succeed(['kill', id, '9']);
  await workspace.reach(id, 'stopped');
  failed(t, await workspace.strata(['events', '--stats', id]), 'container not running');
  await workspace.remove(id);
});

unless(NO_MEMORY)('events tells of a want of memory, and ends with the container', async (t, workspace) => {
  const { id } = await workspace.create(workspace.script('tail /dev/zero; sleep 0.1', { linux: LIMIT }));
  const watching = workspace.spawn(['events', '--interval', '10ms', id]);
  while (!watching.stdout().includes('\n')) await new Promise((resolve) => setTimeout(resolve, 5));
  await workspace.succeed(['start', id]);
  const { code, stdout } = await watching.result;
  t.is(code, 0);
  const types = lines(stdout).map(({ type }) => type);
  t.true(types.includes('oom'));
  t.is(types[0], 'stats');
  await workspace.remove(id);
});

containerTest('the library: statistics, and events until the caller has enough', async (t, workspace) => {
  const id = await sleeping(workspace);
  const name = { id, root: workspace.root };
  t.is((await strata.stats(name)).pids.limit, 33);
  const enough = new AbortController();
  let count = 0;
  for await (const event of strata.events({ ...name, interval: 5, signal: enough.signal })) {
    t.is(event.type, 'stats');
    if (++count === 3) enough.abort();
  }
  t.is(count, 3);
  for await (const _ of strata.events({ ...name, interval: 5, signal: enough.signal })) t.fail();
  const ended = (async () => {
    let told = 0;
    for await (const _ of strata.events({ ...name, interval: 5 })) told++;
    return told;
  })();
  await strata.update({ ...name, resources: { pids: { limit: 34 } } });
  t.is((await strata.stats(name)).pids.limit, 34);
  await strata.kill({ ...name, signal: 9 });
  t.true((await ended) >= 0);
  await workspace.remove(id);
});
