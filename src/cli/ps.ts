import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { printable, StrataError } from '../base/error.ts';
import { shortId } from '../image/digest.ts';
import { candidates, familiarName } from '../image/reference.ts';
import type { PsEntry } from '../instance/ps.ts';
import { listContainers } from '../instance/ps.ts';
import { pids, processTable } from '../lifecycle/ps.ts';
import { STATUSES } from '../lifecycle/status.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';
import { momentText, sizeText, table } from './table.ts';

interface PsFlags {
  readonly all?: true;
  readonly size?: true;
  readonly quiet?: true;
  readonly filter: readonly Filter[];
  readonly format: 'table' | 'json';
}

interface Filter {
  readonly fits: (entry: PsEntry) => boolean;
  /** Asks for what would not be listed without --all. */
  readonly all?: boolean;
}

/** Characters of a command in a table. */
const LONGEST_COMMAND = 30;

export function addPs(program: Command, shell: Shell): void {
  program
    .command('ps')
    .argument('[container-id]')
    .argument('[ps-options...]', 'options for ps(1), -ef if none')
    .option('-a, --all', 'without an id: also containers that do not run')
    .option('-s, --size', 'without an id: measure what they have written')
    .option('-q, --quiet', 'without an id: print only the ids')
    .addOption(
      new Flag('--filter <filter>', 'without an id: only some, by status=, id=, image=, label= or volume=; can be given several times')
        .argParser((text: string, before: readonly Filter[]) => [...before, filter(text)])
        .default([], 'all'),
    )
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .passThroughOptions()
    .description('list containers, or show the processes of one')
    .action(async (id: string | undefined, args: readonly string[], flags: PsFlags) => {
      if (id === undefined) return list(shell, flags);
      refuse(flags);
      const container = shell.container(id);
      if (flags.format === 'json') shell.host.print(`${JSON.stringify(await pids(shell.host, container))}\n`);
      else shell.host.print(await processTable(shell.host, { ...container, args }));
    });
}

/** Options for ps(1) come after the id. */
function refuse({ all, size, quiet, filter }: PsFlags): void {
  if (all === undefined && size === undefined && quiet === undefined && filter.length === 0) return;
  throw new StrataError({ code: 'usage', reason: 'with a container id there is only --format', hint: 'options for ps(1) come after the id' });
}

async function list(shell: Shell, flags: PsFlags): Promise<void> {
  const log = shell.log;
  const wanted = {
    root: shell.root,
    store: shell.store,
    all: flags.all === true || flags.filter.some(({ all }) => all === true),
    size: flags.size === true,
  };
  const entries = await listContainers(shell.host, { ...wanted, warn: (text) => log.warn(text) });
  shell.host.print(
    render(
      entries.filter((entry) => flags.filter.every(({ fits }) => fits(entry))),
      flags,
    ),
  );
}

function render(entries: readonly PsEntry[], { quiet, format, size }: PsFlags): string {
  if (quiet === true) return entries.map(({ id }) => `${id}\n`).join('');
  if (format === 'json') return `${JSON.stringify(entries)}\n`;
  const rows = entries.map((entry) => {
    const { id, command, created } = entry;
    const row = [id, imageText(entry), short(command.join(' ')), momentText(created), statusText(entry)];
    return size === true ? [...row, volume(entry)] : row;
  });
  return table([['ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', ...(size === true ? ['SIZE'] : [])], ...rows]);
}

function imageText({ image, imageId }: PsEntry): string {
  if (image === '') return '-';
  return image === imageId ? shortId(image) : familiarName(image);
}

function volume({ size }: PsEntry): string {
  return size === undefined ? '-' : `${sizeText(size.upper)} (virtual ${sizeText(size.virtual)})`;
}

function statusText({ status, started, exit }: PsEntry): string {
  const since = started === undefined ? '' : ` since ${momentText(started)}`;
  switch (status) {
    case 'running':
      return `Up${since}`;
    case 'paused':
      return `Paused, up${since}`;
    case 'stopped':
      return exit === undefined ? 'Exited' : `Exited (${exit.code ?? '?'}) ${momentText(exit.finished)}${exit.oomKilled ? ', out of memory' : ''}`;
    default:
      return `${status.slice(0, 1).toUpperCase()}${status.slice(1)}`;
  }
}

/** On one line, and not the whole of a long one. An image may have written it: it must not colour the terminal. */
function short(text: string): string {
  const line = printable(text.replace(/\s+/g, ' '));
  return line.length > LONGEST_COMMAND ? `${line.slice(0, LONGEST_COMMAND - 1)}…` : line;
}

function filter(text: string): Filter {
  const at = text.indexOf('=');
  const key = at < 0 ? text : text.slice(0, at);
  const value = at < 0 ? '' : text.slice(at + 1);
  switch (value === '' ? '' : key) {
    case 'status': {
      const status = value === 'exited' ? 'stopped' : value;
      if (!STATUSES.some((one) => one === status)) throw new InvalidArgumentError(`A status is one of ${STATUSES.join(', ')}.`);
      return { fits: (entry) => entry.status === status, all: true };
    }
    case 'id':
      return { fits: ({ id }) => id.includes(value) };
    case 'image':
      return { fits: (entry) => isOfImage(entry, value) };
    case 'label': {
      const [name = '', ...rest] = value.split('=');
      return { fits: ({ labels }) => Object.hasOwn(labels, name) && (rest.length === 0 || labels[name] === rest.join('=')) };
    }
    case 'volume':
      return { fits: ({ volumes }) => volumes.includes(value) };
    default:
      throw new InvalidArgumentError('It must be status=, id=, image=, label= or volume= with a value.');
  }
}

function isOfImage({ image, imageId }: PsEntry, text: string): boolean {
  if (imageId === '') return false;
  return imageId.startsWith(`sha256:${text.replace(/^sha256:/, '')}`) || (image !== imageId && candidates(text).includes(image));
}
