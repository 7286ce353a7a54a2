/** Back from the values of an encoded plan to its operations: the product's own reader is the core's. */
import type { WireValue } from '../../../src/host/host.ts';
import { type FieldType, OPERATIONS, type Operation, type OperationName } from '../../../src/plan/op.ts';

/** Reads values in their order. */
export class Reader {
  readonly #values: readonly WireValue[];
  at = 0;

  constructor(values: readonly WireValue[]) {
    this.#values = values;
  }

  next(): WireValue {
    const value = this.#values[this.at++];
    if (value === undefined) throw new Error('no value left');
    return value;
  }

  list<Item>(read: () => Item): Item[] {
    return Array.from({ length: Number(this.next()) }, read);
  }

  field(type: FieldType): WireValue {
    return type === 'strings' || type === 'u32s' ? this.list(() => this.next()) : this.next();
  }
}

/** The operations, with '' for the pointers, which do not travel. */
export function decode(values: readonly WireValue[]): Operation[] {
  const reader = new Reader(values);
  const names = Object.keys(OPERATIONS) as OperationName[];
  const operations: Operation[] = [];
  while (reader.at < values.length) {
    const code = reader.next();
    const op = names.find((name) => OPERATIONS[name][0] === code);
    if (op === undefined) throw new Error(`operation ${code}`);
    const payload = reader.next() as readonly WireValue[];
    const fields = new Reader(payload);
    const read = Object.entries(OPERATIONS[op][1] as Record<string, FieldType>).map(([name, type]) => [name, fields.field(type)]);
    if (fields.at !== payload.length) throw new Error(`${op}: values left`);
    operations.push({ op, pointer: '', ...Object.fromEntries(read) } as Operation);
  }
  return operations;
}
