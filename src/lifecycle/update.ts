/** `update`: other limits for a container that exists. Either all of them are in force afterwards, or none. */
import { StrataError, withFields } from '../base/error.ts';
import { type HostFacts, mayAdminister, recentFacts } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import type { CgroupPlace } from '../plan/cgroup.ts';
import { knownPlaces } from '../plan/cgroup.ts';
import { encode } from '../plan/encode.ts';
import type { Operation } from '../plan/op.ts';
import { cpusetChecks, cpusetClaims, deviceReplacement, type LimitWrite, limitWrites, placeOf, resetWrites } from '../plan/resources.ts';
import { checkResources } from '../spec/check-resources.ts';
import { parseResources } from '../spec/parse.ts';
import type { Resources } from '../spec/types.ts';
import type { Property } from '../systemd/properties.ts';
import { changeScope, setProperties, type Unit } from '../systemd/scope.ts';
import { CPUS, CPUS_HINT } from './failure.ts';
import { ERRNO, hasErrno, messageOf } from './fault.ts';
import { checkId } from './id.ts';
import { withLock } from './lock.ts';
import { observe } from './observe.ts';
import { rdtRefusal, schemaFor } from './rdt.ts';
import type { ContainerName, Report } from './report.ts';
import { scopeDirectory } from './scope.ts';
import { permit } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { checkRoot, load, notFound } from './store.ts';

export interface UpdateOptions extends ContainerName {
  /** `linux.resources` as a JSON value; integers may be bigint. What is absent stays as it is. */
  readonly resources: unknown;
  /** Lines for the container's class of service. */
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
}

const POINTER = '/linux/resources';
const DOCUMENT = 'resources';

/**
 * Gives a container that has not stopped other limits.
 *
 * @throws StrataError `status`; `config-invalid`, `config-unsupported` or `system` with the limit that is wrong or was refused: then none is changed.
 */
export async function update(host: Host, options: UpdateOptions): Promise<void> {
  const { root, id } = options;
  checkId(id);
  if (!checkRoot(host, root)) throw notFound(id);
  try {
    const asked = parseResources(options.resources, POINTER);
    checkResources(asked);
    await withLock(host, root, id, async () => {
      const record = load(host, root, id);
      permit('update', observe(host, root, record, true).status, id);
      const schemas = schemaWrites(record, options);
      await change(host, asked, schemas, record, options);
    });
  } catch (error) {
    throw aboutResources(error);
  }
}

/** The pointer as it is in the resources themselves, which stand in no config.json here. */
function aboutResources(error: unknown): unknown {
  if (!(error instanceof StrataError) || error.pointer?.startsWith(POINTER) !== true) return error;
  return withFields(error, { pointer: error.pointer.slice(POINTER.length), document: DOCUMENT });
}

async function change(host: Host, asked: Resources, schemas: readonly LimitWrite[], record: ContainerRecord, report: Report): Promise<void> {
  const facts = factsFor(record, recentFacts(host));
  const places = knownPlaces(record.cgroups, facts);
  const complete = completed(host, withoutKernelMemory(asked, report), places);
  checkUsage(host, complete, placeOf('memory', places), record);
  const writes = [...resetWrites(complete, places), ...limitWrites(complete, places, facts), ...schemas];
  const changes = writes.flatMap((write) => changeOf(host, write) ?? []);
  const told = changes.map(({ write }) => write);
  claimCpus(host, record, told);
  const checks = cpusetChecks(told);
  // Memory last: what a lower limit makes the kernel reclaim, or kill, no second write brings back.
  const done = carryOut(host, record, [
    ...changes.filter(({ write }) => write.controller !== 'memory'),
    ...changes.filter(({ write }) => write.controller === 'memory'),
  ]);
  let former: readonly Property[] = [];
  try {
    if (record.systemd !== undefined) {
      const devices = asked.devices.length > 0 ? asked.devices : undefined;
      const limits = writes.map((write) => inFull(host, write));
      former = await changeScope(host, record.systemd, limits, devices, devices !== undefined || checks.length > 0);
    }
    for (const check of checks) checkCpuset(host, check);
    if (mayAdminister(facts) && !facts.userNamespace) changeDevices(host, asked, places, report);
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
    const fault = takenBack(host, done, error);
    throw record.systemd === undefined || former.length === 0 ? fault : await scopeTakenBack(host, record.systemd, former, fault);
  }
}

