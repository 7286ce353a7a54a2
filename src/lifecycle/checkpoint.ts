/** `checkpoint`: CRIU writes a running container into a directory, from which `restore` makes it again. */
import { StrataError } from '../base/error.ts';
import { externalMounts, parseMounts } from '../criu/mountinfo.ts';
import { CGROUP_MODES, type CgroupMode, type CriuOptions, NETWORK_LOCKS, type NetworkLock, type PageServer, REQUEST } from '../criu/rpc.ts';
import { isInUserNamespace, recentFacts } from '../host/facts.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { CLONE, type Operation } from '../plan/op.ts';
import type { NamespaceType } from '../spec/types.ts';
import { CONFIG_FILE, type Criu, criuError, startCriu } from './criu.ts';
import { destroy } from './destroy.ts';
import { ERRNO, hasErrno } from './fault.ts';
import { freeze, isFrozen, thaw } from './freezer.ts';
import { checkId } from './id.ts';
import { withLock } from './lock.ts';
import { observe } from './observe.ts';
import type { ContainerName, Report } from './report.ts';
import { permit } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { checkRoot, containerDirectory, load, notFound, unifiedEntry } from './store.ts';

/** What a checkpoint and a restore of it are told alike. */
export interface ImageOptions extends Report {
  /** Directory of CRIU's images, absolute. */
  readonly imagePath: string;
  /** Directory of CRIU's log and other files, absolute; that of the images if absent. */
  readonly workPath?: string;
  readonly tcpEstablished?: boolean;
  readonly extUnixSk?: boolean;
  readonly shellJob?: boolean;
  readonly fileLocks?: boolean;
  readonly lazyPages?: boolean;
  readonly autoDedup?: boolean;
  /** CRIU's own choice, `soft`, if absent. */
  readonly manageCgroupsMode?: CgroupMode;
  /** How packets are held up meanwhile; CRIU's own choice, `iptables`, if absent. */
  readonly networkLock?: NetworkLock;
}

export interface CheckpointOptions extends ContainerName, ImageOptions {
  /** Directory of the images that these are the difference to, relative to that of the images. */
  readonly parentPath?: string;
  readonly leaveRunning?: boolean;
  readonly tcpSkipInFlight?: boolean;
  readonly linkRemap?: boolean;
  /** Called when CRIU has written everything; what goes wrong after that is about the end of the container. */
  readonly dumped?: () => void;
  /** Write memory only, in preparation; the container runs on. */
  readonly preDump?: boolean;
  /** An open descriptor to which CRIU writes a byte when it serves pages. Closed then. */
  readonly statusFd?: Descriptor;
  readonly pageServer?: PageServer;
}

const LOG = 'dump.log';
const LOG_LEVEL = 4;
/** The names of the container's standard streams, in the form of runc's file. */
export const DESCRIPTORS_FILE = 'descriptors.json';
/** Where in the container its socket of sd_notify(3) is; only if it has one. */
export const NOTIFY_FILE = 'notify.json';
/** Bytes. */
export const LARGEST_MOUNTINFO = 64 * 1024 * 1024;

/** What CRIU calls a namespace that is not in the image, under which restore hands one to it. */
export const EXTERNAL_NAMESPACES: Readonly<Partial<Record<NamespaceType, { readonly name: string; readonly key: string }>>> = {
  network: { name: 'net', key: 'extRootNetNS' },
  pid: { name: 'pid', key: 'extRootPidNS' },
};

const CONFIG_ANNOTATION = 'org.criu.config';
/** Where a file has to lie that the annotation names. */
const CONFIG_DIRECTORY = '/etc/criu/';
const TERMINAL = /^\/dev\/(?:pts\/|tty|console$)/;

/** CRIU in our own namespaces and cgroups. */
const OUTSIDE: readonly Operation[] = [
  { op: 'clone', pointer: '', create: 0, join: [], uidMap: '', gidMap: '', timeOffsets: '', cgroup: '', tasks: [], unprivileged: false },
];

