import { type Command, InvalidArgumentError } from 'commander';
import { CGROUP_MODES, type CgroupMode, NETWORK_LOCKS, type NetworkLock, type PageServer } from '../criu/rpc.ts';
import { isInstance } from '../instance/instances.ts';
import { type CheckpointOptions, checkpoint, type ImageOptions } from '../lifecycle/checkpoint.ts';
import { type ArchiveFlags, COMPRESSIONS, checkpointOfInstance, refuseArchive } from './checkpoint-instance.ts';
import { Flag } from './command.ts';
import { refuseFlags } from './image-flags.ts';
import { count } from './options.ts';
import type { Shell } from './shell.ts';

/** What `checkpoint` and `restore` are told alike. */
export interface ImageFlags extends Omit<ImageOptions, 'imagePath' | 'workPath'> {
  readonly imagePath?: string;
  readonly workPath?: string;
  readonly emptyNs?: readonly string[];
}

interface CheckpointFlags extends ImageFlags, ArchiveFlags {
  readonly parentPath?: string;
  readonly leaveRunning?: true;
  readonly tcpSkipInFlight?: true;
  readonly linkRemap?: true;
  readonly preDump?: true;
  readonly statusFd?: number;
  readonly pageServer?: PageServer;
}

/** In the working directory, as with runc. */
const IMAGE_PATH = 'checkpoint';

export function addCheckpoint(program: Command, shell: Shell): void {
  addImage(program.command('checkpoint').argument('<container-id>'))
    .description('write a running container into a directory, from which restore makes it again')
    .option('--parent-path <dir>', 'what has not changed since these images is left out; relative to the image path')
    .option('--leave-running', 'let the container run on')
    .option('--tcp-skip-in-flight', 'leave out connections that are being made')
    .option('--link-remap', 'give open files that were unlinked a name again')
    .option('--pre-dump', 'write memory only, in preparation; the container runs on')
    .addOption(new Flag('--status-fd <n>', 'with --lazy-pages: CRIU writes a byte to this descriptor when it serves pages').argParser(count))
    .addOption(new Flag('--page-server <address>', 'send memory to a page server at ADDRESS:PORT').argParser(pageServer))
    .option('--export <file>', 'of a container of an image: write it, with all that it has written, into this archive; - is standard output')
    .addOption(new Flag('--compress <form>', 'with --export: how the archive is compressed').choices(COMPRESSIONS).default('none'))
    .action(async (id: string, flags: CheckpointFlags, command: Command) => {
      const options = checkpointOptions(shell, id, flags);
      if (flags.export === undefined) refuseFlags(command, flags, ['compress'], 'needs --export');
      if (isInstance(shell.host, shell.instance(id))) return checkpointOfInstance(shell, command, flags, options);
      refuseArchive(flags, id);
      await checkpoint(shell.host, options);
    });
}

/** Nothing of it is done when the command line is interrupted: a CRIU that is killed in the middle would leave the container in pieces. */
function checkpointOptions(shell: Shell, id: string, flags: CheckpointFlags): CheckpointOptions {
  const { emptyNs: _, export: __, compress: ___, parentPath = '', ...rest } = flags;
  shell.host.holdSignals();
  return { ...shell.container(id), ...rest, ...(parentPath !== '' && { parentPath }), ...imagePaths(shell, flags) };
}

/** Absolute. */
export function imagePaths(shell: Shell, { imagePath = '', workPath = '' }: ImageFlags): Pick<ImageOptions, 'imagePath' | 'workPath'> {
  return { imagePath: absolute(shell, imagePath || IMAGE_PATH), ...(workPath !== '' && { workPath: absolute(shell, workPath) }) };
}

function absolute(shell: Shell, path: string): string {
  return path.startsWith('/') ? path : `${shell.host.workingDirectory()}/${path}`;
}

export function addImage(command: Command): Command {
  return command
    .option('--image-path <dir>', `directory of the images; ${IMAGE_PATH} if not given`)
    .option('--work-path <dir>', "directory of CRIU's log and other files; that of the images if not given")
    .option('--tcp-established', 'save, or take up, connections that are established')
    .option('--ext-unix-sk', 'save, or take up, unix sockets whose other end is outside')
    .option('--shell-job', 'allow a terminal and a session that are outside')
    .option('--file-locks', 'save, or take up, locks of files')
    .option('--lazy-pages', 'bring memory when it is needed (userfaultfd)')
    .option('--auto-dedup', 'remove from parent images what newer ones have')
    .addOption(new Flag('--manage-cgroups-mode <mode>', 'what becomes of the settings of cgroups').choices(Object.keys(CGROUP_MODES) as CgroupMode[]))
    .addOption(new Flag('--network-lock <method>', 'how packets are held up meanwhile').choices(Object.keys(NETWORK_LOCKS) as NetworkLock[]))
    .addOption(
      new Flag('--empty-ns <type>', 'make this namespace anew, and do not restore what was in it; so network is in any case').choices(['network']),
    );
}

function pageServer(text: string): PageServer {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  const port = Number(digits);
  if (address === undefined || !(port >= 1 && port <= 65_535)) throw new InvalidArgumentError('It must be ADDRESS:PORT.');
  return { address, port };
}
