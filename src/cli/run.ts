import type { Command } from 'commander';
import { runDetached, runForeground } from '../lifecycle/run.ts';
import type { CreationFlags } from './options.ts';
import { addCreation, creationOptions } from './options.ts';
import type { Shell } from './shell.ts';

interface RunFlags extends CreationFlags {
  readonly detach?: true;
  readonly keep?: true;
}

export function addRun(program: Command, shell: Shell): void {
  addCreation(program.command('run').argument('<container-id>').description('create and start a container, wait for it, and exit with its status'))
    .option('-d, --detach', 'return when the program runs')
    .option('--keep', 'do not delete the container when its program has exited')
    .option('--no-subreaper', 'accepted for the sake of callers; strata never makes itself a subreaper', true)
    .action(async (id: string, flags: RunFlags) => {
      const options = { ...creationOptions(shell, id, flags), keep: flags.keep === true };
      if (flags.detach === true) shell.host.close((await runDetached(shell.host, options)).pidfd);
      else shell.exitCode = (await runForeground(shell.host, options)).code;
    });
}
