/**
 * SIGKILL at every system call that others could notice, of create, run, start and delete, and of the container's process while it is set up: what is
 * left then is nothing that `delete --force` does not remove, and nothing at all where strata itself has survived.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import * as strata from '../../src/index.ts';
import type { Bundle, Config } from '../helpers/container.ts';
import { CGROUP_MANAGER, Workspace, withUserNamespace } from '../helpers/container.ts';
import type { Killed } from '../helpers/kill-at.ts';
import { buildKillAt, killAt } from '../helpers/kill-at.ts';
import { containerTest } from './_support.ts';

test.before(buildKillAt);

/** Everything that leaves something outside the container: layers, limits, a profile, a hook that strata waits for, a pid file. */
function rich(workspace: Workspace, script: string): Bundle {
  const bundle = workspace.script(script, (config) => {
    config.linux.resources.memory = { limit: 64 * 1024 * 1024 };
    config.linux.resources.pids = { limit: 16 };
    config.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['swapon'], action: 'SCMP_ACT_ERRNO' }] };
    config.mounts.push({ destination: '/mnt', type: 'tmpfs', source: 'tmpfs' });
    config.hooks = { createRuntime: [{ path: '/bin/true' }], poststart: [{ path: '/bin/true' }], poststop: [{ path: '/bin/true' }] };
    overlay(config);
  });
  for (const name of ['top', 'upper', 'work']) fs.mkdirSync(join(bundle.directory, name));
  return bundle;
}

function overlay(config: Config): void {
  config.annotations = { 'dev.strata.overlay': JSON.stringify({ lower: ['top', 'rootfs'], upper: 'upper', work: 'work' }) };
}

/** One bundle and one id, used again for every point. */
class Subject {
  readonly workspace = new Workspace();
  readonly bundle = rich(this.workspace, 'exec sleep 1000');
  /** One whose program ends by itself. */
  readonly short = rich(this.workspace, 'true');
  readonly id = this.workspace.id();
  readonly pidFile = join(this.workspace.directory, 'pid');

  get create(): string[] {
    return ['create', '--bundle', this.bundle.directory, '--pid-file', this.pidFile, this.id];
  }

  kill(point: number, args: readonly string[]): Promise<Killed> {
    return killAt('runtime', point, this.workspace.root, args, join(this.workspace.directory, 'errors'));
  }

  /** What is left after a forced delete, in words; then uses the id again. */
  async clean(killed: Killed): Promise<string[]> {
    const { workspace, id, bundle } = this;
    const { code, stderr } = await workspace.strata(['delete', '--force', id]);
    const faults = code === 0 ? [] : [`delete --force: ${stderr}`];
    const left = await killed.left();
    if (left > 0) faults.push(`${left} processes`);
    faults.push(...workspace.leaks(), ...unfinished(join(workspace.root, '@seccomp')));
    const again = await strata.create({ id, root: workspace.root, bundle: bundle.directory, cgroupManager: CGROUP_MANAGER, stdio: 'ignore' });
    await again.delete({ force: true });
    return faults;
  }
}

/** Names of files that somebody was still writing. */
function unfinished(directory: string): string[] {
  if (!fs.existsSync(directory)) return [];
  return fs.readdirSync(directory).filter((name) => name.startsWith('.'));
}

interface Verb {
  readonly name: string;
  /** Brings the container to where the verb begins. */
  readonly before: (subject: Subject) => Promise<unknown>;
  readonly args: (subject: Subject) => string[];
  /** Calls among those that somebody must have been killed at. */
  readonly covers: readonly string[];
}

const VERBS: readonly Verb[] = [
  {
    name: 'create',
    // With the compiled profile gone, it is written again.
    before: async ({ workspace }) => fs.rmSync(join(workspace.root, '@seccomp'), { recursive: true, force: true }),
    args: (subject) => subject.create,
    covers: ['mkdirat', 'setxattr', 'openat', 'write', 'linkat', 'renameat2', 'flock', 'bind', 'listen', 'memfd_create', 'socketpair', 'clone3'],
  },
  {
    name: 'run --detach',
    before: async () => {},
    args: ({ create }) => ['run', '--detach', ...create.slice(1)],
    covers: ['mkdirat', 'setxattr', 'openat', 'write', 'renameat2', 'flock', 'socketpair', 'clone3'],
  },
  {
    name: 'run',
    before: async () => {},
    args: ({ short, id }) => ['run', '--bundle', short.directory, id],
    covers: ['mkdirat', 'openat', 'renameat2', 'flock', 'clone3', 'unlinkat'],
  },
  {
    name: 'start',
    before: ({ workspace, create }) => workspace.succeed(create),
    args: ({ id }) => ['start', id],
    covers: ['flock', 'connect', 'write', 'renameat2', 'unlinkat'],
  },
  {
    name: 'delete --force',
    before: async ({ workspace, create, id }) => {
      await workspace.succeed(create);
      await workspace.succeed(['start', id]);
    },
    args: ({ id }) => ['delete', '--force', id],
    covers: ['flock', 'pidfd_open', 'pidfd_send_signal', 'unlinkat'],
  },
  {
    name: 'delete',
    before: async ({ workspace, create, id }) => {
      await workspace.succeed(create);
      await workspace.succeed(['start', id]);
      await workspace.succeed(['kill', id, 'KILL']);
      await workspace.reach(id, 'stopped');
    },
    args: ({ id }) => ['delete', id],
    covers: ['flock', 'unlinkat'],
  },
];

