/** config.md, POSIX-platform Hooks; runtime.md, Lifecycle: which hooks run when, where, with what, and what their failure does. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, eventually, type HookConfig, namespaceOf, type Workspace, withAllCapabilities } from '../helpers/container.ts';
import { containerTest, failed } from './_support.ts';

const KINDS = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;
type Kind = (typeof KINDS)[number];
/** Their paths, and where they run, are the container's or the runtime's. */
const BEFORE: readonly Kind[] = ['prestart', 'createRuntime', 'createContainer', 'startContainer'];
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts'];

/** What hooks write goes to a directory that the container has too, at /out. In a hook's script $OUT names it. */
class Notes {
  readonly directory: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    this.directory = workspace.path('out');
    fs.mkdirSync(this.directory);
  }

  hook(kind: Kind, script: string, more: Partial<HookConfig> = {}): HookConfig {
    return {
      path: '/bin/sh',
      args: ['sh', '-c', script],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', `OUT=${kind === 'startContainer' ? '/out' : this.directory}`],
      ...more,
    };
  }

  /** A bundle with these hooks, whose program notes that it ran. */
  bundle(hooks: (kind: Kind) => HookConfig[]): Bundle {
    return this.workspace.script('echo program >>/out/order', (config) => {
      config.hooks = Object.fromEntries(KINDS.map((kind) => [kind, hooks(kind)]));
      config.mounts.push({ destination: '/out', source: this.directory, options: ['bind'] });
      config.annotations = { 'com.example.note': 'remember "this"\n' };
      withAllCapabilities(config);
    });
  }

  read(name: string): string {
    const path = join(this.directory, name);
    return fs.existsSync(path) ? fs.readFileSync(path, 'utf8') : '';
  }

  /** What has run so far, in order. */
  order(): string[] {
    return this.read('order').split('\n').filter(Boolean);
  }

  forget(): void {
    for (const name of fs.readdirSync(this.directory)) fs.rmSync(join(this.directory, name));
  }
}

const note = (kind: Kind, number: number): string => `echo ${kind} ${number} >>$OUT/order; cat >$OUT/${kind}.json`;

containerTest('each kind runs at its time, in order, with the state on its standard input', async (t, workspace) => {
  const notes = new Notes(workspace);
  const bundle = notes.bundle((kind) => [1, 2].map((number) => notes.hook(kind, note(kind, number))));
  const both = (...kinds: Kind[]): string[] => kinds.flatMap((kind) => [`${kind} 1`, `${kind} 2`]);
  const { id } = await workspace.create(bundle);
  const { pid } = await workspace.state(id);
  t.deepEqual(notes.order(), both('prestart', 'createRuntime', 'createContainer'));
  await workspace.succeed(['start', id]);
  await workspace.reach(id, 'stopped');
  // The program and the poststart hooks run at the same time.
  t.deepEqual(
    notes.order().filter((line) => line !== 'program'),
    both(...KINDS.slice(0, -1)),
  );
  t.true(notes.order().indexOf('program') > notes.order().indexOf('startContainer 2'));
  await workspace.succeed(['delete', id]);
  t.deepEqual(notes.order().slice(-2), both('poststop'));

  const expected: Record<Kind, [status: string, pid: number]> = {
    prestart: ['created', pid],
    createRuntime: ['creating', pid],
    createContainer: ['creating', 1],
    startContainer: ['created', 1],
    poststart: ['running', pid],
    poststop: ['stopped', 0],
  };
  for (const kind of KINDS) {
    const state = JSON.parse(notes.read(`${kind}.json`)) as Record<string, unknown>;
    const [status, seen] = expected[kind];
    t.like(state, { ociVersion: '1.3.0', id, status, bundle: bundle.directory, annotations: bundle.config.annotations }, kind);
    t.is(state.pid ?? 0, seen, kind);
  }
});

containerTest('run: all six, in the foreground', async (t, workspace) => {
  const notes = new Notes(workspace);
  const bundle = notes.bundle((kind) => [notes.hook(kind, note(kind, 1))]);
  t.is((await workspace.run(bundle)).code, 0);
  const order = notes.order().map((line) => line.split(' ')[0]);
  t.deepEqual(
    order.filter((line) => line !== 'program'),
    [...KINDS],
  );
});

