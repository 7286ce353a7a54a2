/** One command, two hosts: each command line is run on both, and what it prints, logs and ends with is the same byte for byte. */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { Bundle, CommandOptions, Edit, HookConfig, Workspace } from '../helpers/container.ts';
import { eventually, withUserNamespace } from '../helpers/container.ts';
import { containerTest, isStatic, unless } from './_support.ts';

const HOSTS = ['static', 'node'] as const;
const SLEEP = 'sleep 1000';

/** What commands did on one host, with what differs between any two runs taken out. */
class Record {
  readonly host: (typeof HOSTS)[number];
  readonly workspace: Workspace;
  readonly notes: string[] = [];

  constructor(host: (typeof HOSTS)[number], workspace: Workspace) {
    this.host = host;
    this.workspace = workspace;
  }

  /** Runs a command line, and notes what comes of it. */
  async strata(args: readonly string[], options: CommandOptions = {}): Promise<void> {
    const { code, signal, stdout, stderr } = await this.workspace.strata(args, { ...options, env: { ...options.env, STRATA_HOST: this.host } });
    this.notes.push(`strata ${args.join(' ')}\nended with ${signal ?? code}\n${withoutChance(stdout)}\n${withoutChance(stderr)}`);
  }

  async each(lines: readonly (readonly string[])[]): Promise<void> {
    for (const args of lines) await this.strata(args);
  }

  /** Notes a file, and removes it. */
  file(path: string): void {
    this.notes.push(`${path}\n${withoutChance(fs.readFileSync(path, 'utf8'))}`);
    fs.rmSync(path);
  }

  async reach(id: string, status: 'running' | 'stopped'): Promise<void> {
    await this.workspace.reach(id, status);
  }
}

/** Pids and times; everything else stays, also how many digits a time has. */
function withoutChance(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, (time) => time.replace(/\d/g, '0'))
    .replace(/("pid": ?)[1-9]\d*/g, '$1PID')
    .replace(/(\.tmp\.)\d+\.\d+/g, '$1PID')
    .replace(/^(\S+ +)([1-9]\d* +)(?=created|running|paused|stopped)/gm, (_, id: string, pid: string) => `${id}${'PID'.padEnd(pid.length)}`)
    .replace(/(?<=^\w+ +strata-init).*$/gm, '');
}

const lines = { compared: 0 };
const LACKING = isStatic() ? undefined : 'needs the static command';

/**
 * A test that runs the same on each host. `prepare` makes what the commands find and gives back what runs them: the state root is empty before and
 * after, so ids and paths can be the same.
 */
function onBoth(title: string, prepare: (workspace: Workspace) => (record: Record) => Promise<void>): void {
  unless(LACKING)(title, async (t, workspace) => {
    const scene = prepare(workspace);
    const records = HOSTS.map((host) => new Record(host, workspace));
    for (const record of records) {
      await scene(record);
      t.deepEqual(workspace.leaks(), [], record.host);
      fs.rmSync(workspace.root, { recursive: true, force: true });
    }
    const [first = [], second = []] = records.map(({ notes }) => notes);
    for (const [index, note] of first.entries()) {
      t.is(second[index], note);
      t.notRegex(note, /internal error|\bat .+:\d+:\d+/);
    }
    t.is(second.length, first.length);
    lines.compared += first.length;
  });
}

const VERBS = ['create', 'start', 'run', 'exec', 'state', 'list', 'ps', 'kill', 'pause', 'resume', 'delete', 'spec', 'plan'];

onBoth('help', () => async (record) => {
  await record.each([[], ['--help'], ['-h'], ['help'], ['--debug', 'help'], ['--debug', '--help', 'create'], ['--debug'], ['help', 'nothing']]);
  for (const verb of VERBS)
    await record.each([
      ['help', verb],
      [verb, '--help'],
      ['--log-level', 'debug', verb, '-h', 'x'],
    ]);
});

containerTest('the version tells the host', async (t, workspace) => {
  const told = await Promise.all(
    HOSTS.map(async (host) => (await workspace.succeed(['--version'], { env: { STRATA_HOST: host } })).stdout.trimEnd().split('\n')),
  );
  const [first = [], second = []] = told;
  if (!isStatic()) return t.deepEqual(first, second);
  t.deepEqual(
    first.map((line) => line.replace(/ .*/, '')),
    ['strata', 'commit:', 'spec:', 'host:', 'libseccomp:', 'quickjs:'],
  );
  t.true(first.includes('host: static'));
  t.deepEqual(
    second,
    first.filter((line) => !line.startsWith('quickjs')).map((line) => line.replace('static', 'node')),
  );
});

