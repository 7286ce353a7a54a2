/** The scope of a container: made, changed and ended by systemd (org.freedesktop.systemd1(5)). */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { LimitWrite } from '../plan/resources.ts';
import type { DeviceRule } from '../spec/types.ts';
import { Bus, type Manager, Refusal } from './bus.ts';
import type { Value } from './message.ts';
import {
  annotatedProperties,
  annotationPointer,
  changedDeviceProperties,
  deviceProperties,
  flag,
  limitProperties,
  type Property,
  text,
} from './properties.ts';
import type { ScopeName } from './unit.ts';

/** What of a container systemd is told. */
export interface ScopeWishes {
  readonly id: string;
  readonly limits: readonly LimitWrite[];
  readonly devices: readonly DeviceRule[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** A unit that exists. */
export interface Unit {
  readonly manager: Manager;
  readonly unit: string;
}

const POINTER = '/linux/cgroupsPath';
const NO_UNIT = 'org.freedesktop.systemd1.NoSuchUnit';
const UNIT_EXISTS = 'org.freedesktop.systemd1.UnitExists';

/**
 * Has systemd make the scope around a process, and waits until it is there.
 *
 * @throws StrataError `config-unsupported` without systemd, `config-invalid` for an annotation, `system` when systemd refuses.
 */
export async function startScope(host: Host, name: ScopeName, wishes: ScopeWishes, pid: number): Promise<void> {
  const asked = annotatedProperties(wishes.annotations);
  await Bus.with(host, name.manager, async (bus) => {
    const properties = [...scopeProperties(name, wishes, pid, await versionOf(bus)), ...asked];
    const what = `make ${name.unit}`;
    const start = (): Promise<string> => bus.job('StartTransientUnit', 'ssa(sv)a(sa(sv))', [name.unit, 'fail', wire(properties), []]);
    let result: string;
    try {
      result = await start().catch(async (error: unknown) => {
        // It may be one that has failed, and is kept by systemd for people to look at. One that lives, or is somebody's file, exists still after
        // this.
        if (!(error instanceof Refusal) || error.code !== UNIT_EXISTS) throw error;
        await bus.call('ResetFailedUnit', 's', [name.unit]).catch((fault: unknown) => {
          if (!(fault instanceof Refusal)) throw fault;
        });
        return start();
      });
    } catch (error) {
      throw refusal(error, what, asked);
    }
    if (result !== 'done') throw failedJob(what, result);
  });
}

/**
 * Changes properties of the unit for as long as it lives. `revocable`, which costs a question for each: it gives back what sets them to what they
 * were ({@link setProperties}), for changes that can still fail elsewhere, as those of devices can.
 *
 * @throws StrataError `system` when systemd refuses; then none has changed.
 */
export async function changeScope(
  host: Host,
  { manager, unit }: Unit,
  limits: readonly LimitWrite[],
  devices?: readonly DeviceRule[],
  revocable = devices !== undefined,
): Promise<readonly Property[]> {
  return Bus.with(host, manager, async (bus) => {
    const properties = limitProperties(limits, await versionOf(bus));
    if (devices !== undefined && manager === 'system') properties.push(...changedDeviceProperties(devices));
    if (properties.length === 0) return [];
    try {
      const former = revocable ? await formerProperties(bus, unit, new Set(properties.map(([name]) => name))) : [];
      await bus.call('SetUnitProperties', 'sba(sv)', [unit, true, wire(properties)]);
      return former;
    } catch (error) {
      throw refusal(error, `change ${unit}`, []);
    }
  });
}

/** @throws StrataError `system` when systemd refuses. */
export async function setProperties(host: Host, { manager, unit }: Unit, properties: readonly Property[]): Promise<void> {
  await Bus.with(host, manager, async (bus) => {
    try {
      await bus.call('SetUnitProperties', 'sba(sv)', [unit, true, wire(properties)]);
    } catch (error) {
      throw refusal(error, `change ${unit}`, []);
    }
  });
}

/** What a list is set to is added to what it has: so the empty list comes before. */
async function formerProperties(bus: Bus, unit: string, names: ReadonlySet<string>): Promise<readonly Property[]> {
  const [object] = await bus.call('GetUnit', 's', [unit]);
  const former: Property[] = [];
  for (const name of names) {
    const value = await bus.property(name, String(object), 'org.freedesktop.systemd1.Scope');
    if (value === undefined) continue;
    if (value.signature.startsWith('a')) former.push([name, { signature: value.signature, value: [] }]);
    former.push([name, value]);
  }
  return former;
}

/** Ends the unit and waits until it is gone; one that is not there is as good. @throws StrataError `system` when systemd refuses. */
export async function stopScope(host: Host, { manager, unit }: Unit): Promise<void> {
  await Bus.with(host, manager, async (bus) => {
    try {
      const result = await bus.job('StopUnit', 'ss', [unit, 'replace']);
      if (result !== 'done') throw failedJob(`end ${unit}`, result);
    } catch (error) {
      if (error instanceof Refusal && error.code === NO_UNIT) return;
      throw refusal(error, `end ${unit}`, []);
    }
  });
}

function scopeProperties(name: ScopeName, { id, limits, devices }: ScopeWishes, pid: number, version: number): Property[] {
  return [
    ['Description', text(`strata container ${id}`)],
    ['Slice', text(name.slice)],
    ['PIDs', { signature: 'au', value: [pid] }],
    // The cgroups below the scope are ours, and every controller is handed down.
    ['Delegate', flag(true)],
    // Without it the scope would end, at a shutdown, in the middle of what engines do to end it.
    ['DefaultDependencies', flag(false)],
    // One whose processes were killed for want of memory would stay, and keep the name.
    ...(version >= 236 ? [['CollectMode', text('inactive-or-failed')] as const] : []),
    ...['CPUAccounting', 'MemoryAccounting', 'IOAccounting', 'TasksAccounting'].map((key) => [key, flag(true)] as const),
    // Only the machine's systemd may filter devices.
    ...(name.manager === 'system' ? deviceProperties(devices) : []),
    ...limitProperties(limits, version),
  ];
}

function wire(properties: readonly Property[]): Value {
  return properties.map(([key, value]) => [key, value]);
}

/** 252 for `252.39-1~deb12u2`; 0 if it does not tell. */
async function versionOf(bus: Bus): Promise<number> {
  const version = (await bus.property('Version'))?.value;
  return typeof version === 'string' ? Number(/\d+/.exec(version)?.[0] ?? 0) : 0;
}

function refusal(error: unknown, what: string, asked: readonly Property[]): StrataError {
  if (!(error instanceof Refusal)) return error as StrataError;
  const named = asked.find(([name]) => new RegExp(`\\b${name}\\b`).test(error.message));
  const at = named === undefined ? POINTER : annotationPointer(named[0]);
  const reason = `systemd refuses to ${what}: ${error.message.replace(/\.$/, '')}`;
  // Of a value of another type it does not say whose it is.
  const isUnsaid = named === undefined && asked.length > 0 && /\b(?:message contents|Invalid argument)\b/.test(error.message);
  const hint = `it may be one of the annotations' properties: ${asked.map(([name, { signature }]) => `${name} of the type ${signature}`).join(', ')}`;
  return new StrataError({ code: 'system', stage: 'cgroup', pointer: at, reason, ...(isUnsaid && { hint }) });
}

function failedJob(what: string, result: string): StrataError {
  const reason = `systemd could not ${what}: its job ended as '${result}'`;
  return new StrataError({ code: 'system', stage: 'cgroup', pointer: POINTER, reason, hint: 'journalctl may tell why' });
}
