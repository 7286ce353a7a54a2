/** Device nodes and links in the container's /dev (config-linux.md, Devices and Default Devices; runtime-linux.md, Dev symbolic links). */
import type { HostFacts } from '../host/facts.ts';
import { cleanPath, findNamespace, invalid } from '../spec/refuse.ts';
import type { Device, IdMapping, Spec } from '../spec/types.ts';
import { isNew } from './namespaces.ts';
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

/** For the owner of a node that is bound: it is the host's, with the owner and the mode that it has there. */
const HOSTS_OWN = 0xffffffff;

/** The defaults are the same for every container, but for whether the devices are bound. */
const MADE = defaultOperations(false);
const BOUND = defaultOperations(true);

function defaultOperations(bind: boolean): readonly Placed[] {
  const links = LINKS.map(([path, target, ifExists]): Placed => ({ op: 'symlink', pointer: '', path, target, ifExists }));
  const owner = bind ? HOSTS_OWN : 0;
  return [...DEFAULTS.map((device) => node(device, device.path, bind, '', owner, owner)), ...links].map((operation) => Object.freeze(operation));
}

/**
 * All devices and links. Nothing is made in a /dev that is a bind mount, because that would be made in the host's own directory.
 *
 * @param bound is /dev one?
 */
export function deviceOperations(spec: Spec, bound: boolean, facts: HostFacts): Operation[] {
  // The kernel permits mknod(2) of devices only in the initial user namespace.
  const bind = facts.userNamespace || findNamespace(spec, 'user') !== undefined;
  const out: Operation[] = [];
  const asked = new Set<string>();
  spec.linux.devices.forEach((device, index) => {
    const path = cleanPath(device.path);
    asked.add(path);
    if (bound && path.startsWith('/dev/')) return;
    const at = `/linux/devices/${index}`;
    const { uid = 0, gid = 0 } = device;
    // A fifo can be made anywhere, and there is none on the host to bind.
    if (!bind || device.type === 'p') out.push(node(device, path, false, at, uid, gid));
    // Of a namespace that is joined we do not know which ids of the host its ids are.
    else if (!isNew(spec, 'user')) out.push(node(device, path, true, at, HOSTS_OWN, HOSTS_OWN));
    else out.push(node(device, path, true, at, hostId(spec.linux.uidMappings, uid, `${at}/uid`), hostId(spec.linux.gidMappings, gid, `${at}/gid`)));
  });
  if (bound) return out;
  const defaults = bind ? BOUND : MADE;
  return out.concat(asked.size === 0 ? defaults : defaults.filter(({ path }) => !asked.has(path)));
}

function node(device: Device, path: string, bind: boolean, at: string, uid: number, gid: number): Placed {
  const { type, major, minor, fileMode = MODE } = device;
  return { op: 'device', pointer: at, path, type, major, minor, mode: fileMode, uid, gid, bind };
}

/** The id outside of the container's user namespace. @throws StrataError `config-invalid` if it has no such id. */
function hostId(mappings: readonly IdMapping[], id: number, at: string): number {
  const mapping = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  if (mapping === undefined) invalid(at, `${id} is not an id of the container's user namespace`);
  return mapping.hostID + id - mapping.containerID;
}
