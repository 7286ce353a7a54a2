// The default seccomp profile of podman, as a configuration has it: the profile says for which machines and capabilities a rule holds, the
// configuration holds the rules that remain.

// Those that podman gives to a container.
const CAPABILITIES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];
// Node's name of the machine, that of the rules and that of the architecture map.
const MACHINES = { x64: ['amd64', 'SCMP_ARCH_X86_64'], arm64: ['arm64', 'SCMP_ARCH_AARCH64'] };

/** `linux.seccomp` of the profile's JSON on this machine. */
export const seccompOf = (profile) => {
  const [machine, architecture] = MACHINES[process.arch];
  const held = new Set(CAPABILITIES.map((name) => `CAP_${name}`));
  const holds = ({ includes = {}, excludes = {} }) =>
    (!includes.arches?.length || includes.arches.includes(machine)) &&
    (includes.caps ?? []).every((name) => held.has(name)) &&
    !(excludes.arches ?? []).includes(machine) &&
    !(excludes.caps ?? []).some((name) => held.has(name));
  const rule = ({ names, action, errnoRet, args }) => ({
    names,
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args?.length ? { args } : {}),
  });
  const { subArchitectures = [] } = profile.archMap.find((entry) => entry.architecture === architecture) ?? {};
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: [architecture, ...subArchitectures],
    syscalls: profile.syscalls.filter(holds).map(rule),
  };
};
