import test from 'ava';
import type { Archive, ImportOptions, UnpackOptions } from '../../../src/archive/archive.ts';
import { StrataError } from '../../../src/base/error.ts';
import { main } from '../../../src/cli/main.ts';
import { DEFAULT_LIMITS } from '../../../src/layer/filter.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

const ID = `sha256:${'ab'.repeat(32)}`;

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
  readonly options: ImportOptions | UnpackOptions | undefined;
}

/** Runs a command line over an archive that only tells of progress, and fails if that is asked for. */
async function run(argv: readonly string[], { width = 0, fails = false } = {}): Promise<Outcome> {
  const host = new FakeHost(new FakeMachine());
  let options: ImportOptions | UnpackOptions | undefined;
  const work = (given: ImportOptions | UnpackOptions): void => {
    options = given;
    const event = { layer: 1, layers: 2, digest: ID, bytes: 500_000, total: 1_000_000 };
    given.progress?.({ ...event, step: 'read' });
    given.warn?.('something is left out');
    given.progress?.({ ...event, step: 'unpacked' });
    given.progress?.({ ...event, layer: 2, step: 'present' });
    if (fails) throw new StrataError({ code: 'image-invalid', reason: 'the archive is truncated' });
  };
  const archive: Partial<Archive> = {
    errorWidth: () => width,
    importImages: async (given) => {
      work(given);
      return [{ id: ID, manifest: ID, names: ['docker.io/library/app:1', 'example.org/app:1'], layers: 2, added: 1 }];
    },
    exportImages: async ({ progress }) => {
      progress?.({ bytes: 500_000, total: 1_000_000 });
      progress?.({ bytes: 500_001, total: 1_000_000 });
      if (fails) throw new StrataError({ code: 'system', reason: 'the disk is full' });
    },
    unpackLayer: async (given) => {
      work(given);
      return { diffId: ID, entries: 3, size: 1234 };
    },
  };
  const status = await main(host, () => archive as Archive, argv);
  return { status, out: host.printed.join(''), err: host.complained.join(''), options };
}

test('import: a line for each layer, then the images', async (t) => {
  const { status, out, err } = await run(['image', 'import', 'app.tar']);
  t.is(status, 0);
  t.is(out, 'imported abababababab app:1 example.org/app:1\n');
  t.is(err, 'strata: warning: something is left out\nlayer 1 of 2 abababababab unpacked\nlayer 2 of 2 abababababab is already there\n');
});

test('import --quiet: ids only, and warnings', async (t) => {
  const { out, err } = await run(['image', 'import', '--quiet', 'app.tar'], { width: 80 });
  t.is(out, 'abababababab\n');
  t.is(err, 'strata: warning: something is left out\n');
});

test('import on a terminal: a bar that fits, makes room for warnings and is gone in the end', async (t) => {
  for (const width of [200, 30]) {
    const { out, err } = await run(['image', 'import', 'app.tar'], { width });
    const [first = '', ...rest] = err.split('\r').slice(1);
    t.is(first, `${'[############............]  50%  500 kB of 1.00 MB  layer 1 of 2 abababababab'.slice(0, width - 1)}\u001b[K`);
    t.is(rest[0], '\u001b[Kstrata: warning: something is left out\n');
    t.is(rest.at(-1), '\u001b[K');
    t.is(out, 'imported abababababab app:1 example.org/app:1\n');
  }
});

test('import: the bar is gone before an error is told', async (t) => {
  const { status, err } = await run(['image', 'import', 'app.tar'], { width: 80, fails: true });
  t.is(status, 1);
  t.true(err.endsWith('\r\u001b[Kstrata: the archive is truncated\n'));
});

test('import: what the flags say reaches the archive', async (t) => {
  const { options } = await run(['--store', '/s', 'image', 'import', '--name', 'x', '--platform', 'aarch64', '--max-size', '1.5g', '-']);
  t.like(options, { store: '/s', source: '-', name: 'x', platform: { os: 'linux', architecture: 'arm64' } });
  t.deepEqual(options?.limits, { ...DEFAULT_LIMITS, maxSize: 1.5 * 1024 ** 3 });
  const without = await run(['image', 'import', '--max-size', '-1', '--max-entries', '5', '--max-ratio', '6', '-']);
  t.deepEqual(without.options?.limits, { maxSize: Number.MAX_SAFE_INTEGER, maxEntries: 5, maxRatio: 6 });
});

test('import: flags that are wrong are refused', async (t) => {
  for (const flags of [
    ['--max-size', 'much'],
    ['--max-entries', '0'],
    ['--max-ratio', '-1'],
    ['--platform', 'a/b/c/d'],
  ]) {
    const { status, err } = await run(['image', 'import', ...flags, 'x']);
    t.is(status, 1);
    t.regex(err, /^strata: [^\n]+\n$/);
  }
});

test('export: a bar on a terminal only, and none is left', async (t) => {
  for (const [width, fails] of [
    [0, false],
    [80, false],
    [80, true],
  ] as const) {
    const { out, err } = await run(['image', 'export', 'app', '--output', 'app.tar'], { width, fails });
    const [bar, gone] = ['\r[############............]  50%  500 kB of 1.00 MB\u001b[K', '\r\u001b[K'];
    t.is(out, '');
    t.is(err, `${width === 0 ? '' : bar + gone}${fails ? 'strata: the disk is full\n' : ''}`);
  }
});

test('layer unpack: digest, entries and size', async (t) => {
  const { status, out, options } = await run(['layer', 'unpack', 'layer.tar', 'into']);
  t.is(status, 0);
  t.is(out, `${ID} 3 entries 1.23 kB\n`);
  t.like(options, { source: 'layer.tar', directory: 'into' });
});
