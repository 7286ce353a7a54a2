/** Device nodes and links in the container's /dev (config-linux.md, Devices and Default Devices; runtime-linux.md, Dev symbolic links). */
import { cleanPath, findNamespace } from '../spec/refuse.ts';
import type { Device, Spec } from '../spec/types.ts';
import type { Operation } from './op.ts';

type Placed = Extract<Operation, { op: 'device' | 'symlink' }>;

const MODE = 0o666;

/** Present in every container. /dev/console comes with a terminal, /dev/ptmx is a link into the container's devpts. */
const DEFAULTS: readonly Device[] = [
  { type: 'c', path: '/dev/null', major: 1, minor: 3 },
  { type: 'c', path: '/dev/zero', major: 1, minor: 5 },
  { type: 'c', path: '/dev/full', major: 1, minor: 7 },
  { type: 'c', path: '/dev/random', major: 1, minor: 8 },
  { type: 'c', path: '/dev/urandom', major: 1, minor: 9 },
  { type: 'c', path: '/dev/tty', major: 5, minor: 0 },
];

const LINKS: readonly (readonly [path: string, target: string, ifExists: boolean])[] = [
  ['/dev/fd', '/proc/self/fd', true],
  ['/dev/stdin', '/proc/self/fd/0', true],
  ['/dev/stdout', '/proc/self/fd/1', true],
  ['/dev/stderr', '/proc/self/fd/2', true],
  // Not of the specification, but programs that read the kernel's core look here.
  ['/dev/core', '/proc/kcore', true],
  ['/dev/ptmx', 'pts/ptmx', false],
];

/** The defaults are the same for every container, but for whether the devices are bound. */
const MADE = defaultOperations(false);
const BOUND = defaultOperations(true);

function defaultOperations(bind: boolean): readonly Placed[] {
  const links = LINKS.map(([path, target, ifExists]): Placed => ({ op: 'symlink', pointer: '', path, target, ifExists }));
  return [...DEFAULTS.map((device) => node(device, device.path, bind, '')), ...links].map((operation) => Object.freeze(operation));
}

/**
 * All devices and links. Nothing is made in a /dev that is a bind mount, because that would be made in the host's own directory.
 *
 * @param bound is /dev one?
 */
export function deviceOperations(spec: Spec, bound: boolean): Operation[] {
  // The kernel permits mknod(2) of devices only in the initial user namespace.
  const bind = findNamespace(spec, 'user') !== undefined;
  const out: Operation[] = [];
  const asked = new Set<string>();
  spec.linux.devices.forEach((device, index) => {
    const path = cleanPath(device.path);
    asked.add(path);
    if (!(bound && path.startsWith('/dev/'))) out.push(node(device, path, bind, `/linux/devices/${index}`));
  });
  if (bound) return out;
  const defaults = bind ? BOUND : MADE;
  return out.concat(asked.size === 0 ? defaults : defaults.filter(({ path }) => !asked.has(path)));
}

function node(device: Device, path: string, bind: boolean, at: string): Placed {
  const { type, major, minor, fileMode = MODE, uid = 0, gid = 0 } = device;
  // A fifo belongs to nobody else: it can be made anywhere, and there is none on the host to bind.
  return { op: 'device', pointer: at, path, type, major, minor, mode: fileMode, uid, gid, bind: bind && type !== 'p' };
}
