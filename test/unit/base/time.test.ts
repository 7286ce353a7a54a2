/** Moments and durations, compared with those of JavaScript's own Date. */
import test from 'ava';
import { momentOf, parseDuration, parseMoment } from '../../../src/base/time.ts';

test('moments are what Date says they are, and back', (t) => {
  for (let day = 0; day < 200 * 366; day += 13) {
    const date = new Date(day * 86_400_000 + 45_296_789);
    const text = date.toISOString();
    t.is(parseMoment(text), BigInt(date.getTime()) * 1_000_000n, text);
    t.is(momentOf(BigInt(date.getTime()) * 1_000_000n), text.replace('789Z', '789000000Z'));
  }
});

test('parts of a moment may be left out, and zones count', (t) => {
  const noon = parseMoment('2026-01-31T12:00:00Z');
  t.is(parseMoment('2026-01-31T12:00'), noon);
  t.is(parseMoment('2026-01-31 14:30:00+02:30'), noon);
  t.is(parseMoment('2026-01-31T08:00:00-04:00'), noon);
  t.is(parseMoment('2026-01-31'), (noon ?? 0n) - 43_200n * 1_000_000_000n);
  t.is(parseMoment('1970-01-01T00:00:00.000000001Z'), 1n);
  t.is(parseMoment('1969-12-31T23:59:59Z'), -1_000_000_000n);
});

test('what is no moment is none', (t) => {
  for (const text of [
    '',
    '2026',
    '2026-13-01',
    '2026-01-32',
    '2026-01-01T24:00',
    '2026-01-01T00:60',
    '2026-01-01T',
    'now',
    '2026-01-01T00:00:00.Z',
  ]) {
    t.is(parseMoment(text), undefined, text);
  }
});

test('durations', (t) => {
  t.is(parseDuration('90s'), 90_000_000_000n);
  t.is(parseDuration('1h30m'), 5_400_000_000_000n);
  t.is(parseDuration('2d'), 172_800_000_000_000n);
  t.is(parseDuration('5ms'), 5_000_000n);
  for (const text of ['', '5', 's', '-1s', '1.5h', '1w', '1h ', '99999999999s']) t.is(parseDuration(text), undefined, text);
});
