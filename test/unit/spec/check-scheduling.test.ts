/** Scheduling, memory policies and labels: what the manual pages rule, and what the machine has. */
import test from 'ava';
import { type ErrorCode, StrataError } from '../../../src/base/error.ts';
import { type CheckFacts, check } from '../../../src/spec/check.ts';
import { parseSpec } from '../../../src/spec/parse.ts';

const ALL = (1n << 41n) - 1n;
const BARE: CheckFacts = { lastCapability: 40, permitted: ALL, bounding: ALL };
const FACTS: CheckFacts = { ...BARE, security: { apparmor: true, selinux: true }, memoryNodes: '0-1,4' };

const process = (value: object, rest: object = {}): object => ({ process: { cwd: '/', args: ['sh'], ...value }, ...rest });
const scheduler = (policy: string, value: object = {}): object => process({ scheduler: { policy: `SCHED_${policy}`, ...value } });
const ioPriority = (name: string, priority?: number): object => process({ ioPriority: { class: `IOPRIO_CLASS_${name}`, priority } });
const memory = (mode: string, nodes?: string, ...flags: string[]): object => ({
  linux: { memoryPolicy: { mode: `MPOL_${mode}`, nodes, flags: flags.map((flag) => `MPOL_F_${flag}`) } },
});
const hooks = { hooks: { startContainer: [{ path: '/bin/true' }] } };
const TIMES = { runtime: 1_000_000, deadline: 2_000_000, period: 4_000_000 };

function run(parts: object, facts: CheckFacts): void {
  check(parseSpec({ ociVersion: '1.3.0', root: { path: 'rootfs' }, ...parts }), facts);
}

const REFUSED: readonly [parts: object, pointer: string, reason: RegExp, code?: ErrorCode, facts?: CheckFacts][] = [
  [scheduler('ISO'), '/process/scheduler/policy', /not supported: no version of Linux/, 'config-unsupported'],
  [scheduler('OTHER', { nice: 20 }), '/process/scheduler/nice', /-20 to 19, found 20/],
  [scheduler('FIFO', { priority: 1, nice: -21 }), '/process/scheduler/nice', /-20 to 19/],
  [scheduler('FIFO'), '/process/scheduler/priority', /from 1 to 99, found 0/],
  [scheduler('RR', { priority: 100 }), '/process/scheduler/priority', /from 1 to 99/],
  [scheduler('OTHER', { priority: 1 }), '/process/scheduler/priority', /only SCHED_FIFO and SCHED_RR/],
  [scheduler('DEADLINE', { ...TIMES, priority: 1 }), '/process/scheduler/priority', /only SCHED_FIFO/],
  [scheduler('BATCH', { runtime: 1 }), '/process/scheduler/runtime', /only SCHED_DEADLINE/],
  [scheduler('IDLE', { period: 1 }), '/process/scheduler/period', /only SCHED_DEADLINE/],
  [scheduler('DEADLINE'), '/process/scheduler/runtime', /at least 1024/],
  [scheduler('DEADLINE', { runtime: 1024, deadline: 1023 }), '/process/scheduler/deadline', /less than the runtime/],
  [scheduler('DEADLINE', { runtime: 1024, deadline: 2000, period: 1999 }), '/process/scheduler/period', /less than the deadline/],
  [scheduler('DEADLINE', { ...TIMES, period: 2n ** 63n }), '/process/scheduler/period', /at most/],
  [{ ...scheduler('DEADLINE', TIMES), ...hooks }, '/hooks/startContainer', /RESET_ON_FORK/],
  [ioPriority('BE', 8), '/process/ioPriority/priority', /0 to 7, found 8/],
  [ioPriority('RT', -1), '/process/ioPriority/priority', /0 to 7/],
  [memory('BIND'), '/linux/memoryPolicy/nodes', /at least one node/],
  [memory('INTERLEAVE'), '/linux/memoryPolicy/nodes', /at least one node/],
  [memory('WEIGHTED_INTERLEAVE'), '/linux/memoryPolicy/nodes', /at least one node/],
  [memory('PREFERRED_MANY'), '/linux/memoryPolicy/nodes', /at least one node/],
  [memory('DEFAULT', '0'), '/linux/memoryPolicy/nodes', /takes no nodes/],
  [memory('LOCAL', '0'), '/linux/memoryPolicy/nodes', /takes no nodes/],
  [memory('BIND', '0,2'), '/linux/memoryPolicy/nodes', /no memory in node 2, only in 0-1,4/],
  [memory('BIND', '0-x'), '/linux/memoryPolicy/nodes', /such as 0-3,7, found "0-x"/],
  [memory('BIND', '1-0'), '/linux/memoryPolicy/nodes', /such as/],
  [memory('BIND', '0,'), '/linux/memoryPolicy/nodes', /such as/],
  [memory('BIND', '0-99999999'), '/linux/memoryPolicy/nodes', /up to 32767/],
  [memory('BIND', '0-4294967296'), '/linux/memoryPolicy/nodes', /such as/],
  [memory('INTERLEAVE', '0', 'NUMA_BALANCING'), '/linux/memoryPolicy/flags/0', /MPOL_BIND and MPOL_PREFERRED_MANY/],
  [memory('BIND', '0', 'STATIC_NODES', 'RELATIVE_NODES'), '/linux/memoryPolicy/flags/0', /either relative or static/],
  [memory('PREFERRED', undefined, 'STATIC_NODES'), '/linux/memoryPolicy/flags/0', /there are none/],
  [memory('BIND', '0'), '/linux/memoryPolicy', /no NUMA/, 'config-unsupported', BARE],
  [process({ apparmorProfile: 'unconfined' }), '/process/apparmorProfile', /AppArmor is not enabled/, 'config-unsupported', BARE],
  [process({ selinuxLabel: 'u:r:t:s0' }), '/process/selinuxLabel', /SELinux is not enabled/, 'config-unsupported', BARE],
  [{ linux: { mountLabel: 'u:r:t:s0' } }, '/linux/mountLabel', /SELinux is not enabled/, 'config-unsupported', BARE],
  [{ linux: { mountLabel: 'u:r:t:s0",x="' } }, '/linux/mountLabel', /must not contain a quotation mark/],
];

