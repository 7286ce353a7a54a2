// Why strata does not pass a test, by suite and test. Where that is another runtime's way, or an older specification's, it says so.
import { PLACES } from './arguments.mjs';

const ALL_FAIL_LEAF = 'the kernel has no `blkio.leaf_weight` since Linux 5.0; strata refuses it with the pointer of the property';
const NO_NET_CLS = 'this machine has neither of the cgroup v1 controllers net_cls and net_prio';
const NO_KMEM = 'the kernel has no limit of kernel memory any more; the file exists and ignores what is written';
const STATUS_FILE = "waits for `status`, a file of crun's own in the state directory, before it takes a checkpoint";
const OLD_HOOKS = 'the suite is older than runtime-spec 1.0.2: ';

const REASONS = {
  validation: {
    hooks: 'the suite expects texts that its own hooks do not write (`post-start1` for `post-start1 called`)',
    linux_cgroups_blkio: ALL_FAIL_LEAF,
    linux_cgroups_relative_blkio: ALL_FAIL_LEAF,
    linux_cgroups_memory: NO_KMEM,
    linux_cgroups_relative_memory: NO_KMEM,
    linux_cgroups_network: NO_NET_CLS,
    linux_cgroups_relative_network: NO_NET_CLS,
    linux_mount_label: 'there is no SELinux here: strata refuses a label that the kernel cannot apply, crun leaves it out',
    linux_process_apparmor_profile: 'there is no AppArmor here: strata refuses a profile that the kernel cannot apply, crun leaves it out',
    misc_props: 'the suite does not copy its own program into the bundle',
    pidfile: 'a race: kills the program `true`, which has ended by then or not; in other runs strata passes and runc does not',
    poststart_fail: `${OLD_HOOKS}a poststart hook that fails is to be an error (runtime.md, lifecycle), and the suite wants a warning`,
    prestart: `${OLD_HOOKS}prestart hooks run in \`create\`, and the suite wants them in \`start\``,
    process_capabilities: 'asks for all capabilities, and root has no CAP_SYS_RESOURCE here; strata warns, as config.md has it',
    process_capabilities_fail: 'wants an error for an unknown capability, which is to be a warning since runtime-spec 1.0.2',
    process_rlimits: 'the suite looks at the soft limit of open files with a Go program, and Go raises its own to the hard one',
    process_rlimits_fail: 'prints no result: the error that it wants ends it',
    start:
      'the assertion of its title, that `start` without `process` is an error, is the wrong way round: passed by who starts nothing without an error',
  },
  crun: {
    'delete/test_simple_delete':
      "puts the program into a frozen cgroup that is not the container's; strata does not thaw what is not its own, and says what holds on",
    'delete/test_multiple_containers_delete': "`delete --regex`, an option of crun's own",
    'exec/exec_add_no_new_privileges': 'wants `exec` to give up `noNewPrivileges` of the container; strata keeps it, as runc does',
    'oci_features/crun-features': 'wants what that release of crun printed, with its own annotations',
    'preserve_fds/preserve-fds-some': 'wants 100 descriptors preserved, of which most are not open; for strata, as for runc, that is an error',
    'seccomp/seccomp-listener':
      'wants a listener for a profile without SCMP_ACT_NOTIFY, and `0.2.0` as the version of the state; the specification has it "when the SCMP_ACT_NOTIFY action is used"',
    'checkpoint_restore/checkpoint-restore': STATUS_FILE,
    'checkpoint_restore/checkpoint-restore-ext-ns': STATUS_FILE,
    'checkpoint_restore/checkpoint-restore-pre-dump': STATUS_FILE,
    'start/start': "reads `status`, a file of crun's own, in the state directory",
    'start/listen_pid_env': 'announces with LISTEN_FDS a descriptor that is not open; for strata, as for runc, that is an error',
    'start/invalid-id': 'wants the words of that release of crun about the id',
    'mounts/mount-copy-symlink': "the mount option `copy-symlink`, which is crun's own",
    'tty/test-detach-tty': 'its configuration has a number among `args`, which is an error before there is one about the terminal',
    'uid_gid/keep-groups': "the annotation `run.oci.keep_original_groups`, which is crun's own",
    'start/delete-in-created-state':
      'wants `delete` of a container that is created and not stopped; the specification wants an error (runtime.md, delete), and so does the validation program `delete`',
    'resources/resources-cpu-weight-systemd': 'wants the weight that shares had before the formula of 2025; strata and crun have the new one',
    'resources/resources-unified-invalid-controller': "wants crun's words about the controller",
    'resources/resources-unified-invalid-key': "wants crun's words about the key",
  },
};

// What is different in the guests, which have cgroup v2 only.
const V1_ONLY = 'the suite knows cgroup v1 only (`cgroupv2 is not supported yet`)';
const ON_V2 = {
  validation: {
    delete_only_create_resources: V1_ONLY,
    delete_resources: V1_ONLY,
    linux_cgroups_blkio: `${ALL_FAIL_LEAF}; and ${V1_ONLY}`,
    linux_cgroups_cpus: V1_ONLY,
    linux_cgroups_devices: V1_ONLY,
    linux_cgroups_hugetlb: V1_ONLY,
    linux_cgroups_memory: `cgroup v2 has no limit of kernel memory; and ${V1_ONLY}`,
    linux_cgroups_network: 'cgroup v2 has neither of the controllers net_cls and net_prio; the suite ends in a panic',
    linux_cgroups_pids: V1_ONLY,
    linux_cgroups_relative_blkio: `${ALL_FAIL_LEAF}; and ${V1_ONLY}`,
    linux_cgroups_relative_cpus: V1_ONLY,
    linux_cgroups_relative_devices: V1_ONLY,
    linux_cgroups_relative_hugetlb: V1_ONLY,
    linux_cgroups_relative_memory: `cgroup v2 has no limit of kernel memory; and ${V1_ONLY}`,
    linux_cgroups_relative_network: 'cgroup v2 has neither of the controllers net_cls and net_prio; the suite ends in a panic',
    linux_cgroups_relative_pids: V1_ONLY,
  },
  crun: {},
};

/** Why strata does not pass a test at a place (arguments.mjs); undefined if nobody has said. */
export const reason = (place, suite, test) => (PLACES[place].guest && ON_V2[suite][test]) || REASONS[suite][test];
