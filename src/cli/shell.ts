/** What every verb of the command line has at hand: the host, the global options, the log. */
import type { Command, Option } from 'commander';
import type { Archive } from '../archive/archive.ts';
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { InstanceName } from '../instance/instances.ts';
import type { ContainerName } from '../lifecycle/report.ts';
import { defaultRoot } from '../lifecycle/root.ts';
import type { Rootless } from '../lifecycle/rootless.ts';
import type { Level, LogFormat } from './log.ts';
import { Log } from './log.ts';

/** Who makes the cgroups of containers. */
export const CGROUP_MANAGERS = ['cgroupfs', 'systemd', 'disabled'] as const;
type CgroupManager = (typeof CGROUP_MANAGERS)[number];

/** The global options as commander reads them. */
interface GlobalOptions {
  readonly root?: string;
  readonly store: string;
  readonly log?: string;
  readonly logFormat: LogFormat;
  readonly logLevel: Level;
  readonly debug?: true;
  readonly systemdCgroup?: true;
  readonly cgroupManager: CgroupManager;
  readonly rootless: Rootless;
}

function isOption(word: string, { short, long = '' }: Option): boolean {
  return word === short || word === long || word.startsWith(`${long}=`);
}

export class Shell {
  readonly host: Host;
  /** The status with which the command ends if nothing fails. */
  exitCode = 0;
  private readonly program: Command;
  private readonly openArchive: () => Archive;
  private readonly argv: readonly string[];

  /** `argv`: what will be run, where that is known already. */
  constructor(host: Host, program: Command, openArchive: () => Archive, argv: readonly string[] = []) {
    this.host = host;
    this.program = program;
    this.openArchive = openArchive;
    this.argv = argv;
  }

  /** Whether the command line may have more options than those that `command` has so far: each one that is set up costs time. */
  hasMoreOptions(command: Command): boolean {
    const known = command.options.concat(this.program.options);
    const isOther = (word: string): boolean => (word.startsWith('-') ? !known.some((option) => isOption(word, option)) : word === 'help');
    return this.argv.length === 0 || this.argv.some(isOther);
  }

  /** What only Node can do. In the static command this becomes the same command line on Node and does not return: ask before anything is done. */
  get archive(): Archive {
    return this.openArchive();
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
    return this.absolute(this.options.store);
  }

  /** A container's name with everything that a verb of the lifecycle wants besides. */
  container(id: string): ContainerName {
    const log = this.log;
    return { root: this.root, id, warn: (text) => log.warn(text), debug: (text) => log.debug(text) };
  }

  /** The same for verbs that know the store too. */
  instance(id: string): InstanceName {
    return { ...this.container(id), store: this.store };
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
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Global options that only creating a container could honour; engines give them with every verb. @throws StrataError. */
  checkCreation(): void {
    const { systemdCgroup, cgroupManager } = this.options;
    if (systemdCgroup === true || cgroupManager !== 'cgroupfs') {
      const option = systemdCgroup === true ? '--systemd-cgroup' : `--cgroup-manager ${cgroupManager}`;
      const hint = 'cgroups are made through cgroupfs; leave the option out, or choose the cgroupfs manager in the engine';
      throw new StrataError({ code: 'config-unsupported', reason: `${option} is not supported by this version`, hint });
    }
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
