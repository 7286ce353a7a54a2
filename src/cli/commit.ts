import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { commit } from '../instance/commit.ts';
import { Flag } from './command.ts';
import { stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

interface CommitFlags {
  readonly author?: string;
  readonly change: readonly string[];
  readonly message?: string;
  readonly pause: boolean;
}

export function addCommit(program: Command, shell: Shell): void {
  program
    .command('commit')
    .argument('<container-id>')
    .argument('<name>', 'what the image is to be called')
    .option('-a, --author <author>', 'who has made the image')
    .addOption(
      new Flag('-c, --change <instruction>', 'change the configuration, as a Dockerfile does; can be given several times')
        .argParser((text: string, before: readonly string[]) => [...before, text])
        .default([], 'none'),
    )
    .option('-m, --message <text>', 'what has been done, for the history')
    .addOption(new Flag('--pause <bool>', 'freeze the container while its files are read').argParser(truth).default(true))
    .description('make an image of what a container has changed')
    .action(async (id: string, name: string, flags: CommitFlags) => {
      const { host, log } = shell;
      const { author, change: changes, message, pause } = flags;
      shell.becomeOwner();
      host.holdSignals();
      const image = await commit(host, {
        store: shell.store,
        root: shell.root,
        id,
        name,
        ...(author !== undefined && { author }),
        ...(message !== undefined && { message }),
        changes,
        pause,
        warn: (text) => log.warn(text),
        checkpoint: () => stopIfInterrupted(host),
      });
      host.print(`${image.id}\n`);
    });
}

function truth(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new InvalidArgumentError('It must be true or false.');
  return text === 'true';
}
