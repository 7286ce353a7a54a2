/** `linux.resources` as writes to cgroup files: for each controller the v1 hierarchy that has it, else the v2 hierarchy. */
import { StrataError } from '../base/error.ts';
import { pointer } from '../base/pointer.ts';
import { type HostFacts, mayAdminister } from '../host/facts.ts';
import type { DeviceRule, Resources } from '../spec/types.ts';
import type { CgroupPlace } from './cgroup.ts';
import { deviceLines } from './device-list.ts';
import { deviceProgram } from './device-program.ts';
import { allDeviceRules, DEFAULT_RULES } from './device-rules.ts';
import type { Operation } from './op.ts';
import * as v1 from './resources-v1.ts';
import * as v2 from './resources-v2.ts';
import { entryOf, type Setting } from './setting.ts';

const POINTER = '/linux/resources';
const DEVICES_POINTER = `${POINTER}/devices`;

/** What most configurations come to. */
const DEFAULT_LINES = deviceLines(DEFAULT_RULES);
const DEFAULT_PROGRAM = deviceProgram(DEFAULT_RULES);

/** A setting, and where it is written. */
export interface LimitWrite extends Setting {
  readonly place: CgroupPlace;
  /** The controller's name on v2, as `cgroup.subtree_control` takes it; '' for a file of the cgroup itself. */
  readonly controller: string;
}

/** One controller: its settings by cgroup version. */
interface Controller {
  readonly name: string;
  readonly v1: (resources: Resources, facts: HostFacts) => readonly Setting[];
  readonly v2: (resources: Resources, facts: HostFacts) => readonly Setting[];
}

const CONTROLLERS: readonly Controller[] = [
  { name: 'memory', v1: ({ memory }) => v1.memory(memory), v2: ({ memory }) => v2.memory(memory) },
  { name: 'cpu', v1: ({ cpu }) => v1.cpu(cpu), v2: ({ cpu }) => v2.cpu(cpu) },
  { name: 'cpuset', v1: cpuset, v2: cpuset },
  { name: 'pids', v1: pids, v2: pids },
  {
    name: 'blkio',
    v1: ({ blockIO }) => v1.blockIO(blockIO),
    v2: ({ blockIO }, { cgroup }) => v2.blockIO(blockIO, cgroup.unified?.weightFile ?? 'io.weight'),
  },
  {
    name: 'hugetlb',
    v1: ({ hugepageLimits }, { kernel }) => v1.hugepages(hugepageLimits, kernel),
    v2: ({ hugepageLimits }, { kernel }) => v2.hugepages(hugepageLimits, kernel),
  },
  { name: 'net_cls', v1: ({ network }) => v1.networkClass(network), v2: () => [] },
  { name: 'net_prio', v1: ({ network }) => v1.networkPriorities(network), v2: () => [] },
  { name: 'rdma', v1: rdma, v2: rdma },
];

/** @throws StrataError `config-unsupported` when no hierarchy here has the controller for a limit. */
export function resourceOperations(resources: Resources, places: readonly CgroupPlace[], facts: HostFacts): Operation[] {
  const writes = limitWrites(resources, places, facts);
  const out = cpusetClaims(writes).concat(writes.map(operation), cpusetChecks(writes));
  // What an ordinary user can reach is for the permissions of device files to say; nobody but the machine's root may limit it further.
  return facts.userNamespace || !mayAdminister(facts) ? out : out.concat(devices(resources, places));
}

/**
 * Every limit but the rules for devices, in the order in which a new cgroup takes them.
 *
 * @throws StrataError `config-unsupported` when no hierarchy here has the controller for a limit.
 */
export function limitWrites(resources: Resources, places: readonly CgroupPlace[], facts: HostFacts): LimitWrite[] {
  const out: LimitWrite[] = [];
  for (const { name, v1: onV1, v2: onV2 } of CONTROLLERS) {
    const place = placeOf(name, places);
    const settings = place?.unified === true ? onV2(resources, facts) : onV1(resources, facts);
    const first = settings[0];
    if (first === undefined) continue;
    if (place === undefined) throw unsupported(first.pointer, `needs the cgroup controller ${name}, ${whyNot(name, facts)}`);
    const controller = unifiedName(name);
    for (const setting of settings) out.push({ ...setting, place, controller });
  }
  return out.concat(unified(resources, places, facts));
}

