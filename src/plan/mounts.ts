/** The root file system and what is mounted in it (config.md, Root and Mounts; config-linux.md, Rootfs Mount Propagation). */
import { StrataError } from '../base/error.ts';
import { isAtLeast } from '../host/facts.ts';
import { classicData } from '../overlay/classic.ts';
import { fromBundle } from '../overlay/path.ts';
import { OVERLAY_POINTER, overlayOf, type Stack } from '../overlay/stack.ts';
import { cleanPath, quoted } from '../spec/refuse.ts';
import type { Mount, RootfsPropagation, Spec } from '../spec/types.ts';
import type { CgroupPlace } from './cgroup.ts';
import { type CgroupView, cgroupMount, readOnly } from './cgroup-mount.ts';
import type { PlanContext } from './context.ts';
import { type MountOptions, readOptions, SUPERBLOCK_OPTIONS } from './mount-options.ts';
import { isNew, mapText } from './namespaces.ts';
import { ATTR, MS, type Operation } from './op.ts';

const PROPAGATION: Readonly<Record<RootfsPropagation, number>> = {
  private: MS.private,
  shared: MS.shared,
  slave: MS.slave,
  unbindable: MS.unbindable,
  rprivate: MS.rec | MS.private,
  rshared: MS.rec | MS.shared,
  rslave: MS.rec | MS.slave,
  runbindable: MS.rec | MS.unbindable,
};

/**
 * What the mounts of the new namespace share with the host's: nothing made here may reach the host, what the host mounts later may reach us. Only
 * `shared` asks for more. `private` asks for less; so does `unbindable`, but applied this early it would forbid the very binds that follow.
 */
export function propagationOperations(spec: Spec): Operation[] {
  // Without a mount namespace of its own the container is set up in a private one that strata-init makes for the purpose.
  if (!isNew(spec, 'mount')) return [];
  const asked = spec.linux.rootfsPropagation;
  const at = asked === undefined ? '' : '/linux/rootfsPropagation';
  const bits = asked === undefined ? MS.slave : PROPAGATION[asked];
  if ((bits & MS.shared) !== 0) return [{ op: 'propagation', pointer: at, propagation: MS.shared }];
  const kind = (bits & MS.slave) !== 0 ? MS.slave : MS.private;
  return [{ op: 'propagation', pointer: at, propagation: MS.rec | kind }];
}

/** What the file systems of the container are labelled with, before the first of them is made. */
export function mountLabelOperations({ linux }: Spec): Operation[] {
  return linux.mountLabel === undefined ? [] : [{ op: 'mount-label', pointer: '/linux/mountLabel', label: linux.mountLabel }];
}

/** Take the root: the bundle's directory, or the stack of layers that the annotation names. */
export function rootOperation(spec: Spec, context: PlanContext): Operation {
  const path = rootPath(spec, context);
  const asked = overlayOf(spec, context.bundle);
  if (asked === undefined) return { op: 'root-bind', pointer: '/root/path', path };
  const stack = withLabel(isNamespaceRoot(context) ? withUserAttributes(asked) : asked, spec.linux.mountLabel);
  const { lower, upper = '', work = '', options } = stack;
  const classic = isAtLeast(context.facts.kernel, 6, 8) ? '' : classicData(stack);
  return { op: 'root-overlay', pointer: OVERLAY_POINTER, path, lower, upper, work, options, classic };
}

/** Is the overlay mounted by somebody who is root in a user namespace at most? */
function isNamespaceRoot({ facts, caller }: PlanContext): boolean {
  return facts.userNamespace || caller !== undefined;
}

/** overlayfs keeps its notes in extended attributes: `trusted.*`, which only the machine's root can write, or `user.*`. */
function withUserAttributes(stack: Stack): Stack {
  return stack.options.includes('userxattr') ? stack : { ...stack, options: [...stack.options, 'userxattr'] };
}

/** The SELinux label of all its files, unless the options name one. */
function withLabel(stack: Stack, label: string | undefined): Stack {
  if (label === undefined || stack.options.some((option) => option.startsWith('context='))) return stack;
  return { ...stack, options: [...stack.options, `context=${label}`] };
}

/** The host directory that `root.path` names. */
export function rootPath(spec: Spec, context: PlanContext): string {
  return cleanEnd(fromBundle(context.bundle, spec.root.path));
}

function cleanEnd(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
}

/** What comes of `mounts`. */
export interface PlannedMounts {
  /** Make the mounts, in the order of the configuration. */
  readonly operations: readonly Operation[];
  /**
   * What has to wait until everything lies in its mount: a tmpfs, or /dev, that is to be read-only gets mount points, device nodes and copies
   * first.
   */
  readonly late: readonly Operation[];
  /** Is /dev a bind mount? Then its devices are somebody else's, and none are made in it. */
  readonly devBound: boolean;
}

