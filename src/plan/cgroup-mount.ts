/** Mounts of type `cgroup` and `cgroup2`: the container's view of its cgroups (config-linux.md, Control groups). */
import { StrataError } from '../base/error.ts';
import type { HostFacts } from '../host/facts.ts';
import type { CgroupPlace } from './cgroup.ts';
import type { MountOptions } from './mount-options.ts';
import { ATTR, type Operation } from './op.ts';

export interface CgroupView {
  readonly places: readonly CgroupPlace[];
  readonly facts: HostFacts;
  /** Has the container a cgroup namespace of its own? */
  readonly ownNamespace: boolean;
}

/**
 * On v1 a tmpfs with one directory for each hierarchy, each the container's own cgroup. A bind of it shows the same as a fresh mount in a cgroup
 * namespace would, takes less time, and without the namespace it hides everyone else's cgroups. On v2 one mount.
 */
export function cgroupMount(view: CgroupView, type: 'cgroup' | 'cgroup2', destination: string, options: MountOptions, at: string): Operation[] {
  const attributes = attributesOf(options);
  const unified = view.places.find((place) => place.unified);
  if (type === 'cgroup2' || view.facts.cgroup.mode === 'v2') {
    if (unified === undefined) throw unsupported(at, 'needs cgroup v2, which is not mounted');
    return [view.ownNamespace ? unifiedMount(destination, options.data, attributes, at) : bindOf(unified, destination, attributes, at)];
  }
  const hierarchies = view.places.filter((place) => !place.unified);
  if (hierarchies.length === 0) throw unsupported(at, 'needs cgroups, which are not mounted');
  const out: Operation[] = [tmpfs(destination, attributes, at)];
  for (const place of hierarchies) {
    const names = place.controllers.join(',');
    const name = names.startsWith('name=') ? names.slice('name='.length) : names;
    out.push(bindOf(place, `${destination}/${name}`, attributes, at));
    if (place.controllers.length > 1) out.push(...place.controllers.map((controller) => link(`${destination}/${controller}`, name, at)));
  }
  if ((attributes.set & ATTR.rdonly) !== 0n) out.push(readOnly(destination, at));
  return out;
}

interface Attributes {
  readonly set: bigint;
  readonly clear: bigint;
  readonly propagation: number;
}

/** Ordinary and recursive attributes are the same here: every mount is ours, and each gets them. */
function attributesOf({ set, clear, recursiveSet, recursiveClear, propagation }: MountOptions): Attributes {
  // Of what can be cleared only the access time matters: mount_setattr(2) wants the field cleared when a value is put in.
  return { set: (set & ~recursiveClear) | recursiveSet, clear: (clear | recursiveClear) & ATTR.atime, propagation };
}

/** All fields by name, since there are many of these and copying from another object takes an interpreter twice as long. */
function bindOf(place: CgroupPlace, destination: string, { set, clear, propagation }: Attributes, at: string): Operation {
  return {
    op: 'bind',
    pointer: at,
    destination,
    source: place.directory,
    set,
    propagation,
    clear,
    recursive: false,
    recursiveSet: 0n,
    recursiveClear: 0n,
    overProc: false,
    realDirectory: false,
    idmap: 0,
    uidMap: '',
    gidMap: '',
  };
}

/** What a fresh mount has none of. */
const PLAIN = { clear: 0n, recursiveSet: 0n, recursiveClear: 0n, copyUp: false, realDirectory: false } as const;

function unifiedMount(destination: string, options: readonly string[], { set, propagation }: Attributes, at: string): Operation {
  return { op: 'mount', pointer: at, destination, type: 'cgroup2', source: 'cgroup', options, set, propagation, ...PLAIN };
}

/** Writable until its directories are made. */
function tmpfs(destination: string, { set: asked, propagation }: Attributes, at: string): Operation {
  const set = (asked | ATTR.nosuid | ATTR.nodev | ATTR.noexec) & ~ATTR.rdonly;
  const options = ['mode=755', 'size=1024k'];
  return { op: 'mount', pointer: at, destination, type: 'tmpfs', source: 'tmpfs', options, set, propagation, ...PLAIN };
}

function link(path: string, target: string, at: string): Operation {
  return { op: 'symlink', pointer: at, path, target, ifExists: false };
}

/** For what has been made in a mount to be read-only. */
export function readOnly(destination: string, at: string): Operation {
  return { op: 'remount', pointer: at, destination, set: ATTR.rdonly, clear: 0n, recursiveSet: 0n, recursiveClear: 0n, propagation: 0, options: [] };
}

function unsupported(at: string, reason: string): StrataError {
  return new StrataError({ code: 'config-unsupported', stage: 'plan', pointer: at, reason });
}
