/**
 * JSON with exact integers: one outside ±(2^53 - 1) is a `bigint`, every other number is what `JSON.parse` makes of it.
 *
 * The reviver's `context.source` would do, but QuickJS does not have it. So `JSON.parse` reads the document, as it does everything fastest; if a
 * number was too large for it, it reads the document once more with such integers marked as strings; and the parser below, which takes thirty
 * times as long, reads what remains: documents with a fault whose place we want to name.
 */
import { isStackOverflow, StrataError } from './error.ts';
import { bounded, pointer } from './pointer.ts';

/** Deeper nesting than any configuration has; a bound keeps recursive readers of the value safe. */
const DEEPEST = 512;
/** The largest u64 has 20 digits; turning a literal of millions of digits into a bigint would take minutes. */
const MOST_DIGITS = 1000;

type Container = unknown[] | Record<string, unknown>;

/**
 * Parses a JSON document. Duplicate keys: the last wins; `__proto__` is a key like any other.
 *
 * @throws StrataError `config-syntax` with the pointer of the enclosing value and the line and column, also for nesting over 512 levels; with the
 * pointer of the string for half a surrogate pair, which is no text and which UTF-8 does not have.
 */
export function parseExact(text: string): unknown {
  const value = parseNumbers(text);
  // Only an escape can make one: text that was UTF-8 has none.
  if (text.includes('\\u') && /\\u[Dd][89A-Fa-f]/.test(text)) refuseHalves(value);
  return value;
}

function parseNumbers(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (isReadable(error)) return parseSlowly(text);
    throw error;
  }
  if (isLax(text)) return parseSlowly(text);
  const rounded = roundedNumbers(value);
  if (rounded === undefined) return parseSlowly(text);
  return rounded.length === 0 ? value : (parseMarked(text, rounded) ?? parseSlowly(text));
}

/**
 * Whether a document has what QuickJS's `JSON.parse` takes and RFC 8259 does not: escapes such as `\q` and `\x41`, and the numbers `1.` and `-01`.
 * What only looks so, within a string, is true as well: the slow parser then says what it is.
 */
function isLax(text: string): boolean {
  for (let at = text.indexOf('\\'); at !== -1; at = text.indexOf('\\', at + 2)) {
    const escaped = text[at + 1] ?? '';
    if (escaped === 'u' ? !FOUR_DIGITS.test(text.slice(at + 2, at + 6)) : !'"\\/bfnrt'.includes(escaped)) return true;
  }
  for (let at = text.indexOf('.'); at !== -1; at = text.indexOf('.', at + 1)) {
    if (isDigit(text[at + 1]) || !isDigit(text[at - 1])) continue;
    let start = at - 1;
    while (isDigit(text[start - 1])) start--;
    if (text[start - 1] === '-') start--;
    if (beginsToken(text, start)) return true;
  }
  for (let at = text.indexOf('-0'); at !== -1; at = text.indexOf('-0', at + 2)) {
    if (isDigit(text[at + 2]) && beginsToken(text, at)) return true;
  }
  return false;
}

const FOUR_DIGITS = /^[0-9A-Fa-f]{4}$/;

/** Whether a number can begin at `at`. */
function beginsToken(text: string, at: number): boolean {
  return at === 0 || ':[,'.includes(text[at - 1] as string) || isSpace(text.charCodeAt(at - 1));
}

/** Whether an error of `JSON.parse` is one that the slow parser can name; with memory exhausted, it would exhaust it again. */
function isReadable(error: unknown): boolean {
  // QuickJS's own parser is recursive; how deep it comes is beyond DEEPEST in any case.
  return error instanceof SyntaxError || isStackOverflow(error);
}

function isRounded(value: number): boolean {
  return value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER;
}

/** Numbers that may have lost precision, each once, but not many more than MOST_ROUNDED of them; undefined if the nesting is over the limit. */
function roundedNumbers(root: unknown): number[] | undefined {
  const rounded: number[] = [];
  let level: unknown[] = [[root]];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) return undefined;
    const next: unknown[] = [];
    for (let at = 0; at < level.length; at++) {
      const container = level[at] as object;
      const children: unknown[] = Array.isArray(container) ? container : Object.values(container);
      // By index, and strings first: this sees every value, and QuickJS's iterators cost more than what is done here.
      for (let index = 0, { length } = children; index < length; index++) {
        const child = children[index];
        if (typeof child === 'string') continue;
        if (typeof child === 'object') {
          if (child !== null) next.push(child);
        } else if (typeof child === 'number' && isRounded(child) && rounded.length <= MOST_ROUNDED && !rounded.includes(child)) {
          rounded.push(child);
        }
      }
    }
    level = next;
  }
  return rounded;
}

/** So many different large integers are searched for one by one: configurations have one or two, for 'no limit'. */
const MOST_ROUNDED = 8;
/** U+0091, 'private use one': no text has a use for it, and with it the document still has one byte for a character in JavaScript's memory. */
const MARK = '\u0091';
const MARK_CODE = 0x91;

