/** config.md, Process: scheduler and ioPriority; config-linux.md, Memory policy: what the program finds of its share of the machine. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { hasCapability, type Workspace, withUserNamespace } from '../../helpers/container.ts';
import { containerTest, failed, unless } from '../_support.ts';

/** Why priorities above the ordinary cannot be tried here. */
const UNABLE = hasCapability('CAP_SYS_NICE') ? undefined : 'needs CAP_SYS_NICE';
/** A v1 cpu cgroup gives real-time tasks no time unless told; and only so much as its parent, which is here the root. */
const HAS_REAL_TIME_GROUPS = fs.existsSync('/sys/fs/cgroup/cpu/cpu.rt_runtime_us');
const REAL_TIME = HAS_REAL_TIME_GROUPS ? { cpu: { realtimeRuntime: 10_000, realtimePeriod: 1_000_000 } } : {};

/** On v2 a kernel with groups for real-time tasks gives time to the root cgroup only. */
const MAY_BE_REAL_TIME = HAS_REAL_TIME_GROUPS || spawnSync('chrt', ['--fifo', '1', 'true']).status === 0;
const NO_REAL_TIME = UNABLE ?? (MAY_BE_REAL_TIME ? undefined : 'needs a cgroup with time for real-time tasks');
const NO_GROUPS = HAS_REAL_TIME_GROUPS ? undefined : 'needs a v1 cpu cgroup with real-time groups';
const NO_NODES = fs.existsSync('/proc/self/numa_maps') ? undefined : 'needs a kernel with NUMA';
const DEADLINE = ['--deadline', '--sched-runtime', '1000000', '--sched-deadline', '10000000', '--sched-period', '20000000', '0', 'true'];
const NO_DEADLINES = UNABLE ?? (spawnSync('chrt', DEADLINE).status === 0 ? undefined : 'needs a machine that admits deadlines');

/** nice, rt_priority and policy of the shell's own process, proc_pid_stat(5); no process is forked for it. */
const STAT = 'read -r line </proc/1/stat; set -- $line; shift 18; nice=$1; shift 21; echo "$nice $1 $2"';

function scheduled(workspace: Workspace, scheduler: object): Promise<string> {
  return workspace.shell(STAT, {
    process: { scheduler },
    linux: { resources: REAL_TIME, ...(HAS_REAL_TIME_GROUPS && { cgroupsPath: `/${workspace.token}` }) },
  });
}

containerTest('scheduler: policy and nice value', async (t, workspace) => {
  const found = (scheduler: object) => scheduled(workspace, scheduler);
  t.is(await found({ policy: 'SCHED_OTHER' }), '0 0 0');
  t.is(await found({ policy: 'SCHED_BATCH', nice: 7 }), '7 0 3');
  t.is(await found({ policy: 'SCHED_IDLE', nice: 3 }), '3 0 5');
});

unless(UNABLE)('scheduler: a nice value above the ordinary', async (t, workspace) => {
  t.is(await scheduled(workspace, { policy: 'SCHED_OTHER', nice: -20 }), '-20 0 0');
});

unless(NO_REAL_TIME)('scheduler: real-time policies and their priorities', async (t, workspace) => {
  t.is(await scheduled(workspace, { policy: 'SCHED_FIFO', priority: 10 }), '0 10 1');
  t.is(await scheduled(workspace, { policy: 'SCHED_RR', priority: 99, nice: -3 }), '-3 99 2');
});

unless(NO_DEADLINES)('scheduler: a deadline, alone and with reset-on-fork', async (t, workspace) => {
  const times = { policy: 'SCHED_DEADLINE', runtime: 1_000_000, deadline: 10_000_000, period: 20_000_000 };
  const bundle = (scheduler: object) => workspace.script(`${STAT}; (echo forked) 2>/dev/null || echo cannot fork`, { process: { scheduler } });
  const alone = await workspace.run(bundle(times));
  t.regex(alone.stdout, /^0 0 6\n/);
  t.notRegex(alone.stdout, /forked/);
  t.is((await workspace.run(bundle({ ...times, flags: ['SCHED_FLAG_RESET_ON_FORK'] }))).stdout, '0 0 6\nforked\n');
});

