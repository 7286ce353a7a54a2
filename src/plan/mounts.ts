/** The root file system and what is mounted in it (config.md, Root and Mounts; config-linux.md, Rootfs Mount Propagation). */
import { pointer } from '../base/pointer.ts';
import { isAtLeast } from '../host/facts.ts';
import { classicData } from '../overlay/classic.ts';
import { fromBundle } from '../overlay/path.ts';
import { OVERLAY_POINTER, overlayOf } from '../overlay/stack.ts';
import { isBind } from '../spec/check-mounts.ts';
import { cleanPath } from '../spec/refuse.ts';
import type { Mount, Spec } from '../spec/types.ts';
import type { CgroupPlace } from './cgroup.ts';
import { type CgroupView, cgroupMount } from './cgroup-mount.ts';
import type { PlanContext } from './context.ts';
import { type MountOptions, readOptions } from './mount-options.ts';
import { isNew, mapText } from './namespaces.ts';
import { ATTR, MS, type Operation } from './op.ts';

const PROPAGATION = { private: MS.private, shared: MS.shared, slave: MS.slave, unbindable: MS.unbindable } as const;

/**
 * What the mounts of the new namespace share with the host's: nothing made here may reach the host, what the host mounts later may reach us. Only
 * `shared` asks for more. `private` asks for less; so does `unbindable`, but applied this early it would forbid the very binds that follow.
 */
export function propagationOperations(spec: Spec): Operation[] {
  // Without a mount namespace of its own the container is set up in a private one that strata-init makes for the purpose.
  if (!isNew(spec, 'mount')) return [];
  const asked = spec.linux.rootfsPropagation;
  const at = asked === undefined ? '' : '/linux/rootfsPropagation';
  if (asked === 'shared') return [{ op: 'propagation', pointer: at, propagation: MS.shared }];
  const kind = asked === 'private' || asked === 'unbindable' ? MS.private : MS.slave;
  return [{ op: 'propagation', pointer: at, propagation: MS.rec | kind }];
}

/** Take the root: the bundle's directory, or the stack of layers that the annotation names. */
export function rootOperation(spec: Spec, context: PlanContext): Operation {
  const path = rootPath(spec, context);
  const stack = overlayOf(spec, context.bundle);
  if (stack === undefined) return { op: 'root-bind', pointer: '/root/path', path };
  const { lower, upper = '', work = '', options } = stack;
  const classic = isAtLeast(context.facts.kernel, 6, 8) ? '' : classicData(stack);
  return { op: 'root-overlay', pointer: OVERLAY_POINTER, path, lower, upper, work, options, classic };
}

/** The host directory that `root.path` names. */
export function rootPath(spec: Spec, context: PlanContext): string {
  return cleanEnd(fromBundle(context.bundle, spec.root.path));
}

function cleanEnd(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
}

/** Make the mounts in the order of the configuration. */
export function mountOperations(spec: Spec, context: PlanContext, places: readonly CgroupPlace[]): Operation[] {
  const view: CgroupView = { places, facts: context.facts, ownNamespace: isNew(spec, 'cgroup') };
  return spec.mounts.flatMap((mount, index) => mountOne(context, view, mount, pointer('/mounts', index)));
}

/**
 * What has to wait until everything lies in its mount: a tmpfs, or /dev, that is to be read-only gets mount points, device nodes and copies
 * first.
 */
export function lateMountOperations(spec: Spec): Operation[] {
  return spec.mounts.flatMap((mount, index): Operation[] => {
    const options = readOptions(mount.options);
    const destination = cleanPath(mount.destination);
    const readonly = ((options.set | options.recursiveSet) & ATTR.rdonly) !== 0n;
    if (!readonly || !isLate(mount, options, destination)) return [];
    const none = { clear: 0n, recursiveSet: 0n, recursiveClear: 0n, propagation: 0 };
    return [{ op: 'remount', pointer: pointer('/mounts', index, 'options'), destination, set: ATTR.rdonly, ...none }];
  });
}

/** Is /dev a bind mount? Then its devices are somebody else's, and none are made in it. */
export function isDevBound(spec: Spec): boolean {
  return spec.mounts.some((mount) => cleanPath(mount.destination) === '/dev' && isBind(mount));
}

