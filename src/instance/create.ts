/** From an image to an instance: a directory in the store that is a bundle, with a writable layer of its own. All of it is made aside and put in place at once. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import { stringifyExact } from '../base/json.ts';
import { isAtLeast, recentFacts } from '../host/facts.ts';
import type { Descriptor, Host } from '../host/host.ts';
import type { ContainerDevice, ContainerMount, Conversion, SecurityWishes, Wishes } from '../image/convert.ts';
import { convert, imageVolumes } from '../image/convert.ts';
import type { ImageConfig } from '../image/types.ts';
import { resolveUser } from '../image/user.ts';
import { checkId } from '../lifecycle/id.ts';
import type { ContainerName } from '../lifecycle/report.ts';
import { signalNumber } from '../lifecycle/signals.ts';
import { containerDirectory, idTaken } from '../lifecycle/store.ts';
import { OVERLAY_ANNOTATION } from '../overlay/stack.ts';
import type { FoundImage } from '../store/images.ts';
import { findImage, readImageConfig } from '../store/images.ts';
import { whileUsing } from '../store/lock.ts';
import { containerPath, layerDiff, volumeData } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary, openStore } from '../store/store.ts';
import { networkFiles } from './network-files.ts';
import type { Instance, InstanceVolume, LogSettings } from './record.ts';
import { removeAtOnce, removeVolume } from './removal.ts';
import type { SecurityOptions } from './security.ts';
import { resolveSecurity, sharedLabel } from './security.ts';
import { inUserNamespace, isOrdinary, removeTree } from './user-namespace.ts';
import { makeVolume } from './volumes.ts';
import type { DeviceWish, VolumeWish } from './wishes.ts';

/** What is wished of an image, whatever is to become of it. */
export interface ImageWishes extends Omit<Wishes, 'mounts' | 'devices' | 'security'> {
  /** Directory of the store, absolute. */
  readonly store: string;
  /** By name or id. */
  readonly image: string;
  /** In place of the image's `User`. */
  readonly user?: string;
  readonly hostname?: string;
  readonly volumes: readonly VolumeWish[];
  readonly tmpfs: readonly ContainerMount[];
  readonly devices: readonly DeviceWish[];
  readonly security: SecurityOptions;
  /** Called between the stages; what it throws ends the work, and everything is undone. */
  readonly checkpoint?: () => void;
}

/** Without a host name it is the container's id, as far as a host name can be as long. */
export interface InstanceOptions extends ContainerName, ImageWishes {
  /** By name or number; the image's if absent, else SIGTERM. */
  readonly stopSignal?: string;
  readonly interactive: boolean;
  readonly remove: boolean;
  readonly log: LogSettings;
}

export interface CreatedInstance {
  readonly instance: Instance;
  readonly store: Store;
  /** Its directory, which is its bundle. */
  readonly directory: string;
  /** What its config.json holds, a JSON value. */
  readonly spec: object;
  /** A lock on the directory, without which others take the instance for stopped; the caller's to close. */
  readonly lock: Descriptor;
  /** Volumes that did not exist before. */
  readonly newVolumes: readonly string[];
}

/** So long a host name can be, gethostname(2). */
const LONGEST_HOSTNAME = 64;
/** Bytes of a passwd or group file that are read. */
const LARGEST_USER_FILE = 4 * 1024 * 1024;
/** Nothing in the upper directory may point into layers by other means than its name: it is to be read by itself, and mounted again. */
const OVERLAY_OPTIONS: readonly string[] = ['index=off', 'metacopy=off', 'redirect_dir=off'];
/** The same in a user namespace. */
const USER_OVERLAY_OPTIONS: readonly string[] = ['index=off', 'metacopy=off', 'redirect_dir=nofollow', 'userxattr'];

/**
 * Makes an instance of an image. Nothing runs yet.
 *
 * @throws StrataError `image-not-found`, `image-invalid`, `exists`, `usage` and others; then nothing of it is left.
 */
export async function createInstance(host: Host, options: InstanceOptions): Promise<CreatedInstance> {
  const { id } = options;
  checkId(id);
  const store = openStore(host, options.store);
  return whileUsing(store, async () => {
    const found = findImage(store, options.image);
    if (host.stat(containerPath(store.root, id)) !== undefined || host.stat(containerDirectory(options.root, id)) !== undefined) throw idTaken(id);
    return new Making(store, options, found).carryOut();
  });
}

/** Takes back an instance whose program has not run. */
export async function discardInstance({ store, directory, newVolumes }: CreatedInstance): Promise<void> {
  return whileUsing(store, async () => {
    await removeAtOnce(store, directory);
    for (const name of newVolumes) await removeVolume(store, name);
  });
}

/** What of an image a container needs. */
export interface ImageParts {
  readonly config: ImageConfig;
  /** Directories of the layers, top to bottom. */
  readonly lower: readonly string[];
}