interface Outcome {
  readonly point: number;
  readonly killed: Killed;
  readonly faults: readonly string[];
}

/** Two at a time: one of them always waits for the kernel. */
async function everyPoint(verb: Verb, subjects: readonly Subject[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  let over = false;
  const work = async (subject: Subject): Promise<void> => {
    while (!over) {
      const point = ++next;
      await verb.before(subject);
      const killed = await subject.kill(point, verb.args(subject));
      // The command was through before the count was reached.
      if (killed.signal === undefined) over = true;
      outcomes.push({ point, killed, faults: await subject.clean(killed) });
    }
  };
  await Promise.all(subjects.map(work));
  return outcomes;
}

/**
 * Kills the container's process before each `step`th of its calls while `strata ARGS... ID` sets it up, as the kernel's memory killer could. Either
 * strata succeeds, since it was through with the container, or it tells what happened and leaves nothing.
 */
async function everyPointOfContainer(t: ExecutionContext, workspace: Workspace, step: number, args: readonly string[]): Promise<void> {
  const errors = join(workspace.directory, 'errors');
  let [failed, through] = [0, false];
  for (let point = 1; !through; point += step) {
    const id = workspace.id();
    const killed = await killAt('container', point, workspace.root, [...args, id], errors);
    through = killed.call === '';
    const where = `${point}, before ${killed.call} ${killed.path}`;
    if (killed.exit === 0) {
      await workspace.succeed(['delete', '--force', id]);
    } else {
      failed++;
      t.is(killed.exit, 1, where);
      t.regex(killed.stderr, /^strata: .*the new process ended while it was set up.*\n$/, where);
    }
    t.is(await killed.left(), 0, where);
    t.deepEqual(workspace.leaks(), [], where);
  }
  t.log(`${failed} points`);
  t.true(failed > 50);
}

let points = 0;

for (const verb of VERBS) {
  containerTest(`killed at any call of ${verb.name}, strata leaves nothing that a forced delete does not remove`, async (t) => {
    const subjects = [new Subject(), new Subject()];
    try {
      const outcomes = await everyPoint(verb, subjects);
      const killed = outcomes.filter(({ killed: { signal } }) => signal === 9);
      points += killed.length;
      t.log(`${killed.length} points`);
      t.deepEqual(
        outcomes.flatMap(({ point, killed: { call, path }, faults }) => faults.map((fault) => `${point}, before ${call} ${path}: ${fault}`)),
        [],
      );
      const calls = new Set(killed.map(({ killed: { call } }) => call));
      // What is above a scope is systemd's, and has no mark of ours.
      const covers = CGROUP_MANAGER === 'systemd' ? verb.covers.filter((call) => call !== 'setxattr') : verb.covers;
      t.deepEqual(
        covers.filter((call) => !calls.has(call)),
        [],
        'not killed at these calls',
      );
      t.deepEqual(
        outcomes.filter(({ killed: { signal, exit } }) => signal !== 9 && exit !== 0).map(({ killed: { stderr } }) => stderr),
        [],
        'it failed on its own',
      );
    } finally {
      for (const { workspace } of subjects) await workspace.dispose();
    }
  });
}

containerTest('there were at least 200 points', async (t) => {
  t.true(points >= 200, `${points} points`);
});

containerTest('when the container dies while it is set up, create says so and leaves nothing', async (t, workspace) => {
  const { directory } = workspace.script('exec sleep 1000');
  await everyPointOfContainer(t, workspace, 3, ['create', '--bundle', directory]);
});

containerTest('and so does run, with layers in a user namespace, which is set up in two stages', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000', (config) => {
    withUserNamespace(config, 100_000);
    overlay(config);
  });
  for (const name of ['top', 'upper', 'work']) fs.mkdirSync(join(bundle.directory, name));
  await everyPointOfContainer(t, workspace, 4, ['run', '--detach', '--bundle', bundle.directory]);
});
