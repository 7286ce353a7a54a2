import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { StrataError } from '../../../src/base/error.ts';
import { type DeviceLine, deviceLines } from '../../../src/plan/device-list.ts';
import { deviceProgram } from '../../../src/plan/device-program.ts';
import { type AccessRule, allDeviceRules } from '../../../src/plan/device-rules.ts';
import type { DeviceRule } from '../../../src/spec/types.ts';
import { NO_CGROUPS, only, plan, V2 } from './_support.ts';

interface Request {
  readonly type: 'b' | 'c';
  readonly major: number;
  readonly minor: number;
  /** m 1, r 2, w 4. */
  readonly access: number;
}

/** What the rules mean: each bit of the access is decided by the last rule that matches; without one it is denied. */
function meaning(rules: readonly AccessRule[], request: Request): boolean {
  return [1, 2, 4].every((bit) => {
    if ((request.access & bit) === 0) return true;
    const rule = rules.findLast(
      ({ type, major, minor, access }) =>
        (type === 'a' || type === request.type) &&
        (major ?? request.major) === request.major &&
        (minor ?? request.minor) === request.minor &&
        (access & bit) !== 0,
    );
    return rule?.allow ?? false;
  });
}

/** An interpreter for the instructions that the program uses, with the semantics of the kernel's. */
function runProgram(program: Uint8Array, { type, major, minor, access }: Request): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const context = new DataView(new ArrayBuffer(12));
  context.setUint32(0, (access << 16) | (type === 'b' ? 1 : 2), true);
  context.setUint32(4, major, true);
  context.setUint32(8, minor, true);
  const registers = new Uint32Array(11);
  for (let at = 0, steps = 0; ; at++) {
    if (++steps > 10000 || at * 8 >= program.length) throw new Error('ran away');
    const code = view.getUint8(at * 8);
    const destination = view.getUint8(at * 8 + 1) & 15;
    const source = view.getUint8(at * 8 + 1) >> 4;
    const offset = view.getInt16(at * 8 + 2, true);
    const immediate = view.getInt32(at * 8 + 4, true);
    const value = registers[destination] ?? 0;
    if (code === 0x61) registers[destination] = context.getUint32(offset, true);
    else if (code === 0x69) registers[destination] = context.getUint16(offset, true);
    else if (code === 0x54) registers[destination] = value & immediate;
    else if (code === 0x74) registers[destination] = value >>> immediate;
    else if (code === 0xb4) registers[destination] = immediate;
    else if (code === 0xbc) registers[destination] = registers[source] ?? 0;
    else if (code === 0x56) at += value !== immediate >>> 0 ? offset : 0;
    else if (code === 0x16) at += value === immediate >>> 0 ? offset : 0;
    else if (code === 0x05) at += offset;
    else if (code === 0x95) return registers[0] ?? 0;
    else throw new Error(`instruction ${code.toString(16)}`);
  }
}

/** The kernel refuses a program with an instruction that nothing leads to, a jump out of it, or a way past the end. */
function assertReachable(t: ExecutionContext, program: Uint8Array): void {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const count = program.length / 8;
  const reached = new Set<number>();
  const open = [0];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (reached.has(at)) continue;
    if (at >= count) {
      t.fail('the program runs past its end');
      return;
    }
    reached.add(at);
    const code = view.getUint8(at * 8);
    if (code === 0x95) continue;
    if (code !== 0x05) open.push(at + 1);
    if (code === 0x56 || code === 0x16 || code === 0x05) open.push(at + 1 + view.getInt16(at * 8 + 2, true));
  }
  if (reached.size !== count) t.fail(`${count - reached.size} unreachable instructions`);
}

/** The v1 controller after these writes, as security/device_cgroup.c decides. */
function runList(lines: readonly DeviceLine[], request: Request): boolean {
  const [start, ...rest] = lines;
  const allowed = start?.file === 'devices.allow';
  const matching = rest
    .map(({ line }) => /^([bc]) (\S+):(\S+) ([rwm]+)$/.exec(line) as RegExpExecArray)
    .filter(
      ([, type, major, minor]) =>
        type === request.type && (major === '*' || major === `${request.major}`) && (minor === '*' || minor === `${request.minor}`),
    );
  const access = matching.map(
    ([, , , , letters = '']) => (letters.includes('m') ? 1 : 0) | (letters.includes('r') ? 2 : 0) | (letters.includes('w') ? 4 : 0),
  );
  return allowed ? !access.some((bits) => (bits & request.access) !== 0) : access.some((bits) => (request.access & ~bits) === 0);
}