onBoth('command lines that are wrong', (workspace) => {
  const { directory } = workspace.bundle();
  const create = ['create', '--bundle', directory];
  return async (record) => {
    await record.each([
      ['no-such-verb'],
      ['creat', 'x'],
      ['lst', 'state'],
      ['--root', 'list', 'creat'],
      ['--no-such-option', 'list'],
      ['--rot', '/x', 'list'],
      ['--root'],
      ['--'],
      [''],
      ['create'],
      ['create', 'a', 'b'],
      ['state'],
      ['state', 'a', 'b'],
      ['kill'],
      ['kill', 'x', 'NOPE'],
      ['kill', 'x', '0'],
      ['kill', 'x', '65'],
      ['kill', 'x', '1.5'],
      [...create, '--no-such-option', 'x'],
      [...create, '--preserve-fds', '-1', 'x'],
      [...create, '--preserve-fds', '1e3', 'x'],
      [...create, '--preserve-fds', '4294967297', 'x'],
      [...create, '--preserve-fds', '99999999999999999999', 'x'],
      [...create, '--preserve-fds', '1', 'x'],
      [...create, '--console-socket', '/no/such/socket', 'x'],
      [...create, '--pid-file', '/no/such/directory/pid', 'x'],
      ['run', '--bundle'],
      ['run', '--console-socket', '/no/such/socket', '--bundle', directory, 'x'],
      ['run', '--bundle', '/no/such/bundle', 'x'],
      ['run', '--bundle', '/etc/passwd', 'x'],
      ['run', '--bundle', '', 'x'],
      ['list', '--format', 'yaml'],
      ['plan', '--format', 'xml', '--bundle', directory],
      ['plan', 'a', 'b'],
      ['ps', '--format', 'xml', 'x'],
      ['--log-format', 'xml', ...create, 'x'],
      ['--log-level', 'all', ...create, 'x'],
      ['--systemd-cgroup', ...create, 'x'],
      ['--rootless', 'maybe', ...create, 'x'],
      ['--log', '/no/such/directory/log', 'list'],
      ['--root', '/etc/passwd', 'list'],
      ['--root', '/etc/passwd', ...create, 'x'],
      ['--root', '/proc', ...create, 'x'],
      ['--root', 'r'.repeat(5000), 'list'],
    ]);
  };
});

onBoth('ids', (workspace) => {
  const { directory } = workspace.bundle();
  return async (record) => {
    for (const id of ['', '.', '..', 'a/b', '../x', 'a b', 'ü', '\u{1f433}', 'a\nb', '\x1b[31m', '@seccomp', 'x'.repeat(249), 'x'.repeat(5000)]) {
      for (const verb of [['create', '--bundle', directory], ['state'], ['delete', '--force']]) await record.strata([...verb, '--', id]);
    }
    for (const verb of ['start', 'state', 'kill', 'pause', 'resume', 'delete', 'ps']) await record.strata([verb, 'nobody']);
    await record.strata(['delete', '--force', 'nobody']);
    // Bytes that are no text.
    const through = ['sh', '-c', 'exec "$@" "$(printf "a\\377\\300\\257\\355\\240\\200z")"', 'sh'];
    for (const verb of ['state', 'kill', 'no-such-verb']) await record.strata([verb], { through });
    await record.strata(['create', '--bundle'], { through });
  };
});

