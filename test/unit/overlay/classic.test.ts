import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { classicData } from '../../../src/overlay/classic.ts';

test('layers, upper, work and options become the data of mount(2)', (t) => {
  t.is(classicData({ lower: ['/b', '/a'], options: [] }), 'lowerdir=/b:/a');
  t.is(
    classicData({ lower: ['/a'], upper: '/u', work: '/w', options: ['index=off', 'volatile'] }),
    'index=off,volatile,upperdir=/u,workdir=/w,lowerdir=/a',
  );
});

test('a label keeps its commas', (t) => {
  t.is(classicData({ lower: ['/b', '/a'], options: ['context=u:r:t:s0:c1,c2', 'index=off'] }), 'context="u:r:t:s0:c1,c2",index=off,lowerdir=/b:/a');
});

test('no path can add a layer or an option', (t) => {
  t.is(classicData({ lower: ['/a:b,c\\d'], upper: '/u:,', work: '/w\\', options: [] }), 'upperdir=/u:\\,,workdir=/w\\\\,lowerdir=/a\\:b\\,c\\\\d');
});

test('layers that do not fit into a page are refused with the number that does', (t) => {
  const layers = (count: number) => Array.from({ length: count }, (_, index) => `/layers/${String(index).padStart(91, '0')}`);
  t.is(classicData({ lower: layers(40), options: [] }).length, 'lowerdir='.length + 40 * 99 + 39);
  const error = t.throws(() => classicData({ lower: layers(41), options: [] }), { instanceOf: StrataError });
  t.is(error?.code, 'config-unsupported');
  t.regex(error?.message ?? '', /the 41 lower layers do not fit .* only the first 40 do/);
});
