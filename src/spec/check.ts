/** What the properties of a {@link Spec} mean together, and whether this version and machine can honour them. Nothing is touched. */
import { inUserNamespace } from './capabilities.ts';
import { checkMountLabel } from './check-labels.ts';
import { checkDevices, checkMounts, checkPaths } from './check-mounts.ts';
import { checkIdMappings, checkNames, checkNamespaces, checkTimeOffsets } from './check-namespaces.ts';
import { checkNetDevices } from './check-network.ts';
import type { ProcessFacts } from './check-process.ts';
import { checkProcess } from './check-process.ts';
import { checkIntelRdt } from './check-rdt.ts';
import type { CgroupFacts } from './check-resources.ts';
import { checkCgroupsPath, checkResources } from './check-resources.ts';
import { checkDeadlineHooks, checkMemoryPolicy } from './check-scheduling.ts';
import { checkSeccomp } from './check-seccomp.ts';
import { checkSysctl } from './check-sysctl.ts';
import { OCI_VERSION } from './defaults.ts';
import { checkEnv, findNamespace, invalid, mustBeAbsolute, quoted, unsupported } from './refuse.ts';
import type { Spec } from './types.ts';
import { HOOK_KINDS } from './types.ts';

/** What the checks want to know of the machine. */
export interface CheckFacts extends ProcessFacts, CgroupFacts {
  /** The nodes that have memory, such as `0-1`; read only for those who ask for a memory policy, and absent where the kernel knows no nodes. */
  readonly memoryNodes?: string;
}

const CHECKS: readonly ((spec: Spec, facts: CheckFacts) => void)[] = [
  checkVersion,
  checkRoot,
  checkNamespaces,
  checkNames,
  checkNetDevices,
  checkAnnotations,
  checkTimeOffsets,
  checkMounts,
  checkPaths,
  checkDevices,
  checkHooks,
  checkSysctl,
  checkSeccomp,
  checkSupported,
  checkDeadlineHooks,
  (spec, facts) => checkMemoryPolicy(spec.linux.memoryPolicy, facts.memoryNodes),
  (spec, facts) => checkMountLabel(spec, facts.security),
  (spec) => checkResources(spec.linux.resources),
  checkIntelRdt,
];
/** Checks that also have warnings. */
const WARNING_CHECKS: readonly ((spec: Spec, facts: CheckFacts) => readonly string[])[] = [checkIdMappings, checkContainerProcess, checkCgroupsPath];

/**
 * Runs every check; the first that fails throws.
 *
 * @returns warnings, each one line
 * @throws StrataError `config-invalid` or `config-unsupported`, with the pointer of the property
 */
export function check(spec: Spec, facts: CheckFacts): readonly string[] {
  for (const one of CHECKS) one(spec, facts);
  return WARNING_CHECKS.flatMap((one) => one(spec, facts));
}

/** SemVer 2.0.0, clause by clause: three numbers, a pre-release, build metadata. */
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/** config.md, Specification version: within a major version, configurations are compatible in both directions. */
function checkVersion({ ociVersion }: Spec): void {
  const match = SEMVER.exec(ociVersion);
  if (match === null) invalid('/ociVersion', `expected a version such as ${OCI_VERSION} (SemVer 2.0.0), found ${quoted(ociVersion)}`);
  if (match[1] !== '1') unsupported('/ociVersion', `version ${quoted(ociVersion)} is not supported, only versions that begin with 1`);
}

/** Every verb that reads a state reads its annotations, and a hostile image could make that take seconds. */
const MOST_ANNOTATIONS = 10_000;

function checkAnnotations({ annotations }: Spec): void {
  if (Object.keys(annotations).length > MOST_ANNOTATIONS) unsupported('/annotations', `more than ${MOST_ANNOTATIONS} annotations are not supported`);
}

function checkRoot({ root }: Spec): void {
  if (root.path === '') invalid('/root/path', 'must not be empty');
}

function checkContainerProcess(spec: Spec, facts: CheckFacts): readonly string[] {
  if (spec.process === undefined) return [];
  return checkProcess(spec.process, findNamespace(spec, 'user') === undefined ? facts : inUserNamespace(facts));
}

function checkHooks({ hooks }: Spec): void {
  for (const kind of HOOK_KINDS) {
    for (const [index, hook] of hooks[kind].entries()) {
      const place = `/hooks/${kind}/${index}`;
      mustBeAbsolute(hook.path, `${place}/path`);
      if (hook.env !== undefined) checkEnv(hook.env, `${place}/env`);
    }
  }
}

function checkSupported({ linux }: Spec): void {
  if (linux.personality !== undefined && linux.personality.flags.length > 0) unsupported('/linux/personality/flags', 'no flag is supported');
}
