/** From capability names to the masks that the kernel will grant, capabilities(7). */
import { CAPABILITIES } from './names.ts';
import { quoted } from './refuse.ts';
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
export function inUserNamespace<Facts extends CapabilityFacts>(facts: Facts): Facts {
  return { ...facts, permitted: -1n, bounding: -1n };
}

export interface GrantedCapabilities {
  /** A bit for each capability number. */
  readonly masks: Readonly<Record<CapabilitySet, bigint>>;
  /** What was asked for and cannot be granted; config.md wants a warning and no failure. */
  readonly warnings: readonly string[];
}

/** The bit of each capability. */
const BITS = new Map(Object.entries(CAPABILITIES).map(([name, number]) => [name, 1n << BigInt(number)]));

/**
 * The masks for the five sets, without what cannot be granted: what the kernel or the runtime does not have, effective outside permitted and
 * inheritable outside bounding (capset(2)), ambient outside permitted or inheritable (prctl(2), `PR_CAP_AMBIENT_RAISE`).
 */
export function grantedCapabilities(capabilities: Capabilities, facts: CapabilityFacts): GrantedCapabilities {
  const masks: Record<CapabilitySet, bigint> = { bounding: 0n, effective: 0n, inheritable: 0n, permitted: 0n, ambient: 0n };
  const warnings: string[] = [];
  const known = (2n << BigInt(facts.lastCapability)) - 1n;
  let ungranted = 0n;
  const unknown = new Set<string>();
  for (const set of CAPABILITY_SETS) {
    const names = capabilities[set];
    let mask = 0n;
    for (let index = 0; index < names.length; index++) {
      const bit = BITS.get(names[index] as string);
      if (bit === undefined) unknown.add(names[index] as string);
      else mask |= bit;
    }
    masks[set] = mask & known & (set === 'bounding' ? facts.bounding : facts.permitted);
    ungranted |= mask & ~masks[set];
  }
  if (unknown.size !== 0) warnings.push(...unknownNames([...unknown]));
  if (ungranted !== 0n) warnings.push(...refusals(capabilities, ungranted, known));
  const drop = (set: CapabilitySet, allowed: bigint, rule: string): void => {
    const dropped = masks[set] & ~allowed;
    masks[set] &= allowed;
    for (const name of dropped === 0n ? [] : named(capabilities[set], dropped)) {
      warnings.push(`${set} capability ${name} cannot be granted: it is not ${rule}`);
    }
  };
  drop('effective', masks.permitted, 'permitted');
  drop('inheritable', masks.bounding, 'in the bounding set');
  drop('ambient', masks.permitted & masks.inheritable, 'both permitted and inheritable');
  return { masks, warnings };
}

/** As many as there are capabilities: who lists more means harm, and would fill the log. */
const MOST_NAMED = 41;

function unknownNames(names: readonly string[]): string[] {
  const out = names.slice(0, MOST_NAMED).map((name) => `capability ${quoted(name)} cannot be granted: there is none of this name`);
  if (names.length > MOST_NAMED) out.push(`${names.length - MOST_NAMED} more capabilities cannot be granted: there are none of these names`);
  return out;
}

/** Each capability is named once, though it is usually asked for in several sets. */
function refusals(capabilities: Capabilities, ungranted: bigint, known: bigint): string[] {
  const names = named(
    CAPABILITY_SETS.flatMap((set) => capabilities[set]),
    ungranted,
  );
  return names.map((name) => {
    const why = named([name], known).length > 0 ? 'the runtime does not have it' : 'this kernel does not have it';
    return `capability ${name} cannot be granted: ${why}`;
  });
}

/** Those of the names that have their bit in the mask, each once. */
function named(names: readonly string[], mask: bigint): string[] {
  return [...new Set(names.filter((name) => ((BITS.get(name) ?? 0n) & mask) !== 0n))];
}
