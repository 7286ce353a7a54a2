// What a container costs, from create to delete: the floor, the peers, strata's command and strata's library, all in one interleaved run, for
// the speed of this kind of machine drifts by more than the differences between them.
//
//   bench.mjs [--rounds N] [--warm-up N]
//
// Prints a table and writes bench/results/DATE.json. Everyone runs /bin/true of one busybox in the same root with the configuration of
// `strata spec` (no terminal, a cgroupsPath of its own: runc would nest its cgroup below the caller's).
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const root = join(import.meta.dirname, '..');
const built = (name) => join(root, 'build/bench', name);
const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '40' }, 'warm-up': { type: 'string', default: '3' } } });
const rounds = Number(options.rounds);
const warmUp = Number(options['warm-up']);
const atOnce = 8;

delete process.env.NODE_EXTRA_CA_CERTS;
delete process.env.NODE_OPTIONS;

// --- one root, one bundle for each contender ---------------------------------------------------------------------------------------------------

const work = mkdtempSync(join(tmpdir(), 'strata-bench.'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
const which = (name) =>
  (process.env.PATH ?? '')
    .split(':')
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));

const rootfs = join(work, 'rootfs');
for (const directory of ['bin', 'proc', 'sys', 'dev']) mkdirSync(join(rootfs, directory), { recursive: true });
copyFileSync(which('busybox') ?? '/usr/bin/busybox', join(rootfs, 'bin/busybox'));
symlinkSync('busybox', join(rootfs, 'bin/true'));

const strata = join(root, 'bin/strata');
execFileSync(strata, ['spec', '--bundle', work]);
const spec = JSON.parse(readFileSync(join(work, 'config.json'), 'utf8'));
// The peers may be older than the specification; nothing of 1.0.2 is missed here.
Object.assign(spec, { ociVersion: '1.0.2', root: { path: rootfs, readonly: true } });
Object.assign(spec.process, { terminal: false, args: ['/bin/true'] });

/** A directory with the configuration, whose cgroup is named as the bundle. */
const bundle = (name) => {
  const directory = join(work, name);
  mkdirSync(directory);
  writeFileSync(
    join(directory, 'config.json'),
    JSON.stringify({ ...spec, linux: { ...spec.linux, cgroupsPath: `/strata-bench-${process.pid}-${name}` } }),
  );
  return directory;
};
const bundles = (name) => {
  for (let i = 0; i < atOnce; i++) bundle(`${name}${i}`);
  return join(work, `${name}{}`);
};

// --- the contenders -------------------------------------------------------------------------------------------------------------------------------

