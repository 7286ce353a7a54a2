/** `ps`: every container, with or without an image, as people want to see them. */
import { hasCode, messageOf } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import type { Report } from '../lifecycle/report.ts';
import { describeState } from '../lifecycle/state.ts';
import type { Status } from '../lifecycle/status.ts';
import type { ContainerRecord } from '../lifecycle/store.ts';
import { listIds, load, loadProcess } from '../lifecycle/store.ts';
import { containerPath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import { layerSizes } from '../store/usage.ts';
import type { Exit } from './exit.ts';
import { listInstances, observeInstance } from './instances.ts';
import type { Instance } from './record.ts';

export interface PsOptions extends Report {
  readonly root: string;
  readonly store: string;
  /** Also those that do not run. */
  readonly all?: boolean;
  /** Measures their writable layers, which takes time. */
  readonly size?: boolean;
}

export interface PsEntry {
  readonly id: string;
  /** The name that was asked for, or the image's id; '' for a container of a bundle. */
  readonly image: string;
  /** `sha256:…`, '' for a container of a bundle. */
  readonly imageId: string;
  readonly command: readonly string[];
  /** RFC 3339. */
  readonly created: string;
  readonly status: Status;
  /** 0 for one that does not run. */
  readonly pid: number;
  /** When its program was last started, RFC 3339. */
  readonly started?: string;
  readonly exit?: Exit;
  readonly labels: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
  readonly size?: {
    /** Bytes of the writable layer. */
    readonly upper: number;
    /** With the layers below it. */
    readonly virtual: number;
  };
}

/** By id. One that cannot be read is left out with a warning. */
export async function listContainers(host: Host, options: PsOptions): Promise<readonly PsEntry[]> {
  const store = openStore(host, options.store);
  const entries: PsEntry[] = [];
  const known = new Set<string>();
  const sizes = options.size === true ? layerSizes(store) : undefined;
  for (const instance of listInstances(store, options.warn)) {
    known.add(instance.id);
    const entry = await entryOf(store, options, instance);
    if (entry === undefined || !isWanted(entry, options)) continue;
    entries.push(sizes === undefined ? entry : { ...entry, size: await sizeOf(store, instance, sizes) });
  }
  for (const id of listIds(host, options.root)) {
    const entry = known.has(id) ? undefined : bundleEntry(host, options, id);
    if (entry !== undefined && isWanted(entry, options)) entries.push(entry);
  }
  return entries.sort((one, other) => (one.id < other.id ? -1 : 1));
}

function isWanted({ status }: PsEntry, { all }: PsOptions): boolean {
  return all === true || (status !== 'stopped' && status !== 'created');
}

async function entryOf({ host, root: store }: Store, { root, warn }: PsOptions, instance: Instance): Promise<PsEntry | undefined> {
  const { id, image, reference, command, created, labels, volumes } = instance;
  try {
    const state = await observeInstance(host, { root, store, id });
    const rest = { command, created, labels, volumes: volumes.map(({ name }) => name) };
    return { id, image: reference === '' ? image : reference, imageId: image, ...rest, ...state };
  } catch (error) {
    return leftOut(error, warn);
  }
}

function leftOut(error: unknown, warn: Report['warn']): undefined {
  if (hasCode(error, 'state-damaged')) warn?.(messageOf(error));
  else if (!hasCode(error, 'not-found')) throw error;
}

function bundleEntry(host: Host, { root, warn }: PsOptions, id: string): PsEntry | undefined {
  try {
    const record = load(host, root, id);
    const { status, pid, created } = describeState(host, root, record);
    return { id, image: '', imageId: '', command: commandOf(host, root, record), created, status, pid, labels: record.annotations, volumes: [] };
  } catch (error) {
    return leftOut(error, warn);
  }
}

function commandOf(host: Host, root: string, { id, startSteps }: ContainerRecord): readonly string[] {
  return loadProcess(host, root, id)?.args ?? startSteps.filter(({ op }) => op === 'exec').map(({ program }) => program);
}

async function sizeOf({ host, root }: Store, { id, layers }: Instance, sizes: ReadonlyMap<string, number>): Promise<NonNullable<PsEntry['size']>> {
  const path = `${containerPath(root, id)}/upper`;
  // One that is just being deleted has none any more.
  const upper = host.stat(path) === undefined ? 0 : await host.diskUsage(path);
  return { upper, virtual: layers.reduce((sum, layer) => sum + (sizes.get(layer) ?? 0), upper) };
}
