/** Containers of ordinary users where there is cgroup v2 only: in a cgroup that was given to the user, and without one; and overlays in the user's namespace. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Bundle, CGROUP_V2, type Edit, eventually, HOST, type Result, type Workspace } from '../helpers/container.ts';
import { program, User } from '../helpers/user.ts';
import { failed, isStatic, unless } from './_support.ts';

const TOP = '/sys/fs/cgroup';

function whyNot(): string | undefined {
  if (!CGROUP_V2) return 'needs cgroup v2 only';
  const missing = ['useradd', 'userdel', 'setpriv', 'newuidmap', 'newgidmap'].filter((name) => program(name) === undefined);
  if (missing.length > 0) return `needs ${missing.join(', ')} (Debian: passwd, util-linux, uidmap)`;
  return HOST === 'node' || !isStatic() ? 'needs the static command, for the user cannot read the build' : undefined;
}

const reason = whyNot();

function userTest(title: string, body: (t: ExecutionContext, user: User, workspace: Workspace) => Promise<unknown>): void {
  unless(reason)(title, async (t, workspace) => {
    const user = new User(workspace);
    try {
      await body(t, user, workspace);
    } finally {
      await user.end();
    }
  });
}

/** A cgroup that was given to the user, as cgroup-v2's Delegation has it, with one below it for strata itself. */
class Given {
  readonly path: string;
  readonly directory: string;
  readonly leaf: string;
  private readonly user: User;

  constructor(workspace: Workspace, user: User) {
    this.user = user;
    this.path = `/${workspace.token}-given`;
    this.directory = TOP + this.path;
    this.leaf = join(this.directory, 'leaf');
    fs.mkdirSync(this.directory);
    fs.mkdirSync(this.leaf);
    for (const directory of [this.directory, this.leaf]) {
      for (const name of ['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads']) fs.chownSync(join(directory, name), user.uid, user.gid);
    }
  }

  /** Runs strata in it, as the user. */
  strata(workspace: Workspace, args: readonly string[]): Promise<Result> {
    const options = this.user.options();
    const enter = ['sh', '-c', `echo 0 >${this.leaf}/cgroup.procs; exec "$0" "$@"`];
    return workspace.strata(args, { ...options, through: [...enter, ...(options.through ?? [])] });
  }

  /** What is there besides the cgroup of strata itself. */
  left(): string[] {
    const below = (directory: string): string[] =>
      fs
        .readdirSync(directory, { withFileTypes: true })
        .flatMap((entry) => (entry.isDirectory() ? [join(directory, entry.name), ...below(join(directory, entry.name))] : []));
    return below(this.directory).filter((path) => path !== this.leaf);
  }

  remove(): void {
    for (const directory of [...this.left().reverse(), this.leaf, this.directory]) fs.rmdirSync(directory);
  }
}

function givenTest(title: string, body: (t: ExecutionContext, user: User, given: Given, workspace: Workspace) => Promise<unknown>): void {
  userTest(title, async (t, user, workspace) => {
    const given = new Given(workspace, user);
    try {
      await body(t, user, given, workspace);
      t.deepEqual(given.left(), []);
    } finally {
      await user.strata(['delete', '--force', 'unused']);
      given.remove();
    }
  });
}

const LIMITS = { memory: { limit: 33554432 }, pids: { limit: 10 }, cpu: { quota: 50000, period: 100000 } };

