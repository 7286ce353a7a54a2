/** The script that is the command where the build found no QuickJS: it finds Node and the program beside itself, from wherever it is called. */
import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Result, Workspace } from '../helpers/container.ts';
import { containerTest, failed } from './_support.ts';

const PROJECT = resolve(import.meta.dirname, '../..');

/** An installation whose command is the script, with Node noted or not. */
function install(workspace: Workspace, node?: string): string {
  const home = workspace.path('home dir');
  const copy = (from: string, to = from): void => fs.cpSync(join(PROJECT, from), join(home, to));
  copy('scripts/launcher.sh', 'bin/strata');
  copy('dist/bin/strata.cjs');
  copy('build/Release/strata.node');
  if (node !== undefined) fs.writeFileSync(join(home, 'build/node-path'), `${node}\n`);
  return join(home, 'bin/strata');
}

containerTest('it runs containers, called by its path, through links, and from anywhere', async (t, workspace) => {
  const command = install(workspace, process.execPath);
  t.regex((await workspace.succeed(['--version'], { command })).stdout, /^host: node$/m);
  const link = workspace.path('link');
  const second = workspace.path('second');
  fs.symlinkSync(command, link);
  fs.symlinkSync(link.slice(link.lastIndexOf('/') + 1), second);
  const bundle = workspace.script('echo "$1" ran; exit 6');
  const ways: [command: string, cwd: string][] = [
    [command, '/'],
    [link, '/'],
    [second, '/'],
    ['./strata', dirname(command)],
  ];
  for (const [way, cwd] of ways) {
    const id = workspace.id();
    const { code, stdout, stderr } = await workspace.strata(['run', '--bundle', bundle.directory, id], { command: way, cwd, through: ['env', '-i'] });
    t.deepEqual([code, stdout, stderr], [6, ' ran\n', ''], way);
  }
});

containerTest('it takes the Node of the build, else the first in PATH, and says when there is none', async (t, workspace) => {
  const tools = workspace.path('tools');
  fs.mkdirSync(tools);
  fs.symlinkSync(process.execPath, join(tools, 'node'));
  const version = (command: string, PATH: string): Promise<Result> => workspace.strata(['--version'], { command, env: { PATH } });
  for (const node of [undefined, '/no/such/node']) {
    const command = install(workspace, node);
    failed(t, await version(command, '/nowhere'), 'no Node.js', 'PATH');
    t.is((await version(command, tools)).code, 0);
  }
  const command = install(workspace, process.execPath);
  t.is((await version(command, '/nowhere')).code, 0);
  const meantForOthers = { NODE_OPTIONS: '--no-such-option', NODE_EXTRA_CA_CERTS: '/no/such/file' };
  t.is((await workspace.strata(['--version'], { command, env: meantForOthers })).stderr, '');
});

containerTest("it passes on the caller's descriptors and limit of open files, and no others", async (t, workspace) => {
  const command = install(workspace, process.execPath);
  // Not through a pipe, whose ends the shell itself has for a moment.
  const bundle = workspace.script('(ls /proc/1/fd >/list); tr "\\n" " " </list; ulimit -n', { process: { rlimits: undefined } });
  const run = (open: string, args: string[], env: Record<string, string> = {}): Promise<Result> =>
    workspace.run(bundle, args, { command, env, through: ['prlimit', '--nofile=77:999', 'bash', '-c', `exec "$@" ${open}`, 'bash'] });
  t.is((await run('3</ 4</ 9</', [])).stdout, '0 1 2 77\n');
  t.is((await run('3</ 4</ 9</', ['--preserve-fds', '2'])).stdout, '0 1 2 3 4 77\n');
  t.is((await run('3</', [], { LISTEN_FDS: '1' })).stdout, '0 1 2 3 77\n');
  failed(t, await run('4</', ['--preserve-fds', '2']), 'descriptor 3 is not open');
});
