/** The command line: runc's verbs and flags, because these are what engines pass. */
import type { Command } from 'commander';
import { CommanderError } from 'commander';
import type { Archive } from '../archive/archive.ts';
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { internalError } from '../lifecycle/fault.ts';
import { addAttach } from './attach.ts';
import { addBundleVerb } from './bundle.ts';
import { addCheckpoint } from './checkpoint.ts';
import { Flag, Verb } from './command.ts';
import { addCommit } from './commit.ts';
import { addCreate } from './create.ts';
import { addDelete } from './delete.ts';
import { addDiff } from './diff.ts';
import { addEvents } from './events.ts';
import { addExec } from './exec.ts';
import { addFeatures } from './features.ts';
import { addFsck } from './fsck.ts';
import { addImage } from './image.ts';
import { addKill } from './kill.ts';
import { addLayer } from './layer.ts';
import { addList } from './list.ts';
import { LEVELS, LOG_FORMATS } from './log.ts';
import { addLogs } from './logs.ts';
import { addPause } from './pause.ts';
import { addPlan } from './plan.ts';
import { addPrune } from './prune.ts';
import { addPs } from './ps.ts';
import { addRename } from './rename.ts';
import { addRestart } from './restart.ts';
import { addRestore } from './restore.ts';
import { addResume } from './resume.ts';
import { addRun } from './run.ts';
import { CGROUP_MANAGERS, Shell } from './shell.ts';
import { addSpec } from './spec.ts';
import { addStart } from './start.ts';
import { addState } from './state.ts';
import { addStop } from './stop.ts';
import { addUpdate } from './update.ts';
import type { Build } from './version.ts';
import { versionText } from './version.ts';
import { addVolume } from './volume.ts';
import { addWait } from './wait.ts';

const VERBS: Readonly<Record<string, (program: Command, shell: Shell, build: Build) => void>> = {
  create: addCreate,
  start: addStart,
  run: addRun,
  exec: addExec,
  state: addState,
  list: addList,
  ps: addPs,
  kill: addKill,
  pause: addPause,
  resume: addResume,
  update: addUpdate,
  events: addEvents,
  checkpoint: addCheckpoint,
  restore: addRestore,
  delete: addDelete,
  spec: addSpec,
  features: addFeatures,
  plan: addPlan,
  diff: addDiff,
  commit: addCommit,
  image: addImage,
  layer: addLayer,
  bundle: addBundleVerb,
  logs: addLogs,
  attach: addAttach,
  stop: addStop,
  restart: addRestart,
  wait: addWait,
  rename: addRename,
  volume: addVolume,
  prune: addPrune,
  fsck: addFsck,
};
const ONE_DASH = '-no-subreaper';
/** What a command line that is wrong, and every other failure, ends with. */
const FAILURE = 1;

/** Nobody reads the output any more, as in `strata logs ID | head`: what other programs end with, which SIGPIPE ends. */
const UNREAD = 128 + 13;

/** The whole command line, ready for the one command that it will run. */
export class CommandLine {
  private readonly host: Host;
  private readonly program: Command = new Verb('strata');
  private readonly shell: Shell;
  private complaint = '';

