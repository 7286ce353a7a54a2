import type { Command } from 'commander';
import { stopContainer } from '../instance/life.ts';
import { signalNumber } from '../lifecycle/signals.ts';
import { seconds } from './options.ts';
import type { Shell } from './shell.ts';

/** The options of `stop` and `restart`. */
export interface StopFlags {
  readonly signal?: number;
  /** Milliseconds. */
  readonly time: number;
}

const DEFAULT_TIME = 10_000;

export function addStopOptions(command: Command): Command {
  return command
    .option('-s, --signal <signal>', "in place of the container's own stop signal", signalNumber)
    .option('-t, --time <seconds>', 'how long to wait before it is killed', seconds, DEFAULT_TIME);
}

export function stopOptions({ signal, time }: StopFlags): { readonly timeout: number; readonly signal?: number } {
  return { timeout: time, ...(signal !== undefined && { signal }) };
}

export function addStop(program: Command, shell: Shell): void {
  addStopOptions(program.command('stop').argument('<container-id...>'))
    .description('have containers stop: by their stop signal, then by SIGKILL')
    .action((ids: readonly string[], flags: StopFlags) =>
      shell.forEach(ids, (name) => stopContainer(shell.host, { ...name, ...stopOptions(flags) })),
    );
}