containerTest('args and env are exactly what is given, and nothing else is open', async (t, workspace) => {
  const notes = new Notes(workspace);
  // busybox, which is the container's shell, looks at its name.
  const name = (kind: Kind): string => (kind === 'startContainer' ? 'sh' : 'a name');
  const out = (kind: Kind): string => (kind === 'startContainer' ? '/out' : notes.directory);
  // A createContainer hook has the host's files and the container's pids: only the container's /proc, still below its root, knows it.
  const script = (kind: Kind): string =>
    [
      `proc=${kind === 'createContainer' ? workspace.directory : ''}/proc`,
      `for name in environ cmdline; do /bin/cat $proc/$$/$name >${out(kind)}/${kind}.$name; done`,
      // By a shell of its own: its pipes, or its copies of what it redirects, would be open too.
      `/bin/sh -c '/bin/ls $1/fd >${out(kind)}/${kind}.fds' sh $proc/$$; :`,
    ].join('; ');
  const bundle = notes.bundle((kind) => [
    { path: '/bin/sh', args: [name(kind), '-c', script(kind), 'two words', ''], env: ['A=1', 'B=two words', 'C='] },
  ]);
  fs.symlinkSync(join(bundle.rootfs, 'proc'), join(workspace.directory, 'proc'));
  t.is((await workspace.run(bundle)).code, 0);
  for (const kind of KINDS) {
    t.is(notes.read(`${kind}.environ`), 'A=1\0B=two words\0C=\0', kind);
    t.is(notes.read(`${kind}.cmdline`), [name(kind), '-c', script(kind), 'two words', '', ''].join('\0'), kind);
    t.is(notes.read(`${kind}.fds`), '0\n1\n2\n', kind);
  }

  // Neither args nor env: the path itself, and the environment of the command.
  const own = workspace.path('hook');
  fs.writeFileSync(own, `#!/bin/sh\n/bin/cat /proc/$$/environ >${notes.directory}/environ\n/bin/cat /proc/$$/cmdline >${notes.directory}/cmdline\n`, {
    mode: 0o755,
  });
  const plain = notes.bundle((kind) => (kind === 'createRuntime' ? [{ path: own }] : []));
  t.is((await workspace.run(plain)).code, 0);
  t.true(notes.read('environ').split('\0').includes(`STRATA_TEST=${workspace.token}`));
  t.is(notes.read('cmdline'), `/bin/sh\0${own}\0`);
});

containerTest("hooks of the runtime run in its namespaces, hooks of the container in the container's", async (t, workspace) => {
  const notes = new Notes(workspace);
  const links = NAMESPACES.map((name) => `readlink /proc/self/ns/${name}`).join('; ');
  const bundle = notes.bundle((kind) => [
    notes.hook(kind, `(${links}) >$OUT/${kind}.ns; { hostname; [ -e /out ] && echo inside; } >$OUT/${kind}.place; :`),
  ]);
  bundle.edit({ hostname: 'in-the-container', process: { args: ['sh', '-c', `(${links}) >/out/program.ns`] } });
  t.is((await workspace.run(bundle)).code, 0);
  const program = notes.read('program.ns');
  const host = `${NAMESPACES.map((name) => namespaceOf('self', name)).join('\n')}\n`;
  for (const kind of KINDS) {
    const isInside = kind === 'createContainer' || kind === 'startContainer';
    t.is(notes.read(`${kind}.ns`), isInside ? program : host, kind);
    t.is(notes.read(`${kind}.place`).includes('inside'), kind === 'startContainer', kind);
  }
});

