/**
 * Device rules as a BPF_PROG_TYPE_CGROUP_DEVICE program for cgroup v2. The kernel runs it for every open and mknod of a device with
 * `struct bpf_cgroup_dev_ctx { u32 access_type, major, minor }`, where access_type is access << 16 | type; it answers 1 to allow, 0 to deny.
 * Each instruction is `struct bpf_insn`: u8 code, u4 destination and u4 source register, s16 offset, s32 immediate (linux/bpf.h).
 */
import { type AccessRule, DEFAULT_RULES, matchesAll } from './device-rules.ts';

/** Instruction codes: class | size or operation | source. The 32-bit classes, because the fields are unsigned 32-bit numbers. */
const LOAD = 0x61; // LDX | MEM | W: destination = *(u32 *)(source + offset)
const LOAD_HALF = 0x69; // LDX | MEM | H: destination = *(u16 *)(source + offset)
const AND = 0x54; // ALU | AND | K
const SHIFT_RIGHT = 0x74; // ALU | RSH | K
const MOVE = 0xb4; // ALU | MOV | K
const COPY = 0xbc; // ALU | MOV | X
const JUMP_NOT_EQUAL = 0x56; // JMP32 | JNE | K
const JUMP_EQUAL = 0x16; // JMP32 | JEQ | K
const JUMP = 0x05; // JMP | JA
const EXIT = 0x95; // JMP | EXIT

/** Registers: the verdict, and the context. */
const VERDICT = 0;
const CONTEXT = 1;
/** Access bits that no rule has allowed yet. */
const OPEN = 2;
/** What a rule looks at. */
const FIELD = 3;

const TYPES = { b: 1, c: 2 } as const;

type Instruction = readonly [code: number, destination: number, source: number, offset: number, immediate: number];

/** The rules that are part of every program need not be translated again. */
const DEFAULT_CODE: ReadonlyMap<AccessRule, readonly Instruction[]> = new Map(DEFAULT_RULES.map((rule) => [rule, ruleCode(rule)]));

/**
 * The program for `rules`, of which for each bit of the access the last that matches decides. It walks from the last rule to the first: a denial
 * of any bit that is still open ends in 0, and when every bit has been allowed it ends in 1.
 */
export function deviceProgram(rules: readonly AccessRule[]): Uint8Array {
  const program: Instruction[] = [
    [LOAD, OPEN, CONTEXT, 0, 0],
    [SHIFT_RIGHT, OPEN, 0, 0, 16],
  ];
  for (const rule of [...rules].reverse()) {
    if (matchesAll(rule)) {
      // Whatever comes before is never reached, and the kernel refuses programs with unreachable instructions.
      program.push(...answer(rule.allow));
      return assemble(program);
    }
    if (rule.access !== 0) program.push(...(DEFAULT_CODE.get(rule) ?? ruleCode(rule)));
  }
  program.push(...answer(false));
  return assemble(program);
}

/**
 * In a form that the kernel's verifier gets through with thousands of rules. It follows every way through a program, unless it came to the same place
 * before and knew no more. So each rule loads again what it looks at: of a value in a register it would know something else on every way to the next
 * rule, and the work would grow with the square of the rules. And what does not match comes first, because that way it goes first, and puts off the
 * other one: of those that it has put off, it takes 8192.
 */
function ruleCode(rule: AccessRule): Instruction[] {
  const tests: (readonly [load: number, offset: number, value: number])[] = [];
  if (rule.type !== 'a') tests.push([LOAD_HALF, 0, TYPES[rule.type]]);
  if (rule.major !== undefined) tests.push([LOAD, 4, rule.major]);
  if (rule.minor !== undefined) tests.push([LOAD, 8, rule.minor]);
  const end = answer(rule.allow);
  const effect: Instruction[] = rule.allow
    ? [[AND, OPEN, 0, 0, ~rule.access], [JUMP_NOT_EQUAL, OPEN, 0, end.length, 0], ...end]
    : [[COPY, VERDICT, OPEN, 0, 0], [AND, VERDICT, 0, 0, rule.access], [JUMP_EQUAL, VERDICT, 0, end.length, 0], ...end];
  // A test that fails jumps over the tests behind it, of three instructions each, and the effect: an offset counts from the next instruction.
  const skip = tests.flatMap(([load, offset, value], index): Instruction[] => [
    [load, FIELD, CONTEXT, offset, 0],
    [JUMP_EQUAL, FIELD, 0, 1, value],
    [JUMP, 0, 0, (tests.length - index - 1) * 3 + effect.length, 0],
  ]);
  return [...skip, ...effect];
}

function answer(allow: boolean): Instruction[] {
  return [
    [MOVE, VERDICT, 0, 0, allow ? 1 : 0],
    [EXIT, 0, 0, 0, 0],
  ];
}

/** Little-endian: the order of the bytes is that of the machine, and all of ours have this one. An array of bytes keeps the low 8 bits of a number. */
function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  for (let index = 0, at = 0; index < program.length; ++index, at += 8) {
    const instruction = program[index] as Instruction;
    const offset = instruction[3];
    const immediate = instruction[4];
    bytes[at] = instruction[0];
    bytes[at + 1] = (instruction[2] << 4) | instruction[1];
    bytes[at + 2] = offset;
    bytes[at + 3] = offset >> 8;
    bytes[at + 4] = immediate;
    bytes[at + 5] = immediate >> 8;
    bytes[at + 6] = immediate >> 16;
    bytes[at + 7] = immediate >> 24;
  }
  return bytes;
}
