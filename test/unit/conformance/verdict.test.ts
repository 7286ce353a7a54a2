/** How the results of other people's tests are read. */
import test from 'ava';
import { verdict } from '../../conformance/verdict.mjs';

const outcome = (text: string, status = 0) => ({ status, late: false, text });

test('validation programs: the exit status, every result, and remarks where there is none', (t) => {
  const of = (text: string, status?: number) => verdict('validation', outcome(text, status));
  t.is(of('TAP version 13\nok 1 - a\nok 2 # SKIP b\n1..2\n'), 'pass');
  t.is(of('ok 1 - a\nnot ok 2 - b\n1..2\n'), 'fail');
  t.is(of('ok 1 - a\nnot ok 2 - b # TODO\n1..2\n'), 'pass');
  t.is(of('ok 1 # SKIP a\n1..1\n'), 'skip');
  t.is(of('ok 1 - a\n1..1\n', 1), 'fail');
  t.is(of('TAP version 13\n1..0\n'), 'pass');
  t.is(of('TAP version 13\n  ---\n  {\n    "error": "no"\n  }\n  ...\n1..0\n'), 'fail');
  t.is(of('{ "stdout": "not ok 1 - inside" }\nok 1 - a\n'), 'pass');
  t.is(of(''), 'fail');
  t.is(verdict('validation', { status: 0, late: true, text: 'ok 1 - a\n' }), 'timeout');
});

test("crun's tests: one result, with what the container has printed before it", (t) => {
  const of = (text: string, status?: number) => verdict('crun', outcome(text, status));
  t.is(of('1..1\nok 1 - a\n'), 'pass');
  t.is(of('1..1\r\nhellook 1 - a\r\n'), 'pass');
  t.is(of('1..1\nhellonot ok 1 - a\n'), 'fail');
  t.is(of('1..1\nok 1 - a #SKIP\n'), 'skip');
  t.is(of('1..1\n'), 'fail');
});
