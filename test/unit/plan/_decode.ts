/** The reader of the wire form that only tests need: the product's is the core's. */
import { MAGIC } from '../../../src/plan/encode.ts';
import { type FieldType, OPERATIONS, type Operation, type OperationName } from '../../../src/plan/op.ts';

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  u64(): bigint {
    this.at += 8;
    return this.#view.getBigUint64(this.at - 8, true);
  }

  bytes(): Uint8Array {
    const length = this.u32();
    this.at += length;
    return this.#bytes.slice(this.at - length, this.at);
  }

  string(): string {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes());
    if (this.#bytes[this.at++] !== 0) throw new Error('no NUL behind a string');
    return text;
  }

  list<Item>(read: () => Item): Item[] {
    return Array.from({ length: this.u32() }, read);
  }

  field(type: FieldType): unknown {
    switch (type) {
      case 'bool':
        return this.u32() === 1;
      case 'u32':
        return this.u32();
      case 'u32s':
        return this.list(() => this.u32());
      case 'u64':
        return this.u64();
      case 'string':
        return this.string();
      case 'strings':
        return this.list(() => this.string());
      case 'bytes':
        return this.bytes();
    }
  }
}

/** The operations, with '' for the pointers, which do not travel. */
export function decode(bytes: Uint8Array): Operation[] {
  const reader = new Reader(bytes);
  if (reader.u32() !== MAGIC || reader.u32() !== 1 || reader.u32() !== bytes.length) throw new Error('bad header');
  const names = Object.keys(OPERATIONS) as OperationName[];
  const operations = reader.list(() => {
    const code = reader.u32();
    const op = names.find((name) => OPERATIONS[name][0] === code);
    if (op === undefined) throw new Error(`operation ${code}`);
    const end = reader.u32() + reader.at;
    const fields = Object.entries(OPERATIONS[op][1] as Record<string, FieldType>).map(([name, type]) => [name, reader.field(type)]);
    if (reader.at !== end) throw new Error(`${op}: payload length`);
    return { op, pointer: '', ...Object.fromEntries(fields) } as Operation;
  });
  if (reader.at !== bytes.length) throw new Error('bytes left');
  return operations;
}