onBoth('documents that are no configuration', (workspace) => {
  const good = JSON.stringify(workspace.bundle().config);
  const texts: (string | Uint8Array)[] = [
    '',
    ' \n',
    '{',
    '\ufeff{}',
    '{"ociVersion": }',
    '{"ociVersion": "1.3.0",}',
    '{"ociVersion": 01}',
    '{"ociVersion": 1e400}',
    `{"ociVersion": ${'9'.repeat(2000)}}`,
    '{"ociVersion": 123456789012345678901234567890}',
    '{"ociVersion": -0}',
    '{"ociVersion": "1.3.0"\n "root"}',
    '{"ociVersion": "\\x"}',
    '{"ociVersion": "\\ud800"}',
    '{"ociVersion": "\n"}',
    '{"__proto__": 1, "ociVersion": {"__proto__": 2}}',
    '{"ociVersion": "1.3.0", "ociVersion": 2}',
    '// comment\n{}',
    `${good}x`,
    `${good}\0`,
    Buffer.from(good, 'utf16le'),
    Buffer.concat([Buffer.from('{"ociVersion": "'), Buffer.from([0xff, 0xfe, 0xed, 0xa0, 0x80]), Buffer.from('"}')]),
    'null',
    '[]',
    '"text"',
    '7',
    '['.repeat(100_000),
    `{"ociVersion": "1.3.0", "deep": ${'['.repeat(513)}${']'.repeat(513)}}`,
    `{"a\\u0000~/\u2028b": ${'{"x":'.repeat(600)}`,
    ' '.repeat(17 * 1024 * 1024),
  ];
  const bundles = texts.map((text) => {
    const directory = workspace.path('bundle');
    fs.mkdirSync(join(directory, 'rootfs'), { recursive: true });
    fs.writeFileSync(join(directory, 'config.json'), text);
    return directory;
  });
  return async (record) => {
    for (const directory of bundles)
      await record.each([
        ['create', '--bundle', directory, 'x'],
        ['plan', '--bundle', directory],
      ]);
  };
});

