import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { StrataError } from '../../../src/base/error.ts';
import { parseExact, stringifyExact } from '../../../src/base/json.ts';

function fault(t: ExecutionContext, text: string): StrataError {
  const error = t.throws(() => parseExact(text), { instanceOf: StrataError }) as StrataError;
  t.is(error.code, 'config-syntax');
  return error;
}
/** Adding an integer that JSON.parse rounds has large integers marked. */
const marked = (text: string): unknown => (parseExact(`[${text},18446744073709551615]`) as unknown[])[0];
/** Adding the very character that marks them leaves the document to the slow parser. */
const slowly = (text: string): unknown => (parseExact(`[${text},18446744073709551615,"\u0091"]`) as unknown[])[0];
/** What JSON.parse would have made of the bigints. */
const rounded = (value: unknown): unknown => JSON.parse(stringifyExact(value));

test('integers beyond 2^53 are exact bigints, all others numbers', (t) => {
  t.is(parseExact('18446744073709551615'), 2n ** 64n - 1n);
  t.is(parseExact('-9223372036854775808'), -(2n ** 63n));
  t.is(parseExact('9007199254740991'), 2 ** 53 - 1);
  t.is(parseExact('9007199254740992'), 2n ** 53n);
  t.is(parseExact('9007199254740993'), 2n ** 53n + 1n);
  t.is(parseExact('-9007199254740993'), -(2n ** 53n) - 1n);
  t.is(parseExact('1e300'), 1e300);
  t.is(parseExact('12345678901234567890.5'), Number('12345678901234567890.5'));
  t.is(parseExact('"9007199254740993"'), '9007199254740993');
  t.deepEqual(parseExact('{"a":[9007199254740993,-0,0.1],"b":1E+2}'), { a: [9007199254740993n, -0, 0.1], b: 100 });
  t.is(parseExact(`1${'0'.repeat(999)}`), 10n ** 999n);
});

test('agrees with JSON.parse on any JSON, fast, marked and slow', (t) => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (text) => {
      const expected: unknown = JSON.parse(text);
      t.deepEqual(rounded(parseExact(text)), expected);
      t.deepEqual(rounded(marked(text)), expected);
      t.deepEqual(rounded(slowly(text)), expected);
    }),
    { numRuns: 300 },
  );
});

/** JSON whose numbers and texts are mostly digits, and whose texts look like JSON. */
const digits = fc
  .tuple(fc.constantFrom('', '-'), fc.constantFrom('1', '9', '18446744073709551615', '9007199254740991'), fc.nat(20))
  .map(([sign, start, more]) => sign + start + '0123456789'.repeat(2).slice(0, more));