/** All of it in one walk, for there may be many mounts and their options take the longest to read. */
export function planMounts(spec: Spec, context: PlanContext, places: readonly CgroupPlace[]): PlannedMounts {
  const view: CgroupView = { places, facts: context.facts, ownNamespace: isNew(spec, 'cgroup') };
  const operations: Operation[] = [];
  const late: Operation[] = [];
  let devBound = false;
  for (let index = 0; index < spec.mounts.length; ++index) {
    const mount = spec.mounts[index] as Mount;
    const at = `/mounts/${index}`;
    const destination = cleanPath(mount.destination);
    const options = readOptions(mount.options);
    const { type = '' } = mount;
    const isBind = options.bind || type === 'bind';
    if (isBind && destination === '/dev') devBound = true;
    if (options.remount) {
      operations.push(remount(mount, options, isBind, destination, at));
    } else if (isBind) {
      operations.push(bind(context, mount, options, destination, at));
    } else {
      const isLate = (type === 'tmpfs' || destination === '/dev') && ((options.set | options.recursiveSet) & ATTR.rdonly) !== 0n;
      if (isLate) late.push(readOnly(destination, `${at}/options`));
      if (type === 'cgroup' || type === 'cgroup2') operations.push(...cgroupMount(view, type, destination, options, at));
      else operations.push(fresh(mount, options, isLate, destination, at));
    }
  }
  return { operations, late, devBound };
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
  return spec.linux.maskedPaths.map((path, index) => ({ op: 'mask', pointer: `/linux/maskedPaths/${index}`, path }));
}

export function readonlyOperations(spec: Spec): Operation[] {
  return spec.linux.readonlyPaths.map((path, index) => ({ op: 'readonly', pointer: `/linux/readonlyPaths/${index}`, path }));
}

/** With `bind` it is about this one mount, and mount(2) passes over what would be the file system's. */
function remount(mount: Mount, options: MountOptions, isBind: boolean, destination: string, at: string): Operation {
  const { set, clear, recursiveSet, recursiveClear, propagation } = options;
  const data = isBind ? [] : reconfiguration(mount, options.data, at);
  return { op: 'remount', pointer: at, destination, set, clear, recursiveSet, recursiveClear, propagation, options: data };
}

/** What the kernel decides once for a file system. */
const FIXED = ['iversion', 'noiversion', 'dirsync'];

/** What can be changed of a file system. How much the kernel says in its log is about one call, and nothing remains of it. */
function reconfiguration({ options }: Mount, data: readonly string[], at: string): readonly string[] {
  const fixed = options.findIndex((option) => FIXED.includes(option));
  if (fixed >= 0) {
    const reason = `${options[fixed]} can be chosen only when a file system is mounted, not with remount`;
    throw new StrataError({ code: 'config-unsupported', stage: 'plan', pointer: `${at}/options/${fixed}`, reason });
  }
  return data.filter((option) => option !== 'silent' && option !== 'loud');
}

/** A new instance has no attributes yet and nothing below it: clearing has no object, and recursive is the same as not. */
function fresh({ type = '', source = '' }: Mount, options: MountOptions, isLate: boolean, destination: string, at: string): Operation {
  const asked = (options.set & ~options.recursiveClear) | options.recursiveSet;
  return {
    op: 'mount',
    pointer: at,
    destination,
    type,
    source,
    options: options.data,
    set: isLate ? asked & ~ATTR.rdonly : asked,
    clear: 0n,
    recursiveSet: 0n,
    recursiveClear: 0n,
    propagation: options.propagation,
    copyUp: options.copyUp,
    realDirectory: isGuarded(destination) || type === 'proc' || type === 'sysfs',
  };
}

/** A bind has its own attributes, but the superblock is the source's: mount(2) passes over its flags and options, which for options is told. */
function bind(context: PlanContext, mount: Mount, options: MountOptions, destination: string, at: string): Operation {
  const { source = '', uidMappings, gidMappings } = mount;
  const { idmap, set, clear, recursiveSet, recursiveClear, propagation, data } = options;
  for (let index = 0; index < data.length; ++index) {
    const option = data[index] as string;
    if (!SUPERBLOCK_OPTIONS.includes(option))
      context.warn?.(`${at}: a bind mount has the file system of its source: ${quoted(option)} has no effect`);
  }
  // Mappings without `idmap` come from engines older than the option; dropping them would show files under wrong owners.
  const isMapped = idmap !== 'none' || (uidMappings !== undefined && uidMappings.length > 0);
  return {
    op: 'bind',
    pointer: at,
    destination,
    source: fromBundle(context.bundle, source),
    recursive: options.recursive,
    set,
    clear,
    recursiveSet,
    recursiveClear,
    propagation,
    // `check` has let only those few files through that tell numbers and nothing else.
    overProc: destination.startsWith('/proc/'),
    realDirectory: isGuarded(destination),
    idmap: idmap === 'recursive' ? 2 : isMapped ? 1 : 0,
    uidMap: uidMappings === undefined ? '' : mapText(uidMappings),
    gidMap: gidMappings === undefined ? '' : mapText(gidMappings),
  };
}

/** Destinations that must be what they seem: an image could put a symbolic link there, and mislead every later step. */
function isGuarded(destination: string): boolean {
  return destination === '/proc' || destination === '/sys' || destination === '/dev';
}