const timer = spawn(built('timer'), { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface({ input: timer.stdout })[Symbol.asyncIterator]();

/** `copies` of a command at once, each one's share of the time. */
const command =
  (words, copies = 1) =>
  async () => {
    timer.stdin.write(`${[copies, ...words].join('\t')}\n`);
    const { value } = await answers.next();
    const { ms, rss, failed } = JSON.parse(value);
    if (failed > 0) throw new Error(`${failed} of ${copies} failed: ${words.join(' ')}`);
    return { ms: ms / copies, rss };
  };

const id = `strata-bench-${process.pid}`;
const peer = (name, label) => {
  const program = which(name);
  const state = join(work, `${label}-state`);
  return program && [program, '--root', state, 'run', '--bundle'];
};

const library = await import(join(root, 'dist/index.js'));
const once = async (directory, name) => {
  const container = await library.run({ id: name, bundle: directory, root: join(work, 'library-state'), stdio: 'ignore' });
  const { code } = await container.wait();
  await container.delete();
  if (code !== 0) throw new Error(`the library's container ended with ${code}`);
};
const timed = async (copies, work) => {
  const begin = performance.now();
  await work();
  return { ms: (performance.now() - begin) / copies };
};

const inARow = 5;
const repeatedly = async (times, work) => {
  for (let i = 0; i < times; i++) await work();
};

const libraryBundle = bundle('library');
const libraryBundles = bundles('library-eight-');
const crun = peer('crun', 'crun');
const runc = peer('runc', 'runc');
const strataCommand = [strata, '--root', join(work, 'strata-state'), 'run', '--bundle', bundle('strata'), id];
const crunBundle = crun && bundle('crun');
const crunBundles = crun && bundles('crun-eight-');

const contenders = [
  { name: 'floor', run: command([built('floor'), '-i', id, rootfs, '/bin/true']) },
  { name: 'floor, stub', run: command([built('floor'), '-s', built('stub'), '-i', id, rootfs, '/bin/true']) },
  { name: 'node -e 0', run: command([process.execPath, '-e', '0']) },
  { name: 'strata run (Node)', run: command(strataCommand) },
  ...(crun
    ? [
        // After a pause crun waits for the kernel's RCU; a second one right behind it does not.
        { name: 'crun run, cold', run: command([...crun, crunBundle, id]) },
        { name: 'crun run, warm', run: command([...crun, crunBundle, id]) },
        { name: `crun run, ${atOnce} at once, each`, run: command([...crun, crunBundles, `${id}-{}`], atOnce) },
      ]
    : []),
  ...(runc ? [{ name: 'runc run', run: command([...runc, bundle('runc'), id]) }] : []),
  // As with crun: the first after a pause finds cold caches and sleeping threads; those behind it show what each of many costs.
  { name: 'library, after a pause', run: () => timed(1, () => once(libraryBundle, id)) },
  { name: 'library, warm', run: () => timed(inARow, () => repeatedly(inARow, () => once(libraryBundle, id))) },
  {
    name: `library, ${atOnce} at once, each`,
    run: () => timed(atOnce, () => Promise.all(Array.from({ length: atOnce }, (_, i) => once(libraryBundles.replace('{}', i), `${id}-${i}`)))),
  },
];

// --- the run ----------------------------------------------------------------------------------------------------------------------------------------

const samples = new Map(contenders.map(({ name }) => [name, []]));
for (let round = -warmUp; round < rounds; round++) {
  for (const { name, run } of contenders) {
    const sample = await run();
    if (round >= 0) samples.get(name).push(sample);
  }
}
timer.stdin.end();

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
const results = Object.fromEntries(
  [...samples].map(([name, list]) => {
    const ms = list.map((sample) => sample.ms).sort((a, b) => a - b);
    const rss = Math.max(...list.map((sample) => sample.rss ?? 0));
    return [name, { median: quantile(ms, 0.5), min: ms[0], p95: quantile(ms, 0.95), ...(rss > 0 ? { peakRssKiB: rss } : {}) }];
  }),
);

const floor = results.floor.median;
const warm = results['crun run, warm']?.median;
const table = [
  ['', 'median ms', 'min', 'p95', '× floor', '× crun warm', 'peak RSS MB'],
  ...Object.entries(results).map(([name, { median, min, p95, peakRssKiB }]) => [
    name,
    median.toFixed(2),
    min.toFixed(2),
    p95.toFixed(2),
    (median / floor).toFixed(2),
    warm ? (median / warm).toFixed(2) : '–',
    peakRssKiB ? (peakRssKiB / 1024).toFixed(1) : '–',
  ]),
];
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
for (const row of table) console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '));

const version = (program) => program && execFileSync(program[0], ['--version'], { encoding: 'utf8' }).split('\n')[0].split(' ').at(-1);
const conditions = {
  date: new Date().toISOString(),
  rounds,
  kernel: release(),
  cpus: cpus().length,
  node: process.version,
  crun: version(crun) || undefined,
  runc: version(runc) || undefined,
};
console.log(
  `\n${rounds} interleaved rounds, ${Object.entries(conditions)
    .slice(2)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ')}`,
);

const ratio = (value, limit) => `${value.toFixed(2)} (to reach: ${limit})`;
console.log(`library / floor                  ${ratio(results['library, warm'].median / floor, '≤ 1.30')}`);
if (warm) console.log(`library / crun warm              ${ratio(results['library, warm'].median / warm, '< 1.00')}`);
console.log(`strata run / (1.3 node + floor)  ${ratio(results['strata run (Node)'].median / (1.3 * results['node -e 0'].median + floor), '≤ 1.00')}`);

const directory = join(root, 'bench/results');
mkdirSync(directory, { recursive: true });
const file = join(directory, `${conditions.date.replace(/:/g, '').slice(0, 17)}.json`);
writeFileSync(file, `${JSON.stringify({ ...conditions, results, samples: Object.fromEntries(samples) }, null, 1)}\n`);
console.log(`\nwritten to ${file}`);
