import type { Command } from 'commander';
import { shortId } from '../image/digest.ts';
import { findImage } from '../store/images.ts';
import { openStore } from '../store/store.ts';
import type { Step } from '../store/summary.ts';
import { describeImage, stepsOf } from '../store/summary.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';
import { momentText, sizeText, table } from './table.ts';

interface HistoryFlags {
  readonly format: 'table' | 'json';
  /** False with --no-trunc. */
  readonly trunc: boolean;
}

const WIDTH = 60;

export function addImageHistory(group: Command, shell: Shell): void {
  group
    .command('history')
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--no-trunc', 'print long texts whole', true)
    .argument('<image>', 'name or id')
    .description('show how an image was made, the last step first')
    .action((what: string, flags: HistoryFlags) => {
      const store = openStore(shell.host, shell.store);
      const steps = stepsOf(describeImage(store, findImage(store, what).image)).reverse();
      shell.host.print(flags.format === 'json' ? `${JSON.stringify(steps)}\n` : render(steps, flags.trunc));
    });
}

function render(steps: readonly Step[], truncates: boolean): string {
  const short = (text: string): string => (truncates && text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text);
  const rows = steps.map(({ layer, created, createdBy, comment, size }) => [
    layer === '' ? '<none>' : shortId(layer),
    momentText(created),
    short(oneLine(createdBy)),
    sizeText(size),
    short(oneLine(comment)),
  ]);
  return table([['LAYER', 'CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], ...rows]);
}

/** Others wrote it: it must neither break the table nor colour the terminal. */
function oneLine(text: string): string {
  return text.replace(/[\s\p{Control}]+/gu, ' ').trim();
}
