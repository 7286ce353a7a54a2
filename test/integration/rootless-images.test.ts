/** Images of ordinary users: a store of their own whose files have the owners that the containers are to see, and containers made of it. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { eventually, HOST, type Result, type Running, STRATA, type Workspace } from '../helpers/container.ts';
import { busyboxTar, makeLayout, tarOf } from '../helpers/layout.ts';
import { program, User } from '../helpers/user.ts';
import { failed, isStatic, unless } from './_support.ts';

function whyNot(): string | undefined {
  const missing = ['useradd', 'userdel', 'setpriv', 'unshare', 'newuidmap', 'newgidmap'].filter((name) => program(name) === undefined);
  if (missing.length > 0) return `needs ${missing.join(', ')} (Debian: passwd, util-linux, uidmap)`;
  return HOST === 'node' || !isStatic() ? 'needs the static command, for the user cannot read the build' : undefined;
}

/** What of the build the user needs, where the user can read it. */
function install(workspace: Workspace): string {
  const from = dirname(dirname(fs.realpathSync(STRATA)));
  const to = workspace.path('installed');
  for (const name of ['bin/strata', 'dist/bin/strata.cjs', 'build/Release/strata.node', 'build/node-path']) {
    fs.mkdirSync(dirname(join(to, name)), { recursive: true });
    fs.copyFileSync(join(from, name), join(to, name));
  }
  fs.chmodSync(join(to, 'bin/strata'), 0o755);
  return join(to, 'bin/strata');
}

class Images {
  readonly user: User;
  readonly store: string;
  private readonly command: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace, user: User) {
    this.workspace = workspace;
    this.user = user;
    this.store = join(user.home, '.local/share/strata');
    this.command = install(workspace);
  }

  strata(...args: readonly string[]): Promise<Result> {
    return this.user.strata(args, [], { command: this.command });
  }

  /** Runs a verb through a script, whose arguments it is. */
  start(host: string, script: string, ...args: readonly string[]): Running {
    return this.workspace.spawn(args, this.user.options(['sh', '-c', script, 'sh'], { command: this.command, env: { STRATA_HOST: host } }));
  }

  async out(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.strata(...args);
    if (code !== 0) throw new Error(`strata ${args.join(' ')}: ${code}\n${stderr}${stdout}`);
    return stdout;
  }

  /** Directories of the layers, by a file that one has. */
  layerWith(path: string): string {
    const layers = join(this.store, 'layers');
    const found = fs.readdirSync(layers).find((name) => fs.existsSync(join(layers, name, 'diff', path)));
    return join(layers, found ?? '', 'diff');
  }

  leftovers(): string[] {
    return ['containers', 'tmp', 'volumes'].flatMap((name) => fs.readdirSync(join(this.store, name)));
  }
}

function imagesTest(title: string, body: (t: ExecutionContext, images: Images, workspace: Workspace) => Promise<unknown>): void {
  unless(whyNot())(title, async (t, workspace) => {
    const user = new User(workspace);
    try {
      const images = new Images(workspace, user);
      const layers = [
        busyboxTar(workspace.path('base')),
        tarOf([
          { path: 'hidden/', type: '5' },
          { path: 'hidden/below', content: 'below' },
          { path: 'gone', content: 'gone' },
        ]),
        tarOf([
          { path: '.wh.gone' },
          { path: 'hidden/', type: '5' },
          { path: 'hidden/.wh..wh..opq' },
          { path: 'hidden/above', content: 'above', uid: 5, gid: 6 },
          { path: 'data/', type: '5', mode: 0o700, uid: 5, gid: 6 },
          { path: 'data/secret', content: 'of five\n', mode: 0o600, uid: 5, gid: 6 },
          { path: 'suid', content: '', mode: 0o4755, uid: 0, gid: 0 },
        ]),
      ];
      const layout = makeLayout(workspace.path('layout'), { layers, config: { Cmd: ['sh'], Labels: {} } });
      await images.out('image', 'import', '--quiet', '--name', 'made', layout);
      await body(t, images, workspace);
    } finally {
      await user.end();
    }
  });
}

imagesTest('owners are the user’s subordinate ids, and layers hide what they should', async (t, images, workspace) => {
  const { user, store } = images;
  t.is(fs.statSync(store).uid, user.uid);
  const layer = images.layerWith('data/secret');
  const owner = (path: string): number[] => [fs.statSync(join(layer, path)).uid, fs.statSync(join(layer, path)).gid];
  t.deepEqual(owner('data/secret'), [user.firstUid + 4, user.firstGid + 5]);
  t.deepEqual(owner('suid'), [user.uid, user.gid]);
  t.true(fs.statSync(join(layer, 'gone')).isCharacterDevice());
  t.regex(await images.out('image', 'ls'), /^made +latest/m);

  const script = 'id -u; ls /hidden; ls -d /gone; stat -c "%u %g %a" /data/secret /suid; cat /data/secret';
  const { code, stdout } = await images.strata('run', '--rm', '--image', 'made', workspace.id(), 'sh', '-c', script);
  t.deepEqual([code, stdout], [0, '0\nabove\n5 6 600\n0 0 4755\nof five\n']);
  t.deepEqual(images.leftovers(), []);
  t.is(await images.out('fsck'), 'the store is sound\n');
});

