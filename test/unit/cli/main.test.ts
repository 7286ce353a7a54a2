import { readFileSync } from 'node:fs';
import test from 'ava';
import { main } from '../../../src/cli/main.ts';
import { VERSION } from '../../../src/cli/version.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { noArchive } from '../../helpers/no-archive.ts';

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function strata(machine: FakeMachine, ...argv: string[]): Promise<Outcome> {
  return on(new FakeHost(machine), ...argv);
}

async function on(host: FakeHost, ...argv: string[]): Promise<Outcome> {
  const status = await main(host, noArchive, argv);
  return { status, out: host.printed.join(''), err: host.complained.join('') };
}

test('the version, in lines that engines parse', async (t) => {
  for (const flag of ['--version', '-v']) {
    const { status, out } = await strata(new FakeMachine(), flag);
    t.is(status, 0);
    t.deepEqual(out.split('\n').slice(0, 2), [`strata version ${VERSION}`, 'spec: 1.3.0']);
  }
});

test('the version tells what is known of the build', async (t) => {
  const host = new FakeHost(new FakeMachine());
  t.is(await main(host, noArchive, ['--version'], { commit: 'abc', libseccomp: '2.5.4' }), 0);
  t.is(host.printed.join(''), `strata version ${VERSION}\ncommit: abc\nspec: 1.3.0\nhost: node\nlibseccomp: 2.5.4\n`);
});

test('the version is that of the package', (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  t.is(VERSION, version);
});

test('without arguments the help is printed', async (t) => {
  const { status, out, err } = await strata(new FakeMachine());
  t.is(status, 0);
  t.is(err, '');
  for (const verb of ['create', 'run', 'start', 'state', 'list', 'ps', 'kill', 'pause', 'resume', 'delete', 'spec', 'features', 'plan'])
    t.regex(out, new RegExp(`^  ${verb}\\b`, 'm'));
});

test('what is wrong with the value of a flag is told with the flag', async (t) => {
  for (const [flag, value] of [
    ['--memory', '1x'],
    ['--cpus', '0'],
    ['--pids-limit', 'all'],
    ['--workdir', 'relative'],
  ] as const) {
    const { status, err } = await strata(new FakeMachine(), 'run', '--image', 'web', flag, value, 'c1');
    t.is(status, 1);
    t.true(err.startsWith(`strata: ${flag}: `) && err.includes(`"${value}"`), err);
  }
});

test('a verb that the help is asked for with changes nothing', async (t) => {
  const { out } = await strata(new FakeMachine(), '--help');
  for (const argv of [['--help', 'create'], ['--debug', '--help', 'create'], ['--root', 'list', '-h'], ['help'], ['--debug', 'help']])
    t.is((await strata(new FakeMachine(), ...argv)).out, out);
});

test('every verb has a help of its own', async (t) => {
  const { status, out } = await strata(new FakeMachine(), 'create', '--help');
  t.is(status, 0);
  for (const flag of ['--bundle', '--console-socket', '--pid-file', '--no-pivot', '--no-new-keyring', '--preserve-fds'])
    t.true(out.includes(flag), flag);
});

