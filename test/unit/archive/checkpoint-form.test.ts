import test from 'ava';
import { BUNDLE_FILES, isCriuName, makeDocument, parseDocument } from '../../../src/archive/checkpoint-form.ts';
import { hasCode, messageOf } from '../../../src/base/fault.ts';
import { DEFAULT_LOG } from '../../../src/instance/wishes.ts';

const ID = `sha256:${'0'.repeat(64)}`;
const FIELDS = {
  created: '2026-01-01T00:00:00Z',
  container: {
    id: 'c1',
    image: ID,
    reference: 'docker.io/library/box:latest',
    layers: [ID],
    command: ['sh'],
    created: '2026-01-01T00:00:00Z',
    stopSignal: 'SIGTERM',
    volumes: [{ name: 'kept', anonymous: false }],
    terminal: false,
    interactive: false,
    remove: false,
    log: DEFAULT_LOG,
    labels: { a: 'b' },
  },
  store: '/var/lib/strata',
  layer: { digest: ID, size: 12, diffId: ID },
  bundle: BUNDLE_FILES,
  criu: ['core-1.img', 'descriptors.json', 'tmpfs-dev-41.tar.gz.img'],
};

test('what is written is what is read', (t) => {
  t.deepEqual(parseDocument(makeDocument(FIELDS)) as object, { format: 1, ...FIELDS, bundle: [...BUNDLE_FILES] });
});

for (const [what, change, words] of [
  ['another version', { format: 2 }, '/format'],
  ['no layer', { layer: undefined }, '/layer'],
  ['a layer without a digest', { layer: { digest: 'sha256:1', size: 1, diffId: ID } }, '/layer/digest'],
  ['a size below zero', { layer: { digest: ID, size: -1, diffId: ID } }, '/layer/size'],
  ['a store that is no path', { store: 'var' }, '/store'],
  ['a container without layers', { container: { ...FIELDS.container, layers: 'x' } }, '/container/layers'],
  ['a layer that is no id', { container: { ...FIELDS.container, image: '../x' } }, '/container/image'],
  ['a volume with a path for its name', { container: { ...FIELDS.container, volumes: [{ name: '../x', anonymous: false }] } }, '/container/volumes'],
  ['a file of the bundle that is none', { bundle: ['hosts', 'config.json'] }, '/bundle/1'],
  ['a file twice', { bundle: ['hosts', 'hosts'] }, 'twice'],
  ['an image twice', { criu: ['a.img', 'a.img'] }, 'twice'],
  ['an image that is a path', { criu: ['a/b'] }, '/criu/0'],
] as const) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => parseDocument(JSON.stringify({ format: 1, ...FIELDS, ...change })));
    t.true(hasCode(error, 'image-invalid'));
    t.true(messageOf(error).includes(words), messageOf(error));
    t.true(messageOf(error).startsWith('checkpoint.json in the archive: '));
  });
}

test('refused: no JSON', (t) => {
  t.throws(() => parseDocument('{'), { message: /checkpoint\.json in the archive is not valid JSON/ });
});

test('names of images are names of files', (t) => {
  for (const name of ['core-1.img', 'dump.log', 'pages-1.img', 'stats-dump', 'A_b.c']) t.true(isCriuName(name), name);
  for (const name of ['', '.', '..', '.hidden', 'a/b', '/a', 'a\n', 'a b', '-x', 'x'.repeat(201)]) t.false(isCriuName(name), name);
});
