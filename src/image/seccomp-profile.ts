/**
 * A seccomp profile in place of the default one: `linux.seccomp` by itself, or a profile as Docker and Podman have it, which is the same and besides
 * says for which capabilities, architectures and kernels a rule is there (`includes`, `excludes`, `minKernel`, `archMap`).
 */
import { StrataError, withFields } from '../base/error.ts';
import { parseExact } from '../base/json.ts';
import { checkProfile } from '../spec/check-seccomp.ts';
import { parseSeccomp } from '../spec/parse.ts';
import { defaulting, list, object, optional, readWhole, required, text, textLike, texts } from '../spec/reader.ts';
import type { Seccomp } from '../spec/types.ts';

/** When a rule is there. */
interface Condition {
  readonly caps: readonly string[];
  readonly arches: readonly string[];
  /** `MAJOR.MINOR`. */
  readonly minKernel?: string;
}

interface Conditions {
  readonly includes: Condition;
  readonly excludes: Condition;
}

interface ArchitectureEntry {
  readonly architecture: string;
  readonly subArchitectures: readonly string[];
}

/** A profile whose rules are not chosen yet. */
export interface SeccompProfile {
  readonly seccomp: Seccomp;
  /** Of each rule, in the same order. */
  readonly conditions: readonly Conditions[];
  /** In place of `architectures`. */
  readonly archMap: readonly ArchitectureEntry[];
}

/** What the conditions are about. */
export interface SeccompSurroundings {
  /** Those that the process may come to have, such as `CAP_CHOWN`. */
  readonly capabilities: readonly string[];
  /** As the image specification has it. */
  readonly architecture: string;
  readonly kernel: { readonly major: number; readonly minor: number };
}

const NONE: readonly never[] = [];
const ALWAYS: Condition = { caps: NONE, arches: NONE };

const condition = object<Condition>({
  caps: defaulting(texts, NONE),
  arches: defaulting(texts, NONE),
  minKernel: optional(textLike(/^[0-9]{1,5}\.[0-9]{1,5}$/, "a kernel's version such as 4.8")),
});
const form = object<{ archMap: readonly ArchitectureEntry[]; syscalls: readonly (Conditions & { name?: string; names: readonly string[] })[] }>({
  archMap: defaulting(list(object<ArchitectureEntry>({ architecture: required(text), subArchitectures: defaulting(texts, NONE) })), NONE),
  syscalls: defaulting(
    list(
      object<Conditions & { name?: string; names: readonly string[] }>({
        name: optional(text),
        names: defaulting(texts, NONE),
        includes: defaulting(condition, ALWAYS),
        excludes: defaulting(condition, ALWAYS),
      }),
    ),
    NONE,
  ),
});

/** @param file what errors name. @throws StrataError `config-syntax`, `config-invalid`, `config-unsupported` with the place in the file */
export function parseProfile(source: string, file: string): SeccompProfile {
  try {
    const value = parseExact(source);
    const { archMap, syscalls } = readWhole(form, value, '');
    const raw = value as { readonly architectures?: readonly unknown[] | null; readonly syscalls?: readonly object[] | null };
    if (archMap.length > 0 && (raw.architectures ?? NONE).length > 0) throw both('/archMap', 'architectures');
    const rules = (raw.syscalls ?? NONE).map((rule, index) => {
      const { name, names = NONE } = syscalls[index] ?? {};
      if (name === undefined) return rule;
      if (names.length > 0) throw both(`/syscalls/${index}/name`, 'names');
      return { ...rule, names: [name] };
    });
    const architectures = archMap.flatMap(({ architecture, subArchitectures }) => [architecture, ...subArchitectures]);
    const seccomp = parseSeccomp({ ...raw, syscalls: rules, ...(archMap.length > 0 && { architectures }) });
    checkProfile(seccomp, '');
    return { seccomp, conditions: syscalls.map(({ includes, excludes }) => ({ includes, excludes })), archMap };
  } catch (error) {
    throw error instanceof StrataError ? withFields(error, { document: file }) : error;
  }
}

function both(pointer: string, other: string): StrataError {
  return new StrataError({ code: 'config-invalid', stage: 'check', pointer, reason: `must not be set beside ${other}` });
}

/** What a machine is called that runs programs of these images: in a profile's `archMap`, and in its conditions. */
const MACHINES: Readonly<Record<string, { readonly native: string; readonly names: readonly string[] }>> = {
  amd64: { native: 'SCMP_ARCH_X86_64', names: ['amd64'] },
  '386': { native: 'SCMP_ARCH_X86_64', names: ['amd64', '386', 'x86'] },
  arm64: { native: 'SCMP_ARCH_AARCH64', names: ['arm64'] },
  arm: { native: 'SCMP_ARCH_AARCH64', names: ['arm64', 'arm'] },
};

/** The profile with the rules that are there, as `linux.seccomp` has it; values may be bigint. */
export function chooseRules({ seccomp, conditions, archMap }: SeccompProfile, around: SeccompSurroundings): Seccomp {
  const machine = MACHINES[around.architecture];
  const entry = archMap.find(({ architecture }) => architecture === machine?.native);
  const architectures = entry === undefined ? NONE : [entry.architecture, ...entry.subArchitectures];
  const syscalls = seccomp.syscalls.filter((_, index) => isThere(conditions[index], around, machine?.names ?? [around.architecture]));
  return { ...seccomp, syscalls, ...(archMap.length > 0 && { architectures }) };
}

/** All capabilities that are included, one of the architectures, a kernel as new; and nothing of what is excluded. */
function isThere(conditions: Conditions | undefined, around: SeccompSurroundings, names: readonly string[]): boolean {
  const { includes = ALWAYS, excludes = ALWAYS } = conditions ?? {};
  const isHeld = (name: string): boolean => around.capabilities.includes(name);
  const isNamed = (name: string): boolean => names.includes(name);
  if (!includes.caps.every(isHeld) || (includes.arches.length > 0 && !includes.arches.some(isNamed))) return false;
  if (excludes.caps.some(isHeld) || excludes.arches.some(isNamed)) return false;
  const isTooOld = includes.minKernel !== undefined && !isAsNew(around, includes.minKernel);
  return !isTooOld && !(excludes.minKernel !== undefined && isAsNew(around, excludes.minKernel));
}

function isAsNew({ kernel }: SeccompSurroundings, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}