/**
 * Writes the container's processes into `imagePath`. Afterwards the container is gone, with everything that was made for it, unless it is to run on.
 *
 * @throws StrataError `status`; `config-unsupported` for what cannot be asked of the CRIU that is there; `criu`, and then the container runs on.
 */
export async function checkpoint(host: Host, options: CheckpointOptions): Promise<void> {
  const { root, id } = options;
  checkId(id);
  if (!checkRoot(host, root)) throw notFound(id);
  await withLock(host, root, id, async () => {
    const record = load(host, root, id);
    const { status, pid } = observe(host, root, record, true);
    permit('checkpoint', status, id);
    checkContainer(host, record);
    checkConfigFile(host, record.annotations);
    checkOptions(host, options);
    await dump(host, options, record, pid);
    options.dumped?.();
    if (options.leaveRunning !== true && options.preDump !== true) await destroy(host, root, record, options);
  });
}

function checkContainer(host: Host, { id, traits, joined = [] }: ContainerRecord): void {
  const fault = { code: 'config-unsupported', stage: 'checkpoint' } as const;
  checkRights(host, 'checkpoint');
  const foreign = joined.find((type) => EXTERNAL_NAMESPACES[type] === undefined);
  if (foreign !== undefined) {
    throw new StrataError({ ...fault, reason: `container ${id} cannot be checkpointed: it has joined the ${foreign} namespace of others` });
  }
  if (traits?.ownRoot === false) {
    throw new StrataError({ ...fault, reason: `container ${id} cannot be checkpointed: it has no mount namespace of its own` });
  }
}

/** CRIU needs rights over processes and mounts that no user namespace gives. @throws StrataError `config-unsupported` */
export function checkRights(host: Host, verb: 'checkpoint' | 'restore'): void {
  const isRoot = host.userId() === 0;
  if (isRoot && !isInUserNamespace(host)) return;
  const who = isRoot ? ": who calls is the root of a user namespace, and not the machine's" : '';
  throw new StrataError({ code: 'config-unsupported', stage: verb, reason: `only root can ${verb} a container${who}` });
}

function checkOptions(host: Host, { parentPath, statusFd, lazyPages, preDump, leaveRunning }: CheckpointOptions): void {
  const fault = { code: 'usage', stage: 'checkpoint' } as const;
  if (preDump === true && leaveRunning === true) throw new StrataError({ ...fault, reason: '--pre-dump leaves the container running anyway' });
  if (statusFd !== undefined && lazyPages !== true) throw new StrataError({ ...fault, reason: '--status-fd is for --lazy-pages' });
  if (statusFd !== undefined && !host.isInherited(statusFd)) throw new StrataError({ ...fault, reason: `descriptor ${statusFd} is not open` });
  if (parentPath?.startsWith('/') === true) {
    throw new StrataError({ ...fault, reason: `--parent-path ${parentPath} must be relative to the image path` });
  }
}

/** The way to it leads through the image directory, which has to be there. */
function checkParent(host: Host, { imagePath, parentPath }: CheckpointOptions): void {
  if (parentPath === undefined) return;
  const path = `${imagePath}/${parentPath}`;
  try {
    if (host.stat(host.realPath(path))?.type === 'directory') return;
  } catch (error) {
    if (!hasErrno(error, ERRNO.ENOENT, ERRNO.ENOTDIR)) throw error;
  }
  throw new StrataError({ code: 'usage', stage: 'checkpoint', reason: `the parent image ${path} is not a directory` });
}

