// What the build runs verbs with to learn which blocks of the heap they touch (training.hpp): a machine that is made up. Compiled like the bundle; its
// value is the object at the end. The command lines run one after the other, each in a process of its own; what they leave of the files goes along.
(() => {
  const ROOT = '/run/strata';
  const STORE = '/var/lib/strata';
  const ID = 'a'.repeat(64);

  // --- the command lines; the word in front says which cgroups the machine has: v2, or v1 and v2 beside it

  const runs = [
    'v1 spec --bundle /b',
    'v1 create --bundle /b c1',
    'v1 start c1',
    'v1 state c1',
    'v1 exec c1 /bin/true',
    'v1 kill c1 KILL',
    'v1 delete c1',
    'v1 --root /run/strata run --bundle /b c2',
    'v2 --root /run/strata --log /b/log.json --log-format json create --bundle /b --pid-file /b/pid c3',
    'v2 --root /run/strata --log /b/log.json --log-format json start c3',
    'v2 --root /run/strata exec --process /b/process.json --detach --pid-file /b/pid c3',
    'v2 --root /run/strata --log /b/log.json --log-format json delete --force c3',
    'v2 run --image base --rm c4 /bin/true',
    'v2 run --bundle /b c5',
  ];

  // --- files

  /** What engines have in a configuration beside what `spec` writes. */
  const asEngines = ({ process, mounts, linux, ...config }) => ({
    ...config,
    process: {
      ...process,
      terminal: false,
      user: { ...process.user, additionalGids: [1, 2, 3] },
      args: ['/bin/true'],
      env: [...process.env, 'HOME=/root'],
      oomScoreAdj: 0,
    },
    annotations: { 'org.opencontainers.image.title': 'training' },
    mounts: [...mounts, { destination: '/etc/hosts', type: 'bind', source: '/b/hosts', options: ['rbind', 'rprivate', 'rw'] }],
    linux: {
      ...linux,
      cgroupsPath: '/engine/container',
      resources: {
        ...linux.resources,
        memory: { limit: 536870912 },
        cpu: { shares: 1024, quota: 50000, period: 100000 },
        pids: { limit: 2048 },
      },
      seccomp: {
        defaultAction: 'SCMP_ACT_ERRNO',
        defaultErrnoRet: 38,
        architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
        syscalls: [
          { names: ['read', 'write', 'openat', 'close', 'execve', 'exit_group'], action: 'SCMP_ACT_ALLOW' },
          { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 2114060288, op: 'SCMP_CMP_MASKED_EQ' }] },
          { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
        ],
      },
    },
  });
  const digest = `sha256:${ID}`;
  const image = { id: digest, manifest: digest, config: digest, layers: [digest], created: '2026-01-01T00:00:00Z' };
  const imageConfig = {
    created: '2026-01-01T00:00:00Z',
    architecture: 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/usr/bin:/bin'], Cmd: ['/bin/sh'], Labels: { name: 'training' } },
    rootfs: { type: 'layers', diff_ids: [digest] },
    history: [{ created: '2026-01-01T00:00:00Z', created_by: 'made up' }],
  };

  const CONTROLLERS = ['cpuset', 'cpu', 'cpuacct', 'blkio', 'memory', 'devices', 'freezer', 'pids'];
  const mount = (point, options, type) => `20 19 0:20 / ${point} rw,nosuid,nodev,noexec,relatime shared:1 - ${type} ${type} rw${options}\n`;
  const some = `${mount('/proc', '', 'proc')}${mount('/', '', 'ext4')}${mount('/run', '', 'tmpfs')}`;
  const machine = {
    '/proc/sys/kernel/osrelease': '6.1.0\n',
    '/proc/sys/kernel/cap_last_cap': '40\n',
    '/proc/self/uid_map': '         0          0 4294967295\n',
    '/proc/self/status': `Name:\tstrata\n${['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((set) => `${set}:\t000001ffffffffff\n`).join('')}`,
    '/proc/4242/stat': `4242 (true) S 1 ${'0 '.repeat(48)}\n`,
    '/etc/resolv.conf': 'nameserver 192.0.2.1\n',
    [`${STORE}/format`]: '1\n',
    [`${STORE}/references.json`]: JSON.stringify({ 'docker.io/library/base:latest': digest }),
    [`${STORE}/images/${ID}.json`]: JSON.stringify(image),
    [`${STORE}/blobs/sha256/${ID}`]: JSON.stringify(imageConfig),
  };
  const cgroups = {
    v1: {
      '/proc/self/cgroup': `${CONTROLLERS.map((name, index) => `${index + 2}:${name}:/\n`).join('')}1:name=systemd:/\n0::/\n`,
      '/proc/self/mountinfo': `${some}${CONTROLLERS.map((name) => mount(`/sys/fs/cgroup/${name}`, `,${name}`, 'cgroup')).join('')}${mount(
        '/sys/fs/cgroup/systemd',
        ',xattr,name=systemd',
        'cgroup',
      )}${mount('/sys/fs/cgroup/unified', '', 'cgroup2')}`,
      '/sys/fs/cgroup/unified/cgroup.controllers': '\n',
    },
    v2: {
      '/proc/self/cgroup': '0::/system.slice/engine.service\n',
      '/proc/self/mountinfo': `${some}${mount('/sys/fs/cgroup', ',nsdelegate', 'cgroup2')}`,
      '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma\n',
    },
  };

  /** Is there when the container's process is gone. */
  const KILLED = '/killed';
  let files = {};
  let unseen = {};
  let output = '';
  let status;

  const failure = (syscall, errno, path) => ({ operation: -1, syscall, errno, path, detail: '' });
  const isDirectory = (path) =>
    ['/', '/b', '/b/rootfs', ROOT, STORE, `${STORE}/locks/use`].includes(path) ||
    Object.keys(files).some((name) => name.startsWith(`${path === '/' ? '' : path}/`));
  const move = (from, to) => {
    for (const name of Object.keys(files)) {
      if (name !== from && !name.startsWith(`${from}/`)) continue;
      files[to + name.slice(from.length)] = files[name];
      delete files[name];
    }
  };
  const drop = (path) => {
    for (const name of Object.keys(files)) if (name === path || name.startsWith(`${path}/`)) delete files[name];
  };
  const put = (path, text) => {
    files[path] = text;
  };
  const read = (path) => {
    const text = unseen[path] ?? files[path];
    if (text === undefined) throw failure('open', 2, path);
    return text;
  };
  // Something is in a directory, so that it is there.
  const make = (path) => put(`${path}/.`, '');

  // --- what the core would do

  const functions = {
    readText: read,
    createFile: put,
    writeText: put,
    replaceFile: put,
    appendFile: put,
    stat: (path) => {
      const mode = path === ROOT ? 0o711 : 0o700;
      if (isDirectory(path)) return { type: 'directory', mode, uid: 0, size: 4096 };
      const text = unseen[path] ?? files[path];
      return text === undefined ? undefined : { type: 'file', mode: 0o600, uid: 0, size: text.length };
    },
    list: (path) => {
      const names = Object.keys(files).filter((name) => name.startsWith(`${path}/`));
      return [...new Set(names.map((name) => name.slice(path.length + 1).split('/')[0]))].filter((name) => name !== '.').sort();
    },
    makeDirectory: (path) => {
      if (isDirectory(path)) throw failure('mkdir', 17, path);
      make(path);
    },
    makeDirectories: make,
    makeDirectoryLike: make,
    removeFile: drop,
    removeDirectory: drop,
    removeTree: drop,
    rename: move,
    realPath: (path) => path,
    workingDirectory: () => '/',
    environment: () => undefined,
    userId: () => 0,
    now: () => 1,
    timestamp: () => '2026-01-01T00:00:00.000000000Z',
    tryLock: () => 50,
    lock: () => 50,
    randomDigits: (bytes) => 'b'.repeat(2 * bytes),
    isInherited: () => true,
    listen: (path) => {
      put(path, '');
      return 51;
    },
    connect: () => 52,
    socketPair: () => [53, 54],
    pipe: () => [55, 56],
    readLayered: () => 'root:x:0:0:root:/root:/bin/sh\n',
    device: () => undefined,
    launch: (plan) => {
      // The core reads all of it.
      let length = 0;
      const visit = (values) => {
        for (const value of values) {
          if (Array.isArray(value)) visit(value);
          else length += String(value).length;
        }
      };
      visit(plan);
      delete files[KILLED];
      return { pid: 4242, startTime: 7n, pidfd: 57, sync: 58, length };
    },
    settle: () => false,
    proceed: () => false,
    awaitsStart: (path) => Object.hasOwn(files, path),
    openProcess: () => (Object.hasOwn(files, KILLED) ? undefined : 57),
    signal: () => {
      put(KILLED, '');
      return true;
    },
    signalCgroup: () => 0,
    waitExit: () => ({ code: 0 }),
    foreground: () => ({ code: 0 }),
    unknownSystemCalls: () => [],
    interruption: () => 0,
    readAll: () => '',
    writeAll: (_descriptor, text) => {
      output += text;
    },
    exitNow: (code) => {
      status = code;
    },
  };
  const idle = new Set(
    'close windowSize holdSignals sendDescriptor awaitExecution abandon start removeCgroups syncFile syncFileSystem setGroup amend makeLink'.split(
      ' ',
    ),
  );

  let line = '';
  return {
    /** Before one command line: gives back its arguments, undefined if there are no more. `saved`: what `end` has given back. */
    begin(number, saved) {
      if (number >= runs.length) return undefined;
      line = runs[number];
      const [kind, ...words] = line.split(' ');
      files = saved === '' ? { ...machine } : JSON.parse(saved);
      // The kernel's files are no directories' contents.
      unseen = cgroups[kind];
      return words;
    },
    /** In place of all functions of the core. */
    call(name, ...values) {
      const own = functions[name];
      if (own !== undefined) return own(...values);
      if (!idle.has(name)) throw new Error(`the training has no ${name}`);
      return undefined;
    },
    becomeNode() {
      throw new Error('a verb that goes to Node has nothing to learn here');
    },
    end() {
      if (status !== 0) throw new Error(`strata ${line} ended with ${status}: ${output}`);
      if (line.startsWith('v1 spec')) {
        const config = asEngines(JSON.parse(files['/b/config.json']));
        put('/b/config.json', JSON.stringify(config));
        put('/b/process.json', JSON.stringify(config.process));
      }
      return JSON.stringify(files);
    },
  };
})();
