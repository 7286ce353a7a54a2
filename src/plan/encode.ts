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
import { type FieldTypes, OPERATIONS, type Operation, type OperationName, type Plan } from './op.ts';
import { appendList, pack, type WireValue } from './wire.ts';

/** `STRA` in memory. */
export const MAGIC = 0x41525453;
export const VERSION = 1;

type Fields = Readonly<Record<string, FieldTypes[keyof FieldTypes]>>;

/** What encoding has to know of an operation. */
interface Layout {
  readonly code: number;
  readonly fields: readonly string[];
}

const LAYOUTS: ReadonlyMap<string, Layout> = new Map(
  Object.entries(OPERATIONS).map(([name, [code, fields]]) => [name, { code, fields: Object.keys(fields) }]),
);

/** Where the header has the length of the whole. */
const TOTAL = 8;

/**
 * The bytes that the core carries out.
 *
 * @throws StrataError `internal` for a string with a NUL in it or a number out of its field's range, which `parse` should have refused.
 */
export function encode({ operations }: Plan): Uint8Array {
  const values: WireValue[] = [MAGIC, VERSION, 0, operations.length];
  // By index and by prefix operators, for an interpreter: `for ... of` and `x++` are calls to it.
  for (let index = 0; index < operations.length; ++index) {
    const operation = operations[index] as Operation;
    const layout = LAYOUTS.get(operation.op);
    if (layout === undefined) throw new StrataError({ code: 'internal', stage: 'plan', reason: `no operation is called ${operation.op}` });
    const { code, fields } = layout;
    const payload: WireValue[] = [];
    let end = 0;
    for (let at = 0; at < fields.length; ++at) {
      const value = (operation as unknown as Fields)[fields[at] as string] as Fields[string];
      if (typeof value !== 'object' || value instanceof Uint8Array) {
        payload[end] = value;
        ++end;
      } else {
        end = appendList(payload, value);
      }
    }
    values.push(code, payload);
  }
  const bytes = pack(values);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(TOTAL, bytes.length, true);
  return bytes;
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
