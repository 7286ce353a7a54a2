/**
 * From an image's configuration to that of a container (conversion.md of the image specification), with what the caller asks for besides, and with defaults that
 * give a program no more than most programs need. Nothing is touched.
 */
import { StrataError } from '../base/error.ts';
import { defaultMounts, MASKED_PATHS, READONLY_PATHS } from '../spec/defaults.ts';
import { CAPABILITIES } from '../spec/names.ts';
import { cleanPath } from '../spec/refuse.ts';
import { defaultSeccomp } from './seccomp.ts';
import type { SeccompProfile } from './seccomp-profile.ts';
import { chooseRules } from './seccomp-profile.ts';
import type { ImageConfig } from './types.ts';
import type { ImageUser } from './user.ts';

/** A mount as config.json has it. */
export interface ContainerMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** A device of the host, by what it is and not by its name. */
export interface ContainerDevice {
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** In the container. */
  readonly path: string;
  /** Some of `rwm`. */
  readonly access: string;
}

export interface ContainerLimit {
  /** `RLIMIT_…` */
  readonly type: string;
  readonly soft: bigint;
  readonly hard: bigint;
}

/** `none`: a namespace with a loopback device only; else the host's own, or one to join. */
export type ContainerNetwork = 'none' | 'host' | { readonly path: string };

/** What holds the program besides its capabilities, where it is not to be the default. */
export interface SecurityWishes {
  /** In place of the default profile, with the kernel that its rules may ask for; `unconfined` for none. */
  readonly seccomp?: 'unconfined' | { readonly profile: SeccompProfile; readonly kernel: { readonly major: number; readonly minor: number } };
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly mountLabel?: string;
  /** Masked besides the usual ones; absolute. */
  readonly masked: readonly string[];
  /** Neither masked nor read-only, though that is usual. */
  readonly unmasked: 'ALL' | readonly string[];
}

/** What the caller wants otherwise than the image has it; all of it checked for form. */
export interface Wishes {
  /** In place of the image's `Cmd`. */
  readonly command?: readonly string[];
  /** In place of the image's `Entrypoint`, and then its `Cmd` does not count either; empty for none. */
  readonly entrypoint?: readonly string[];
  /** `NAME=value`, or a `NAME` that is to be unset; later ones win. */
  readonly env: readonly string[];
  readonly workingDirectory?: string;
  readonly terminal: boolean;
  readonly readonly: boolean;
  /** Bytes. */
  readonly memory?: number;
  /** Microseconds of processor time in 100 ms. */
  readonly cpuQuota?: number;
  /** Processes and threads. */
  readonly pids?: number;
  readonly mounts: readonly ContainerMount[];
  readonly addedCapabilities: readonly string[];
  readonly droppedCapabilities: readonly string[];
  readonly devices: readonly ContainerDevice[];
  readonly limits: readonly ContainerLimit[];
  readonly network: ContainerNetwork;
  /** Whether executing a file may give more rights (setuid, file capabilities). */
  readonly newPrivileges: boolean;
  readonly security: SecurityWishes;
  readonly labels: Readonly<Record<string, string>>;
}

