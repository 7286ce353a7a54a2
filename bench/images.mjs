// What images cost: strata against GNU tar, umoci and podman, interleaved; see bench.mjs.
//
//   images.mjs [--rounds N] [--warm-up N] [--only GROUP,…]
//
// Prints tables and writes bench/results/images-DATE.json.
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { cleanUp, groups, programs, unitsOf } from './image-contenders.mjs';
import { measure } from './measure.mjs';
import { printTable, printTargets, save, summary } from './report.mjs';
import { judge } from './targets.mjs';
import { endTimer } from './timer.mjs';
import { cleanUp as cleanUpPlace, endIfInterrupted } from './workplace.mjs';

delete process.env.NODE_EXTRA_CA_CERTS;
delete process.env.NODE_OPTIONS;

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, 'warm-up': { type: 'string', default: '1' }, only: { type: 'string' } },
});
const rounds = Number(options.rounds);
const chosen = options.only?.split(',') ?? Object.keys(groups);
const loadBefore = loadavg()[0];

const version = (program) => program && execFileSync(program, ['--version'], { encoding: 'utf8' }).match(/\d+\.\d[\w.+-]*/)?.[0];

const report = (units, samples) => {
  const versions = Object.fromEntries(Object.entries(programs).map(([name, program]) => [name, version(program)]));
  const conditions = {
    date: new Date().toISOString(),
    rounds,
    kernel: release(),
    cpus: cpus().length,
    load: loadBefore.toFixed(1),
    ...versions,
    node: process.version,
  };
  const results = Object.fromEntries([...samples].map(([key, list]) => [key, summary(list)]));
  const rows = units.flatMap((unit) => unit.rows.map(({ key, name }) => ({ key, name, group: unit.group })));
  printTable(rows, results, groups, ['tar', 'umoci', 'podman']);
  const told = Object.entries(conditions).filter(([key, value]) => !['date', 'rounds'].includes(key) && value);
  console.log(`\n${rounds} interleaved rounds, ${told.map(([key, value]) => `${key} ${value}`).join(', ')}\n`);
  const targets = judge(results);
  printTargets(targets);
  save(`images-${conditions.date.replace(/:/g, '').slice(0, 17)}.json`, { ...conditions, results, targets, samples: Object.fromEntries(samples) });
};

try {
  const unknown = chosen.filter((name) => !groups[name]);
  if (unknown.length > 0) throw new Error(`no group ${unknown.join(', ')}; there are ${Object.keys(groups).join(', ')}`);
  const units = await unitsOf(chosen);
  const samples = await measure(units, { rounds, warmUp: Number(options['warm-up']) });
  if (samples) report(units, samples);
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  endTimer();
  cleanUp();
  cleanUpPlace();
}
endIfInterrupted();