/** Changes that make a configuration bad, or good in an uncommon way. */
const EDITS: readonly Edit[] = [
  {},
  { ociVersion: '2.0.0' },
  { ociVersion: '1.0.0-rc5+build' },
  { root: { path: 'missing' } },
  { root: undefined },
  { process: { cwd: 'relative' } },
  { process: { args: [] } },
  { process: { args: ['sh', 'a\0b'] } },
  { process: { args: ['echo', '\ud800', '\udc00\ud800', 'ä€\u{1f433}', '\u2028'] } },
  { process: { env: ['A=\u0000'] } },
  { process: { env: ['B=\n\t\u0007\u0085', '=', 'C'] } },
  { process: { user: { uid: 4294967295 } } },
  { process: { user: { uid: -0 } } },
  { process: { user: { uid: 1.5 } } },
  { process: { user: { gid: 18446744073709551616n as unknown as number } } },
  { process: { user: { additionalGids: [0, 1e30] } } },
  { process: { rlimits: [{ type: 'RLIMIT_CPU', soft: 1, hard: 18446744073709551615n }] } },
  { process: { rlimits: [{ type: 'RLIMIT_CPU', soft: 9007199254740993n, hard: 18446744073709551616n }] } },
  { process: { rlimits: [{ type: 'RLIMIT_NOTHING', soft: 1, hard: 0 }] } },
  { process: { capabilities: { permitted: ['CAP_CHOWN', 'CHOWN'] } } },
  { process: { apparmorProfile: 'profile' } },
  { process: { scheduler: { policy: 'SCHED_DEADLINE', runtime: 18446744073709551615n } } },
  { process: { oomScoreAdj: 1001 } },
  { hostname: 'x'.repeat(65) },
  { hostname: 'ä\ud800'.repeat(12) },
  { annotations: { 'com.example.a/b~c': 7 as unknown as string } },
  { annotations: { 'dev.strata.overlay': '{' } },
  { annotations: { 'dev.strata.overlay': '{"lower": ["/no/such/layer"], "upper": "/x"}' } },
  { annotations: { 'dev.strata.overlay': '{"lower": ["rootfs", "rootfs"]}' } },
  { linux: { maskedPaths: ['relative'] } },
  { linux: { cgroupsPath: '../../x' } },
  { linux: { sysctl: { 'kernel.hostname': 'x', 'net.ipv4.ip_forward': '1' } } },
  { linux: { devices: [{ path: '/dev/x', type: 'c', major: 1, minor: 4294967296 }] } },
  { linux: { devices: [{ path: '/dev/ä', type: 'c', major: 10, minor: 200, fileMode: 0o600, uid: 5 }] } },
  { linux: { resources: { memory: { limit: 9223372036854775807n, swappiness: 7 }, cpu: { shares: 1024, quota: -1, period: 100000 } } } },
  { linux: { resources: { memory: { limit: 9223372036854775808n } } } },
  { linux: { resources: { pids: { limit: 0.1 }, unified: { 'memory.max': '1' } } } },
  { linux: { resources: { blockIO: { weight: 10 }, hugepageLimits: [{ pageSize: '2MB', limit: 9223372036854771712n }] } } },
  { linux: { rootfsPropagation: 'sideways' } },
  { linux: { seccomp: { defaultAction: 'SCMP_ACT_WHAT' } } },
  {
    linux: {
      seccomp: {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
        syscalls: [
          { names: ['mkdir', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 30 },
          { names: ['personality'], action: 'SCMP_ACT_LOG', args: [{ index: 0, value: 18446744073709551615n, op: 'SCMP_CMP_NE' }] },
        ],
      },
    },
  },
  (config) => withUserNamespace(config, 100_000),
  (config) => void config.mounts.push({ destination: '/proc/1', type: 'tmpfs' }),
  (config) => void config.mounts.push({ destination: '/a/../b/./ä', type: 'tmpfs', source: 'x', options: ['size=1k', 'mode=0700', 'ro', 'rslave'] }),
  (config) => void config.mounts.push({ destination: '/x', options: ['bind'] }),
  (config) => void config.mounts.push({ destination: '/x', source: 'relative', options: ['rbind', 'nosuid', 'idmap'] }),
  (config) => {
    config.hooks = { prestart: [{ path: '/bin/true', args: ['true', '\ud800'], env: ['A=b'], timeout: 5 }], poststop: [{ path: 'relative' }] };
  },
  (config) => {
    config.hooks = { prestart: [{ path: '/bin/true' }], startContainer: [{ path: '/bin/x', timeout: 0.5 }] };
  },
  (config) => Object.assign(config.process, { terminal: true, consoleSize: { height: 65536, width: 1 } }),
  (config) => Object.assign(config, { linux: null }),
  (config) => Object.assign(config, { process: null }),
];

onBoth('plans', (workspace) => {
  const bundles = EDITS.map((edit) => workspace.bundle(edit));
  return async (record) => {
    for (const { directory } of bundles) {
      await record.strata(['plan', '--bundle', directory]);
      await record.strata(['plan', '--format', 'json', '--no-pivot', '--bundle', directory, 'an-id']);
    }
  };
});

onBoth('runs of what can be planned, and refusals of what cannot', (workspace) => {
  const bundles = EDITS.map((edit) => workspace.script('echo ran; id; hostname', edit));
  return async (record) => {
    for (const { directory } of bundles) await record.strata(['run', '--bundle', directory, 'x']);
  };
});

onBoth('spec', (workspace) => {
  const directory = workspace.path('bundle');
  fs.mkdirSync(directory);
  return async (record) => {
    for (const args of [[], ['--rootless'], ['--bundle', '.'], ['-b', directory]]) {
      await record.strata(['spec', ...args], { cwd: directory });
      await record.strata(['spec', ...args], { cwd: directory });
      await record.strata(['plan'], { cwd: directory });
      record.file(join(directory, 'config.json'));
    }
    await record.each([
      ['spec', '--bundle', '/no/such/bundle'],
      ['spec', '--bundle', '/etc/passwd'],
      ['spec', 'x'],
      ['spec', '--bundle', '/proc'],
    ]);
  };
});

onBoth('the life of a container, and what is said of it on the way', (workspace) => {
  const { directory } = workspace.script(SLEEP, { annotations: { 'com.example.a': 'ä "quoted"\n\u2028' } });
  const short = workspace.script('true').directory;
  const pidFile = workspace.path('pid');
  return async (record) => {
    const look = async (): Promise<void> => {
      await record.each([['state', 'a'], ['list'], ['list', '-q'], ['list', '--format', 'json'], ['ps', 'a', '-o', 'user,comm']]);
    };
    await record.each([['list'], ['list', '-q'], ['list', '-f', 'json']]);
    await record.strata(['create', '--bundle', directory, '--pid-file', pidFile, 'a']);
    record.notes.push(fs.readFileSync(pidFile, 'utf8').replace(/\d+/, 'PID'));
    await record.each([
      ['create', '--bundle', directory, 'a'],
      ['run', '--bundle', directory, 'a'],
      ['resume', 'a'],
      ['delete', 'a'],
    ]);
    await look();
    await record.strata(['create', '--bundle', directory, 'a-second.container_with+a-long-name']);
    await record.strata(['start', 'a']);
    await look();
    await record.each([
      ['start', 'a'],
      ['pause', 'a'],
      ['pause', 'a'],
      ['delete', 'a'],
    ]);
    await look();
    await record.each([
      ['resume', 'a'],
      ['resume', 'a'],
      ['kill', 'a', '0'],
      ['kill', 'a', 'SIGWINCH'],
      ['kill', '--all', 'a', 'kill'],
    ]);
    await record.reach('a', 'stopped');
    await look();
    await record.each([
      ['kill', 'a'],
      ['kill', '--all', 'a'],
      ['start', 'a'],
      ['pause', 'a'],
      ['ps', '--format', 'json', 'a'],
    ]);
    await record.each([
      ['delete', 'a'],
      ['delete', 'a'],
      ['delete', '--force', 'a'],
      ['state', 'a'],
    ]);
    await record.each([['delete', '--force', 'a-second.container_with+a-long-name'], ['list']]);
    await record.strata(['run', '--detach', '--bundle', short, 'a']);
    await record.reach('a', 'stopped');
    await record.each([['list'], ['delete', 'a'], ['run', '--keep', '--bundle', short, 'a'], ['state', 'a'], ['delete', 'a']]);
  };
});

onBoth('exec', (workspace) => {
  const seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errnoRet: 36 }] };
  const { directory } = workspace.script(SLEEP, { process: { env: ['PATH=/bin', 'HOME=/', 'A=ä'] }, linux: { seccomp } });
  const pidFile = workspace.path('pid');
  const section = workspace.path('process.json');
  return async (record) => {
    const exec = (...words: string[]): Promise<void> => record.strata(['exec', ...words]);
    await exec('a', 'true');
    await record.strata(['run', '--detach', '--bundle', directory, 'a']);
    await exec('a', 'sh', '-c', 'id -u; pwd; env | sort; cat /proc/self/limits; grep -E "Cap|NoNew|Seccomp" /proc/self/status; mkdir /tmp/x; exit 5');
    await exec(
      '-u',
      '1:2',
      '-g',
      '3',
      '-e',
      'A=b',
      '--cwd',
      '/tmp',
      '-c',
      'CAP_CHOWN',
      'a',
      'sh',
      '-c',
      'id -G; pwd; echo $A; grep Cap /proc/self/status',
    );
    await exec('--detach', '--pid-file', pidFile, 'a', 'sleep', '1000');
    record.notes.push(fs.readFileSync(pidFile, 'utf8').replace(/\d+/, 'PID'));
    await exec('a', 'sh', '-c', 'kill -9 $$');
    for (const value of ['', 'x', '4294967296', '1:x']) await exec(`--user=${value}`, 'a', 'true');
    for (const words of [['absent'], ['/absent'], ['/etc'], ['--'], ['--cwd', '/absent', 'true']]) await exec('a', ...words);
    await exec('--cwd', '/absent', 'a', 'true');
    await exec('--cap', 'CAP_NONE', 'a', 'true');
    await exec('--cgroup', '../x', 'a', 'true');
    await exec('--tty', '--detach', 'a', 'true');
    for (const text of [
      '',
      '{',
      '[]',
      '{}',
      '{"cwd":"/","args":[]}',
      '{"cwd":"/","args":["/bin/echo","x"],"user":{"uid":-1}}',
      '{"cwd":"/","args":["/bin/pwd"]}',
    ]) {
      fs.writeFileSync(section, text);
      await exec('--process', section, 'a');
    }
    await record.each([
      ['pause', 'a'],
      ['exec', 'a', 'true'],
      ['resume', 'a'],
      ['exec', '--ignore-paused', 'a', 'echo', 'x'],
    ]);
    await record.each([['kill', 'a', 'KILL']]);
    await record.reach('a', 'stopped');
    await exec('a', 'true');
    await record.strata(['delete', 'a']);
  };
});

