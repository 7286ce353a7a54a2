/** Checks of `mounts`, of the paths that are hidden or made read-only, and of device nodes. */
import { checkMappings } from './check-namespaces.ts';
import { checkId } from './check-process.ts';
import { cleanPath, findNamespace, invalid, mustBeAbsolute, quoted } from './refuse.ts';
import type { Device, Mount, Spec } from './types.ts';

/**
 * Files of procfs that may be replaced: views of the machine's load and size that tools such as lxcfs provide. Anything else there could give
 * the container's programs, or the runtime that enters it, false answers about processes, labels and settings.
 */
const REPLACEABLE = new Set(
  'cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled'
    .split(' ')
    .map((name) => `/proc/${name}`),
);

/** config.md, Mounts: by an option; engines also write it as the type. */
export function isBind(mount: Mount): boolean {
  return mount.type === 'bind' || mount.options.includes('bind') || mount.options.includes('rbind');
}

export function checkMounts(spec: Spec): void {
  for (const [index, mount] of spec.mounts.entries()) {
    const place = `/mounts/${index}`;
    if (mount.destination === '') invalid(`${place}/destination`, 'must not be empty');
    if (isBind(mount)) {
      if (mount.source === undefined) invalid(`${place}/source`, 'a bind mount needs a source');
    } else if (mount.type === undefined && !mount.options.includes('remount')) {
      invalid(`${place}/type`, 'a mount that is not a bind mount needs a type');
    }
    const copyUp = mount.options.indexOf('tmpcopyup');
    if (copyUp >= 0 && mount.type !== 'tmpfs') invalid(`${place}/options/${copyUp}`, 'tmpcopyup is for mounts of type tmpfs');
    checkProc(mount, place);
    checkIdmap(spec, mount, place);
  }
}

function checkProc(mount: Mount, place: string): void {
  const destination = cleanPath(mount.destination);
  if (destination === '/proc') {
    if (mount.type !== 'proc' && !isBind(mount)) invalid(`${place}/destination`, 'only procfs may be mounted at /proc');
  } else if (destination.startsWith('/proc/') && !(isBind(mount) && REPLACEABLE.has(destination))) {
    invalid(`${place}/destination`, `${quoted(mount.destination)} is inside /proc, where mounts are not allowed`, 'use maskedPaths or readonlyPaths');
  }
}

function checkIdmap(spec: Spec, mount: Mount, place: string): void {
  const { uidMappings, gidMappings } = mount;
  const option = mount.options.findIndex((name) => name === 'idmap' || name === 'ridmap');
  if (uidMappings === undefined && gidMappings === undefined) {
    if (option < 0) return;
    if (findNamespace(spec, 'user') === undefined) {
      invalid(`${place}/options/${option}`, `${mount.options[option]} needs uidMappings and gidMappings, or a user namespace`);
    }
  } else {
    if (uidMappings === undefined) invalid(`${place}/uidMappings`, 'required where there are gidMappings');
    if (gidMappings === undefined) invalid(`${place}/gidMappings`, 'required where there are uidMappings');
    checkMappings(uidMappings, `${place}/uidMappings`);
    checkMappings(gidMappings, `${place}/gidMappings`);
  }
  if (!isBind(mount)) invalid(option < 0 ? `${place}/uidMappings` : `${place}/options/${option}`, 'only bind mounts can be id-mapped');
}

export function checkPaths(spec: Spec): void {
  for (const key of ['maskedPaths', 'readonlyPaths'] as const) {
    for (const [index, path] of spec.linux[key].entries()) mustBeAbsolute(path, `/linux/${key}/${index}`);
  }
}

export function checkDevices(spec: Spec): void {
  const seen = new Map<string, Device>();
  for (const [index, device] of spec.linux.devices.entries()) {
    const place = `/linux/devices/${index}`;
    mustBeAbsolute(device.path, `${place}/path`);
    checkId(device.uid, `${place}/uid`);
    checkId(device.gid, `${place}/gid`);
    const path = cleanPath(device.path);
    const other = seen.get(path);
    if (other !== undefined && !isSameDevice(device, other))
      invalid(`${place}/path`, `another device of this list has the path ${quoted(device.path)}`);
    seen.set(path, device);
  }
}

/** config-linux.md, Devices: a node that exists must match; `u` is another name of `c`, mknod(1). */
function isSameDevice(a: Device, b: Device): boolean {
  const kind = (device: Device): string => (device.type === 'u' ? 'c' : device.type);
  return kind(a) === kind(b) && a.major === b.major && a.minor === b.minor;
}
