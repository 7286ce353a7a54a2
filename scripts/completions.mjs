// completions.mjs DIRECTORY: writes completions for bash, zsh and fish, from what the command's own help says. A verb or flag that is added to the
// command is completed without a change here; what its value can be is told by its placeholder: <dir>, <file>, <path>, <container-id>, <signal>.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';

/** The names that kill takes, without SIG. */
const SIGNALS = Object.keys(constants.signals).map((name) => name.slice('SIG'.length));

/**
 * The verbs and flags of the command.
 *
 * @typedef {{ short: string, long: string, value: string, text: string, choices: string[] }} Flag `value` is the placeholder, '' if it takes none.
 * @typedef {{ name: string, args: string[], text: string, flags: Flag[] }} Verb `name` is of two words for a verb of a group, such as `image ls`.
 * @typedef {{ name: string, words: { name: string, text: string }[] }} Group what can follow a word; the first group is that of the command itself, ''.
 * @param {(args: string[]) => string | Promise<string>} help what the command prints, called with these arguments
 * @returns {Promise<{ flags: Flag[], verbs: Verb[], groups: Group[] }>}
 */
export async function readCommand(help) {
  const main = sections(await help(['--help']));
  const groups = [];
  const readVerbs = async (group, entries) => {
    const words = entries.map(([term, text]) => ({ name: term.split(' ')[0], text }));
    groups.push({ name: group.join(' '), words });
    const verbs = entries.map(async ([term, text]) => {
      const [word, ...rest] = term.split(' ');
      const path = [...group, word];
      const { Options, Commands } = word === 'help' ? { Options: [] } : sections(await help([...path, '--help']));
      if (Commands !== undefined) return readVerbs(path, Commands);
      const args = rest.filter((one) => one !== '[options]').map((one) => one.replace(/[<>[\].]/g, ''));
      return [{ name: path.join(' '), args, text, flags: Options.map(flag) }];
    });
    return (await Promise.all(verbs)).flat();
  };
  const verbs = await readVerbs([], main.Commands);
  return { flags: main.Options.map(flag), verbs, groups };
}

/** The entries below each heading of a help text: a term, and what is said about it, which may go on in the next line. */
function sections(text) {
  const found = {};
  let entries = [];
  for (const line of text.split('\n')) {
    const heading = /^(\w+):$/.exec(line);
    const entry = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line);
    if (heading) {
      entries = [];
      found[heading[1]] = entries;
    } else if (entry) entries.push([entry[1], entry[2] ?? '']);
    else if (/^ {3}/.test(line) && entries.length > 0) entries[entries.length - 1][1] += ` ${line.trim()}`;
  }
  return found;
}

function flag([term, text]) {
  const [, short = '', long, value = ''] = /^(?:(-\w), )?(--[\w-]+)(?: <([\w-]+)>)?$/.exec(term) ?? [];
  if (long === undefined) throw new Error(`a flag that completions cannot be made for: ${term}`);
  const choices = /\(choices: ((?:"[^"]*"(?:, )?)+)/.exec(text)?.[1].match(/[^", ]+/g) ?? [];
  return { short, long, value, text: text.replace(/ \((choices|default): .*\)$/, ''), choices };
}

/** What stands at a place, for all three shells: words to choose from, or a kind of thing that exists. */
function candidates(placeholder, choices, command) {
  if (choices.length > 0) return { words: choices };
  switch (placeholder) {
    case 'dir':
      return { kind: 'directories' };
    case 'file':
    case 'path':
      return { kind: 'files' };
    case 'container-id':
      return { kind: 'containers' };
    case 'signal':
      return { words: SIGNALS };
    case 'command':
      return { words: command.groups[0].words.map(({ name }) => name) };
    default:
      return {};
  }
}

/** The places of a verb's arguments where something can be proposed. The container of a verb that takes a bundle does not exist yet. */
function places(verb, command) {
  const isNew = verb.flags.some(({ long }) => long === '--bundle');
  return verb.args
    .map((placeholder, index) => ({ index, ...candidates(isNew ? '' : placeholder, [], command) }))
    .filter(({ words, kind }) => words !== undefined || kind !== undefined);
}

const spellings = ({ short, long }) => (short === '' ? [long] : [short, long]);
const withValue = (flags) => flags.filter(({ value }) => value !== '');
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
/** Those of verbs, without that of the command itself. */
const innerGroups = ({ groups }) => groups.slice(1);

// --- bash --------------------------------------------------------------------------------------------------------------------------------------

