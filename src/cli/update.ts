import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { StrataError, withFields } from '../base/error.ts';
import { parseExact } from '../base/json.ts';
import type { Host } from '../host/host.ts';
import { update } from '../lifecycle/update.ts';
import { MAX_SPEC_LENGTH } from '../spec/parse.ts';
import { Flag } from './command.ts';
import { size } from './options.ts';
import type { Shell } from './shell.ts';

interface UpdateFlags {
  readonly resources?: string;
  readonly blkioWeight?: number;
  readonly cpuPeriod?: bigint;
  readonly cpuQuota?: bigint;
  readonly cpuBurst?: bigint;
  readonly cpuShare?: bigint;
  readonly cpuRtPeriod?: bigint;
  readonly cpuRtRuntime?: bigint;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly cpuIdle?: bigint;
  readonly memory?: bigint;
  readonly memoryReservation?: bigint;
  readonly memorySwap?: bigint;
  readonly pidsLimit?: bigint;
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly kernelMemory?: string;
  readonly kernelMemoryTcp?: string;
}

const STDIN = 0;

export function addUpdate(program: Command, shell: Shell): void {
  program
    .command('update')
    .argument('<container-id>')
    .description('change the limits of a container')
    .option('-r, --resources <file>', 'JSON of the form of linux.resources; - is standard input')
    .option('--blkio-weight <n>', 'relative weight of block I/O, 10 to 1000', whole)
    .option('--cpu-period <us>', 'length of the period that the quota is for', integer)
    .option('--cpu-quota <us>', 'CPU time in each period; -1 is no limit', integer)
    .option('--cpu-burst <us>', 'unused CPU time that can be used later', integer)
    .option('--cpu-share <n>', 'relative weight of CPU time, 2 to 262144', integer)
    .option('--cpu-rt-period <us>', 'length of the period for real-time tasks', integer)
    .option('--cpu-rt-runtime <us>', 'CPU time of real-time tasks in each period', integer)
    .option('--cpuset-cpus <list>', 'CPUs to run on, such as 0-3,7')
    .option('--cpuset-mems <list>', 'memory nodes to use')
    .option('--cpu-idle <n>', '1: run only when nothing else wants to; 0: as usual', integer)
    .option('--memory <size>', 'memory limit in bytes, or with k, m, g, t or p; -1 is no limit', size)
    .option('--memory-reservation <size>', 'memory that is reclaimed last', size)
    .option('--memory-swap <size>', 'limit of memory and swap together; -1 is no limit', size)
    .option('--pids-limit <n>', 'the most processes and threads; -1 is no limit', integer)
    .option('--l3-cache-schema <schema>', "L3 cache that the container's class of service can use, such as L3:0=7f0")
    .option('--mem-bw-schema <schema>', 'its memory bandwidth, such as MB:0=20')
    .addOption(new Flag('--kernel-memory <size>', 'obsolete: has no effect').hideHelp())
    .addOption(new Flag('--kernel-memory-tcp <size>', 'obsolete: has no effect').hideHelp())
    .action(async (id: string, flags: UpdateFlags) => {
      const { resources: file, kernelMemory, kernelMemoryTcp, l3CacheSchema, memBwSchema, ...limits } = flags;
      for (const [name, value] of Object.entries({ 'kernel-memory': kernelMemory, 'kernel-memory-tcp': kernelMemoryTcp })) {
        if (value !== undefined) shell.log.warn(`--${name} is obsolete and has no effect`);
      }
      if (file !== undefined && Object.keys(limits).length > 0) {
        throw new StrataError({ code: 'usage', reason: '--resources cannot be combined with limits as flags' });
      }
      await update(shell.host, {
        ...shell.container(id),
        resources: file === undefined ? asResources(limits) : readResources(shell.host, file),
        ...(l3CacheSchema !== undefined && { l3CacheSchema }),
        ...(memBwSchema !== undefined && { memBwSchema }),
      });
    });
}

/** The flags as a `linux.resources`; 0 means 'not set' there too, but for what it takes back. */
function asResources(flags: UpdateFlags): object {
  return {
    memory: { limit: flags.memory, reservation: flags.memoryReservation, swap: flags.memorySwap },
    cpu: {
      period: flags.cpuPeriod,
      quota: flags.cpuQuota,
      burst: flags.cpuBurst,
      shares: flags.cpuShare,
      realtimePeriod: flags.cpuRtPeriod,
      realtimeRuntime: flags.cpuRtRuntime,
      cpus: flags.cpusetCpus,
      mems: flags.cpusetMems,
      idle: flags.cpuIdle,
    },
    blockIO: { weight: flags.blkioWeight },
    ...(flags.pidsLimit !== undefined && { pids: { limit: flags.pidsLimit } }),
  };
}

/** @throws StrataError `config-syntax`, or `system` if there is no such file. */
function readResources(host: Host, file: string): unknown {
  let text: string;
  try {
    text = file === '-' ? host.readAll(STDIN, MAX_SPEC_LENGTH) : host.readText(file, MAX_SPEC_LENGTH);
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
    const what = file === '-' ? 'standard input' : file;
    throw new StrataError({ code: 'system', stage: 'load', reason: `cannot read ${what}`, ...(error.errno !== undefined && { errno: error.errno }) });
  }
  try {
    return parseExact(text);
  } catch (error) {
    throw error instanceof StrataError ? withFields(error, { document: 'resources' }) : error;
  }
}

function integer(text: string): bigint {
  if (!/^-?[0-9]{1,20}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return BigInt(text);
}

function whole(text: string): number {
  return Number(integer(text));
}
