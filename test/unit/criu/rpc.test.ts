import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { MessageReader, MessageWriter } from '../../../src/criu/protobuf.ts';
import { type CriuOptions, decodeResponse, encodeRequest, REQUEST } from '../../../src/criu/rpc.ts';

const hex = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('hex');
const bytesOf = (digits: string): string => Buffer.from(digits.replaceAll(' ', ''), 'hex').toString('latin1');

test('numbers travel as varints, negative ones with 64 bits', (t) => {
  const encoded = (value: number): string => {
    const out = new MessageWriter();
    out.number(1, value);
    return hex(out.bytes);
  };
  // Examples of the specification of the format.
  t.is(encoded(1), '0801');
  t.is(encoded(150), '089601');
  t.is(encoded(0xffff_ffff), '08ffffffff0f');
  t.is(encoded(-2), '08feffffffffffffffff01');
  for (const value of [0, 1, 127, 128, 300, 2 ** 31 - 1, -1, -(2 ** 31)]) t.is(new MessageReader(bytesOf(encoded(value))).number(1), value);
});

test('texts are UTF-8 with their length before them', (t) => {
  const out = new MessageWriter();
  out.string(2, 'testing');
  t.is(hex(out.bytes), '120774657374696e67');
  const other = new MessageWriter();
  other.string(51, 'Größe €𝄞 \0%');
  t.is(new MessageReader(other.bytes).string(51), 'Größe €𝄞 \0%');
  t.is(other.bytes.length, 2 + 1 + Buffer.byteLength('Größe €𝄞 \0%'));
  t.throws(() => out.string(1, '\ud800'), { instanceOf: StrataError, message: /is not Unicode/ });
  // What is not UTF-8 can still be shown.
  t.is(new MessageReader(bytesOf('0a02fffe')).string(1), '\xff\xfe');
});

test('a request, byte for byte', (t) => {
  t.is(hex(encodeRequest({ type: REQUEST.version })), '080a');
  t.is(hex(encodeRequest({ type: REQUEST.version, keepOpen: true })), '080a2001');
  t.is(hex(encodeRequest({ type: REQUEST.notify, notifySuccess: true })), '08061801');
  t.is(hex(encodeRequest({ type: REQUEST.featureCheck, features: { memTrack: true } })), '08092a020801');
  const options: CriuOptions = {
    imagesDirFd: 5,
    pid: 300,
    leaveRunning: true,
    logFile: 'a',
    pageServer: { address: 'h', port: 80 },
    inheritFd: [{ key: 'k', fd: 0 }],
    cgroupRoots: [{ controller: '', path: '/c' }],
    external: ['x', 'y'],
  };
  const request = hex(encodeRequest({ type: REQUEST.dump, options }));
  t.true(request.startsWith('08011'));
  t.true(request.includes('080510ac021801520161' + '5a050a01681050'));
  // cg_root: 25, inherit_fd: 27, external: 37.
  t.true(request.includes('ca01060a0012022f63'));
  t.true(request.includes('da01050a016b1000'));
  t.true(request.endsWith('aa020178aa020179'));
});

test('answers', (t) => {
  t.deepEqual(decodeResponse(bytesOf('0801 1001')), { success: true, message: '' });
  t.deepEqual(decodeResponse(bytesOf('0802 1001 2203 08ac02')), { success: true, restoredPid: 300, message: '' });
  t.deepEqual(decodeResponse(bytesOf('0806 1001 2a07 0a03 6f6e65 1007')), {
    success: true,
    notify: { script: 'one', pid: 7 },
    message: '',
  });
  t.deepEqual(decodeResponse(bytesOf('080a 1001 5206 0804 1002 2001')).version, 40_201);
  t.deepEqual(decodeResponse(bytesOf('0809 1001 4202 0801')).features, { memTrack: true, lazyPages: false });
  const refused = decodeResponse(bytesOf('0801 1000 3811 4a02 6e6f'));
  t.deepEqual([refused.success, refused.message], [false, 'no']);
});

test('fields that are not known are passed over, and the last of several counts', (t) => {
  const read = decodeResponse(bytesOf('f83f05 0801 1000 1001 8d40 01020304 8940 0102030405060708 8a40 02 0000'));
  t.true(read.success);
});

test('what is no message is refused, wherever it ends', (t) => {
  const whole = bytesOf('0806 1001 2a07 0a03 6f6e65 1007');
  const wrong = [
    '0801',
    '10',
    '0801100',
    '08',
    '080110018',
    '0b',
    '0801 1001 2aff',
    '0801 1001 2a02 0a05',
    '0801 1001 2801',
    'ffffffffffffffffffffff01',
  ];
  for (const digits of wrong.filter((text) => text.replaceAll(' ', '').length % 2 === 0)) {
    t.throws(() => decodeResponse(bytesOf(digits)), { instanceOf: StrataError }, digits);
  }
  for (let size = 0; size < whole.length; size++) {
    if (size === 4) continue;
    t.throws(() => decodeResponse(whole.slice(0, size)), { instanceOf: StrataError }, `${size}`);
  }
  // Any bytes at all: an answer or a clear refusal.
  let seed = 1;
  const random = (): number => {
    seed = (seed * 48_271) % 0x7fff_ffff;
    return seed;
  };
  for (let round = 0; round < 3000; round++) {
    const bytes = Array.from({ length: random() % 24 }, () => String.fromCharCode(random() % 256)).join('');
    try {
      decodeResponse(bytes);
    } catch (error) {
      t.true(error instanceof StrataError, hex(bytes));
    }
  }
  t.pass();
});
