/** Checks of `linux.cgroupsPath` and `linux.resources`, for create and for update. */
import { pointer } from '../base/pointer.ts';
import { invalid } from './refuse.ts';
import type { Resources, Spec } from './types.ts';

/** Whether the path names a scope of systemd's, and not a directory. */
export interface CgroupFacts {
  readonly cgroup?: { readonly scope?: string };
}

export function checkCgroupsPath(spec: Spec, { cgroup }: CgroupFacts): readonly string[] {
  if (cgroup?.scope !== undefined) return [];
  const path = spec.linux.cgroupsPath ?? '';
  if (path.includes('..') && path.split('/').includes('..')) invalid('/linux/cgroupsPath', "must not contain '..'");
  return /^[^/:]*:[^/:]*:[^/:]+$/.test(path) ? ['/linux/cgroupsPath has the form that systemd cgroups use, but names a directory here'] : [];
}

/** Files of a cgroup that act on processes, anybody's even, or make it one that takes none. */
const ACTIONS = ['cgroup.procs', 'cgroup.threads', 'cgroup.kill', 'cgroup.freeze', 'cgroup.type', 'cgroup.subtree_control'];

/** @param place where the resources stand in their document */
export function checkResources(resources: Resources, place = '/linux/resources'): void {
  checkMemory(resources, `${place}/memory`);
  checkCpu(resources, `${place}/cpu`);
  checkBlockIO(resources, `${place}/blockIO`);
  if (resources.pids !== undefined) checkLimit(resources.pids.limit, `${place}/pids/limit`);
  const pageSizes = new Set<string>();
  for (const [index, { pageSize }] of resources.hugepageLimits.entries()) {
    if (pageSizes.has(pageSize)) invalid(`${place}/hugepageLimits/${index}/pageSize`, `duplicate page size ${pageSize}`);
    pageSizes.add(pageSize);
  }
  for (const key of Object.keys(resources.unified)) {
    if (!/^[^/.][^/]*\.[^/]+$/.test(key)) invalid(pointer(`${place}/unified`, key), 'expected the name of a cgroup file such as memory.high');
    if (ACTIONS.includes(key)) invalid(pointer(`${place}/unified`, key), 'is no limit: it is how processes are moved, stopped and killed');
  }
  for (const device of Object.keys(resources.rdma ?? {})) {
    if (!/^[^\s=]+$/.test(device)) invalid(pointer(`${place}/rdma`, device), 'expected the name of an RDMA device such as mlx5_1');
  }
}

/** -1 is no limit; the kernel's files would wrap other negative values, or refuse them. */
function checkLimit(limit: bigint | undefined, place: string): void {
  if (limit !== undefined && limit < -1n) invalid(place, `expected -1 for no limit, or a limit, found ${limit}`);
}

function checkMemory({ memory }: Resources, place: string): void {
  if (memory === undefined) return;
  for (const key of ['limit', 'reservation', 'swap', 'kernel', 'kernelTCP'] as const) checkLimit(memory[key], `${place}/${key}`);
  const { limit = 0n, swap = 0n, swappiness = 0n } = memory;
  if (limit > 0n && swap > 0n && swap < limit) invalid(`${place}/swap`, `memory and swap together, ${swap}, are below the memory limit ${limit}`);
  if (limit === -1n && swap > 0n) invalid(`${place}/swap`, 'memory and swap together are limited, but memory is not');
  if (swappiness > 100n) invalid(`${place}/swappiness`, `expected an integer from 0 to 100, found ${swappiness}`);
}

function checkCpu({ cpu }: Resources, place: string): void {
  if (cpu === undefined) return;
  const { quota = 0n, burst = 0n, idle = 0n } = cpu;
  if (quota > 0n && burst > quota) invalid(`${place}/burst`, `${burst} is above the quota ${quota}`);
  if (idle !== 0n && idle !== 1n) invalid(`${place}/idle`, `expected 0 or 1, found ${idle}`);
}

function checkBlockIO({ blockIO }: Resources, place: string): void {
  if (blockIO === undefined) return;
  checkWeight(blockIO.weight, `${place}/weight`);
  checkWeight(blockIO.leafWeight, `${place}/leafWeight`);
  for (const [index, { weight, leafWeight }] of blockIO.weightDevice.entries()) {
    const entry = `${place}/weightDevice/${index}`;
    if (weight === undefined && leafWeight === undefined) invalid(entry, 'needs weight or leafWeight');
    checkWeight(weight, `${entry}/weight`);
    checkWeight(leafWeight, `${entry}/leafWeight`);
  }
}

/** 0 is 'not set' for engines that cannot leave a number out. */
function checkWeight(weight: number | undefined, place: string): void {
  if (weight !== undefined && weight !== 0 && (weight < 10 || weight > 1000)) invalid(place, `expected an integer from 10 to 1000, found ${weight}`);
}
