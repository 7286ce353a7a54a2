import test from 'ava';
import fc from 'fast-check';
import { StrataError } from '../../../src/base/error.ts';
import { planCreate } from '../../../src/plan/create.ts';
import { encode, wireTable } from '../../../src/plan/encode.ts';
import { OPERATIONS, type Operation } from '../../../src/plan/op.ts';
import { pack } from '../../../src/plan/wire.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { decode, Reader } from './_decode.ts';
import { contextOf, HYBRID, plan, RUNC_SPEC, V1, V2 } from './_support.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const withoutPointers = (operations: readonly Operation[]): Operation[] => operations.map((operation) => ({ ...operation, pointer: '' }));

test('an empty plan is its header', (t) => {
  t.is(hex(encode({ operations: [] })), '53545241' + '01000000' + '10000000' + '00000000');
});

test('golden bytes: every type of field', (t) => {
  const bytes = encode({
    operations: [
      { op: 'ready', pointer: '/never/sent' },
      { op: 'rlimit', pointer: '', resource: 7, name: 'Aé', soft: 1n, hard: 0xffffffffffffffffn },
      { op: 'user', pointer: '', uid: 0xffffffff, gid: 2, groups: [3, 4], umask: 5 },
      { op: 'exec', pointer: '', args: ['a', ''], env: [] },
      { op: 'cgroup-device-program', pointer: '', path: '', program: Uint8Array.of(0, 255) },
      { op: 'cwd', pointer: '', path: '/', last: true },
    ],
  });
  const parts = [
    '53545241 01000000 9c000000 06000000',
    '36000000 00000000',
    '2d000000 1c000000 07000000 03000000 41c3a9 00 0100000000000000 ffffffffffffffff',
    '33000000 18000000 ffffffff 02000000 02000000 03000000 04000000 05000000',
    '37000000 13000000 02000000 01000000 61 00 00000000 00 00000000',
    '03000000 0b000000 00000000 00 02000000 00ff',
    '2e000000 0a000000 01000000 2f 00 01000000',
  ];
  t.is(hex(bytes), parts.join('').replaceAll(' ', ''));
});

test('what is encoded can be decoded: whole plans', (t) => {
  const rich = {
    mounts: [
      {
        destination: '/data',
        source: '/data',
        options: ['rbind', 'rro', 'idmap'],
        uidMappings: [{ containerID: 0, hostID: 1, size: 1 }],
        gidMappings: [{ containerID: 0, hostID: 1, size: 1 }],
      },
    ],
    hooks: { prestart: [{ path: '/h' }], createContainer: [{ path: '/h', timeout: 3 }] },
    annotations: { 'dev.strata.overlay': '{"lower":["/a","/b"]}', schlüssel: '値 💧' },
    linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' }, personality: { domain: 'LINUX32' } },
  };
  for (const facts of [V1, HYBRID, V2]) {
    for (const operations of [planCreate(loadSpec(JSON.stringify(RUNC_SPEC)), contextOf(facts)).operations, plan(rich, facts)]) {
      t.deepEqual(decode(encode({ operations })), withoutPointers(operations));
    }
  }
});

test('any text without NUL arrives; a lone surrogate as U+FFFD', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), (text) => {
      if (text.includes('\0')) return;
      const reader = new Reader(pack([text, 42]));
      if (reader.string() !== text || reader.u32() !== 42) throw new Error('changed on the way');
    }),
  );
  for (const [text, bytes] of [
    ['\ud800', 'efbfbd'],
    ['\udc00\ud800x', 'efbfbdefbfbd78'],
    ['\ud83d\ude00', 'f09f9880'],
    ['\ud800\ud83d\ude00', 'efbfbdf09f9880'],
    ['\u07ff\u0800\uffff', 'dfbfe0a080efbfbf'],
  ] as const) {
    t.is(hex(pack([text])).slice(8, -2), bytes);
  }
});

test('a buffer grows as it must', (t) => {
  const args = Array.from({ length: 500 }, (_, index) => `${index}`.repeat(index));
  const operations: Operation[] = [{ op: 'exec', pointer: '', args, env: ['x'.repeat(200000)] }];
  t.deepEqual(decode(encode({ operations })), operations);
});

test('what does not fit its field is a fault, not a different value', (t) => {
  const bad: Operation[] = [
    { op: 'hostname', pointer: '', name: 'a\0b' },
    { op: 'directory', pointer: '', path: '/', mode: -1 },
    { op: 'directory', pointer: '', path: '/', mode: 2 ** 32 },
    { op: 'directory', pointer: '', path: '/', mode: 0.5 },
    { op: 'bounding', pointer: '', bounding: -1n },
    { op: 'bounding', pointer: '', bounding: 1n << 64n },
    { op: 'nothing', pointer: '' } as unknown as Operation,
  ];
  for (const operation of bad) {
    const error = t.throws(() => encode({ operations: [operation] }), { instanceOf: StrataError }) as StrataError;
    t.is(error.code, 'internal');
  }
});

test('the table as text, by code, for comparison with the core', (t) => {
  const lines = wireTable().trimEnd().split('\n');
  t.is(lines.length, Object.keys(OPERATIONS).length);
  t.is(lines[0], '1 cgroup-make hierarchy:string,path:string,controllers:strings,cpuset:bool');
  t.true(lines.includes('30 runtime-hooks '));
  const codes = lines.map((line) => Number.parseInt(line, 10));
  t.deepEqual(
    codes,
    [...new Set(codes)].sort((a, b) => a - b),
  );
});
