import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

const PLAIN = join(import.meta.dirname, '../../../build/strata-plain');
const COMMAND = join(import.meta.dirname, '../../../build/strata');
const TRAINING = join(import.meta.dirname, '../../../build/training.bytecode');
const LAYOUT = join(import.meta.dirname, '../../../build/strata.layout');
/** Where the program itself is: addresses of functions and constants. */
const PROGRAM = { from: 0x40_0000n, to: 0x1000_0000n };

/** Of the first group of a layout. */
function withGroupSize(layout: Buffer, change: (size: number) => number): Buffer {
  const copy = Buffer.from(layout);
  copy.writeUInt32LE(change(copy.readUInt32LE(4)), 4);
  return copy;
}

const ifBuilt = existsSync(PLAIN) && existsSync(COMMAND) ? test : test.skip;

ifBuilt('the image of the heap holds nothing of the machine that made it', (t) => {
  const place = mkdtempSync(join(tmpdir(), 'strata-image-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  const make = (name: string, env: Record<string, string>): BigUint64Array => {
    const file = join(place, name);
    const { status, stderr } = spawnSync(PLAIN, [], {
      cwd: place,
      env: { ...env, STRATA_LAYOUT: LAYOUT, STRATA_WRITE_IMAGE: file },
      encoding: 'utf8',
    });
    t.is(status, 0, stderr);
    const bytes = readFileSync(file);
    return new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  };
  const one = make('one', {});
  // A processor with fewer features makes libc choose other functions for itself.
  const features = ['AVX512F', 'AVX2', 'AVX', 'FMA', 'BMI2', 'SSE4_2', 'SSE4_1', 'SSSE3', 'ERMS'];
  const other = make('other', {
    HOME: '/nowhere',
    XDG_RUNTIME_DIR: '/nowhere',
    LISTEN_FDS: '3',
    STRATA_HOST: 'static',
    GLIBC_TUNABLES: `glibc.cpu.hwcaps=${features.map((name) => `-${name}`).join(',')}`,
  });
  t.is(one.length, other.length);
  // The bounds of the stack, which are set anew in every process, and the seed of Math.random are not the same. Addresses of functions are.
  const different = [...one.keys()].filter((index) => one[index] !== other[index]);
  t.true(different.length < 10, `${different.length} words differ`);
  for (const index of different) {
    for (const word of [one[index] ?? 0n, other[index] ?? 0n]) t.false(word >= PROGRAM.from && word < PROGRAM.to, `${word.toString(16)} at ${index}`);
  }
});

/** A build that may not watch says so, and leaves an empty layout. */
const ifTrained = existsSync(LAYOUT) && statSync(LAYOUT).size > 4 ? ifBuilt : test.skip;

ifTrained('the training finds the same wherever it takes place, and an image is made with what it has found or not at all', (t) => {
  const place = mkdtempSync(join(tmpdir(), 'strata-image-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  const plain = (env: Record<string, string>) => spawnSync(PLAIN, [], { cwd: place, env, encoding: 'utf8' });
  const again = join(place, 'layout');
  const { status, stderr } = plain({
    STRATA_TRAINING: TRAINING,
    STRATA_LAYOUT: again,
    HOME: '/nowhere',
    XDG_RUNTIME_DIR: '/nowhere',
    LISTEN_FDS: '3',
  });
  t.is(status, 0, stderr);
  const layout = readFileSync(again);
  t.deepEqual(layout, readFileSync(LAYOUT));
  // The sizes of the groups, and then the group of each block: a fifth of the blocks are touched.
  const groups = layout.subarray(4 + 4 * layout.readUInt32LE(0));
  const touched = groups.filter((group) => group !== 0).length;
  t.true(touched > 3000 && touched < groups.length / 3, `${touched} of ${groups.length}`);

  const image = join(place, 'image');
  for (const [bytes, words] of [
    [layout.subarray(0, -1), /the layout is that of another heap/],
    [withGroupSize(layout, (size) => size + 16), /the layout is that of another heap/],
    [withGroupSize(layout, (size) => size - 16), /the layout is that of another heap/],
    [layout.subarray(0, 100), /this is no layout/],
    [Buffer.from('nonsense'), /this is no layout/],
  ] as const) {
    writeFileSync(again, bytes);
    const refused = plain({ STRATA_LAYOUT: again, STRATA_WRITE_IMAGE: image });
    t.is(refused.status, 1);
    t.regex(refused.stderr, words);
    t.regex(refused.stderr, /^strata: [^\n]+\n$/);
    t.false(existsSync(image));
  }
  const absent = plain({ STRATA_TRAINING: join(place, 'none'), STRATA_LAYOUT: again });
  t.is(absent.status, 1);
  t.regex(absent.stderr, /^strata: [^\n]+: No such file or directory\n$/);
});

ifBuilt('where there is no training an image is made without, and the finished program knows nothing of either', (t) => {
  const place = mkdtempSync(join(tmpdir(), 'strata-image-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  const [layout, image] = [join(place, 'layout'), join(place, 'image')];
  const env = { STRATA_TRAINING: TRAINING, STRATA_LAYOUT: layout };
  // Too little memory for a ground, not for the program.
  const blind = spawnSync('prlimit', ['--as=200000000', PLAIN], { env: { ...process.env, ...env }, encoding: 'utf8' });
  t.is(blind.status, 0, blind.stderr);
  t.regex(blind.stderr, /^strata: warning: the heap is not laid out by what verbs touch: [^\n]+\n$/);
  t.deepEqual([...readFileSync(layout)], [0, 0, 0, 0]);
  t.is(spawnSync(PLAIN, [], { env: { STRATA_LAYOUT: layout, STRATA_WRITE_IMAGE: image } }).status, 0);
  rmSync(layout);
  rmSync(image);
  const finished = spawnSync(COMMAND, ['--version'], { env: { ...env, STRATA_WRITE_IMAGE: image }, encoding: 'utf8' });
  t.regex(finished.stdout, /^strata version /);
  t.deepEqual([finished.status, finished.stderr, existsSync(layout), existsSync(image)], [0, '', false, false]);
});

ifBuilt('a program refuses the image of another build', (t) => {
  const place = mkdtempSync(join(tmpdir(), 'strata-image-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  const file = join(place, 'image');
  t.is(spawnSync(PLAIN, [], { env: { STRATA_WRITE_IMAGE: file } }).status, 0);
  const image = readFileSync(file);
  image[0] = ~(image[0] ?? 0) & 0xff;
  const forged = join(place, 'strata');
  spawnSync('sh', ['-c', 'cat >"$0"', file], { input: image });
  t.is(spawnSync('objcopy', ['--update-section', `.strata.heap=${file}`, PLAIN, forged]).status, 0);
  const { status, stderr } = spawnSync(forged, ['--version'], { encoding: 'utf8', env: {} });
  t.is(status, 1);
  t.regex(stderr, /^strata: internal error: .*the image of the heap is that of another build.*\n$/);
});

ifBuilt('the program without an image says the same, only later', (t) => {
  for (const args of [['--version'], ['--help'], ['run', '--help'], ['state', 'nobody'], ['nonsense']]) {
    const [plain, finished] = [PLAIN, COMMAND].map((program) => spawnSync(program, args, { encoding: 'utf8', env: {} }));
    t.is(plain?.stdout, finished?.stdout);
    t.is(plain?.stderr, finished?.stderr);
    t.is(plain?.status, finished?.status);
  }
});
