/** How far the work is, as a bar that is drawn again and again on a terminal. */
import type { Host } from '../host/host.ts';
import { sizeText } from './table.ts';

/** Milliseconds between two looks of the bar. */
const PAUSE = 100;
const LENGTH = 24;

export class Bar {
  private readonly host: Host;
  /** Columns of the terminal. */
  private readonly width: number;
  private shownAt = Number.NEGATIVE_INFINITY;
  private shown = false;

  constructor(host: Host, width: number) {
    this.host = host;
    this.width = width;
  }

  /** `bytes` of `total`, 0 if nobody knows; `words`: with what. `always`: also if it was shown a moment ago. */
  show({ bytes, total }: { readonly bytes: number; readonly total: number }, words = '', always = false): void {
    const { host, width } = this;
    if (host.now() - this.shownAt < PAUSE && !always) return;
    this.shownAt = host.now();
    this.shown = true;
    // Back to the start of the line, and the rest of it erased.
    host.printError(`\r${lineOf(bytes, total, words).slice(0, width - 1)}\u001b[K`);
  }

  clear(): void {
    if (this.shown) this.host.printError('\r\u001b[K');
    this.shown = false;
  }
}

function lineOf(bytes: number, total: number, words: string): string {
  const rest = words === '' ? '' : `  ${words}`;
  if (total === 0) return `${sizeText(bytes)}${rest}`;
  const part = Math.min(1, bytes / total);
  const bar = '#'.repeat(Math.round(part * LENGTH)).padEnd(LENGTH, '.');
  return `[${bar}] ${String(Math.floor(part * 100)).padStart(3)}%  ${sizeText(bytes)} of ${sizeText(total)}${rest}`;
}
