/** `events`: what a container uses, at intervals, and when it runs out of memory. */
import { recentFacts } from '../host/facts.ts';
import type { Descriptor, EventSources, Host } from '../host/host.ts';
import { checkId } from './id.ts';
import { observe } from './observe.ts';
import { type MemoryWatch, watchMemory } from './oom.ts';
import type { ContainerName } from './report.ts';
import { loadSettled } from './state.ts';
import { readStats, type Stats } from './stats.ts';
import { permit } from './status.ts';
import type { ContainerRecord } from './store.ts';

export interface EventsOptions extends ContainerName {
  /** Milliseconds between statistics. */
  readonly interval: number;
  /** The end to read from of a pipe: when the other is closed, nothing more is told. */
  readonly cancel?: Descriptor;
}

export interface StatsEvent {
  readonly type: 'stats';
  readonly id: string;
  readonly data: Stats;
}
export type ContainerEvent =
  | StatsEvent
  /** A process of the container asked for memory that its limit does not allow. */
  | { readonly type: 'oom'; readonly id: string };

/** The statistics of a container that has not stopped. @throws StrataError `status`. */
export async function stats(host: Host, options: ContainerName): Promise<StatsEvent> {
  const record = await living(host, options);
  return { type: 'stats', id: options.id, data: readStats(host, record, recentFacts(host)) };
}

/** Statistics after each interval, and events as they come, until the container has stopped. @throws StrataError `status`. */
export async function* events(host: Host, options: EventsOptions): AsyncGenerator<ContainerEvent, void> {
  const { id, interval, cancel = -1 } = options;
  const record = await living(host, options);
  const facts = recentFacts(host);
  const pidfd = record.process && host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return;
  let memory: MemoryWatch | undefined;
  try {
    memory = watchMemory(host, record, facts);
    const sources: EventSources = { pidfd, memory: memory?.descriptor ?? -1, version: memory?.version ?? 1, cancel };
    for (let next = host.now() + interval; ; ) {
      const what = await host.waitEvent(sources, Math.max(0, next - host.now()));
      if (what === 'cancel') return;
      if (what === 'exit') {
        // The want of memory may be what ended the container.
        if (memory?.wasMissed() === true) yield { type: 'oom', id };
        return;
      }
      if (what === 'memory') {
        if (memory?.isReal() === true) yield { type: 'oom', id };
      } else {
        next = Math.max(next + interval, host.now());
        memory?.refresh();
        yield { type: 'stats', id, data: readStats(host, record, facts) };
      }
    }
  } finally {
    host.close(pidfd);
    if (memory !== undefined) host.close(memory.descriptor);
  }
}

async function living(host: Host, { root, id }: ContainerName): Promise<ContainerRecord> {
  checkId(id);
  const record = await loadSettled(host, root, id);
  permit('events', observe(host, root, record, false).status, id);
  return record;
}
