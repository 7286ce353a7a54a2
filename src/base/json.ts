/**
 * JSON with exact integers: one outside ±(2^53 - 1) is a `bigint`, every other number is what `JSON.parse` makes of it.
 * The reviver's `context.source` would do, but QuickJS does not have it; so `JSON.parse` reads the document, and only when a number was too
 * large for it, or when it found a fault whose place we want to name, does the parser below read the document again.
 */
import { StrataError } from './error.ts';
import { bounded, pointer } from './pointer.ts';

/** Deeper nesting than any configuration has; a bound keeps recursive readers of the value safe. */
const DEEPEST = 512;
/** The largest u64 has 20 digits; turning a literal of millions of digits into a bigint would take minutes. */
const MOST_DIGITS = 1000;

type Container = unknown[] | Record<string, unknown>;

/**
 * Parses a JSON document. Duplicate keys: the last wins; `__proto__` is a key like any other.
 *
 * @throws StrataError `config-syntax` with the pointer of the enclosing value and the line and column, also for nesting over 512 levels.
 */
export function parseExact(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return parseSlowly(text);
  }
  return isExact(value) ? value : parseSlowly(text);
}

/** Level by level: whether no number lost precision, and the nesting is within the limit. */
function isExact(root: unknown): boolean {
  let level: unknown[] = [[root]];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) return false;
    const next: unknown[] = [];
    for (const container of level) {
      for (const child of Array.isArray(container) ? container : Object.values(container as object)) {
        if (typeof child === 'object') {
          if (child !== null) next.push(child);
        } else if (typeof child === 'number' && (child > Number.MAX_SAFE_INTEGER || child < Number.MIN_SAFE_INTEGER)) {
          return false;
        }
      }
    }
    level = next;
  }
  return true;
}

/** Iterative, so that no nesting overflows the stack. */
function parseSlowly(text: string): unknown {
  const parser = new Parser(text);
  if (text.charCodeAt(0) === 0xfeff) parser.fail('starts with a byte order mark, which JSON does not allow', 0);
  return parser.document();
}

class Parser {
  private readonly text: string;
  private at = 0;
  /** The containers that are open, outermost first, and for each the key its next value gets. */
  private readonly open: Container[] = [];
  private readonly keys: string[] = [];

  constructor(text: string) {
    this.text = text;
  }

  document(): unknown {
    for (;;) {
      let value = this.value();
      if (value === undefined) continue;
      // The value may be the last of its container, which then is a complete value itself, and so on.
      for (;;) {
        const parent = this.open[this.open.length - 1];
        const next = this.skipSpace();
        if (parent === undefined) {
          if (this.at < this.text.length) this.fail(`unexpected ${this.found()} after the end of the document`);
          return value;
        }
        if (Array.isArray(parent)) parent.push(value);
        else setOwn(parent, this.keys[this.keys.length - 1] as string, value);
        const close = Array.isArray(parent) ? ']' : '}';
        if (next === ',') {
          this.at++;
          if (!Array.isArray(parent)) this.key();
          break;
        }
        if (next !== close) this.fail(`expected ',' or '${close}', found ${this.found()}`);
        this.at++;
        value = parent;
        this.open.pop();
        this.keys.pop();
      }
    }
  }

  /** The value at the cursor; undefined when it is a container that has been opened and is not empty. */
  private value(): unknown {
    const first = this.skipSpace();
    switch (first) {
      case '{':
      case '[':
        return this.container(first);
      case '"':
        return this.string();
      case 't':
        return this.literal('true', true);
      case 'f':
        return this.literal('false', false);
      case 'n':
        return this.literal('null', null);
      default:
        return first === '-' || isDigit(first) ? this.number() : this.fail(`expected a value, found ${this.found()}`);
    }
  }

  private container(first: string): Container | undefined {
    if (this.open.length >= DEEPEST) this.fail(`nested deeper than ${DEEPEST} levels`);
    const container: Container = first === '[' ? [] : {};
    this.at++;
    if (this.skipSpace() === (first === '[' ? ']' : '}')) {
      this.at++;
      return container;
    }
    this.open.push(container);
    this.keys.push('');
    if (first === '{') this.key();
    return undefined;
  }

  /** A key and its colon. */
  private key(): void {
    if (this.skipSpace() !== '"') this.fail(`expected a key in double quotes, found ${this.found()}`);
    const key = this.string();
    if (this.skipSpace() !== ':') this.fail(`expected ':' after a key, found ${this.found()}`);
    this.at++;
    this.keys[this.keys.length - 1] = key;
  }