/** Tells systemd what its properties were; the error to throw, which tells if that could not be. */
async function scopeTakenBack(host: Host, unit: Unit, former: readonly Property[], error: StrataError): Promise<StrataError> {
  try {
    await setProperties(host, unit, former);
    return error;
  } catch (second) {
    const also = `and the properties of ${unit.unit} could not be set back: ${messageOf(second)}`;
    return withFields(error, { hint: error.hint === undefined ? also : `${error.hint}, ${also}` });
  }
}

function claimCpus(host: Host, { systemd, cgroups }: ContainerRecord, writes: readonly LimitWrite[]): void {
  const claims = cpusetClaims(writes);
  const scope = systemd && cgroups.at(-1);
  if (scope !== undefined) claims.push(...cpusetClaims(writes, scopeDirectory(scope.hierarchy + scope.path)));
  for (const claim of claims) checkCpuset(host, claim);
}

/** After the scope's CPUs are what they are to be: the container's depend on them. */
function checkCpuset(host: Host, check: Operation): void {
  try {
    host.amend(encode({ operations: [check] }));
  } catch (error) {
    throw refusal(error, check.pointer.slice(POINTER.length), 'cannot be had');
  }
}

/**
 * The container's program takes other rules in one step. On v1, where they would change one by one, and where somebody else has put another program
 * in its place since, they stay: engines hand all resources over to change one of them.
 */
function changeDevices(host: Host, { devices }: Resources, places: readonly CgroupPlace[], report: Report): void {
  if (devices.length === 0) return;
  const operation = deviceReplacement(devices, places);
  if (operation === undefined) {
    report.debug?.('the rules for devices are left as they are');
    return;
  }
  try {
    host.amend(encode({ operations: [operation] }));
  } catch (error) {
    if (!hasErrno(error, ERRNO.ENOENT)) throw refusal(error, '/devices', 'cannot replace the rules for devices');
    report.warn?.("the rules for devices are left as they are: the container's own program is not there any more");
  }
}

/** With the period too: systemd has a property for it. */
function inFull(host: Host, write: LimitWrite): LimitWrite {
  if (write.file !== 'cpu.max') return write;
  return { ...write, value: textOf(host, `${write.place.directory}/cpu.max`)?.trim() ?? write.value };
}

/** For an ordinary user's container: where it has no cgroup, it was not allowed to have one. */
function factsFor({ cgroups, unmarked }: ContainerRecord, facts: HostFacts): HostFacts {
  if (unmarked !== true) return facts;
  const { hierarchies, unified } = facts.cgroup;
  const mounted = unified === undefined ? hierarchies : [...hierarchies, unified];
  return { ...facts, cgroup: { ...facts.cgroup, forbidden: mounted.filter(({ mount }) => !cgroups.some(({ hierarchy }) => hierarchy === mount)) } };
}

const RDT = 'rdt';

