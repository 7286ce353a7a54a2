/** runtime.md, Operations, and the command line that engines use: every verb in every status, and what it leaves alone. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import AjvDraft04 from 'ajv-draft-04';
import type { ContainerState } from '../../src/lifecycle/state.ts';
import { CGROUP_V2, eventually, type Result, STRATA, type Workspace, withAllCapabilities, withoutNamespaces } from '../helpers/container.ts';
import { containerTest, failed, noPs, unless } from './_support.ts';

const SLEEP = 'sleep 1000';
/** Notes signals in /log; the program must not be the only process of its shell, or it could not wait in peace. */
const TRAPS = 'for s in HUP USR1 USR2 TERM; do trap "echo $s >>/log" $s; done; echo ready >>/log; while :; do sleep 0.02; done';

containerTest('create, start, exit, delete', async (t, workspace) => {
  const bundle = workspace.script('echo ran >/log; cat /etc/later; while [ ! -e /end ]; do sleep 0.02; done; exit 7');
  const id = workspace.id();
  await workspace.succeed(['create', '--bundle', bundle.directory, '--pid-file', workspace.path('pid'), id]);
  const created = await workspace.state(id);
  t.like(created, { ociVersion: '1.3.0', id, status: 'created', bundle: bundle.directory, rootfs: bundle.rootfs, owner: 'root' });
  t.regex(created.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
  t.true(fs.existsSync(`/proc/${created.pid}`));
  t.false(fs.existsSync(`${bundle.rootfs}/log`), 'the program does not run yet');

  // Whatever is changed from now on has no effect, but files are read when the program reads them.
  bundle.write('{}');
  bundle.file('etc/later', 'later\n');
  await workspace.succeed(['start', id]);
  t.like(await workspace.state(id), { status: 'running', pid: created.pid, created: created.created });
  await eventually('the program to run', () => fs.existsSync(`${bundle.rootfs}/log`));
  bundle.file('end', '');
  t.is((await workspace.reach(id, 'stopped')).pid, 0);
  await workspace.succeed(['delete', id]);
  failed(t, await workspace.strata(['state', id]), `container does not exist: ${id}`);
});

containerTest('verbs that do not fit the status are refused and change nothing', async (t, workspace) => {
  const refused: Record<string, string[]> = {
    created: ['resume', 'delete'],
    running: ['start', 'resume', 'delete'],
    paused: ['start', 'pause', 'delete'],
    stopped: ['start', 'kill', 'pause', 'resume'],
  };
  const { id } = await workspace.create(workspace.script(SLEEP));
  const lead: Record<string, string[]> = { created: [], running: ['start', id], paused: ['pause', id], stopped: ['kill', id, 'KILL'] };
  for (const [status, verbs] of Object.entries(refused)) {
    const step = lead[status] ?? [];
    if (step.length > 0) await workspace.succeed(step);
    const before = await workspace.reach(id, status as ContainerState['status']);
    for (const verb of verbs) failed(t, await workspace.strata([verb, id]), /container/);
    t.deepEqual(await workspace.state(id), before, status);
  }
  for (const [verb, words] of [
    ['kill', 'container not running'],
    ['start', 'cannot start'],
    ['pause', 'container not running'],
    ['resume', 'container not paused'],
  ] as const) {
    failed(t, await workspace.strata([verb, id]), words);
  }
  await workspace.succeed(['delete', id]);
  for (const verb of ['start', 'state', 'kill', 'pause', 'resume', 'delete', 'ps'])
    failed(t, await workspace.strata([verb, id]), `container does not exist: ${id}`);
  await workspace.succeed(['delete', '--force', id]);
});

containerTest('an id is taken once', async (t, workspace) => {
  const bundle = workspace.script(SLEEP);
  const { id } = await workspace.start(bundle);
  const before = await workspace.state(id);
  for (const verb of ['create', 'run'])
    failed(t, await workspace.strata([verb, '--bundle', workspace.bundle().directory, id]), `container with id ${id} exists`);
  t.deepEqual(await workspace.state(id), before);
  await workspace.remove(id);

  // Of twelve at once, one.
  const bundles = Array.from({ length: 12 }, () => workspace.script(SLEEP));
  const results = await Promise.all(bundles.map(({ directory }) => workspace.strata(['create', '--bundle', directory, id])));
  const winner = results.findIndex(({ code }) => code === 0);
  t.is((await workspace.state(id)).bundle, bundles[winner]?.directory ?? '');
  for (const [index, result] of results.entries()) if (index !== winner) failed(t, result, `container with id ${id} exists`);
  await workspace.succeed(['start', id]);
  await workspace.remove(id);
});

containerTest('ids', async (t, workspace) => {
  const bundle = workspace.bundle();
  for (const id of ['', '.', '..', 'a/b', '/', '../x', 'a b', 'ü', 'a\nb', '@seccomp', 'a:b', 'x'.repeat(249)]) {
    for (const verb of [['create', '--bundle', bundle.directory], ['start'], ['state'], ['kill'], ['delete', '--force'], ['pause'], ['ps']]) {
      if (id !== '' || verb[0] === 'create') failed(t, await workspace.strata([...verb, '--', id]), /container id/);
    }
  }
  t.false(fs.existsSync(workspace.root));
  for (const id of ['0', 'a_b+c.d-e', '...', '-dash'.repeat(3), 'y'.repeat(248)]) {
    await workspace.succeed(['create', '--bundle', bundle.directory, '--', id]);
    t.is((JSON.parse((await workspace.succeed(['state', '--', id])).stdout) as ContainerState).id, id);
    await workspace.succeed(['delete', '--force', '--', id]);
  }
});

const SCHEMAS = new URL('../../../shared/runtime-spec/schema/', import.meta.url);
const NO_SCHEMA = fs.existsSync(new URL('state-schema.json', SCHEMAS)) ? undefined : `needs a schema in ${SCHEMAS.pathname}`;

unless(NO_SCHEMA)('the state, as the official schema has it', async (t, workspace) => {
  const Ajv = AjvDraft04 as unknown as typeof AjvDraft04.default;
  const ajv = new Ajv({ strict: false });
  const schema = (name: string): object => JSON.parse(fs.readFileSync(new URL(name, SCHEMAS), 'utf8')) as object;
  ajv.addSchema(schema('defs.json'), 'defs.json');
  const validate = ajv.compile(schema('state-schema.json'));
  const { id } = await workspace.create(workspace.script(SLEEP, { annotations: { 'com.example.a': 'b' } }));
  const check = async (status: ContainerState['status']): Promise<void> => {
    t.true(validate(await workspace.reach(id, status)), JSON.stringify(validate.errors));
  };
  await check('created');
  await workspace.succeed(['start', id]);
  await check('running');
  await workspace.succeed(['kill', id, 'KILL']);
  await check('stopped');
  await workspace.succeed(['delete', id]);
});

containerTest('kill: signals by name and by number', async (t, workspace) => {
  const bundle = workspace.script(TRAPS);
  const { id } = await workspace.start(bundle);
  const log = () => fs.readFileSync(`${bundle.rootfs}/log`, 'utf8').trim().split('\n');
  await eventually('the traps to be set', () => fs.existsSync(`${bundle.rootfs}/log`));
  const sent: [argument: string[], name: string][] = [
    [['HUP'], 'HUP'],
    [['SIGUSR1'], 'USR1'],
    [['sigusr2'], 'USR2'],
    [['10'], 'USR1'],
    [[], 'TERM'],
  ];
  for (const [index, [argument]] of sent.entries()) {
    await workspace.succeed(['kill', id, ...argument]);
    await eventually('the signal to arrive', () => log().length === index + 2);
  }
  t.deepEqual(
    log().slice(1),
    sent.map(([, name]) => name),
  );
  await workspace.succeed(['kill', id, '0']);
  for (const wrong of ['NOPE', 'SIGNOPE', '65', '-1', '1.5', '99999999999', ''])
    failed(t, await workspace.strata(['kill', '--', id, wrong]), 'unknown signal');
  t.is((await workspace.state(id)).status, 'running');
  await workspace.succeed(['kill', id, 'RTMAX']);
  await workspace.succeed(['kill', id, 'SIGKILL']);
  await workspace.reach(id, 'stopped');
  await workspace.succeed(['delete', id]);
});

containerTest('a created container can be killed', async (t, workspace) => {
  const { id } = await workspace.create(workspace.script(SLEEP));
  await workspace.succeed(['kill', id, 'KILL']);
  await workspace.reach(id, 'stopped');
  failed(t, await workspace.strata(['start', id]), 'cannot start a container that has stopped');
  await workspace.succeed(['delete', id]);
});

/** A container in its caller's pid namespace, of three processes. */
async function sharing(workspace: Workspace): Promise<{ id: string; log: () => string[]; pids: () => Promise<number[]> }> {
  const bundle = workspace.script(`(${TRAPS}) & (${TRAPS}) & trap "" TERM; ${TRAPS.replaceAll('TERM', '')}`, (config) =>
    withoutNamespaces(config, 'pid'),
  );
  const { id } = await workspace.start(bundle);
  const log = (): string[] => (fs.existsSync(`${bundle.rootfs}/log`) ? fs.readFileSync(`${bundle.rootfs}/log`, 'utf8').trim().split('\n') : []);
  await eventually('all three to be ready', () => log().filter((line) => line === 'ready').length === 3);
  return { id, log, pids: async () => JSON.parse((await workspace.succeed(['ps', '--format', 'json', id])).stdout) as number[] };
}

containerTest('kill --all reaches every process of a container that shares its pid namespace', async (t, workspace) => {
  const { id, log, pids } = await sharing(workspace);
  await workspace.succeed(['kill', '--all', id, 'TERM']);
  await eventually('both to note it', () => log().filter((line) => line === 'TERM').length === 2);
  t.true((await pids()).length >= 3);
  await workspace.succeed(['kill', '-a', id, 'KILL']);
  await workspace.reach(id, 'stopped');
  await eventually('all to be gone', async () => (await pids()).length === 0);
  await workspace.succeed(['kill', '--all', id, 'KILL']);
  failed(t, await workspace.strata(['kill', id, 'KILL']), 'container not running');
  await workspace.succeed(['delete', id]);
});

containerTest('SIGKILL, and delete, take all processes of a container that shares its pid namespace', async (t, workspace) => {
  const killed = await sharing(workspace);
  await workspace.succeed(['kill', killed.id, 'KILL']);
  await eventually('all to be gone', async () => (await killed.pids()).length === 0);
  await workspace.succeed(['delete', killed.id]);

  // The first process is gone and the container stopped; the others are still to be cleared up.
  const { id, pids } = await sharing(workspace);
  process.kill((await workspace.state(id)).pid, 'SIGKILL');
  await workspace.reach(id, 'stopped');
  t.true((await pids()).length > 0);
  await workspace.succeed(['delete', id]);
});

containerTest('pause and resume', async (t, workspace) => {
  const bundle = workspace.script('i=0; while :; do i=$((i + 1)); echo $i >/count; done');
  const { id } = await workspace.start(bundle);
  const count = () => Number(fs.existsSync(`${bundle.rootfs}/count`) ? fs.readFileSync(`${bundle.rootfs}/count`, 'utf8') : 0);
  await eventually('the program to count', () => count() > 0);
  await workspace.succeed(['pause', id]);
  t.is((await workspace.state(id)).status, 'paused');
  t.true((await workspace.state(id)).pid > 0);
  const stopped = count();
  t.true((await workspace.succeed(['list'])).stdout.includes('paused'));
  t.is((JSON.parse((await workspace.succeed(['ps', '-f', 'json', id])).stdout) as number[]).length, 1);
  t.is(count(), stopped);
  await workspace.succeed(['resume', id]);
  t.is((await workspace.state(id)).status, 'running');
  await eventually('the program to count on', () => count() > stopped);
  await workspace.remove(id);

  const { id: created } = await workspace.create(workspace.script(SLEEP));
  await workspace.succeed(['pause', created]);
  await workspace.succeed(['resume', created]);
  await workspace.succeed(['start', created]);
  await workspace.remove(created);
});

containerTest('kill and delete of a paused container do not hang', async (t, workspace) => {
  for (const share of [false, true]) {
    const paused = async (): Promise<string> => {
      const { id } = await workspace.start(
        workspace.script('sleep 1000 & sleep 1000', (config) => {
          if (share) withoutNamespaces(config, 'pid');
        }),
      );
      await workspace.succeed(['pause', id]);
      return id;
    };
    const killed = await paused();
    await workspace.succeed(['kill', killed, 'KILL']);
    await workspace.reach(killed, 'stopped');
    await workspace.succeed(['delete', killed]);

    const all = await paused();
    await workspace.succeed(['kill', '--all', all, 'KILL']);
    await workspace.reach(all, 'stopped');
    await workspace.succeed(['delete', all]);

    const deleted = await paused();
    failed(t, await workspace.strata(['delete', deleted]), deleted);
    await workspace.succeed(['delete', '--force', deleted]);

    // Other signals wait until it is resumed.
    const asked = await paused();
    await workspace.succeed(['kill', asked, 'USR1']);
    // On v2 one that ends the process does so at once; the first of a pid namespace hears none of them.
    if (CGROUP_V2 && share) await workspace.reach(asked, 'stopped');
    else {
      t.is((await workspace.state(asked)).status, 'paused');
      await workspace.succeed(['resume', asked]);
    }
    await workspace.remove(asked);
  }
});

const NO_FREEZER = fs.existsSync('/sys/fs/cgroup/freezer') ? undefined : 'needs a v1 freezer';

unless(NO_FREEZER)('processes that the container has frozen itself do not keep it from being killed and deleted', async (t, workspace) => {
  const script = [
    'cd /sys/fs/cgroup/freezer; mkdir -p own/deep; sleep 1000 & echo $! >own/deep/cgroup.procs; echo FROZEN >own/freezer.state',
    'until grep -q FROZEN own/freezer.state; do sleep 0.01; done; echo frozen; sleep 1000',
  ].join('; ');
  for (const share of [false, true]) {
    for (const verb of [
      ['kill', 'KILL'],
      ['delete', '--force'],
    ]) {
      const bundle = workspace.script(script, (config) => {
        withAllCapabilities(config);
        for (const mount of config.mounts) if (mount.type === 'cgroup') mount.options = [];
        if (share) withoutNamespaces(config, 'pid');
      });
      const { id, stdout } = await workspace.start(bundle);
      await eventually('the container to freeze its program', () => stdout() === 'frozen\n');
      if (verb[0] === 'kill') {
        await workspace.succeed(['kill', id, 'KILL']);
        await workspace.reach(id, 'stopped');
        await workspace.succeed(['delete', id]);
      } else await workspace.succeed(['delete', '--force', id]);
    }
  }
  t.deepEqual(workspace.leaks(), []);
});

containerTest('delete --force, whatever the container is', async (t, workspace) => {
  const { id: created } = await workspace.create(workspace.bundle());
  await workspace.succeed(['delete', '--force', created]);
  const { id: running } = await workspace.start(workspace.script('trap "" TERM INT HUP; while :; do sleep 1; done'));
  await workspace.succeed(['delete', '-f', running]);
  const { id: stopped } = await workspace.start(workspace.script('exit 0'));
  await workspace.reach(stopped, 'stopped');
  await workspace.succeed(['delete', '-f', stopped]);
  t.is((await workspace.succeed(['delete', '--force', 'never-was'])).stderr, '');
});

containerTest('list', async (t, workspace) => {
  t.is((await workspace.succeed(['list', '-q'])).stdout, '');
  t.is((await workspace.succeed(['list', '--format', 'json'])).stdout, '[]\n');
  const { id: first } = await workspace.start(workspace.script('sleep 1000 & sleep 1001'));
  const { id: second } = await workspace.create(workspace.bundle());
  t.is((await workspace.succeed(['list', '--quiet'])).stdout, `${[first, second].sort().join('\n')}\n`);
  const states = JSON.parse((await workspace.succeed(['list', '-f', 'json'])).stdout) as ContainerState[];
  for (const state of states) t.deepEqual(state, await workspace.state(state.id));
  t.is(states.length, 2);
  const [heading = '', ...lines] = (await workspace.succeed(['list'])).stdout.trimEnd().split('\n');
  t.deepEqual(heading.split(/\s+/), ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER']);
  t.is(lines.length, 2);
  failed(t, await workspace.strata(['list', '--format', 'xml']), 'xml');
  await workspace.remove(first);
  await workspace.remove(second);
});

unless(noPs())('ps', async (t, workspace) => {
  const { id: first } = await workspace.start(workspace.script('sleep 1000 & sleep 1001'));
  const { pid } = await workspace.state(first);
  await eventually('both programs to run', async () => (await workspace.succeed(['ps', first])).stdout.includes('sleep 1001'));
  const pids = JSON.parse((await workspace.succeed(['ps', '--format', 'json', first])).stdout) as number[];
  t.true(pids.includes(pid));
  t.is(pids.length, 2);
  const table = (await workspace.succeed(['ps', first])).stdout.trimEnd().split('\n');
  t.regex(table[0] ?? '', /^UID +PID +PPID/);
  t.is(table.length, 3);
  const own = (await workspace.succeed(['ps', first, '-o', 'pid,args'])).stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.trim());
  t.true(own.some((line) => line.startsWith(`${pid} `)));
  failed(t, await workspace.strata(['ps', first, '--no-such-option']));
  failed(t, await workspace.strata(['ps', first, '-o', 'args']), 'PID');
  await workspace.remove(first);
});

containerTest('run: exit status, and nothing left', async (t, workspace) => {
  for (const [script, code] of [
    ['exit 0', 0],
    ['exit 3', 3],
    ['exit 255', 255],
    ['kill -9 $$; sleep 1000 & kill -9 $!; wait $!', 137],
    ['sh -c "kill -TERM \\$\\$"; exit $?', 143],
  ] as const) {
    t.is((await workspace.run(workspace.script(script))).code, code, script);
    t.deepEqual(workspace.leaks(), []);
  }
  // A signal from outside, for the first process of a pid namespace is spared those of its own.
  const bundle = workspace.script(SLEEP);
  const id = workspace.id();
  const running = workspace.spawn(['run', '--bundle', bundle.directory, id]);
  await eventually('the container to run', async () => (await workspace.strata(['state', id])).stdout.includes('"running"'));
  await workspace.succeed(['kill', id, 'KILL']);
  t.is((await running.result).code, 137);
});

containerTest('run --keep, --detach and --pid-file', async (t, workspace) => {
  const bundle = workspace.script('exit 5');
  const kept = workspace.id();
  t.is((await workspace.strata(['run', '--keep', '--bundle', bundle.directory, kept])).code, 5);
  t.is((await workspace.state(kept)).status, 'stopped');
  await workspace.succeed(['delete', kept]);

  const pidFile = workspace.path('pid');
  const detached = workspace.id();
  await workspace.succeed(['run', '--detach', '--pid-file', pidFile, '--bundle', workspace.script(SLEEP).directory, detached]);
  const { pid, status } = await workspace.state(detached);
  t.is(status, 'running');
  t.is(fs.readFileSync(pidFile, 'utf8'), `${pid}`);
  await workspace.remove(detached);

  // A file that cannot be written is found out, and nothing is left of the container.
  failed(
    t,
    await workspace.strata(['create', '--pid-file', '/no/such/directory/pid', '--bundle', bundle.directory, workspace.id()]),
    'no such file or directory',
  );
  failed(
    t,
    await workspace.strata(['run', '--pid-file', '/no/such/directory/pid', '--bundle', bundle.directory, workspace.id()]),
    'no such file or directory',
  );
  const gone = workspace.path('pid');
  const failing = workspace.bundle({ process: { args: ['/bin/sh'] }, hooks: { createRuntime: [{ path: '/bin/false' }] } });
  failed(t, await workspace.strata(['create', '--pid-file', gone, '--bundle', failing.directory, workspace.id()]), '/hooks/createRuntime/0');
  t.false(fs.existsSync(gone));
});

containerTest('run --detach survives its caller, and its end is seen', async (t, workspace) => {
  const bundle = workspace.script('while [ ! -e /end ]; do sleep 0.02; done; exit 9');
  const id = workspace.id();
  await workspace.succeed(['run', '-d', '--bundle', bundle.directory, id], { through: ['setsid', '--wait'] });
  t.is((await workspace.state(id)).status, 'running');
  bundle.file('end', '');
  await workspace.reach(id, 'stopped');
  await workspace.succeed(['delete', id]);
});

containerTest('--console-socket gets the terminal of a container', async (t, workspace) => {
  const receiver = workspace.path('receiver');
  execFileSync('cc', ['-D_GNU_SOURCE', '-o', receiver, join(import.meta.dirname, '../helpers/console-receiver.c')]);
  for (const verb of [['create'], ['run', '--detach']]) {
    const socket = join(workspace.directory, `${verb[0]}.sock`);
    const helper = workspace.helper([receiver, socket]);
    let seen = '';
    helper.stdout?.on('data', (data: Buffer) => {
      seen += data.toString();
    });
    await eventually('the receiver to listen', () => fs.existsSync(socket));
    const bundle = workspace.script(
      'tty; stty size; for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done; echo well?; read -r line; echo "got $line"',
      {
        process: { terminal: true, consoleSize: { height: 33, width: 111 }, user: { uid: 1000, gid: 1000 } },
      },
    );
    const id = workspace.id();
    const { stdout, stderr } = await workspace.succeed([...verb, '--console-socket', socket, '--bundle', bundle.directory, id]);
    if (verb[0] === 'create') await workspace.succeed(['start', id]);
    await eventually('the container to ask', () => seen.includes('\nwell?\r\n'));
    helper.stdin?.write('an answer\n');
    await eventually('the container to echo it', () => seen.includes('got an answer\r\n'));
    t.regex(seen, /^name [^\n]+\nsize 33 111\n(\/dev\/\S+)\r\n33 111\r\n\1\r\n\1\r\n\1\r\nwell\?\r\nan answer\r\ngot an answer\r\n$/);
    t.is(stdout + stderr, '');
    await workspace.reach(id, 'stopped');
    await workspace.succeed(['delete', id]);
    await workspace.endHelpers();
  }
});

containerTest('a terminal and a console socket go together', async (t, workspace) => {
  const terminal = workspace.bundle({ process: { terminal: true } }).directory;
  const plain = workspace.bundle().directory;
  const socket = workspace.path('no-socket');
  failed(t, await workspace.strata(['create', '--bundle', terminal, workspace.id()]), 'console socket', '/process/terminal');
  failed(t, await workspace.strata(['run', '-d', '--bundle', terminal, workspace.id()]), 'console socket');
  failed(t, await workspace.strata(['create', '--console-socket', socket, '--bundle', plain, workspace.id()]), 'without a terminal');
  failed(t, await workspace.strata(['run', '--console-socket', socket, '--bundle', terminal, workspace.id()]), 'foreground');
  failed(
    t,
    await workspace.strata(['create', '--console-socket', socket, '--bundle', terminal, workspace.id()]),
    socket,
    'no such file or directory',
  );
});

containerTest('--no-pivot', async (t, workspace) => {
  const script =
    'ls -d /etc/mark /dev/null; cat /etc/mark; ls / | grep -c lost+found; touch /x; chroot . true; mount | grep -c " / "; cd /; ls -di .. . | tr "\\n" " "';
  const bundle = workspace.script(script, (config) => {
    config.root.readonly = true;
  });
  bundle.file('etc/mark', 'mark\n');
  const { stdout, stderr } = await workspace.run(bundle, ['--no-pivot']);
  t.regex(stdout, /^\/dev\/null\n\/etc\/mark\nmark\n0\n1\n *(\d+) \.\.? +\1 \.\.? $/);
  t.regex(stderr, /touch: \/x: Read-only file system/);
});

containerTest('bundles: relative, the working directory, missing, without a configuration', async (t, workspace) => {
  const bundle = workspace.script('echo here');
  t.is((await workspace.strata(['run', workspace.id()], { cwd: bundle.directory })).stdout, 'here\n');
  t.is((await workspace.strata(['run', '-b', 'rootfs/../', workspace.id()], { cwd: bundle.directory })).stdout, 'here\n');
  failed(t, await workspace.strata(['run', '--bundle', '/no/such/bundle', workspace.id()]), '/no/such/bundle', 'no such file or directory');
  failed(t, await workspace.strata(['run', '--bundle', '/etc/passwd', workspace.id()]), '/etc/passwd', 'not a directory');
  failed(t, await workspace.strata(['run', '--bundle', bundle.rootfs, workspace.id()]), 'config.json', 'no such file or directory');
  const { code, stdout } = await workspace.strata(['--root', './relative-root', 'run', '--bundle', bundle.directory, workspace.id()]);
  t.is(code, 0);
  t.is(stdout, 'here\n');
  t.deepEqual(fs.readdirSync(join(workspace.directory, 'relative-root')), []);
});

containerTest('a container without a process can be created, not started', async (t, workspace) => {
  const bundle = workspace.bundle((config) => delete (config as Partial<typeof config>).process);
  const { id } = await workspace.create(bundle);
  t.is((await workspace.state(id)).status, 'created');
  failed(t, await workspace.strata(['start', id]), '/process');
  t.is((await workspace.state(id)).status, 'created');
  await workspace.remove(id);
  failed(t, await workspace.run(bundle), '/process');
});

containerTest('a damaged state is never believed', async (t, workspace) => {
  const bystander = workspace.helper(['sleep', '1000']);
  const bundle = workspace.script(SLEEP);
  const { id } = await workspace.start(bundle);
  const directory = join(workspace.root, id);
  const file = join(directory, 'state.json');
  const good = fs.readFileSync(file, 'utf8');
  await workspace.remove(id);
  const record = { ...(JSON.parse(good) as Record<string, unknown>), pid: bystander.pid };
  const startTime = (pid: number): string => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19] ?? '';
  const damages: Record<string, string | Uint8Array | undefined> = {
    missing: undefined,
    empty: '',
    'cut short': JSON.stringify(record).slice(0, -20),
    'no JSON': 'pid: 1\n',
    'bytes that are no text': Buffer.from([0xff, 0xfe, 0x00]),
    'not an object': '[]',
    null: 'null',
    "another's id": JSON.stringify({ ...record, id: 'other' }),
    'another version': JSON.stringify({ ...record, version: 2 }),
    'a pid that is text': JSON.stringify({ ...record, pid: `${bystander.pid}`, startTime: startTime(bystander.pid) }),
    'a pid below 1': JSON.stringify({ ...record, pid: -1 }),
    'a pid of 0': JSON.stringify({ ...record, pid: 0 }),
    'a pid that is no integer': JSON.stringify({ ...record, pid: 1.5 }),
    'a pid without start time': JSON.stringify({ ...record, startTime: undefined }),
    'a start time that is no number': JSON.stringify({ ...record, startTime: 'now' }),
    'a status of its own': JSON.stringify({ ...record, status: 'sleeping' }),
    'cgroups that lead up': JSON.stringify({ ...record, cgroups: [{ hierarchy: '/sys/fs/cgroup/pids', path: '/x/../..' }] }),
    'cgroups that are no list': JSON.stringify({ ...record, cgroups: '/' }),
    'a relative bundle': JSON.stringify({ ...record, bundle: 'here' }),
    'hooks that are none': JSON.stringify({ ...record, poststop: [{ path: 7 }] }),
  };
  for (const [what, text] of Object.entries(damages)) {
    fs.mkdirSync(directory);
    if (text !== undefined) fs.writeFileSync(file, text);
    const verbs = what === 'cut short' ? ['state', 'start', 'pause', 'resume', 'delete', 'kill', 'ps'] : ['state', 'kill', 'delete'];
    for (const verb of verbs) failed(t, await workspace.strata([verb, id]), 'damaged');
    const listed = await workspace.succeed(['list', '-q']);
    t.is(listed.stdout, '', what);
    t.regex(listed.stderr, /^strata: warning: [^\n]*damaged[^\n]*\n$/, what);
    t.is((await workspace.strata(['create', '--bundle', bundle.directory, id])).code, 1);
    await workspace.succeed(['delete', '--force', id]);
    t.false(fs.existsSync(directory), what);
  }
  t.is(bystander.exitCode, null);
  t.is(bystander.signalCode, null);
});