/** Command lines that are wrong, and the one line that says so. */
const WRONG: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
  [['creat', 'x'], /^strata: unknown command 'creat' \(Did you mean create\?\)\n$/],
  [['--debug', '--root', '/x', '--log-level=debug', 'creat', 'state'], /unknown command 'creat' \(Did you mean create\?\)/],
  [['create'], /^strata: missing required argument 'container-id'\n$/],
  [['create', '--bundel', 'x', 'c1'], /unknown option '--bundel' \(Did you mean --bundle\?\)/],
  [['create', '--root', '/x', 'c1'], /unknown option '--root'/],
  [['start', 'a', 'b'], /too many arguments for 'start'/],
  [['create', '--preserve-fds', '-1', 'c1'], /'--preserve-fds <n>' argument '-1' is invalid/],
  [['create', '--preserve-fds', '4294967296', 'c1'], /'--preserve-fds <n>' argument '4294967296' is invalid/],
  [['create', '--preserve-fds', '1e3', 'c1'], /'--preserve-fds <n>' argument '1e3' is invalid/],
  [['create', '--preserve-fds', '0x1', 'c1'], /'--preserve-fds <n>' argument '0x1' is invalid/],
  [['create', '--preserve-fds', '', 'c1'], /'--preserve-fds <n>' argument '' is invalid/],
  [['run', '--pid-file'], /'--pid-file <file>' argument missing/],
  [['list', '--format', 'xml'], /'-f, --format <format>' argument 'xml' is invalid/],
  [['--log-format', 'xml', 'list'], /'--log-format <format>' argument 'xml' is invalid/],
  [['kill', 'c1', 'NOPE'], /^strata: unknown signal 'NOPE'/],
  [['kill', '--al', 'c1'], /unknown option '--al' \(Did you mean --all\?\)/],
  [['state', '../x'], /^strata: invalid container id/],
  [['state', 'c1'], /^strata: container does not exist: c1\n$/],
  [['state', 'a\nb'], /^strata: invalid container id 'a\\x0ab'/],
  [['--cgroup-manager=disabled', 'create', 'c1'], /^strata: --cgroup-manager disabled is not supported by this version/],
  [['--cgroup-manager', 'cron', 'create', 'c1'], /cgroupfs, systemd, disabled/],
];
for (const [argv, message] of WRONG) {
  test(`wrong: ${JSON.stringify(argv.join(' '))}`, async (t) => {
    const { status, out, err } = await strata(new FakeMachine(), ...argv);
    t.is(status, 1);
    t.is(out, '');
    t.regex(err, message);
    t.is(err.split('\n').length, 2, 'one line');
  });
}

test('the life of a container, as podman has it', async (t) => {
  const machine = new FakeMachine();
  const quiet = { status: 0, out: '', err: '' };
  t.deepEqual(await strata(machine, 'create', '--bundle', '/bundle', '--pid-file', '/tmp/pid', 'c1'), quiet);
  t.deepEqual(await strata(machine, 'start', 'c1'), quiet);
  t.deepEqual(await strata(machine, 'pause', 'c1'), quiet);
  t.deepEqual(await strata(machine, 'resume', 'c1'), quiet);
  t.is((await strata(machine, 'delete', 'c1')).err, 'strata: cannot delete container c1 that is not stopped: running\n');
  t.deepEqual(await strata(machine, 'kill', 'c1', '9'), quiet);
  t.regex((await strata(machine, 'kill', 'c1', '15')).err, /^strata: container not running/);
  t.deepEqual(await strata(machine, 'kill', '--all', 'c1', '9'), quiet);
  t.deepEqual(await strata(machine, 'delete', '--force', 'c1'), quiet);
  t.deepEqual(await strata(machine, 'delete', '--force', 'c1'), quiet);
  t.deepEqual(machine.leftovers(), []);
});

test('another configuration than the bundle has', async (t) => {
  const machine = new FakeMachine();
  machine.bundle('/bundle', { annotations: { from: 'bundle' } });
  machine.bundle('/elsewhere', { annotations: { from: 'elsewhere' } });
  t.is((await strata(machine, 'create', '--bundle', '/bundle', '--config', '/elsewhere/config.json', 'c1')).err, '');
  const state = JSON.parse((await strata(machine, 'state', 'c1')).out);
  t.like(state, { bundle: '/bundle', annotations: { from: 'elsewhere' } });
  t.regex(
    (await strata(machine, 'create', '--bundle', '/bundle', '--config', 'nothing.json', 'c2')).err,
    /cannot read .*nothing\.json: no such file/,
  );
});

test('the life of a container, as containerd has it', async (t) => {
  const machine = new FakeMachine();
  const common = ['--root', '/run/containerd/runc/default', '--log', '/tmp/log.json', '--log-format', 'json'];
  t.is((await strata(machine, ...common, 'create', '--bundle', '/bundle', '--pid-file', '/tmp/pid', 'c1')).status, 0);
  t.is((await strata(machine, ...common, 'start', 'c1')).status, 0);
  const { out } = await strata(machine, ...common, 'ps', '--format', 'json', 'c1');
  t.deepEqual(JSON.parse(out), [Number(machine.text('/tmp/pid'))]);
  t.is((await strata(machine, ...common, 'kill', '--all', 'c1', '9')).status, 0);
  t.is((await strata(machine, ...common, 'delete', 'c1')).status, 0);
  t.is(machine.text('/tmp/log.json'), '');
  t.deepEqual(machine.leftovers('/run/containerd/runc/default'), []);
});

