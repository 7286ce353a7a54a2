/** From a bundle to a plan and the first record: everything that create can decide before it touches anything. */
import { StrataError } from '../base/error.ts';
import { type HostFacts, isInUserNamespace, mayAdminister } from '../host/facts.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { fromBundle } from '../overlay/path.ts';
import type { CgroupPlace } from '../plan/cgroup.ts';
import { cgroupPaths } from '../plan/cgroup.ts';
import { planCreate } from '../plan/create.ts';
import { namespaceBits } from '../plan/exec.ts';
import { isNew } from '../plan/namespaces.ts';
import { NOTIFY_VARIABLE, notifyPlace } from '../plan/notify.ts';
import type { Plan } from '../plan/op.ts';
import { planRdt } from '../plan/rdt.ts';
import { check } from '../spec/check.ts';
import { notifies } from '../spec/check-seccomp.ts';
import { loadSpec, parseSpec } from '../spec/parse.ts';
import { quoted } from '../spec/refuse.ts';
import type { IdMapping, Spec } from '../spec/types.ts';
import type { ScopeName } from '../systemd/unit.ts';
import { readConfig, resolveBundle } from './bundle.ts';
import { factsForSpec } from './facts.ts';
import { startSteps } from './failure.ts';
import { environmentOf } from './hooks.ts';
import { checkId } from './id.ts';
import type { ContainerName, Report } from './report.ts';
import { callerOf, type Rootless, rootlessWarnings, withinReach } from './rootless.ts';
import { inScope, type Scope, scopeOf, scopeWishes } from './scope.ts';
import type { ContainerRecord, Freezer, Listener, NotifyPlace } from './store.ts';
import { confinement, notifyDirectory, seccompCache, seccompProgram } from './store.ts';

const EVERY_ID: readonly IdMapping[] = [{ containerID: 0, hostID: 0, size: 0xffff_ffff }];

/** What `create`, `run` and `plan` are told. */
export interface BundleOptions extends ContainerName {
  /** Directory of the bundle; a relative one starts at the working directory. */
  readonly bundle: string;
  /** A configuration to use in place of the bundle's config.json, as a JSON value; integers may be bigint. */
  readonly spec?: unknown;
  /** A file to read in place of the bundle's config.json; a relative path starts at the working directory. */
  readonly config?: string;
  /** So many descriptors from 3 on, behind those of `listenFds`, are passed on. */
  readonly preserveFds?: number;
  /** So many descriptors from 3 on are sockets for sd_listen_fds(3) in the container. */
  readonly listenFds?: number;
  /** Whether the container may go without cgroups that the caller cannot make; `auto` if absent. */
  readonly rootless?: Rootless;
  /** Who makes the container's cgroup: strata itself, or systemd; `cgroupfs` if absent. */
  readonly cgroupManager?: 'cgroupfs' | 'systemd';
  readonly noPivot?: boolean;
  readonly noNewKeyring?: boolean;
  /** Where the caller listens for sd_notify(3): a path, or `@` and a name in the abstract namespace. The container gets a socket in its place. */
  readonly notifySocket?: string;
  /** The directory in the container for that; worked out from the above if absent. */
  readonly notifyPlace?: string;
  /** Of the terminal; in place of the configuration's `process.consoleSize`. */
  readonly consoleSize?: { readonly height: number; readonly width: number };
}

export interface CreateOptions extends BundleOptions {
  /** Become the container's 0, 1 and 2; the caller's own if absent. They stay the caller's to close. */
  readonly stdio?: readonly [Descriptor, Descriptor, Descriptor];
  /** Path of a unix socket to which the terminal's master is sent. */
  readonly consoleSocket?: string;
  /** A connected socket for the same, used only if there is a terminal; it stays the caller's to close. */
  readonly console?: Descriptor;
  /** Where to write the pid of the container's process. */
  readonly pidFile?: string;
  /** Path of a unix socket to which a pidfd of that process is sent. */
  readonly pidfdSocket?: string;
  /** The container's socket of sd_notify(3), which has no name yet; the caller's to close. */
  readonly notify?: Descriptor;
  /** Called between the stages; what it throws ends the work, and everything is undone. */
  readonly checkpoint?: () => void;
}

export interface Prepared {
  readonly spec: Spec;
  readonly plan: Plan;
  /** What systemd is to make before the launch. */
  readonly scope?: Scope;
  readonly record: ContainerRecord;
}

/**
 * Reads, checks and plans. Touches nothing and needs no privilege.
 *
 * @throws StrataError for everything that is wrong with the id, the bundle or its config.json.
 */
