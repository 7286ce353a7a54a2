import test from 'ava';
import fc from 'fast-check';
import { hasCode } from '../../../src/base/fault.ts';
import {
  candidates,
  familiarName,
  idDigits,
  nameToKeep,
  normalizeReference,
  parseReference,
  repositoryAndTag,
} from '../../../src/image/reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

for (const [short, whole] of [
  ['debian', 'docker.io/library/debian:latest'],
  ['debian:12', 'docker.io/library/debian:12'],
  ['library/debian', 'docker.io/library/debian:latest'],
  ['team/app', 'docker.io/team/app:latest'],
  ['index.docker.io/debian', 'docker.io/library/debian:latest'],
  ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['example.org/app:1', 'example.org/app:1'],
  ['[::1]:5000/app', '[::1]:5000/app:latest'],
  [`debian@${DIGEST}`, `docker.io/library/debian@${DIGEST}`],
  [`debian:12@${DIGEST}`, `docker.io/library/debian:12@${DIGEST}`],
] as const) {
  test(`${short} is ${whole}`, (t) => {
    t.is(normalizeReference(short), whole);
    t.is(normalizeReference(whole), whole);
  });
}

for (const wrong of [
  '',
  'Debian',
  'a b',
  'debian:',
  'debian:-x',
  `debian:${'x'.repeat(129)}`,
  'a//b',
  '/a',
  'a/',
  '../a',
  'a/../b',
  'a@b',
  'debian@sha256:abc',
  `x/${'y'.repeat(255)}`,
  'a'.repeat(64),
  'debian:12:13',
  'ex_ample.org/a',
  'a\n',
  `${'a-'.repeat(100_000)}.org/x`,
]) {
  test(`refuses ${JSON.stringify(wrong.slice(0, 40))} of ${wrong.length} characters`, (t) => {
    t.throws(() => parseReference(wrong), { code: 'usage' });
  });
}

test('a name to keep has no digest', (t) => {
  t.is(nameToKeep('a'), 'docker.io/library/a:latest');
  t.throws(() => nameToKeep(`a@${DIGEST}`), { code: 'usage' });
});

test('a short name can also mean an image that was made here', (t) => {
  t.deepEqual(candidates('web:1'), ['docker.io/library/web:1', 'localhost/web:1']);
  t.deepEqual(candidates('team/web'), ['docker.io/team/web:latest', 'localhost/team/web:latest']);
  t.deepEqual(candidates('docker.io/library/web'), ['docker.io/library/web:latest']);
  t.deepEqual(candidates('localhost/web'), ['localhost/web:latest']);
});

test('names are shown without what goes without saying', (t) => {
  t.is(familiarName('docker.io/library/debian:12'), 'debian:12');
  t.is(familiarName('docker.io/team/app:1'), 'team/app:1');
  t.is(familiarName('localhost/app:1'), 'localhost/app:1');
  t.is(familiarName('docker.io/library/a/b:1'), 'docker.io/library/a/b:1');
  t.deepEqual(repositoryAndTag('localhost:5000/app:1'), ['localhost:5000/app', '1']);
  t.deepEqual(repositoryAndTag(`example.org:1/a@${DIGEST}`), ['example.org:1/a', '']);
});

test('what can be an id', (t) => {
  t.is(idDigits('0123456789ab'), '0123456789ab');
  t.is(idDigits(`${DIGEST}`), 'a'.repeat(64));
  t.is(idDigits('0123456789a'), undefined);
  t.is(idDigits('0123456789ag'), undefined);
  t.is(idDigits('a'.repeat(65)), undefined);
});

test('whatever is given as a name, its whole form means the same, or it is refused', (t) => {
  const word = fc.stringMatching(/^[a-zA-Z0-9._:@/-]{1,30}$/);
  fc.assert(
    fc.property(word, (text) => {
      let whole: string;
      try {
        whole = normalizeReference(text);
      } catch (error) {
        if (!hasCode(error, 'usage')) throw error;
        return;
      }
      if (normalizeReference(whole) !== whole || !candidates(text).includes(whole)) throw new Error(whole);
      const short = familiarName(whole);
      if (normalizeReference(short) !== whole) throw new Error(`${whole} is shown as ${short}`);
    }),
    { numRuns: 5000 },
  );
  t.pass();
});