async function dump(host: Host, options: CheckpointOptions, record: ContainerRecord, pid: number): Promise<void> {
  const { imagePath, workPath = imagePath, preDump = false } = options;
  const gid = groupOfRoot(host, record, pid);
  checkOwner(host, 'checkpoint', 'work', workPath);
  makeImages(host, options, gid);
  host.makeDirectories(workPath, 0o700);
  const opened: Descriptor[] = [];
  let { statusFd } = options;
  let criu: Criu | undefined;
  try {
    criu = await startCriu(host, { outside: OUTSIDE, inside: [writerOf(gid)], stdio: [0, 1, 2], given: [] });
    await criu.checkVersion();
    await checkFeatures(criu, options);
    criu.log = `${workPath}/${LOG}`;
    const request: CriuOptions = {
      ...directories(criu, options, opened),
      logFile: LOG,
      ...requestOptions(options, record, pid),
      ...(await cgroupYard(host, options.root, record.id)),
      ...(preDump ? {} : await describeSurroundings(host, record, pid, imagePath)),
    };
    const response = await criu.ask({ type: preDump ? REQUEST.preDump : REQUEST.dump, options: request }, async (_script, _pid, descriptor) => {
      if (descriptor !== -1) host.close(descriptor);
      if (statusFd !== undefined) host.close(statusFd);
      statusFd = undefined;
    });
    if (!response.success) throw criuError(host, 'checkpoint', `${workPath}/${LOG}`, response);
  } finally {
    await criu?.end();
    for (const descriptor of opened) host.close(descriptor);
    await host.removeTree(unifiedEntry(options.root, record.id));
  }
}

/** The group on the host of the root of the container's user namespace, as whom CRIU reads the images at restore; 0 without such a namespace. */
function groupOfRoot(host: Host, { traits }: ContainerRecord, pid: number): number {
  if (((traits?.namespaces ?? 0) & CLONE.user) === 0) return 0;
  const map = host.readText(`/proc/${pid}/gid_map`).split('\n');
  const [, gid] = map.map((line) => line.trim().split(/\s+/)).find(([inside]) => inside === '0') ?? [];
  return Number(gid ?? 0);
}

/** Others could have put links there, through which CRIU would write. `what` it is: `image` or `work`. */
export function checkOwner(host: Host, stage: 'checkpoint' | 'restore', what: string, path: string): void {
  if (host.stat(path) === undefined) return;
  const status = host.stat(host.realPath(path));
  if (status === undefined || (status.uid === host.userId() && (status.mode & 0o022) === 0)) return;
  const reason = `the ${what} directory ${path} belongs to others, or can be written by them`;
  throw new StrataError({ code: 'usage', stage, reason, ...(stage === 'restore' && { hint: '--work-path names another for what is written' }) });
}

/** One that is there already stays as it is. */
function makeImages(host: Host, options: CheckpointOptions, gid: number): void {
  const { imagePath } = options;
  const isNew = host.stat(imagePath) === undefined;
  if (!isNew) checkOwner(host, 'checkpoint', 'image', imagePath);
  host.makeDirectories(imagePath, gid === 0 ? 0o700 : 0o710);
  try {
    if (isNew && gid !== 0) host.setGroup(imagePath, gid);
    checkParent(host, options);
  } catch (error) {
    if (isNew) host.removeDirectory(imagePath);
    throw error;
  }
}

/** What is in the images is the container's memory: they are for nobody but root, and for that group. */
function writerOf(gid: number): Operation {
  return { op: 'user', pointer: '', uid: 0, gid, groups: [], umask: gid === 0 ? 0o077 : 0o027 };
}

/** Where CRIU reads and writes. What is opened for that is added to `opened`. */
export function directories(criu: Criu, { imagePath, workPath = imagePath }: ImageOptions, opened: Descriptor[]): CriuOptions {
  const imagesDirFd = criu.openDirectory(imagePath);
  opened.push(imagesDirFd);
  if (workPath === imagePath) return { imagesDirFd };
  const workDirFd = criu.openDirectory(workPath);
  opened.push(workDirFd);
  return { imagesDirFd, workDirFd };
}

async function checkFeatures(criu: Criu, { preDump, parentPath, lazyPages }: CheckpointOptions): Promise<void> {
  const fault = { code: 'config-unsupported', stage: 'checkpoint' } as const;
  if ((preDump === true || parentPath !== undefined) && (await criu.features({ memTrack: true })).memTrack !== true) {
    const flag = preDump === true ? '--pre-dump' : '--parent-path';
    throw new StrataError({ ...fault, reason: `${flag} needs a kernel and a CRIU that track changes of memory (CONFIG_MEM_SOFT_DIRTY)` });
  }
  if (lazyPages === true && (await criu.features({ lazyPages: true })).lazyPages !== true) {
    throw new StrataError({ ...fault, reason: '--lazy-pages needs a kernel and a CRIU with userfaultfd' });
  }
}

