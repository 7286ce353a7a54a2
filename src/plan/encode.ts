/**
 * A plan on its way to the core. The core's own form is little-endian and without alignment:
 *
 *     header     u32 magic 'STRA', u32 version, u32 length of the whole in bytes, u32 number of operations
 *     operation  u32 code, u32 length of the payload in bytes, payload: the fields in the order of the operations table
 *     field      bool, u32: u32 · u64: u64 · string: u32 length, UTF-8, one NUL that the length leaves out · bytes: u32 length, bytes
 *                strings, u32s: u32 count, then the items
 *
 * The NUL lets the core hand a string to a system call where it lies. Here all of this is values still; `native/face` writes the bytes, which an
 * interpreter would be slow at: nothing else that is done for a container takes as many steps.
 */
import { StrataError } from '../base/error.ts';
import type { WireValue } from '../host/host.ts';
import { type FieldType, OPERATIONS, type Operation, type OperationName, type Plan } from './op.ts';

/** What encoding has to know of an operation. `isList` is true where a field begins with a count. */
interface Layout {
  readonly code: number;
  readonly fields: readonly string[];
  readonly isList: readonly boolean[];
}

const LAYOUTS: ReadonlyMap<string, Layout> = new Map(
  Object.entries(OPERATIONS).map(([name, [code, fields]]) => {
    const types: FieldType[] = Object.values(fields);
    return [name, { code, fields: Object.keys(fields), isList: types.map((type) => type === 'strings' || type === 'u32s') }];
  }),
);

/** Code and payload of every operation, one behind the other. */
export function encode({ operations }: Plan): readonly WireValue[] {
  const values: WireValue[] = [];
  // By index and by prefix operators, for an interpreter: `for ... of` and `x++` are calls to it.
  for (let index = 0; index < operations.length; ++index) {
    const operation = operations[index] as Operation;
    const layout = LAYOUTS.get(operation.op);
    if (layout === undefined) throw new StrataError({ code: 'internal', stage: 'plan', reason: `no operation is called ${operation.op}` });
    const { code, fields, isList } = layout;
    const payload: WireValue[] = [];
    for (let at = 0; at < fields.length; ++at) {
      const value = (operation as unknown as Readonly<Record<string, WireValue>>)[fields[at] as string] as WireValue;
      if (isList[at] === true) appendList(payload, value as readonly (string | number)[]);
      else payload[payload.length] = value;
    }
    values.push(code, payload);
  }
  return values;
}

/** A list in a payload is the number of its items, then the items. */
export function appendList(values: WireValue[], items: readonly (string | number)[]): void {
  let end = values.length;
  values[end] = items.length;
  for (let index = 0; index < items.length; ++index) values[++end] = items[index] as string | number;
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
