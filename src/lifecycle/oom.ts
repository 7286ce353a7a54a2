/** Wants of memory: who hears of them, and what was one (kernel documentation, admin-guide/cgroup-v2, memory.events). */
import type { HostFacts } from '../host/facts.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { knownPlaces } from '../plan/cgroup.ts';
import { placeOf } from '../plan/resources.ts';
import { CgroupFiles } from './cgroup-files.ts';
import { cgroupDirectory } from './destroy.ts';
import { scopeDirectory } from './scope.ts';
import type { ContainerRecord } from './store.ts';

export interface MemoryWatch {
  readonly descriptor: Descriptor;
  readonly version: 1 | 2;
  /** Whether what was heard is a want of memory: the removal of a v1 cgroup is heard too, and on v2 every change of its counts. */
  readonly isReal: () => boolean;
  /** Whether one was not heard of, now that the container has ended: the kernel tells of changes some 10 ms late. */
  readonly wasMissed: () => boolean;
  /** To be called now and then while the container lives. */
  readonly refresh: () => void;
}

/** undefined where the container's memory is not counted. */
export function watchMemory(host: Host, record: ContainerRecord, facts: HostFacts): MemoryWatch | undefined {
  const place = placeOf('memory', knownPlaces(record.cgroups, facts));
  if (place === undefined) return undefined;
  const { directory, unified } = place;
  if (!unified) {
    const isReal = (): boolean => host.stat(directory) !== undefined;
    return { descriptor: host.watchMemory(directory, 1), version: 1, isReal, wasMissed: () => false, refresh: () => {} };
  }
  if (host.stat(`${directory}/memory.events`) === undefined) return undefined;
  const above = sliceOf(host, record);
  let known = kills(host, directory) ?? 0;
  above?.refresh(known);
  const isReal = (): boolean => {
    const now = kills(host, directory) ?? 0;
    const more = now > known;
    known = Math.max(known, now);
    return more;
  };
  return {
    descriptor: host.watchMemory(directory, 2),
    version: 2,
    isReal,
    wasMissed: () => isReal() || (above !== undefined && kills(host, directory) === undefined && above.hasMore(known)),
    // Not when the container has lost one that was not told yet, or is gone: that would pass for another's.
    refresh: () => above?.refresh(known, () => kills(host, directory) === known),
  };
}

/** How many processes of the cgroup the kernel has killed; undefined where it does not count, or the cgroup is gone. */
function kills(host: Host, directory: string): number | undefined {
  const count = new CgroupFiles(host, directory).keyed('memory.events')['oom_kill'];
  return count === undefined ? undefined : Number(count);
}

/** The slice around a container's scope; undefined without systemd. */
function sliceOf(host: Host, { systemd, cgroups }: ContainerRecord): Slice | undefined {
  const { hierarchy = '', path = '' } = cgroups[0] ?? {};
  return systemd === undefined ? undefined : new Slice(host, scopeDirectory(hierarchy + path));
}

/**
 * Whether the kernel has killed a process of a container for want of memory, to be asked when that has ended. Made before it begins: it may be over, and
 * its scope gone, before anybody could look again.
 */
export class MemoryVerdict {
  private readonly host: Host;
  private readonly slice: Slice | undefined;

  constructor(host: Host, record: ContainerRecord) {
    this.host = host;
    this.slice = sliceOf(host, record);
    this.slice?.refresh(0);
  }

  wasShort(record: ContainerRecord): boolean {
    const counts = findCounts(this.host, record);
    const count = counts && new CgroupFiles(this.host, counts.directory).keyed(counts.name)['oom_kill'];
    return count === undefined ? (this.slice?.hasMore(0) ?? false) : count > 0;
  }
}

/**
 * For a keeper, which finds out the same by itself: the file of the slice, which outlives the scope, and how many it counts. '' without systemd. Before the
 * container begins.
 */
export function countsAround(host: Host, record: ContainerRecord): { readonly file: string; readonly before: number } {
  const slice = sliceOf(host, record);
  return slice === undefined ? { file: '', before: 0 } : { file: `${slice.directory}/memory.events`, before: kills(host, slice.directory) ?? 0 };
}

/** The file in which the kernel counts the processes that it has killed for want of memory; '' if there is none. */
export function memoryEvents(host: Host, record: ContainerRecord): string {
  const counts = findCounts(host, record);
  return counts === undefined ? '' : `${counts.directory}/${counts.name}`;
}

function findCounts(host: Host, { cgroups }: ContainerRecord): { readonly directory: string; readonly name: string } | undefined {
  for (const { hierarchy, path } of cgroups) {
    const directory = cgroupDirectory(hierarchy, path);
    for (const name of ['memory.oom_control', 'memory.events']) if (host.stat(`${directory}/${name}`) !== undefined) return { directory, name };
  }
  return undefined;
}

/**
 * systemd removes a scope as soon as it is empty, and its counts with it; those of the slice around it go on. What was killed neither in another unit
 * of the slice nor before was killed in ours.
 */
class Slice {
  readonly directory: string;
  private readonly host: Host;
  private readonly own: string;
  /** So many were killed that are not the container's, nor of the units there are. */
  private others = 0;
  /** Units where some were. */
  private unlucky: readonly string[] = [];

  constructor(host: Host, scope: string) {
    const slash = scope.lastIndexOf('/');
    this.host = host;
    this.directory = scope.slice(0, slash);
    this.own = scope.slice(slash + 1);
  }

  /** `known`: so many were killed in the container. `isKnown`: whether that is so, asked after counting. */
  refresh(known: number, isKnown: () => boolean = () => true): void {
    const { rest, unlucky } = this.count();
    if (!isKnown()) return;
    this.others = rest - known;
    this.unlucky = unlucky;
  }

  /**
   * Whether more than the known ones were killed in the container, which is gone. Not to be told if a unit has gone too that the others were killed
   * in.
   */
  hasMore(known: number): boolean {
    const { rest, unlucky } = this.count();
    return rest - this.others > known && this.unlucky.every((name) => unlucky.includes(name));
  }

  private count(): { readonly rest: number; readonly unlucky: readonly string[] } {
    const unlucky: string[] = [];
    let rest = kills(this.host, this.directory) ?? 0;
    for (const name of this.units()) {
      const count = kills(this.host, `${this.directory}/${name}`) ?? 0;
      if (count > 0) unlucky.push(name);
      rest -= count;
    }
    return { rest, unlucky };
  }

  /** Of the root slice the kernel counts nothing. */
  private units(): readonly string[] {
    if (this.host.stat(`${this.directory}/memory.events`) === undefined) return [];
    return this.host.list(this.directory).filter((name) => name !== this.own && /\.(?:slice|scope|service|socket|mount|swap)$/.test(name));
  }
}