function requestOptions(options: CheckpointOptions, record: ContainerRecord, pid: number): CriuOptions {
  const { parentPath, statusFd, pageServer, lazyPages = false } = options;
  const { freezer } = record;
  return {
    pid,
    leaveRunning: options.leaveRunning ?? false,
    tcpSkipInFlight: options.tcpSkipInFlight ?? false,
    linkRemap: options.linkRemap ?? false,
    ...sharedOptions(options, record.annotations),
    ...(parentPath !== undefined && { parentImg: parentPath, trackMem: true }),
    ...(options.preDump === true && { trackMem: true }),
    ...(freezer && { freezeCgroup: freezer.directory }),
    ...(lazyPages && statusFd !== undefined && { statusFd }),
    ...(pageServer && { pageServer }),
  };
}

/**
 * A configuration of CRIU's can have it run programs as root, and annotations may come from an image's labels: only files that the machine's
 * administrator has put where they belong are good.
 *
 * @throws StrataError `config-invalid`
 */
export function checkConfigFile(host: Host, annotations: Readonly<Record<string, string>>): void {
  const path = annotations[CONFIG_ANNOTATION] ?? '';
  if (path === '') return;
  const fault = { code: 'config-invalid', pointer: `/annotations/${CONFIG_ANNOTATION}` } as const;
  const isThere = path.startsWith(CONFIG_DIRECTORY) && !path.split('/').includes('..');
  if (!isThere) throw new StrataError({ ...fault, reason: `must be a file in ${CONFIG_DIRECTORY}, since it can have CRIU run programs as root` });
  const status = host.stat(path);
  if (status === undefined) throw new StrataError({ ...fault, reason: `${path} does not exist` });
  if (status.type === 'file' && status.uid === 0 && (status.mode & 0o022) === 0) return;
  throw new StrataError({ ...fault, reason: `${path} must be a file of root's that nobody else can write` });
}

/**
 * Where cgroup v2 is mounted, if CRIU is to be shown that. Left to itself it mounts v2 anew, which in the machine's own cgroup namespace takes
 * `nsdelegate` and all other options away, from every mount of it. Where there is v1 CRIU wants a place for each hierarchy.
 */
export function unifiedMount(host: Host): string | undefined {
  const { mode, unified } = recentFacts(host).cgroup;
  return mode === 'v2' ? unified?.mount : undefined;
}

/** For a dump a link leads there: CRIU alone follows it, and stays in our mount namespace. */
async function cgroupYard(host: Host, root: string, id: string): Promise<CriuOptions> {
  const mount = unifiedMount(host);
  if (mount === undefined) return {};
  await host.removeTree(unifiedEntry(root, id));
  host.makeLink(mount, unifiedEntry(root, id));
  return { cgroupYard: host.realPath(containerDirectory(root, id)) };
}

/** What dump and restore are asked alike. */
export function sharedOptions(options: ImageOptions, annotations: Readonly<Record<string, string>>): CriuOptions {
  const { manageCgroupsMode, networkLock } = options;
  const config = annotations[CONFIG_ANNOTATION] ?? CONFIG_FILE;
  return {
    logLevel: LOG_LEVEL,
    notifyScripts: true,
    orphanPtsMaster: true,
    manageCgroups: true,
    ...(manageCgroupsMode !== undefined && { manageCgroupsMode: CGROUP_MODES[manageCgroupsMode] }),
    // What is in a network namespace of the container's own is made anew by hooks, as with runc.
    emptyNs: CLONE.network,
    tcpEstablished: options.tcpEstablished ?? false,
    extUnixSk: options.extUnixSk ?? false,
    shellJob: options.shellJob ?? false,
    fileLocks: options.fileLocks ?? false,
    lazyPages: options.lazyPages ?? false,
    autoDedup: options.autoDedup ?? false,
    ...(networkLock !== undefined && { networkLock: NETWORK_LOCKS[networkLock] }),
    ...(config !== '' && { configFile: config }),
  };
}