export function bash(command) {
  const escaped = (text) => text.replaceAll(' ', '\\ ');
  const propose = ({ words, kind }) => {
    if (words !== undefined) return `_strata_words ${quote(words.join(' '))}`;
    if (kind === undefined) return ':';
    return { directories: '_strata_paths -d', files: '_strata_paths -f', containers: '_strata_words "$(_strata_containers)"' }[kind];
  };
  const all = [{ name: '', flags: command.flags }, ...command.verbs];
  const valued = all.flatMap(({ name, flags }) =>
    withValue(flags).flatMap((one) => spellings(one).map((spelling) => escaped(`${name}:${spelling}`))),
  );
  const values = all.flatMap(({ name, flags }) =>
    withValue(flags).map(
      (one) =>
        `      ${spellings(one)
          .map((spelling) => escaped(`${name}:${spelling}`))
          .join(' | ')}) ${propose(candidates(one.value, one.choices, command))} ;;`,
    ),
  );
  const flags = all.map(
    (one) => `      ${one.name === '' ? "''" : escaped(one.name)}) _strata_words ${quote(one.flags.flatMap(spellings).join(' '))} ;;`,
  );
  const args = command.verbs.flatMap((verb) =>
    places(verb, command).map((place) => `      ${escaped(verb.name)}:${place.index}) ${propose(place)} ;;`),
  );
  const words = command.groups.map(({ name, words: all }) => `    ${quote(name)}) _strata_words ${quote(all.map((one) => one.name).join(' '))} ;;`);
  return `# Completion of strata(8) for bash.

# Whether an option takes a value; as VERB:OPTION, without a verb for those before it.
_strata_takes_value() {
  case $1 in
    ${valued.join(' | ')}) ;;
    *) return 1 ;;
  esac
}

# The words that can stand where a verb, or one of a group of verbs, is wanted; fails for a verb.
_strata_group() {
  case $1 in
${words.join('\n')}
    *) return 1 ;;
  esac
}

_strata_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_strata_paths() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_strata_containers() {
  "$program" "\${root[@]}" list --quiet 2>/dev/null
}

_strata() {
  local program=$1 cur=\${COMP_WORDS[COMP_CWORD]} verb='' option='' place=0 root=() i word
  # The verb, how many of its arguments are there, and the option whose value is being typed. bash takes --option=value for three words.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if _strata_takes_value "$verb:$word"; then
      [ "\${COMP_WORDS[i + 1]}" != = ] || ((i++))
      ((i++))
      if ((i >= COMP_CWORD)); then option=$word; fi
      [ "$verb:$word" != :--root ] || root=(--root "\${COMP_WORDS[i]}")
    elif [[ $word != -* ]]; then
      if _strata_group "$verb"; then verb=\${verb:+$verb }$word; else ((place++)); fi
    fi
  done
  [ "$cur" != = ] || cur=''
  COMPREPLY=()

  if [ -n "$option" ]; then
    case $verb:$option in
${values.join('\n')}
    esac
  elif [[ $cur == -* ]]; then
    case $verb in
${flags.join('\n')}
    esac
  elif ! _strata_group "$verb"; then
    case $verb:$place in
${args.join('\n')}
    esac
  fi
}

complete -F _strata strata
`;
}

// --- zsh ---------------------------------------------------------------------------------------------------------------------------------------

export function zsh(command) {
  const propose = ({ words, kind }) => {
    if (words !== undefined) return `(${words.join(' ')})`;
    return kind === undefined ? ' ' : { directories: '_files -/', files: '_files', containers: '_strata_containers' }[kind];
  };
  const specification = (one) => {
    const action = one.value === '' ? '' : `:${one.value}:${propose(candidates(one.value, one.choices, command))}`;
    const what = quote(`[${one.text.replace(/[\\[\]]/g, '\\$&')}]${action}`);
    const [long, short] = one.value === '' ? [one.long, one.short] : [`${one.long}=`, `${one.short}+`];
    return one.short === '' ? `${long}${what}` : `'(${one.short} ${one.long})'{${short},${long}}${what}`;
  };
  const argument = (verb) => (place) => quote(`${place.index + 1}:${verb.args[place.index]}:${propose(place)}`);
  const list = (indent, lines) => lines.map((line) => ` \\\n${indent}${line}`).join('');
  const verbs = command.verbs.map((verb) => {
    const lines = [...verb.flags.map(specification), ...places(verb, command).map(argument(verb))];
    return `    ${quote(verb.name)})\n      _arguments -s -S :${list('        ', lines)} && ret=0\n      ;;`;
  });
  const functions = command.groups.map(
    ({ name, words }) => `_strata_verbs_${name}() {
  local -a verbs=(${words.map((one) => `\n    ${quote(`${one.name}:${one.text}`)}`).join('')}
  )
  _describe -t verbs verb verbs
}
`,
  );
  const groups = innerGroups(command).map(
    ({ name }) => `  if [[ $verb == ${name} ]]; then
    _arguments -C -S : '1:verb:_strata_verbs_${name}' '*::argument:->${name}' && ret=0
    [[ $state == ${name} ]] || return ret
    verb+=" $line[1]"
  fi
`,
  );
  return `#compdef strata
# Completion of strata(8) for zsh.

${functions.join('\n')}
_strata_containers() {
  local -a ids=(\${(f)"$(_call_program containers \${(q)program} \${(q)root} list --quiet 2>/dev/null)"})
  _wanted containers expl container compadd -a ids
}

_strata() {
  local program=$words[1] curcontext=$curcontext state line ret=1
  local -a root
  typeset -A opt_args
  _arguments -C -s -S :${list('    ', command.flags.map(specification))} \\
    '1:verb:_strata_verbs_' \\
    '*::argument:->verb' && ret=0
  [[ $state == verb ]] || return ret

  (( ! $+opt_args[--root] )) || root=(--root \${(Q)opt_args[--root]})
  local verb=$line[1]
${groups.join('')}  curcontext=\${curcontext%:*:*}:strata-\${verb// /-}:
  case $verb in
${verbs.join('\n')}
  esac
  return ret
}

_strata "$@"
`;
}

