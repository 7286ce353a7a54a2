/** The completions, asked as the shells ask them. A shell that is not installed is left out. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import test from 'ava';
import { bash, fish, readCommand, zsh } from '../../../scripts/completions.mjs';
import { main } from '../../../src/cli/main.ts';
import { signalNumber } from '../../../src/lifecycle/signals.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { noArchive } from '../../helpers/no-archive.ts';

const command = await readCommand(async (argv) => {
  const host = new FakeHost(new FakeMachine());
  await main(host, noArchive, argv);
  return host.printed.join('');
});
const verbs = command.groups[0]?.words.map(({ name }) => name) ?? [];

/** A directory with the completions, a place to complete paths in, and a strata that knows some containers. */
const directory = mkdtempSync(join(tmpdir(), 'strata-completions-'));
test.after.always(() => rmSync(directory, { recursive: true }));
for (const [name, text] of Object.entries({ bash: bash(command), fish: fish(command), zsh: zsh(command) }))
  writeFileSync(join(directory, name), text);
writeFileSync(
  join(directory, 'strata'),
  `#!/bin/sh
case $* in
  'list --quiet') printf '%s\\n' web1 web2 db ;;
  '--root /other list --quiet' | '--root=/other list --quiet') echo elsewhere ;;
  *) echo "strata: what is this: $*" >&2; exit 1 ;;
esac
`,
);
chmodSync(join(directory, 'strata'), 0o755);
mkdirSync(join(directory, 'place/bundles/one'), { recursive: true });
writeFileSync(join(directory, 'place/bundle.log'), '');

function shell(name: string, ...args: string[]): string[] {
  const env = { PATH: `${directory}${delimiter}${process.env.PATH}`, HOME: directory, LC_ALL: 'C.UTF-8' };
  const { stdout } = spawnSync(name, args, { cwd: join(directory, 'place'), env, encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean);
}

/** What bash would propose for the last of these words, which are split as bash does: `--a=b` is three. */
function askBash(line: string): string[] {
  const words = line.split(' ').flatMap((word) => word.split(/(?<==)|(?==)/));
  const script = `. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _strata strata; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return shell('bash', '-c', script, 'bash', join(directory, 'bash'), ...words);
}

/** The same of fish, which puts descriptions behind, and repeats what stands before the `=`. */
function askFish(line: string): string[] {
  const proposals = shell('fish', '--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', join(directory, 'fish'), line);
  return proposals.map((proposal) => proposal.split('\t')[0]?.replace(/^--[\w-]+=/, '') ?? '');
}

/** A line up to the cursor, and what is proposed there. */
const QUESTIONS: readonly (readonly [line: string, answer: readonly string[]])[] = [
  ['strata ', verbs],
  ['strata p', ['ps', 'pause', 'plan', 'prune']],
  ['strata --root /other p', ['ps', 'pause', 'plan', 'prune']],
  ['strata image r', ['rm']],
  ['strata --debug image rm --f', ['--force']],
  ['strata image ls --format ', ['table', 'json']],
  ['strata image ls --format j', ['json']],
  ['strata help st', ['start', 'state', 'stop']],
  ['strata --log-f', ['--log-format']],
  ['strata --log-format ', ['text', 'json']],
  ['strata --log-format=t', ['text']],
  ['strata --log bundle', ['bundles', 'bundle.log']],
  ['strata --root bundle', ['bundles']],
  ['strata create --bundle bundle', ['bundles']],
  ['strata create --bundle=bundle', ['bundles']],
  ['strata create -b bundle', ['bundles']],
  ['strata create --pid-file bundle', ['bundles', 'bundle.log']],
  ['strata create --preserve-fds ', []],
  ['strata create ', []],
  ['strata create --no', ['--no-pivot', '--no-new-keyring']],
  ['strata run --bundle bundles --no', ['--no-pivot', '--no-new-keyring', '--no-subreaper']],
  ['strata start ', ['web1', 'web2', 'db']],
  ['strata --debug delete --force w', ['web1', 'web2']],
  ['strata --root /other state ', ['elsewhere']],
  ['strata --root=/other state ', ['elsewhere']],
  ['strata kill web1 T', ['TRAP', 'TERM', 'TSTP', 'TTIN', 'TTOU']],
  ['strata kill --all web1 TE', ['TERM']],
  ['strata kill web1 TERM ', []],
  ['strata list --format ', ['table', 'json']],
  ['strata list -f j', ['json']],
  ['strata ps --format json w', ['web1', 'web2']],
  ['strata delete -f d', ['db']],
];

for (const [name, ask] of Object.entries({ bash: askBash, fish: askFish })) {
  const installed = spawnSync(name, ['--version']).status === 0;
  for (const [line, answer] of QUESTIONS) {
    (installed ? test : test.skip)(`${name}: ${line}`, (t) => {
      const proposals = ask(line).map((word) => word.replace(/\/$/, ''));
      t.deepEqual(proposals.sort(), [...answer].sort());
    });
  }
}

for (const name of ['bash', 'fish', 'zsh']) {
  const installed = spawnSync(name, ['--version']).status === 0;
  (installed ? test : test.skip)(`${name}: the syntax`, (t) => {
    const { status, stderr } = spawnSync(name, ['-n', join(directory, name)], { encoding: 'utf8' });
    t.is(stderr, '');
    t.is(status, 0);
  });
}

test('zsh: every verb has its flags', (t) => {
  const text = zsh(command);
  for (const verb of command.verbs) {
    const part = text.split(`    '${verb.name}')\n`)[1]?.split(';;')[0] ?? '';
    const flags = [...part.matchAll(/(?:^ {8}|,)(--[\w-]+)/gm)].map(([, flag]) => flag);
    t.deepEqual(
      flags,
      verb.flags.map(({ long }) => long),
      verb.name,
    );
  }
});

test('every signal that is proposed is one that kill takes', (t) => {
  const proposed = /^complete .*"kill" 1' -x -a '(.*)'$/m.exec(fish(command))?.[1]?.split(' ') ?? [];
  t.true(proposed.length > 30);
  for (const signal of proposed) t.notThrows(() => signalNumber(signal));
});