containerTest('before the root is entered, hooks find the mounts made and can add to the container', async (t, workspace) => {
  const notes = new Notes(workspace);
  const pid = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/')`;
  const bundle = notes.bundle((kind) => {
    if (kind === 'prestart')
      return [notes.hook(kind, `${pid}; nsenter -t $pid -n ip link add eth7 type dummy || nsenter -t $pid -n ip link set lo mtu 1234`)];
    if (kind === 'createRuntime')
      return [
        notes.hook(kind, `${pid}; nsenter -t $pid -m mount -t tmpfs from-hook "$ROOT/tmp"`, {
          env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'ROOT=$rootfs'],
        }),
      ];
    if (kind === 'createContainer')
      return [notes.hook(kind, `[ -d "$ROOT/proc/1" ] && [ -c "$ROOT/dev/null" ] && echo made >"$ROOT/etc/from-hook"`, { env: ['ROOT=$rootfs'] })];
    return [];
  });
  bundle.edit((config) => {
    for (const hooks of Object.values(config.hooks ?? {}))
      for (const hook of hooks) hook.env = hook.env?.map((entry) => entry.replace('$rootfs', bundle.rootfs)) ?? [];
    config.process.args = ['sh', '-c', 'ip link | grep -cE "eth7|mtu 1234"; grep -c " /tmp .*from-hook" /proc/self/mountinfo; cat /etc/from-hook'];
  });
  t.is(await workspace.output(bundle), '1\n1\nmade\n');
});

for (const kind of BEFORE) {
  containerTest(`a ${kind} hook that fails stops everything: later ones do not run, poststop ones do`, async (t, workspace) => {
    const notes = new Notes(workspace);
    const bundle = notes.bundle((other) => [
      notes.hook(other, note(other, 1)),
      notes.hook(other, other === kind ? 'echo first line >&2; echo the reason >&2; exit 7' : note(other, 2)),
      notes.hook(other, note(other, 3)),
    ]);
    const earlier = KINDS.slice(0, KINDS.indexOf(kind)).flatMap((other) => [1, 2, 3].map((number) => `${other} ${number}`));
    const expected = [...earlier, `${kind} 1`, 'poststop 1', 'poststop 2', 'poststop 3'];
    const words = [`/hooks/${kind}/1`, 'exit status 7', 'the reason'];

    failed(t, await workspace.run(bundle), ...words);
    t.deepEqual(notes.order(), expected, 'run');
    notes.forget();

    const id = workspace.id();
    if (kind === 'startContainer') {
      await workspace.succeed(['create', '--bundle', bundle.directory, id]);
      failed(t, await workspace.strata(['start', id]), ...words);
    } else failed(t, await workspace.strata(['create', '--bundle', bundle.directory, id]), ...words);
    t.deepEqual(notes.order(), expected, 'create and start');
    failed(t, await workspace.strata(['state', id]), 'container does not exist');
    // The id is free again.
    await workspace.succeed(['create', '--bundle', workspace.bundle().directory, id]);
    await workspace.remove(id);
  });
}

containerTest('a poststart hook that fails ends the container', async (t, workspace) => {
  const notes = new Notes(workspace);
  const bundle = notes.bundle((kind) => [notes.hook(kind, kind === 'poststart' ? 'kill -9 $$' : note(kind, 1))]);
  bundle.edit({ process: { args: ['sleep', '1000'] } });
  failed(t, await workspace.run(bundle), '/hooks/poststart/0', 'signal 9');
  t.is(notes.order().at(-1), 'poststop 1');
  const { id } = await workspace.create(bundle);
  failed(t, await workspace.strata(['start', id]), '/hooks/poststart/0', 'signal 9');
  failed(t, await workspace.strata(['state', id]), 'container does not exist');
  t.is(notes.order().at(-1), 'poststop 1');
});

containerTest('a poststop hook that fails is a warning, and the rest is done', async (t, workspace) => {
  const notes = new Notes(workspace);
  const bundle = notes.bundle((kind) =>
    kind === 'poststop' ? [notes.hook(kind, note(kind, 1)), notes.hook(kind, 'exit 3'), notes.hook(kind, note(kind, 3))] : [],
  );
  const { code, stderr } = await workspace.run(bundle);
  t.is(code, 0);
  t.regex(stderr, /^strata: warning: [^\n]*\/hooks\/poststop\/1[^\n]*exit status 3\n$/);
  t.deepEqual(notes.order(), ['program', 'poststop 1', 'poststop 3']);
});

