import type { Command } from 'commander';
import { planContainer } from '../lifecycle/plan.ts';
import { explain, toJson } from '../plan/explain.ts';
import { Flag } from './command.ts';
import type { CreationFlags } from './options.ts';
import { addCreation, creationOptions } from './options.ts';
import type { Shell } from './shell.ts';

export function addPlan(program: Command, shell: Shell): void {
  addCreation(program.command('plan').argument('[container-id]', 'the id to plan for; the name of the bundle if not given'))
    .addOption(new Flag('-f, --format <format>', 'how to print').choices(['text', 'json']).default('text'))
    .description('print what create would do, without doing it')
    .action(async (id: string | undefined, flags: CreationFlags & { readonly format: 'text' | 'json' }) => {
      const plan = planContainer(shell.host, creationOptions(shell, id ?? '', flags));
      shell.host.print(flags.format === 'json' ? toJson(plan) : explain(plan));
    });
}
