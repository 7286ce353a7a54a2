import test from 'ava';
import { signalNumber } from '../../../src/lifecycle/signals.ts';

const GOOD: readonly (readonly [string, number])[] = [
  ['TERM', 15],
  ['SIGTERM', 15],
  ['sigterm', 15],
  ['Kill', 9],
  ['9', 9],
  ['0', 0],
  ['64', 64],
  ['RTMIN', 34],
  ['SIGRTMIN+3', 37],
  ['RTMAX', 64],
  ['rtmax-14', 50],
  ['POLL', 29],
];
for (const [text, number] of GOOD) test(`${text} is ${number}`, (t) => t.is(signalNumber(text), number));

const BAD = [
  '',
  'FOO',
  '65',
  '-1',
  '-9',
  '4294967305',
  '1e1',
  '9 ',
  ' 9',
  '0x9',
  'RTMIN-1',
  'RTMAX+1',
  'RTMIN+31',
  'SIG',
  'constructor',
  '__proto__',
  '9.0',
];
for (const text of BAD) {
  test(`'${text}' is no signal`, (t) => {
    const error = t.throws(() => signalNumber(text), { name: 'StrataError' });
    t.regex(error?.message ?? '', /^unknown signal '/);
  });
}