containerTest('a hook that cannot be executed', async (t, workspace) => {
  const notes = new Notes(workspace);
  const plain = workspace.path('plain');
  fs.writeFileSync(plain, 'text');
  for (const kind of KINDS.filter((other) => other !== 'poststop')) {
    for (const [path, words] of [
      ['/no/such/hook', 'no such file or directory'],
      [kind === 'startContainer' ? '/etc/passwd' : plain, 'permission denied'],
    ] as const) {
      const bundle = notes.bundle((other) => (other === kind ? [{ path }] : []));
      failed(t, await workspace.run(bundle), `/hooks/${kind}/0`, path, words);
    }
  }
  failed(t, await workspace.run(notes.bundle((kind) => (kind === 'poststart' ? [{ path: 'relative' }] : []))), '/hooks/poststart/0/path');
  failed(
    t,
    await workspace.run(notes.bundle((kind) => (kind === 'poststart' ? [{ path: '/bin/true', timeout: 0 }] : []))),
    '/hooks/poststart/0/timeout',
  );
});

containerTest('a hook that takes longer than its timeout is killed with all that it has started', async (t, workspace) => {
  const notes = new Notes(workspace);
  for (const kind of KINDS) {
    // The token shows whose they are, should they be left.
    const script = `sh -c 'sleep 1000; : ${workspace.token}' & sh -c 'sleep 1000; : ${workspace.token}'`;
    const bundle = notes.bundle((other) => (other === kind ? [notes.hook(kind, script, { timeout: 1 })] : []));
    bundle.edit({ process: { args: ['sh', '-c', kind === 'poststart' ? 'sleep 1000' : ':'] } });
    const result = await workspace.run(bundle);
    if (kind === 'poststop') {
      t.is(result.code, 0);
      t.regex(result.stderr, /^strata: warning: [^\n]*\/hooks\/poststop\/0[^\n]* 1 s/);
    } else failed(t, result, `/hooks/${kind}/0`, / 1 s/);
    // Nobody waits for what a hook has started, so it may take a moment to die.
    await eventually(`all that the ${kind} hook has started to be gone`, () => workspace.leaks().length === 0);
  }
  // One that is in time is not touched.
  t.is((await workspace.run(notes.bundle((kind) => [notes.hook(kind, 'sleep 0.01', { timeout: 100 })]))).code, 0);
});

containerTest('a hook may leave its input unread, print much, and leave a program behind that keeps its output open', async (t, workspace) => {
  const notes = new Notes(workspace);
  const bundle = notes.bundle((kind) => [
    notes.hook(
      kind,
      'exec <&-; i=0; while [ $i -lt 3000 ]; do echo "line $i of a hook that has a lot to tell, which nobody wants to hear"; i=$((i + 1)); done',
    ),
    notes.hook(kind, kind === 'createRuntime' ? `sh -c 'echo $$ >$OUT/left; exec sleep 1000' & echo done >>$OUT/order` : ':'),
  ]);
  // More than a pipe or a socket holds.
  bundle.edit({ annotations: { 'com.example.large': 'x'.repeat(500_000) } });
  t.is((await workspace.run(bundle)).code, 0);
  t.deepEqual(notes.order(), ['done', 'program']);
  await eventually('the program that is left to have told its pid', () => notes.read('left') !== '');
  const left = Number(notes.read('left'));
  process.kill(left, 'SIGKILL');
  await eventually('it to be gone', () => !workspace.leaks().some((line) => line.startsWith(`process ${left}:`)));
});

containerTest('delete, kill and state from within hooks do not hang', async (t, workspace) => {
  const notes = new Notes(workspace);
  const strata = `${join(import.meta.dirname, '../../bin/strata')} --root ${workspace.root}`;
  const id = workspace.id();
  const bundle = notes.bundle((kind) =>
    kind === 'poststart' ? [notes.hook(kind, `${strata} state ${id} >$OUT/state; ${strata} kill ${id} KILL; echo $? >$OUT/killed`)] : [],
  );
  bundle.edit({ process: { args: ['sleep', '1000'] } });
  await workspace.succeed(['create', '--bundle', bundle.directory, id]);
  await workspace.succeed(['start', id]);
  t.is((JSON.parse(notes.read('state')) as { status: string }).status, 'running');
  t.is(notes.read('killed'), '0\n');
  await workspace.reach(id, 'stopped');
  await workspace.succeed(['delete', id]);
});
