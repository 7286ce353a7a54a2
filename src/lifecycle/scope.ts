/** Containers whose cgroup systemd makes: where that is, what it is told, and how the container gets into it. */
import { StrataError, withFields } from '../base/error.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Host, Launched } from '../host/host.ts';
import { LaunchError } from '../host/host.ts';
import { type CgroupPlace, IN_SCOPE } from '../plan/cgroup.ts';
import { encode } from '../plan/encode.ts';
import type { Operation, Plan } from '../plan/op.ts';
import { cpusetClaims, limitWrites } from '../plan/resources.ts';
import type { Spec } from '../spec/types.ts';
import type { Manager } from '../systemd/bus.ts';
import { changeScope, type ScopeWishes, startScope, stopScope, type Unit } from '../systemd/scope.ts';
import { type ScopeName, scopeName } from '../systemd/unit.ts';
import { launchError } from './failure.ts';

/** Where the process waits that holds the scope open. */
const HOLD = 'hold';
/** Milliseconds that the kernel may still count a process that is gone. */
const PATIENCE = 1000;
/** A limit of tasks up to this is met by what strata-init and a few hooks are, before the holder has gone. */
const FEW_TASKS = 32;

/**
 * The name of the container's scope. @throws StrataError `config-invalid` for a cgroupsPath that names none, `config-unsupported` without cgroup v2.
 */
export function scopeOf(host: Host, spec: Spec, id: string, { cgroup, userId, userNamespace }: HostFacts): ScopeName {
  const name = scopeName(spec.linux.cgroupsPath, id, userId === 0 && !userNamespace ? 'system' : 'user');
  if (cgroup.mode !== 'v2') {
    const reason = `--systemd-cgroup needs a machine with cgroup v2 alone, and this one has ${cgroup.mode === 'none' ? 'no cgroups' : 'cgroup v1'}`;
    throw new StrataError({
      code: 'config-unsupported',
      stage: 'check',
      reason,
      hint: 'leave the option out, or choose the cgroupfs manager in the engine',
    });
  }
  return { ...name, path: managerCgroup(host, name.manager, cgroup.unified?.own ?? '/', userId) + name.path };
}

/** The cgroup of the systemd that is to make the scope: root's is the hierarchy's own, a user's that of his `user@.service`. */
function managerCgroup(host: Host, manager: Manager, own: string, userId: number): string {
  if (manager === 'system') return '';
  // In a user namespace that process's id is another; where we are in that service ourselves, it has told.
  const above = /^(?:\/[^/]+)*?\/user@\d+\.service(?=\/|$)/.exec(own)?.[0];
  if (above !== undefined) return above;
  const uid = /^\d+$/.exec(/\/user\/(\d+)$/.exec(host.environment('XDG_RUNTIME_DIR') ?? '')?.[1] ?? '')?.[0] ?? `${userId}`;
  return `/user.slice/user-${uid}.slice/user@${uid}.service`;
}

/** The facts for a container in this scope: for a user's, only the controllers that he was given. */
export function inScope(host: Host, { path, manager }: ScopeName, facts: HostFacts): HostFacts {
  const { mode, hierarchies, unified } = facts.cgroup;
  if (unified === undefined || manager === 'system') return { ...facts, cgroup: { ...facts.cgroup, scope: path } };
  const service = path.slice(0, path.indexOf('.service') + '.service'.length);
  const file = `${unified.mount}${service}/cgroup.controllers`;
  const controllers = host.stat(file) === undefined ? [] : host.readText(file).trim().split(' ').filter(Boolean);
  return { ...facts, cgroup: { mode, hierarchies, unified: { ...unified, controllers }, scope: path, forbidden: [] } };
}

/** What systemd is told of the container. */
export function scopeWishes(spec: Spec, id: string, places: readonly CgroupPlace[], facts: HostFacts): ScopeWishes {
  const { resources } = spec.linux;
  return { id, limits: limitWrites(resources, places, facts), devices: resources.devices, annotations: spec.annotations };
}