  /**
   * `openArchive`: what only Node can do, or the way to Node; `build`: for --version; `argv`: what will be run, where that is known already, so that
   * no other verb need be set up.
   */
  constructor(host: Host, openArchive: () => Archive, build: Build = {}, argv: readonly string[] = []) {
    const { program } = this;
    this.host = host;
    this.shell = new Shell(host, program, openArchive);
    program
      .description('run containers from OCI bundles')
      .exitOverride()
      .configureOutput({
        writeOut: (text) => host.print(text),
        writeErr: (text) => host.printError(text),
        outputError: (text) => {
          this.complaint = text;
        },
        getOutHelpWidth: () => 120,
        getErrHelpWidth: () => 120,
        getOutHasColors: () => false,
        getErrHasColors: () => false,
      })
      .enablePositionalOptions()
      // As they are anyway, but made here: commander makes them while it reads the command line, if nobody has.
      .helpOption('-h, --help', 'display help for command')
      .helpCommand('help [command]', 'display help for command')
      .version(versionText(host, build), '-v, --version', 'print the version')
      .option('--root <dir>', 'where the state of containers is kept; /run/strata, or $XDG_RUNTIME_DIR/strata if not root')
      .option('--store <dir>', 'where images, volumes and containers of images are kept; /var/lib/strata, or $XDG_DATA_HOME/strata if not root')
      .option('--log <file>', 'append errors and warnings to this file too')
      .addOption(new Flag('--log-format <format>', 'form of the log').choices([...LOG_FORMATS]).default('text'))
      .addOption(new Flag('--log-level <level>', 'the least important level that is told').choices([...LEVELS]).default('warning'))
      .option('--debug', 'tell every stage of the work')
      .option('--systemd-cgroup', 'let systemd make the cgroups; cgroupsPath is slice:prefix:name then')
      .addOption(
        new Flag('--cgroup-manager <manager>', 'who makes the cgroups; disabled is not supported by this version')
          .choices([...CGROUP_MANAGERS])
          .default('cgroupfs'),
      )
      .addOption(
        new Flag('--rootless <mode>', 'go without cgroups that cannot be made; auto: if not root').choices(['true', 'false', 'auto']).default('auto'),
      );
    program.hook('preAction', () => this.shell.log.open());
    for (const verb of verbsFor(program, argv)) VERBS[verb]?.(program, this.shell, build);
  }

  /** Runs one command. `argv`: without the names of the interpreter and the program. Resolves to the exit status; never rejects. */
  async run(argv: readonly string[]): Promise<number> {
    try {
      this.shell.setUp(argv);
      if (argv.length === 0) this.program.outputHelp();
      else await this.program.parseAsync(asRunc(this.program, argv), { from: 'user' });
      return this.shell.exitCode;
    } catch (error) {
      return this.failed(error, argv);
    }
  }

  private failed(error: unknown, argv: readonly string[]): number {
    const { host, shell } = this;
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      // Global options without a verb: the help has been printed, and says it all.
      if (error.code === 'commander.help') return FAILURE;
      const hint = error.code === 'commander.unknownOption' ? shell.unknownOption(argv) : undefined;
      shell.log.error(
        new StrataError({ code: 'usage', reason: oneLine(this.complaint === '' ? error.message : this.complaint), ...(hint && { hint }) }),
      );
    } else if (isUnread(error)) {
      return UNREAD;
    } else if (error instanceof StrataError) {
      shell.log.error(shell.explained(error));
      if (error.code === 'aborted') return 128 + host.interruption();
      return shell.failureCode;
    } else {
      // The code, as text has no other place for it: it tells a fault of ours from all that is the user's to mend.
      shell.log.error(internalError(error, shell.debug ? 'code internal' : 'code internal; --debug shows where'));
      if (shell.debug && error instanceof Error) host.printError(`${error.stack}\n`);
    }
    return FAILURE;
  }
}

/** {@link CommandLine} for a host that starts anew with every command: a verb that is not named costs time to set up for nothing. */
export function main(host: Host, openArchive: () => Archive, argv: readonly string[], build: Build = {}): Promise<number> {
  return new CommandLine(host, openArchive, build, argv).run(argv);
}

/** The verb behind the global options; all if there is none, because help and the answer to a mistake name them. */
function verbsFor(program: Command, argv: readonly string[]): string[] {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    const option = program.options.find(({ long, short }) => word === long || word === short);
    if (option?.required) at++;
    else if (option === undefined && !/^--[^=]+=/.test(word)) return Object.hasOwn(VERBS, word) ? [word] : Object.keys(VERBS);
  }
  return Object.keys(VERBS);
}

function isUnread(error: unknown): boolean {
  return hasErrno(error, ERRNO.EPIPE) && error instanceof StrataError && error.syscall === 'write' && STANDARD_OUTPUT.includes(error.path);
}

/** As errors name it; most do not. */
const STANDARD_OUTPUT = [undefined, 'standard output'];

/** runc takes a long flag with one dash too, and containerd restores with such a one. */
function asRunc(program: Command, argv: readonly string[]): readonly string[] {
  if (!argv.includes(ONE_DASH) || verbsFor(program, argv)[0] !== 'restore') return argv;
  return argv.map((word) => (word === ONE_DASH ? `-${word}` : word));
}

/** commander puts the suggestion of a similar name on a line of its own. */
function oneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
}
