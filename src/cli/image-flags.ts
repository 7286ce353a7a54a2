/** The flags of `run --image` and `create --image`: those that people know from Docker. */
import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { ContainerLimit, ContainerMount, ContainerNetwork } from '../image/convert.ts';
import type { InstanceOptions } from '../instance/create.ts';
import type { SecurityOptions } from '../instance/security.ts';
import { newPrivileges, securityOption } from '../instance/security.ts';
import type { DeviceWish, VolumeWish } from '../instance/wishes.ts';
import {
  cpusWish,
  deviceWish,
  entrypointWish,
  environmentLines,
  limitWish,
  logWish,
  networkWish,
  sizeWish,
  tmpfsMount,
  volumeWish,
} from '../instance/wishes.ts';
import { Flag } from './command.ts';
import { each } from './options.ts';
import type { Shell } from './shell.ts';

/** What becomes of the container's configuration. */
export interface ImageFlags {
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: readonly string[];
  readonly hostname?: string;
  readonly readOnly?: true;
  readonly memory?: number;
  readonly cpus?: number;
  readonly pidsLimit?: number;
  readonly tmpfs?: readonly ContainerMount[];
  readonly volume?: readonly VolumeWish[];
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly device?: readonly DeviceWish[];
  readonly ulimit?: readonly ContainerLimit[];
  readonly network?: ContainerNetwork;
  readonly newPrivileges?: true;
  readonly securityOpt?: SecurityOptions;
  readonly label?: readonly string[];
  readonly tty?: true;
}

/** Those, and what becomes of the container in the store. */
export interface InstanceFlags extends ImageFlags {
  readonly image?: string;
  readonly interactive?: true;
  readonly rm?: true;
  readonly stopSignal?: string;
  readonly logDriver?: string;
  readonly logOpt?: readonly string[];
}

const MOST_PIDS = 4_194_304;

export function addImageFlags(command: Command): Command {
  return command
    .addOption(new Flag('-e, --env <variable>', "NAME=value for the program; NAME alone passes strata's own on").argParser(each(String)))
    .addOption(new Flag('--env-file <file>', 'variables from a file, one a line').argParser(each(String)))
    .addOption(new Flag('-w, --workdir <dir>', 'working directory of the program').argParser(absolute))
    .option('-u, --user <user>', 'its user, and group behind a colon, by name or number')
    .addOption(new Flag('--entrypoint <program>', "in place of the image's, whose arguments then do not count either").argParser(entrypointWish))
    .option('--hostname <name>', 'host name of the container; its id if not given')
    .option('--read-only', 'make the root read-only')
    .addOption(new Flag('-m, --memory <size>', 'memory at most, such as 512m').argParser(sizeWish))
    .addOption(new Flag('--cpus <n>', 'processor time at most, in processors, such as 1.5').argParser(cpusWish))
    .addOption(new Flag('--pids-limit <n>', 'processes and threads at most; -1 for no limit').argParser(processes))
    .addOption(
      new Flag('-v, --volume <volume>', 'SOURCE:DESTINATION[:OPTIONS]: a path of the host or the name of a volume').argParser(each(volumeWish)),
    )
    .addOption(new Flag('--tmpfs <mount>', 'DESTINATION[:OPTIONS]: an empty directory in memory').argParser(each(tmpfsMount)))
    .addOption(new Flag('--cap-add <capability>', 'one more capability, or ALL').argParser(each(String)))
    .addOption(new Flag('--cap-drop <capability>', 'one capability less, or ALL').argParser(each(String)))
    .addOption(new Flag('--device <device>', 'DEVICE[:PATH][:rwm]: a device of the host').argParser(each(deviceWish)))
    .addOption(new Flag('--ulimit <limit>', 'NAME=SOFT[:HARD]: a limit of getrlimit(2)').argParser(each(limitWish)))
    .addOption(new Flag('--network <network>', 'none (the default), host, or ns:PATH').argParser(networkWish))
    .option('--new-privileges', 'let setuid programs and file capabilities give more rights')
    .addOption(new Flag('--security-opt <option>', 'NAME[=VALUE]: apparmor, label, mask, seccomp and others').argParser(securityOption))
    .addOption(new Flag('-l, --label <label>', 'NAME=value, which becomes an annotation').argParser(each(String)))
    .option('-t, --tty', 'give it a terminal');
}

export function addInstanceFlags(command: Command): Command {
  command.option('--image <image>', 'run this image of the store, by name or id, in place of a bundle');
  // What follows the container's id is the program's own, which only a container of an image can be told here.
  command.on('option:image', () => command.passThroughOptions());
  return addImageFlags(command)
    .option('-i, --interactive', 'keep its standard input open')
    .option('--rm', 'delete the container, with its writable layer, when its program has exited')
    .option('--stop-signal <signal>', "what stop sends, in place of the image's")
    .option('--log-driver <driver>', 'where output in the background goes: json-file or none')
    .addOption(new Flag('--log-opt <option>', 'max-size=SIZE or max-file=N of the log').argParser(each(String)));
}