containerTest('another process that has got the pid is neither seen nor signalled', async (t, workspace) => {
  const bystander = workspace.helper(['sleep', '1000']);
  const { id } = await workspace.start(workspace.script(SLEEP));
  const file = join(workspace.root, id, 'state.json');
  const good = fs.readFileSync(file, 'utf8');
  const { pid } = await workspace.state(id);
  fs.writeFileSync(file, JSON.stringify({ ...(JSON.parse(good) as object), pid: bystander.pid }));
  t.like(await workspace.state(id), { status: 'stopped', pid: 0 });
  failed(t, await workspace.strata(['kill', id, 'KILL']), 'container not running');
  fs.writeFileSync(file, good);
  t.like(await workspace.state(id), { status: 'running', pid });
  fs.writeFileSync(file, JSON.stringify({ ...(JSON.parse(good) as object), pid: bystander.pid }));
  // Whoever is in its cgroups belongs to the container all the same.
  await workspace.succeed(['delete', id]);
  t.is(bystander.exitCode, null);
  t.is(bystander.signalCode, null);
});

containerTest('--log and --log-format, for errors and warnings', async (t, workspace) => {
  const wrong = workspace.bundle({ process: { cwd: 'relative' } });
  const json = workspace.path('json');
  const text = workspace.path('text');
  failed(t, await workspace.strata(['--log', json, '--log-format', 'json', 'run', '--bundle', wrong.directory, workspace.id()]), '/process/cwd');
  failed(t, await workspace.strata(['--log', json, '--log-format=json', 'state', 'nobody']), 'container does not exist');
  const [first, second, ...none] = fs
    .readFileSync(json, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);
  t.deepEqual(none, []);
  t.like(first, { level: 'error', code: 'config-invalid', pointer: '/process/cwd' });
  t.like(second, { level: 'error', code: 'not-found', msg: 'container does not exist: nobody' });
  for (const entry of [first, second]) t.regex(entry?.time ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
  t.is(fs.statSync(json).mode & 0o777, 0o600);

  failed(t, await workspace.strata(['--log', text, 'state', 'nobody']));
  t.regex(fs.readFileSync(text, 'utf8'), /^time="[^"]+" level=error msg="container does not exist: nobody"\n$/);
  // A message cannot forge a second line, whatever is in it.
  failed(t, await workspace.strata(['--log', text, '--log-format', 'text', 'state', 'a\nlevel=error msg="forged"']));
  t.is(fs.readFileSync(text, 'utf8').trimEnd().split('\n').length, 2);

  // Warnings go to the log in place of standard error, which is the container's.
  const warned = workspace.script('echo fine', { hooks: { poststop: [{ path: '/bin/false' }] } });
  fs.rmSync(json);
  const result = await workspace.strata(['--log', json, '--log-format', 'json', 'run', '--bundle', warned.directory, workspace.id()]);
  t.deepEqual([result.code, result.stdout, result.stderr], [0, 'fine\n', '']);
  t.like(JSON.parse(fs.readFileSync(json, 'utf8')), { level: 'warning' });

  fs.rmSync(json);
  await workspace.succeed(['--debug', '--log', json, '--log-format', 'json', 'run', '--bundle', workspace.script(':').directory, workspace.id()]);
  t.true(
    fs
      .readFileSync(json, 'utf8')
      .trimEnd()
      .split('\n')
      .every((line) => (JSON.parse(line) as { level: string }).level === 'debug'),
  );
  failed(t, await workspace.strata(['--log', '/no/such/directory/log', 'state', 'nobody']), '/no/such/directory/log');
});

containerTest('plan needs no rights and touches nothing', async (t, workspace) => {
  const bundle = workspace.bundle((config) => {
    config.hooks = { prestart: [{ path: '/bin/true' }] };
    config.mounts.push({ destination: '/made', type: 'tmpfs', source: 'tmpfs' });
    config.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }] };
  });
  const snapshot = (): string => execFileSync('find', [bundle.directory, '-printf', '%p %T@ %C@ %m\n'], { encoding: 'utf8' });
  const before = snapshot();
  const through = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const reachable = (): boolean => {
    try {
      execFileSync('setpriv', [...through.slice(1), STRATA, '--version'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const options = reachable() ? { through } : {};
  if (!reachable()) t.log('the build cannot be reached by other users: tried as root');
  const text = await workspace.succeed(['plan', '--bundle', bundle.directory], options);
  t.regex(text.stdout, /mount/);
  t.is(text.stderr, '');
  const json = await workspace.succeed(['plan', '--bundle', bundle.directory, '--format', 'json', 'an-id'], options);
  const plan = JSON.parse(json.stdout) as { operations?: { op: string; pointer: string }[] } | { op: string; pointer: string }[];
  const operations = Array.isArray(plan) ? plan : (plan.operations ?? []);
  t.true(operations.some(({ op, pointer }) => op === 'mount' && pointer === '/mounts/7'));
  t.true(operations.some(({ op }) => op === 'runtime-hooks'));
  t.is(operations.at(-1)?.op, 'exec');
  t.is(snapshot(), before);
  t.false(fs.existsSync(workspace.root));
  t.false(fs.existsSync(`${bundle.rootfs}/made`));
  bundle.edit({ process: { cwd: 'relative' } });
  failed(t, await workspace.strata(['plan', '--bundle', bundle.directory], options), '/process/cwd');

  // What does need them says so.
  if (reachable()) {
    fs.mkdirSync(workspace.root, { mode: 0o755 });
    for (const verb of ['create', 'run']) {
      const refused: Result = await workspace.strata([verb, '--bundle', workspace.bundle().directory, 'x'], options);
      failed(t, refused, 'root', 'operation not permitted');
    }
  }
});

containerTest('spec writes a configuration that runs', async (t, workspace) => {
  const bundle = workspace.bundle();
  const file = join(bundle.directory, 'config.json');
  failed(t, await workspace.strata(['spec', '--bundle', bundle.directory]), 'config.json', 'exists');
  fs.rmSync(file);
  await workspace.succeed(['spec'], { cwd: bundle.directory });
  const config = JSON.parse(fs.readFileSync(file, 'utf8')) as typeof bundle.config;
  t.is(config.ociVersion, '1.3.0');
  config.process.terminal = false;
  config.process.args = ['sh', '-c', 'hostname; touch /x 2>/dev/null || echo read-only'];
  bundle.write(JSON.stringify(config));
  t.is(await workspace.output(bundle), 'strata\nread-only\n');
  fs.rmSync(file);
  await workspace.succeed(['spec', '--rootless', '-b', bundle.directory]);
  t.true((JSON.parse(fs.readFileSync(file, 'utf8')) as typeof config).linux.namespaces.some(({ type }) => type === 'user'));
  await workspace.succeed(['plan', '--bundle', bundle.directory]);
});