onBoth('what a program ends with, and what cannot be executed', (workspace) => {
  const ends = ['exit 0', 'exit 7', 'exit 255', 'kill -KILL $$', 'kill -TERM $$', 'echo out; echo err >&2; exit 3', 'cat; id -u; pwd; env'];
  const scripts = ends.map((script) => workspace.script(script, { process: { env: ['PATH=/bin', 'X=ä', 'HOME=/'] } }));
  const execute = (args: string[], edit: Edit = {}): Bundle => {
    const bundle = workspace.bundle((config) => {
      config.process.args = args;
    });
    bundle.file('bin/no-rights', '#!/bin/sh\n', 0o644);
    bundle.file('bin/no-format', 'echo\n', 0o755);
    bundle.file('bin/no-interpreter', '#!/no/such/interpreter\n', 0o755);
    return bundle.edit(edit);
  };
  const failing = [
    execute(['/no/such/program']),
    execute(['no-such-program']),
    execute(['']),
    execute(['/etc']),
    execute(['no-rights']),
    execute(['/bin/no-rights']),
    execute(['no-format']),
    execute(['no-interpreter']),
    execute(['./sh'], { process: { cwd: '/etc' } }),
    execute(['sh'], { process: { env: ['PATH=/nowhere'] } }),
    execute(['sh'], { process: { env: [] } }),
    execute(['sh'], { process: { cwd: '/no/such/directory' } }),
    execute(['sh'], { process: { cwd: '/etc/passwd' } }),
    execute(['ü\n']),
  ];
  return async (record) => {
    for (const { directory } of scripts) await record.strata(['run', '--bundle', directory, 'x'], { stdin: 'from the caller\n' });
    for (const { directory } of failing) {
      await record.strata(['run', '--bundle', directory, 'x']);
      await record.each([
        ['create', '--bundle', directory, 'x'],
        ['start', 'x'],
        ['delete', '--force', 'x'],
      ]);
    }
  };
});

