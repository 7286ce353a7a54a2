// Adds up TAP. For each suite NAME in a directory of logs there are NAME.tap, NAME.err and NAME.status.
//
//   totals.mjs --suite DIRECTORY NAME SECONDS     one line about one suite, which took so long, and what failed in it
//   totals.mjs DIRECTORY...                       the total line over all suites; exit status 1 if anything failed
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const lastLines = 40;

/** The results of one suite; one that ends badly without naming a failed test counts as a failed test. */
const read = (directory, name) => {
  const text = (extension) => {
    const file = join(directory, name + extension);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  const totals = { passed: 0, failed: 0, skipped: 0, failures: [] };
  let failure;
  for (const line of text('.tap').split('\n')) {
    const test = /^(not )?ok\b\s*\d*\s*-?\s*(.*?)\s*(#\s*(SKIP|TODO)\b.*)?$/i.exec(line);
    if (test) {
      failure = undefined;
      if (test[3]) totals.skipped++;
      else if (test[1]) {
        totals.failed++;
        failure = [test[2]];
        totals.failures.push(failure);
      } else totals.passed++;
    } else if (failure && !/^(TAP version|\d+\.\.\d+$|# |$)/.test(line)) failure.push(line);
  }
  const status = Number(text('.status'));
  const errors = text('.err').split('\n').filter(Boolean).slice(-lastLines);
  if (status !== 0 && totals.failed === 0) {
    totals.failed++;
    totals.failures.push([`${name}: ended with status ${status}`, ...errors]);
  } else if (totals.failures.length === 1 && totals.failures[0].length === 1) totals.failures[0].push(...errors);
  if (status === 0 && totals.passed + totals.failed + totals.skipped === 0) {
    totals.failed++;
    totals.failures.push([`${name}: ran no test`]);
  }
  return totals;
};

const line = ({ passed, failed, skipped }) => `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

const [first, ...rest] = process.argv.slice(2);
if (first === '--suite') {
  const [directory, name, seconds] = rest;
  const totals = read(directory, name);
  console.log(`${name.padEnd(28)} ${line(totals).padEnd(36)} ${seconds.padStart(5)} s`);
  for (const [title, ...details] of totals.failures) console.log(`  FAILED ${title}${details.map((detail) => `\n    ${detail}`).join('')}`);
} else {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const directory of [first, ...rest]) {
    for (const file of existsSync(directory) ? readdirSync(directory) : []) {
      if (!file.endsWith('.tap')) continue;
      const totals = read(directory, file.slice(0, -'.tap'.length));
      for (const key of Object.keys(sum)) sum[key] += totals[key];
    }
  }
  console.log(line(sum));
  process.exitCode = sum.failed > 0 || sum.passed + sum.skipped === 0 ? 1 : 0;
}
