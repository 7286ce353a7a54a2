import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { planCreate } from '../../../src/plan/create.ts';
import { encode, wireTable } from '../../../src/plan/encode.ts';
import { OPERATIONS, type Operation } from '../../../src/plan/op.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { decode } from './_decode.ts';
import { contextOf, HYBRID, plan, RUNC_SPEC, V1, V2 } from './_support.ts';

const withoutPointers = (operations: readonly Operation[]): Operation[] => operations.map((operation) => ({ ...operation, pointer: '' }));

test('values are code and payload in turn, and a list begins with its count', (t) => {
  const operations: Operation[] = [
    { op: 'ready', pointer: '/never/sent' },
    { op: 'rlimit', pointer: '', resource: 7, name: 'A', soft: 1n, hard: 0xffffffffffffffffn },
    { op: 'user', pointer: '', uid: 0xffffffff, gid: 2, groups: [3, 4], umask: 5 },
    { op: 'exec', pointer: '', args: ['a', ''], env: [] },
    { op: 'cgroup-device-program', pointer: '', path: '', program: Uint8Array.of(0, 255), replace: false },
    { op: 'cwd', pointer: '', path: '/', last: true },
  ];
  t.deepEqual(encode({ operations: [] }), []);
  t.deepEqual(encode({ operations }), [
    ...[54, []],
    ...[45, [7, 'A', 1n, 0xffffffffffffffffn]],
    ...[51, [0xffffffff, 2, 2, 3, 4, 5]],
    ...[55, [2, 'a', '', 0]],
    ...[3, ['', Uint8Array.of(0, 255), false]],
    ...[46, ['/', true]],
  ]);
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

test('an operation that is not in the table is a fault', (t) => {
  const error = t.throws(() => encode({ operations: [{ op: 'nothing', pointer: '' } as unknown as Operation] }), { instanceOf: StrataError });
  t.is(error?.code, 'internal');
});

test('the table as text, by code, for comparison with the core', (t) => {
  const lines = wireTable().trimEnd().split('\n');
  t.is(lines.length, Object.keys(OPERATIONS).length);
  t.is(lines[0], '1 cgroup-make hierarchy:string,path:string,controllers:strings,others:strings,cpuset:bool');
  t.true(lines.includes('30 runtime-hooks '));
  const codes = lines.map((line) => Number.parseInt(line, 10));
  t.deepEqual(
    codes,
    [...new Set(codes)].sort((a, b) => a - b),
  );
});
