import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { momentOf, parseDuration, parseMoment } from '../base/time.ts';
import type { Host } from '../host/host.ts';
import type { LogRecord } from '../instance/logs.ts';
import { readLogs } from '../instance/logs.ts';
import { count } from './options.ts';
import type { Shell } from './shell.ts';

interface LogsFlags {
  readonly follow?: true;
  readonly tail?: number | 'all';
  readonly since?: string;
  readonly until?: string;
  readonly timestamps?: true;
}

export function addLogs(program: Command, shell: Shell): void {
  const moment = (text: string): string => momentBefore(shell.host, text);
  program
    .command('logs')
    .argument('<container-id>')
    .option('-f, --follow', 'go on until the container has ended')
    .option('-n, --tail <number>', 'only so many of the last lines; all', (text) => (text === 'all' ? text : count(text)))
    .option('--since <moment>', 'no line before this moment, such as 2026-01-31T12:00:00Z, or so long ago, such as 1h30m', moment)
    .option('--until <moment>', 'no line from this moment on', moment)
    .option('-t, --timestamps', 'each line with its moment')
    .description('print what a container in the background has written')
    .action(async (id: string, { follow, tail, since, until, timestamps }: LogsFlags) => {
      const options = {
        ...shell.instance(id),
        follow: follow === true,
        ...(typeof tail === 'number' && { tail }),
        ...(since !== undefined && { since }),
        ...(until !== undefined && { until }),
      };
      await readLogs(shell.host, options, (records) => print(shell.host, records, timestamps === true));
    });
}

/** What stands together on one stream is printed at once. */
function print(host: Host, records: readonly LogRecord[], timestamps: boolean): void {
  let text = '';
  for (let index = 0; index < records.length; index++) {
    const { log, stream, time } = records[index] as LogRecord;
    text += timestamps ? `${time} ${log}` : log;
    if (records[index + 1]?.stream === stream) continue;
    if (stream === 'stdout') host.print(text);
    else host.printError(text);
    text = '';
  }
}

/** A moment, or a duration before now, as logs have moments. */
function momentBefore(host: Host, text: string): string {
  const duration = parseDuration(text);
  const moment = duration === undefined ? parseMoment(text) : (parseMoment(host.timestamp()) ?? 0n) - duration;
  if (moment === undefined) throw new InvalidArgumentError('It must be a moment such as 2026-01-31T12:00:00Z, or a duration such as 90s or 1h30m.');
  return momentOf(moment < 0n ? 0n : moment);
}