onBoth('what the kernel refuses', (workspace) => {
  const edits: Edit[] = [
    (config) => void config.mounts.push({ destination: '/x', source: '/no/such/source', options: ['bind'] }),
    (config) => void config.mounts.push({ destination: '/x', type: 'no-such-filesystem', source: 'x' }),
    (config) => void config.mounts.push({ destination: '/x', type: 'tmpfs', source: 'x', options: ['size=nonsense'] }),
    (config) => void config.mounts.push({ destination: '/bin/busybox/below', type: 'tmpfs', source: 'x' }),
    (config) => void config.linux.namespaces.push({ type: 'time', path: '/no/such/namespace' }),
    { linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'network', path: '/proc/self/ns/uts' }] } },
    { linux: { sysctl: { 'net.ipv4.ip_forward': 'nonsense' } } },
    { linux: { sysctl: { 'net.no_such.setting': '1' } } },
    { linux: { resources: { memory: { limit: 1 } } } },
    { linux: { resources: { cpu: { cpus: '4000' } } } },
    { linux: { maskedPaths: ['/proc/no-such-file', '/bin/busybox'] } },
    { annotations: { 'dev.strata.overlay': '{"lower": ["rootfs"], "upper": "no-such-upper", "work": "rootfs"}' } },
  ];
  const bundles = edits.map((edit) => workspace.script('echo ran', edit));
  return async (record) => {
    for (const { directory } of bundles) {
      await record.strata(['run', '--bundle', directory, 'x']);
      await record.strata(['--debug', 'create', '--bundle', directory, 'x']);
      await record.strata(['delete', '--force', 'x']);
    }
    // Standard output that takes nothing.
    for (const args of [['list'], ['--help'], ['plan', '--bundle', bundles[0]?.directory ?? '']])
      await record.strata(args, { through: ['sh', '-c', 'exec "$@" >/dev/full', 'sh'] });
  };
});

onBoth('hooks that fail, and hooks that take too long', (workspace) => {
  const sh = (script: string, more: Partial<HookConfig> = {}): HookConfig => ({
    path: '/bin/sh',
    args: ['sh', '-c', script],
    env: ['PATH=/usr/bin:/bin'],
    ...more,
  });
  const failing: HookConfig[] = [
    sh('echo one >&2; echo two >&2; exit 3'),
    sh('printf "\\377\\033[31m no newline" >&2; exit 255'),
    sh('kill -KILL $$'),
    sh('sleep 1000', { timeout: 1 }),
    { path: '/no/such/hook' },
    { path: '/etc' },
    { path: '/bin/false', args: [] },
  ];
  const kinds = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;
  // A hook that takes too long costs its second for each kind: two of them are enough.
  const cases = kinds.flatMap((kind) =>
    failing.filter(({ timeout }) => timeout === undefined || kind.startsWith('create')).map((hook) => ({ kind, hook })),
  );
  // A program that a poststart hook ends may have said something by then, or not.
  const bundles = cases.map(({ kind, hook }) =>
    workspace.script(kind === 'poststart' ? 'exec sleep 1000' : 'echo ran', { hooks: { [kind]: [hook] } }),
  );
  const fine = workspace.script('echo ran', { hooks: Object.fromEntries(kinds.map((kind) => [kind, [{ path: '/bin/true' }]])) });
  return async (record) => {
    for (const { directory } of bundles) await record.strata(['run', '--bundle', directory, 'x']);
    await record.strata(['--debug', 'run', '--bundle', fine.directory, 'x']);
  };
});

