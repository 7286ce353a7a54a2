/**
 * The wire form of a plan, little-endian and without alignment:
 *
 *     header     u32 magic 'STRA', u32 version, u32 length of the whole in bytes, u32 number of operations
 *     operation  u32 code, u32 length of the payload in bytes, payload: the fields in the order of the operations table
 *     field      bool, u32: u32 · u64: u64 · string: u32 length, UTF-8, one NUL that the length leaves out · bytes: u32 length, bytes
 *                strings, u32s: u32 count, then the items
 *
 * The NUL lets the core hand a string to a system call where it lies.
 */
import { StrataError } from '../base/error.ts';
import { type FieldType, OPERATIONS, type OperationName, type Plan } from './op.ts';
import { Writer } from './writer.ts';

/** `STRA` in memory. */
export const MAGIC = 0x41525453;
export const VERSION = 1;

type Emit = (writer: Writer, value: unknown) => void;

/** Fields by operation, once: encoding then walks arrays. */
interface Layout {
  readonly code: number;
  readonly fields: readonly (readonly [name: string, type: FieldType])[];
}

const LAYOUTS: ReadonlyMap<string, Layout> = new Map(
  Object.entries(OPERATIONS).map(([name, [code, fields]]) => [name, { code, fields: Object.entries(fields) as [string, FieldType][] }]),
);

const EMIT: Readonly<Record<FieldType, Emit>> = {
  bool: (writer, value) => writer.u32(value === true ? 1 : 0),
  u32: (writer, value) => writer.u32(value as number),
  u32s: (writer, value) => writer.list(value as readonly number[], (item) => writer.u32(item)),
  u64: (writer, value) => writer.u64(value as bigint),
  string: (writer, value) => writer.string(value as string),
  strings: (writer, value) => writer.strings(value as readonly string[]),
  bytes: (writer, value) => writer.bytes(value as Uint8Array),
};

/**
 * The bytes that the core carries out.
 *
 * @throws StrataError `internal` for a string with a NUL in it or a number out of its field's range, which `parse` should have refused.
 */
export function encode(plan: Plan): Uint8Array {
  const writer = new Writer();
  writer.u32(MAGIC);
  writer.u32(VERSION);
  const total = writer.reserve();
  writer.u32(plan.operations.length);
  for (const operation of plan.operations) {
    const layout = LAYOUTS.get(operation.op);
    if (layout === undefined) throw new StrataError({ code: 'internal', stage: 'plan', reason: `no operation is called ${operation.op}` });
    writer.u32(layout.code);
    const length = writer.reserve();
    const start = writer.length;
    const values = operation as unknown as Readonly<Record<string, unknown>>;
    for (const [name, type] of layout.fields) EMIT[type](writer, values[name]);
    writer.fill(length, writer.length - start);
  }
  writer.fill(total, writer.length);
  return writer.finish();
}

/** The operations table as text, one line each by code: `code name field:type,field:type`. The core prints its own for comparison. */
export function wireTable(): string {
  const names = Object.keys(OPERATIONS) as OperationName[];
  names.sort((a, b) => OPERATIONS[a][0] - OPERATIONS[b][0]);
  let out = '';
  for (const name of names) {
    const [code, fields] = OPERATIONS[name];
    const parts = Object.entries(fields).map(([field, type]) => `${field}:${String(type)}`);
    out += `${code} ${name} ${parts.join(',')}\n`;
  }
  return out;
}
