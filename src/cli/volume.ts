/** `volume`: the verbs about volumes. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { StrataError } from '../base/error.ts';
import { createVolume, inspectVolume, listVolumes, pruneVolumes, removeUnused } from '../instance/volume-verbs.ts';
import { openStore, prepareStore } from '../store/store.ts';
import { Flag } from './command.ts';
import type { Shell } from './shell.ts';
import { momentText, table } from './table.ts';

export function addVolume(program: Command, shell: Shell): void {
  const group = program.command('volume').description('volumes: what outlives the containers that write to it').helpCommand(false);
  addLs(group, shell);
  addCreate(group, shell);
  addInspect(group, shell);
  addRm(group, shell);
  addPrune(group, shell);
}

function addLs(group: Command, shell: Shell): void {
  group
    .command('ls')
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('-q, --quiet', 'print only the names')
    .description('list volumes')
    .action(({ format, quiet }: { readonly format: 'table' | 'json'; readonly quiet?: true }) => {
      const { log } = shell;
      const volumes = listVolumes(openStore(shell.host, shell.store), (text) => log.warn(text));
      const rows = volumes.map(({ name, created, anonymous, containers }) => {
        return [name, momentText(created), anonymous ? 'yes' : 'no', containers.length === 0 ? '-' : containers.join(', ')];
      });
      if (quiet === true) shell.host.print(volumes.map(({ name }) => `${name}\n`).join(''));
      else if (format === 'json') shell.host.print(`${JSON.stringify(volumes)}\n`);
      else shell.host.print(table([['NAME', 'CREATED', 'ANONYMOUS', 'CONTAINERS'], ...rows]));
    });
}

function addCreate(group: Command, shell: Shell): void {
  group
    .command('create')
    .argument('<name>')
    .addOption(
      new Flag('-l, --label <label>', 'a label as KEY=VALUE or KEY; can be given several times')
        .argParser((text: string, before: Readonly<Record<string, string>>) => ({ ...before, ...label(text) }))
        .default({}, 'none'),
    )
    .description('make an empty volume')
    .action((name: string, flags: { readonly label: Readonly<Record<string, string>> }) =>
      createVolume(prepareStore(shell.host, shell.store), name, flags.label),
    );
}

function label(text: string): Record<string, string> {
  const at = text.indexOf('=');
  const key = at < 0 ? text : text.slice(0, at);
  if (key === '') throw new InvalidArgumentError('It must be KEY=VALUE or KEY.');
  return { [key]: at < 0 ? '' : text.slice(at + 1) };
}

function addInspect(group: Command, shell: Shell): void {
  group
    .command('inspect')
    .argument('<name>')
    .description('print what is known of a volume as JSON')
    .action((name: string) => shell.host.print(`${JSON.stringify(inspectVolume(openStore(shell.host, shell.store), name), null, 2)}\n`));
}

function addRm(group: Command, shell: Shell): void {
  group
    .command('rm')
    .argument('<name...>')
    .option('-f, --force', 'one that does not exist is no error')
    .description('remove volumes with all that is in them')
    .action(async (names: readonly string[], { force }: { readonly force?: true }) => {
      shell.becomeOwner();
      const store = openStore(shell.host, shell.store);
      await shell.forEach(names, async ({ id: name }) => {
        try {
          await removeUnused(store, name);
        } catch (error) {
          if (force !== true || !(error instanceof StrataError) || error.code !== 'not-found') throw error;
        }
      });
    });
}

function addPrune(group: Command, shell: Shell): void {
  group
    .command('prune')
    .option('-a, --all', 'also those that have been given a name')
    .option('--dry-run', 'only print what would be removed')
    .description('remove the volumes that no container has')
    .action(async ({ all, dryRun }: { readonly all?: true; readonly dryRun?: true }) => {
      shell.becomeOwner();
      const names = await pruneVolumes(openStore(shell.host, shell.store), { all: all === true, dryRun: dryRun === true });
      for (const name of names) shell.host.print(`${dryRun === true ? 'would remove' : 'removed'} ${name}\n`);
    });
}
