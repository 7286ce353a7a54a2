import test from 'ava';
import { main } from '../../../src/cli/main.ts';
import { sizeText } from '../../../src/cli/table.ts';
import { loadImage } from '../../../src/store/images.ts';
import { prepareStore } from '../../../src/store/store.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { noArchive } from '../../helpers/no-archive.ts';
import { addContainer, addImage, BASE, ROOT, withImages } from '../store/_images.ts';

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function image(machine: FakeMachine, ...argv: string[]): Promise<Outcome> {
  const host = new FakeHost(machine);
  const status = await main(host, noArchive, ['image', ...argv]);
  return { status, out: host.printed.join(''), err: host.complained.join('') };
}

/** The lines of a table, blanks taken together. */
function rows({ out }: Outcome): string[] {
  return out.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '));
}

test('ls of a store that does not exist', async (t) => {
  const { status, out } = await image(new FakeMachine(), 'ls');
  t.is(status, 0);
  t.regex(out, /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE +SHARED\n$/);
});

test('ls: a line for each name, sizes and what is shared', async (t) => {
  const { machine, store, web, db, nameless } = await withImages();
  await image(machine, 'tag', 'web:1', 'example.org:5000/team/web');
  t.deepEqual(
    rows(await image(machine, 'ls'))
      .slice(1)
      .sort(),
    [
      '',
      `<none> | <none> | ${nameless.slice(7, 19)} | 2026-01-02 03:04:05 | 14 B | 0 B`,
      `db | 1 | ${db.slice(7, 19)} | 2026-01-02 03:04:05 | 21 B | 8 B`,
      `example.org:5000/team/web | latest | ${web.slice(7, 19)} | 2026-01-02 03:04:05 | 26 B | 8 B`,
      `web | 1 | ${web.slice(7, 19)} | 2026-01-02 03:04:05 | 26 B | 8 B`,
    ],
  );
  const manifest = loadImage(store, web)?.manifest ?? '';
  t.true((await image(machine, 'ls', '--digests')).out.includes(`   ${manifest}   ${web.slice(7, 19)} `));
  const [first] = JSON.parse((await image(machine, 'ls', '--format', 'json', '--filter', 'reference=web:*')).out) as Record<string, unknown>[];
  t.like(first, { id: web, names: ['docker.io/library/web:1'], manifest, size: 26, shared: 8, layers: 2, platform: 'linux/amd64' });
});

test('ls: a damaged image is told of, and the others are listed', async (t) => {
  const { machine, web, nameless } = await withImages();
  machine.nodes.delete(`${ROOT}/blobs/sha256/${web.slice(7)}`);
  machine.file(`${ROOT}/images/${nameless.slice(7)}.json`, '');
  const { status, out, err } = await image(machine, 'ls');
  t.is(status, 0);
  t.is(rows({ status, out, err }).length, 3);
  t.regex(err, /^strata: warning: .*has not got the blob .*\n/m);
  t.regex(err, /^strata: warning: the record of image .* is damaged: not valid JSON/m);
});

test('ls: filters', async (t) => {
  const { machine, web, db, nameless } = await withImages();
  await image(machine, 'tag', 'web:1', 'example.org/team/web');
  const ids = async (...filters: string[]): Promise<string[]> => {
    const { out } = await image(machine, 'ls', '--quiet', ...filters.flatMap((one) => ['--filter', one]));
    return out.split('\n').filter(Boolean).sort();
  };
  const short = (...all: string[]): string[] => all.map((id) => id.slice(7, 19)).sort();
  t.deepEqual(await ids(), short(web, db, nameless));
  t.deepEqual(await ids('dangling=true'), short(nameless));
  t.deepEqual(await ids('dangling=false'), short(web, db));
  t.deepEqual(await ids('reference=w*'), short(web));
  t.deepEqual(await ids('reference=?b'), short(db));
  t.deepEqual(await ids('reference=docker.io/library/*:1'), short(web, db));
  t.deepEqual(await ids('reference=example.org/*'), []);
  t.deepEqual(await ids('reference=example.org/*/web', 'reference=*:1'), []);
  t.regex((await image(machine, 'ls', '--filter', 'size=1')).err, /It must be reference=GLOB, dangling=true or dangling=false\./);
});

test('inspect prints everything as JSON', async (t) => {
  const { machine, web } = await withImages();
  const { out } = await image(machine, 'inspect', 'web:1', web);
  const [one, two] = JSON.parse(out) as Record<string, unknown>[];
  t.deepEqual(one, two);
  t.like(one, { id: web, names: ['docker.io/library/web:1'], platform: 'linux/amd64', created: '2026-01-02T03:04:05Z', config: {}, history: [] });
  t.is((one as { layers: unknown[] }).layers.length, 2);
  const { status, err } = await image(machine, 'inspect', 'nothing');
  t.is(status, 1);
  t.is(err, 'strata: image does not exist: nothing\n');
});

