/** `run` in the foreground: in front of a terminal, which script(1) makes, and without one. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { type Bundle, eventually, type Workspace, withoutNamespaces } from '../helpers/container.ts';
import { Screen } from '../helpers/screen.ts';
import { containerTest } from './_support.ts';

function onTerminal(workspace: Workspace, script: string): Bundle {
  return workspace.script(script, { process: { terminal: true } });
}

containerTest('the program has a terminal: stdio, the controlling one, /dev/console, its size', async (t, workspace) => {
  const script = [
    'for fd in 0 1 2; do [ -t $fd ] || echo "$fd is none"; done',
    ': </dev/tty && echo controlling',
    'stat -c "%F %a %u" $(tty)',
    '[ -c /dev/console ] && echo console >/dev/console',
    'stty size',
    'exit 7',
  ].join('; ');
  const bundle = onTerminal(workspace, script).edit({ process: { user: { uid: 1000, gid: 1000 } } });
  const screen = new Screen(workspace, `stty rows 41 cols 123; $STRATA run --bundle ${bundle.directory} ${workspace.id()}`);
  t.is(await screen.end(), 7);
  t.regex(screen.seen, /^controlling\ncharacter special file 6[02]0 1000\nconsole\n41 123\n$/);
});

containerTest("consoleSize counts where the caller's terminal has no size", async (t, workspace) => {
  const bundle = onTerminal(workspace, 'stty size').edit({ process: { consoleSize: { height: 22, width: 77 } } });
  const command = `$STRATA run --bundle ${bundle.directory}`;
  const screen = new Screen(workspace, `stty rows 0 cols 0; ${command} ${workspace.id()}; stty rows 30 cols 90; ${command} ${workspace.id()}`);
  t.is(await screen.end(), 0);
  t.is(screen.seen, '22 77\n30 90\n');
});

containerTest('changes of the window size arrive', async (t, workspace) => {
  const bundle = onTerminal(workspace, 'trap "stty size" WINCH; echo ready; while read -r line || [ ! -e /end ]; do :; done');
  const screen = new Screen(workspace, `stty rows 10 cols 20; $STRATA run --bundle ${bundle.directory} ${workspace.id()}`);
  await screen.until('ready');
  screen.resize(55, 66);
  await screen.until('55 66');
  screen.resize(77, 88);
  await screen.until('77 88');
  bundle.file('end', '');
  screen.type('\x04');
  t.is(await screen.end(), 0);
});

containerTest('what is typed goes to the program, keys with a meaning too', async (t, workspace) => {
  const script =
    'trap "echo interrupted" INT; trap "echo quit" QUIT; echo ready; until read -r line && [ -n "$line" ]; do :; done; echo "<$line>"; cat; echo end';
  const screen = new Screen(workspace, `$STRATA run --bundle ${onTerminal(workspace, script).directory} ${workspace.id()}; echo "status $?"`);
  await screen.until('ready');
  screen.type('\x03');
  await screen.until('interrupted');
  screen.type('\x1c');
  await screen.until('quit');
  screen.type('a linX\x7fe\n');
  await screen.until('<a line>');
  screen.type('and more\n');
  await screen.until('and more\nand more\n');
  screen.type('\x04');
  t.is(await screen.end(), 0);
  t.regex(screen.seen, /\nend\nstatus 0\n$/);
});

containerTest("the caller's terminal is raw meanwhile, and as before afterwards, however the container ends", async (t, workspace) => {
  const endings: [how: string, end: (id: string, screen: Screen, bundle: Bundle, strata: () => number) => unknown, code: number][] = [
    ['it exits', (_id, _screen, bundle) => bundle.file('end', ''), 3],
    ['it is killed', (id) => workspace.succeed(['kill', id, 'KILL']), 137],
    ['it is deleted', (id) => workspace.remove(id), 137],
    ['strata is told to end', (_id, _screen, _bundle, strata) => process.kill(strata(), 'SIGTERM'), 4],
    ['the terminal is told to stop', (_id, screen) => screen.type('\x03'), 5],
  ];
  for (const [how, end, code] of endings) {
    const id = workspace.id();
    const pid = workspace.path('pid');
    const bundle = onTerminal(workspace, 'trap "exit 4" TERM; trap "exit 5" INT; echo ready; while [ ! -e /end ]; do sleep 0.02; done; exit 3');
    const run = `sh -c 'echo $$ >${pid}; exec $STRATA run --bundle ${bundle.directory} ${id}'`;
    const screen = new Screen(workspace, `stty -echo erase ^H; stty -g; ${run}; echo "status $?"; stty -g`);
    await screen.until('ready');
    const [before = ''] = screen.seen.split('\n');
    t.not(screen.settings().trim(), before, how);
    t.regex(execFileSync('stty', ['-F', screen.path(), '-a'], { encoding: 'utf8' }), /-icanon[\s\S]* -echo |-echo[\s\S]* -icanon|-isig/);
    await end(id, screen, bundle, () => Number(fs.readFileSync(pid, 'utf8')));
    t.is(await screen.end(), 0);
    t.deepEqual(screen.seen.replace('^C', '').trimEnd().split('\n').slice(-2), [`status ${code}`, before], how);
    t.deepEqual(
      workspace.leaks().filter((line) => !line.includes('script')),
      [],
      how,
    );
  }
});

containerTest('a terminal is left alone by a run that fails', async (t, workspace) => {
  const bundle = onTerminal(workspace, '').edit({ process: { args: ['absent'] } });
  const screen = new Screen(workspace, `stty -g; $STRATA run --bundle ${bundle.directory} ${workspace.id()}; stty -g`);
  t.is(await screen.end(), 0);
  const [before, message = '', after] = screen.seen.split('\n');
  t.is(before, after);
  t.regex(message, /^strata: .*executable file not found in \$PATH$/);
});

containerTest('all that is printed arrives, before the end is told', async (t, workspace) => {
  const bundle = onTerminal(workspace, 'seq 1 30000');
  const screen = new Screen(workspace, `$STRATA run --bundle ${bundle.directory} ${workspace.id()}; echo end`);
  t.is(await screen.end(), 0);
  t.is(screen.seen, `${Array.from({ length: 30000 }, (_, index) => index + 1).join('\n')}\nend\n`);
});

containerTest('a terminal for the program although the caller has none', async (t, workspace) => {
  const bundle = onTerminal(workspace, '[ -t 0 ] && [ -t 1 ] && echo terminal; read -r line; echo "<$line>"').edit({
    process: { consoleSize: { height: 9, width: 99 } },
  });
  const { code, stdout } = await workspace.run(bundle, [], { stdin: 'from a file\n' });
  t.is(code, 0);
  t.regex(stdout.replaceAll('\r\n', '\n'), /terminal\n[\s\S]*<from a file>\n$/);
});

containerTest('signals are passed on to the program, whose end is the end of strata', async (t, workspace) => {
  const names = ['HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'ALRM', 'CONT', 'IO', 'PWR', 'TERM'];
  const traps = names.map((name) => `trap "echo ${name}" ${name}`).join('; ');
  const id = workspace.id();
  const { directory } = workspace.script(`${traps}; echo ready; while :; do sleep 0.02; done`);
  const running = workspace.spawn(['run', '--bundle', directory, id]);
  await eventually('the program to be ready', () => running.stdout().includes('ready'));
  await workspace.attended(id);
  for (const [index, name] of names.entries()) {
    process.kill(running.pid, `SIG${name}` as NodeJS.Signals);
    await eventually(`SIG${name} to arrive`, () => running.stdout().trim().split('\n').length === index + 2);
  }
  t.deepEqual(running.stdout().trim().split('\n').slice(1), names);
  t.is(running.process.exitCode, null);
  t.is((await workspace.succeed(['list', '-q'])).stdout.trim(), id);
  await workspace.succeed(['kill', id, 'KILL']);
  t.is((await running.result).code, 137);

  // One that dies of it: only outside a pid namespace of its own, where it is not the first process.
  const bundle = workspace.bundle((config) => {
    config.process.args = ['sleep', '1000'];
    withoutNamespaces(config, 'pid');
  });
  for (const [name, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const) {
    const one = workspace.id();
    const dying = workspace.spawn(['run', '--bundle', bundle.directory, one]);
    await eventually('the container to run', async () => (await workspace.strata(['list'])).stdout.includes('running'));
    await workspace.attended(one);
    process.kill(dying.pid, name);
    t.deepEqual(await dying.result, { code, signal: null, stdout: '', stderr: '' });
  }
});
