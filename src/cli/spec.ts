import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import { resolveBundle } from '../lifecycle/bundle.ts';
import { groupId } from '../lifecycle/rootless.ts';
import { defaultSpec } from '../spec/defaults.ts';
import { addBundle } from './options.ts';
import type { Shell } from './shell.ts';

interface SpecFlags {
  readonly bundle: string;
  readonly rootless?: true;
}

export function addSpec(program: Command, shell: Shell): void {
  addBundle(program.command('spec').description('write a config.json to start from'))
    .option('--rootless', 'for a user who is not root')
    .action(async (flags: SpecFlags) => {
      const { host } = shell;
      const path = `${resolveBundle(host, flags.bundle)}/config.json`;
      if (host.stat(path) !== undefined) throw new StrataError({ code: 'usage', reason: `${path} exists`, hint: 'remove it first' });
      const spec = defaultSpec(flags.rootless === true ? { rootless: true, uid: host.userId(), gid: groupId(host) } : {});
      host.replaceFile(path, `${JSON.stringify(spec, null, '\t')}\n`, 0o644);
    });
}