/** What only takes back an earlier setting, and so is nothing to a new cgroup. It comes first: an idle cgroup refuses shares. */
export function resetWrites({ memory, cpu }: Resources, places: readonly CgroupPlace[]): LimitWrite[] {
  const out: LimitWrite[] = [];
  const memoryPlace = placeOf('memory', places);
  if (memory?.disableOOMKiller === false && memoryPlace?.unified === false) {
    out.push({ ...v1.oomKiller(false), place: memoryPlace, controller: 'memory' });
  }
  const cpuPlace = placeOf('cpu', places);
  if (cpu?.idle === 0n && cpuPlace !== undefined) {
    out.push({ pointer: '/cpu/idle', file: 'cpu.idle', value: '0', optional: true, place: cpuPlace, controller: 'cpu' });
  }
  if (cpu?.burst === 0n && cpuPlace !== undefined) {
    const file = cpuPlace.unified ? 'cpu.max.burst' : 'cpu.cfs_burst_us';
    out.push({ pointer: '/cpu/burst', file, value: '0', optional: true, place: cpuPlace, controller: 'cpu' });
  }
  return out;
}

function whyNot(controller: string, { cgroup }: HostFacts): string {
  const exists =
    cgroup.forbidden?.some(({ controllers }) => controllers.includes(controller) || controllers.includes(unifiedName(controller))) ?? false;
  return exists ? 'in whose hierarchy this user may not make a cgroup' : 'which no mounted hierarchy has';
}

/** A hierarchy where `controller` (its v1 name) can be set. The network controllers never came to v2. */
export function placeOf(controller: string, places: readonly CgroupPlace[]): CgroupPlace | undefined {
  const name = unifiedName(controller);
  return places.find((place) => place.controllers.includes(place.unified ? name : controller));
}

function unifiedName(controller: string): string {
  return controller === 'blkio' ? 'io' : controller;
}

function operation({ place, file, pointer: at, value, optional = false }: LimitWrite): Operation {
  return { op: 'cgroup-write', pointer: POINTER + at, path: `${place.directory}/${file}`, value, optional };
}

/** Before CPUs are asked for on v2. `directory`: of the cgroup that gets them, if not the container's own. */
export function cpusetClaims(writes: readonly LimitWrite[], directory?: string): Operation[] {
  const told = cpusetWrites(writes).filter(({ file, value }) => file === 'cpuset.cpus' && value !== '');
  return told.map(({ place, pointer: at, value }) => {
    return { op: 'cpuset-claim', pointer: POINTER + at, directory: directory ?? place.directory, cpus: value };
  });
}

/** The partition first: where it is none the reason is not the CPUs. */
const CHECKED = ['cpuset.cpus.partition', 'cpuset.cpus', 'cpuset.mems'];

/** For what the kernel takes on v2, and then may do otherwise. */
export function cpusetChecks(writes: readonly LimitWrite[]): Operation[] {
  const told = cpusetWrites(writes);
  if (told.length === 0) return [];
  return CHECKED.flatMap((name) => {
    const named = told.filter(({ file }) => file === name);
    return named.map(
      ({ place, file, pointer: at }): Operation => ({ op: 'cpuset-check', pointer: POINTER + at, path: `${place.directory}/${file}` }),
    );
  });
}

function cpusetWrites(writes: readonly LimitWrite[]): readonly LimitWrite[] {
  return writes.filter(({ place, controller }) => controller === 'cpuset' && place.unified);
}

function cpuset({ cpu }: Resources): Setting[] {
  const out: Setting[] = [];
  if (cpu?.cpus) out.push({ pointer: '/cpu/cpus', file: 'cpuset.cpus', value: cpu.cpus });
  if (cpu?.mems) out.push({ pointer: '/cpu/mems', file: 'cpuset.mems', value: cpu.mems });
  return out;
}

function pids({ pids: asked }: Resources): Setting[] {
  if (asked?.limit === undefined) return [];
  return [{ pointer: '/pids/limit', file: 'pids.max', value: asked.limit < 0n ? 'max' : `${asked.limit}` }];
}