/** Without an image the bundle decides. @throws StrataError `usage` */
export function checkNoImageFlags(command: Command, words: readonly string[], flags: object): void {
  if (words.length > 0)
    throw new StrataError({ code: 'usage', reason: 'the program of a bundle is in its config.json', hint: 'a program can be given with --image' });
  // They are there if the command line had them, behind --image, which comes first of them.
  const { options } = command;
  const first = options.findIndex(({ long }) => long === '--image');
  const names = first === -1 ? [] : options.slice(first + 1).map((option) => option.attributeName());
  refuseFlags(command, flags, names, 'needs --image');
}

/** @throws StrataError `usage` for the first of the flags, by their attribute names, that was given. */
export function refuseFlags(command: Command, flags: object, names: readonly string[], why: string): void {
  const given = names.find((name) => Object.hasOwn(flags, name) && command.getOptionValueSource(name) === 'cli');
  if (given === undefined) return;
  const long = command.options.find((option) => option.attributeName() === given)?.long ?? given;
  throw new StrataError({ code: 'usage', reason: `${long} ${why}` });
}

type Wished = Omit<InstanceOptions, 'root' | 'id' | 'warn' | 'debug' | 'store' | 'image' | 'remove' | 'interactive' | 'log' | 'stopSignal'>;

/** @throws StrataError `usage`, `system` */
export function wishesOf(host: Host, command: readonly string[], flags: ImageFlags): Wished {
  const { workdir, user, entrypoint, hostname, memory, cpus, pidsLimit, securityOpt: security = {} } = flags;
  const words = command[0] === '--' ? command.slice(1) : command;
  return {
    env: variables(host, flags),
    terminal: flags.tty === true,
    readonly: flags.readOnly === true,
    volumes: flags.volume ?? [],
    tmpfs: flags.tmpfs ?? [],
    devices: flags.device ?? [],
    limits: flags.ulimit ?? [],
    addedCapabilities: flags.capAdd ?? [],
    droppedCapabilities: flags.capDrop ?? [],
    network: flags.network ?? 'none',
    newPrivileges: newPrivileges(security, flags.newPrivileges === true),
    security,
    labels: labels(flags.label ?? []),
    ...(words.length > 0 && { command: words }),
    ...(workdir !== undefined && { workingDirectory: workdir }),
    ...(user !== undefined && { user }),
    ...(entrypoint !== undefined && { entrypoint }),
    ...(hostname !== undefined && { hostname }),
    ...(memory !== undefined && { memory }),
    ...(cpus !== undefined && { cpuQuota: cpus }),
    ...(pidsLimit !== undefined && { pids: pidsLimit }),
  };
}

/** @throws StrataError `usage`, `system` */
export function instanceOptions(shell: Shell, id: string, image: string, command: readonly string[], flags: InstanceFlags): InstanceOptions {
  const { stopSignal, logDriver = 'json-file', logOpt = [] } = flags;
  return {
    ...shell.container(id),
    ...wishesOf(shell.host, command, flags),
    store: shell.store,
    image,
    remove: flags.rm === true,
    interactive: flags.interactive === true,
    log: logWish(logDriver, logOpt),
    ...(stopSignal !== undefined && { stopSignal }),
  };
}

/** Those of files first, so that the command line wins; a name alone means a variable of our own, if there is one. */
function variables(host: Host, { env = [], envFile = [] }: ImageFlags): string[] {
  const all = envFile.flatMap((path) => environmentLines(host.readText(path), path)).concat(env);
  return all.map((entry) => {
    if (entry === '' || entry.startsWith('=')) throw wrong(`variable ${JSON.stringify(entry)} has no name`);
    const own = entry.includes('=') ? undefined : host.environment(entry);
    return own === undefined ? entry : `${entry}=${own}`;
  });
}

function labels(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const [name = ''] = text.split('=', 1);
      if (name === '') throw wrong(`label ${JSON.stringify(text)} has no name`);
      if (name.startsWith('dev.strata.')) throw wrong(`label ${JSON.stringify(name)}: names that begin with dev.strata. are ours`);
      return [name, text.slice(name.length + 1)];
    }),
  );
}

function absolute(text: string): string {
  if (!text.startsWith('/')) throw wrong(`working directory ${JSON.stringify(text)} is not an absolute path`);
  return text;
}

function processes(text: string): number {
  if (text === '-1') return -1;
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < 1 || value > MOST_PIDS)
    throw wrong(`${JSON.stringify(text)} is not a number of processes from 1 to ${MOST_PIDS}, or -1`);
  return value;
}

function wrong(reason: string): StrataError {
  return new StrataError({ code: 'usage', reason });
}
