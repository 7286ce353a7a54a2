/** Volumes of a store: directories that outlive the containers which use them. */
import type { VolumeReport } from '../instance/volume-verbs.ts';
import { createVolume, inspectVolume, listVolumes, pruneVolumes, removeUnused } from '../instance/volume-verbs.ts';
import { prepareStore } from '../store/store.ts';
import { host } from './machine.ts';
import type { StoreOptions } from './store.ts';
import { opened, storeRoot } from './store.ts';

export interface VolumeOptions extends StoreOptions {
  readonly name: string;
}

export interface CreateOptions extends VolumeOptions {
  readonly labels?: Readonly<Record<string, string>>;
}

export interface PruneOptions extends StoreOptions {
  /** Also those that have been given a name. */
  readonly all?: boolean;
  /** Only tell what would be removed. */
  readonly dryRun?: boolean;
}

/** All volumes, by name. */
export async function list(options: StoreOptions = {}): Promise<readonly VolumeReport[]> {
  return listVolumes(opened(options), options.onWarning);
}

/** Makes an empty volume; the store is made if it does not exist. */
export async function create(options: CreateOptions): Promise<void> {
  await createVolume(prepareStore(host(), storeRoot(options)), options.name, options.labels ?? {});
}

export async function inspect(options: VolumeOptions): Promise<VolumeReport> {
  return inspectVolume(opened(options), options.name);
}

/** Removes a volume that no container has, with all that is in it. */
export async function remove(options: VolumeOptions): Promise<void> {
  await removeUnused(opened(options), options.name);
}

/** Removes the volumes that no container has; their names. */
export async function prune(options: PruneOptions = {}): Promise<readonly string[]> {
  const { all = false, dryRun = false } = options;
  return pruneVolumes(opened(options), { all, dryRun });
}

export type { VolumeReport };