export function prepare(host: Host, options: BundleOptions): Prepared {
  const { root, id } = options;
  checkId(id);
  const bundle = resolveBundle(host, options.bundle);
  const config = options.config === undefined ? `${bundle}/config.json` : fromBundle(host.workingDirectory(), options.config);
  options.debug?.(`load ${config}`);
  const read = options.spec === undefined ? loadSpec(readConfig(host, config)) : parseSpec(options.spec);
  const spec = withMappings(host, withConsoleSize(read, options.consoleSize), options);
  const machine = factsForSpec(host, spec, id);
  const caller = callerOf(host, spec, machine);
  const isPlanOnly = caller === undefined && !mayAdminister(machine);
  const name = options.cgroupManager === 'systemd' ? scopeOf(host, spec, id, machine) : undefined;
  const facts = factsWithin(host, spec, name, isPlanOnly ? asRoot(machine) : machine, options, isPlanOnly);
  for (const warning of check(spec, facts)) options.warn?.(warning);
  for (const warning of rootlessWarnings(spec, facts)) options.warn?.(warning);
  warnOfUnknownCalls(host, spec, options);
  const notify = notifyOf(spec, options);
  const plan = planCreate(spec, {
    id,
    bundle,
    facts,
    ...(caller && { caller }),
    options: {
      noPivot: options.noPivot ?? false,
      noNewKeyring: options.noNewKeyring ?? false,
      listenFds: options.listenFds ?? 0,
      seccompCache: seccompCache(root),
      seccompProgram: seccompProgram(root, id),
      ...(notify && { notify: { directory: notifyDirectory(root, id), place: notify.place } }),
      ...(wantsEnvironment(spec) && { environment: environmentOf(host) }),
    },
    warn: options.warn,
  });
  options.debug?.(`planned ${plan.operations.length} operations`);
  const places = cgroupPaths(spec, id, facts);
  const freezer = freezerOf(places);
  const listener = listenerOf(spec, bundle);
  const rdt = planRdt(spec, { id, facts });
  const joined = spec.linux.namespaces.flatMap(({ type, path }) => (path === undefined ? [] : [type]));
  const record: ContainerRecord = {
    ociVersion: spec.ociVersion,
    id,
    bundle,
    rootfs: fromBundle(bundle, spec.root.path),
    created: host.timestamp(),
    status: 'creating',
    cgroups: places.map(({ hierarchy, path }) => ({ hierarchy, path })),
    ...(facts.cgroup.forbidden !== undefined && { unmarked: true }),
    ...(name && { systemd: { manager: name.manager, unit: name.unit } }),
    ...(freezer && { freezer }),
    ...(rdt && { rdt: { group: rdt.group, own: rdt.own, tasks: rdt.tasks } }),
    sharedPid: !spec.linux.namespaces.some((namespace) => namespace.type === 'pid' && namespace.path === undefined),
    terminal: spec.process?.terminal ?? false,
    ...(joined.length > 0 && { joined }),
    ...(spec.linux.resources.memory?.checkBeforeUpdate === true && { checkBeforeUpdate: true }),
    // With no stop at which the runtime's hooks run, the container's own may have begun whenever we are interrupted.
    hooksBegun: spec.hooks.createContainer.length > 0 && !plan.operations.some(({ op }) => op === 'runtime-hooks'),
    poststart: spec.hooks.poststart,
    poststop: spec.hooks.poststop,
    startSteps: startSteps(plan),
    ...(listener && { listener }),
    ...(notify && { notify }),
    annotations: spec.annotations,
    owner: facts.userId,
    traits: {
      namespaces: namespaceBits(spec),
      ownRoot: isNew(spec, 'mount'),
      keyring: options.noNewKeyring !== true,
      seccomp: spec.linux.seccomp !== undefined,
      unified: facts.cgroup.unified !== undefined,
      confined: confinement(spec.process),
      ...(spec.linux.personality && { personality: spec.linux.personality.domain }),
      ...(spec.linux.memoryPolicy && { memoryPolicy: spec.linux.memoryPolicy }),
    },
  };
  return { spec, plan, record, ...(name && { scope: { name, wishes: scopeWishes(spec, id, places, facts) } }) };
}

/** The facts about cgroups for who is to make the container's. */
function factsWithin(host: Host, spec: Spec, name: ScopeName | undefined, facts: HostFacts, options: BundleOptions, isPlanOnly: boolean): HostFacts {
  if (name !== undefined) return inScope(host, name, facts);
  return isPlanOnly ? facts : withinReach(host, spec, options.id, facts, options.rootless ?? 'auto');
}

/** Rules, and names of one, that a warning is about: a profile could have any number. */
const MOST_TOLD = 8;

/**
 * Names that libseccomp does not know are passed over, for profiles list the calls of every kernel. Where what is not named is denied that is on the safe
 * side; where it is allowed, somebody may rely on the rule.
 */