/** What is known of the container besides. */
export interface Surroundings {
  readonly user: ImageUser;
  readonly hostname: string;
  /** Of the root, as config.json has it. */
  readonly root: string;
  /** Annotations of ours, which no label can replace. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Conversion {
  /** A configuration as config.json has it, a JSON value; integers may be bigint. */
  readonly spec: object;
  /** Its `process.args`. */
  readonly command: readonly string[];
  /** Labels of the image and of the caller. */
  readonly labels: Readonly<Record<string, string>>;
  /** Each one line. */
  readonly warnings: readonly string[];
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PERIOD = 100_000;
/** Of the runtime specification: nothing newer is used, and older runtimes refuse versions that they do not know. */
const VERSION = '1.0.2';

/** What Docker and its kin have always given, and what images are made for. */
const DEFAULT_CAPABILITIES =
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE';

/** Besides the usual ones, ways to learn of the machine's load, and through it of what others do. */
export const MASKED: readonly string[] = MASKED_PATHS.concat('/proc/interrupts', '/sys/devices/virtual/powercap');

/**
 * Annotations by which some runtime takes orders: an image gives none. Ours, what runc, crun and youki tell of themselves in `features`
 * (`potentiallyUnsafeConfigAnnotations`), and those of Kata Containers and gVisor. One that ends in a dot or a slash stands for all that begin so.
 */
const ORDERS = [
  'dev.strata.',
  'org.systemd.property.',
  'org.criu.config',
  'bundle',
  'run.oci.',
  'module.wasm.image/',
  'io.kubernetes.cri.',
  'io.kubernetes.cri-o.',
  'io.katacontainers.',
  'dev.gvisor.',
];

/** Where the kernel's own file systems are, and everything that lies in them. */
const KERNEL_PLACES = /^\/(proc|sys)(\/|$)|^\/dev(\/(pts|mqueue))?$/;

/**
 * @throws StrataError `usage` if there is no program to run, or for a mount, a capability or a path of the kernel's that cannot be; `image-invalid` for what is wrong with the image's configuration.
 */
export function convert(image: ImageConfig, wishes: Wishes, surroundings: Surroundings): Conversion {
  const { user } = surroundings;
  if (image.os !== 'linux') throw broken(`it is made for ${image.os}, not for linux`);
  const warnings: string[] = [];
  const command = commandOf(image, wishes);
  const granted = capabilities(wishes);
  // An ordinary user's program would lose them at its execution, and with no_new_privs cannot regain them.
  const held = user.uid === 0 ? granted : [];
  const labels = { ...image.config.Labels, ...wishes.labels };
  const { apparmorProfile, selinuxLabel, mountLabel } = wishes.security;
  const seccomp = seccompOf(image, wishes, granted);
  const spec = {
    ociVersion: VERSION,
    root: { path: surroundings.root, readonly: wishes.readonly },
    process: {
      terminal: wishes.terminal,
      user: { uid: user.uid, gid: user.gid, ...(user.additionalGids.length > 0 && { additionalGids: user.additionalGids }) },
      args: command,
      env: environment(image, wishes, surroundings.hostname),
      cwd: workingDirectory(image, wishes),
      capabilities: { bounding: granted, effective: held, permitted: held },
      ...(wishes.limits.length > 0 && { rlimits: wishes.limits }),
      noNewPrivileges: !wishes.newPrivileges,
      ...(apparmorProfile !== undefined && { apparmorProfile }),
      ...(selinuxLabel !== undefined && { selinuxLabel }),
    },
    hostname: surroundings.hostname,
    mounts: mounts(wishes.mounts),
    annotations: annotations(image, wishes, surroundings, warnings),
    linux: {
      namespaces: namespaces(wishes.network),
      resources: resources(wishes),
      ...(wishes.devices.length > 0 && { devices: wishes.devices.map(deviceNode) }),
      ...(seccomp && { seccomp }),
      ...kernelPaths(wishes.security),
      ...(mountLabel !== undefined && { mountLabel }),
    },
  };
  return { spec, command, labels, warnings };
}

/**
 * Where the image wants data outside of its root, and the caller has put nothing. `warn` gets those that would take a place of the kernel's.
 *
 * @throws StrataError `image-invalid`
 */
export function imageVolumes(image: ImageConfig, asked: readonly { readonly destination: string }[], warn: (text: string) => void): string[] {
  const taken = new Set(asked.map(({ destination }) => cleanPath(destination)));
  const out = new Set<string>();
  for (const path of image.config.Volumes ?? []) {
    const place = cleanPath(path);
    if (!path.startsWith('/') || place === '/') throw broken(`the volume "${path}" is no absolute path below the root`);
    if (taken.has(place)) continue;
    if (KERNEL_PLACES.test(place)) warn(`the image's volume ${JSON.stringify(path)} would cover what the kernel has there: it is left out`);
    else out.add(place);
  }
  return [...out];
}

function commandOf({ config }: ImageConfig, { command, entrypoint }: Wishes): readonly string[] {
  const own = entrypoint === undefined ? (config.Cmd ?? []) : [];
  const args = (entrypoint ?? config.Entrypoint ?? []).concat(command !== undefined && command.length > 0 ? command : own);
  if (args.length > 0) return args;
  throw new StrataError({ code: 'usage', stage: 'check', reason: 'the image names no program to run', hint: 'name one behind the container id' });
}

/** A name that the image or the caller has comes from there, and from the later of the two. In an image a name alone has an empty value. */
function environment({ config }: ImageConfig, { env, terminal }: Wishes, hostname: string): string[] {
  const all = [PATH, `HOSTNAME=${hostname}`].concat(terminal ? 'TERM=xterm' : [], (config.Env ?? []).map(withValue), env);
  const out = new Map<string, string>();
  for (let index = 0; index < all.length; index++) {
    const entry = all[index] as string;
    const equals = entry.indexOf('=');
    if (equals === 0 || entry === '') throw broken(`the environment has ${JSON.stringify(entry)}, which has no name`);
    if (equals === -1) out.delete(entry);
    else out.set(entry.slice(0, equals), entry);
  }
  return [...out.values()];
}

function withValue(entry: string): string {
  return entry.includes('=') ? entry : `${entry}=`;
}

function workingDirectory({ config }: ImageConfig, wishes: Wishes): string {
  const directory = wishes.workingDirectory ?? config.WorkingDir ?? '';
  if (directory === '') return '/';
  // Docker takes a relative one from the root, and there are images with such a one.
  return cleanPath(directory);
}

/** The image's labels and the implicit annotations of conversion.md, over which the labels win; ours win over all. */
function annotations(image: ImageConfig, wishes: Wishes, surroundings: Surroundings, warnings: string[]): Readonly<Record<string, string>> {
  const { Labels, ExposedPorts, StopSignal } = image.config;
  const implicit: Readonly<Record<string, string | undefined>> = {
    os: image.os,
    architecture: image.architecture,
    variant: image.variant,
    'os.version': image['os.version'],
    'os.features': image['os.features']?.join(','),
    author: image.author,
    created: image.created,
    exposedPorts: ExposedPorts?.join(','),
    stopSignal: StopSignal,
  };
  const out: [string, string][] = [];
  for (const [name, value] of Object.entries(implicit))
    if (value !== undefined && value !== '') out.push([`org.opencontainers.image.${name}`, value]);
  for (const [name, value] of Object.entries(Labels ?? {})) {
    if (name === '') continue;
    if (isOrder(name)) warnings.push(`the image's label ${JSON.stringify(name)} is an order to a runtime: it does not become an annotation`);
    else out.push([name, value]);
  }
  return Object.fromEntries(out.concat(Object.entries(wishes.labels), Object.entries(surroundings.annotations)));
}

export function isOrder(name: string): boolean {
  return ORDERS.some((order) => (/[./]$/.test(order) ? name.startsWith(order) : name === order));
}

/** @throws StrataError `usage` */
function capabilities({ addedCapabilities, droppedCapabilities }: Wishes): string[] {
  const out = new Set(DEFAULT_CAPABILITIES.split(' ').map((name) => `CAP_${name}`));
  const dropped = droppedCapabilities.map(capability);
  const added = addedCapabilities.map(capability);
  if (dropped.includes(ALL)) out.clear();
  if (added.includes(ALL)) for (const name of Object.keys(CAPABILITIES)) out.add(name);
  // What is named wins over ALL, and what is taken over what is given.
  for (const name of added) if (name !== ALL) out.add(name);
  for (const name of dropped) out.delete(name);
  return [...out];
}

const ALL = 'ALL';

function capability(text: string): string {
  const name = text.toUpperCase();
  if (name === ALL) return ALL;
  const full = name.startsWith('CAP_') ? name : `CAP_${name}`;
  if (Object.hasOwn(CAPABILITIES, full)) return full;
  throw new StrataError({ code: 'usage', reason: `there is no capability ${JSON.stringify(text)}`, hint: 'a name such as NET_ADMIN, or ALL' });
}

function seccompOf(image: ImageConfig, { security }: Wishes, granted: readonly string[]): object | undefined {
  const { architecture } = image;
  if (security.seccomp === undefined) return defaultSeccomp(granted, architecture);
  if (security.seccomp === 'unconfined') return undefined;
  const { profile, kernel } = security.seccomp;
  return chooseRules(profile, { capabilities: granted, architecture, kernel });
}

/** What of /proc and /sys is not to be seen, or not to be written. @throws StrataError `usage` for what would not change anything */
function kernelPaths({ masked, unmasked }: SecurityWishes): { readonly maskedPaths: readonly string[]; readonly readonlyPaths: readonly string[] } {
  const own = [...new Set(masked.map(cleanPath))];
  if (unmasked === 'ALL') return { maskedPaths: own, readonlyPaths: [] };
  const freed = unmasked.map(cleanPath);
  for (const path of freed) {
    if (!MASKED.includes(path) && !READONLY_PATHS.includes(path)) {
      const hint = `those that are: ${MASKED.concat(READONLY_PATHS).join(', ')}`;
      throw new StrataError({ code: 'usage', reason: `nothing is masked or read-only at ${path}, which is to be unmasked`, hint });
    }
    if (own.includes(path)) throw new StrataError({ code: 'usage', reason: `${path} is to be both masked and unmasked` });
  }
  const isUsual = (path: string): boolean => !freed.includes(path);
  return {
    maskedPaths: MASKED.filter((path) => isUsual(path) && !own.includes(path)).concat(own),
    readonlyPaths: READONLY_PATHS.filter(isUsual),
  };
}

/** The usual ones, and then the others so that none covers one that was made before; one that is asked for takes the place of a usual one. */
function mounts(asked: readonly ContainerMount[]): object[] {
  const seen = new Set<string>();
  for (const { destination } of asked) {
    const place = cleanPath(destination);
    if (place === '/') throw new StrataError({ code: 'usage', reason: 'nothing can be mounted over the root' });
    if (seen.has(place)) throw new StrataError({ code: 'usage', reason: `two mounts are asked for at ${place}` });
    seen.add(place);
  }
  const usual: object[] = defaultMounts().filter(({ destination }) => !seen.has(destination));
  return usual.concat([...asked].sort((a, b) => depth(a) - depth(b)));
}

function depth({ destination }: ContainerMount): number {
  return cleanPath(destination).split('/').length;
}

function namespaces(network: ContainerNetwork): object[] {
  const out: object[] = [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'cgroup' }];
  if (network === 'none') out.push({ type: 'network' });
  else if (network !== 'host') out.push({ type: 'network', path: network.path });
  return out;
}

function resources({ memory, cpuQuota, pids, devices }: Wishes): object {
  const rules: object[] = [{ allow: false, access: 'rwm' }];
  for (const { type, major, minor, access } of devices) rules.push({ allow: true, type, major, minor, access });
  return {
    devices: rules,
    ...(memory !== undefined && { memory: { limit: memory } }),
    ...(cpuQuota !== undefined && { cpu: { quota: cpuQuota, period: PERIOD } }),
    ...(pids !== undefined && { pids: { limit: pids } }),
  };
}

function deviceNode({ type, path, major, minor, mode, uid, gid }: ContainerDevice): object {
  return { type, path, major, minor, fileMode: mode, uid, gid };
}

function broken(reason: string): StrataError {
  return new StrataError({ code: 'image-invalid', stage: 'check', reason: `the image's configuration: ${reason}` });
}
