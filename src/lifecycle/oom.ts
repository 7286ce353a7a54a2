/** Wants of memory: who hears of them, and what was one (kernel documentation, admin-guide/cgroup-v2, memory.events). */
import type { HostFacts } from '../host/facts.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { knownPlaces } from '../plan/cgroup.ts';
import { placeOf } from '../plan/resources.ts';
import { CgroupFiles } from './cgroup-files.ts';
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
  const above = record.systemd === undefined ? undefined : new Slice(host, directory.slice(0, directory.lastIndexOf('/')));
  let known = kills(host, directory);
  above?.refresh(known);
  const isReal = (): boolean => {
    const now = kills(host, directory);
    const more = now > known;
    known = now;
    return more;
  };
  return {
    descriptor: host.watchMemory(directory, 2),
    version: 2,
    isReal,
    wasMissed: () => (above !== undefined && host.stat(directory) === undefined ? above.hasMore(known) : isReal()),
    refresh: () => above?.refresh(known),
  };
}

function kills(host: Host, directory: string): number {
  return Number(new CgroupFiles(host, directory).keyed('memory.events')['oom_kill'] ?? 0);
}

/**
 * systemd removes a scope as soon as it is empty, and its counts with it; those of the slice around it go on. What was killed neither in another unit
 * of the slice nor before was killed in ours.
 */
class Slice {
  private readonly host: Host;
  private readonly directory: string;
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

  /** `known`: so many were killed in the container. */
  refresh(known: number): void {
    const { rest, unlucky } = this.count();
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
    let rest = kills(this.host, this.directory);
    for (const name of this.units()) {
      const count = kills(this.host, `${this.directory}/${name}`);
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
