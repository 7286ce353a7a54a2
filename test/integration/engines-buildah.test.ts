/** Buildah, and podman build, which is the same: they run the steps of a build in strata. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Result, Workspace } from '../helpers/container.ts';
import { STRATA, whyNoContainers } from '../helpers/container.ts';
import { BAD_COMMANDS, IMAGE, missingPrograms } from '../helpers/engine.ts';
import { Podman } from '../helpers/podman.ts';
import { containerTest } from './_support.ts';

const missing = missingPrograms('podman', 'buildah', 'script');
let podman: Podman | undefined;

test.before(() => {
  if (whyNoContainers() !== undefined || missing.length > 0) return;
  podman = new Podman();
  podman.importImage();
});
test.after.always(() => podman?.end());

/** Buildah with a container of its own. */
class Engine {
  readonly workspace: Workspace;
  readonly container: string;
  readonly #podman: Podman;

  constructor(workspace: Workspace, engine: Podman, container: string) {
    this.workspace = workspace;
    this.container = container;
    this.#podman = engine;
  }

  get podman(): Podman {
    return this.#podman;
  }

  /** `buildah ARGS...` */
  buildah(args: readonly string[], input?: string): Promise<Result> {
    return this.#podman.execute([...this.#command, ...args], input);
  }

  /** `buildah run OPTIONS... CONTAINER COMMAND...` */
  run(options: readonly string[], command: readonly string[], runtime = STRATA): Promise<Result> {
    return this.buildah(this.#line(options, command, runtime));
  }

  /** The same with a terminal, into which `input` is typed. */
  terminal(input: string, command: readonly string[]): Promise<Result> {
    return this.#podman.terminal([...this.#command, ...this.#line(['--tty'], command, STRATA)], input);
  }

  /** A directory with a Containerfile. */
  context(...lines: readonly string[]): string {
    const context = this.workspace.path('context');
    fs.mkdirSync(context);
    fs.writeFileSync(join(context, 'Containerfile'), [`FROM ${IMAGE}`, ...lines, ''].join('\n'));
    return context;
  }

  #line(options: readonly string[], command: readonly string[], runtime: string): string[] {
    return ['run', '--runtime', runtime, '--isolation', 'oci', '--network', 'none', ...options, this.container, '--', ...command];
  }

  get #command(): string[] {
    return ['buildah', ...this.#podman.places];
  }
}

function buildahTest(title: string, body: (t: ExecutionContext, engine: Engine) => Promise<void>): void {
  if (missing.length > 0) {
    test.skip(`${title} (${missing.join(', ')} missing)`, (t) => t.pass());
    return;
  }
  containerTest(title, async (t, workspace) => {
    if (podman === undefined) throw new Error('podman has not been set up');
    const container = await podman.told(['buildah', ...podman.places, 'from', IMAGE]);
    try {
      await body(t, new Engine(workspace, podman, container));
    } finally {
      await podman.told(['buildah', ...podman.places, 'rm', container]);
    }
    t.deepEqual(podman.containers(), []);
    t.deepEqual(podman.leaks(), []);
  });
}

const BUILD = ['--isolation', 'oci', '--network', 'none'];

buildahTest('run: output, exit status, environment, user, working directory', async (t, engine) => {
  const script = 'echo "$MY $PWD $(id -u):$(id -g)"; echo err >&2; exit 3';
  const ran = await engine.run(['--env', 'MY=own', '--user', '1000:1000', '--workingdir', '/tmp'], ['sh', '-c', script]);
  t.deepEqual([ran.code, ran.stdout], [3, 'own /tmp 1000:1000\n'], ran.stderr);
  t.regex(ran.stderr, /^err$/m);
});

buildahTest('run --tty has a terminal', async (t, engine) => {
  const { code, stdout } = await engine.terminal('typed\n', ['sh', '-c', 'tty; read line; echo "got $line"; exit 5']);
  t.is(code, 5, stdout);
  t.regex(stdout, /\/dev\/(pts\/0|console)/);
  t.regex(stdout, /^got typed\r$/m);
});

buildahTest('commands that cannot be executed', async (t, engine) => {
  for (const { command, words } of BAD_COMMANDS) {
    const [ours, theirs] = [await engine.run([], [command]), await engine.run([], [command], 'runc')];
    t.is(ours.code, theirs.code);
    t.regex(ours.stderr, words);
  }
});

buildahTest('run with volumes, capabilities and a host name', async (t, engine) => {
  const volume = engine.workspace.path('volume');
  fs.mkdirSync(volume);
  fs.writeFileSync(join(volume, 'file'), 'from the host\n');
  const options = ['--volume', `${volume}:/mnt:ro`, '--hostname', 'somewhere', '--cap-drop', 'CAP_CHOWN'];
  const script = "cat /mnt/file; touch /mnt/x 2>/dev/null && echo written; hostname; sed -n 's/^CapEff:.//p' /proc/self/status";
  const [ours, theirs] = [await engine.run(options, ['sh', '-c', script]), await engine.run(options, ['sh', '-c', script], 'runc')];
  t.is(ours.code, 0, ours.stderr);
  t.is(ours.stdout, theirs.stdout);
  t.regex(ours.stdout, /^from the host\nsomewhere\n0/);
});

buildahTest('bud: steps, and one that fails', async (t, engine) => {
  const image = `localhost/${engine.workspace.token}:1`;
  const steps = [
    'RUN echo built by $(id -un) >/built',
    'USER user',
    'WORKDIR /tmp',
    'RUN echo $PWD $(id -un) >file',
    'USER root',
    'RUN rm /bin/vi',
    'CMD cat /built',
  ];
  const built = await engine.buildah(['bud', '--runtime', STRATA, ...BUILD, '--tag', image, engine.context(...steps)]);
  t.is(built.code, 0, built.stderr);
  const run = (...command: string[]) => engine.podman.run(['run', '--rm', '--network', 'none', '--cgroup-parent', '/', image, ...command]);
  t.is((await run()).stdout, 'built by root\n');
  t.is((await run('cat', '/tmp/file')).stdout, '/tmp user\n');
  t.not((await run('ls', '/bin/vi')).code, 0);
  const failed = await engine.buildah(['bud', '--runtime', STRATA, ...BUILD, engine.context('RUN exit 9')]);
  t.not(failed.code, 0);
  t.regex(failed.stderr, /exit status 9/);
  await engine.podman.run(['rmi', image]);
});

buildahTest('podman build, with steps that mount, and limits', async (t, engine) => {
  const image = `localhost/${engine.workspace.token}:1`;
  const steps = [
    'RUN --mount=type=cache,target=/cache echo kept >/cache/file',
    'RUN --mount=type=cache,target=/cache cat /cache/file >/out',
    'CMD cat /out',
  ];
  const options = [...BUILD, '--memory', '64m', '--cpu-shares', '512', '--tag', image];
  const built = await engine.podman.run(['build', ...options, engine.context(...steps)]);
  t.is(built.code, 0, built.stderr);
  t.is((await engine.podman.run(['run', '--rm', '--network', 'none', '--cgroup-parent', '/', image])).stdout, 'kept\n');
  const failed = await engine.podman.run(['build', ...BUILD, engine.context('RUN exit 9')]);
  t.not(failed.code, 0);
  t.regex(failed.stderr, /exit status 9/);
  await engine.podman.run(['rmi', image]);
});
