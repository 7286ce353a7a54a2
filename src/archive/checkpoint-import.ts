/**
 * From the archive of a checkpoint to an instance in the store that `restore` can go on with. What it had written is checked as every layer is; that
 * what CRIU makes of its images is what somebody should run is for those who restore it to know: docs/checkpoint.md.
 */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { StrataError, withFields } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import { parseExact, stringifyExact } from '../base/json.ts';
import { readSecurity } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import { isOrder, MASKED } from '../image/convert.ts';
import { shortId } from '../image/digest.ts';
import { checkpointDirectory } from '../instance/checkpoint.ts';
import type { CreatedInstance } from '../instance/create.ts';
import { overlayText } from '../instance/create.ts';
import { recordStart } from '../instance/directory.ts';
import type { Instance } from '../instance/record.ts';
import { isKnownLabel } from '../instance/security.ts';
import type { Limits, Usage } from '../layer/filter.ts';
import { checkRatio, DEFAULT_LIMITS } from '../layer/filter.ts';
import { checkId } from '../lifecycle/id.ts';
import { containerDirectory, idTaken } from '../lifecycle/store.ts';
import { OVERLAY_ANNOTATION } from '../overlay/stack.ts';
import { checkLabels, checkMountLabel } from '../spec/check-labels.ts';
import { READONLY_PATHS } from '../spec/defaults.ts';
import { loadSpec, MAX_SPEC_LENGTH } from '../spec/parse.ts';
import type { Spec } from '../spec/types.ts';
import { imageNotFound, loadImage } from '../store/images.ts';
import { hasLayer } from '../store/layers.ts';
import { whileUsing } from '../store/lock.ts';
import { containerPath, layerDiff, volumeData, volumePath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary, prepareStore } from '../store/store.ts';
import { passLayer } from './apply.ts';
import type { CheckpointImportOptions } from './archive.ts';
import type { Chunks } from './bytes.ts';
import { decompress, detect, fileRange, openInput, peek, stream, systemError, whole } from './bytes.ts';
import type { CheckpointDocument } from './checkpoint-form.ts';
import { BUNDLE_FILES, CONFIG, DOCUMENT, LARGEST_DOCUMENT, LAYER, parseDocument } from './checkpoint-form.ts';
import { named } from './digests.ts';
import { sourceName } from './input.ts';
import type { Member, Members } from './members.ts';
import { need, TarMembers } from './members.ts';
import { openLayer } from './native.ts';
import { Watch } from './watch.ts';

/** Those that hold nothing of the host's. */
const OWN_FILE_SYSTEMS: readonly string[] = ['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2'];
const OWN_NAMESPACES = ['mount', 'pid', 'ipc', 'uts'] as const;
/** Actions that let a system call happen. */
const ALLOWING: readonly string[] = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG'];
/** An SELinux label: user, role, type, and a level if the policy has them. */
const LABEL = /^[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+){2}(?::[A-Za-z0-9_:,.-]+)?$/;
/** Of a file of a bundle, in bytes. */
const LARGEST_BUNDLE_FILE = 1024 * 1024;

/**
 * @throws StrataError `image-invalid`, `image-not-found` if the store has not got the image, `exists`, `not-found` for a volume, `system`, and what `checkpoint` throws;
 *   then nothing of it is left.
 */
export async function importCheckpoint(host: Host, options: CheckpointImportOptions): Promise<CreatedInstance> {
  const { id, root } = options;
  checkId(id);
  const watch = new Watch(options.checkpoint);
  try {
    const store = prepareStore(host, options.store);
    const run = async (): Promise<CreatedInstance> => {
      if (host.stat(containerPath(store.root, id)) !== undefined || host.stat(containerDirectory(root, id)) !== undefined) throw idTaken(id);
      const work = makeTemporary(store);
      try {
        return await new CheckpointImport(store, work, options, watch).run();
      } finally {
        await host.removeTree(work);
      }
    };
    return await whileUsing(store, run, () => watch.check());
  } finally {
    watch.end();
  }
}

class CheckpointImport {
  private readonly host: Host;
  private readonly store: Store;
  private readonly work: string;
  private readonly options: CheckpointImportOptions;
  private readonly watch: Watch;
  private readonly limits: Limits;
  private readonly usage: Usage = { size: 0, entries: 0 };