function warnOfUnknownCalls(host: Host, spec: Spec, { warn }: BundleOptions): void {
  const { seccomp } = spec.linux;
  if (seccomp === undefined || warn === undefined || !lets(seccomp.defaultAction)) return;
  let told = 0;
  for (const [index, { action, names }] of seccomp.syscalls.entries()) {
    const unknown = lets(action) ? [] : host.unknownSystemCalls(names);
    if (unknown.length === 0) continue;
    if (++told > MOST_TOLD) {
      warn('config.json /linux/seccomp/syscalls: more rules have calls that libseccomp does not know');
      return;
    }
    const some = unknown.slice(0, MOST_TOLD).map(quoted).join(', ');
    const rest = unknown.length > MOST_TOLD ? ` and ${unknown.length - MOST_TOLD} more` : '';
    warn(`config.json /linux/seccomp/syscalls/${index}/names: the rule has no effect on ${some}${rest}, which libseccomp does not know`);
  }
}

function lets(action: string): boolean {
  return action === 'SCMP_ACT_ALLOW' || action === 'SCMP_ACT_LOG';
}

/** A path that nobody is asked over is ignored (config-linux.md, Seccomp). */
function listenerOf(spec: Spec, bundle: string): Listener | undefined {
  const { seccomp } = spec.linux;
  if (seccomp?.listenerPath === undefined || !notifies(seccomp)) return undefined;
  const path = fromBundle(bundle, seccomp.listenerPath);
  return seccomp.listenerMetadata === undefined ? { path } : { path, metadata: seccomp.listenerMetadata };
}

function notifyOf({ process, linux: { mountLabel } }: Spec, { notifySocket, notifyPlace: place, warn }: BundleOptions): NotifyPlace | undefined {
  if (notifySocket === undefined && place === undefined) return undefined;
  const own = place ?? notifyPlace(notifySocket ?? '');
  const index = notifySocket === undefined ? -1 : (process?.env.findIndex((entry) => entry.startsWith(`${NOTIFY_VARIABLE}=`)) ?? -1);
  if (index !== -1) warn?.(`/process/env/${index}: NOTIFY_SOCKET is that of the container's own socket, since strata was given one`);
  return mountLabel === undefined ? { place: own } : { place: own, label: mountLabel };
}

/** Does a hook that strata-init runs need the runtime's environment? */
function wantsEnvironment({ hooks }: Spec): boolean {
  return hooks.createContainer.some(({ env }) => env === undefined) || hooks.startContainer.some(({ env }) => env === undefined);
}

function withConsoleSize(spec: Spec, consoleSize: BundleOptions['consoleSize']): Spec {
  return spec.process === undefined || consoleSize === undefined ? spec : { ...spec, process: { ...spec.process, consoleSize } };
}

/** A new user namespace of which no ids are told has root's own, as crun has it: such a process has no capability outside, but its ids are not others. */
function withMappings(host: Host, spec: Spec, report: Report): Spec {
  const { namespaces, uidMappings, gidMappings } = spec.linux;
  if (uidMappings.length + gidMappings.length !== 0 || host.userId() !== 0) return spec;
  if (!namespaces.some(({ type, path }) => type === 'user' && path === undefined) || isInUserNamespace(host)) return spec;
  report.warn?.('/linux/uidMappings and /linux/gidMappings are empty: the ids in the user namespace are those of the host');
  return { ...spec, linux: { ...spec.linux, uidMappings: EVERY_ID, gidMappings: EVERY_ID } };
}

/** Only root can create a container without a user namespace: what anybody else has planned is what root would carry out. */
function asRoot(facts: HostFacts): HostFacts {
  return { ...facts, permitted: facts.bounding };
}

/** The root file system must be there before anything is made. @throws StrataError with the pointer /root/path. */
export function checkRootfs(host: Host, record: ContainerRecord): void {
  const fault = { code: 'config-invalid', stage: 'check', pointer: '/root/path', path: record.rootfs } as const;
  let real: string;
  try {
    real = host.realPath(record.rootfs);
  } catch (error) {
    if (!(error instanceof StrataError) || error.errno === undefined) throw error;
    throw new StrataError({ ...fault, reason: `cannot open the root file system ${record.rootfs}`, errno: error.errno });
  }
  if (host.stat(real)?.type !== 'directory') throw new StrataError({ ...fault, reason: `the root file system ${record.rootfs} is not a directory` });
}

/** The v1 hierarchy with the freezer, else the v2 hierarchy: on a hybrid machine a process is in both. */
function freezerOf(places: readonly CgroupPlace[]): Freezer | undefined {
  const first = places.find(({ unified, controllers }) => !unified && controllers.includes('freezer'));
  if (first !== undefined) return { version: 1, directory: first.directory };
  const second = places.find(({ unified }) => unified);
  return second && { version: 2, directory: second.directory };
}