/** `root.readonly`. It comes after all that is made in the root. */
export function rootReadonlyOperations(spec: Spec): Operation[] {
  return spec.root.readonly ? [{ op: 'root-readonly', pointer: '/root/readonly' }] : [];
}

/** Enter the root. */
export function pivotOperation(spec: Spec, context: PlanContext): Operation {
  const asked = spec.linux.rootfsPropagation;
  const propagation = asked === undefined ? 0 : PROPAGATION[asked];
  if (!isNew(spec, 'mount')) return { op: 'pivot', pointer: '/linux/namespaces', mode: 2, propagation: 0 };
  return { op: 'pivot', pointer: asked === undefined ? '/root' : '/linux/rootfsPropagation', mode: context.options.noPivot ? 1 : 0, propagation };
}

export function maskOperations(spec: Spec): Operation[] {
  return spec.linux.maskedPaths.map((path, index) => ({ op: 'mask', pointer: pointer('/linux/maskedPaths', index), path }));
}

export function readonlyOperations(spec: Spec): Operation[] {
  return spec.linux.readonlyPaths.map((path, index) => ({ op: 'readonly', pointer: pointer('/linux/readonlyPaths', index), path }));
}

/** Is this a mount whose `ro` has to wait? */
function isLate(mount: Mount, options: MountOptions, destination: string): boolean {
  if (isBind(mount) || options.remount) return false;
  return mount.type === 'tmpfs' || destination === '/dev';
}

function mountOne(context: PlanContext, view: CgroupView, mount: Mount, at: string): Operation[] {
  const destination = cleanPath(mount.destination);
  const options = readOptions(mount.options);
  if (options.remount) {
    const { set, clear, recursiveSet, recursiveClear, propagation } = options;
    return [{ op: 'remount', pointer: at, destination, set, clear, recursiveSet, recursiveClear, propagation }];
  }
  if (isBind(mount)) return [bind(context, mount, options, destination, at)];
  const type = mount.type ?? '';
  if (type === 'cgroup' || type === 'cgroup2') return cgroupMount(view, type, destination, options, at);
  return [fresh(mount, options, type, destination, at)];
}

/** A new instance has no attributes yet and nothing below it: clearing has no object, and recursive is the same as not. */
function fresh(mount: Mount, options: MountOptions, type: string, destination: string, at: string): Operation {
  const asked = (options.set & ~options.recursiveClear) | options.recursiveSet;
  const set = isLate(mount, options, destination) ? asked & ~ATTR.rdonly : asked;
  return {
    op: 'mount',
    pointer: at,
    destination,
    type,
    source: mount.source ?? '',
    options: options.data,
    set,
    clear: 0n,
    recursiveSet: 0n,
    recursiveClear: 0n,
    propagation: options.propagation,
    copyUp: options.copyUp,
    realDirectory: isGuarded(destination) || type === 'proc' || type === 'sysfs',
  };
}

/** A bind has its own attributes, but the superblock, with its flags and options, is the source's: they are left out, as mount(8) does. */
function bind(context: PlanContext, mount: Mount, options: MountOptions, destination: string, at: string): Operation {
  const { set, clear, recursiveSet, recursiveClear, propagation } = options;
  return {
    op: 'bind',
    pointer: at,
    destination,
    source: fromBundle(context.bundle, mount.source ?? ''),
    recursive: options.recursive,
    set,
    clear,
    recursiveSet,
    recursiveClear,
    propagation,
    // `check` has let only those few files through that tell numbers and nothing else.
    overProc: destination.startsWith('/proc/'),
    realDirectory: isGuarded(destination),
    ...idMapping(mount, options),
  };
}

/** Mappings without `idmap` come from engines older than the option; dropping them would show files under wrong owners. */
function idMapping({ uidMappings = [], gidMappings = [] }: Mount, { idmap }: MountOptions): { idmap: number; uidMap: string; gidMap: string } {
  const isMapped = idmap !== 'none' || uidMappings.length > 0;
  return { idmap: idmap === 'recursive' ? 2 : isMapped ? 1 : 0, uidMap: mapText(uidMappings), gidMap: mapText(gidMappings) };
}

/** Destinations that must be what they seem: an image could put a symbolic link there, and mislead every later step. */
function isGuarded(destination: string): boolean {
  return destination === '/proc' || destination === '/sys' || destination === '/dev';
}
