/**
 * The differential test: every configuration by strata, crun and runc, and every difference explained. scripts/differential.sh makes the surroundings
 * and runs it; the results are TAP. All verdicts are left in build/differential.json.
 *
 *   main.ts PROBE TOKEN [PATTERN]    only the configurations whose names match
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Difference, differences, PEERS, Table } from './compare.ts';
import { configurations } from './configs.ts';
import { EXPLAINED } from './explained.ts';
import { Ground, type Verdict } from './runtimes.ts';

const [probe = '', token = '', pattern] = process.argv.slice(2);
const root = join(import.meta.dirname, '../..');
const programs = { strata: join(root, 'bin/strata'), crun: '/usr/bin/crun', runc: '/usr/sbin/runc' };

for (const program of Object.values(programs)) console.log(`# ${execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0]}`);
const ground = new Ground('/run/differential', token, probe);
const table = new Table(EXPLAINED);
const all: object[] = [];
let number = 0;

function result(name: string, faults: readonly string[]): void {
  console.log(`${faults.length === 0 ? 'ok' : 'not ok'} ${++number} - ${name.replaceAll('#', '').replaceAll('\n', '\\n')}`);
  for (const fault of faults) console.log(fault.replace(/^/gm, '  '));
}

/** What is wrong with a run of strata whatever the others do: something left behind, or an error that is not one line. */
function faultsOf({ facts, message, left }: Verdict): string[] {
  const faults = left.map((what) => `strata has left: ${what}`);
  if (facts.get('verdict')?.startsWith('hangs')) faults.push(`strata ${facts.get('verdict')}`);
  if (facts.get('verdict') === 'refused' && !/^(strata: warning: .+\n)*strata: (?!internal error).+\n$/.test(message))
    faults.push(`strata says: ${message}`);
  return faults;
}

function told({ peer, fact, ours, theirs }: Difference, messages: Readonly<Record<string, string>>): string {
  const said = (who: string): string => (fact === 'verdict' && messages[who] ? ` (${messages[who].trim().slice(0, 300)})` : '');
  return `${fact}\n  strata: ${ours ?? 'absent'}${said('strata')}\n  ${peer}: ${theirs ?? 'absent'}${said(peer)}`;
}

const chosen = configurations().filter(({ name }) => pattern === undefined || new RegExp(pattern).test(name));
for (const configuration of chosen) {
  const [strata, crun, runc] = (await Promise.all(
    (['strata', 'crun', 'runc'] as const).map((name) => ground.verdict(programs[name], configuration)),
  )) as [Verdict, Verdict, Verdict];
  const messages = { strata: strata.message, crun: crun.message, runc: runc.message };
  const pieces = configuration.pieces.map(({ name }) => name);
  const peers = { crun, runc };
  const found = PEERS.flatMap((peer) => differences(pieces, strata.facts, peer, peers[peer].facts));
  // All are looked up: the table counts which of its rows are used.
  const unexplained = found.filter((difference) => !table.explains(difference));
  result(configuration.name, [...faultsOf(strata), ...unexplained.map((difference) => told(difference, messages))]);
  const plain = ({ facts, message, left }: Verdict): object => ({ facts: Object.fromEntries(facts), message, left });
  all.push({ name: configuration.name, strata: plain(strata), crun: plain(crun), runc: plain(runc) });
}
if (pattern === undefined) result('every explanation explains something', table.unused());
result('nothing is left', ground.left());
console.log(`1..${number}`);
writeFileSync(join(root, 'build/differential.json'), JSON.stringify(all, undefined, 1));