/**
 * Parses a document that is valid JSON, with its large integers marked: as strings that begin with {@link MARK}. undefined: this cannot tell.
 *
 * What looks like a large integer may also stand within a string. The first that does so gets a quotation mark in front of it that ends the
 * string (no backslash can stand before it), and behind that MARK, which begins no token: the text is no JSON then, and never other JSON.
 */
function parseMarked(text: string, rounded: readonly number[]): unknown {
  if (rounded.length > MOST_ROUNDED || text.includes(MARK) || text.includes('\\u0091')) return undefined;
  let marked = text;
  for (const number of rounded) {
    const digits = Number.isFinite(number) ? commonDigits(number) : '';
    if (digits === '') return undefined;
    marked = mark(marked, digits);
  }
  let value: unknown;
  try {
    value = JSON.parse(marked);
  } catch (error) {
    if (isReadable(error)) return undefined;
    throw error;
  }
  return typeof value === 'object' && value !== null && unmark(value as Container) ? value : undefined;
}

/** The digits with which every integer begins that is rounded to `number`; '' if there are none. */
function commonDigits(number: number): string {
  const exact = BigInt(Math.abs(number));
  // A double has 53 bits, so this is at least twice as far as rounding goes.
  const distance = exact >> 52n;
  const low = String(exact - distance);
  const high = String(exact + distance);
  if (low.length !== high.length) return '';
  let length = 0;
  while (length < low.length && low[length] === high[length]) length++;
  return low.slice(0, length);
}

/** The text with quotation marks and MARK around each integer that begins with `digits` and stands where a value of a container can. */
function mark(text: string, digits: string): string {
  const parts: string[] = [];
  let done = 0;
  let end = 0;
  for (let at = text.indexOf(digits); at !== -1; at = text.indexOf(digits, end)) {
    end = at + digits.length;
    const start = text[at - 1] === '-' ? at - 1 : at;
    let before = start - 1;
    while (isSpace(text.charCodeAt(before))) before--;
    if (!':[,'.includes(text[before] ?? ' ')) continue;
    while (isDigit(text[end])) end++;
    let after = end;
    while (isSpace(text.charCodeAt(after))) after++;
    if (!',]}'.includes(text[after] ?? ' ')) continue;
    parts.push(text.slice(done, start), `"${MARK}`, text.slice(start, end), '"');
    done = end;
  }
  parts.push(text.slice(done));
  return parts.join('');
}

/** Puts numbers in the place of the marked strings below `root`; false if a number is left that may be rounded. */
function unmark(root: Container): boolean {
  const open = [root];
  for (let container = open.pop(); container !== undefined; container = open.pop()) {
    // Each key is there, so that assigning to it can do nothing else: not even to one that is `__proto__`.
    const object = container as Record<string, unknown>;
    const keys = Object.keys(object);
    for (let index = 0, { length } = keys; index < length; index++) {
      const key = keys[index] as string;
      const child = object[key];
      if (typeof child === 'string') {
        if (child.charCodeAt(0) === MARK_CODE) object[key] = integer(child.slice(1));
      } else if (typeof child === 'object') {
        if (child !== null) open.push(child as Container);
      } else if (typeof child === 'number' && isRounded(child)) {
        return false;
      }
    }
  }
  return true;
}

function integer(literal: string): number | bigint {
  const value = Number(literal);
  return Number.isSafeInteger(value) ? value : BigInt(literal);
}

/** Half of a surrogate pair, U+D800 to U+DFFF. */
const HALF = /\p{Surrogate}/u;

/** A value and the way to it; the pointer is made of it only when there is something to tell, for keys may be long and many. */
interface Step {
  readonly value: unknown;
  readonly key: string;
  readonly parent: Step | undefined;
}

function refuseHalves(root: unknown): void {
  const open: Step[] = [{ value: root, key: '', parent: undefined }];
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    const { value } = step;
    if (typeof value === 'string' && HALF.test(value)) refuseHalf(step, 'a string');
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, child] of Object.entries(value)) {
      if (HALF.test(key)) refuseHalf(step, 'a key');
      open.push({ value: child, key, parent: step });
    }
  }
}

function refuseHalf(place: Step, what: string): never {
  const keys: string[] = [];
  for (let step = place; step.parent !== undefined; step = step.parent) keys.unshift(step.key);
  const reason = `not valid text: ${what} holds half of a surrogate pair`;
  throw new StrataError({ code: 'config-syntax', stage: 'load', pointer: bounded(pointer('', ...keys)), reason });
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
    if (!isInteger) return Number(literal);
    if (literal.length > MOST_DIGITS) this.fail(`an integer of more than ${MOST_DIGITS} digits`, start);
    return integer(literal);
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
      if (!isSpace(this.text.charCodeAt(this.at))) return this.text[this.at] ?? '';
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

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x09 || code === 0x0d;
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
