/** The plan of `create`: the story of a container's first process, from its cgroups to its program, told once. */
import type { Process, Spec } from '../spec/types.ts';
import { cgroupOperations, cgroupPaths, inheritedPlaces } from './cgroup.ts';
import { ownerOperations } from './cgroup-owner.ts';
import type { Operations, PlanContext } from './context.ts';
import { deviceOperations } from './devices.ts';
import { hookOperations, runtimeHookOperations } from './hooks.ts';
import {
  maskOperations,
  mountLabelOperations,
  pivotOperation,
  planMounts,
  propagationOperations,
  readonlyOperations,
  rootOperation,
  rootReadonlyOperations,
} from './mounts.ts';
import { cloneOperations, netDeviceOperations } from './namespaces.ts';
import { notifyEnvironment, notifyOperations } from './notify.ts';
import type { Operation, Plan } from './op.ts';
import {
  consoleOperations,
  execOperation,
  locateOperations,
  namespaceSettingOperations,
  privilegedOperations,
  sysctlOperations,
  uniqueEnvironment,
  userOperations,
  workingDirectoryOperations,
} from './process.ts';
import { planRdt } from './rdt.ts';
import { seccompCompileOperations, seccompLoadOperations } from './seccomp.ts';

/**
 * What create carries out for `spec`, in order. Touches nothing. A container without `process` gets as far as `ready`: it can be created, not
 * started.
 *
 * @throws StrataError `config-invalid` or `config-unsupported` with the pointer of a property that cannot be planned.
 */
export function planCreate(spec: Spec, context: PlanContext): Plan {
  const places = cgroupPaths(spec, context.id, context.facts);
  const rdt = planRdt(spec, context);
  const { process } = spec;
  const story: Operation[] = [];
  // All that can be done outside is done first: the new process then finds its limits in force and its filter compiled.
  const outside = story.concat(
    cgroupOperations(spec, places, context.facts),
    seccompCompileOperations(spec, context),
    ownerOperations(spec, places, context.facts),
    rdt === undefined ? [] : rdt.operations,
    cloneOperations(spec, places, rdt, context.caller),

    netDeviceOperations(spec),
    propagationOperations(spec),
    mountLabelOperations(spec),
    rootOperation(spec, context),
  );
  const mounts = planMounts(spec, context, inheritedPlaces(places, context.facts));
  return {
    operations: outside.concat(
      mounts.operations,
      notifyOperations(context),
      process === undefined ? [] : workingDirectoryOperations(process),
      deviceOperations(spec, mounts.devBound, context.facts),
      process === undefined ? [] : consoleOperations(process, true),

      // The hooks of the runtime see the mounts, and may add to them; the container's own follow, before its root is entered.
      runtimeHookOperations(spec),
      hookOperations(spec, context, 'createContainer'),

      // What hooks have written is covered and frozen too. Masks need the old root: its file systems are unreachable after the pivot.
      sysctlOperations(spec),
      mounts.late,
      maskOperations(spec),
      readonlyOperations(spec),
      rootReadonlyOperations(spec),
      pivotOperation(spec, context),
      namespaceSettingOperations(spec),
      process === undefined ? { op: 'ready', pointer: '' } : processOperations(spec, process, context),
    ),
  };
}

/** From root in the container's root to the user's program: each step gives up something that the one before still needed. */
function processOperations(spec: Spec, process: Process, context: PlanContext): Operations {
  const { bounding, user, capabilities } = userOperations(spec, process, context.facts);
  const load = seccompLoadOperations(spec);
  const env = uniqueEnvironment(notifyEnvironment(process, context));
  const none: Operation[] = [];
  return none.concat(
    privilegedOperations(spec, process, context),
    locateOperations(process, env),
    bounding,
    user,
    // Without no_new_privs the kernel takes a filter from CAP_SYS_ADMIN only, so it is loaded while we have that, and applies to our last steps too.
    process.noNewPrivileges ? none : load,
    capabilities,
    process.noNewPrivileges ? { op: 'no-new-privileges', pointer: '/process/noNewPrivileges' } : none,
    { op: 'ready', pointer: '' },
    hookOperations(spec, context, 'startContainer'),
    // With it the filter comes last, so that it need not allow anything but the program's execution.
    process.noNewPrivileges ? load : none,
    execOperation(spec, process, env, context),
  );
}
