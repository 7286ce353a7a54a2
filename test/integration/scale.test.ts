/** Many containers, one after another and at once: nothing is left of them, and nobody gets what belongs to somebody else. */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import * as strata from '../../src/index.ts';
import type { Workspace } from '../helpers/container.ts';
import { Bundle } from '../helpers/container.ts';
import { containerTest } from './_support.ts';

/** All that a container prints. */
async function output({ stdout }: strata.Container): Promise<string> {
  return stdout === null ? '' : text(stdout);
}

/** One container from start to end, through the library. */
async function once(workspace: Workspace, bundle: Bundle, id: string): Promise<string> {
  const container = await strata.run({ id, bundle: bundle.directory, root: workspace.root, stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, { code }] = await Promise.all([output(container), container.wait()]);
  await container.delete();
  return `${code} ${said}`;
}

/** Makes what a process keeps once it has had a container: threads, the program in memory, what waits for one that still lives. */
async function warmUp(workspace: Workspace, bundle: Bundle): Promise<void> {
  const created = await strata.create({ id: workspace.id(), bundle: bundle.directory, root: workspace.root, stdio: ['pipe', 'pipe', 'pipe'] });
  await created.delete({ force: true });
  await created.wait();
  await once(workspace, bundle, workspace.id());
}

/** A bundle for each of many containers that run at once: a cgroup belongs to one. */
function bundles(workspace: Workspace, count: number, script: (index: number) => string): Bundle[] {
  const first = workspace.script('');
  return Array.from({ length: count }, (_, index) => {
    const directory = workspace.path('bundle');
    fs.mkdirSync(directory);
    const config = structuredClone(first.config);
    config.root.path = first.rootfs;
    config.process.args = ['sh', '-c', script(index)];
    config.linux.cgroupsPath = `/${workspace.token}/many${index}`;
    return new Bundle(directory, config).edit(() => {});
  });
}

/** Does `work` for 0 to `count` - 1, so many at a time. */
async function inParallel<T>(count: number, atOnce: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await work(index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** The open descriptors of this process, and what they are. */
function descriptors(): string[] {
  return fs
    .readdirSync('/proc/self/fd')
    .flatMap((name) => {
      try {
        return [`${name} ${fs.readlinkSync(`/proc/self/fd/${name}`).replace(/\[\d+\]/, '')}`];
      } catch {
        // The listing's own.
        return [];
      }
    })
    .sort();
}

/** The descriptors after the event loop has closed what was to be closed. */
async function settledDescriptors(expected: readonly string[]): Promise<string[]> {
  for (let turn = 0; turn < 1000 && descriptors().length > expected.length; turn++) await new Promise((fulfil) => setTimeout(fulfil, 1));
  return descriptors();
}

containerTest('200 containers one after another, in one process', async (t, workspace) => {
  const bundle = workspace.script('echo $$; exit 3');
  await warmUp(workspace, bundle);
  const before = descriptors();
  const id = workspace.id();
  for (let round = 0; round < 200; round++) t.is(await once(workspace, bundle, id), '3 1\n');
  t.deepEqual(await settledDescriptors(before), before);
  t.deepEqual(workspace.leaks(), []);
});

containerTest('50 containers, 8 at once', async (t, workspace) => {
  const many = bundles(workspace, 50, (index) => `echo ${index}; exit ${index}`);
  await warmUp(workspace, many[0] as Bundle);
  const before = descriptors();
  const said = await inParallel(50, 8, (index) => once(workspace, many[index] as Bundle, workspace.id()));
  t.deepEqual(
    said,
    many.map((_, index) => `${index} ${index}\n`),
  );
  t.deepEqual(await settledDescriptors(before), before);
});

containerTest('50 containers at once', async (t, workspace) => {
  const many = bundles(workspace, 50, (index) => `read line; echo ${index} $line; exit ${index}`);
  const start = (index: number) => {
    const options = { bundle: (many[index] as Bundle).directory, root: workspace.root, stdio: ['pipe', 'pipe', 'inherit'] } as const;
    return strata.create({ ...options, id: `${index}.${workspace.token}` });
  };
  await warmUp(workspace, many[0] as Bundle);
  const before = descriptors();
  const containers = await Promise.all(many.map((_, index) => start(index)));
  t.deepEqual(
    (await strata.list({ root: workspace.root })).map(({ status }) => status),
    many.map(() => 'created'),
  );
  await Promise.all(containers.map((container) => container.start()));
  t.deepEqual(
    (await strata.list({ root: workspace.root })).map(({ id, status, pid }) => `${id} ${status} ${pid}`).sort(),
    containers.map(({ id, pid }) => `${id} running ${pid}`).sort(),
  );
  for (const [index, container] of containers.entries()) container.stdin?.end(`for ${index}\n`);
  const ends = containers.map(async (container) => `${await output(container)}${(await container.wait()).code}`);
  t.deepEqual(
    await Promise.all(ends),
    many.map((_, index) => `${index} for ${index}\n${index}`),
  );
  await Promise.all(containers.map((container) => container.delete()));
  t.deepEqual(await settledDescriptors(before), before);
});

containerTest('50 containers through the command, 8 at once', async (t, workspace) => {
  const many = bundles(workspace, 50, (index) => `echo ${index}; exit ${index}`);
  const results = await inParallel(50, 8, (index) => workspace.run(many[index] as Bundle));
  t.deepEqual(
    results.map(({ code, stdout, stderr }) => `${code} ${stdout}${stderr}`),
    many.map((_, index) => `${index} ${index}\n`),
  );
});

containerTest('200 containers through the command with 64 descriptors', async (t, workspace) => {
  const bundle = workspace.script('ulimit -n; ls /proc/self/fd | wc -l', (config) => {
    config.process.rlimits = [];
  });
  const id = workspace.id();
  const script = `ulimit -n 64 || exit 1; i=0; while [ $i -lt 200 ]; do "$@" run --bundle ${bundle.directory} ${id} || exit 1; i=$((i + 1)); done`;
  const { code, stdout, stderr } = await workspace.strata([], { through: ['sh', '-c', script, 'sh'] });
  t.is(stderr, '');
  t.is(code, 0);
  // 0, 1, 2 and the listing's own.
  t.is(stdout, '64\n4\n'.repeat(200));
});

containerTest('200 containers in one process with 64 descriptors', async (t, workspace) => {
  const bundle = workspace.script('exit 3', (config) => {
    config.process.rlimits = [];
  });
  const program = `
    import * as strata from ${JSON.stringify(resolve(import.meta.dirname, '../../src/index.ts'))};
    const [bundle, root, id] = process.argv.slice(1);
    let codes = 0;
    for (let round = 0; round < 200; round++) {
      const container = await strata.run({ id, bundle, root, stdio: ['ignore', 'pipe', 'pipe'] });
      container.stdout.resume();
      container.stderr.resume();
      codes += (await container.wait()).code;
      await container.delete();
    }
    console.log(codes);`;
  const args = ['--nofile=64:64', process.execPath, '--input-type=module', '-e', program, bundle.directory, workspace.root, workspace.id()];
  const { stdout, stderr } = await promisify(execFile)('prlimit', args);
  t.is(stderr, '');
  t.is(stdout, '600\n');
});

containerTest('of twelve who create one id at once, one wins and eleven are told', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000');
  const root = workspace.root;
  for (let round = 0; round < 3; round++) {
    const id = workspace.id();
    const byLibrary = Array.from({ length: 6 }, async () => {
      try {
        await strata.create({ id, bundle: bundle.directory, root, stdio: 'ignore' });
        return '';
      } catch (error) {
        if (!(error instanceof strata.StrataError)) throw error;
        return `${error.code}: ${error.message}`;
      }
    });
    const byCommand = Array.from({ length: 6 }, async () => {
      const { code, stderr } = await workspace.strata(['create', '--bundle', bundle.directory, id]);
      return code === 0 ? '' : stderr.replace('strata', 'exists').trimEnd();
    });
    const results = await Promise.all([...byLibrary, ...byCommand]);
    t.is(results.filter((result) => result === '').length, 1, results.join('\n'));
    t.deepEqual([...new Set(results)].sort(), ['', `exists: container with id ${id} exists`]);
    t.is((await workspace.state(id)).status, 'created');
    await workspace.succeed(['start', id]);
    await workspace.remove(id);
    t.deepEqual(workspace.leaks(), []);
  }
});

containerTest('creating and deleting one id at once, again and again, never leaves a half', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000');
  const { root } = workspace;
  const id = workspace.id();
  const outcomes = new Map<string, number>();
  const create = async (): Promise<void> => {
    for (let round = 0; round < 40; round++) {
      const running = strata.run({ id, bundle: bundle.directory, root, stdio: 'ignore' });
      const outcome = await running.then(
        () => 'success',
        (error: unknown) => (error instanceof strata.StrataError ? error.code : String(error)),
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (outcome === 'exists') await new Promise((fulfil) => setTimeout(fulfil, round % 5));
    }
  };
  const remove = async (): Promise<void> => {
    for (let round = 0; round < 40; round++) {
      await strata.delete({ id, root, force: true });
      await new Promise((fulfil) => setTimeout(fulfil, round % 7));
    }
  };
  await Promise.all([create(), create(), remove(), remove()]);
  await strata.delete({ id, root, force: true });
  t.deepEqual(fs.readdirSync(root), []);
  t.deepEqual(workspace.leaks(), []);
  t.log([...outcomes].join(' '));
  t.true((outcomes.get('success') ?? 0) > 1);
  // A container may be deleted while it is brought up; its process is then killed.
  t.deepEqual(
    [...outcomes.keys()].filter((outcome) => !['success', 'exists', 'not-found', 'system'].includes(outcome)),
    [],
  );
});

containerTest('50 creates at once through the command leave one winner each', async (t, workspace) => {
  const many = bundles(workspace, 25, () => 'exec sleep 1000');
  const attempts = many.flatMap((bundle, index) =>
    [0, 1].map(() => workspace.strata(['create', '--bundle', bundle.directory, `${index}.${workspace.token}`])),
  );
  const results = await Promise.all(attempts);
  for (let index = 0; index < many.length; index++) {
    const pair = results.slice(index * 2, index * 2 + 2);
    t.deepEqual(pair.map(({ code }) => code).sort(), [0, 1], pair.map(({ stderr }) => stderr).join());
  }
  const { stdout } = await workspace.succeed(['list', '--quiet']);
  t.is(stdout.trim().split('\n').length, 25);
  await Promise.all(many.map((_, index) => strata.delete({ id: `${index}.${workspace.token}`, root: workspace.root, force: true })));
});
