/** What can be done with volumes by their names: list, make, look at, remove. */
import { StrataError } from '../base/error.ts';
import { hasCode, messageOf } from '../base/fault.ts';
import { flag, map, object, required, text } from '../spec/reader.ts';
import { whileRemoving, whileUsing } from '../store/lock.ts';
import { volumeData, volumePath } from '../store/paths.ts';
import { readRecord } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { listNames } from '../store/store.ts';
import { listInstances } from './instances.ts';
import { removeVolume } from './removal.ts';
import type { Volume } from './volumes.ts';
import { makeVolume } from './volumes.ts';
import { checkVolumeName } from './wishes.ts';

/** A volume, where it is, and who uses it. */
export interface VolumeReport extends Volume {
  /** The directory that containers see. */
  readonly path: string;
  /** Ids of containers, running or not. */
  readonly containers: readonly string[];
}

const readVolume = object<Volume>({ name: required(text), created: required(text), labels: required(map(text)), anonymous: required(flag) });

function loadVolume(store: Store, name: string): Volume | undefined {
  return readRecord(store, `${volumePath(store.root, name)}/volume.json`, `the record of volume ${name}`, readVolume);
}

/** By name; a volume whose record is damaged is left out with a warning. */
export function listVolumes(store: Store, warn?: (text: string) => void): readonly VolumeReport[] {
  const users = usersOf(store, warn);
  const reports: VolumeReport[] = [];
  for (const name of listNames(store, `${store.root}/volumes`)) {
    try {
      const volume = loadVolume(store, name);
      if (volume !== undefined) reports.push({ ...volume, path: volumeData(store.root, name), containers: users.get(name) ?? [] });
    } catch (error) {
      if (!hasCode(error, 'store-damaged')) throw error;
      warn?.(messageOf(error));
    }
  }
  return reports;
}

/** @throws StrataError `not-found`, `store-damaged`. */
export function inspectVolume(store: Store, name: string): VolumeReport {
  checkVolumeName(name);
  const volume = loadVolume(store, name);
  if (volume === undefined) throw noVolume(name);
  return { ...volume, path: volumeData(store.root, name), containers: usersOf(store).get(name) ?? [] };
}

function noVolume(name: string): StrataError {
  return new StrataError({ code: 'not-found', reason: `volume does not exist: ${name}` });
}

function usersOf(store: Store, warn?: (text: string) => void): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const { id, volumes } of listInstances(store, warn)) {
    for (const { name } of volumes) users.set(name, [...(users.get(name) ?? []), id]);
  }
  return users;
}

/** Makes an empty volume. @throws StrataError `exists`, `usage`. */
export async function createVolume(store: Store, name: string, labels: Readonly<Record<string, string>>): Promise<void> {
  checkVolumeName(name);
  const made = await whileUsing(store, () => makeVolume(store, { name, labels, anonymous: false }));
  if (!made) throw new StrataError({ code: 'exists', reason: `volume ${name} exists` });
}

/** @throws StrataError `not-found`; `in-use` while a container has it, running or not. */
export function removeUnused(store: Store, name: string): Promise<void> {
  checkVolumeName(name);
  return whileRemoving(store, async () => {
    if (store.host.stat(volumePath(store.root, name)) === undefined) throw noVolume(name);
    const [user] = usersOf(store).get(name) ?? [];
    if (user !== undefined) throw new StrataError({ code: 'in-use', reason: `volume ${name} is in use by container ${user}` });
    await removeVolume(store, name);
  });
}

export interface VolumePruneOptions {
  /** Also those that somebody has named. */
  readonly all: boolean;
  readonly dryRun: boolean;
}

/** Removes the volumes that no container has; their names. While a container's record cannot be read, nobody knows which: `store-damaged`. */
export function pruneVolumes(store: Store, { all, dryRun }: VolumePruneOptions): Promise<readonly string[]> {
  return whileRemoving(store, async () => {
    const doubt = (why: string): never => {
      throw new StrataError({ code: 'store-damaged', reason: why, hint: 'nothing is removed' });
    };
    const unused = listVolumes(store, doubt).filter(({ anonymous, containers }) => (all || anonymous) && containers.length === 0);
    for (const { name } of dryRun ? [] : unused) await removeVolume(store, name);
    return unused.map(({ name }) => name);
  });
}
