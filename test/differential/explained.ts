/** Where crun 1.28 and runc 1.3.6 do something else than strata, and why strata does not follow them. docs/differential.md shows this table. */
import type { Explanation, Peer } from './compare.ts';

const crun: readonly Peer[] = ['crun'];
const runc: readonly Peer[] = ['runc'];
const both: readonly Peer[] = ['crun', 'runc'];

/** Runs what strata refuses. */
const runs = (piece: RegExp): Explanation['covers'][number] => ({ piece, fact: /^verdict$/, theirs: /^exit 42$/ });
/** Refuses what strata runs. */
const refuses = (piece: RegExp): Explanation['covers'][number] => ({ piece, fact: /^verdict$/, theirs: /^refused$/ });

const MUST_ERROR = '"Runtimes MUST generate an error when invalid or unsupported values are encountered."';

export const EXPLAINED: readonly Explanation[] = [
  // --- the text and its types
  {
    peers: crun,
    what: 'takes a value of a wrong type as if it were absent, or as another',
    why: `an error: ${MUST_ERROR}`,
    covers: [
      runs(
        /^(root\.readonly: ("true"|1)|hostname: 5|annotations: (\["a"\]|"a")|process\.terminal: ("true"|1)|process\.noNewPrivileges: ("true"|0))$/,
      ),
      runs(/^process\.(env: (\[1\]|"A=1")|user: .*("uid":"0"|Gids":5).*|user\.umask: "022"|oomScoreAdj: "5"|apparmorProfile: 5)$/),
      runs(/^process\.(capabilities: (\{"bounding":"CAP_CHOWN"\}|\["CAP_CHOWN"\])|scheduler: .*"nice":"5"\})$/),
      runs(/^(hooks: (a timeout in letters|\[\]|\{"createRuntime":\{\}\})|mounts: options in one string)$/),
      runs(/^linux\.(devices: a mode in letters|netDevices: \[\]|cgroupsPath: 5|(masked|readonly)Paths: ("\/etc"|\[5\])|rootfsPropagation: 1)$/),
      runs(/^linux\.resources\.(memory: \{"limit":"64M"\}|cpu: \{"shares":-1\}|pids: \{"limit":"10"\}|devices: (\[.*"major":"1".*|\{\}))$/),
    ],
  },
  {
    peers: crun,
    what: 'takes JSON with a comma before the last brace',
    why: 'an error: no JSON',
    covers: [runs(/^text: a comma at the end/)],
  },
  {
    peers: both,
    what: 'reads no further than the end of the first JSON value',
    why: 'an error: the file is not JSON',
    covers: [runs(/^text: something behind it/)],
  },
  {
    peers: runc,
    what: 'takes a property whose name differs in the case of its letters',
    why: 'names are compared as they are, and an unknown one is left: "Runtimes MAY log unknown properties but MUST otherwise ignore them."',
    covers: [{ piece: /^text: Hostname/, fact: /^hostname$/ }],
  },
  {
    peers: both,
    what: 'does not look at the version',
    why: 'an error for what is no version, or another major one: "MUST be in SemVer v2.0.0 format"',
    covers: [runs(/^ociVersion: "(2\.0\.0|0\.9\.0||one|1\.0)"/)],
  },
  { peers: runc, what: 'runs without a version', why: 'an error: "ociVersion (string, REQUIRED)"', covers: [runs(/^ociVersion: absent/)] },

  // --- root, names
  {
    peers: runc,
    what: 'refuses a root that is a symbolic link',
    why: 'follows it: "A directory MUST exist at the path declared by the field.", and there is one',
    covers: [refuses(/^root\.path: a link/)],
  },

  // --- process
  {
    peers: crun,
    what: 'takes a relative working directory',
    why: 'an error: "This value MUST be an absolute path."',
    covers: [runs(/^process\.cwd: "tmp"/)],
  },
  {
    peers: both,
    what: 'finds no program by its name when the process has no `PATH`',
    why: 'looks where execvp(3) does then, in /bin and /usr/bin: "similar semantics to IEEE Std 1003.1-2008 execvp\'s argv"',
    covers: [refuses(/^process\.args: (without PATH|\["probe"\])/)],
  },
  {
    peers: crun,
    what: 'takes variables without a name or a `=`, and cuts one off at a NUL byte',
    why: 'an error: "the same semantics as IEEE Std 1003.1-2008\'s environ", where each is `name=value`',
    covers: [runs(/^process\.env: (\["NOEQUALS"\]|\["=x"\]|\[""\]|\["A=\\u0000x"\])/)],
  },
  { peers: both, what: 'takes such variables for hooks', why: 'the same', covers: [runs(/^hooks: an environment without =/)] },
  {
    peers: crun,
    what: 'of a variable that is set twice, moves the last value to the place of the first',
    why: 'leaves the last where it stands, as runc does; what getenv(3) finds is the same',
    covers: [{ piece: /^process\.env: \["A=1","B=2","A=3"\]/, fact: /^env$/ }],
  },
  {
    peers: runc,
    what: 'sets no `HOME` when there is no `env`, and sets it in place of an empty one',
    why: '`HOME` is set where the configuration has none, and kept where it has one, as crun does',
    covers: [{ piece: /^process\.env: (absent|\["HOME="\])/, fact: /^env$/ }],
  },
  {
    peers: runc,
    what: 'sets an empty `HOME` when /etc/passwd does not know the user',
    why: '`/`, as login programs do, and crun',
    covers: [{ piece: /^mounts: bind of a file over a file/, fact: /^env$/ }],
  },
  {
    peers: crun,
    what: 'starts the process with the umask 0 when there is no `user`',
    why: '"If unspecified, the umask should not be changed from the calling process\' umask."',
    covers: [{ piece: /^process\.user: absent/, fact: /^umask$/ }],
  },
  {
    peers: crun,
    what: 'takes 4294967295 for an id, and runs the process as root',
    why: 'an error: the kernel reads it as -1, which leaves the id that the runtime has',
    covers: [runs(/^process\.user: .*id":4294967295/)],
  },
  { peers: both, what: 'takes a umask above 0777', why: `an error: ${MUST_ERROR}`, covers: [runs(/^process\.user\.umask: 512/)] },
  {
    peers: runc,
    what: 'gives a process without `capabilities` all of them',
    why: 'none, as crun does, and as with empty sets',
    covers: [{ piece: /^process\.capabilities: absent/, fact: /^(cap-(effective|permitted|bounding)|call-\w+|path:.*)$/, theirs: /^0+1f|ok$/ }],
  },
  {
    peers: crun,
    what: 'knows capabilities in small letters, too',
    why: '"Valid values are defined in the capabilities(7) man page": what has no such name is a warning',
    covers: [{ piece: /^process\.capabilities: \{"bounding":\["cap_chown"\]\}/, fact: /^cap-bounding$/ }],
  },
  {
    peers: both,
    what: 'fails when an effective capability is not permitted',
    why: 'a warning: "Any value which … cannot be granted otherwise MUST be logged as a warning", "SHOULD NOT fail"',
    covers: [refuses(/^process\.capabilities: .*"effective":\["CAP_KILL","CAP_FOWNER"\]/)],
  },
  {
    peers: crun,
    what: 'takes a limit above 2^64 for the largest',
    why: 'an error: a uint64',
    covers: [runs(/^process\.rlimits: .*18446744073709552000/)],
  },
  {
    peers: both,
    what: 'takes a resource limit without `hard`, or `soft`',
    why: 'an error: both are "REQUIRED"',
    covers: [runs(/^process\.rlimits: \[\{"type":"RLIMIT_CORE","soft":0\}\]/)],
  },
  {
    peers: crun,
    what: 'ignores an AppArmor profile, and SELinux labels, where the kernel has no such thing',
    why: `an error, as in runc: ${MUST_ERROR}`,
    covers: [runs(/^(process\.apparmorProfile: "not-there"|linux\.mountLabel: "system_u)/)],
  },
  {
    peers: crun,
    what: 'fails on an empty `selinuxLabel`',
    why: 'an empty label is none: engines write it',
    covers: [refuses(/^process\.selinuxLabel: ""/)],
  },
  {
    peers: crun,
    what: 'cuts a nice value off at 19',
    why: `an error, as in runc: ${MUST_ERROR}`,
    covers: [runs(/^process\.scheduler: .*"nice":20/)],
  },
  {
    peers: crun,
    what: 'does not look at `execCPUAffinity` when it creates a container',
    why: `an error at once, as in runc: ${MUST_ERROR}`,
    covers: [runs(/^process\.execCPUAffinity: \{"initial":"all"\}/)],
  },

  // --- hooks
  {
    peers: crun,
    what: 'tells hooks version 1.0, neither pid nor bundle in the container, `created` before it is, and a status `starting`; runs them with umask 0',
    why: '"The state of the container MUST be passed to hooks over stdin", as `state` tells it; the umask is the caller\'s',
    covers: [{ piece: /^hooks: /, fact: /^hooks$/ }],
  },
  {
    peers: runc,
    what: 'tells poststart hooks `created`, runs createContainer hooks in the root file system, and no poststop hook behind one that fails',
    why: '`running`, as the process has been started; after a failed poststop hook "the remaining hooks and lifecycle continue"',
    covers: [{ piece: /^hooks: (one of each kind|poststop fails)/, fact: /^hooks$/ }],
  },
  {
    peers: crun,
    what: 'takes a timeout of 0',
    why: 'an error: "If set, timeout MUST be greater than zero."',
    covers: [runs(/^hooks: a timeout of 0/)],
  },

  // --- mounts
  {
    peers: crun,
    what: 'does not know iversion, noiversion, loud, silent, symfollow, nosymfollow, and hands them to the file system, or drops them',
    why: '"Runtimes MUST/SHOULD/MAY implement the following option strings for Linux": MUST, and SHOULD for the last two',
    covers: [
      refuses(/^mounts: tmpfs, (nosymfollow|iversion|noiversion|loud|silent|symfollow)$/),
      { piece: /^mounts: rbind, r?nosymfollow/, fact: /^mount:\/mnt$/ },
    ],
  },
  {
    peers: crun,
    what: 'fails on rnoatime, rstrictatime and rnodiratime, and adds nosymfollow to rrelatime',
    why: "they have their effect: SHOULD, in the specification's table",
    covers: [refuses(/^mounts: rbind, (rnoatime|rstrictatime|rnodiratime)/), { piece: /^mounts: rbind, rrelatime/, fact: /^mount:\/mnt$/ }],
  },
  {
    peers: runc,
    what: 'hands `defaults` to the file system when it stands alone',
    why: "it says nothing: MUST, in the specification's table",
    covers: [refuses(/^mounts: tmpfs, defaults/)],
  },
  {
    peers: crun,
    what: 'of two options that contradict one another keeps the first, or both',
    why: 'the last one counts, as in mount(8) and runc',
    covers: [{ piece: /^mounts: (tmpfs|rbind), (ro,rw|noexec,exec)/, fact: /^(mount|path):\/mnt/ }],
  },
  {
    peers: crun,
    what: 'has no effect for shared and unbindable of a mount',
    why: "they have their effect: MUST, in the specification's table",
    covers: [{ piece: /^mounts: (bind|tmpfs), r?(shared|unbindable)/, fact: /^mount:\/mnt$/ }],
  },
  {
    peers: runc,
    what: 'refuses an option that a bind mount cannot have',
    why: 'a warning: the file system is that of the source, and keeps its options; mount(8) and crun say nothing',
    covers: [refuses(/^mounts: an unknown option of bind/)],
  },
  {
    peers: both,
    what: 'refuses `remount` of what is not mounted yet',
    why: 'has nothing to change there',
    covers: [refuses(/^mounts: rbind, remount/)],
  },
  {
    peers: crun,
    what: 'fails where a destination is a link to nothing',
    why: 'makes the directory that the link names, inside the root, as runc does',
    covers: [refuses(/^mounts: a destination behind a link to nothing/)],
  },
  {
    peers: crun,
    what: 'cannot map the ids of a source that is relative',
    why: '"Path values for bind mounts are either absolute or relative to the bundle."',
    covers: [refuses(/^mounts: mappings/)],
  },
  {
    peers: crun,
    what: 'makes mount points with the sticky bit, and files with mode 0700',
    why: '0755 and 0644, as runc does',
    covers: [
      { piece: /^(mounts: |linux\.namespaces )/, fact: /^made$/, theirs: / (41755|100700) / },
      { piece: /^mounts: bind to a new directory, deep/, fact: /^path:\/mnt\/a$/ },
    ],
  },
  {
    peers: both,
    what: 'names a mount without a source otherwise',
    why: '`none`, as mount(8) does',
    covers: [{ piece: /^mounts: no source/, fact: /^mount:\/mnt$/ }],
  },
  {
    peers: runc,
    what: 'takes a bind mount without a source',
    why: 'an error: there is nothing to mount',
    covers: [runs(/^mounts: bind without a source/)],
  },
  {
    peers: crun,
    what: 'mounts below /proc',
    why: 'an error, as in runc: it would give false answers about processes, labels and settings',
    covers: [runs(/^mounts: (below \/proc|a file of \/proc|\/proc\/self)/)],
  },
  { peers: runc, what: 'needs /proc in the container', why: 'has its own', covers: [refuses(/^mounts: (\[\]|absent)/)] },
  { peers: crun, what: 'needs `mounts`', why: '"mounts (array of objects, OPTIONAL)"', covers: [refuses(/^mounts: absent/)] },
  {
    peers: both,
    what: 'mounts the directory above the controllers writable, with options of its own; crun shows controllers that are not there',
    why: 'the options are those of the configuration, `ro` included, and the controllers those of the host',
    covers: [{ piece: /^mounts: cgroup/, fact: /^(path|mount):\/sys\/fs\/cgroup/ }],
  },

  // --- what is masked
  {
    peers: both,
    what: 'masks with file systems of other names and options, runc files with the /dev/null of the container',
    why: "an empty read-only directory, and the host's /dev/null, where nobody in the container can have put something else",
    covers: [
      {
        fact: /^mount:(\/proc\/(acpi|keys|timer_list|scsi|kcore|1\/status)|\/sys\/firmware|\/etc|\/etc\/passwd|\/tmp|\/dev\/null)$/,
        theirs: /^(tmpfs|devtmpfs) /,
      },
    ],
  },
  {
    peers: crun,
    what: 'masks directories with one of mode 0555',
    why: '01777, but read-only, as runc does',
    covers: [{ fact: /^path:(\/proc\/acpi|\/sys\/firmware|\/etc|\/tmp)$/, theirs: /^40555 / }],
  },
  {
    peers: runc,
    what: 'makes the file system of /sys read-only, not only the mount',
    why: '`ro` belongs to the mount',
    covers: [{ fact: /^mount:\/sys$/, theirs: / ro( shared)?$/ }],
  },

  // --- devices
  {
    peers: both,
    what: 'lets every container use /dev/net/tun; crun lets it use /dev/console without a terminal',
    why: 'neither: "Containers MAY NOT access any device node that is not … listed as being part of the default devices."',
    covers: [{ fact: /^limit:devices\.list$/, theirs: /c 10:200 rwm/ }],
  },
  {
    peers: crun,
    what: 'makes the link /dev/core, which reads as all of the memory',
    why: 'the specification has no such link, and neither has runc',
    covers: [{ fact: /^path:\/dev(\/core)?$/, theirs: /core/ }],
  },
  {
    peers: runc,
    what: 'takes the rule for a default device away when the device is in the list, and then cannot open it itself',
    why: '"the runtime MUST also supply" the default devices, and they are allowed',
    covers: [refuses(/^linux\.devices: one that is there by default/)],
  },
  {
    peers: both,
    what: 'takes two devices of different numbers for one path, and a path where something else is',
    why: '"If a file already exists at path that does not match the requested device, the runtime MUST generate an error."',
    covers: [runs(/^linux\.devices: (one path, two numbers|over a file of another type)/)],
  },
  {
    peers: runc,
    what: 'takes devices with a relative path, an empty one or none',
    why: '"path (string, REQUIRED) - full path to device inside container"',
    covers: [runs(/^linux\.devices: (a relative path|no path|an empty path)/)],
  },
  { peers: both, what: 'takes devices without numbers', why: '"REQUIRED unless type is p"', covers: [runs(/^linux\.devices: no numbers/)] },
  { peers: crun, what: 'takes a device of an unknown type', why: `an error: ${MUST_ERROR}`, covers: [runs(/^linux\.devices: an unknown type/)] },
  {
    peers: crun,
    what: 'in a user namespace, makes a device of the list with mode 0',
    why: '0666, as without one',
    covers: [{ piece: /^linux\.uidMappings: a user namespace, devices/, fact: /^(path|mount):\/dev\/mine$/ }],
  },
  {
    peers: runc,
    what: 'in a user namespace, finds no device of the list that the host has not under the same path',
    why: 'makes it: they "MUST be available in the container"',
    covers: [refuses(/^linux\.uidMappings: a user namespace, devices/)],
  },
  {
    peers: crun,
    what: 'in a user namespace, binds the default devices with nosuid and noexec',
    why: 'without, as runc does',
    covers: [{ piece: /^linux\.uidMappings: /, fact: /^mount:\/dev\/(null|zero|full|random|urandom|tty)$/, theirs: /noexec,nosuid/ }],
  },

  {
    peers: crun,
    what: 'makes /dev/fd, stdin, stdout and stderr without /proc, too',
    why: '"runtimes MUST create the following symlinks if the source file exists after processing mounts"',
    covers: [{ piece: /^mounts: \[\]/, fact: /^(path:\/dev\/(fd|stdin|stdout|stderr)|made)$/ }],
  },

  // --- namespaces
  {
    peers: both,
    what: "without a mount namespace of the container's own, leaves its mounts in the one it has",
    why: 'the mounts are in no mount table and go with the container (docs/adr/0003-no-mount-namespace.md)',
    covers: [{ piece: /^linux\.namespaces mount: (none|joined)/, fact: /^mount:/ }],
  },
  {
    peers: runc,
    what: 'masks nothing without a mount namespace',
    why: 'masks, in the tree described there',
    covers: [refuses(/^linux\.namespaces mount: none, with masked/)],
  },
  {
    peers: crun,
    what: 'cannot join a time namespace',
    why: '"The runtime MUST place the container process in the namespace associated with that path."',
    covers: [refuses(/^linux\.namespaces time: joined/)],
  },
  {
    peers: crun,
    what: 'takes an empty path of a namespace for a path',
    why: 'for none: engines write it',
    covers: [refuses(/^linux\.namespaces: an empty path/)],
  },
  {
    peers: runc,
    what: 'has another owner for /dev/mqueue in a user namespace',
    why: 'it belongs to root of the container, as with crun: the ipc namespace is made by him',
    covers: [{ piece: /^linux\.uidMappings: /, fact: /^path:\/dev\/mqueue$/ }],
  },
  {
    peers: both,
    what: 'fails on a user namespace without mappings: runc at once, crun where something has to belong to an id',
    why: 'maps the ids of the host to themselves, with a warning',
    covers: [refuses(/^linux\.uidMappings: a user namespace without mappings/)],
  },
  {
    peers: both,
    what: 'ignores id mappings without a user namespace',
    why: `an error: ${MUST_ERROR}`,
    covers: [runs(/^linux\.uidMappings: without a user namespace/)],
  },
  {
    peers: runc,
    what: 'fails on the offset of an unknown clock',
    why: 'ignores it, as crun does: "Runtimes MAY log unknown properties but MUST otherwise ignore them."',
    covers: [refuses(/^linux\.timeOffsets: an unknown clock/)],
  },
  {
    peers: crun,
    what: 'loses the addresses of a network device that gets another name, and cannot number names',
    why: '"The runtime MUST preserve existing network interface attributes, including all permanent IP addresses", and does both',
    covers: [{ piece: /^linux\.netDevices: moved, .*inside/, fact: /^interfaces$/ }, refuses(/^linux\.netDevices: moved, .*in%d/)],
  },
  {
    peers: runc,
    what: 'does not know netDevices (its version of the specification is 1.2.1)',
    why: 'moves the device, and an error if it is not there',
    covers: [runs(/^linux\.netDevices: /), { piece: /^linux\.netDevices: moved/, fact: /^interfaces$/ }],
  },
  {
    peers: both,
    what: 'has no error for a rootfsPropagation that is empty',
    why: `an error: ${MUST_ERROR}`,
    covers: [runs(/^linux\.rootfsPropagation: ""/)],
  },
  { peers: crun, what: 'takes any word for rootfsPropagation', why: 'the same', covers: [runs(/^linux\.rootfsPropagation: "nonsense"/)] },

  // --- cgroups
  {
    peers: runc,
    what: 'begins a relative cgroupsPath at its own cgroup, as it does without one',
    why: 'at the root of the hierarchy, as crun does: "the runtime MAY interpret the path relative to a runtime-determined location"',
    covers: [{ piece: /^linux\.cgroupsPath: (relative|absent|"")/, fact: /^cgroup:/ }],
  },
  {
    peers: crun,
    what: 'names the cgroup after the container alone when there is no path, and fails when it is empty',
    why: 'puts `strata-` before it; "If the value is not specified, the runtime MAY define the default cgroups path."',
    covers: [{ piece: /^linux\.cgroupsPath: absent/, fact: /^cgroup:/ }, refuses(/^linux\.cgroupsPath: ""/)],
  },
  {
    peers: both,
    what: 'takes a cgroupsPath with ..',
    why: '"Runtimes MAY consider certain cgroupsPath values to be invalid, and MUST generate an error if this is the case."',
    covers: [runs(/^linux\.cgroupsPath: with \.\./)],
  },
  {
    peers: crun,
    what: 'sets limits of 0 for memory, or memory and swap',
    why: '0 is no limit, as engines have it and runc',
    covers: [refuses(/^linux\.resources\.memory: \{"(limit|swap)":0\}/)],
  },
  {
    peers: crun,
    what: 'does not look at swappiness',
    why: `an error, as in runc: ${MUST_ERROR}`,
    covers: [runs(/^linux\.resources\.memory: \{"swappiness":101\}/)],
  },
  {
    peers: runc,
    what: 'ignores useHierarchy and kernelTCP',
    why: 'writes them, as crun does, and an error is what the kernel answers',
    covers: [
      runs(/^linux\.resources\.memory: \{"useHierarchy":false\}/),
      { piece: /^linux\.resources\.memory: \{"kernelTCP"/, fact: /^limit:memory\.kmem\.tcp/ },
    ],
  },
  {
    peers: runc,
    what: 'refuses shares that the kernel would cut off',
    why: 'leaves it to the kernel, as crun does',
    covers: [refuses(/^linux\.resources\.cpu: \{"shares":(1|1000000)\}/)],
  },
  {
    peers: both,
    what: 'has no limit of processes for 0, nor for what is below -1',
    why: '"0 is a valid limit value for the pids cgroup controller … and SHOULD be treated as such by runtimes"; below -1 is an error',
    covers: [{ piece: /^linux\.resources\.pids: \{"limit":0\}/, fact: /^limit:pids\.max$/ }, runs(/^linux\.resources\.pids: \{"limit":-2\}/)],
  },
  {
    peers: both,
    what: 'does not look at a weight where the kernel has no file for it, or writes what is out of range',
    why: "an error: the range of the kernel's file is 10 to 1000",
    covers: [runs(/^linux\.resources\.blockIO: \{"weight":5\}/)],
  },
  {
    peers: crun,
    what: 'limits huge pages on page faults only',
    why: '"HugeTLB reservations (if supported) or usage": both',
    covers: [{ piece: /^linux\.resources\.hugepageLimits: /, fact: /^limit:hugetlb\.2MB\.rsvd/ }],
  },
  {
    peers: both,
    what: 'takes two limits for one size of huge pages',
    why: `an error: ${MUST_ERROR}`,
    covers: [runs(/^linux\.resources\.hugepageLimits: .*4194304.*8388608/)],
  },
  {
    peers: crun,
    what: 'needs the controller of an empty `network`',
    why: 'nothing is asked of it',
    covers: [refuses(/^linux\.resources\.network: \{\}/)],
  },
  {
    peers: crun,
    what: 'ignores rdma',
    why: `an error where there is no such controller, as in runc: ${MUST_ERROR}`,
    covers: [runs(/^linux\.resources\.rdma: \{"mlx5_1":\{"hcaHandles":3\}\}/)],
  },
  {
    peers: both,
    what: 'refuses unified on a machine whose hierarchy is hybrid; crun ignores it there beside other resources',
    why: 'writes it where the v2 hierarchy has the file: "Each key in the map refers to a file in the cgroup unified hierarchy"',
    covers: [refuses(/^linux\.resources\.unified: \{"cgroup\.max\.depth":"5"\}/)],
  },
  {
    peers: crun,
    what: 'so does not see that the kernel refuses the value',
    why: "the kernel's refusal is the error",
    covers: [runs(/^linux\.resources\.unified: \{"cgroup\.max\.depth":"x"\}/)],
  },
  {
    peers: crun,
    what: 'lets a container without device rules use every device',
    why: 'only the default ones and those in its list, as runc does',
    covers: [{ piece: /^linux\.resources\.devices: (absent|\[\])/, fact: /^limit:devices\.list$/, theirs: /^a \*:\* rwm$/ }],
  },
  {
    peers: runc,
    what: 'needs `access` in a device rule, and takes letters there that are none',
    why: '"access (string, OPTIONAL) - cgroup permissions for device"; all, if absent',
    covers: [refuses(/^linux\.resources\.devices: .*"allow":(true|false)(,"type":"a")?\}/), runs(/^linux\.resources\.devices: .*"access":"x"/)],
  },
  {
    peers: crun,
    what: 'fails on -1 for the numbers of a device rule',
    why: 'every number, as runc has it',
    covers: [refuses(/^linux\.resources\.devices: .*"major":-1/)],
  },

  // --- paths, seccomp, the rest
  {
    peers: both,
    what: 'takes relative paths to mask, or to make read-only',
    why: '"The values MUST be absolute paths in the container namespace."',
    covers: [runs(/^linux\.(masked|readonly)Paths: \["etc"\]/)],
  },
  { peers: runc, what: 'takes empty ones', why: 'the same', covers: [runs(/^linux\.(masked|readonly)Paths: \[""\]/)] },
  { peers: crun, what: 'takes an empty one to make read-only', why: 'the same', covers: [runs(/^linux\.readonlyPaths: \[""\]/)] },
  {
    peers: runc,
    what: 'crashes behind a filter that was loaded before its last steps',
    why: 'makes no system call there that a filter for programs would forbid',
    covers: [refuses(/^linux\.seccomp: without noNewPrivileges/)],
  },
  {
    peers: runc,
    what: 'takes a filter without a default action',
    why: '"defaultAction (string, REQUIRED)"',
    covers: [runs(/^linux\.seccomp: no default action/)],
  },
  { peers: both, what: 'takes a rule without names', why: '"names MUST contain at least one entry."', covers: [runs(/^linux\.seccomp: no names/)] },
  {
    peers: runc,
    what: 'takes an errno for an action that has none',
    why: '"When the action doesn\'t support an errno, the runtime MUST print and error and fail."',
    covers: [runs(/^linux\.seccomp: an errno for allow/)],
  },
  {
    peers: both,
    what: 'ignores listenerMetadata without a listener',
    why: '"This field MUST NOT be set if listenerPath is not set."',
    covers: [runs(/^linux\.seccomp: metadata without/)],
  },
  {
    peers: crun,
    what: 'takes SCMP_ACT_NOTIFY without a listener',
    why: 'an error, as in runc: every such call would wait for ever',
    covers: [runs(/^linux\.seccomp: notify without/)],
  },
  {
    peers: both,
    what: 'ignores flags of a personality',
    why: `"Currently no flag values are supported.", and ${MUST_ERROR}`,
    covers: [runs(/^linux\.personality: .*ADDR_NO_RANDOMIZE/)],
  },
  {
    peers: runc,
    what: 'does not know memoryPolicy (its version of the specification is 1.2.1)',
    why: 'honours it, as crun does',
    covers: [runs(/^linux\.memoryPolicy: /), { piece: /^linux\.memoryPolicy: /, fact: /^mempolicy$/ }],
  },
];
