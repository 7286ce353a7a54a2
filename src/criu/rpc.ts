/** Requests to CRIU and its answers (images/rpc.proto of CRIU 4): of the fields those that strata sends or reads, under their numbers there. */
import { StrataError } from '../base/error.ts';
import { MessageReader, MessageWriter } from './protobuf.ts';

/** criu_req_type. */
export const REQUEST = { dump: 1, restore: 2, preDump: 4, notify: 6, featureCheck: 9, version: 10 } as const;
export type RequestType = (typeof REQUEST)[keyof typeof REQUEST];

/** criu_cg_mode: what becomes of the properties of cgroups. */
export const CGROUP_MODES = { ignore: 0, soft: 3, full: 4, strict: 5 } as const;
export type CgroupMode = keyof typeof CGROUP_MODES;

/** criu_network_lock_method: how packets are held up while connections are dumped or restored. */
export const NETWORK_LOCKS = { iptables: 1, nftables: 2, skip: 3 } as const;
export type NetworkLock = keyof typeof NETWORK_LOCKS;

export interface PageServer {
  readonly address: string;
  readonly port: number;
}

/** A descriptor of CRIU's own that stands for something of the image. */
export interface InheritedDescriptor {
  readonly key: string;
  readonly fd: number;
}

/** Where the processes go that were in the uppermost cgroup of the image; `controller`: '' for cgroup v2. */
export interface CgroupRoot {
  readonly controller: string;
  readonly path: string;
}

interface OptionTypes {
  number: number;
  boolean: boolean;
  string: string;
  strings: readonly string[];
  pageServer: PageServer;
  inherited: readonly InheritedDescriptor[];
  cgroupRoots: readonly CgroupRoot[];
}

/** criu_opts. Descriptors of directories, and that of `statusFd`, are the requester's own numbers. */
const OPTIONS = {
  imagesDirFd: [1, 'number'],
  pid: [2, 'number'],
  leaveRunning: [3, 'boolean'],
  extUnixSk: [4, 'boolean'],
  tcpEstablished: [5, 'boolean'],
  evasiveDevices: [6, 'boolean'],
  shellJob: [7, 'boolean'],
  fileLocks: [8, 'boolean'],
  logLevel: [9, 'number'],
  logFile: [10, 'string'],
  pageServer: [11, 'pageServer'],
  notifyScripts: [12, 'boolean'],
  root: [13, 'string'],
  parentImg: [14, 'string'],
  trackMem: [15, 'boolean'],
  autoDedup: [16, 'boolean'],
  workDirFd: [17, 'number'],
  linkRemap: [18, 'boolean'],
  manageCgroups: [24, 'boolean'],
  cgroupRoots: [25, 'cgroupRoots'],
  rstSibling: [26, 'boolean'],
  inheritFd: [27, 'inherited'],
  manageCgroupsMode: [34, 'number'],
  external: [37, 'strings'],
  emptyNs: [38, 'number'],
  freezeCgroup: [44, 'string'],
  tcpSkipInFlight: [46, 'boolean'],
  lazyPages: [48, 'boolean'],
  statusFd: [49, 'number'],
  orphanPtsMaster: [50, 'boolean'],
  configFile: [51, 'string'],
  tcpClose: [52, 'boolean'],
  lsmProfile: [53, 'string'],
  cgroupYard: [60, 'string'],
  lsmMountContext: [63, 'string'],
  networkLock: [64, 'number'],
} as const satisfies Readonly<Record<string, readonly [field: number, type: keyof OptionTypes]>>;

type OptionTable = typeof OPTIONS;
export type CriuOptions = { readonly [Name in keyof OptionTable]?: OptionTypes[OptionTable[Name][1]] };

/** criu_features. */
export interface Features {
  /** Pages that have changed since a pre-dump can be told. */
  readonly memTrack?: boolean;
  /** Pages can be brought when they are needed (userfaultfd). */
  readonly lazyPages?: boolean;
}

export interface Request {
  readonly type: RequestType;
  readonly options?: CriuOptions;
  readonly features?: Features;
  /** The answer to a notification. */
  readonly notifySuccess?: boolean;
  /** More requests follow: only with those that ask for something. */
  readonly keepOpen?: boolean;
}

export interface Response {
  readonly success: boolean;
  /** `script`: at which point of its work CRIU is, and waits. */
  readonly notify?: { readonly script: string; readonly pid: number };
  /** First process of what was restored. */
  readonly restoredPid?: number;
  readonly features?: Features;
  /** As one number: 4.2.1 is 40201. */
  readonly version?: number;
  readonly message: string;
}

export function encodeRequest({ type, options, features, notifySuccess, keepOpen }: Request): string {
  const out = new MessageWriter();
  out.number(1, type);
  if (options !== undefined) out.message(2, encodeOptions(options));
  if (notifySuccess !== undefined) out.boolean(3, notifySuccess);
  if (keepOpen !== undefined) out.boolean(4, keepOpen);
  if (features !== undefined) {
    const inner = new MessageWriter();
    if (features.memTrack !== undefined) inner.boolean(1, features.memTrack);
    if (features.lazyPages !== undefined) inner.boolean(2, features.lazyPages);
    out.message(5, inner.bytes);
  }
  return out.bytes;
}

function encodeOptions(options: CriuOptions): string {
  const out = new MessageWriter();
  for (const name of Object.keys(OPTIONS) as (keyof OptionTable)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const [field] = OPTIONS[name];
    if (typeof value === 'number') out.number(field, value);
    else if (typeof value === 'boolean') out.boolean(field, value);
    else if (typeof value === 'string') out.string(field, value);
    else if ('address' in value) out.message(field, encodePageServer(value));
    else for (const item of value) encodeItem(out, field, item);
  }
  return out.bytes;
}

function encodeItem(out: MessageWriter, field: number, item: string | InheritedDescriptor | CgroupRoot): void {
  if (typeof item === 'string') {
    out.string(field, item);
    return;
  }
  const inner = new MessageWriter();
  if ('key' in item) {
    inner.string(1, item.key);
    inner.number(2, item.fd);
  } else {
    inner.string(1, item.controller);
    inner.string(2, item.path);
  }
  out.message(field, inner.bytes);
}

function encodePageServer({ address, port }: PageServer): string {
  const inner = new MessageWriter();
  inner.string(1, address);
  inner.number(2, port);
  return inner.bytes;
}

/** @throws StrataError `system` if that is no answer of CRIU's. */
export function decodeResponse(bytes: string): Response {
  const read = new MessageReader(bytes);
  const success = read.boolean(2);
  if (read.number(1) === undefined || success === undefined)
    throw new StrataError({ code: 'system', reason: 'CRIU sent an answer without a result' });
  const notify = read.message(5);
  const restoredPid = read.message(4)?.number(1);
  const features = read.message(8);
  const version = read.message(10);
  return {
    success,
    ...(notify && { notify: { script: notify.string(1) ?? '', pid: notify.number(2) ?? 0 } }),
    ...(restoredPid !== undefined && { restoredPid }),
    ...(features && { features: { memTrack: features.boolean(1) ?? false, lazyPages: features.boolean(2) ?? false } }),
    ...(version && { version: (version.number(1) ?? 0) * 10_000 + (version.number(2) ?? 0) * 100 + (version.number(4) ?? 0) }),
    message: read.string(9) ?? '',
  };
}