const space = fc.constantFrom('', ' ', '\n\t', '\r');
const numberlike = fc.tuple(
  fc.constantFrom('', ':', '[', ',', ', ', '\\"', '\\\\', ':\\u0020', '\\u0091', '\u0091'),
  digits,
  fc.constantFrom('', ',', ' }', ']', '.5', 'e3'),
);
const tricky = fc.letrec<{ any: string }>((tie) => ({
  any: fc
    .tuple(
      space,
      fc.oneof(
        { maxDepth: 4 },
        fc.tuple(digits, fc.constantFrom('', '.0', 'e1', 'E+400')).map(([number, rest]) => number + rest),
        numberlike.map((parts) => `"${parts.join('')}"`),
        fc.array(tie('any'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
        fc
          .array(fc.tuple(numberlike, tie('any')), { maxLength: 4 })
          .map((items) => `{${items.map(([key, value]) => `"${key.join('')}" :${value}`).join(',')}}`),
      ),
      space,
    )
    .map((parts) => parts.join('')),
})).any;

test('the marks of large integers are never taken for anything else', (t) => {
  fc.assert(
    fc.property(tricky, (text) => {
      const expected = slowly(text);
      t.deepEqual(marked(text), expected);
      t.deepEqual(parseExact(text), expected);
    }),
    { numRuns: 2000 },
  );
});

test('texts that look like marks, and large integers in texts', (t) => {
  const big = 18446744073709551615n;
  for (const text of [
    '"\u0091123"',
    '"\\u0091123"',
    '"\\\\u0091123"',
    '"a:18446744073709551615,b"',
    '"[18446744073709551615]"',
    '{"x:18446744073709551615,":1}',
  ]) {
    t.deepEqual(parseExact(`[${text},18446744073709551615]`), [JSON.parse(text), big], text);
  }
  t.deepEqual(parseExact('{"__proto__":18446744073709551615}'), Object.fromEntries([['__proto__', big]]));
  t.deepEqual(parseExact('{"__proto__":{"a":18446744073709551615},"b":[[18446744073709551615]]}'), {
    ...Object.fromEntries([['__proto__', { a: big }]]),
    b: [[big]],
  });
  t.deepEqual(parseExact('[1e999,-1e999,18446744073709551615]'), [Infinity, -Infinity, big]);
  t.is((parseExact(`[-${'9'.repeat(999)}]`) as unknown[])[0], BigInt(`-${'9'.repeat(999)}`));
  for (const sign of ['', '-']) t.regex(fault(t, `[18446744073709551615,${sign}${'9'.repeat(1001)}]`).reason, /more than 1000 digits/);
});

test('a document of many large integers, or of what looks like them, is read as fast as any', (t) => {
  const many = `[${'18446744073709551615,'.repeat(200_000)}1]`;
  t.is((parseExact(many) as unknown[])[199_999], 2n ** 64n - 1n);
  for (const filler of ['184467440737095', ',184467440737095', ', 18446744073709551615 ', '  ,   18446744073709551615'].map((part) =>
    part.repeat(100_000),
  )) {
    t.deepEqual(parseExact(`["${filler}",18446744073709551615]`), [filler, 2n ** 64n - 1n]);
  }
});

test('half of a surrogate pair is no text, wherever it stands', (t) => {
  const places = [
    ['"\\ud800"', ''],
    ['{"a":["x","\\uDFFFx"]}', '/a/1'],
    ['{"a/b":{"c\\udc00\\ud83d":1}}', '/a~1b'],
    ['[18446744073709551615,"\\ud83d\\ud83d\\ude00"]', '/1'],
    ['["\u0091",18446744073709551615,"\\ude00"]', '/2'],
  ] as const;
  for (const [text, place] of places) {
    const error = fault(t, text);
    t.is(error.pointer, place, text);
    t.regex(error.reason, /half of a surrogate pair/);
  }
  for (const text of ['"\\ud83d\\ude00"', '"\\\\ud800"', '{"\\uD83D\\uDE00":1}']) t.deepEqual(parseExact(text), JSON.parse(text));
});

test('agrees with JSON.parse on whether a damaged text is JSON', (t) => {
  const texts = fc.tuple(
    fc.json({ maxDepth: 3 }),
    fc.nat(),
    fc.nat(3),
    fc.constantFrom('', ' ', '"', '\\', '[', ']', '{', '}', ',', ':', '0', '-', '.', 'e', 'null', '\n', '\u00a0'),
  );
  fc.assert(
    fc.property(texts, ([text, seed, removed, added]) => {
      const at = seed % (text.length + 1);
      const damaged = text.slice(0, at) + added + text.slice(at + removed);
      for (const whole of [damaged, `[18446744073709551615,${damaged}]`]) {
        let isJson = true;
        try {
          JSON.parse(whole);
        } catch {
          isJson = false;
        }
        if (isJson) t.notThrows(() => parseExact(whole), whole);
        else t.throws(() => parseExact(whole), { instanceOf: StrataError }, whole);
      }
    }),
    { numRuns: 1000 },
  );
});

test('strings: escapes and ends after backslashes are as JSON.parse has them', (t) => {
  for (const text of ['"\\\\"', '"\\\\\\""', '"a\\"b"', '"\\ud83d\\ude00"', '"\\u0000"', '"\u2028\u{1f600}"', '""', '"\\/\\b\\f\\n\\r\\t"']) {
    t.deepEqual(slowly(text), JSON.parse(text), text);
  }
  for (const text of ['"\\x"', '"\\u12"', '"\t"', '"\n"', '"', '"\\"', '"\\\\\\"']) t.regex(fault(t, text).reason, /a string has/, text);
});

test('__proto__ is a key like any other', (t) => {
  for (const text of ['{"__proto__":{"a":1}}', '{"__proto__":{"a":1},"big":18446744073709551615}']) {
    const value = parseExact(text) as object;
    t.is(Object.getPrototypeOf(value), Object.prototype);
    t.true(Object.hasOwn(value, '__proto__'));
    t.is((value as { a?: number }).a, undefined);
    t.is(stringifyExact(value), text);
  }
});

test('of duplicate keys the last wins', (t) => {
  t.deepEqual(parseExact('{"a":1,"a":2}'), { a: 2 });
  t.deepEqual(slowly('{"a":1,"b":3,"a":2}'), { a: 2, b: 3 });
});

const places: readonly [text: string, pointer: string, place: string, reason: RegExp][] = [
  ['', '', 'line 1, column 1', /expected a value, found the end/],
  ['{} x', '', 'line 1, column 4', /unexpected 'x' after the end of the document/],
  ['[1,\n 2}', '', 'line 2, column 3', /expected ',' or ']', found '}'/],
  ['{"linux":{"a/b":[{},{"c":tru}]}}', '/linux/a~1b/1', 'line 1, column 26', /expected a value/],
  ['{"a":{"b":1,}}', '/a', 'line 1, column 13', /expected a key in double quotes, found '}'/],
  ['{"a" 1}', '', 'line 1, column 6', /expected ':' after a key/],
  ['[01]', '', 'line 1, column 3', /found '1'/],
  ['[-]', '', 'line 1, column 3', /expected a digit/],
  ['[1.]', '', 'line 1, column 4', /expected a digit/],
  ['[\u{1f600}]', '', 'line 1, column 2', /found '\u{1f600}'/u],
  ['{"a":\r\n\r\n\tNaN}', '', 'line 3, column 2', /expected a value, found 'N'/],
  ['\ufeff{}', '', 'line 1, column 1', /byte order mark/],
  [`{"a":${'9'.repeat(1_000_000)}}`, '', 'line 1, column 6', /an integer of more than 1000 digits/],
];
for (const [text, pointer, place, reason] of places) {
  test(`names the place: ${JSON.stringify(text.slice(0, 40))}`, (t) => {
    const error = fault(t, text);
    t.is(error.pointer, pointer);
    t.regex(error.reason, reason);
    t.true(error.reason.endsWith(`(${place})`), error.reason);
  });
}

test('nesting: 512 levels are read, more is one error, however many', (t) => {
  const nested = (open: string, close: string, levels: number, inner: string): string => open.repeat(levels) + inner + close.repeat(levels);
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    t.notThrows(() => parseExact(nested(open, close, 512, '1')));
    t.notThrows(() => parseExact(nested(open, close, 512, '18446744073709551615')));
    for (const levels of [513, 200_000]) {
      for (const inner of ['1', '18446744073709551615', '[]', 'x']) {
        const error = fault(t, nested(open, close, levels, inner));
        t.regex(error.reason, /nested deeper than 512 levels/);
        t.true((error.pointer ?? '').length <= 200 && error.message.length < 400);
      }
    }
  }
  fault(t, '['.repeat(200_000));
});

test('a long key makes a short pointer', (t) => {
  const error = fault(t, `{"${'k'.repeat(1_000_000)}":[}`);
  t.is(error.pointer?.length, 200);
  t.true(error.message.length < 300);
});

// A way of reading that takes time beyond the length's proportion would not end before the runner gives up.
test('50 MB of JSON, or of something else', (t) => {
  t.is((parseExact(`["${'x'.repeat(50_000_000)}"]`) as string[])[0]?.length, 50_000_000);
  fault(t, `["${'\\"'.repeat(25_000_000)}`);
  fault(t, `${' '.repeat(50_000_000)}x`);
});

test('what stringifyExact writes, parseExact reads again', (t) => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      fc.string({ unit: 'binary' }),
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((big) => (Number.isSafeInteger(Number(big)) ? Number(big) : big)),
      fc
        .double({ noNaN: true, noDefaultInfinity: true })
        .filter((number) => !Object.is(number, -0) && (!Number.isInteger(number) || Number.isSafeInteger(number))),
      fc.constantFrom(null, true, false),
      fc.array(tie('any'), { maxLength: 5 }),
      fc.dictionary(fc.string(), tie('any'), { maxKeys: 5, noNullPrototype: true }),
    ),
  })).any;
  fc.assert(
    fc.property(value, fc.constantFrom(0, 2), (any, indent) => {
      t.deepEqual(parseExact(stringifyExact(any, indent)), any);
    }),
    { numRuns: 300 },
  );
});

