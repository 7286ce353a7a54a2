/**
 * Values of unit properties as annotations give them: the text form of GVariant (GLib documentation, GVariant Text Format), as far as D-Bus has its
 * types.
 */
import { typeEnd, type Value, type Variant } from './message.ts';

const NAMED_TYPES: Readonly<Record<string, string>> = {
  boolean: 'b',
  byte: 'y',
  int16: 'n',
  uint16: 'q',
  int32: 'i',
  uint32: 'u',
  int64: 'x',
  uint64: 't',
  double: 'd',
  string: 's',
  objectpath: 'o',
  signature: 'g',
};
const RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  y: [0n, 255n],
  n: [-(2n ** 15n), 2n ** 15n - 1n],
  q: [0n, 2n ** 16n - 1n],
  i: [-(2n ** 31n), 2n ** 31n - 1n],
  u: [0n, 2n ** 32n - 1n],
  x: [-(2n ** 63n), 2n ** 63n - 1n],
  t: [0n, 2n ** 64n - 1n],
};
const ESCAPES: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
const DEEPEST = 16;

/** The value of a text such as `uint32 5`, `'text'`, `['a', 'b']` or `@as []`; undefined if it is none, or its type cannot be told. */
export function parseVariant(text: string): Variant | undefined {
  const parser = new Parser(text);
  try {
    return parser.whole();
  } catch (error) {
    if (error === NO_VALUE) return undefined;
    throw error;
  }
}

/** Thrown where the text stops being a value. */
const NO_VALUE = new Error('no value');

class Parser {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  whole(): Variant {
    const value = this.value(undefined, 0);
    this.space();
    if (this.at !== this.text.length) throw NO_VALUE;
    return value;
  }

  /** `wanted`: the type that something around it has told. */
  private value(wanted: string | undefined, depth: number): Variant {
    if (depth > DEEPEST) throw NO_VALUE;
    this.space();
    if (this.take('@')) {
      const signature = this.match(/[a-z(){}]+/y);
      if (typeEnd(signature, 0) !== signature.length || (wanted ?? signature) !== signature) throw NO_VALUE;
      return this.value(signature, depth + 1);
    }
    const next = this.text[this.at];
    if (next === "'" || next === '"') return typed(wanted, ['s', 'o', 'g'], this.quoted(next));
    if (next === '[') return this.array(wanted, depth);
    if (next === '(') return this.structure(wanted, depth);
    if (next === '<') return this.boxed(wanted, depth);
    if (next !== undefined && /[-+.\d]/.test(next)) return this.number(wanted);
    const word = this.match(/[a-z]+\d*/y);
    if (word === 'true' || word === 'false') return typed(wanted, ['b'], word === 'true');
    const named = NAMED_TYPES[word];
    if (named === undefined || (wanted ?? named) !== named) throw NO_VALUE;
    return this.value(named, depth + 1);
  }

  private number(wanted: string | undefined): Variant {
    const text = this.match(/[-+]?(?:0[xX][\da-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/y);
    const type = wanted ?? (/^[-+]?(?:0[xX][\da-fA-F]+|\d+)$/.test(text) ? 'i' : 'd');
    if (type === 'd') return { signature: 'd', value: Number(text) };
    const range = RANGES[type];
    if (range === undefined || !/^[-+]?(?:0[xX][\da-fA-F]+|\d+)$/.test(text)) throw NO_VALUE;
    const magnitude = BigInt(text.replace(/^[-+]/, ''));
    const value = text.startsWith('-') ? -magnitude : magnitude;
    if (value < range[0] || value > range[1]) throw NO_VALUE;
    return { signature: type, value: type === 'x' || type === 't' ? value : Number(value) };
  }

  private quoted(quote: string): string {
    let out = '';
    for (this.at++; this.text[this.at] !== quote; this.at++) {
      let character = this.text[this.at];
      if (character === '\\') {
        character = this.text[++this.at];
        if (character === 'u' || character === 'U') {
          this.at++;
          const digits = this.match(character === 'u' ? /[\da-fA-F]{4}/y : /[\da-fA-F]{8}/y);
          const code = Number.parseInt(digits, 16);
          if (code === 0 || code > 0x10ffff) throw NO_VALUE;
          this.at--;
          character = String.fromCodePoint(code);
        } else character = character && (ESCAPES[character] ?? character);
      }
      if (character === undefined || character === '\0') throw NO_VALUE;
      out += character;
    }
    this.at++;
    return out;
  }

  private array(wanted: string | undefined, depth: number): Variant {
    if (wanted !== undefined && wanted[0] !== 'a') throw NO_VALUE;
    let type = wanted?.slice(1);
    const items: Value[] = [];
    this.at++;
    for (this.space(); !this.take(']'); this.space()) {
      if (items.length > 0 && !this.take(',')) throw NO_VALUE;
      const item = this.value(type, depth + 1);
      type = item.signature;
      items.push(item.value);
    }
    if (type === undefined) throw NO_VALUE;
    return { signature: `a${type}`, value: items };
  }

  private structure(wanted: string | undefined, depth: number): Variant {
    if (wanted !== undefined && wanted[0] !== '(') throw NO_VALUE;
    let at = 1;
    let signature = '';
    const items: Value[] = [];
    this.at++;
    for (this.space(); !this.take(')'); this.space()) {
      if (items.length > 0 && !this.take(',')) throw NO_VALUE;
      // A single member is followed by a comma.
      this.space();
      if (items.length > 0 && this.take(')')) break;
      const end = wanted === undefined ? 0 : typeEnd(wanted, at);
      const item = this.value(wanted?.slice(at, end), depth + 1);
      at = end;
      signature += item.signature;
      items.push(item.value);
    }
    if (items.length === 0 || (wanted !== undefined && wanted !== `(${signature})`)) throw NO_VALUE;
    return { signature: `(${signature})`, value: items };
  }

  private boxed(wanted: string | undefined, depth: number): Variant {
    if ((wanted ?? 'v') !== 'v') throw NO_VALUE;
    this.at++;
    const value = this.value(undefined, depth + 1);
    this.space();
    if (!this.take('>')) throw NO_VALUE;
    return { signature: 'v', value };
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) throw NO_VALUE;
    this.at += found.length;
    return found;
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
  }
}

function typed(wanted: string | undefined, possible: readonly string[], value: Value): Variant {
  const signature = wanted ?? possible[0] ?? '';
  if (!possible.includes(signature)) throw NO_VALUE;
  return { signature, value };
}
