// What containers cost: the floor, the peers, strata's command and strata's library, all in one interleaved run, for the speed of this kind of
// machine drifts by more than the differences between them.
//
//   bench.mjs [--rounds N] [--warm-up N] [--only GROUP,…] [--node]
//
// Prints tables and writes bench/results/DATE.json.
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { groups, programs, unitsOf } from './contenders.mjs';
import { measure } from './measure.mjs';
import { printTable, printTargets, save, summary } from './report.mjs';
import { judge, meantFor } from './targets.mjs';
import { endTimer } from './timer.mjs';
import { cleanUp, endIfInterrupted } from './workplace.mjs';

delete process.env.NODE_EXTRA_CA_CERTS;
delete process.env.NODE_OPTIONS;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '60' },
    'warm-up': { type: 'string', default: '3' },
    only: { type: 'string' },
    node: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const warmUp = Number(options['warm-up']);
const chosen = options.only?.split(',') ?? Object.keys(groups).filter((name) => !groups[name].onDemand || options[name]);

// What else runs on the machine makes everything slower, and not everything alike.
const loadBefore = loadavg()[0];

const firstLine = (program) => program && execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0].split(' ').at(-1);
const lineOf = (program, name) => execFileSync(program, ['--version'], { encoding: 'utf8' }).match(new RegExp(`^${name}: *(.*)$`, 'm'))?.[1];

const report = (units, samples) => {
  const conditions = {
    date: new Date().toISOString(),
    rounds,
    kernel: release(),
    cpus: cpus().length,
    load: loadBefore.toFixed(1),
    strata: firstLine(programs.strata),
    commit: lineOf(programs.strata, 'commit'),
    host: lineOf(programs.strata, 'host'),
    node: process.version,
    crun: firstLine(programs.crun),
    runc: firstLine(programs.runc),
  };
  const results = Object.fromEntries([...samples].map(([key, list]) => [key, summary(list)]));
  const rows = units.flatMap((unit) => unit.rows.map(({ key, name }) => ({ key, name, group: unit.group })));
  printTable(rows, results, groups, ['floor', 'crun', 'runc']);
  console.log(
    `\n${rounds} interleaved rounds, ${Object.entries(conditions)
      .filter(([key, value]) => !['date', 'rounds', 'commit'].includes(key) && value)
      .map(([key, value]) => `${key} ${value}`)
      .join(', ')}`,
  );
  if (loadBefore > conditions.cpus / 4) console.log(`Others used this machine when it began: a load of ${conditions.load}.`);
  for (const [name, version] of Object.entries(meantFor)) {
    const present = conditions[name];
    if (!present?.startsWith(version)) console.log(`The limits are meant for ${name} ${version}; here is ${present ?? 'none'}.`);
  }
  const targets = judge(results);
  if (targets.length > 0) {
    console.log('');
    printTargets(targets);
  }
  save(`${conditions.date.replace(/:/g, '').slice(0, 17)}.json`, { ...conditions, results, targets, samples: Object.fromEntries(samples) });
};

try {
  const unknown = chosen.filter((name) => !groups[name]);
  if (unknown.length > 0) throw new Error(`no group ${unknown.join(', ')}; there are ${Object.keys(groups).join(', ')}`);
  const units = await unitsOf(chosen);
  const samples = await measure(units, { rounds, warmUp });
  if (samples) report(units, samples);
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  endTimer();
  cleanUp();
}
endIfInterrupted();
