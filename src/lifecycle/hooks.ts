/** Hooks that run in the runtime's own namespaces (config.md#posix-platform-hooks); the others are operations of the plan. */
import { StrataError } from '../base/error.ts';
import { pointer } from '../base/pointer.ts';
import type { ExitStatus, Host } from '../host/host.ts';
import type { Hook, HookKind } from '../spec/types.ts';
import { ERRNO, hasCode, hasErrno, messageOf } from './fault.ts';
import type { Report } from './report.ts';

/** The longest time that a timer can be set to, milliseconds; 24 days. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Bytes; execve(2) takes no larger environment. */
const LARGEST_ENVIRONMENT = 6 * 1024 * 1024;

/** What this process was started with: a hook without an environment of its own gets it, as it would from any program that executes it. */
export function environmentOf(host: Host): readonly string[] {
  try {
    return host
      .readText('/proc/self/environ', LARGEST_ENVIRONMENT)
      .split('\0')
      .filter((entry) => entry !== '');
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return [];
    throw error;
  }
}

/** Runs hooks in order, with `state` on their standard input. @throws StrataError `hook` at the first that fails. */
export async function runHooks(host: Host, kind: HookKind, hooks: readonly Hook[], state: string, report: Report): Promise<void> {
  for (const [index, hook] of hooks.entries()) {
    report.debug?.(`run ${kind} hook ${index}: ${hook.path}`);
    await runHook(host, kind, index, hook, state);
  }
}

/** Runs all poststop hooks; one that fails is a warning (runtime.md#lifecycle, step 13). */
export async function runPoststopHooks(host: Host, hooks: readonly Hook[], state: string, report: Report): Promise<void> {
  for (const [index, hook] of hooks.entries()) {
    report.debug?.(`run poststop hook ${index}: ${hook.path}`);
    try {
      await runHook(host, 'poststop', index, hook, state);
    } catch (error) {
      if (!hasCode(error, 'hook')) throw error;
      report.warn?.(messageOf(error));
    }
  }
}

async function runHook(host: Host, kind: HookKind, index: number, hook: Hook, state: string): Promise<void> {
  const timeout = Math.min((hook.timeout ?? 0) * 1000, LONGEST_TIMEOUT);
  const fields = { code: 'hook', stage: 'hook', pointer: pointer('/hooks', kind, index), path: hook.path } as const;
  const args = hook.args.length > 0 ? hook.args : [hook.path];
  let result: Awaited<ReturnType<Host['run']>>;
  try {
    result = await host.run({ path: hook.path, args, env: hook.env ?? environmentOf(host), stdin: state, timeout });
  } catch (error) {
    if (!(error instanceof StrataError) || error.errno === undefined) throw error;
    throw new StrataError({
      ...fields,
      reason: `cannot run ${kind} hook ${hook.path}`,
      errno: error.errno,
      ...(error.syscall && { syscall: error.syscall }),
    });
  }
  if (result.timedOut && hook.timeout === undefined) {
    throw new StrataError({ ...fields, code: 'aborted', reason: `${kind} hook ${hook.path} was ended, because strata was interrupted` });
  }
  if (result.timedOut) throw new StrataError({ ...fields, reason: `${kind} hook ${hook.path} did not end within ${hook.timeout} s` });
  if (result.status.code === 0) return;
  const said = lastLine(result.stderr);
  throw new StrataError({ ...fields, reason: `${kind} hook ${hook.path} failed: ${ending(result.status)}${said && `: ${said}`}` });
}

function ending(status: ExitStatus): string {
  return status.signal === undefined ? `exit status ${status.code}` : `signal ${status.signal}`;
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').pop()?.trim() ?? '';
}
