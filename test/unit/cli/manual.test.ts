/** docs/man/strata.8 against the command: whoever adds a verb or a flag writes about it, and what is gone is not described any more. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { readCommand } from '../../../scripts/completions.mjs';
import { main } from '../../../src/cli/main.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { noArchive } from '../../helpers/no-archive.ts';

const page = readFileSync(new URL('../../../docs/man/strata.8', import.meta.url), 'utf8');
const command = await readCommand(async (argv) => {
  const host = new FakeHost(new FakeMachine());
  await main(host, noArchive, argv);
  return host.printed.join('');
});
type Verb = (typeof command.verbs)[number];
type Flag = Verb['flags'][number];

/** The text below each heading of this level, up to the next of this or a higher one. */
function parts(text: string, macro: 'Sh' | 'Ss'): Map<string, string> {
  const [, ...found] = text.split(new RegExp(`^\\.${macro} `, 'm'));
  return new Map(found.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]));
}

const chapters = parts(page, 'Sh');
const sections = parts(chapters.get('COMMANDS') ?? '', 'Ss');

function section(name: string): string {
  return sections.get(name) ?? '';
}

/** A line of mdoc as it is printed, without the brackets of .Op: `.Op Fl -bundle Ar dir` is `--bundle dir`. */
function printed(line: string): string {
  const words = line.split(' ').slice(1);
  const out = words.map((word, index) => {
    if (['Fl', 'Ar', 'Cm'].includes(word)) return '';
    return words[index - 1] === 'Fl' ? `-${word}` : word;
  });
  return out.filter(Boolean).join(' ').replaceAll(' , ', ', ');
}

function macros(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(`.${name} `));
}

/** `-b, --bundle dir`. */
function term({ short, long, value }: Flag): string {
  return [short === '' ? long : `${short}, ${long}`, value].filter(Boolean).join(' ');
}

function described(text: string): string[] {
  return macros(text, 'It Fl').map((line) => printed(line.replace('.It ', '. ')));
}

/** Every verb has --help, which is described once, with the global options. */
function own({ flags }: Verb): Flag[] {
  return flags.filter(({ long }) => long !== '--help');
}

test('every verb has a section, in the order of the help', (t) => {
  t.deepEqual(
    [...sections.keys()],
    command.verbs.map(({ name }) => name),
  );
});

test('the global options are described, and no others', (t) => {
  t.deepEqual(described(chapters.get('GLOBAL OPTIONS') ?? '').sort(), command.flags.map(term).sort());
});

for (const verb of command.verbs) {
  test(`${verb.name}: its synopsis has every option and argument`, (t) => {
    const synopsis = section(verb.name).split('.Pp')[0] ?? '';
    const options = macros(synopsis, 'Op Fl').map(printed);
    t.deepEqual(
      options,
      own(verb).map(({ long, value }) => (value === '' ? long : `${long} ${value}`)),
    );
    const args = [...synopsis.matchAll(/^\.(?:Op )?Ar (\S+)/gm)].map(([, name]) => name);
    t.deepEqual(args, verb.args);
  });

  test(`${verb.name}: every option is described, here or where it says`, (t) => {
    const text = section(verb.name);
    const here = described(text);
    const elsewhere = verb.name !== 'create' && text.includes('The options of\n.Cm create ,') ? described(section('create')) : [];
    t.deepEqual([...elsewhere, ...here].sort(), own(verb).map(term).sort());
  });
}

test('the values that can be chosen from are named where the option is described', (t) => {
  const all = [{ name: 'GLOBAL OPTIONS', text: chapters.get('GLOBAL OPTIONS') ?? '', flags: command.flags }].concat(
    command.verbs.map((verb) => ({ name: verb.name, text: section(verb.name), flags: own(verb) })),
  );
  for (const { name, text, flags } of all) {
    for (const item of text.split(/^\.It /m).slice(1)) {
      const flag = flags.find((one) => printed(`. ${item.split('\n')[0]}`) === term(one));
      for (const choice of flag?.choices ?? []) t.regex(item, new RegExp(`^\\.Cm ${choice}\\b`, 'm'), `${name} ${flag?.long}`);
    }
  }
});
