import type { Command } from 'commander';
import { StrataError } from '../base/error.ts';
import { attach, detachKeys } from '../instance/attach.ts';
import { waitForExit } from '../instance/life.ts';
import type { Shell } from './shell.ts';

interface AttachFlags {
  readonly detachKeys: string;
  /** False with --no-stdin. */
  readonly stdin: boolean;
  /** False with --no-sig-proxy. */
  readonly sigProxy: boolean;
}

export function addAttach(program: Command, shell: Shell): void {
  program
    .command('attach')
    .argument('<container-id>')
    .option('--detach-keys <keys>', "what leaves the container to itself when it is typed; '' for nothing", 'ctrl-p,ctrl-q')
    .option('--no-stdin', 'pass nothing on of what is typed', true)
    .option('--no-sig-proxy', 'pass no signals on; those that ask for an end end this command only', true)
    .description('sit down in front of a container in the background, and exit with its status')
    .action(async (id: string, flags: AttachFlags) => {
      const { host } = shell;
      const name = shell.instance(id);
      const keys = detachKeys(flags.detachKeys);
      let status = await attach(host, { ...name, keys, input: flags.stdin, signals: flags.sigProxy });
      if (status === 'unknown') {
        const { code } = await waitForExit(host, name);
        if (code === undefined) throw new StrataError({ code: 'status', reason: `container ${id} has stopped, and nobody knows how` });
        status = { code };
      }
      shell.exitCode = status?.code ?? 0;
    });
}
