/** `create`: a container that is set up and waits for `start`. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import type { Up } from './bring-up.ts';
import { bringUp } from './bring-up.ts';
import type { CreateOptions } from './prepare.ts';
import { prepare } from './prepare.ts';

/**
 * Creates a container (runtime.md#create): afterwards its process is set up in every way and waits for `start`.
 *
 * @throws StrataError of any code; then nothing of the container is left.
 */
export async function create(host: Host, options: CreateOptions): Promise<Up> {
  const prepared = prepare(host, options);
  checkTerminal(prepared.record.terminal, options);
  return bringUp(host, options, prepared, true);
}

/** A terminal needs someone to hold its master when we are gone; without a terminal there is nothing to send. @throws StrataError `usage`. */
export function checkTerminal(terminal: boolean, options: Pick<CreateOptions, 'console' | 'consoleSocket'>): void {
  const fault = { code: 'usage', stage: 'check' } as const;
  if (terminal && options.consoleSocket === undefined && options.console === undefined) {
    const reason = 'cannot allocate a terminal for a detached process without a console socket';
    throw new StrataError({ ...fault, pointer: '/process/terminal', reason, hint: 'use --console-socket' });
  }
  if (!terminal && options.consoleSocket !== undefined) {
    throw new StrataError({ ...fault, reason: 'cannot use a console socket without a terminal', hint: 'process.terminal is not set in config.json' });
  }
}
