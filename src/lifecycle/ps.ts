/** `ps`: the processes of a container. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { cgroupDirectories } from './destroy.ts';
import { isCgroupGone } from './fault.ts';
import { checkId } from './id.ts';
import type { ContainerName } from './report.ts';
import { loadSettled } from './state.ts';

/** Pids, as this process sees them, of every process in the container's cgroup and the cgroups below it, in ascending order. */
export async function pids(host: Host, options: ContainerName): Promise<number[]> {
  checkId(options.id);
  const record = await loadSettled(host, options.root, options.id);
  const directory = record.freezer?.directory ?? cgroupDirectories(record)[0];
  if (directory === undefined) {
    const reason = `cannot list the processes of container ${options.id}: it has no cgroup of its own`;
    throw new StrataError({ code: 'config-unsupported', stage: 'state', reason });
  }
  const found = new Set<number>();
  collect(host, directory, found);
  return [...found].sort((a, b) => a - b);
}

function collect(host: Host, directory: string, found: Set<number>): void {
  try {
    for (const line of host.readText(`${directory}/cgroup.procs`).split('\n')) {
      // 0 stands for a process outside our pid namespace.
      if (line !== '' && line !== '0') found.add(Number(line));
    }
    for (const name of host.list(directory)) {
      if (host.stat(`${directory}/${name}`)?.type === 'directory') collect(host, `${directory}/${name}`, found);
    }
  } catch (error) {
    if (!isCgroupGone(error)) throw error;
  }
}

/** Lines of the host's ps(1) that are about the container's processes, its heading first. `args`: for ps, `-ef` if empty. */
export async function processTable(host: Host, options: ContainerName & { readonly args: readonly string[] }): Promise<string> {
  const wanted = new Set(await pids(host, options));
  const path = ['/usr/bin/ps', '/bin/ps'].find((candidate) => host.stat(candidate) !== undefined);
  if (path === undefined) {
    throw new StrataError({
      code: 'system',
      stage: 'state',
      reason: 'exec: "ps": executable file not found in $PATH',
      hint: '--format json works without it',
    });
  }
  const args = options.args.length > 0 ? options.args : ['-ef'];
  const env = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8'];
  const result = await host.run({ path, args: ['ps', ...args], env, stdin: '', timeout: 0 });
  if (result.status.code !== 0)
    throw new StrataError({ code: 'usage', reason: `ps ${args.join(' ')}: ${result.stderr.trim() || `exit status ${result.status.code}`}` });
  const [heading = '', ...lines] = result.stdout.split('\n');
  const column = heading.trim().split(/\s+/).indexOf('PID');
  if (column === -1) throw new StrataError({ code: 'usage', reason: 'the output of ps has no PID column', hint: 'choose ps options that print one' });
  const kept = lines.filter((line) => wanted.has(Number(line.trim().split(/\s+/)[column])));
  return `${[heading, ...kept].join('\n')}\n`;
}
