/** From capability names to the masks that the kernel will grant, capabilities(7). */
import { CAPABILITIES } from './names.ts';
import { invalid, quoted } from './refuse.ts';
import type { Capabilities, CapabilitySet } from './types.ts';
import { CAPABILITY_SETS } from './types.ts';

export interface CapabilityFacts {
  /** The highest number the kernel knows, /proc/sys/kernel/cap_last_cap. */
  readonly lastCapability: number;
  /** The runtime's permitted and bounding sets, a bit for each number: nobody can grant more. */
  readonly permitted: bigint;
  readonly bounding: bigint;
}

/** For a container in a user namespace: its first process has every capability there, whatever the runtime has outside. */
export function inUserNamespace(facts: CapabilityFacts): CapabilityFacts {
  return { lastCapability: facts.lastCapability, permitted: -1n, bounding: -1n };
}

export interface GrantedCapabilities {
  /** A bit for each capability number. */
  readonly masks: Readonly<Record<CapabilitySet, bigint>>;
  /** What was asked for and cannot be granted; config.md wants a warning and no failure. */
  readonly warnings: readonly string[];
}

/**
 * The masks for the five sets, without what cannot be granted: what the kernel or the runtime does not have, effective outside permitted and
 * inheritable outside bounding (capset(2)), ambient outside permitted or inheritable (prctl(2), `PR_CAP_AMBIENT_RAISE`).
 *
 * @param pointer where the capabilities stand in the config
 * @throws StrataError `config-invalid` for a name that no kernel has.
 */
export function grantedCapabilities(capabilities: Capabilities, facts: CapabilityFacts, pointer = '/process/capabilities'): GrantedCapabilities {
  const masks: Record<CapabilitySet, bigint> = { bounding: 0n, effective: 0n, inheritable: 0n, permitted: 0n, ambient: 0n };
  const warnings: string[] = [];
  // Each capability is named once, though it is usually asked for in several sets.
  const ungranted = new Map<string, string>();
  for (const set of CAPABILITY_SETS) {
    const own = set === 'bounding' ? facts.bounding : facts.permitted;
    for (const [index, name] of capabilities[set].entries()) {
      const number = Object.hasOwn(CAPABILITIES, name) ? CAPABILITIES[name] : undefined;
      if (number === undefined) invalid(`${pointer}/${set}/${index}`, `unknown capability ${quoted(name)}`);
      const bit = 1n << BigInt(number);
      if (number > facts.lastCapability) ungranted.set(name, 'this kernel does not have it');
      else if ((own & bit) === 0n) ungranted.set(name, 'the runtime does not have it');
      else masks[set] |= bit;
    }
  }
  for (const [name, why] of ungranted) warnings.push(`capability ${name} cannot be granted: ${why}`);
  const drop = (set: CapabilitySet, allowed: bigint, rule: string): void => {
    const names = capabilities[set].filter((name) => ((masks[set] & ~allowed) >> BigInt(CAPABILITIES[name] as number)) & 1n);
    for (const name of new Set(names)) warnings.push(`${set} capability ${name} cannot be granted: it is not ${rule}`);
    masks[set] &= allowed;
  };
  drop('effective', masks.permitted, 'permitted');
  drop('inheritable', masks.bounding, 'in the bounding set');
  drop('ambient', masks.permitted & masks.inheritable, 'both permitted and inheritable');
  return { masks, warnings };
}