// --- fish --------------------------------------------------------------------------------------------------------------------------------------

export function fish(command) {
  const text = (words) => `'${words.replace(/[\\']/g, '\\$&')}'`;
  const propose = ({ words, kind }) => {
    if (words !== undefined) return `-x -a ${text(words.join(' '))}`;
    return kind === undefined
      ? '-x'
      : { directories: "-x -a '(__fish_complete_directories)'", files: '-r -F', containers: "-x -a '(__strata_containers)'" }[kind];
  };
  const all = [{ name: '', flags: command.flags }, ...command.verbs];
  const valued = all.flatMap(({ name, flags }) => withValue(flags).flatMap((one) => spellings(one).map((spelling) => text(`${name} ${spelling}`))));
  const flags = all.flatMap((verb) =>
    verb.flags.map((one) => {
      const names = [one.short === '' ? '' : ` -s ${one.short.slice(1)}`, ` -l ${one.long.slice(2)}`].join('');
      const value = one.value === '' ? '' : ` ${propose(candidates(one.value, one.choices, command))}`;
      return `complete -c strata -n ${text(`__strata_in "${verb.name}"`)}${names}${value} -d ${text(one.text)}`;
    }),
  );
  const verbs = command.groups.flatMap(({ name: group, words }) =>
    words.map(({ name, text: what }) => `complete -c strata -n '__strata_in "${group}"' -a ${name} -d ${text(what)}`),
  );
  const groups = innerGroups(command).map(({ name }) => name);
  const args = command.verbs.flatMap((verb) =>
    places(verb, command).map((place) => `complete -c strata -n ${text(`__strata_in "${verb.name}" ${place.index}`)} ${propose(place)}`),
  );
  return `# Completion of strata(8) for fish.

# The verb and its arguments as far as they are there, one a line, without options.
function __strata_arguments
    set -l tokens (commandline -opc)
    set -e tokens[1]
    set -l verb ''
    set -l arguments
    set -l is_value no
    for token in $tokens
        if test $is_value = yes
            set is_value no
        else if string match -q -- '-*' $token
            switch "$verb $token"
                case ${valued.join(' ')}
                    set is_value yes
            end
        else if contains -- "$verb" '' ${groups.join(' ')}
            set verb (string trim "$verb $token")
        else
            set -a arguments $token
        end
    end
    string join \\n -- "$verb" $arguments
end

# Whether this is the verb, '' for none, and if a number is given, whether so many of its arguments are there.
function __strata_in
    set -l arguments (__strata_arguments)
    test "$arguments[1]" = "$argv[1]"; or return
    test (count $argv) = 1; or test (count $arguments) = (math $argv[2] + 1)
end

function __strata_containers
    set -l tokens (commandline -opc)
    set -l root (string match -r -- '^--root=.*' $tokens)
    set -l at (contains -i -- --root $tokens)
    and set root --root $tokens[(math $at + 1)]
    $tokens[1] $root list --quiet 2>/dev/null
end

complete -c strata -f
${[...verbs, ...flags, ...args].join('\n')}
`;
}

if (import.meta.filename === process.argv[1]) {
  const strata = resolve(import.meta.dirname, '../bin/strata');
  const command = await readCommand((args) => execFileSync(strata, args, { encoding: 'utf8' }));
  const [, , directory] = process.argv;
  for (const [name, write] of Object.entries({ 'strata.bash': bash, _strata: zsh, 'strata.fish': fish }))
    writeFileSync(join(directory, name), write(command));
}