  constructor(store: Store, work: string, options: CheckpointImportOptions, watch: Watch) {
    this.host = store.host;
    this.store = store;
    this.work = work;
    this.options = options;
    this.watch = watch;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  async run(): Promise<CreatedInstance> {
    const source = sourceName(this.options.source);
    const spool = await this.spool();
    try {
      const members = await TarMembers.scan(spool);
      if (members === undefined || (await members.find(DOCUMENT)) === undefined)
        throw new StrataError({ code: 'image-invalid', reason: `it is no archive of a checkpoint, which has ${DOCUMENT}` });
      return await this.install(members);
    } catch (error) {
      throw named(error, source);
    } finally {
      await spool.close();
    }
  }

  /** The archive as a file that can be read at any place, decompressed. */
  private async spool(): Promise<FileHandle> {
    const { source } = this.options;
    const what = sourceName(source);
    const input = source === '-' ? undefined : await openInput(source, 'any');
    const path = `${this.work}/archive`;
    try {
      const status = await input?.stat();
      const { start, chunks } = await peek(
        input !== undefined && status?.isFile() === true ? fileRange(input.fd, 0, status.size, what) : stream(input?.fd ?? 0, this.watch, what),
      );
      const compression = detect(start, what);
      if (compression === 'none' && input !== undefined && status?.isFile() === true) return await openInput(source, 'file');
      const file = await open(path, 'wx+', 0o600);
      try {
        let [raw, plain] = [0, 0];
        await decompress(
          chunks,
          compression,
          what,
          (chunk) => {
            this.watch.check();
            raw += chunk.length;
          },
          async (chunk) => {
            plain += chunk.length;
            checkRatio(plain, raw, this.limits);
            if (plain > this.limits.maxSize) throw new StrataError({ code: 'image-invalid', reason: `more than ${this.limits.maxSize} bytes` });
            await writeAll(file, chunk);
          },
        );
        return file;
      } catch (error) {
        await file.close();
        throw named(systemError(error, path), what);
      }
    } finally {
      await input?.close();
    }
  }

  private async install(members: Members): Promise<CreatedInstance> {
    const { host, store, options } = this;
    const { id } = options;
    const document = parseDocument(await this.text(members, DOCUMENT, LARGEST_DOCUMENT));
    const lower = this.layersBelow(document.container);
    this.checkVolumes(document.container);
    const source = await this.text(members, CONFIG, MAX_SPEC_LENGTH);
    const parsed = loadSpec(source);
    const { mountLabel } = parsed.linux;
    const spec = this.configuration(source, parsed, document, lower);
    const instance: Instance = { ...document.container, id };

    const temporary = `${this.work}/container`;
    host.makeDirectory(temporary, 0o700);
    const lock = host.tryLock(temporary) ?? -1;
    try {
      host.makeDirectory(`${temporary}/rootfs`, 0o755);
      host.makeDirectoryLike(`${temporary}/upper`, lower[0] as string);
      host.makeDirectory(`${temporary}/work`, 0o700);
      await this.layer(await need(members, LAYER), document, lower, `${temporary}/upper`);
      for (const name of document.bundle) {
        host.replaceFile(`${temporary}/${name}`, await this.text(members, `bundle/${name}`, LARGEST_BUNDLE_FILE), 0o644);
        if (mountLabel !== undefined) host.setLabel(`${temporary}/${name}`, mountLabel);
      }
      const criu = checkpointDirectory(temporary);
      host.makeDirectory(criu, 0o700);
      for (const name of document.criu) await this.file(await need(members, `criu/${name}`), `${criu}/${name}`);
      host.replaceFile(`${temporary}/${CONFIG}`, stringifyExact(spec), 0o600);
      host.replaceFile(`${temporary}/container.json`, `${JSON.stringify(instance)}\n`, 0o600);
      // It has run before: one that was never started has no checkpoint.
      recordStart(host, temporary);
      this.watch.check();
      const directory = containerPath(store.root, id);
      takePlace(host, temporary, directory, id);
      return { instance, store, directory, spec, lock, newVolumes: [] };
    } catch (error) {
      if (lock !== -1) host.close(lock);
      throw error;
    }
  }

  /** Directories of the image's layers, top to bottom. @throws StrataError `image-not-found`. */
  private layersBelow({ image, reference, layers }: Instance): readonly string[] {
    const { store } = this;
    const known = loadImage(store, image);
    if (known === undefined || known.layers.join() !== layers.join() || layers.length === 0 || !layers.every((layer) => hasLayer(store, layer))) {
      const name = reference === '' ? image : `${reference} (${image})`;
      const hint = 'strata image import brings it into the store';
      throw withFields(imageNotFound(`${name}, of which the container was made`), { hint });
    }
    return layers.map((layer) => layerDiff(store.root, layer)).reverse();
  }

  private checkVolumes({ volumes }: Instance): void {
    for (const { name, anonymous } of volumes) {
      if (anonymous) throw new StrataError({ code: 'image-invalid', reason: 'the container has a volume without a name' });
      if (this.host.stat(volumePath(this.store.root, name)) !== undefined) continue;
      const hint = `strata volume create ${name} makes an empty one`;
      throw new StrataError({ code: 'not-found', reason: `volume does not exist: ${name}`, hint });
    }
  }

  /**
   * The container's configuration with what lies elsewhere here: its layers, and its volumes. What is not to come from one is refused, and what
   * it has of the host's is told: nobody has asked for it on this command line.
   */
  private configuration(text: string, parsed: Spec, document: CheckpointDocument, lower: readonly string[]): object {
    const { host, store } = this;
    const { volumes } = document.container;
    const places = new Map(volumes.map(({ name }) => [volumeData(document.store, name), volumeData(store.root, name)]));
    this.checkConfiguration(parsed, places);
    this.checkLabels(parsed);
    this.tellConfinement(parsed);
    const spec = parseExact(text) as { annotations?: Record<string, string>; mounts?: { source?: string }[] };
    const mounts = (spec.mounts ?? []).map((mount) => ({
      ...mount,
      ...(places.has(mount.source ?? '') && { source: places.get(mount.source ?? '') }),
    }));
    // Never volatile: a restore mounts it twice, once to make mount points in it.
    const overlay = [OVERLAY_ANNOTATION, overlayText(host, lower, false)];
    return { ...spec, mounts, annotations: Object.fromEntries([...this.annotations(spec.annotations ?? {}), overlay]) };
  }

  private checkConfiguration({ hooks, root, mounts, linux }: Spec, places: ReadonlyMap<string, string>): void {
    const refuse = (what: string): never => {
      throw new StrataError({ code: 'image-invalid', reason: `${CONFIG} in the archive has ${what}, which is not to come from one` });
    };
    const { warn } = this.options;
    if (Object.values(hooks).some((list) => list.length > 0)) refuse('hooks');
    if (root.path !== 'rootfs') refuse('another root than rootfs');
    if (linux.cgroupsPath !== undefined) refuse('a cgroup of its own choice');
    for (const { type, path } of linux.namespaces) {
      if (path === undefined) continue;
      if (type !== 'network') refuse(`a ${type} namespace of others`);
      warn(`the container joins the network namespace ${path}, as the archive says`);
    }
    for (const type of OWN_NAMESPACES) if (!linux.namespaces.some((namespace) => namespace.type === type)) refuse(`no ${type} namespace`);
    if (!linux.namespaces.some(({ type }) => type === 'network')) warn('the container has the network of the host, as the archive says');
    if (linux.intelRdt !== undefined || linux.netDevices !== undefined) refuse('cache or network devices of the host');
    if (linux.seccomp?.listenerPath !== undefined) refuse('a listener for its system calls');
    for (const { path, type } of linux.devices) {
      if (type !== 'p') warn(`the container has the device ${path}, as the archive says`);
    }
    for (const { destination, source = '', type = '', options } of mounts) {
      if (type !== 'bind' && !options.includes('bind') && !options.includes('rbind')) {
        if (!OWN_FILE_SYSTEMS.includes(type)) refuse(`a mount of type ${JSON.stringify(type)}`);
        continue;
      }
      if (places.has(source) || BUNDLE_FILES.includes(source)) continue;
      if (!source.startsWith('/')) refuse(`a mount of ${JSON.stringify(source)}`);
      warn(`${source} of the host is mounted at ${destination}, as the archive says`);
    }
  }

  /** Before one is given to a file: those that this machine cannot enforce are refused. */
  private checkLabels(spec: Spec): void {
    const { process, linux } = spec;
    const { mountLabel } = linux;
    const { apparmorProfile, selinuxLabel } = process ?? {};
    if (apparmorProfile === undefined && selinuxLabel === undefined && mountLabel === undefined) return;
    const facts = readSecurity(this.host);
    try {
      if (process !== undefined) checkLabels(process, facts, '/process');
      checkMountLabel(spec, facts);
    } catch (error) {
      throw error instanceof StrataError ? withFields(error, { document: `${CONFIG} in the archive` }) : error;
    }
    for (const label of [selinuxLabel, mountLabel]) {
      if (label === undefined || (LABEL.test(label) && isKnownLabel(this.host, label))) continue;
      throw new StrataError({
        code: 'config-unsupported',
        reason: `${CONFIG} in the archive: this machine's policy has no label ${JSON.stringify(label)}`,
      });
    }
  }

  /** What holds the program less than a container of an image is held without options, or in another way. */
  private tellConfinement({ process, linux }: Spec): void {
    const tell = (what: string): void => this.options.warn(`the container ${what}, as the archive says`);
    const { seccomp, maskedPaths, readonlyPaths } = linux;
    if (seccomp === undefined) tell('may make all system calls');
    else if (ALLOWING.includes(seccomp.defaultAction)) tell('may make all system calls that its list does not name');
    const seen = MASKED.filter((path) => !maskedPaths.includes(path));
    if (seen.length > 0) tell(`sees ${seen.join(', ')}`);
    const writable = READONLY_PATHS.filter((path) => !readonlyPaths.includes(path) && !maskedPaths.includes(path));
    if (writable.length > 0) tell(`may write to ${writable.join(', ')}`);
    if (process?.apparmorProfile !== undefined) tell(`has the AppArmor profile ${process.apparmorProfile}`);
    if (process?.selinuxLabel !== undefined) tell(`has the SELinux label ${process.selinuxLabel}`);
  }

  private annotations(all: Readonly<Record<string, string>>): [name: string, value: string][] {
    return Object.entries(all).filter(([name]) => {
      if (!isOrder(name)) return true;
      if (name !== OVERLAY_ANNOTATION)
        this.options.warn(`the annotation ${JSON.stringify(name)} of the archive is an order to a runtime: it is left out`);
      return false;
    });
  }

  private async layer(member: Member, { layer }: CheckpointDocument, lower: readonly string[], upper: string): Promise<void> {
    await passLayer({
      what: `what the container had written (${shortId(layer.digest)})`,
      chunks: member.read(),
      expected: layer,
      diffId: layer.diffId,
      limits: this.limits,
      usage: this.usage,
      target: openLayer(upper, { lower, mode: 'overlay' }),
      warn: this.options.warn,
      came: () => this.watch.check(),
    });
  }

  private async text(members: Members, name: string, limit: number): Promise<string> {
    const member = await need(members, name);
    if (member.size > limit) throw new StrataError({ code: 'image-invalid', reason: `${name} in the archive is larger than ${limit} bytes` });
    const content = await whole(member.read(), limit, `${name} in the archive`);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
    } catch {
      throw new StrataError({ code: 'image-invalid', reason: `${name} in the archive is not UTF-8 text` });
    }
  }

  private async file(member: Member, path: string): Promise<void> {
    this.usage.size += member.size;
    if (this.usage.size > this.limits.maxSize) throw new StrataError({ code: 'image-invalid', reason: `more than ${this.limits.maxSize} bytes` });
    const chunks: Chunks = member.read();
    const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
      throw systemError(error, path);
    });
    try {
      for await (const chunk of chunks) {
        this.watch.check();
        await writeAll(file, chunk);
      }
    } catch (error) {
      throw systemError(error, path);
    } finally {
      await file.close();
    }
  }
}

function takePlace(host: Host, temporary: string, directory: string, id: string): void {
  try {
    host.rename(temporary, directory, false);
  } catch (error) {
    throw hasErrno(error, ERRNO.EEXIST, ERRNO.ENOTEMPTY) ? idTaken(id) : error;
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
}