imagesTest('what a container has changed becomes an image, and everything can be removed', async (t, images, workspace) => {
  const id = workspace.id();
  await images.out(
    'run',
    '--image',
    'made',
    id,
    'sh',
    '-c',
    'rm -r /hidden; mkdir /hidden; echo x >/hidden/x; chown 7:8 /hidden/x; echo y >>/data/secret',
  );
  t.deepEqual(
    JSON.parse(await images.out('diff', '--format', 'json', id))
      .map(({ kind, path }: { kind: string; path: string }) => kind + path)
      .sort(),
    ['A/hidden/x', 'C/data', 'C/data/secret', 'C/hidden', 'D/hidden/above'],
  );
  const committed = await images.strata('commit', id, 'changed');
  t.deepEqual([committed.code, committed.stderr], [0, '']);
  const look = 'stat -c "%u %g %n" /hidden/*; cat /data/secret';
  t.is(await images.out('run', '--rm', '--image', 'changed', workspace.id(), 'sh', '-c', look), '7 8 /hidden/x\nof five\ny\n');
  await images.out('delete', id);
  t.deepEqual(images.leftovers(), []);
  await images.out('image', 'rm', 'changed', 'made');
  await images.out('prune');
  t.deepEqual(fs.readdirSync(join(images.store, 'layers')), []);
});

imagesTest('descriptors of the caller reach the verb that goes on in the user namespace', async (t, images) => {
  const archive = join(images.user.home, 'root.tar');
  fs.writeFileSync(archive, tarOf([{ path: 'file', content: 'x' }]));
  fs.chmodSync(archive, 0o644);
  for (const host of ['static', 'node']) {
    const { code, stderr } = await images.start(host, `exec "$@" 9<${archive}`, 'image', 'import', '--name', host, '/dev/fd/9').result;
    t.is(code, 0, `${host}: ${stderr}`);
    await images.out('image', 'rm', host);
  }
});

imagesTest('a signal reaches the verb that goes on in the user namespace', async (t, images, workspace) => {
  for (const host of ['static', 'node']) {
    const fifo = join(images.user.home, `archive-${host}`);
    execFileSync('mkfifo', ['-m', '666', fifo]);
    const before = images.leftovers();
    const running = images.start(host, `exec "$@" <>${fifo}`, 'image', 'import', '--name', 'never', '-');
    await eventually('the import to wait for the archive', () => images.leftovers().length > before.length);
    running.process.kill('SIGTERM');
    const { code, stderr } = await running.result;
    t.deepEqual([code, stderr], [143, 'strata: interrupted by signal 15\n'], host);
    t.deepEqual(images.user.processes(), [], host);
    t.deepEqual(images.leftovers(), before);
  }
  t.deepEqual(workspace.leaks(), []);
});

imagesTest('a container in the background', async (t, images, workspace) => {
  const id = workspace.id();
  await images.out('run', '--detach', '--image', 'made', id, 'sh', '-c', 'echo said; touch /data/mine; sleep 1000');
  t.is(await images.out('exec', id, 'id', '-u'), '0\n');
  t.is(await images.out('exec', '--user', '5:6', id, 'cat', '/data/secret'), 'of five\n');
  await eventually('the output to be logged', async () => (await images.out('logs', id)) === 'said\n');
  t.regex(await images.out('ps'), /Up since/);
  failed(t, await images.strata('commit', id, 'running'), 'it has no cgroup with a freezer', 'pause false');
  t.is((await images.strata('commit', '--pause', 'false', id, 'running')).stderr, '');
  await images.out('kill', id, 'KILL');
  await eventually('the container to end', async () => /Exited \(137\)/.test(await images.out('ps', '--all')));
  await images.out('start', id);
  t.is(await images.out('exec', id, 'ls', '/data'), 'mine\nsecret\n');
  await images.out('delete', '--force', id);
  t.deepEqual(images.leftovers(), []);
});

imagesTest('what cannot be had is one error, and leaves nothing', async (t, images, workspace) => {
  const { user } = images;
  failed(t, await images.strata('run', '--image', 'made', '--memory', '64m', workspace.id(), 'true'), '/linux/resources/memory/limit');
  t.deepEqual(images.leftovers(), []);
  for (const file of ['/etc/subuid', '/etc/subgid']) {
    const text = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, text.replace(new RegExp(`^${user.name}:.*\n`, 'm'), ''));
    try {
      for (const args of [
        ['image', 'ls'],
        ['run', '--image', 'made', workspace.id(), 'true'],
        ['image', 'rm', 'made'],
      ]) {
        if (args[1] === 'ls') t.is((await images.strata(...args)).code, 0);
        else failed(t, await images.strata(...args), `${file} has no ids for user ${user.name}`);
      }
    } finally {
      fs.writeFileSync(file, text);
    }
  }
  t.deepEqual(images.leftovers(), []);
});