/** @throws StrataError `image-invalid` for an image without layers. */
export function imageParts(store: Store, { image }: FoundImage): ImageParts {
  const lower: string[] = [];
  for (let index = image.layers.length - 1; index >= 0; index--) lower.push(layerDiff(store.root, image.layers[index] as string));
  if (lower.length === 0)
    throw new StrataError({ code: 'image-invalid', reason: `image ${image.id} has no layers, so there is nothing in it to run` });
  return { config: readImageConfig(store, image), lower };
}

/** The annotation of an instance whose layers are these, top to bottom. */
export function overlayText(host: Host, lower: readonly string[], remove: boolean): string {
  // What goes with its container need not be brought to the disk when the overlay is unmounted, which would bring the whole file system there.
  const { kernel, userNamespace } = recentFacts(host);
  const canBeVolatile = remove && isAtLeast(kernel, 5, 10);
  const usual = userNamespace || isOrdinary(host) ? USER_OVERLAY_OPTIONS : OVERLAY_OPTIONS;
  return JSON.stringify({ lower, upper: 'upper', work: 'work', options: canBeVolatile ? [...usual, 'volatile'] : usual });
}

/** {@link convert}, with the user looked up in the image's own files. */
export function convertParts(
  host: Host,
  { config, lower }: ImageParts,
  wishes: Wishes,
  surroundings: {
    readonly user: string | undefined;
    readonly hostname: string;
    readonly root: string;
    readonly annotations: Readonly<Record<string, string>>;
  },
): Conversion {
  const { user: asked = config.config.User ?? '', ...rest } = surroundings;
  const user = resolveUser(asked, {
    passwd: () => host.readLayered(lower, 'etc/passwd', LARGEST_USER_FILE),
    group: () => host.readLayered(lower, 'etc/group', LARGEST_USER_FILE),
  });
  return convert(config, wishes, { ...rest, user });
}

/** The devices that are asked for. @throws StrataError `usage` for one that is none. */
export function findDevices(host: Host, wishes: readonly DeviceWish[]): ContainerDevice[] {
  return wishes.map(({ source, destination, access }) => {
    const device = host.device(source);
    if (device === undefined) throw new StrataError({ code: 'usage', reason: `${source} is no device` });
    return { ...device, path: destination, access };
  });
}

/** A bind mount of a directory or file of the host, with what is mounted below it: read-only, that too. */
export function bindMount(host: Host, { destination, readonly, options }: VolumeWish, source: string): ContainerMount {
  return { destination, type: 'bind', source: host.realPath(source), options: ['rbind', 'rprivate', ...options, ...(readonly ? ['rro'] : [])] };
}

/** @throws StrataError `usage` */
export function checkHostname(hostname: string): string {
  if (hostname.length > 0 && hostname.length <= LONGEST_HOSTNAME && /^[A-Za-z0-9_+.-]+$/.test(hostname)) return hostname;
  throw new StrataError({
    code: 'usage',
    reason: `${JSON.stringify(hostname)} is no host name of 1 to ${LONGEST_HOSTNAME} letters, digits, dots and hyphens`,
  });
}

class Making {
  private readonly host: Host;
  private readonly store: Store;
  private readonly options: InstanceOptions;
  private readonly found: FoundImage;
  private readonly parts: ImageParts;
  private readonly security: SecurityWishes;
  private readonly volumes: InstanceVolume[] = [];
  private readonly newVolumes: string[] = [];

  constructor(store: Store, options: InstanceOptions, found: FoundImage) {
    this.host = store.host;
    this.store = store;
    this.options = options;
    this.found = found;
    this.parts = imageParts(store, found);
    const volumes = options.volumes.flatMap(({ source }) => (source === undefined || source.startsWith('/') ? [] : [source]));
    this.security = resolveSecurity(store, options.security, { here: true, volumes });
  }

  async carryOut(): Promise<CreatedInstance> {
    const { host, store, options } = this;
    const directory = containerPath(store.root, options.id);
    const stopSignal = this.stopSignal();
    const hostname = options.hostname === undefined ? options.id.slice(0, LONGEST_HOSTNAME) : checkHostname(options.hostname);
    const temporary = makeTemporary(store);
    // Held from before anybody can see the directory: it goes along when that is renamed.
    const lock = host.tryLock(temporary) ?? -1;
    try {
      const mounts = [...this.files(temporary, hostname), ...options.tmpfs, ...(await this.mountVolumes())];
      const annotations = { [OVERLAY_ANNOTATION]: overlayText(host, this.parts.lower, options.remove) };
      const wishes: Wishes = { ...options, mounts, devices: findDevices(host, options.devices), security: this.security };
      const {
        spec: converted,
        command,
        labels,
        warnings,
      } = convertParts(host, this.parts, wishes, {
        user: options.user,
        hostname,
        root: 'rootfs',
        annotations,
      });
      for (const warning of warnings) options.warn?.(warning);
      const spec = isOrdinary(host) ? inUserNamespace(host, converted) : converted;
      host.makeDirectory(`${temporary}/rootfs`, 0o755);
      // The root of an overlay looks as its uppermost directory does.
      host.makeDirectoryLike(`${temporary}/upper`, this.parts.lower[0] as string);
      host.makeDirectory(`${temporary}/work`, 0o700);
      const instance: Instance = {
        id: options.id,
        image: this.found.image.id,
        reference: this.found.name,
        layers: this.found.image.layers,
        command,
        created: host.timestamp(),
        stopSignal,
        volumes: this.volumes,
        terminal: options.terminal,
        interactive: options.interactive,
        remove: options.remove,
        log: options.log,
        labels,
      };
      // Limits and arguments of system calls may be larger than JSON.stringify can write, which is many times faster.
      const isLarge = options.limits.length > 0 || options.security.seccomp !== undefined;
      host.createFile(`${temporary}/config.json`, isLarge ? stringifyExact(spec) : JSON.stringify(spec), 0o600);
      host.createFile(`${temporary}/container.json`, `${JSON.stringify(instance)}\n`, 0o600);
      options.checkpoint?.();
      host.rename(temporary, directory, false);
      return { instance, store, directory, spec, lock, newVolumes: this.newVolumes };
    } catch (error) {
      if (lock !== -1) host.close(lock);
      await removeTree(host, temporary);
      for (const name of this.newVolumes) await removeVolume(store, name);
      throw hasErrno(error, ERRNO.EEXIST) ? idTaken(options.id) : error;
    }
  }