onBoth('log files', (workspace) => {
  const wrong = workspace.bundle({ process: { cwd: 'relative' } }).directory;
  const missing = workspace.bundle({ process: { args: ['/no/such/program'] } }).directory;
  const warned = workspace.script('echo fine', { hooks: { poststop: [{ path: '/bin/false' }, { path: '/no/such/"hook"\\' }] } }).directory;
  const log = workspace.path('log');
  return async (record) => {
    for (const format of ['text', 'json']) {
      for (const level of [[], ['--log-level', 'error'], ['--debug']]) {
        const options = ['--log', log, '--log-format', format, ...level];
        await record.each([
          [...options, 'run', '--bundle', wrong, 'x'],
          [...options, 'run', '--bundle', missing, 'x'],
          [...options, 'run', '--bundle', warned, 'x'],
          [...options, 'state', 'nobody'],
          [...options, 'state', 'a\nlevel=error msg="forged"'],
          [...options, 'no-such-verb'],
          [...options, 'list'],
        ]);
        record.file(log);
      }
    }
    await record.each([
      ['--log-level', 'error', 'run', '--bundle', warned, 'x'],
      ['--log', dirname(log), 'list'],
    ]);
  };
});

onBoth('states that are damaged', (workspace) => {
  const { directory } = workspace.script(SLEEP);
  const damages = [
    '',
    '{',
    'null',
    '[]',
    '{"version": 9007199254740993}',
    '\u0000',
    `{"id": "x", "pid": ${'9'.repeat(1500)}}`,
    Buffer.from([0xff, 0xfe]),
  ];
  return async (record) => {
    for (const damage of damages) {
      const place = join(workspace.root, 'x');
      fs.mkdirSync(place, { recursive: true });
      fs.chmodSync(workspace.root, 0o700);
      fs.writeFileSync(join(place, 'state.json'), damage);
      await record.each([
        ['state', 'x'],
        ['list'],
        ['kill', 'x'],
        ['delete', 'x'],
        ['create', '--bundle', directory, 'x'],
        ['delete', '--force', 'x'],
      ]);
    }
  };
});

onBoth('signals that come while strata waits', (workspace) => {
  const bundle = workspace.script('trap "echo got; exit 9" TERM; echo ready >/ready; while :; do sleep 0.02; done');
  const inHook = workspace.path('in-hook');
  const hook = { path: '/bin/sh', args: ['sh', '-c', `echo >${inHook}; exec /usr/bin/env sleep 1000`] };
  const slow = workspace.script(':', { hooks: { prestart: [hook] } });
  return async (record) => {
    const env = { STRATA_HOST: record.host };
    const running = workspace.spawn(['run', '--bundle', bundle.directory, 'x'], { env });
    await eventually('the program to be ready', () => fs.existsSync(join(bundle.rootfs, 'ready')));
    await workspace.attended('x');
    running.process.kill('SIGTERM');
    const forwarded = await running.result;
    fs.rmSync(join(bundle.rootfs, 'ready'));
    const stuck = workspace.spawn(['run', '--bundle', slow.directory, 'x'], { env });
    await eventually('the hook to run', () => fs.existsSync(inHook));
    fs.rmSync(inHook);
    stuck.process.kill('SIGINT');
    for (const { code, signal, stdout, stderr } of [forwarded, await stuck.result]) record.notes.push(`${code} ${signal}\n${stdout}\n${stderr}`);
  };
});

unless(LACKING)('that were many command lines', async (t) => {
  t.log(`${lines.compared} notes`);
  t.true(lines.compared >= 400);
});