for (const [index, [parts, pointer, reason, code = 'config-invalid', facts = FACTS]] of REFUSED.entries()) {
  test(`refused ${index}: ${pointer} ${reason}`, (t) => {
    const error = t.throws(() => run(parts, facts), { instanceOf: StrataError }) as StrataError;
    t.is(error.pointer, pointer, error.message);
    t.is(error.code, code, error.message);
    t.regex(error.reason, reason);
  });
}

const ACCEPTED: readonly object[] = [
  scheduler('OTHER'),
  scheduler('OTHER', { nice: -20 }),
  scheduler('BATCH', { nice: 19, flags: ['SCHED_FLAG_RESET_ON_FORK'] }),
  scheduler('FIFO', { priority: 1, nice: 3 }),
  scheduler('RR', { priority: 99 }),
  scheduler('IDLE'),
  scheduler('DEADLINE', { runtime: 1024, deadline: 1024 }),
  { ...scheduler('DEADLINE', { ...TIMES, flags: ['SCHED_FLAG_RESET_ON_FORK'] }), ...hooks },
  ioPriority('IDLE'),
  ioPriority('RT', 7),
  memory('DEFAULT'),
  memory('LOCAL'),
  memory('PREFERRED'),
  memory('PREFERRED', '4'),
  memory('BIND', '0-1,4', 'STATIC_NODES', 'NUMA_BALANCING'),
  memory('INTERLEAVE', ' 1 , 0', 'RELATIVE_NODES'),
  memory('INTERLEAVE', '5-9', 'RELATIVE_NODES'),
  process({ apparmorProfile: 'docker-default', selinuxLabel: 'u:r:t:s0:c1,c2' }),
  { linux: { mountLabel: 'u:r:t:s0' } },
];

for (const [index, parts] of ACCEPTED.entries()) {
  test(`accepted ${index}: ${JSON.stringify(parts).slice(0, 90)}`, (t) => {
    t.notThrows(() => run(parts, FACTS));
  });
}
