/** Checks of `mounts`, of the paths that are hidden or made read-only, and of device nodes. */
import { checkMappings } from './check-namespaces.ts';
import { checkId } from './check-process.ts';
import { cleanPath, findNamespace, invalid, mustAllBeAbsolute, mustBeAbsolute, quoted, unsupported } from './refuse.ts';
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
  const { mounts } = spec;
  for (let index = 0; index < mounts.length; index++) checkMount(spec, mounts[index] as Mount, index);
}

function checkMount(spec: Spec, mount: Mount, index: number): void {
  const { destination, type, options } = mount;
  const bind = isBind(mount);
  if (destination === '') invalid(`/mounts/${index}/destination`, 'must not be empty');
  if (bind) {
    if (mount.source === undefined) invalid(`/mounts/${index}/source`, 'a bind mount needs a source');
  } else if (type === undefined && !options.includes('remount')) {
    invalid(`/mounts/${index}/type`, 'a mount that is not a bind mount needs a type');
  }
  if (type !== 'tmpfs') {
    const copyUp = options.indexOf('tmpcopyup');
    if (copyUp >= 0) invalid(`/mounts/${index}/options/${copyUp}`, 'tmpcopyup is for mounts of type tmpfs');
  }
  checkProc(mount, bind, index);
  checkIdmap(spec, mount, bind, index);
}

function checkProc(mount: Mount, bind: boolean, index: number): void {
  const destination = cleanPath(mount.destination);
  if (!destination.startsWith('/proc')) return;
  if (destination === '/proc') {
    if (mount.type !== 'proc' && !bind) invalid(`/mounts/${index}/destination`, 'only procfs may be mounted at /proc');
  } else if (destination.startsWith('/proc/') && !(bind && REPLACEABLE.has(destination))) {
    const reason = `${quoted(mount.destination)} is inside /proc, where mounts are not allowed`;
    invalid(`/mounts/${index}/destination`, reason, 'use maskedPaths or readonlyPaths');
  }
}

function checkIdmap(spec: Spec, mount: Mount, bind: boolean, index: number): void {
  const { uidMappings, gidMappings, options } = mount;
  const option = Math.max(options.indexOf('idmap'), options.indexOf('ridmap'));
  if (option < 0 && uidMappings === undefined && gidMappings === undefined) return;
  const place = `/mounts/${index}`;
  if (uidMappings === undefined && gidMappings === undefined) {
    if (findNamespace(spec, 'user') === undefined) {
      invalid(`${place}/options/${option}`, `${options[option]} needs uidMappings and gidMappings, or a user namespace`);
    }
  } else {
    if (uidMappings === undefined) invalid(`${place}/uidMappings`, 'required where there are gidMappings');
    if (gidMappings === undefined) invalid(`${place}/gidMappings`, 'required where there are uidMappings');
    checkMappings(uidMappings, `${place}/uidMappings`);
    checkMappings(gidMappings, `${place}/gidMappings`);
  }
  if (!bind) unsupported(option < 0 ? `${place}/uidMappings` : `${place}/options/${option}`, 'only bind mounts can be id-mapped');
}

export function checkPaths(spec: Spec): void {
  mustAllBeAbsolute(spec.linux.maskedPaths, '/linux/maskedPaths');
  mustAllBeAbsolute(spec.linux.readonlyPaths, '/linux/readonlyPaths');
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
