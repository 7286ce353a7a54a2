/** The plan of `exec`: a process more in a container that is there. What `create` has made is left as it is. */
import type { CapabilityFacts } from '../spec/capabilities.ts';
import { parseSpec } from '../spec/parse.ts';
import type { MemoryPolicy, Process, Spec } from '../spec/types.ts';
import { NAMESPACE_TYPES } from '../spec/types.ts';
import { CLONE, type Operation, type Plan } from './op.ts';
import {
  affinityOperations,
  consoleOperations,
  execOperation,
  locateOperations,
  privilegedOperations,
  uniqueEnvironment,
  userOperations,
} from './process.ts';
import { seccompLoadOperations } from './seccomp.ts';

/** What belongs to the container and holds for every process in it. */
export interface ContainerTraits {
  /** CLONE_NEW* bits of the namespaces that its configuration lists. */
  readonly namespaces: number;
  /** Its root is that of a mount namespace of its own. */
  readonly ownRoot: boolean;
  /** Its processes have a session keyring of their own. */
  readonly keyring: boolean;
  readonly seccomp: boolean;
  readonly personality?: NonNullable<Spec['linux']['personality']>['domain'];
  readonly memoryPolicy?: MemoryPolicy;
}

export interface ExecContext {
  readonly id: string;
  readonly facts: CapabilityFacts;
  readonly traits: ContainerTraits;
  /** The container's first process. */
  readonly pid: number;
  readonly startTime: bigint;
  /** Host path of the v2 cgroup, or ''. */
  readonly cgroup: string;
  /** Host paths of the v1 `tasks` files. */
  readonly tasks: readonly string[];
  /** File with the container's seccomp program. */
  readonly seccompProgram: string;
}

const NOTHING = parseSpec({ ociVersion: '1.3.0', root: { path: '/' } });
const NO_PROFILE = { defaultAction: 'SCMP_ACT_ALLOW', architectures: [], flags: [], syscalls: [] } as const;

/** The CLONE_NEW* bits of the namespaces that a configuration lists, new or joined. */
export function namespaceBits(spec: Spec): number {
  let bits = 0;
  for (const { type } of spec.linux.namespaces) bits |= CLONE[type];
  return bits;
}

/** What exec carries out for `process`, in order. Touches nothing. */
export function planExec(process: Process, context: ExecContext): Plan {
  const { traits } = context;
  const spec = specOf(traits);
  const env = uniqueEnvironment(process.env);
  const processContext = { id: context.id, options: { noNewKeyring: !traits.keyring, listenFds: 0 } };
  const { bounding, user, capabilities } = userOperations(spec, process, context.facts);
  const load = seccompLoadOperations(spec);
  const none: Operation[] = [];
  return {
    operations: none.concat(
      traits.seccomp ? { op: 'seccomp-compile', pointer: '', profile: [], cache: '', keep: context.seccompProgram } : none,
      affinityOperations(process, 'initial'),
      enterOperation(context),

      // Nothing of the container's file system is made or changed: the working directory must be there, and /dev/console is the first process's.
      consoleOperations(process, false),
      privilegedOperations(spec, process, processContext),
      locateOperations(process, env),
      affinityOperations(process, 'final'),

      // From root to the program, as in create.ts.
      bounding,
      user,
      process.noNewPrivileges ? none : load,
      capabilities,
      process.noNewPrivileges ? { op: 'no-new-privileges', pointer: '/process/noNewPrivileges' } : none,
      process.noNewPrivileges ? load : none,
      execOperation(spec, process, env, processContext),
    ),
  };
}

function enterOperation({ pid, startTime, traits, cgroup, tasks }: ExecContext): Operation {
  return { op: 'enter', pointer: '', pid, startTime, namespaces: traits.namespaces, chroot: !traits.ownRoot, cgroup, tasks };
}

/** As much of the container's configuration as what follows wants to know. */
function specOf({ namespaces, personality, memoryPolicy, seccomp }: ContainerTraits): Spec {
  const linux = {
    ...NOTHING.linux,
    namespaces: NAMESPACE_TYPES.filter((type) => (namespaces & CLONE[type]) !== 0).map((type) => ({ type })),
    ...(seccomp && { seccomp: NO_PROFILE }),
    ...(personality && { personality: { domain: personality, flags: [] } }),
    ...(memoryPolicy && { memoryPolicy }),
  };
  return { ...NOTHING, linux };
}
