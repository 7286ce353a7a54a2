/** parse against the official schema: both accept and reject the same, but for the differences that the head of src/spec/parse.ts lists. */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { StrataError } from '../../../src/base/error.ts';
import { stringifyExact } from '../../../src/base/json.ts';
import { bounded, pointer } from '../../../src/base/pointer.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { at, missing, mutated, oracle, type Path, paths, valid } from './_schema.ts';

function official(title: string, run: (t: ExecutionContext) => void): void {
  if (missing === undefined) test(title, run);
  else test.skip(`${title} (${missing})`, run);
}

/** The error of strata; undefined when it accepts. */
function refusal(t: ExecutionContext, config: unknown): StrataError | undefined {
  try {
    loadSpec(stringifyExact(config));
    return undefined;
  } catch (error) {
    if (!(error instanceof StrataError)) throw error;
    t.is(error.code, 'config-invalid');
    return error;
  }
}

const WRONG: readonly unknown[] = [
  '',
  'wrong',
  -1,
  7,
  511,
  512,
  1.5,
  1e30,
  2n ** 32n,
  2n ** 64n + 4096n,
  -(2n ** 63n) - 4096n,
  true,
  null,
  [],
  {},
  ['x'],
  { x: 1 },
];

/** Values at places where strata differs from the schema on purpose. */
function differs(config: unknown, path: Path, value: unknown): boolean {
  const place = path.map((token) => (typeof token === 'number' ? '*' : token)).join('/');
  const key = path.at(-1);
  if (value === null || path.length === 0) return true;
  if (key === 'root' || key === 'domain' || place === 'linux/memoryPolicy/mode') return value === undefined;
  if (/^linux\/resources\/pids(\/limit)?$/.test(place)) return typeof value !== 'string';
  if (key === 'major' || key === 'minor') return value === undefined || typeof value !== 'object';
  if (place === 'linux/devices/*/fileMode') return typeof value !== 'object';
  if (/^linux\/resources\/devices\/\*\/(type|access)$/.test(place)) return typeof value === 'string';
  if (place === 'linux/devices/*') return typeof value === 'object';
  if (key === 'personality' || key === 'memoryPolicy') return typeof value === 'object' && !Array.isArray(value);
  // The schema has no bounds for these two; strata keeps what a number can hold.
  if (key === 'oomScoreAdj' || key === 'timeout') return typeof value === 'bigint' || Math.abs(Number(value)) > Number.MAX_SAFE_INTEGER;
  return typeof at(config, path) === 'bigint' && typeof value === 'bigint';
}

official('every property of the schema is checked, and errors name it', (t) => {
  const accepts = oracle();
  const [full] = fc.sample(valid(undefined, undefined, true), { numRuns: 1, seed: 1 });
  t.is(refusal(t, full), undefined);
  let refused = 0;
  for (const path of paths(full)) {
    const original = at(full, path);
    for (const value of WRONG) {
      if (differs(full, path, value)) continue;
      const config = mutated(full, path, value);
      const text = stringifyExact(config);
      const error = refusal(t, config);
      const place = pointer('', ...path);
      t.is(error === undefined, accepts(JSON.parse(text)), `${place} = ${stringifyExact(value)}: ${error?.message}`);
      if (error === undefined) continue;
      refused++;
      // In a value of the right type the fault may be further down: a required property, or the type of an item.
      if (typeof value === 'object' && Array.isArray(value) === Array.isArray(original))
        t.true(error.pointer?.startsWith(bounded(place)), error.message);
      else t.is(error.pointer, bounded(place), error.message);
    }
  }
  t.true(refused > 3000, `${refused}`);
});

official('a required property that is absent is named', (t) => {
  const accepts = oracle();
  const [full] = fc.sample(valid(undefined, undefined, true), { numRuns: 1, seed: 2 });
  let refused = 0;
  for (const path of paths(full).slice(1)) {
    if (typeof path.at(-1) === 'number' || differs(full, path, undefined)) continue;
    const config = mutated(full, path, undefined);
    const error = refusal(t, config);
    t.is(error === undefined, accepts(JSON.parse(stringifyExact(config))), `${pointer('', ...path)}: ${error?.message}`);
    if (error === undefined) continue;
    refused++;
    t.is(error.pointer, pointer('', ...path));
    t.regex(error.reason, /required/);
  }
  t.true(refused > 30, `${refused}`);
});

official('null is an absent property', (t) => {
  const [full] = fc.sample(valid(undefined, undefined, true), { numRuns: 1, seed: 3 });
  for (const path of paths(full).slice(1)) {
    if (typeof path.at(-1) === 'number') continue;
    t.is(refusal(t, mutated(full, path, null))?.pointer, refusal(t, mutated(full, path, undefined))?.pointer, pointer('', ...path));
  }
});

official('configurations that the schema generates are accepted', (t) => {
  const accepts = oracle();
  fc.assert(
    fc.property(valid(), (config) => {
      t.true(accepts(JSON.parse(stringifyExact(config))));
      const error = refusal(t, config);
      t.is(error, undefined, error?.message);
    }),
    { numRuns: 200 },
  );
});

official('random faults in random configurations: the schema agrees', (t) => {
  const accepts = oracle();
  const anything = fc.oneof(fc.constantFrom(...WRONG), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(valid(), fc.nat(), anything, (config, seed, value) => {
      const all = paths(config);
      const path = all[seed % all.length] as Path;
      if (hasNull(value) || hasEmptyKey(value) || differs(config, path, value)) return;
      const broken = mutated(config, path, value);
      const error = refusal(t, broken);
      t.is(error === undefined, accepts(JSON.parse(stringifyExact(broken))), `${pointer('', ...path)} = ${stringifyExact(value)}: ${error?.message}`);
      if (error !== undefined) t.true(error.pointer?.startsWith(bounded(pointer('', ...path)).slice(0, 99)), error.message);
    }),
    { numRuns: 1500 },
  );
});

/** The schema says nothing of what stands under it in a map; strata has it an error. */
function hasEmptyKey(value: unknown): boolean {
  return paths(value).some((path) => path.includes(''));
}

function hasNull(value: unknown): boolean {
  return paths(value).some((path) => at(value, path) === null);
}
