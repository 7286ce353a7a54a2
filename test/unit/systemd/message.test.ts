import test from 'ava';
import fc from 'fast-check';
import { decodeMessage, encodeCall, encodeMessage, MESSAGE, typeEnd, type Value } from '../../../src/systemd/message.ts';

const CALL = { serial: 1, destination: '', path: '/o', interface: 'a.b', member: 'M', wantsReply: true } as const;

function hex(bytes: string): string {
  return [...bytes].map((character) => character.charCodeAt(0).toString(16).padStart(2, '0')).join('');
}

test('a call has the bytes that the specification describes', (t) => {
  const bytes = encodeCall({ ...CALL, signature: 'su', body: ['ä', 0x01020304] });
  t.is(
    hex(bytes),
    [
      '6c010001', // little-endian, a call, no flags, version 1
      '0c000000', // length of the body
      '01000000', // serial
      '38000000', // length of the fields
      `01016f00${'02000000'}${hex('/o')}00`,
      '0000000000', // to a multiple of 8
      `02017300${'03000000'}${hex('a.b')}00`,
      '00000000',
      `03017300${'01000000'}${hex('M')}00`,
      '000000000000',
      `08016700${'02'}${hex('su')}00`,
      `02000000${'c3a4'}00`,
      '00',
      '04030201',
    ].join(''),
  );
  t.is(bytes.length % 4, 0);
});

/** A value of every kind. */
const SIGNATURE = 'yqnuixtbdsogasa(sv)a{sv}ay(ub)';
const VALUES: readonly Value[] = [
  255,
  65535,
  -2,
  4294967295,
  -5,
  -(2n ** 63n),
  2n ** 64n - 1n,
  true,
  0.1,
  'text \u{1f600} ß',
  '/a/b',
  'a(sv)',
  ['one', '', 'three'],
  [
    ['Name', { signature: 't', value: 7n }],
    ['Other', { signature: 'as', value: ['x'] }],
  ],
  [['key', { signature: 'v', value: { signature: 'b', value: false } }]],
  [1, 2, 3],
  [9, true],
];

test('what is written is read', (t) => {
  const bytes = encodeMessage([MESSAGE.reply, 0, 3], [], SIGNATURE, VALUES);
  t.deepEqual(decodeMessage(bytes)?.body, VALUES);
  t.is(decodeMessage(bytes)?.size, bytes.length);
  t.deepEqual(decodeMessage(`${bytes}more`)?.body, VALUES);
});

test('a part of a message is none yet', (t) => {
  const bytes = encodeMessage([MESSAGE.reply, 0, 3], [], SIGNATURE, VALUES);
  for (let length = 0; length < bytes.length; length++) t.is(decodeMessage(bytes.slice(0, length)), undefined);
});

test('numbers of a big-endian peer', (t) => {
  // A reply without a body, to the call 258.
  const fields = '\u0005\u0001u\0\0\0\u0001\u0002';
  const message = decodeMessage(`B\u0002\0\u0001\0\0\0\0\0\0\0\u0007\0\0\0\u0008${fields}`);
  t.like(message, { type: MESSAGE.reply, replySerial: 258, body: [] });
});

test('what is no message is refused, whatever it is', (t) => {
  t.throws(() => decodeMessage('HTTP/1.1 400 Bad Request\r\n'), { message: /no message of D-Bus/ });
  t.throws(() => decodeMessage(`l\u0002\0\u0001\xff\xff\xff\x7f${'\0'.repeat(12)}`), { message: /no message of D-Bus/ });
  const bytes = encodeMessage([MESSAGE.reply, 0, 3], [], SIGNATURE, VALUES);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
      try {
        decodeMessage(bytes.slice(0, at) + String.fromCharCode(byte) + bytes.slice(at + 1));
      } catch (error) {
        return /no message of D-Bus/.test(String(error));
      }
      return true;
    }),
  );
  t.pass();
});

test('values that do not fit their signature are a fault of ours', (t) => {
  for (const [signature, body] of [
    ['s', [1]],
    ['u', ['1']],
    ['as', ['one']],
    ['v', ['bare']],
    ['s', []],
    ['s', ['a', 'b']],
    ['z', [1]],
  ] as const) {
    t.throws(() => encodeCall({ ...CALL, signature, body }), { message: /is not of the type/ });
  }
});

test('types end where they end', (t) => {
  t.is(typeEnd('sas', 1), 3);
  t.is(typeEnd('a{s(uv)}x', 0), 8);
  t.is(typeEnd('(sa(st))', 0), 8);
});