  /** @throws StrataError `usage`, `image-invalid` */
  private stopSignal(): string {
    const { stopSignal } = this.options;
    const own = this.parts.config.config.StopSignal;
    const text = stopSignal ?? own ?? 'SIGTERM';
    try {
      if (signalNumber(text) === 0) throw new StrataError({ code: 'usage', reason: 'signal 0 stops nothing' });
    } catch (error) {
      if (stopSignal !== undefined || !(error instanceof StrataError)) throw error;
      throw new StrataError({ code: 'image-invalid', reason: `the image's configuration: StopSignal: ${error.reason}` });
    }
    return /^[0-9]/.test(text) || text.toUpperCase().startsWith('SIG') ? text.toUpperCase() : `SIG${text.toUpperCase()}`;
  }

  /** What a program expects to find out about its place in the network, in the bundle; what the caller mounts there himself is left to him. */
  private files(temporary: string, hostname: string): ContainerMount[] {
    const { network, readonly, volumes, tmpfs } = this.options;
    const { mountLabel } = this.security;
    const taken = new Set([...volumes, ...tmpfs].map(({ destination }) => destination));
    const out: ContainerMount[] = [];
    for (const [name, text] of networkFiles(this.host, network, hostname)) {
      const destination = `/etc/${name}`;
      if (taken.has(destination)) continue;
      this.host.createFile(`${temporary}/${name}`, text, 0o644);
      if (mountLabel !== undefined) this.host.setLabel(`${temporary}/${name}`, mountLabel);
      const options = ['bind', 'private', 'nosuid', 'nodev', 'noexec', ...(readonly ? ['ro'] : [])];
      out.push({ destination, type: 'bind', source: name, options });
    }
    return out;
  }

  private async mountVolumes(): Promise<ContainerMount[]> {
    const { volumes, tmpfs, warn = () => {} } = this.options;
    const own = imageVolumes(this.parts.config, [...volumes, ...tmpfs], warn).map((destination): VolumeWish => {
      return { destination, readonly: false, options: [], copy: true };
    });
    const out: ContainerMount[] = [];
    for (const wish of [...volumes, ...own])
      out.push(wish.source?.startsWith('/') === true ? bindMount(this.host, wish, wish.source) : await this.volume(wish));
    return out;
  }

  private async volume({ source, destination, readonly, options, copy }: VolumeWish): Promise<ContainerMount> {
    const anonymous = source === undefined;
    const name = source ?? this.host.randomDigits(ANONYMOUS_BYTES);
    const { mountLabel } = this.security;
    const beginning = {
      ...(copy && { origin: { layers: this.parts.lower, path: destination } }),
      ...(mountLabel !== undefined && { label: sharedLabel(mountLabel) }),
    };
    try {
      if (await makeVolume(this.store, { name, labels: {}, anonymous }, beginning)) this.newVolumes.push(name);
    } catch (error) {
      throw hasErrno(error, ERRNO.EPERM, ERRNO.EACCES) && isOrdinary(this.host) ? notToCopy(destination) : error;
    }
    if (!this.volumes.some((volume) => volume.name === name)) this.volumes.push({ name, anonymous });
    const data = volumeData(this.store.root, name);
    return { destination, type: 'bind', source: data, options: ['bind', 'private', ...options, ...(readonly ? ['ro'] : [])] };
  }
}

const ANONYMOUS_BYTES = 32;

function notToCopy(destination: string): StrataError {
  const reason = `a new volume at ${destination} begins with what the image has there, which belongs to others, and an ordinary user cannot copy that`;
  return new StrataError({ code: 'config-unsupported', reason, errno: ERRNO.EPERM, hint: `-v NAME:${destination}:nocopy begins with nothing` });
}