test('an error is a line on standard error and a line in the log', async (t) => {
  const machine = new FakeMachine();
  machine.bundle('/bundle', { linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], resources: { memory: { limit: 'x' } } } });
  const { status, err } = await strata(machine, '--log', '/tmp/log', '--log-format', 'json', 'create', '-b', '/bundle', 'c1');
  t.is(status, 1);
  const line = machine.text('/tmp/log') ?? '';
  const entry = JSON.parse(line) as Record<string, string>;
  t.deepEqual(Object.keys(entry).slice(0, 4), ['level', 'msg', 'time', 'code']);
  t.is(entry.level, 'error');
  t.is(entry.pointer, '/linux/resources/memory/limit');
  t.is(err, `strata: ${entry.msg}\n`);
  t.is(line.split('\n').length, 2);
  t.is(machine.nodes.get('/tmp/log')?.mode, 0o600);
});

test('an error in the text log', async (t) => {
  const machine = new FakeMachine();
  await strata(machine, '--log', '/tmp/log', 'state', 'c1');
  t.is(machine.text('/tmp/log'), 'time="2026-01-02T03:04:05.678901234Z" level=error msg="container does not exist: c1"\n');
});

test('a log that cannot be written stops the command before it begins', async (t) => {
  const machine = new FakeMachine();
  const { status, err } = await strata(machine, '--log', '/nowhere/log', 'create', '-b', '/bundle', 'c1');
  t.is(status, 1);
  t.regex(err, /^strata: .*no such file or directory/);
  t.deepEqual(machine.leftovers(), []);
});

