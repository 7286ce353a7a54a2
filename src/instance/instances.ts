/** Containers that are in the store: what is recorded of them, and what they are at this moment. */
import { hasCode, messageOf } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import type { ContainerName } from '../lifecycle/report.ts';
import type { ContainerState } from '../lifecycle/state.ts';
import { state } from '../lifecycle/state.ts';
import { notFound } from '../lifecycle/store.ts';
import { OCI_VERSION } from '../spec/defaults.ts';
import type { Reader } from '../spec/reader.ts';
import { defaulting, flag, integer, list, map, object, oneOf, optional, required, text } from '../spec/reader.ts';
import { containerPath, containersPath } from '../store/paths.ts';
import { readRecord } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { listNames, openStore } from '../store/store.ts';
import { exitFile, startOf } from './directory.ts';
import type { Exit } from './exit.ts';
import type { Instance, InstanceVolume, LogSettings } from './record.ts';

/** A container's name, and the store in which it may be. */
export interface InstanceName extends ContainerName {
  /** Absolute. */
  readonly store: string;
}

export interface InstanceState extends Pick<ContainerState, 'status' | 'pid'> {
  /** When its program was last started, RFC 3339. */
  readonly started?: string;
  /** Of one that has stopped; absent if that was not written down, as when the machine went down. */
  readonly exit?: Exit;
}

const COUNT = integer(0, Number.MAX_SAFE_INTEGER);
export const readInstance: Reader<Instance> = object<Instance>({
  id: required(text),
  image: required(text),
  reference: defaulting(text, ''),
  layers: required(list(text)),
  command: required(list(text)),
  created: required(text),
  stopSignal: defaulting(text, 'SIGTERM'),
  volumes: defaulting(list(object<InstanceVolume>({ name: required(text), anonymous: required(flag) })), []),
  terminal: required(flag),
  interactive: required(flag),
  remove: required(flag),
  log: required(
    object<LogSettings>({ driver: required(oneOf<LogSettings['driver']>('json-file none')), maxSize: required(COUNT), maxFile: required(COUNT) }),
  ),
  labels: defaulting(map(text), {}),
});
const readExit = object<Exit>({
  code: optional(integer(0, 255)),
  signal: optional(integer(1, 64)),
  finished: required(text),
  oomKilled: required(flag),
});

export function isInstance(host: Host, { store, id }: Pick<InstanceName, 'store' | 'id'>): boolean {
  return host.stat(containerPath(store, id)) !== undefined;
}

/** @throws StrataError `not-found`, `store-damaged`. */
export function loadInstance(store: Store, id: string): Instance {
  const instance = readRecord(store, `${containerPath(store.root, id)}/container.json`, `the record of container ${id}`, readInstance);
  if (instance === undefined) throw notFound(id);
  // A rename changes the directory first.
  return { ...instance, id };
}

/** All of them, by id. One whose record is damaged is left out with a warning. */
export function listInstances(store: Store, warn?: (text: string) => void): readonly Instance[] {
  const instances: Instance[] = [];
  for (const id of listNames(store, containersPath(store.root))) {
    try {
      instances.push(loadInstance(store, id));
    } catch (error) {
      if (hasCode(error, 'store-damaged')) warn?.(messageOf(error));
      else if (!hasCode(error, 'not-found')) throw error;
    }
  }
  return instances;
}

/** What an instance is at this moment: `created` if its program has never been started. */
export async function observeInstance(host: Host, name: InstanceName): Promise<InstanceState> {
  const running = await runState(host, name);
  const directory = containerPath(name.store, name.id);
  const started = startOf(host, directory);
  if (running !== undefined && running.status !== 'stopped') {
    return { status: running.status, pid: running.pid, ...(started !== undefined && { started }) };
  }
  if (started === undefined) return { status: 'created', pid: 0 };
  const exit = exitOf({ host, root: name.store }, name.id);
  return { status: 'stopped', pid: 0, started, ...(exit !== undefined && { exit }) };
}

/** Undefined if nothing is written down; a file that was cut short says nothing either. */
export function exitOf(store: Store, id: string): Exit | undefined {
  try {
    return readRecord(store, exitFile(containerPath(store.root, id)), `the exit of container ${id}`, readExit);
  } catch (error) {
    if (hasCode(error, 'store-damaged')) return undefined;
    throw error;
  }
}

/** The state that the lifecycle has of it, undefined if it has none: it does not outlive the machine's being up, nor a container in the foreground. */
export async function runState(host: Host, name: ContainerName): Promise<ContainerState | undefined> {
  try {
    return await state(host, name);
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    throw error;
  }
}

/** The state of a container with or without an image, in the form of the specification. @throws StrataError `not-found`, `state-damaged`. */
export async function stateOf(host: Host, name: InstanceName): Promise<ContainerState> {
  const running = await runState(host, name);
  if (running !== undefined) return running;
  if (!isInstance(host, name)) throw notFound(name.id);
  const instance = loadInstance(openStore(host, name.store), name.id);
  const { status } = await observeInstance(host, name);
  const bundle = containerPath(name.store, name.id);
  return {
    ociVersion: OCI_VERSION,
    id: name.id,
    pid: 0,
    status,
    bundle,
    rootfs: `${bundle}/rootfs`,
    created: instance.created,
    ...(Object.keys(instance.labels).length > 0 && { annotations: instance.labels }),
    owner: 'root',
  };
}
