import * as fs from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { differences, type Explanation, markdown, Table } from '../../differential/compare.ts';
import { configurations, textOf } from '../../differential/configs.ts';
import { EXPLAINED } from '../../differential/explained.ts';

const facts = (entries: Record<string, string>): ReadonlyMap<string, string> => new Map(Object.entries(entries));
const place = { directory: '/b', log: '/b/log', cgroup: '/c/d', interface: 'e1', namespace: (type: string) => `/n/${type}` };

test('who ran, and who refused, is compared first, and then nothing else', (t) => {
  const ran = facts({ verdict: 'exit 42', uid: '0' });
  const refused = facts({ verdict: 'refused', hooks: 'x' });
  t.deepEqual(
    differences([], ran, 'crun', refused).map(({ fact, ours, theirs }) => [fact, ours, theirs]),
    [['verdict', 'exit 42', 'refused']],
  );
  t.deepEqual(differences([], refused, 'crun', facts({ verdict: 'refused' })), []);
});

test('a fact that one of them has not is a difference', (t) => {
  const ours = facts({ verdict: 'exit 42', uid: '0', umask: '0022' });
  const theirs = facts({ verdict: 'exit 42', uid: '1', cwd: '/' });
  t.deepEqual(
    differences(['a'], ours, 'runc', theirs).map(({ fact }) => fact),
    ['uid', 'umask', 'cwd'],
  );
});

test('an explanation covers its peer, its piece, its fact and its value', (t) => {
  const explanation: Explanation = { peers: ['crun'], what: 'x', why: 'y', covers: [{ piece: /^a/, fact: /^uid$/, theirs: /^1$/ }] };
  const difference = { pieces: ['b', 'a: 1'], peer: 'crun', fact: 'uid', ours: '0', theirs: '1' } as const;
  t.true(new Table([explanation]).explains(difference));
  for (const other of [{ pieces: ['b'] }, { peer: 'runc' as const }, { fact: 'gid' }, { theirs: '2' }, { theirs: undefined }])
    t.false(new Table([explanation]).explains({ ...difference, ...other }), JSON.stringify(other));
});

test('an explanation that explains nothing is told, for each of its peers', (t) => {
  const table = new Table([{ peers: ['crun', 'runc'], what: 'x', why: 'y', covers: [{ fact: /^uid$/ }] }]);
  t.is(table.unused().length, 2);
  t.true(table.explains({ pieces: [], peer: 'runc', fact: 'uid', ours: '0', theirs: '1' }));
  t.deepEqual(table.unused(), ['crun, x: any /^uid$/ anything']);
});

test('the configurations are the same each time, have names of their own, and are at least 300', (t) => {
  const text = (): string[] => configurations().map((configuration) => textOf(configuration, place));
  t.deepEqual(text(), text());
  const names = configurations().map(({ name }) => name);
  t.is(new Set(names).size, names.length);
  t.true(names.length >= 300);
  t.notDeepEqual(configurations(1).at(-1)?.name, configurations(2).at(-1)?.name);
});

test('docs/differential.md has the table', (t) => {
  const page = fs.readFileSync(join(import.meta.dirname, '../../../docs/differential.md'), 'utf8');
  t.true(page.includes(`\n${markdown(EXPLAINED)}\n`), 'scripts/differential.sh --table prints it');
});
