import test from 'ava';
import { parseVariant } from '../../../src/systemd/gvariant.ts';
import type { Value } from '../../../src/systemd/message.ts';

const GOOD: readonly [text: string, signature: string, value: Value][] = [
  ['true', 'b', true],
  [' false ', 'b', false],
  ['5', 'i', 5],
  ['-0x10', 'i', -16],
  ['uint64 123456789', 't', 123456789n],
  ['uint32 4294967295', 'u', 4294967295],
  ['int64 -1', 'x', -1n],
  ['byte 0xff', 'y', 255],
  ['int16 -32768', 'n', -32768],
  ['1.5', 'd', 1.5],
  ['double 2', 'd', 2],
  ["'inactive-or-failed'", 's', 'inactive-or-failed'],
  ['"it\'s"', 's', "it's"],
  [String.raw`'a\'b\\\n\u00e4\U0001f600'`, 's', "a'b\\\nä\u{1f600}"],
  ["objectpath '/a'", 'o', '/a'],
  ['[\'network.target\', "b.service"]', 'as', ['network.target', 'b.service']],
  ['@as []', 'as', []],
  ['[uint64 1, 2]', 'at', [1n, 2n]],
  ["('a', 5, true)", '(sib)', ['a', 5, true]],
  ["[('/dev/sda', uint64 5)]", 'a(st)', [['/dev/sda', 5n]]],
  ['(7,)', '(i)', [7]],
  ["@a(st) [('/dev/sda', 5)]", 'a(st)', [['/dev/sda', 5n]]],
  ["<'x'>", 'v', { signature: 's', value: 'x' }],
];

test('the text form of GVariant', (t) => {
  for (const [text, signature, value] of GOOD) t.deepEqual(parseVariant(text), { signature, value }, text);
});

test('what is no value, or of no known type', (t) => {
  const bad = [
    '',
    'text',
    "'open",
    '[]',
    '()',
    "['a', 5]",
    'uint64 -1',
    'byte 256',
    '2147483648',
    'uint32 1.5',
    '1 2',
    "uint32 'a'",
    '@as [5]',
    '@q 70000',
  ];
  const worse = [
    '{',
    "('a'",
    '[1,,2]',
    '<5',
    '@as',
    '@asi 5',
    "'\\u0000'",
    "'\\ud8'",
    '[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]',
    'true1',
    'just nothing',
  ];
  for (const text of [...bad, ...worse]) t.is(parseVariant(text), undefined, text);
});
