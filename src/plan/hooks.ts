/** Hooks that run inside the container's namespaces, and the point where the runtime runs its own (config.md, POSIX-platform Hooks). */
import type { Spec } from '../spec/types.ts';
import type { PlanContext } from './context.ts';
import type { Operation } from './op.ts';

/** Milliseconds; the longest that fits. */
const LONGEST = 0xffffffff;

/** Wait for the prestart and createRuntime hooks, which the runtime runs itself, in its own namespaces. */
export function runtimeHookOperations(spec: Spec): Operation[] {
  const { prestart, createRuntime } = spec.hooks;
  if (prestart.length + createRuntime.length === 0) return [];
  return [{ op: 'runtime-hooks', pointer: prestart.length > 0 ? '/hooks/prestart' : '/hooks/createRuntime' }];
}

export function hookOperations(spec: Spec, context: PlanContext, kind: 'createContainer' | 'startContainer'): Operation[] {
  const hooks = spec.hooks[kind];
  if (hooks.length === 0) return [];
  const [stateBefore, stateAfter] = state(spec, context, kind === 'createContainer' ? 'creating' : 'created');
  return hooks.map((hook, index) => ({
    op: 'hook',
    pointer: `/hooks/${kind}/${index}`,
    kind,
    path: hook.path,
    args: hook.args.length === 0 ? [hook.path] : hook.args,
    env: hook.env ?? context.options.environment ?? [],
    timeout: Math.min((hook.timeout ?? 0) * 1000, LONGEST),
    stateBefore,
    stateAfter,
  }));
}

/** The state (runtime.md, State) as JSON around the pid, which nobody knows yet. */
function state(spec: Spec, context: PlanContext, status: 'creating' | 'created'): [before: string, after: string] {
  const { annotations } = spec;
  const head = JSON.stringify({ ociVersion: spec.ociVersion, id: context.id, status });
  const tail = JSON.stringify({ bundle: context.bundle, ...(Object.keys(annotations).length > 0 && { annotations }) });
  return [`${head.slice(0, -1)},"pid":`, `,${tail.slice(1)}`];
}
