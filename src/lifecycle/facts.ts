/** The facts that a configuration is checked and planned with. */
import { type HostFacts, readDelegate, readMemoryNodes, readRdt, readSecurity, recentFacts, withWeightFile } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import { delegationMount } from '../plan/cgroup-owner.ts';
import type { Process, Spec } from '../spec/types.ts';

/** {@link recentFacts}, and what only a configuration with labels or a memory policy needs to know. */
export function factsFor(host: Host, { process, linux }: Spec): HostFacts {
  const facts = recentFacts(host);
  const security = securityFor(host, process, linux.mountLabel);
  const memoryNodes = linux.memoryPolicy && readMemoryNodes(host);
  if (security === undefined && memoryNodes === undefined) return facts;
  return { ...facts, ...(security && { security }), ...(memoryNodes !== undefined && { memoryNodes }) };
}

/** The facts about security modules, for those who ask for a label. */
export function securityFor(host: Host, process: Process | undefined, mountLabel?: string): HostFacts['security'] {
  const isLabelled = process?.apparmorProfile !== undefined || process?.selinuxLabel !== undefined || mountLabel !== undefined;
  return isLabelled ? readSecurity(host) : undefined;
}

/** The same for a whole configuration, which may have a class of service or manage its own cgroup. */
export function factsForSpec(host: Host, spec: Spec, id: string): HostFacts {
  const { intelRdt, resources } = spec.linux;
  const weighs = resources.blockIO !== undefined && (resources.blockIO.weight !== undefined || resources.blockIO.weightDevice.length > 0);
  const facts = weighs ? withWeightFile(host, factsFor(host, spec)) : factsFor(host, spec);
  const delegates = delegationMount(spec, facts) !== undefined;
  if (intelRdt === undefined && !delegates) return facts;
  const rdt = intelRdt && readRdt(host, intelRdt.closID ?? id);
  return { ...facts, ...(delegates && { delegate: readDelegate(host) }), ...(rdt && { rdt }) };
}
