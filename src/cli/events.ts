import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { stringifyExact } from '../base/json.ts';
import { events, stats } from '../lifecycle/events.ts';
import type { Shell } from './shell.ts';

interface EventsFlags {
  readonly stats?: true;
  readonly interval: number;
}

const USUAL = 5000;

export function addEvents(program: Command, shell: Shell): void {
  program
    .command('events')
    .argument('<container-id>')
    .description('print what a container uses, and when it runs out of memory, as lines of JSON')
    .option('--interval <duration>', 'time between statistics, such as 500ms or 1m30s; 5s if not given', milliseconds, USUAL)
    .option('--stats', 'print the statistics once')
    .action(async (id: string, flags: EventsFlags) => {
      const { host } = shell;
      const container = shell.container(id);
      if (flags.stats === true) host.print(`${stringifyExact(await stats(host, container))}\n`);
      else for await (const event of events(host, { ...container, interval: flags.interval })) host.print(`${stringifyExact(event)}\n`);
    });
}

const UNITS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const PART = /([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)/g;

/** As engines write durations: numbers with units, the largest first or not. */
function milliseconds(text: string): number {
  let total = 0;
  const rest = text.replace(/^\+/, '').replace(PART, (_, count: string, unit: string) => {
    total += Number(count) * (UNITS[unit] ?? 0);
    return '';
  });
  if (rest !== '' || !(total > 0)) throw new InvalidArgumentError('It must be a time above 0, such as 500ms, 5s or 1m30s.');
  return Math.max(1, total);
}