/** What the container has of the host's: CRIU leaves it out, and restore brings it. */
async function describeSurroundings(host: Host, record: ContainerRecord, pid: number, imagePath: string): Promise<CriuOptions> {
  const mounts = parseMounts(host.readText(`/proc/${pid}/mountinfo`, LARGEST_MOUNTINFO));
  const own = parseMounts(host.readText('/proc/self/mountinfo', LARGEST_MOUNTINFO));
  const external = externalMounts(mounts, own).map((point) => `mnt[${point}]:${point}`);
  for (const type of record.joined ?? []) {
    const { name, key } = EXTERNAL_NAMESPACES[type] ?? {};
    if (name === undefined) continue;
    const inode = /\[(\d+)\]$/.exec(host.realPath(`/proc/${pid}/ns/${name}`))?.[1];
    if (inode !== undefined) external.push(`${name}[${inode}]:${key}`);
  }
  const known = new Set(mounts.map(({ id }) => id));
  const descriptors = await describeStreams(host, record, pid, known);
  external.push(...descriptors.filter((name) => name.startsWith('file[')));
  host.replaceFile(`${imagePath}/${DESCRIPTORS_FILE}`, JSON.stringify(descriptors), 0o600);
  const notify = `${imagePath}/${NOTIFY_FILE}`;
  if (record.notify === undefined) host.removeFile(notify);
  else host.replaceFile(notify, JSON.stringify(record.notify.place), 0o600);
  return { external };
}

/** From here on shells put a standard stream aside while a command of their own has a file in its place. */
const FIRST_ASIDE = 10;
/** So often is looked whether it is back, if the processes can be let go on; what is there then is believed. */
const MOST_LOOKS = 60;

/** The standard streams at a moment when none of them is put aside. The processes stand still meanwhile, or what is read would not fit together. */
async function describeStreams(host: Host, { freezer }: ContainerRecord, pid: number, mounts: ReadonlySet<number>): Promise<readonly string[]> {
  const look = (descriptors: readonly number[]): string[] => descriptors.map((descriptor) => describeStream(host, pid, descriptor, mounts));
  for (let looks = 1; ; looks++) {
    const mover = freezer === undefined || isFrozen(host, freezer) ? undefined : freezer;
    if (mover !== undefined) await freeze(host, mover);
    try {
      const streams = look([0, 1, 2]);
      const others = openDescriptors(host, pid).filter((descriptor) => descriptor >= FIRST_ASIDE);
      if (mover === undefined || looks === MOST_LOOKS || !look(others).some((name) => /^(file|pipe:)\[/.test(name))) return streams;
    } finally {
      if (mover !== undefined) thaw(host, mover);
    }
    await host.sleep(1);
  }
}

function openDescriptors(host: Host, pid: number): number[] {
  try {
    return host.list(`/proc/${pid}/fd`).map(Number);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return [];
    throw error;
  }
}

/** As CRIU names it: a pipe, or a file that is in no mount of the container (proc_pid_fdinfo(5)). Anything else by the path that the kernel tells. */
function describeStream(host: Host, pid: number, descriptor: number, mounts: ReadonlySet<number>): string {
  let name: string;
  let info: string;
  try {
    name = host.realPath(`/proc/${pid}/fd/${descriptor}`);
    info = host.readText(`/proc/${pid}/fdinfo/${descriptor}`);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return '';
    throw error;
  }
  // A terminal that is outside is more than a file: whether it can be saved is for CRIU to say, and --shell-job is for that.
  if (!name.startsWith('/') || TERMINAL.test(name)) return name;
  const mount = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
  const inode = /^ino:\s*(\d+)$/m.exec(info)?.[1];
  if (mount === undefined || inode === undefined || mounts.has(Number(mount))) return name;
  return `file[${Number(mount).toString(16)}:${BigInt(inode).toString(16)}]`;
}
