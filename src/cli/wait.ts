import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import { waitForExit } from '../instance/life.ts';
import type { Shell } from './shell.ts';

export function addWait(program: Command, shell: Shell): void {
  program
    .command('wait')
    .argument('<container-id...>')
    .description('wait until containers have ended, and print how: as a shell has it, one on a line')
    .action((ids: readonly string[]) =>
      shell.forEach(ids, async (name) => {
        const { code } = await waitForExit(shell.host, name);
        if (code === undefined) throw new StrataError({ code: 'status', reason: `container ${name.id} has stopped, and nobody knows how` });
        shell.host.print(`${code}\n`);
      }),
    );
}
