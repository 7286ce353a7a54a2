/** An image as an ordinary bundle: a root file system of its own, and a configuration that any runtime takes. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import { stringifyExact } from '../base/json.ts';
import type { Host } from '../host/host.ts';
import type { ContainerMount, Wishes } from '../image/convert.ts';
import type { Report } from '../lifecycle/report.ts';
import { fromBundle } from '../overlay/path.ts';
import { findImage } from '../store/images.ts';
import { whileUsing } from '../store/lock.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import type { ImageWishes } from './create.ts';
import { bindMount, checkHostname, convertParts, findDevices, imageParts } from './create.ts';
import { resolveSecurity } from './security.ts';
import type { VolumeWish } from './wishes.ts';

/** Volumes are of the host only: what the image calls a volume is a directory of the bundle's own root. */
export interface ImageBundleOptions extends Report, ImageWishes {
  /** Where the bundle goes: a new directory or an empty one; a relative one starts at the working directory. */
  readonly directory: string;
}

const HOSTNAME = 'strata';

/** @throws StrataError of any code; then nothing of the bundle is left. */
export async function writeBundle(host: Host, options: ImageBundleOptions): Promise<void> {
  const store = openStore(host, options.store);
  return whileUsing(store, () => write(store, options));
}

async function write(store: Store, options: ImageBundleOptions): Promise<void> {
  const { host } = store;
  const parts = imageParts(store, findImage(store, options.image));
  const hostname = options.hostname === undefined ? HOSTNAME : checkHostname(options.hostname);
  const wishes: Wishes = {
    ...options,
    mounts: [...options.tmpfs, ...binds(host, options.volumes)],
    devices: findDevices(host, options.devices),
    security: resolveSecurity(store, options.security, { here: false, volumes: [] }),
  };
  const { spec, warnings } = convertParts(host, parts, wishes, { user: options.user, hostname, root: 'rootfs', annotations: {} });
  for (const warning of warnings) options.warn?.(warning);

  const directory = fromBundle(host.workingDirectory(), options.directory);
  const isNew = takeDirectory(host, directory);
  try {
    host.makeDirectory(`${directory}/rootfs`, 0o755);
    await host.copyLayered(parts.lower, '/', `${directory}/rootfs`);
    options.checkpoint?.();
    host.replaceFile(`${directory}/config.json`, `${stringifyExact(spec, 2)}\n`, 0o644);
  } catch (error) {
    await host.removeTree(`${directory}/rootfs`);
    if (isNew) host.removeDirectory(directory);
    throw error;
  }
}

/** Whether it had to be made. @throws StrataError `usage` if something is in it. */
function takeDirectory(host: Host, directory: string): boolean {
  try {
    host.makeDirectory(directory, 0o700);
    return true;
  } catch (error) {
    if (!hasErrno(error, ERRNO.EEXIST)) throw error;
  }
  if (host.list(directory).length > 0) throw new StrataError({ code: 'usage', reason: `${directory} is not empty` });
  return false;
}

function binds(host: Host, volumes: readonly VolumeWish[]): ContainerMount[] {
  return volumes.map((wish) => {
    const { source } = wish;
    if (source?.startsWith('/') === true) return bindMount(host, wish, source);
    throw new StrataError({ code: 'usage', reason: `a bundle cannot have the volume at ${wish.destination}, which would be in the store` });
  });
}