const small = fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined });
const ruleArbitrary: fc.Arbitrary<AccessRule> = fc.record({
  allow: fc.boolean(),
  type: fc.constantFrom('a', 'b', 'c'),
  major: small,
  minor: small,
  access: fc.oneof({ weight: 2, arbitrary: fc.constant(7) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }) }),
});
/** What the kernel asks for: a node is made, or opened for reading, writing or both. */
const requests: Request[] = (['b', 'c'] as const).flatMap((type) =>
  [0, 1, 3].flatMap((major) => [0, 2, 4].flatMap((minor) => [1, 2, 4, 6].map((access) => ({ type, major, minor, access })))),
);

test('the v2 program decides as the rules do, on any rules', (t) => {
  fc.assert(
    fc.property(fc.array(ruleArbitrary, { maxLength: 8 }), (rules) => {
      const program = deviceProgram(rules);
      assertReachable(t, program);
      for (const request of requests) {
        const verdict = runProgram(program, request);
        if (verdict !== (meaning(rules, request) ? 1 : 0)) throw new Error(`${JSON.stringify(request)}: ${verdict}`);
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('the v1 list decides as the rules do, or the rules are refused', (t) => {
  let refused = 0;
  fc.assert(
    fc.property(fc.array(ruleArbitrary, { maxLength: 6 }), (rules) => {
      let lines: DeviceLine[];
      try {
        lines = deviceLines(rules);
      } catch (error) {
        if (!(error instanceof StrataError) || error.code !== 'config-unsupported') throw error;
        refused++;
        return;
      }
      for (const request of requests) {
        if (runList(lines, request) !== meaning(rules, request)) throw new Error(`${JSON.stringify(request)} with ${JSON.stringify(lines)}`);
      }
    }),
    { numRuns: 3000 },
  );
  t.true(refused > 0 && refused < 2400, `${refused} refused`);
});

const access =
  (...asked: DeviceRule[]) =>
  (request: Request) =>
    meaning(allDeviceRules(asked), request);
const open = (type: 'b' | 'c', major: number, minor: number): Request => ({ type, major, minor, access: 6 });

test('every container has the default devices and may make nodes', (t) => {
  for (const allowed of [access(), access({ allow: false, access: 'rwm' }), access({ allow: false, type: 'c', major: 1, minor: 3 })]) {
    for (const minor of [3, 5, 7, 8, 9]) t.true(allowed(open('c', 1, minor)));
    t.true(allowed(open('c', 136, 77)));
    t.true(allowed({ type: 'b', major: 8, minor: 0, access: 1 }));
    t.false(allowed(open('b', 8, 0)));
  }
});

test('-1 is every number, an absent access all of them', (t) => {
  const allowed = access({ allow: true, type: 'b', major: 8, minor: -1 });
  t.true(allowed(open('b', 8, 3)));
  t.false(allowed(open('b', 9, 3)));
});

test('the list for a privileged container, and for a few devices', (t) => {
  t.deepEqual(deviceLines(allDeviceRules([{ allow: true, access: 'rwm' }])), [{ file: 'devices.allow', line: 'a' }]);
  const few = deviceLines(
    allDeviceRules([
      { allow: false, access: 'rwm' },
      { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' },
    ]),
  );
  t.deepEqual(few.slice(0, 2), [
    { file: 'devices.deny', line: 'a' },
    { file: 'devices.allow', line: 'c 10:229 rw' },
  ]);
});

test('a hole in what was allowed cannot be said on v1', (t) => {
  const rules = allDeviceRules([
    { allow: true, type: 'b', major: 8, access: 'rw' },
    { allow: false, type: 'b', major: 8, minor: 1, access: 'w' },
  ]);
  const error = t.throws(() => deviceLines(rules), { instanceOf: StrataError }) as StrataError;
  t.is(error.pointer, '/linux/resources/devices');
  t.regex(error.message, /b 8:1 w.*b 8:\* rw/);
  t.is(runProgram(deviceProgram(rules), { type: 'b', major: 8, minor: 1, access: 4 }), 0);
  t.is(runProgram(deviceProgram(rules), { type: 'b', major: 8, minor: 1, access: 2 }), 1);
});

test('numbers over 2^31 are compared as they are', (t) => {
  const program = deviceProgram([{ allow: true, type: 'c', major: 0xfffffffe, minor: 5, access: 7 }]);
  t.is(runProgram(program, open('c', 0xfffffffe, 5)), 1);
  t.is(runProgram(program, open('c', 0x7ffffffe, 5)), 0);
});

test('in a plan: a program on v2, nothing without cgroups unless something is to be denied', (t) => {
  const [operation] = only(plan({}, V2), 'cgroup-device-program');
  t.like(operation, { path: '/sys/fs/cgroup/strata-c1', pointer: '/linux/resources/devices' });
  t.deepEqual(operation?.program, deviceProgram(allDeviceRules([])));
  t.notThrows(() => plan({ linux: { resources: { devices: [{ allow: true }] } } }, NO_CGROUPS));
  t.throws(() => plan({ linux: { resources: { devices: [{ allow: false }] } } }, NO_CGROUPS), { instanceOf: StrataError });
});