test('warnings go to the log, or to standard error', async (t) => {
  const machine = new FakeMachine();
  machine.file('/run/strata/x/state.json', '{');
  t.regex((await strata(machine, 'list')).err, /^strata: warning: the state of container x is damaged/);
  t.is((await strata(machine, '--log-level', 'error', 'list')).err, '');
  t.is((await strata(machine, '--log', '/tmp/log', 'list')).err, '');
  t.regex(machine.text('/tmp/log') ?? '', /level=warning msg="the state of container x is damaged/);
});

test('--debug tells the stages', async (t) => {
  const { err } = await strata(new FakeMachine(), '--debug', 'create', '-b', '/bundle', 'c1');
  t.regex(err, /^strata: debug: load \/bundle\/config.json$/m);
  t.regex(err, /^strata: debug: launch$/m);
});

test('a fault of ours is one line, with the stack only for --debug', async (t) => {
  const broken = () => {
    const host = new FakeHost(new FakeMachine());
    host.realPath = () => {
      throw new TypeError('oops');
    };
    return host;
  };
  t.is((await on(broken(), 'create', 'c1')).err, 'strata: internal error: oops (code internal; --debug shows where)\n');
  const { status, err } = await on(broken(), '--debug', 'create', 'c1');
  t.is(status, 1);
  t.regex(err, /TypeError: oops\n\s+at /);
});

test('a want of memory or stack is told in words, and with its code', async (t) => {
  for (const [thrown, words] of [
    // What QuickJS throws when there is no room for an error either.
    [null, /^strata: internal error: out of memory: .*256 MiB.*config\.json.* \(code internal; --debug shows where\)\n$/],
    [new Error('out of memory'), /^strata: internal error: out of memory: /],
    [new Error('stack overflow'), /^strata: internal error: out of stack: .*config\.json/],
    [new RangeError('Maximum call stack size exceeded'), /^strata: internal error: out of stack: /],
  ] as const) {
    const host = new FakeHost(new FakeMachine());
    host.realPath = () => {
      throw thrown;
    };
    t.regex((await on(host, 'create', 'c1')).err, words);
  }
});

test('state prints JSON', async (t) => {
  const machine = new FakeMachine();
  await strata(machine, 'create', '-b', '/bundle', 'c1');
  const { out } = await strata(machine, 'state', 'c1');
  t.is((JSON.parse(out) as { status: string }).status, 'created');
  t.regex(out, /^\{\n {2}"ociVersion": "1.3.0",\n {2}"id": "c1",\n {2}"pid": \d+,\n {2}"status": "created",\n/);
});

test('list as table, as JSON and as ids', async (t) => {
  const machine = new FakeMachine();
  t.is((await strata(machine, 'list', '--format=json')).out, '[]\n');
  await strata(machine, 'create', '-b', '/bundle', 'a-container-with-a-name');
  t.is(
    (await strata(machine, 'list')).out,
    `${'ID'.padEnd(26)}${'PID'.padEnd(12)}${'STATUS'.padEnd(12)}${'BUNDLE'.padEnd(12)}${'CREATED'.padEnd(33)}OWNER\n` +
      `${'a-container-with-a-name'.padEnd(26)}${'100'.padEnd(12)}${'created'.padEnd(12)}${'/bundle'.padEnd(12)}${'2026-01-02T03:04:05.678901234Z'.padEnd(33)}root\n`,
  );
  t.is((await strata(machine, 'list', '-q')).out, 'a-container-with-a-name\n');
  t.is((JSON.parse((await strata(machine, 'list', '-f', 'json')).out) as { id: string }[])[0]?.id, 'a-container-with-a-name');
});

test('run gives the status of the program', async (t) => {
  const machine = new FakeMachine();
  machine.foregroundExit = { code: 42 };
  t.is((await strata(machine, 'run', '-b', '/bundle', '--no-subreaper', 'c1')).status, 42);
  t.deepEqual(machine.leftovers(), []);
  t.is((await strata(machine, 'run', '-d', '-b', '/bundle', 'c1')).status, 0);
  t.is(machine.processes.at(-1)?.phase, 'running');
});

test('an id that begins with a dash follows --', async (t) => {
  const machine = new FakeMachine();
  t.is((await strata(machine, 'create', '-b', '/bundle', '--', '-c1')).status, 0);
  t.is((await strata(machine, 'delete', '--force', '--', '-c1')).status, 0);
});

test('the root: given, relative, and by default', async (t) => {
  const machine = new FakeMachine();
  await strata(machine, '--root', 'states', 'create', '-b', '/bundle', 'c1');
  t.true(machine.nodes.has('/work/states/c1/state.json'));
  machine.become(1000);
  const host = new FakeHost(machine);
  host.variables.set('XDG_RUNTIME_DIR', '/run/user/1000');
  machine.directory('/run/user/1000/strata/x');
  t.regex((await on(host, 'state', 'x')).err, /strata delete --force x/);
});

test('LISTEN_FDS counts if LISTEN_PID means us', async (t) => {
  const environment = async (pid: string) => {
    const host = new FakeHost(new FakeMachine());
    host.variables.set('LISTEN_FDS', '1');
    if (pid !== '') host.variables.set('LISTEN_PID', pid);
    const { out } = await on(host, 'plan', '-b', '/bundle', '--format', 'json');
    return out.includes('LISTEN_FDS=1');
  };
  t.true(await environment(''));
  t.true(await environment('4242'));
  t.false(await environment('4243'));
});

test('plan touches nothing and needs no root', async (t) => {
  const machine = new FakeMachine();
  machine.become(1000);
  const before = [...machine.nodes.keys()];
  const { status, out } = await strata(machine, 'plan', '--bundle', '/bundle');
  t.is(status, 0);
  t.regex(out, /strata-bundle/);
  const json = JSON.parse((await strata(machine, 'plan', '--bundle', '/bundle', '--format', 'json', 'x1')).out) as { op: string; path?: string }[];
  t.is(json.find(({ op }) => op === 'cgroup-make')?.path, '/strata-x1');
  t.deepEqual([...machine.nodes.keys()], before);
});

test('spec writes a configuration that create accepts, once', async (t) => {
  const machine = new FakeMachine();
  machine.directory('/tmp/new/rootfs');
  t.is((await strata(machine, 'spec', '--bundle', '/tmp/new')).status, 0);
  t.is((await strata(machine, 'plan', '--bundle', '/tmp/new')).status, 0);
  t.is((await strata(machine, 'spec', '--bundle', '/tmp/new')).err, 'strata: /tmp/new/config.json exists (remove it first)\n');
});

test('ps passes options on to ps', async (t) => {
  const machine = new FakeMachine();
  await strata(machine, 'create', '-b', '/bundle', 'c1');
  machine.file('/usr/bin/ps', '');
  machine.commands.set('/usr/bin/ps', { stdout: 'PID\n100\n101\n' });
  t.is((await strata(machine, 'ps', 'c1', '-o', 'pid', '--sort', 'x')).out, 'PID\n100\n');
});
