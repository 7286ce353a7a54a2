/**
 * A seccomp profile in place of the default one: `linux.seccomp` by itself, or a profile as Docker and Podman have it, which is the same and besides
 * says for which capabilities, architectures and kernels a rule is there (`includes`, `excludes`, `minKernel`, `archMap`).
 */
import { StrataError, withFields } from '../base/error.ts';
import { parseExact } from '../base/json.ts';
import { checkProfile } from '../spec/check-seccomp.ts';
import { SECCOMP_ARCHITECTURES } from '../spec/names.ts';
import { parseSeccomp } from '../spec/parse.ts';
import type { Reader } from '../spec/reader.ts';
import {
  defaulting,
  integer,
  list,
  mismatch,
  mismatchAt,
  object,
  oneOf,
  optional,
  readWhole,
  required,
  someText,
  textLike,
  texts,
} from '../spec/reader.ts';
import type { Seccomp } from '../spec/types.ts';
import { errnoNumber } from './errno.ts';

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

/** Other properties would be conditions or orders that nobody follows. */
function exactly<T>(keys: string, read: Reader<T>): Reader<T> {
  const known = keys.split(' ');
  return (value) => {
    const result = read(value);
    const other = Object.keys(value as object).find((key) => !known.includes(key));
    return other === undefined ? result : mismatchAt(other, `there is no such property here: those that there are: ${known.join(', ')}`);
  };
}

/** `ENOSYS`, `"38"` or 38; the empty string is the same as an absent one. */
const errno: Reader<number | undefined> = (value) => {
  if (typeof value !== 'string') return anyErrno(value);
  const name = someText(value);
  if (name === undefined) return undefined;
  const number = /^[0-9]{1,5}$/.test(name) ? Number(name) : errnoNumber(name);
  return number ?? mismatch('the name of an errno, such as ENOSYS, or its number', name);
};
const anyErrno = integer(0, 0xffff);

interface RuleForm extends Conditions {
  readonly name?: string;
  readonly names: readonly string[];
  /** In place of `errnoRet`, as containers-common has it. */
  readonly errno?: number;
}

const condition = exactly(
  'caps arches minKernel',
  object<Condition>({
    caps: defaulting(texts, NONE),
    arches: defaulting(texts, NONE),
    minKernel: optional(textLike(/^[0-9]{1,5}\.[0-9]{1,5}$/, "a kernel's version such as 4.8")),
  }),
);
const rule = exactly(
  'name names action errnoRet errno args comment includes excludes',
  object<RuleForm>({
    name: optional(someText),
    names: defaulting(texts, NONE),
    errno: optional(errno),
    includes: defaulting(condition, ALWAYS),
    excludes: defaulting(condition, ALWAYS),
  }),
);
const architecture = oneOf(SECCOMP_ARCHITECTURES.join(' '));
const form = object<{ archMap: readonly ArchitectureEntry[]; defaultErrno?: number; syscalls: readonly RuleForm[] }>({
  archMap: defaulting(
    list(object<ArchitectureEntry>({ architecture: required(architecture), subArchitectures: defaulting(list(architecture), NONE) })),
    NONE,
  ),
  defaultErrno: optional(errno),
  syscalls: defaulting(list(rule), NONE),
});

/** @param file what errors name. @throws StrataError `config-syntax`, `config-invalid`, `config-unsupported` with the place in the file */
export function parseProfile(source: string, file: string): SeccompProfile {
  // Where what the runtime specification calls otherwise stands in the file.
  const places = new Map<string, string>();
  try {
    const value = parseExact(source);
    const { archMap, defaultErrno, syscalls } = readWhole(form, value, '');
    const raw = value as { readonly architectures?: readonly unknown[] | null; readonly syscalls?: readonly object[] | null };
    if (archMap.length > 0 && (raw.architectures ?? NONE).length > 0) throw both('/archMap', 'architectures');
    if (defaultErrno !== undefined) places.set('/defaultErrnoRet', '/defaultErrno');
    const rules = (raw.syscalls ?? NONE).map((one, index) => {
      const { name, names = NONE, errno: returned } = syscalls[index] ?? {};
      const place = `/syscalls/${index}`;
      if (name !== undefined && names.length > 0) throw both(`${place}/name`, 'names');
      if (returned !== undefined) places.set(`${place}/errnoRet`, `${place}/errno`);
      return { ...one, ...(name !== undefined && { names: [name] }), ...(returned !== undefined && { errnoRet: returned }) };
    });
    const seccomp = parseSeccomp({ ...raw, syscalls: rules, ...(defaultErrno !== undefined && { defaultErrnoRet: defaultErrno }) });
    checkProfile(seccomp, '');
    return { seccomp, conditions: syscalls.map(({ includes, excludes }) => ({ includes, excludes })), archMap };
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
    const pointer = places.get(error.pointer ?? '');
    throw withFields(error, { document: file, ...(pointer !== undefined && { pointer }) });
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

/** The profile with the rules that are there, a JSON value as `linux.seccomp` has it, without empty lists; values may be bigint. */
export function chooseRules({ seccomp, conditions, archMap }: SeccompProfile, around: SeccompSurroundings): object {
  const machine = MACHINES[around.architecture];
  const entry = archMap.find(({ architecture: native }) => native === machine?.native);
  const mapped = entry === undefined ? NONE : [entry.architecture, ...entry.subArchitectures];
  const syscalls = seccomp.syscalls.filter((_, index) => isThere(conditions[index], around, machine?.names ?? [around.architecture]));
  const { architectures, ...rest } = seccomp;
  return withoutEmpty({ ...rest, architectures: archMap.length > 0 ? mapped : architectures, syscalls: syscalls.map(withoutEmpty) });
}

function withoutEmpty(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => !(Array.isArray(one) && one.length === 0)));
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
