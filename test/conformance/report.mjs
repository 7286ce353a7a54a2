// Prints what test/conformance/run.mjs has found; with --write, into docs/conformance.md too, between its markers. What strata does not pass has to
// have its reason in reasons.mjs, else this fails; so has what it skips and another passes.
import { readFileSync, writeFileSync } from 'node:fs';
import { readArguments } from './arguments.mjs';
import { reason } from './reasons.mjs';

const { PLACE: place } = process.env;
const { versions, date, suites } = JSON.parse(readFileSync(`build/conformance/${place}/results.json`, 'utf8'));
const { write } = readArguments(process.argv.slice(2));
const names = Object.keys(versions);
const GOOD = ['pass', 'skip'];
const TITLES = { validation: "runtime-tools' validation programs", crun: "crun's tests" };

const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => (rows.length === 0 ? 'None.' : [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n'));
const count = (tests, name, outcomes) => Object.values(tests).filter((test) => outcomes.includes(test[name])).length;

const summary = Object.entries(suites).flatMap(([suite, { source, tests }]) => {
  const line = (label, outcomes) => [label, ...names.map((name) => count(tests, name, outcomes))];
  const skipped = names.some((name) => count(tests, name, ['skip']) > 0) ? [line('– skipped by the test itself', ['skip'])] : [];
  return [
    line(`${TITLES[suite]}, ${Object.keys(tests).length} of ${source}: passed`, ['pass']),
    ...skipped,
    line('– not passed', ['fail', 'timeout']),
  ];
});

const isMissed = ({ strata, ...others }) =>
  strata !== undefined && (!GOOD.includes(strata) || (strata === 'skip' && Object.values(others).includes('pass')));

/** Strata's first, with the reasons; then what only others do not pass. */
const details = ([suite, { tests }]) => {
  const missed = Object.entries(tests).filter(([, test]) => isMissed(test));
  const others = Object.entries(tests).filter(([, test]) => test.strata === 'pass' && names.some((name) => !GOOD.includes(test[name])));
  const cells = ([test, outcomes]) => [`\`${test}\``, ...names.map((name) => outcomes[name])];
  const withReason = missed.map((entry) => [...cells(entry), reason(place, suite, entry[0]) ?? '**no reason is known**']);
  return [
    `### ${TITLES[suite]} that strata does not pass\n\n${table(['test', ...names, 'why'], withReason)}`,
    `### ${TITLES[suite]} that strata passes and another does not\n\n${table(['test', ...names], others.map(cells))}`,
  ];
};

const text = [
  `Run on ${date}: ${Object.values(versions).join(', ')}.`,
  table(['', ...names], summary),
  ...Object.entries(suites).flatMap(details),
].join('\n\n');
console.log(text);

if (write) {
  const file = 'docs/conformance.md';
  const [begin, end] = [`<!-- tables: ${place} -->`, '<!-- end of tables -->'];
  const page = readFileSync(file, 'utf8');
  const [head, rest] = page.split(begin);
  const tail = rest?.slice(rest.indexOf(end) + end.length);
  if (!rest?.includes(end)) throw new Error(`${file} has no ${begin} … ${end}`);
  writeFileSync(file, `${head}${begin}\n${text}\n${end}${tail}`);
}

const unexplained = Object.entries(suites).flatMap(([suite, { tests }]) =>
  Object.entries(tests)
    .filter(([test, outcomes]) => isMissed(outcomes) && reason(place, suite, test) === undefined)
    .map(([test]) => `${suite} ${test}`),
);
if (unexplained.length > 0) {
  console.error(`conformance: strata does not pass, and test/conformance/reasons.mjs does not say why: ${unexplained.join(', ')}`);
  process.exitCode = 1;
}
