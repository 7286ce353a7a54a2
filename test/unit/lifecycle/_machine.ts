/** What the tests of the verbs share: a machine, a host on it, and the verbs with the usual options. */
import type { ExecutionContext } from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import type { Up } from '../../../src/lifecycle/bring-up.ts';
import { create } from '../../../src/lifecycle/create.ts';
import type { CreateOptions } from '../../../src/lifecycle/prepare.ts';
import { start } from '../../../src/lifecycle/start.ts';
import { state } from '../../../src/lifecycle/state.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

export const ROOT = '/run/strata';

export const NAME = { root: ROOT, id: 'c1' } as const;

export function hook(path: string): object {
  return { path };
}

/** A machine whose bundle has these properties besides the usual ones. */
export function machineWith(changes: Readonly<Record<string, unknown>> = {}): { machine: FakeMachine; host: FakeHost } {
  const machine = new FakeMachine();
  machine.bundle('/bundle', changes);
  return { machine, host: new FakeHost(machine) };
}

export async function createOne(host: FakeHost, options: Partial<CreateOptions> = {}): Promise<Up> {
  const up = await create(host, { ...NAME, bundle: '/bundle', ...options });
  host.close(up.pidfd);
  return up;
}

export async function createAndStart(host: FakeHost): Promise<Up> {
  const up = await createOne(host);
  await start(host, NAME);
  return up;
}

export async function statusOf(host: FakeHost, id = 'c1'): Promise<string> {
  return (await state(host, { root: ROOT, id })).status;
}

/** The StrataError with which `promise` rejects. */
export async function failure(t: ExecutionContext, promise: Promise<unknown>): Promise<StrataError> {
  const error = await t.throwsAsync<StrataError>(promise, { instanceOf: StrataError });
  return error ?? new StrataError({ code: 'internal', reason: 'nothing was thrown' });
}