unless(NO_GROUPS)('scheduler: what the kernel refuses is an error of the property', async (t, workspace) => {
  const result = await workspace.run(workspace.bundle({ process: { scheduler: { policy: 'SCHED_FIFO', priority: 1 } } }));
  failed(t, result, '/process/scheduler', 'SCHED_FIFO', 'operation not permitted', 'realtimeRuntime');
});

function ioPriority(workspace: Workspace, name: string, priority: number): Promise<string> {
  return workspace.shell('ionice -p 1; (ionice)', { process: { ioPriority: { class: `IOPRIO_CLASS_${name}`, priority } } });
}

containerTest('ioPriority: class and priority', async (t, workspace) => {
  const found = (name: string, priority: number) => ioPriority(workspace, name, priority);
  t.is(await found('BE', 7), 'best-effort: prio 7\nbest-effort: prio 7');
  t.is(await found('IDLE', 0), 'idle\nidle');
});

unless(UNABLE)('ioPriority: real time', async (t, workspace) => {
  t.is(await ioPriority(workspace, 'RT', 2), 'realtime: prio 2\nrealtime: prio 2');
});

unless(UNABLE)('scheduler and ioPriority: what a user namespace has no right to is set before it', async (t, workspace) => {
  const bundle = workspace.script(`${STAT}; ionice -p 1`, (config) => {
    withUserNamespace(config, 100000);
    config.process.scheduler = { policy: 'SCHED_BATCH', nice: -7 };
    config.process.ioPriority = { class: 'IOPRIO_CLASS_RT', priority: 4 };
  });
  bundle.giveTo(100000);
  t.is(await workspace.output(bundle), '-7 0 3\nrealtime: prio 4\n');
});

unless(NO_NODES)('memoryPolicy: mode, nodes and flags', async (t, workspace) => {
  const script = 'read -r line </proc/self/numa_maps; set -- $line; shift; echo "$*"';
  const found = (memoryPolicy: object) => workspace.shell(script, { linux: { memoryPolicy } });
  t.regex(await found({ mode: 'MPOL_BIND', nodes: '0', flags: ['MPOL_F_STATIC_NODES'] }), /^bind=static:0 /);
  t.regex(await found({ mode: 'MPOL_INTERLEAVE', nodes: '0' }), /^interleave:0 /);
  t.regex(await found({ mode: 'MPOL_INTERLEAVE', nodes: '0,500', flags: ['MPOL_F_RELATIVE_NODES'] }), /^interleave=relative:0 /);
  t.regex(await found({ mode: 'MPOL_PREFERRED', nodes: '0' }), /^prefer:0 /);
  t.regex(await found({ mode: 'MPOL_LOCAL' }), /^local /);
  t.regex(await found({ mode: 'MPOL_DEFAULT' }), /^default /);
  failed(t, await workspace.run(workspace.bundle({ linux: { memoryPolicy: { mode: 'MPOL_BIND', nodes: '0,1000' } } })), '/linux/memoryPolicy/nodes');
});

unless(UNABLE)('exec: what the first process has of the machine', async (t, workspace) => {
  const hasNodes = fs.existsSync('/proc/self/numa_maps');
  const { id } = await workspace.create(
    workspace.script('sleep 100', {
      process: { scheduler: { policy: 'SCHED_BATCH', nice: -4 }, ioPriority: { class: 'IOPRIO_CLASS_RT', priority: 5 } },
      ...(hasNodes && { linux: { memoryPolicy: { mode: 'MPOL_LOCAL' } } }),
    }),
  );
  await workspace.strata(['start', id]);
  const script = 'ionice -p $$; read -r line </proc/$$/stat; set -- $line; shift 18; nice=$1; shift 21; echo "$nice $1 $2"; cat /proc/self/numa_maps';
  const { stdout } = await workspace.strata(['exec', id, 'sh', '-c', script]);
  t.regex(stdout, /^realtime: prio 5\n-4 0 3\n/);
  if (fs.existsSync('/proc/self/numa_maps')) t.regex(stdout, /\w+ local /);
  t.is((await workspace.strata(['delete', '--force', id])).code, 0);
});
