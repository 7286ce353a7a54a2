/** The official JSON schema of the runtime specification as an oracle, and as the source of configurations. */
import { existsSync, readFileSync } from 'node:fs';
import AjvDraft04 from 'ajv-draft-04';
import fc from 'fast-check';

const FOLDER = new URL('../../../../shared/runtime-spec/schema/', import.meta.url);
const FILES = ['config-schema.json', 'config-linux.json', 'defs.json', 'defs-linux.json'];
/** Sections of other platforms, which strata ignores; their schemas are replaced by ones that accept everything. */
export const FOREIGN = ['solaris', 'windows', 'vm', 'zos', 'freebsd'];

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
}

export const missing = FILES.every((file) => existsSync(new URL(file, FOLDER))) ? undefined : `no runtime-spec schema in ${FOLDER.pathname}`;

type Documents = Readonly<Record<string, Schema>>;
let loaded: Documents | undefined;
function documents(): Documents {
  loaded ??= Object.fromEntries(FILES.map((file) => [file, JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Schema]));
  return loaded;
}

/** Whether the official schema accepts a value that JSON.parse made. */
export function oracle(): (value: unknown) => boolean {
  // draft-04 has no formats or keywords here that ajv does not know; strict mode only objects to the style of the schema.
  const Ajv = AjvDraft04 as unknown as typeof AjvDraft04.default;
  const ajv = new Ajv({ strict: false });
  for (const [file, schema] of Object.entries(documents())) ajv.addSchema(schema, file);
  for (const name of FOREIGN) ajv.addSchema({ [name]: {} }, `config-${name}.json`);
  const validate = ajv.getSchema('config-schema.json');
  if (validate === undefined) throw new Error('the schema has no root');
  return (value) => validate(value) === true;
}

/** A schema without `$ref`, `anyOf` of one and `allOf`; `name` is the last component of the first reference. */
interface Resolved extends Schema {
  readonly file: string;
  readonly name: string;
}
function resolve(schema: Schema, file: string, name = ''): Resolved {
  if (schema.$ref !== undefined) {
    const [other = '', path = ''] = schema.$ref.split('#');
    const target = other === '' ? file : other;
    let found = documents()[target] as unknown as Record<string, unknown>;
    const tokens = path.split('/').filter((token) => token !== '');
    for (const token of tokens) found = found[token] as Record<string, unknown>;
    return resolve(found as Schema, target, name === '' ? tokens.at(-1) : name);
  }
  if (schema.anyOf?.length === 1) return resolve(schema.anyOf[0] as Schema, file, name);
  if (schema.allOf !== undefined) {
    const parts = schema.allOf.map((part) => resolve(part, file));
    const properties = Object.assign({}, ...parts.map((part) => part.properties));
    return { type: 'object', properties, required: parts.flatMap((part) => part.required ?? []), file, name };
  }
  return { ...schema, file, name };
}
export function rootSchema(): Resolved {
  return resolve(documents()['config-schema.json'] as Schema, 'config-schema.json');
}

/** What strata accepts of a schema's values is narrower in a few listed places (head of src/spec/parse.ts). */
const NARROWER: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  Major: fc.integer({ min: 0, max: 4095 }),
  Minor: fc.integer({ min: 0, max: 0xf_ffff }),
};
const EXAMPLES = ['RLIMIT_NOFILE', '2MB', 'MB:0=70', '0-3,7', 'c'];

/** A number as JSON.parse gives it, and for 64-bit ranges also as an exact bigint near either end. */
function integers(schema: Schema): fc.Arbitrary<unknown> {
  const { minimum = -1_000_000, maximum = 1_000_000 } = schema;
  if (maximum > Number.MAX_SAFE_INTEGER) {
    const min = BigInt(minimum);
    const max = BigInt(maximum) - 1n;
    const big = fc.oneof(
      fc.bigInt({ min, max: min + 1000n }),
      fc.bigInt({ min: max - 1000n, max }),
      fc.bigInt({ min: -1000n > min ? -1000n : min, max: 1000n }),
    );
    return big.map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
  }
  return fc.oneof(fc.constantFrom(minimum, maximum), fc.integer({ min: minimum, max: maximum }));
}

const word = fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.replaceAll('\0', ''));

/** Values that the schema accepts, and strata too. `all` makes every property and one item of every list. */
export function valid(schema: Schema = rootSchema(), file = 'config-schema.json', all = false): fc.Arbitrary<unknown> {
  const resolved = resolve(schema, file);
  const inner = (child: Schema): fc.Arbitrary<unknown> => valid(child, resolved.file, all);
  const narrower = NARROWER[resolved.name];
  if (narrower !== undefined) return narrower;
  if (resolved.enum !== undefined) return fc.constantFrom(...resolved.enum);
  if (resolved.pattern !== undefined) {
    const pattern = new RegExp(resolved.pattern);
    return fc.constantFrom(...EXAMPLES.filter((example) => pattern.test(example)));
  }
  switch (resolved.type) {
    case 'string':
      return word;
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return integers(resolved);
    case 'array':
      return fc.array(inner(resolved.items ?? {}), all ? { minLength: 1, maxLength: 1 } : { minLength: resolved.minItems ?? 0, maxLength: 3 });
    case 'object': {
      const entries = resolved.additionalProperties ?? Object.values(resolved.patternProperties ?? {})[0];
      const limits = all ? { minKeys: 1, maxKeys: 1 } : { maxKeys: 3 };
      if (entries !== undefined)
        return fc.dictionary(
          word.filter((key) => /./.test(key)),
          inner(entries),
          { noNullPrototype: true, ...limits },
        );
      return properties(resolved, all, inner);
    }
    default:
      return fc.jsonValue();
  }
}

function properties(schema: Resolved, all: boolean, inner: (child: Schema) => fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    if (!FOREIGN.includes(key)) fields[key] = inner(child);
  }
  const required = [...(schema.required ?? [])];
  if (schema.properties?.ociVersion !== undefined) required.push('root');
  if (schema.name === 'Device') required.push('major', 'minor');
  if (schema.name === 'Personality') required.push('domain');
  if (schema.properties?.nodes !== undefined) required.push('mode');
  if (schema.name === 'DeviceCgroup') {
    fields.type = fc.constantFrom('a', 'b', 'c');
    fields.access = fc.constantFrom('r', 'rw', 'rwm', 'm');
  }
  return fc.record(fields, { requiredKeys: all ? Object.keys(fields) : required, noNullPrototype: true });
}

export type Path = readonly (string | number)[];

/** The paths of a value and of everything in it, the value itself first. */
export function paths(value: unknown): Path[] {
  if (typeof value !== 'object' || value === null) return [[]];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [[], ...keys.flatMap((key) => paths((value as Record<string | number, unknown>)[key]).map((path) => [key, ...path]))];
}

/** A copy of `value` with something else at `path`; undefined takes it away. */
export function mutated(value: unknown, [token, ...rest]: Path, replacement: unknown): unknown {
  if (token === undefined) return replacement;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  copy[token] = mutated(copy[token], rest, replacement);
  if (copy[token] === undefined) delete copy[token];
  return copy;
}

export function at(value: unknown, path: Path): unknown {
  return path.reduce((inner, token) => (inner as Record<string | number, unknown>)[token], value);
}
