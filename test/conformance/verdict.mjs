// What came of one test.

// What a container of crun's tests prints may stand before the result, without the end of a line.
const RESULT = { validation: /^(not )?ok\b.*/, crun: /(not )?ok 1 - .*/ };

/** What the lines of the Test Anything Protocol say together. Some programs have no result to tell: then an error is in the remarks, or there is none. */
export const verdict = (suite, { status, late, text }) => {
  if (late) return 'timeout';
  const results = text.split(/\r?\n/).flatMap((line) => RESULT[suite].exec(line)?.[0] ?? []);
  const bad = results.some((line) => line.startsWith('not ok') && !/# *TODO/i.test(line));
  if (status !== 0 || bad) return 'fail';
  if (results.length === 0) return /^1\.\.0$/m.test(text) && !text.includes('"error": ') ? 'pass' : 'fail';
  return results.every((line) => /# *SKIP/i.test(line)) ? 'skip' : 'pass';
};
