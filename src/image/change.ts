/**
 * Changes of an image's configuration in the words of a Dockerfile, for `commit --change`. Values are taken as they stand: nothing stands for an
 * environment variable in them.
 */
import { StrataError } from '../base/error.ts';
import { bounded } from '../base/pointer.ts';

/** `config` of an image's configuration, as its document has it; what is not known here stays as it is. */
export type RawConfig = Record<string, unknown>;

type Instruction = (config: RawConfig, text: string) => void;

const INSTRUCTIONS: Readonly<Record<string, Instruction>> = {
  CMD: (config, text) => {
    config['Cmd'] = command(text);
  },
  ENTRYPOINT: (config, text) => {
    config['Entrypoint'] = command(text);
  },
  ENV: (config, text) => {
    for (const [name, value] of pairs(text))
      config['Env'] = [...texts(config['Env']).filter((old) => !old.startsWith(`${name}=`)), `${name}=${value}`];
  },
  EXPOSE: (config, text) => {
    for (const port of words(text)) {
      if (!/^[0-9]+(-[0-9]+)?(\/(tcp|udp|sctp))?$/.test(port)) refuse(`${JSON.stringify(port)} is not a port such as 80 or 53/udp`);
      addKey(config, 'ExposedPorts', port.includes('/') ? port : `${port}/tcp`);
    }
  },
  LABEL: (config, text) => {
    config['Labels'] = { ...record(config['Labels']), ...Object.fromEntries(pairs(text)) };
  },
  STOPSIGNAL: (config, text) => {
    config['StopSignal'] = single(text);
  },
  USER: (config, text) => {
    config['User'] = single(text);
  },
  VOLUME: (config, text) => {
    for (const path of list(text) ?? words(text)) {
      if (!path.startsWith('/')) refuse(`${JSON.stringify(path)} is not an absolute path`);
      addKey(config, 'Volumes', path);
    }
  },
  WORKDIR: (config, text) => {
    const path = single(text);
    const before = config['WorkingDir'];
    const base = typeof before === 'string' && before !== '' ? before : '/';
    config['WorkingDir'] = path.startsWith('/') ? path : `${base.replace(/\/+$/, '')}/${path}`;
  },
};

/**
 * The configuration with the changes made, in their order. A new entry point without a command of its own takes the old one's arguments away, as it
 * does in a Dockerfile.
 *
 * @throws StrataError `usage`.
 */
export function changed(config: Readonly<RawConfig>, changes: readonly string[]): RawConfig {
  const out = { ...config };
  const names: string[] = [];
  for (const change of changes) {
    const { 1: word = '', 2: text = '' } = /^\s*(\S+)\s*([\s\S]*?)\s*$/.exec(change) ?? [];
    const name = word.toUpperCase();
    names.push(name);
    try {
      if (!Object.hasOwn(INSTRUCTIONS, name)) refuse(`it must begin with one of ${Object.keys(INSTRUCTIONS).join(', ')}`);
      if (text === '') refuse('it has no value');
      INSTRUCTIONS[name]?.(out, text);
    } catch (error) {
      if (!(error instanceof StrataError)) throw error;
      throw new StrataError({ code: 'usage', reason: bounded(`invalid change ${JSON.stringify(change)}: ${error.reason}`) });
    }
  }
  if (names.includes('ENTRYPOINT') && !names.includes('CMD')) delete out['Cmd'];
  return out;
}

function refuse(reason: string): never {
  throw new StrataError({ code: 'usage', reason });
}

/** The JSON form is the program's arguments, any other text is a shell's. */
function command(text: string): readonly string[] {
  return list(text) ?? ['/bin/sh', '-c', text];
}

function list(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuse('it begins with a bracket, but is not JSON');
  }
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) refuse('it is not a list of strings');
  return value as string[];
}

function single(text: string): string {
  const [first = '', ...others] = words(text);
  if (others.length > 0) refuse('it has more than one value');
  return first;
}

/** `NAME=value` one or more times; or `NAME value`, with all the rest as the value. */
function pairs(text: string): readonly (readonly [string, string])[] {
  const [first = ''] = text.split(/\s/, 1);
  if (!first.includes('=')) {
    const value = text.slice(first.length).trim();
    if (value === '') refuse('it has no value');
    return [[first, value]];
  }
  return words(text).map((word) => {
    const equals = word.indexOf('=');
    if (equals <= 0) refuse(`${JSON.stringify(word)} is not of the form NAME=value`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

/** Separated by blanks, but for what is in quotes or behind a backslash. */
function words(text: string): readonly string[] {
  const out: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string;
    if (char === '\\' && quote !== "'" && at + 1 < text.length) {
      at++;
      word = (word ?? '') + (text[at] as string);
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote) {
      quote = '';
    } else if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) out.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== '') refuse(`a ${quote} is not closed`);
  if (word !== undefined) out.push(word);
  return out;
}

function addKey(config: RawConfig, property: string, key: string): void {
  config[property] = { ...record(config[property]), [key]: {} };
}

function record(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}