/** @throws StrataError `config-unsupported` for a container without a class of service. */
function schemaWrites({ rdt, id }: ContainerRecord, { l3CacheSchema, memBwSchema }: UpdateOptions): LimitWrite[] {
  const asked = Object.entries({ l3CacheSchema, memBwSchema }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return asked.map(([key, schema]) => {
    const pointer = `/intelRdt/${key}`;
    if (rdt === undefined) {
      const reason = `container ${id} has no class of service: linux.intelRdt is not set in its configuration`;
      throw new StrataError({ code: 'config-unsupported', stage: 'cgroup', pointer: POINTER + pointer, reason });
    }
    const place: CgroupPlace = { hierarchy: rdt.group, path: '', directory: rdt.group, controllers: [], unified: false };
    return { place, controller: RDT, pointer, file: 'schemata', value: `${schema}\n`, former: schemaFor(schema) };
  });
}

/** Kernels have one limit for memory of every kind now. Engines of old ask for the others still, and are told. */
function withoutKernelMemory(asked: Resources, report: Report): Resources {
  const { kernel = 0n, kernelTCP = 0n, ...memory } = asked.memory ?? {};
  if (kernel > 0n || kernelTCP > 0n) report.warn?.('limits of kernel memory are not changed by update');
  return asked.memory === undefined ? asked : { ...asked, memory };
}

/** With the limits in force in the place of those that others are reckoned from, and memory without a limit meaning swap too, as in runc. */
function completed(host: Host, asked: Resources, places: readonly CgroupPlace[]): Resources {
  let { memory, cpu } = asked;
  if (memory?.limit === -1n && (memory.swap ?? 0n) === 0n) memory = { ...memory, swap: -1n };
  const memoryPlace = placeOf('memory', places);
  if (memory !== undefined && memoryPlace?.unified === true && (memory.swap ?? 0n) > 0n && (memory.limit ?? 0n) === 0n) {
    memory = { ...memory, limit: limitIn(host, `${memoryPlace.directory}/memory.max`) };
  }
  const cpuPlace = placeOf('cpu', places);
  if (cpu !== undefined && cpuPlace?.unified === true && (cpu.period ?? 0n) > 0n && (cpu.quota ?? 0n) === 0n) {
    cpu = { ...cpu, quota: limitIn(host, `${cpuPlace.directory}/cpu.max`) };
  }
  return { ...asked, ...(memory && { memory }), ...(cpu && { cpu }) };
}

/** The first number of a cgroup file; -1 for `max`, and for a file that is not there. */
function limitIn(host: Host, path: string): bigint {
  const first = /^\d+/.exec(textOf(host, path) ?? '');
  return first === null ? -1n : BigInt(first[0]);
}

/** `memory.checkBeforeUpdate`: on v1 the kernel refuses a limit below the usage; on v2 it would kill. */
function checkUsage(host: Host, { memory }: Resources, place: CgroupPlace | undefined, record: ContainerRecord): void {
  if (memory === undefined || place?.unified !== true || !(memory.checkBeforeUpdate ?? record.checkBeforeUpdate ?? false)) return;
  const { limit = 0n, swap = 0n } = memory;
  const used = limitIn(host, `${place.directory}/memory.current`);
  if (limit > 0n && used > limit) throw belowUsage('/memory/limit', limit, used);
  if (swap <= 0n) return;
  const together = used + limitIn(host, `${place.directory}/memory.swap.current`);
  if (together > swap) throw belowUsage('/memory/swap', swap, together);
}

function belowUsage(at: string, limit: bigint, used: bigint): StrataError {
  const reason = `${limit} is below the ${used} bytes that the container uses`;
  return new StrataError({ code: 'config-invalid', stage: 'cgroup', pointer: POINTER + at, reason });
}

/** A write that changes something, and what takes it back. */
interface Change {
  readonly write: LimitWrite;
  readonly path: string;
  /** undefined for files that cannot be read: such a write is a request, and cannot be taken back. */
  readonly former: string | undefined;
}

/** undefined if the limit is in force already. */
function changeOf(host: Host, write: LimitWrite): Change | undefined {
  const path = `${write.place.directory}/${write.file}`;
  if (host.stat(path) === undefined && write.place.unified && write.controller !== '') enable(host, write);
  if (host.stat(path) === undefined) {
    if (write.optional === true) return undefined;
    const reason = `cannot be set: ${path} does not exist`;
    throw new StrataError({ code: 'config-unsupported', stage: 'cgroup', pointer: POINTER + write.pointer, reason, path });
  }
  const text = textOf(host, path);
  const former = text === undefined ? undefined : (write.former ?? trimmed)(text);
  return former === write.value ? undefined : { write, path, former };
}

function trimmed(text: string): string {
  return text.trim();
}

function textOf(host: Host, path: string): string | undefined {
  try {
    return host.readText(path);
  } catch (error) {
    if (error instanceof StrataError && error.code === 'system') return undefined;
    throw error;
  }
}

/** Beside v1, create enables on v2 only the controllers that it needs. */
function enable(host: Host, { place, controller, pointer }: LimitWrite): void {
  const parts = place.path.split('/').slice(1, -1);
  for (let depth = 0; depth <= parts.length; depth++) {
    const directory = [place.hierarchy, ...parts.slice(0, depth)].join('/');
    try {
      host.writeText(`${directory}/cgroup.subtree_control`, `+${controller}`);
    } catch (error) {
      throw refusal(error, pointer, `cannot enable the controller ${controller} in ${directory}`);
    }
  }
}

/**
 * Writes everything and gives back what it was, or throws what was refused and leaves all as it was. Limits of one controller can depend on each
 * other, and which of two must come first depends on the values in force: so what is refused is tried again as long as anything else is accepted.
 */
function carryOut(host: Host, record: ContainerRecord, changes: readonly Change[]): readonly Change[] {
  const done: Change[] = [];
  for (let start = 0; start < changes.length; ) {
    const { controller } = (changes[start] as Change).write;
    let end = start;
    while (end < changes.length && changes[end]?.write.controller === controller) end++;
    const refused = settle(host, changes.slice(start, end), ({ write }) => write.value, done);
    const first = refused[0];
    if (first !== undefined) throw takenBack(host, done, refusedChange(host, record, first.change, first.error));
    start = end;
  }
  return done;
}

interface Refused {
  readonly change: Change;
  readonly error: unknown;
}

/** Writes what can be written, in whatever order; what is left. `done` gets what was written. */
function settle(host: Host, changes: readonly Change[], value: (change: Change) => string | undefined, done: Change[]): readonly Refused[] {
  let pending = changes;
  for (;;) {
    const refused: Refused[] = [];
    for (const item of pending) {
      const text = value(item);
      if (text === undefined) continue;
      try {
        host.writeText(item.path, text === '' ? '\n' : text);
        done.push(item);
      } catch (error) {
        refused.push({ change: item, error });
      }
    }
    if (refused.length === 0 || refused.length === pending.length) return refused;
    pending = refused.map(({ change }) => change);
  }
}

/** Takes back what was written; the error to throw, which tells if not all could be. */
function takenBack(host: Host, done: readonly Change[], error: StrataError): StrataError {
  const left = settle(host, [...done].reverse(), ({ former }) => former, []);
  const [first] = left;
  if (first === undefined) return error;
  const also = `and ${first.change.path} could not be set back: ${messageOf(first.error)}`;
  return withFields(error, { hint: error.hint === undefined ? also : `${error.hint}, ${also}` });
}

function refusedChange(host: Host, record: ContainerRecord, { write, path }: Change, error: unknown): StrataError {
  const refused = refusal(error, write.pointer, `cannot write '${write.value.trimEnd()}' to ${path}`);
  if (write.controller === RDT && record.rdt !== undefined) {
    const hint = rdtRefusal(host, record.rdt);
    return hint === undefined ? refused : withFields(refused, { hint });
  }
  if (path.endsWith(CPUS) && hasErrno(error, ERRNO.EINVAL)) return withFields(refused, { hint: CPUS_HINT });
  const hint = write.controller === 'memory' && !write.place.unified ? memoryHint(host, write, error) : undefined;
  return hint === undefined ? refused : withFields(refused, { hint });
}

/** What v1's errno does not say. */
function memoryHint(host: Host, { place, file }: LimitWrite, error: unknown): string | undefined {
  if (hasErrno(error, ERRNO.EBUSY)) {
    const usage = textOf(host, `${place.directory}/memory.usage_in_bytes`)?.trim();
    return usage === undefined ? undefined : `the container uses ${usage} bytes`;
  }
  if (!hasErrno(error, ERRNO.EINVAL) || file !== 'memory.limit_in_bytes') return undefined;
  const together = textOf(host, `${place.directory}/memory.memsw.limit_in_bytes`)?.trim();
  return together === undefined ? undefined : `memory and swap together are limited to ${together}`;
}

function refusal(error: unknown, at: string, reason: string): StrataError {
  if (!(error instanceof StrataError)) throw error;
  const { errno, syscall, path } = error;
  const call = `${syscall}: `;
  const hint = error.reason.startsWith(call) ? error.reason.slice(call.length) : undefined;
  return new StrataError({
    code: 'system',
    stage: 'cgroup',
    pointer: POINTER + at,
    reason,
    ...(hint !== undefined && { hint }),
    ...(syscall !== undefined && { syscall }),
    ...(errno !== undefined && { errno }),
    ...(path !== undefined && { path }),
  });
}