  private string(): string {
    const start = this.at + 1;
    let end = this.text.indexOf('"', start);
    while (end >= 0 && this.isEscaped(end, start)) end = this.text.indexOf('"', end + 1);
    if (end < 0) this.fail('a string has no end');
    const raw = this.text.slice(start, end);
    let value = raw;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what JSON forbids here
    if (/[\\\u0000-\u001f]/.test(raw)) {
      try {
        value = JSON.parse(`"${raw}"`) as string;
      } catch {
        this.fail('a string has a bad escape or a control character');
      }
    }
    this.at = end + 1;
    return value;
  }

  /** Whether an odd number of backslashes stands before `at`. */
  private isEscaped(at: number, start: number): boolean {
    let from = at;
    while (from > start && this.text[from - 1] === '\\') from--;
    return (at - from) % 2 === 1;
  }

  private number(): number | bigint {
    const start = this.at;
    if (this.text[this.at] === '-') this.at++;
    if (this.text[this.at] === '0') this.at++;
    else this.digits();
    let isInteger = true;
    if (this.text[this.at] === '.') {
      isInteger = false;
      this.at++;
      this.digits();
    }
    if (this.text[this.at] === 'e' || this.text[this.at] === 'E') {
      isInteger = false;
      this.at++;
      if (this.text[this.at] === '+' || this.text[this.at] === '-') this.at++;
      this.digits();
    }
    const literal = this.text.slice(start, this.at);
    const value = Number(literal);
    if (!isInteger || Number.isSafeInteger(value)) return value;
    if (literal.length > MOST_DIGITS) this.fail(`an integer of more than ${MOST_DIGITS} digits`, start);
    return BigInt(literal);
  }

  /** One digit or more. */
  private digits(): void {
    if (!isDigit(this.text[this.at])) this.fail(`expected a digit, found ${this.found()}`);
    while (isDigit(this.text[this.at])) this.at++;
  }

  private literal<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail(`expected a value, found ${this.found()}`);
    this.at += word.length;
    return value;
  }

  /** Moves to the next character that is not white space, and returns it; '' at the end. */
  private skipSpace(): string {
    for (;;) {
      // By number: QuickJS makes a new string for every character that is looked at as one.
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x09 && code !== 0x0d) return this.text[this.at] ?? '';
      this.at++;
    }
  }

  private found(): string {
    const code = this.text.codePointAt(this.at);
    return code === undefined ? 'the end' : `'${String.fromCodePoint(code)}'`;
  }

  fail(reason: string, at = this.at): never {
    let line = 1;
    let start = 0;
    for (let end = this.text.indexOf('\n'); end >= 0 && end < at; end = this.text.indexOf('\n', start)) {
      line++;
      start = end + 1;
    }
    const tokens = this.open.slice(1).map((_, depth) => {
      const parent = this.open[depth];
      return Array.isArray(parent) ? parent.length : (this.keys[depth] as string);
    });
    const place = `line ${line}, column ${at - start + 1}`;
    throw new StrataError({
      code: 'config-syntax',
      stage: 'load',
      pointer: bounded(pointer('', ...tokens)),
      reason: `not valid JSON: ${reason} (${place})`,
    });
  }
}

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= '0' && char <= '9';
}

/** Assignment to `__proto__` would set the prototype. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

/**
 * JSON of a value as {@link parseExact} makes it: as `JSON.stringify`, and a `bigint` is written as an integer literal.
 * Keys stay in their order; properties that are undefined are left out; `toJSON` is not called.
 *
 * @param indent spaces for each level; 0 is one line
 */
export function stringifyExact(value: unknown, indent = 0): string {
  return write(value, indent, indent > 0 ? '\n' : '');
}

/** `margin` is the line break and the indentation of the line that the value stands on; '' for everything on one line. */
function write(value: unknown, indent: number, margin: string): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const inner = margin === '' ? '' : margin + ' '.repeat(indent);
  const parts: string[] = [];
  if (Array.isArray(value)) {
    for (const item of value) parts.push(inner + write(item, indent, inner));
  } else {
    const colon = indent > 0 ? ': ' : ':';
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined) parts.push(`${inner}${JSON.stringify(key)}${colon}${write(item, indent, inner)}`);
    }
  }
  const [begin, end] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  return parts.length === 0 ? begin + end : `${begin}${parts.join(',')}${margin}${end}`;
}
