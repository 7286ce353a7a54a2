import type { Command } from 'commander';
import { restartInstance } from '../instance/life.ts';
import { startOptions } from './options.ts';
import type { Shell } from './shell.ts';
import type { StopFlags } from './stop.ts';
import { addStopOptions, stopOptions } from './stop.ts';

export function addRestart(program: Command, shell: Shell): void {
  addStopOptions(program.command('restart').argument('<container-id>'))
    .description('stop a container made of an image, if it runs, and start it again')
    .action(async (id: string, flags: StopFlags) => {
      await shell.executing(() => restartInstance(shell.host, { ...startOptions(shell, id), ...stopOptions(flags) }));
    });
}