givenTest('a cgroup that was given to the user: limits are in force, and the whole life of a container', async (t, user, given, workspace) => {
  const cgroupsPath = `${given.path}/a/b`;
  const bundle = user.script('sleep 1000', { linux: { resources: LIMITS, cgroupsPath } });
  const id = workspace.id();
  const must = async (...args: string[]): Promise<string> => {
    const result = await given.strata(workspace, args);
    t.is(result.code, 0, `${args[0]}: ${result.stderr}`);
    return result.stdout;
  };
  const directory = TOP + cgroupsPath;
  const read = (file: string): string => fs.readFileSync(join(directory, file), 'utf8').trim();
  await must('create', '--bundle', bundle.directory, id);
  t.deepEqual(['memory.max', 'pids.max', 'cpu.max'].map(read), ['33554432', '10', '50000 100000']);
  await must('start', id);
  t.is(await must('exec', id, 'cat', '/proc/self/cgroup'), '0::/\n');

  const eats = await given.strata(workspace, ['exec', id, 'dd', 'if=/dev/zero', 'of=/dev/shm/large', 'bs=1M', 'count=60']);
  t.is(eats.code, 137, eats.stderr);
  t.regex(read('memory.events'), /^oom_kill [1-9]/m);
  // Nobody there reaps these.
  const forks = await given.strata(workspace, ['exec', id, 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done']);
  t.regex(forks.stderr, /can't fork: Resource temporarily unavailable/);
  await must('update', '--pids-limit', '50', id);
  t.is(read('pids.max'), '50');
  await must('pause', id);
  t.regex(read('cgroup.events'), /^frozen 1$/m);
  t.is(JSON.parse(await must('state', id)).status, 'paused');
  await must('resume', id);
  t.regex(read('cgroup.events'), /^frozen 0$/m);
  t.true(JSON.parse(await must('ps', '--format', 'json', id)).length >= 1);
  t.regex(await must('events', '--stats', id), /"pids"/);
  await must('kill', id, 'KILL');
  await eventually('the container to stop', async () => JSON.parse(await must('state', id)).status === 'stopped');
  await must('delete', id);
  t.deepEqual(given.left(), [], 'the cgroup above goes too');
});

givenTest('nobody is moved into it from elsewhere: one error, and nothing is left', async (t, user, given, workspace) => {
  const bundle = user.script('true', { linux: { resources: LIMITS, cgroupsPath: `${given.path}/a/b` } });
  failed(t, await user.run(bundle), "cannot make the container's process: permission denied", 'strata itself has to run in a cgroup that was given');
  t.deepEqual(given.left(), []);
  t.deepEqual(
    workspace.leaks().filter((line) => !line.includes('-given')),
    [],
  );
});

givenTest('below the cgroup of strata itself: no limits, for that has a process', async (t, user, given, workspace) => {
  const run = (edit: Edit = {}): Promise<Result> =>
    given.strata(workspace, ['run', '--bundle', user.script('cat /proc/self/cgroup', edit).directory, workspace.id()]);
  const plain = await run();
  t.deepEqual([plain.code, plain.stdout], [0, '0::/\n'], plain.stderr);
  failed(t, await run({ linux: { resources: LIMITS } }), 'the cgroup has processes of its own', 'linux.cgroupsPath can name another place');
  t.deepEqual(given.left(), []);
});

userTest('without a cgroup: no limits, or one error', async (t, user, workspace) => {
  t.is(await user.output(user.script('echo runs')), 'runs\n');
  for (const [resources, pointer] of [
    [{ memory: { limit: 33554432 } }, '/linux/resources/memory/limit'],
    [{ pids: { limit: 10 } }, '/linux/resources/pids/limit'],
    [{ unified: { 'cpu.weight': '50' } }, '/linux/resources/unified/cpu.weight'],
  ] as const) {
    failed(t, await user.run(user.script('true', { linux: { resources } })), pointer, 'in whose hierarchy this user may not make a cgroup');
  }
  t.deepEqual(workspace.leaks(), []);
});

/** A root of two layers for the user, whose files belong to root and to user 5 of his namespace; `upper` is the user's own. */
function layered(user: User, workspace: Workspace, script: string): { bundle: Bundle; upper: string } {
  const upper = user.directory('upper');
  const extra = workspace.path('extra');
  fs.mkdirSync(join(extra, 'directory/below'), { recursive: true });
  fs.writeFileSync(join(extra, 'directory/file'), 'lower\n');
  fs.writeFileSync(join(extra, 'owned'), 'of user 5\n');
  const bundle = user.script(script, (config) => {
    user.mapAll(config);
    const held = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER'];
    config.process.capabilities = { bounding: held, effective: held, permitted: held };
  });
  const base = workspace.path('base');
  fs.renameSync(bundle.rootfs, base);
  fs.mkdirSync(bundle.rootfs);
  for (const name of ['', 'directory', 'directory/below', 'directory/file']) fs.chownSync(join(extra, name), user.uid, user.gid);
  fs.chownSync(join(extra, 'owned'), user.firstUid + 4, user.firstGid + 4);
  const overlay = { lower: [extra, base], upper, work: user.directory('work') };
  bundle.edit({ annotations: { 'dev.strata.overlay': JSON.stringify(overlay) } });
  return { bundle, upper };
}

userTest('an overlay in the user namespace: whiteouts, opaque directories, owners', async (t, user, workspace) => {
  const { bundle, upper } = layered(
    user,
    workspace,
    `stat -c '%u %g' /owned /directory; rm -r /directory; mkdir /directory; echo new >/directory/new; rm /etc/group
    echo more >>/owned; mv /etc/passwd /etc/moved; chown 7:8 /directory/new; stat -c '%u %g' /owned`,
  );
  t.is(await user.output(bundle), '5 5\n0 0\n5 5\n');
  const owner = (name: string): [number, number] => {
    const { uid, gid } = fs.statSync(join(upper, name));
    return [uid, gid];
  };
  t.deepEqual(owner('owned'), [user.firstUid + 4, user.firstGid + 4]);
  t.deepEqual(owner('directory'), [user.uid, user.gid]);
  t.deepEqual(owner('directory/new'), [user.firstUid + 6, user.firstGid + 7]);
  for (const name of ['etc/group', 'etc/passwd']) {
    const status = fs.statSync(join(upper, name));
    t.deepEqual([status.isCharacterDevice(), status.rdev], [true, 0], name);
  }
  t.true(fs.statSync(join(upper, 'etc/moved')).size > 0, 'the whole file is there, not a reference to it');
  // The next container sees the same.
  bundle.edit({ process: { args: ['sh', '-c', 'ls /directory; ls /etc; cat /owned; head -1 /etc/moved | cut -c1-4'] } });
  t.is(await user.output(bundle), 'new\nmoved\nof user 5\nmore\nroot\n');
});
