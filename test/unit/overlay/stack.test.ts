import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { fromBundle } from '../../../src/overlay/path.ts';
import { OVERLAY_POINTER, overlayOf, type Stack } from '../../../src/overlay/stack.ts';
import { specOf } from '../plan/_support.ts';

function read(value: unknown): Stack | undefined {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return overlayOf(specOf({ annotations: { 'dev.strata.overlay': text } }), '/bundle');
}

test('without the annotation there is no stack', (t) => {
  t.is(overlayOf(specOf(), '/bundle'), undefined);
  t.is(overlayOf(specOf({ annotations: { 'dev.strata.other': 'x' } }), '/bundle'), undefined);
});

test('a read-only stack', (t) => {
  t.deepEqual(read({ lower: ['/l/top', 'l/bottom'] }), { lower: ['/l/top', '/bundle/l/bottom'], options: [] });
});

test('a writable stack with options', (t) => {
  t.deepEqual(read({ lower: ['/l'], upper: 'u', work: '/w', options: ['volatile', 'redirect_dir=off'] }), {
    lower: ['/l'],
    upper: '/bundle/u',
    work: '/w',
    options: ['volatile', 'redirect_dir=off'],
  });
});

test('500 layers, and not one more', (t) => {
  const layers = (count: number): string[] => Array.from({ length: count }, (_, index) => `/l/${index}`);
  t.is(read({ lower: layers(500) })?.lower.length, 500);
  const error = t.throws(() => read({ lower: layers(501) }), { instanceOf: StrataError }) as StrataError;
  t.regex(error.message, /501 layers.*500/);
});

const BAD: readonly (readonly [value: unknown, reason: RegExp])[] = [
  ['', /is not JSON/],
  ['{"lower":["/a"]} x', /is not JSON/],
  ['[]', /must be an object/],
  ['null', /must be an object/],
  ['"x"', /must be an object/],
  [{}, /\/lower is required/],
  [{ lower: null }, /\/lower must be an array/],
  [{ lower: '/a' }, /\/lower must be an array/],
  [{ lower: [] }, /\/lower must name at least one/],
  [{ lower: ['/a', 1] }, /\/lower\/1 must be a string/],
  [{ lower: ['/a', ''] }, /\/lower\/1 must not be empty/],
  [{ lower: ['/a\0b'] }, /\/lower\/0 must not contain a NUL/],
  [{ lower: ['/a'], upper: '/u' }, /\/work is required/],
  [{ lower: ['/a'], work: '/w' }, /\/upper is required/],
  [{ lower: ['/a'], upper: 1, work: '/w' }, /\/upper must be a string/],
  [{ lower: ['/a'], upper: '/u', work: null }, /\/work must be a string/],
  [{ lower: ['/a'], upper: '', work: '/w' }, /\/upper must not be empty/],
  [{ lower: ['/a'], options: 'x' }, /\/options must be an array/],
  [{ lower: ['/a'], options: [7] }, /\/options\/0 must be a string/],
  [{ lower: ['/a'], options: [''] }, /\/options\/0 must not be empty/],
  [{ lower: ['/a'], options: ['x', 'index=off,xino=on'] }, /\/options\/1 .*without a comma/],
  [{ lower: ['/a'], options: ['a\0'] }, /\/options\/0 must not contain a NUL/],
  [{ lower: ['/a'], layers: [] }, /\/layers is not known/],
  [{ lower: ['/a'], 'a/b': 1 }, /\/a~1b is not known/],
  ...['lowerdir', 'lowerdir+', 'datadir+', 'upperdir', 'workdir'].map(
    (key) => [{ lower: ['/a'], options: [`${key}=/x`] }, /\/options\/0 must not set/] as const,
  ),
];

for (const [value, reason] of BAD) {
  test(`refused: ${JSON.stringify(value)}`, (t) => {
    const error = t.throws(() => read(value), { instanceOf: StrataError }) as StrataError;
    t.is(error.code, 'config-invalid');
    t.is(error.pointer, OVERLAY_POINTER);
    t.is(error.pointer, '/annotations/dev.strata.overlay');
    t.regex(error.reason, reason);
    t.false(error.message.includes('\n'));
  });
}

test('host paths of the configuration', (t) => {
  t.is(fromBundle('/b', '/x/../y'), '/x/../y');
  t.is(fromBundle('/b', 'x/../y'), '/b/x/../y');
  t.is(fromBundle('/', 'x'), '/x');
});
