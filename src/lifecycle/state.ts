/**
 * The state of a container as the specification has it (runtime.md#state), with the properties that runc adds, in runc's order, and one of crun's.
 */
import type { Host } from '../host/host.ts';
import { hasCode } from './fault.ts';
import { checkId } from './id.ts';
import { isLocked } from './lock.ts';
import { observe } from './observe.ts';
import type { ContainerName } from './report.ts';
import type { Status } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { checkRoot, load, notFound } from './store.ts';

export interface ContainerState {
  readonly ociVersion: string;
  readonly id: string;
  /** 0 when the container is stopped. */
  readonly pid: number;
  readonly status: Status;
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339, UTC. */
  readonly created: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Name of the user who created it, or `#uid`. */
  readonly owner: string;
  /** The unit that systemd has made for it, if it manages the cgroup. */
  readonly 'systemd-scope'?: string;
}

/** Milliseconds for which a directory without a state is taken for one that another process is just filling or emptying. */
const PATIENCE = 1000;

/** The state of one container. @throws StrataError `not-found`, `state-damaged`. */
export async function state(host: Host, options: ContainerName): Promise<ContainerState> {
  checkId(options.id);
  const record = await loadSettled(host, options.root, options.id);
  return describeState(host, options.root, record);
}

/** Reads the record; while another process is just making or removing it, waits for what comes of it. */
export async function loadSettled(host: Host, root: string, id: string): Promise<ContainerRecord> {
  if (!checkRoot(host, root)) throw notFound(id);
  const end = host.now() + PATIENCE;
  for (let pause = 1; ; pause *= 2) {
    try {
      return load(host, root, id);
    } catch (error) {
      if (!hasCode(error, 'state-damaged') || host.now() >= end || !isLocked(host, root, id)) throw error;
    }
    await host.sleep(pause);
  }
}

/** What a record and the kernel say together. */
export function describeState(host: Host, root: string, record: ContainerRecord): ContainerState {
  const { status, pid } = observe(host, root, record, false);
  return stateOf(record, status, pid, userName(host, record.owner));
}

/** The state as hooks get it on their standard input. */
export function hookState(record: ContainerRecord, status: Status): string {
  const pid = status === 'stopped' ? 0 : (record.process?.pid ?? 0);
  const { ociVersion, id, bundle, annotations } = record;
  return JSON.stringify({ ociVersion, id, status, pid, bundle, ...(Object.keys(annotations).length > 0 && { annotations }) });
}

function stateOf(record: ContainerRecord, status: Status, pid: number, owner: string): ContainerState {
  const { ociVersion, id, bundle, rootfs, created, annotations, systemd } = record;
  const given = Object.keys(annotations).length > 0 && { annotations };
  return { ociVersion, id, pid, status, bundle, rootfs, created, ...given, owner, ...(systemd !== undefined && { 'systemd-scope': systemd.unit }) };
}

function userName(host: Host, uid: number): string {
  if (uid === 0) return 'root';
  try {
    for (const line of host.readText('/etc/passwd').split('\n')) {
      const fields = line.split(':');
      if (fields[2] === String(uid) && fields[0] !== undefined) return fields[0];
    }
  } catch {
    // Without a readable list of users the number says as much.
  }
  return `#${uid}`;
}
