/** What every verb of the command line has at hand: the host, the global options, the log. */
import type { Command, Option } from 'commander';
import type { Archive } from '../archive/archive.ts';
import { StrataError } from '../base/error.ts';
import { ERRNO } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { defaultStore } from '../instance/default-store.ts';
import type { InstanceName } from '../instance/instances.ts';
import { isInstance } from '../instance/instances.ts';
import { becomeNamespaceRoot } from '../instance/user-namespace.ts';
import type { ContainerName } from '../lifecycle/report.ts';
import { defaultRoot } from '../lifecycle/root.ts';
import type { Rootless } from '../lifecycle/rootless.ts';
import type { Level, LogFormat } from './log.ts';
import { Log } from './log.ts';

/** Who makes the cgroups of containers. */
export const CGROUP_MANAGERS = ['cgroupfs', 'systemd', 'disabled'] as const;
type CgroupManager = (typeof CGROUP_MANAGERS)[number];

/** As a shell has it, for a program that is not there and for one that cannot be executed. */
const NO_PROGRAM = 127;
const NO_EXECUTABLE = 126;

/** The global options as commander reads them. */
interface GlobalOptions {
  readonly root?: string;
  readonly store?: string;
  readonly log?: string;
  readonly logFormat: LogFormat;
  readonly logLevel: Level;
  readonly debug?: true;
  readonly systemdCgroup?: true;
  readonly cgroupManager: CgroupManager;
  readonly rootless: Rootless;
}

export class Shell {
  readonly host: Host;
  /** The status with which the command ends if nothing fails. */
  exitCode = 0;
  /** The status with which it ends if something fails. */
  failureCode = 1;
  /** Of the container that the command is about. */
  private lastId = '';
  private argv: readonly string[] = [];
  private readonly program: Command;
  private readonly openArchive: () => Archive;
  private readonly forImages = new Map<string, () => unknown>();

  constructor(host: Host, program: Command, openArchive: () => Archive) {
    this.host = host;
    this.program = program;
    this.openArchive = openArchive;
  }

  /**
   * Makes the flags of images, and keeps them aside for {@link setUp}: commander asks every option of a verb about every command line, and those of
   * bundles would pay for it.
   */
  addForImages(command: Command, add: (command: Command) => void): void {
    const options = command.options as Option[];
    const own = options.length;
    add(command);
    const aside = options.splice(own);
    this.forImages.set(command.name(), () => options.push(...aside));
  }

  /** Called with the command line before it is read: sets up what is needed for it only. */
  setUp(argv: readonly string[]): void {
    this.argv = argv;
    let wanted = false;
    for (let at = 0; at < argv.length && !wanted; at++) {
      const word = argv[at] as string;
      wanted = word === '--image' || word === '--help' || word === '-h' || word === 'help' || word.startsWith('--image=');
    }
    if (!wanted) return;
    for (const [verb, add] of this.forImages) if (argv.includes(verb)) add();
    this.forImages.clear();
  }

  /** What to say of an option that there is not. */
  unknownOption(argv: readonly string[]): string | undefined {
    return argv.some((word) => this.forImages.has(word)) ? 'those of images need --image' : undefined;
  }

  /** What only Node can do. In the static command this becomes the same command line on Node and does not return: ask before anything is done. */
  get archive(): Archive {
    this.becomeOwner();
    return this.openArchive();
  }

  /**
   * An ordinary user's verbs that read or remove what belongs to others in his store go on as root of his user namespace: ask before anything is
   * done.
   */
  becomeOwner(): void {
    becomeNamespaceRoot(this.host, ['--root', this.root, '--store', this.store, ...this.argv]);
  }

  get debug(): boolean {
    return this.options.debug === true;
  }

  /** Made from the options that have been read so far, so that a fault in a later one is logged too. */
  get log(): Log {
    const { log = '', logFormat, logLevel } = this.options;
    return new Log(this.host, { file: log, format: logFormat, level: this.debug ? 'debug' : logLevel });
  }

  /** The root of the state directories, absolute. */
  get root(): string {
    return this.absolute(this.options.root ?? defaultRoot(this.host));
  }

  /** The directory of images, volumes and the containers made of images, absolute. */
  get store(): string {
    return this.absolute(this.options.store ?? defaultStore(this.host));
  }

  /** A container's name with everything that a verb of the lifecycle wants besides. */
  container(id: string): ContainerName {
    this.lastId = id;
    const log = this.log;
    return { root: this.root, id, warn: (text) => log.warn(text), debug: (text) => log.debug(text) };
  }

  /** The same for verbs that know the store too. */
  instance(id: string): InstanceName {
    return { ...this.container(id), store: this.store };
  }

  /** Runs a program of an image's container. As people know it from Docker, one that cannot be executed has a status of its own. */
  async executing<T>(work: () => Promise<T>, isOfImage: () => boolean = () => true): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof StrataError && error.code === 'exec' && isOfImage()) {
        // Without an errno it was looked for in PATH.
        this.failureCode = error.errno === undefined || error.errno === ERRNO.ENOENT ? NO_PROGRAM : NO_EXECUTABLE;
      }
      throw error;
    }
  }

  /** That a container does not exist is half of the truth for one that only does not run. */
  explained(error: StrataError): StrataError {
    const id = this.lastId;
    if (error.code !== 'not-found' || id === '' || !error.reason.endsWith(`: ${id}`) || !isInstance(this.host, { store: this.store, id }))
      return error;
    const hint = `strata start ${id} runs it`;
    return new StrataError({ code: 'status', stage: 'state', reason: `container not running: ${id} has stopped`, hint });
  }

  /** Does `work` for one container after the other. One that fails keeps no other from it; the last failure is the command's. */
  async forEach(ids: readonly string[], work: (name: InstanceName) => Promise<unknown>): Promise<void> {
    let failure: StrataError | undefined;
    for (const id of ids) {
      try {
        await work(this.instance(id));
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        if (failure !== undefined) this.log.error(failure);
        failure = this.explained(error);
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Who makes the cgroups; engines tell it with every verb, but only creating a container asks. @throws StrataError. */
  get cgroupManager(): 'cgroupfs' | 'systemd' {
    const { systemdCgroup, cgroupManager } = this.options;
    if (systemdCgroup === true) return 'systemd';
    if (cgroupManager !== 'disabled') return cgroupManager;
    const hint = 'choose cgroupfs, or systemd where there is one';
    throw new StrataError({ code: 'config-unsupported', reason: '--cgroup-manager disabled is not supported by this version', hint });
  }

  get rootless(): Rootless {
    return this.options.rootless;
  }

  private absolute(path: string): string {
    return path.startsWith('/') ? path : `${this.host.workingDirectory()}/${path}`;
  }

  private get options(): GlobalOptions {
    return this.program.opts();
  }
}
