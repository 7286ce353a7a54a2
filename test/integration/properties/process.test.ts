/** config.md, Process: what the program finds of its arguments, environment, directory, limits and surroundings. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { hasCapability, withNamespace } from '../../helpers/container.ts';
import { containerTest, failed, fields } from '../_support.ts';

const STATUS = 'while read -r line; do echo "$line"; done </proc/self/status';

containerTest('args arrive as they are', async (t, workspace) => {
  const args = ['', 'two words', '"quoted" $HOME \\', 'line\nbreak', 'ünïcödé 容器', '-x', '*'];
  const out = await workspace.shell('', (config) => {
    config.process.args = ['sh', '-c', 'printf "<%s>" "$0" "$@"', ...args];
  });
  t.is(out, args.map((arg) => `<${arg}>`).join(''));
});

containerTest('env arrives in order, and of two entries for a variable the last counts', async (t, workspace) => {
  const env = ['PATH=/bin', 'HOME=/tmp', 'EMPTY=', 'EQUALS=a=b', 'SPACES= a  b ', 'TWICE=first', 'Ü=ü', 'TWICE=second', 'LAST=1'];
  const out = await workspace.shell('', { process: { env, args: ['env'] } });
  t.deepEqual(
    out.split('\n'),
    env.filter((entry) => entry !== 'TWICE=first'),
  );
});

containerTest("HOME is the user's in the container's /etc/passwd, where env has none", async (t, workspace) => {
  const home = (uid: number) => workspace.shell('', { process: { env: [], args: ['/bin/env'], user: { uid, gid: 0 } } });
  t.is(await home(0), 'HOME=/root');
  t.is(await home(1000), 'HOME=/home');
  t.is(await home(4711), 'HOME=/');
});

containerTest('the program is looked for in the PATH of env, as execvp does', async (t, workspace) => {
  const bundle = workspace.bundle((config) => {
    config.process.env = ['PATH=/missing:/a:/b:/c:/bin'];
    config.process.args = ['tool'];
  });
  // A directory, and a file that is not executable, are passed over.
  fs.mkdirSync(`${bundle.rootfs}/a/tool`, { recursive: true });
  bundle.file('b/tool', '#!/bin/sh\necho not executable\n');
  bundle.file('c/tool', '#!/bin/sh\necho from c, as $0\n', 0o755);
  t.is(await workspace.output(bundle), 'from c, as /c/tool\n');

  bundle.edit((config) => {
    config.process.env = [];
    config.process.args = ['sh', '-c', 'echo default path'];
  });
  t.is(await workspace.output(bundle), 'default path\n');

  bundle.edit((config) => {
    config.process.cwd = '/c';
    config.process.args = ['./tool'];
  });
  t.is(await workspace.output(bundle), 'from c, as ./tool\n');
});

containerTest('a program that cannot be executed fails create, with the words that engines look for', async (t, workspace) => {
  const bundle = workspace.bundle();
  bundle.file('etc/plain', 'text\n');
  bundle.file('bin/foreign', '\x7fELF but not quite', 0o755);
  bundle.file('bin/orphan', '#!/no/such/interpreter\n', 0o755);
  const cases: [program: string, ...words: string[]][] = [
    ['absent', 'exec: "absent": executable file not found in $PATH', '/process/args/0'],
    ['/absent', 'exec: "/absent": stat /absent: no such file or directory', '/process/args/0'],
    ['', '/process/args/0', 'not found'],
    ['/etc/plain', 'permission denied'],
    ['/etc', '/etc'],
  ];
  for (const [program, ...words] of cases) {
    bundle.edit((config) => {
      config.process.args = [program];
    });
    failed(t, await workspace.strata(['create', '--bundle', bundle.directory, workspace.id()]), ...words);
  }
  // What only execve finds out is told by run, and by start.
  for (const [program, word] of [
    ['/bin/foreign', 'exec format error'],
    ['/bin/orphan', 'no such file or directory'],
  ] as const) {
    bundle.edit((config) => {
      config.process.args = [program];
    });
    failed(t, await workspace.run(bundle), `exec: "${program}"`, word);
    const { id } = await workspace.create(bundle);
    failed(t, await workspace.strata(['start', id]), `exec: "${program}"`, word);
    failed(t, await workspace.strata(['state', id]), 'container does not exist');
  }
});

containerTest('cwd: one that exists, one that is made, and none that leads out of the root', async (t, workspace) => {
  const at = (cwd: string) => workspace.shell('pwd; readlink /proc/self/cwd; stat -c "%a %u %g" .', { process: { cwd } });
  t.is(await at('/usr/bin'), '/usr/bin\n/usr/bin\n755 0 0');
  t.is(await at('/made/on/the/way'), '/made/on/the/way\n/made/on/the/way\n755 0 0');
  t.is(await at('/'), '/\n/\n755 0 0');
  t.is(await at('/../../../../tmp'), '/tmp\n/tmp\n1777 0 0');

  const bundle = workspace.script('readlink /proc/self/cwd', { process: { cwd: '/link/inside' } });
  fs.symlinkSync('../../../../../../../home', `${bundle.rootfs}/link`);
  t.is(await workspace.output(bundle), '/home/inside\n');
  t.false(fs.existsSync('/home/inside'));

  // A directory of which only its descriptor leads on: what CVE-2024-21626 was about.
  for (const descriptor of [3, 7, 10, 20]) {
    const result = await workspace.run(workspace.bundle({ process: { cwd: `/proc/self/fd/${descriptor}` } }));
    failed(t, result, '/process/cwd');
  }
});

containerTest('a cwd that only root or only the user can enter', async (t, workspace) => {
  const bundle = workspace.script('pwd', (config) => {
    config.process.cwd = '/private';
    config.process.user = { uid: 1000, gid: 1000 };
  });
  fs.mkdirSync(`${bundle.rootfs}/private`, { mode: 0o700 });
  t.is(await workspace.output(bundle), '/private\n');
  fs.chownSync(`${bundle.rootfs}/private`, 1000, 1000);
  t.is(await workspace.output(bundle), '/private\n');
});

containerTest('user: ids, additional groups and umask', async (t, workspace) => {
  const status = fields(
    await workspace.shell(`${STATUS}; umask; touch /tmp/new; stat -c 'New: %a %u %g' /tmp/new`, (config) => {
      config.process.user = { uid: 1234, gid: 2345, additionalGids: [10, 4000000000, 20], umask: 0o027 };
    }),
  );
  t.is(status.Uid, '1234\t1234\t1234\t1234');
  t.is(status.Gid, '2345\t2345\t2345\t2345');
  t.is(status.Groups, '10 20 4000000000');
  t.is(status.Umask, '0027');
  t.is(status.New, '640 1234 2345');
});

containerTest('pipes for standard input and output can be opened by the user, files of the host keep their owner', async (t, workspace) => {
  const bundle = workspace.script('read line </dev/stdin; echo "$line" >/dev/stdout; stat -L -c %u /proc/self/fd/2', (config) => {
    config.process.user = { uid: 1234, gid: 1234 };
  });
  const through = ['sh', '-c', 'echo typed | "$0" "$@" | cat'];
  t.is((await workspace.run(bundle, [], { through })).stdout, 'typed\n0\n');

  // A FIFO is a pipe, and a file of the host.
  const fifo = workspace.path('fifo');
  const named = await workspace.run(bundle, [], { through: ['sh', '-c', `mkfifo ${fifo}; exec <>${fifo}; echo typed >&0; exec "$0" "$@"`] });
  t.is(named.code, 0, named.stderr);
  t.is(fs.statSync(fifo).uid, 0);
});

containerTest('without additionalGids there are no groups, and without umask it is that of the caller', async (t, workspace) => {
  const through = ['setpriv', '--groups', '5,6,7', 'sh', '-c', 'umask 0037; exec "$0" "$@"'];
  const status = fields(await workspace.shell(STATUS, {}, [], { through }));
  t.is(status.Groups, '');
  t.is(status.Umask, '0037');
});

containerTest('rlimits of every type, exact beyond 2^53', async (t, workspace) => {
  const unlimited = 18446744073709551615n;
  const wanted: [name: string, line: string, soft: bigint, hard: bigint][] = [
    ['AS', 'Max address space', 9007199254740993n, 9223372036854771712n],
    ['CORE', 'Max core file size', 0n, unlimited],
    ['CPU', 'Max cpu time', 3600n, 7200n],
    ['DATA', 'Max data size', unlimited, unlimited],
    ['FSIZE', 'Max file size', 9007199254740993n, 18446744073709551613n],
    ['LOCKS', 'Max file locks', 12n, 13n],
    ['MEMLOCK', 'Max locked memory', 65536n, 131072n],
    ['MSGQUEUE', 'Max msgqueue size', 100n, 200n],
    ['NICE', 'Max nice priority', 1n, 2n],
    ['NOFILE', 'Max open files', 100n, 200n],
    ['NPROC', 'Max processes', 1000n, 2000n],
    ['RSS', 'Max resident set', 1n, unlimited],
    ['RTPRIO', 'Max realtime priority', 3n, 4n],
    ['RTTIME', 'Max realtime timeout', 18446744073709551614n, unlimited],
    ['SIGPENDING', 'Max pending signals', 5n, 6n],
    ['STACK', 'Max stack size', 8388608n, unlimited],
  ];
  const limitsIn = (text: string, line: string): string[] => {
    const found = text.split('\n').find((item) => item.startsWith(line)) ?? '';
    return found.slice(line.length).trim().split(/\s+/).slice(0, 2);
  };
  // Raising a hard limit takes a capability that root does not have on every machine.
  const own = fs.readFileSync('/proc/self/limits', 'utf8');
  const ceiling = (line: string): bigint => {
    const [, hard = ''] = limitsIn(own, line);
    return hard === 'unlimited' || hasCapability('CAP_SYS_RESOURCE') ? unlimited : BigInt(hard);
  };
  const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
  const limits = wanted.map(([name, line, soft, hard]) => ({ name, line, soft: least(soft, ceiling(line)), hard: least(hard, ceiling(line)) }));

  const out = await workspace.shell('cat /proc/self/limits', {
    process: { rlimits: limits.map(({ name, soft, hard }) => ({ type: `RLIMIT_${name}`, soft, hard })) },
  });
  const shown = (value: bigint): string => (value === unlimited ? 'unlimited' : `${value}`);
  for (const { name, line, soft, hard } of limits) t.deepEqual(limitsIn(out, line), [shown(soft), shown(hard)], name);
});

containerTest('without rlimits they are those of the caller', async (t, workspace) => {
  const through = ['prlimit', '--nofile=321:4321', '--nproc=5000:6000'];
  const out = await workspace.shell('ulimit -Sn; ulimit -Hn; ulimit -Su; ulimit -Hu', { process: { rlimits: [] } }, [], {
    through,
  });
  t.is(out, '321\n4321\n5000\n6000');
});

containerTest('noNewPrivileges and oomScoreAdj, set and not set', async (t, workspace) => {
  const script = `${STATUS}; echo "Adj: $(cat /proc/self/oom_score_adj)"`;
  const set = fields(
    await workspace.shell(script, (config) => {
      config.process.noNewPrivileges = true;
      config.process.oomScoreAdj = 321;
    }),
  );
  t.is(set.NoNewPrivs, '1');
  t.is(set.Adj, '321');
  const unset = fields(await workspace.shell(script, { process: { noNewPrivileges: false } }, [], { through: ['choom', '-n', '77', '--'] }));
  t.is(unset.NoNewPrivs, '0');
  t.is(unset.Adj, '77');
  const bundle = workspace.script('cat /proc/self/oom_score_adj', { process: { oomScoreAdj: -1000 } });
  if (hasCapability('CAP_SYS_RESOURCE')) t.is(await workspace.output(bundle), '-1000\n');
  else failed(t, await workspace.run(bundle), '/process/oomScoreAdj', 'permission denied');
});

containerTest('signals are neither blocked nor ignored, whatever the caller does', async (t, workspace) => {
  const through = ['env', '--ignore-signal=USR1,CHLD,PIPE', '--block-signal=USR2,TERM'];
  const status = fields(await workspace.shell('', { process: { args: ['cat', '/proc/self/status'] } }, [], { through }));
  t.is(BigInt(`0x${status.SigBlk}`), 0n);
  t.is(BigInt(`0x${status.SigIgn}`), 0n);
});

containerTest('the program has a session of its own', async (t, workspace) => {
  const stat = await workspace.shell('cat /proc/1/stat');
  const [, , , , group, session] = stat.split(' ');
  t.deepEqual([group, session], ['1', '1']);
});

containerTest('hostname and domainname', async (t, workspace) => {
  const out = await workspace.shell('hostname; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname', (config) => {
    config.hostname = 'a-host.example';
    config.domainname = 'a.domain';
  });
  t.is(out, 'a-host.example\na-host.example\na.domain');
  for (const name of ['hostname', 'domainname']) {
    const bundle = workspace.bundle((config) => {
      delete config.hostname;
      config[name] = 'x';
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'uts');
    });
    failed(t, await workspace.run(bundle), `/${name}`);
  }
});

containerTest('personality', async (t, workspace) => {
  const uname = (domain: string) => workspace.shell('uname -m', { linux: { personality: { domain } } });
  // Not every kernel has 32-bit programs.
  const other = execFileSync('setarch', ['linux32', 'uname', '-m'], { encoding: 'utf8' }).trim();
  t.is(await uname('LINUX32'), other);
  t.is(await uname('LINUX'), process.arch === 'x64' ? 'x86_64' : 'aarch64');
});

containerTest("the session keyring is new, unless it is to be the caller's", async (t, workspace) => {
  const keyrings = async (args: string[]): Promise<string[]> => {
    const keys = await workspace.shell(
      'cat /proc/keys',
      (config) => {
        config.linux.maskedPaths = [];
        config.process.capabilities = { bounding: ['CAP_SYS_ADMIN'], effective: ['CAP_SYS_ADMIN'], permitted: ['CAP_SYS_ADMIN'] };
      },
      args,
    );
    return keys.match(new RegExp(`\\b_ses\\.[^ ]*${workspace.token}`, 'g')) ?? [];
  };
  const first = await keyrings([]);
  t.is(first.length, 1);
  // The kernel takes its time to collect the first one.
  const then = await keyrings(['--no-new-keyring']);
  t.deepEqual(
    then.filter((name) => !first.includes(name)),
    [],
  );
});

containerTest('only stdio is open, and /proc/self/exe and the mounts show nothing of the host', async (t, workspace) => {
  const leak = fs.openSync('/etc/passwd', 'r');
  try {
    const script = 'ls -1 /proc/1/fd; for name in exe root cwd; do readlink /proc/1/$name; done; cat /proc/1/comm; :';
    const out = await workspace.shell(script, {}, [], { descriptors: [leak, leak] });
    t.is(out, '0\n1\n2\n/bin/busybox\n/\n/\nsh');
  } finally {
    fs.closeSync(leak);
  }
});

containerTest('--preserve-fds and LISTEN_FDS pass descriptors on, and no others', async (t, workspace) => {
  const script =
    'sh -c "ls -1 /proc/1/fd >/tmp/fds"; tr "\\n" " " </tmp/fds; for fd in 3 4 5; do [ ! -e /proc/self/fd/$fd ] || eval "cat <&$fd"; done; echo "$LISTEN_FDS $LISTEN_PID"';
  const openFiles = (): number[] =>
    ['three', 'four', 'five'].map((text) => {
      const path = workspace.path(text);
      fs.writeFileSync(path, `${text} `);
      return fs.openSync(path, 'r');
    });
  const seen = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
    const descriptors = openFiles();
    try {
      const { stdout, stderr } = await workspace.run(workspace.script(script), args, { descriptors, env });
      return stdout + stderr;
    } finally {
      for (const descriptor of descriptors) fs.closeSync(descriptor);
    }
  };
  t.is(await seen(['--preserve-fds', '1']), '0 1 2 3 three  \n');
  t.is(await seen(['--preserve-fds', '2']), '0 1 2 3 4 three four  \n');
  t.is(await seen([], { LISTEN_FDS: '3' }), '0 1 2 3 4 5 three four five 3 1\n');
  t.is(await seen(['--preserve-fds', '1'], { LISTEN_FDS: '2' }), '0 1 2 3 4 5 three four five 2 1\n');
  // Meant for another process.
  t.is(await seen([], { LISTEN_FDS: '3', LISTEN_PID: '1' }), '0 1 2  \n');
  t.regex(await seen(['--preserve-fds', '4']), /^strata: .*descriptor 6 is not open\n$/);
});

containerTest('no descriptor that the caller forgot reaches the program, nor leads its path to the host', async (t, workspace) => {
  // Numbers far above those that a language runtime looks after.
  const through = ['bash', '-c', 'exec 17</ 200</; exec "$@"', 'bash'];
  t.is(await workspace.shell('ls -1 /proc/1/fd; :', {}, [], { through }), '0\n1\n2');
  const { code, stderr } = await workspace.run(workspace.bundle({ process: { args: ['/proc/self/fd/200/bin/true'] } }), [], { through });
  t.is(code, 1);
  t.regex(stderr, /^strata: .*no such file or directory\n$/);
});

containerTest("standard input is the caller's", async (t, workspace) => {
  t.is(await workspace.shell('cat; echo .', {}, [], { stdin: 'line 1\nline 2' }), 'line 1\nline 2.');
});

containerTest('annotations are in the state', async (t, workspace) => {
  const annotations = { 'com.example.key': 'value', 'com.example.empty': '', 'com.example.odd': '"\n\\ü' };
  const { id } = await workspace.create(workspace.bundle({ annotations: annotations }));
  t.deepEqual((await workspace.state(id)).annotations, annotations);
  await workspace.remove(id);
});

containerTest('time offsets', async (t, workspace) => {
  const uptime = (edit: Record<string, unknown>) =>
    workspace.shell('cat /proc/uptime; cat /proc/self/timens_offsets', (config) => {
      withNamespace(config, 'time');
      config.linux.timeOffsets = edit;
    });
  const host = Number(fs.readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  const out = await uptime({ boottime: { secs: 1_000_000, nanosecs: 5 }, monotonic: { secs: -1, nanosecs: 0 } });
  t.true(Number(out.split(' ')[0]) >= host + 1_000_000);
  t.regex(out, /monotonic +-1 +0\nboottime +1000000 +5$/);
});
