/** What this build and kernel can do, for engines (features.md and features-linux.md of the runtime specification). */
import type { Command } from 'commander';
import type { HostFacts } from '../host/facts.ts';
import { isAtLeast, recentFacts } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import { hasCriu } from '../lifecycle/criu.ts';
import { mountOptionNames } from '../plan/mount-options.ts';
import { OCI_VERSION } from '../spec/defaults.ts';
import { CAPABILITIES, MEMORY_FLAGS, MEMORY_MODES, SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_FLAGS, SECCOMP_OPERATORS } from '../spec/names.ts';
import type { NamespaceType } from '../spec/types.ts';
import { HOOK_KINDS, NAMESPACE_TYPES } from '../spec/types.ts';
import type { Shell } from './shell.ts';
import type { Build } from './version.ts';
import { VERSION } from './version.ts';

/** The oldest version of the specification that a configuration may name. */
const OLDEST_OCI_VERSION = '1.0.0';

/** Files in /proc/PID/ns, namespaces(7), where they are not called as the specification calls the namespace. */
const NAMESPACE_FILES: Readonly<Partial<Record<NamespaceType, string>>> = { mount: 'mnt', network: 'net' };

/** Since which Linux seccomp(2) takes a flag. */
const SECCOMP_FLAG_SINCE: Readonly<Record<string, readonly [major: number, minor: number]>> = {
  SECCOMP_FILTER_FLAG_TSYNC: [3, 17],
  SECCOMP_FILTER_FLAG_LOG: [4, 14],
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: [4, 17],
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: [5, 19],
};

/** Architectures that libseccomp knows from 2.6 on. */
const YOUNG_ARCHITECTURES = ['SCMP_ARCH_LOONGARCH64', 'SCMP_ARCH_M68K', 'SCMP_ARCH_SH', 'SCMP_ARCH_SHEB'];

export function addFeatures(program: Command, shell: Shell, build: Build): void {
  program
    .command('features')
    .description('print what this runtime can do, as the Features structure of the specification')
    .action(async () => shell.host.print(`${JSON.stringify(features(shell.host, build), null, 4)}\n`));
}

/** The Features structure. All lists but those whose order means something are sorted. */
function features(host: Host, build: Build): object {
  const facts = recentFacts(host);
  return {
    ociVersionMin: OLDEST_OCI_VERSION,
    ociVersionMax: OCI_VERSION,
    hooks: HOOK_KINDS,
    mountOptions: mountOptionNames(),
    linux: {
      namespaces: sorted(NAMESPACE_TYPES.filter((type) => host.stat(`/proc/self/ns/${NAMESPACE_FILES[type] ?? type}`) !== undefined)),
      capabilities: Object.keys(CAPABILITIES),
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: seccomp(facts, build),
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: { modes: Object.keys(MEMORY_MODES), flags: Object.keys(MEMORY_FLAGS) },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      ...(build.libseccomp && { 'io.github.seccomp.libseccomp.version': build.libseccomp }),
      'dev.strata.version': VERSION,
      'dev.strata.checkpoint.enabled': `${hasCriu(host)}`,
      ...(build.commit && { 'dev.strata.commit': build.commit }),
    },
    // Prefixes of the annotations that strata obeys.
    potentiallyUnsafeConfigAnnotations: ['dev.strata.', 'org.systemd.property.', 'org.criu.config'],
  };
}

function seccomp({ kernel }: HostFacts, { libseccomp = '' }: Build): object {
  const [, major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(libseccomp) ?? []).map(Number);
  const knowsAll = major > 2 || (major === 2 && minor >= 6);
  return {
    enabled: true,
    actions: sorted(SECCOMP_ACTIONS),
    operators: sorted(SECCOMP_OPERATORS),
    archs: sorted(SECCOMP_ARCHITECTURES.filter((name) => knowsAll || !YOUNG_ARCHITECTURES.includes(name))),
    knownFlags: SECCOMP_FLAGS,
    supportedFlags: SECCOMP_FLAGS.filter((flag) => isAtLeast(kernel, ...(SECCOMP_FLAG_SINCE[flag] ?? [0, 0]))),
  };
}

function sorted(names: readonly string[]): string[] {
  return [...names].sort();
}