test('without bigints stringifyExact writes what JSON.stringify writes', (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 1, 4), (value, indent) => {
      t.is(stringifyExact(value, indent), JSON.stringify(value, null, indent));
    }),
    { numRuns: 200 },
  );
  t.is(stringifyExact({ b: undefined, a: [undefined, Number.NaN] }), '{"a":[null,null]}');
  t.is(stringifyExact({ z: 2n ** 64n, a: 1 }, 2), '{\n  "z": 18446744073709551616,\n  "a": 1\n}');
});

test('what the parser of an engine takes beyond RFC 8259 is refused in every engine', (t) => {
  for (const text of [
    String.raw`{"a": "\q"}`,
    String.raw`{"a": "\x41"}`,
    String.raw`["\v"]`,
    String.raw`["\'"]`,
    String.raw`{"\\\q": 1}`,
    '["\\\n"]',
    '["\\\0"]',
    String.raw`["\u12g4"]`,
    '[1.]',
    '[1.e5]',
    '[-1.]',
    '1.',
    '{"uid": -00}',
    '{"uid": -01}',
    '-01',
    '[ -00]',
  ]) {
    t.is(t.throws(() => parseExact(text), { instanceOf: StrataError })?.code, 'config-syntax', text);
  }
});

test('what only looks like that is read', (t) => {
  const value = ['unit1.service', 'see 1. and -01', ':1.', ', -01', '\\q', '\\\\u', 'a\\"b', '2020-01-01', -0.5, 1.25, 0];
  t.deepEqual(parseExact(JSON.stringify(value)), value);
});