/** One device for each write(2); what is not named keeps its limit. */
function rdma({ rdma: asked }: Resources): Setting[] {
  if (asked === undefined) return [];
  return Object.entries(asked).flatMap(([device, { hcaHandles, hcaObjects }]) => {
    const value = [
      device,
      ...(hcaHandles === undefined ? [] : [`hca_handle=${hcaHandles}`]),
      ...(hcaObjects === undefined ? [] : [`hca_object=${hcaObjects}`]),
    ];
    if (value.length === 1) return [];
    const former = entryOf(device, `${device} hca_handle=max hca_object=max`);
    return [{ pointer: pointer('/rdma', device), file: 'rdma.max', value: value.join(' '), former }];
  });
}

/** v2 files verbatim. Last of the limits, so that they win over what was converted from v1's properties. */
function unified({ unified: files }: Resources, places: readonly CgroupPlace[], { cgroup }: HostFacts): LimitWrite[] {
  const place = places.find((item) => item.unified);
  return Object.entries(files).map(([file, value]) => {
    const at = pointer('/unified', file);
    const controller = file.split('.', 1)[0] ?? '';
    if (place === undefined) {
      const exists = cgroup.forbidden?.some((item) => 'weightFile' in item) ?? false;
      throw unsupported(at, exists ? 'needs cgroup v2, in whose hierarchy this user may not make a cgroup' : 'needs cgroup v2, which is not mounted');
    }
    if (controller !== 'cgroup' && !place.controllers.includes(controller)) {
      throw unsupported(at, `needs the cgroup v2 controller ${controller}, which is not available in ${place.hierarchy}`);
    }
    return { place, controller: controller === 'cgroup' ? '' : controller, pointer: at, file, value, ...formerOf(value) };
  });
}

/** A value for one device or one kind of line, such as `8:0 rbps=1000` or `default 100`, is taken back as one. */
function formerOf(value: string): Pick<Setting, 'former'> {
  const key = /^(\d+:\d+|default) /.exec(value)?.[1];
  if (key === undefined) return {};
  const none = value.includes('=') ? value.replace(/=\S+/g, '=max') : `${key} default`;
  return { former: entryOf(key, none) };
}

/**
 * Access to devices is always limited, also when the configuration has no rules: the v1 devices controller, else a program on the v2 cgroup.
 * The file that a v1 rule is written to takes one rule for each write(2).
 */
function devices(resources: Resources, places: readonly CgroupPlace[]): Operation[] {
  const rules = allDeviceRules(resources.devices);
  const v1Place = places.find((place) => !place.unified && place.controllers.includes('devices'));
  if (v1Place !== undefined) {
    const lines = rules === DEFAULT_RULES ? DEFAULT_LINES : deviceLines(rules);
    const { directory } = v1Place;
    return lines.map(({ file, line }) => {
      return { op: 'cgroup-write', pointer: DEVICES_POINTER, path: `${directory}/${file}`, value: line, optional: false };
    });
  }
  const v2Place = places.find((place) => place.unified);
  if (v2Place !== undefined) {
    const program = rules === DEFAULT_RULES ? DEFAULT_PROGRAM.slice() : deviceProgram(rules);
    return [{ op: 'cgroup-device-program', pointer: DEVICES_POINTER, path: v2Place.directory, program, replace: false }];
  }
  if (resources.devices.some((rule) => !rule.allow)) throw unsupported('/devices', 'needs cgroups to limit access to devices, and none are mounted');
  return [];
}

/** Other rules for a container that has some; undefined on v1, where each rule is a write of its own, and access would change one by one. */
export function deviceReplacement(rules: readonly DeviceRule[], places: readonly CgroupPlace[]): Operation | undefined {
  const place = places.find((item) => item.unified);
  if (place === undefined || places.some((item) => !item.unified && item.controllers.includes('devices'))) return undefined;
  const program = deviceProgram(allDeviceRules(rules));
  return { op: 'cgroup-device-program', pointer: DEVICES_POINTER, path: place.directory, program, replace: true };
}

function unsupported(at: string, reason: string): StrataError {
  return new StrataError({ code: 'config-unsupported', stage: 'plan', pointer: POINTER + at, reason });
}