test('history tells the steps from the last on, with their layers', async (t) => {
  const { machine, store } = await withImages();
  const history = [
    { created: '2025-01-01T00:00:00Z', created_by: 'ADD rootfs\n\u001b[31m /' },
    { created: '2025-01-02T00:00:00Z', created_by: `CMD ${'x'.repeat(80)}`, empty_layer: true },
    { created_by: 'RUN make', comment: 'c' },
  ];
  const id = await addImage(store, { names: ['localhost/made:1'], layers: [BASE, 'made', 'untold'], config: { history } });
  const chain = loadImage(store, id)?.layers.map((layer) => layer.slice(7, 19)) ?? [];
  t.deepEqual(rows(await image(machine, 'history', 'made:1')), [
    'LAYER | CREATED | CREATED BY | SIZE | COMMENT',
    `${chain[2]} | - | 6 B`,
    `${chain[1]} | - | RUN make | 4 B | c`,
    `<none> | 2025-01-02 00:00:00 | CMD ${'x'.repeat(55)}… | 0 B`,
    `${chain[0]} | 2025-01-01 00:00:00 | ADD rootfs [31m / | 8 B`,
    '',
  ]);
  t.true((await image(machine, 'history', '--no-trunc', 'made:1')).out.includes('x'.repeat(80)));
  const steps = JSON.parse((await image(machine, 'history', '--format', 'json', 'made:1')).out) as { createdBy: string }[];
  t.deepEqual(
    steps.map(({ createdBy }) => createdBy),
    ['', ...history.map((step) => step.created_by).reverse()],
  );
});

test('tree draws what is shared', async (t) => {
  const { machine, store, web, db, nameless } = await withImages();
  const base = await addImage(store, { names: ['localhost/base:1'], layers: [BASE] });
  const [a, b] = [loadImage(store, web)?.layers ?? [], loadImage(store, db)?.layers ?? []].map((ids) => ids.map((one) => one.slice(7, 19)));
  const only = loadImage(store, nameless)?.layers[0]?.slice(7, 19);
  const { out } = await image(machine, 'tree', 'base:1', 'web:1', 'db:1', nameless);
  t.is(
    out,
    `layer ${a?.[0]}, 8 B  localhost/base:1 (${base.slice(7, 19)})
├─ layer ${a?.[1]}, 18 B  web:1 (${web.slice(7, 19)})
└─ 2 layers up to ${b?.[2]}, 13 B  db:1 (${db.slice(7, 19)})
layer ${only}, 14 B  <none> (${nameless.slice(7, 19)})
`,
  );
  t.is((await image(machine, 'tree')).out.split('\n').length, 5);
});

test('tag gives a name, and takes it from another', async (t) => {
  const { machine } = await withImages();
  t.is((await image(machine, 'tag', 'web:1', 'db:1', 'new')).err, '');
  t.is(
    (await image(machine, 'ls', '--filter', 'reference=db', '--quiet')).out,
    (await image(machine, 'ls', '--filter', 'reference=web', '--quiet')).out,
  );
  t.regex((await image(machine, 'tag', 'web:1', 'A b')).err, /^strata: invalid name of an image "A b"/);
  t.regex((await image(machine, 'tag', 'none', 'x')).err, /image does not exist: none/);
});

test('rm removes what it can and tells the rest', async (t) => {
  const { machine, store, web, db } = await withImages();
  addContainer(store, 'c1', web, loadImage(store, web)?.layers ?? []);
  const { status, out, err } = await image(machine, 'rm', 'nothing', 'web:1', 'db:1');
  t.is(status, 1);
  t.is(out, `untagged db:1\nremoved ${db}\n`);
  t.regex(err, /^strata: image does not exist: nothing\nstrata: image web:1 is in use by container c1 \(.*--force.*\)\n$/);
  t.deepEqual(await image(machine, 'rm', '--force', 'nothing', 'web:1'), { status: 0, out: 'untagged web:1\n', err: '' });
});

test('prune tells what it does, and what it would do', async (t) => {
  const { machine, nameless } = await withImages();
  machine.file(`${ROOT}/tmp/abc`, '1234');
  const { out } = await image(machine, 'prune', '--dry-run');
  t.regex(out, new RegExp(`^would remove image ${nameless.slice(7, 19)}, 0 B$`, 'm'));
  t.regex(out, /^would remove leftover tmp\/abc, 4 B$/m);
  t.regex(out, /^would free [0-9.]+ k?B$/m);
  t.is((await image(machine, 'prune')).out, out.replaceAll('would remove', 'removed').replace('would free', 'freed'));
  t.is((await image(machine, 'prune')).out, 'freed 0 B\n');
});

test('a store of another user is refused', async (t) => {
  const machine = new FakeMachine();
  prepareStore(new FakeHost(machine), ROOT);
  machine.become(1000);
  const node = machine.nodes.get(ROOT);
  if (node !== undefined) node.uid = 2000;
  const host = new FakeHost(machine);
  t.is(await main(host, noArchive, ['--store', ROOT, 'image', 'ls']), 1);
  t.regex(host.complained.join(''), /the store \/var\/lib\/strata belongs to user 2000/);
});

test('sizes have three digits and a unit', (t) => {
  const texts = [0, 999, 1000, 1234, 75_210_000, 999_600, 1e15, 1e18].map(sizeText);
  t.deepEqual(texts, ['0 B', '999 B', '1.00 kB', '1.23 kB', '75.2 MB', '1.00 MB', '1.00 PB', '1.00 EB']);
});