/** A process that does nothing: strata-init as it waits for a word. */
const WAITING: Plan = {
  operations: [
    { op: 'clone', pointer: '', create: 0, join: [], uidMap: '', gidMap: '', timeOffsets: '', cgroup: '', tasks: [], unprivileged: false },
    { op: 'ready', pointer: '' },
  ],
};

/** What systemd is to make for a container. */
export interface Scope {
  readonly name: ScopeName;
  readonly wishes: ScopeWishes;
}

/** A scope that a process holds open, for systemd makes none without and ends it with the last. */
export interface HeldScope {
  /** For when the container's own process is in it, or will never be. */
  release(): Promise<void>;
  /** For after that, if it is: the limits that the holder would have counted in. */
  tighten(): Promise<void>;
}

/**
 * Has systemd make the scope, and prepares it for the container's cgroup: the process that holds it moves out of the way, into a cgroup beside,
 * because a cgroup that hands controllers down has no processes of its own (no internal processes, cgroup-v2).
 *
 * `directory`: of the container's cgroup on the host.
 *
 * @throws StrataError; then the process is gone, and the scope with it.
 */
export async function holdScope(host: Host, { name, wishes }: Scope, directory: string): Promise<HeldScope> {
  const scope = scopeDirectory(directory);
  const aside = `${scope}/${HOLD}`;
  // The holder counts too: a limit that the container may meet meanwhile comes when it has gone. The container's own cgroup has it from the beginning.
  const tight = wishes.limits.filter(({ file, value }) => file === 'pids.max' && Number(value) <= FEW_TASKS);
  const limits = wishes.limits.filter((limit) => !tight.includes(limit));
  for (const claim of cpusetClaims(wishes.limits, scope)) claimCpus(host, claim);
  const holder = await launchHolder(host);
  let isOurs = false;
  try {
    await startScope(host, name, { ...wishes, limits }, holder.pid);
    isOurs = true;
    checkPlace(host, holder, name);
    host.makeDirectory(aside, 0o755);
    host.writeText(`${aside}/cgroup.procs`, `${holder.pid}`);
  } catch (error) {
    await host.abandon(holder);
    // With a process in it, it has ended by itself; without one it has not.
    if (isOurs) await stopScope(host, name).catch(() => {});
    throw error;
  }
  return {
    async release() {
      await host.abandon(holder);
      await host.removeCgroups([{ hierarchy: scope, path: `/${HOLD}` }], PATIENCE);
    },
    async tighten() {
      if (tight.length > 0) await changeScope(host, name, tight);
    },
  };
}

function claimCpus(host: Host, claim: Operation): void {
  try {
    host.amend(encode({ operations: [claim] }));
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
    const { pointer } = claim;
    const hint = error.reason.replace(`${error.syscall}: `, '');
    throw withFields(error, { stage: 'cgroup', pointer, reason: `cannot have these CPUs: ${error.path}`, hint });
  }
}

async function launchHolder(host: Host): Promise<Launched> {
  let launched: Launched | undefined;
  try {
    launched = await host.launch(encode(WAITING), { stdio: [0, 1, 2], preserve: 0, console: -1, start: -1 });
    await host.settle(launched);
    return launched;
  } catch (error) {
    throw error instanceof LaunchError ? launchError(error.failure, undefined) : error;
  }
}

/** The kernel's word on where the scope is. */
function checkPlace(host: Host, { pid }: Launched, { unit, path }: ScopeName): void {
  const place = /^0::(.*)$/m.exec(host.readText(`/proc/${pid}/cgroup`))?.[1];
  if (place === path) return;
  throw new StrataError({ code: 'system', stage: 'cgroup', reason: `systemd has made ${unit} at ${place}, not at ${path}` });
}

/** Ends the scope when nothing is left in it. Where its cgroup is gone, so is the unit. */
export async function endScope(host: Host, unit: Unit, directory: string | undefined): Promise<void> {
  if (directory !== undefined && host.stat(scopeDirectory(directory)) === undefined) return;
  await stopScope(host, unit);
}

export function scopeDirectory(directory: string): string {
  return directory.slice(0, -IN_SCOPE.length - 1);
}
