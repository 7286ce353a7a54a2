/** The facts that a configuration is checked and planned with. */
import { type HostFacts, readMemoryNodes, readSecurity, recentFacts } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import type { Linux, Process } from '../spec/types.ts';

/** {@link recentFacts}, and what only a configuration with labels or a memory policy needs to know. */
export function factsFor(host: Host, process: Process | undefined, linux: Pick<Linux, 'mountLabel' | 'memoryPolicy'> = {}): HostFacts {
  const facts = recentFacts(host);
  const isLabelled = process?.apparmorProfile !== undefined || process?.selinuxLabel !== undefined || linux.mountLabel !== undefined;
  if (!isLabelled && linux.memoryPolicy === undefined) return facts;
  const memoryNodes = linux.memoryPolicy && readMemoryNodes(host);
  return { ...facts, ...(isLabelled && { security: readSecurity(host) }), ...(memoryNodes !== undefined && { memoryNodes }) };
}
