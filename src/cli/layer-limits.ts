/** What everything that reads layers has on the command line: limits, and a bar on a terminal. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { ImportProgress, ReadingOptions } from '../archive/archive.ts';
import type { Host } from '../host/host.ts';
import { shortId } from '../image/digest.ts';
import { DEFAULT_LIMITS } from '../layer/filter.ts';
import { Bar } from './bar.ts';
import { size, stopIfInterrupted } from './options.ts';
import type { Shell } from './shell.ts';

export interface LimitFlags {
  readonly maxSize: number;
  readonly maxEntries: number;
  readonly maxRatio: number;
  readonly quiet?: true;
}

export function addLimits(command: Command): Command {
  return command
    .option('--max-size <size>', 'refuse more than so many bytes of files', limit, DEFAULT_LIMITS.maxSize)
    .option('--max-entries <n>', 'refuse more than so many entries', positive, DEFAULT_LIMITS.maxEntries)
    .option('--max-ratio <n>', 'refuse layers that are so many times larger than their compressed form', positive, DEFAULT_LIMITS.maxRatio);
}

function limit(text: string): number {
  const value = size(text);
  if (value < 0n) return Number.MAX_SAFE_INTEGER;
  return Number(value > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : value);
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,15}$/.test(text) || value === 0) throw new InvalidArgumentError('It must be a whole number greater than 0.');
  return value;
}

/** From here on signals are kept, so that what was made can be taken back. */
export function readingOptions(shell: Shell, flags: LimitFlags, errorWidth: number): ReadingOptions & { readonly clear: () => void } {
  const { host, log } = shell;
  const { maxSize, maxEntries, maxRatio, quiet } = flags;
  const display = new Display(host, quiet === true ? undefined : errorWidth);
  host.holdSignals();
  return {
    limits: { maxSize, maxEntries, maxRatio },
    warn: (text) => {
      display.clear();
      log.warn(text);
    },
    progress: (event) => display.show(event),
    checkpoint: () => stopIfInterrupted(host),
    clear: () => display.clear(),
  };
}

/** A bar on a terminal, and elsewhere a line for each layer. */
class Display {
  private readonly host: Host;
  /** Columns of the terminal, 0 for none; undefined if nothing is to be shown. */
  private readonly width: number | undefined;
  private readonly bar: Bar;

  constructor(host: Host, width: number | undefined) {
    this.host = host;
    this.width = width;
    this.bar = new Bar(host, width ?? 0);
  }

  show(event: ImportProgress): void {
    const { host, width } = this;
    if (width === undefined) return;
    if (width > 0) this.bar.show(event, place(event), event.step !== 'read');
    else if (event.step !== 'read') host.printError(`${place(event)} ${event.step === 'present' ? 'is already there' : event.step}\n`);
  }

  clear(): void {
    this.bar.clear();
  }
}

function place({ layer, layers, digest }: ImportProgress): string {
  if (layer === 0) return 'archive';
  return `layer ${layer} of ${layers}${digest === '' ? '' : ` ${shortId(digest)}`}`;
}
