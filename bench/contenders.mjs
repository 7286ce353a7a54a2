// Who is measured at what. A unit is what takes its turn in a round: one row of the table, or several that belong right behind one another.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seccompOf } from './seccomp.mjs';
import { time } from './timer.mjs';
import { bundle, bundles, id, inMemory, layers, patternFrom, rootfs, runtime, which } from './workplace.mjs';

const root = join(import.meta.dirname, '..');
const built = (name) => join(root, 'build/bench', name);
const atOnce = 8;
const inARow = 5;
const many = 50;
const layerCounts = [0, 10, 100, 500];

const strata = runtime('strata', join(root, 'bin/strata'));
const crun = runtime('crun', which('crun'));
const runc = runtime('runc', which('runc'));
const peers = [crun, runc].filter(Boolean);
export const programs = { strata: strata.program, crun: crun?.program, runc: runc?.program };

/** One row: a key for the targets, a name for people. */
const row = (key, name, run) => ({ key, name, run });
const unit = (...rows) => ({ rows });

// After a pause crun waits for the kernel's RCU; a second one right behind it does not: two rows, and no other runtime between them.
const twice = (key, name, run) => unit(row(`${key}.cold`, `${name}, cold`, run), row(`${key}.warm`, `${name}, warm`, run));
const unitOf = (it, key, name, run) => (it === crun ? twice(key, name, run) : unit(row(key, name, run)));

/** `run` by each of the runtimes, of a bundle of its own. */
const runs = (group, label, options) =>
  [strata, ...peers].map((it) => {
    const words = it.words('run', '--bundle', bundle(`${group}-${it.name}`, options), id);
    return unitOf(it, `${group}.${it.name}`, `${it.name} run${label}`, () => time([words]));
  });

const runGroup = () => [
  unit(row('run.floor', 'floor', () => time([[built('floor'), '-i', id, rootfs, '/bin/true']]))),
  unit(row('run.stub', 'floor, stub', () => time([[built('floor'), '-s', built('stub'), '-i', id, rootfs, '/bin/true']]))),
  ...runs('run', ''),
];

/** A container that sleeps; its id. */
const sleeping = (it, group) => {
  const name = `${id}-${group}`;
  // Not by the timer: its "wait" would wait for this container too.
  for (const words of [
    it.words('create', '--bundle', bundle(`${group}-${it.name}`, { args: ['/bin/sleep', '3600'] }), name),
    it.words('start', name),
  ])
    execFileSync(words[0], words.slice(1), { stdio: 'ignore' });
  return name;
};

const execGroup = async () => {
  const library = await import(join(root, 'dist/index.js'));
  const units = [];
  for (const it of [strata, ...peers]) {
    const name = sleeping(it, 'exec');
    units.push(unitOf(it, `exec.${it.name}`, `${it.name} exec`, () => time([it.words('exec', name, '/bin/true')])));
    if (it !== strata) continue;
    const [program, ...words] = it.words('state', name);
    const { pid } = JSON.parse(execFileSync(program, words, { encoding: 'utf8' }));
    const floor = [built('floor-exec'), String(pid), `/${id}-exec-${it.name}`, '/bin/true'];
    units.unshift(unit(row('exec.floor', 'floor', () => time([floor]))));
    const once = async () => {
      const begin = performance.now();
      const { code } = await (await library.exec({ id: name, root: it.root, args: ['/bin/true'], stdio: 'ignore' })).wait();
      if (code !== 0) throw new Error(`the library's exec ended with ${code}`);
      return { ms: performance.now() - begin };
    };
    units.push(unit(row('exec.library', 'library', once)));
  }
  return units;
};

const stateGroup = () => {
  const units = [];
  for (const it of [strata, ...peers]) {
    const name = sleeping(it, 'state');
    units.push(unit(row(`state.${it.name}`, `${it.name} state`, () => time([it.words('state', name)]))));
  }
  return units;
};

const seccompGroup = () => {
  const file = built('seccomp.json');
  if (!existsSync(file)) {
    console.error(`bench: without the group 'seccomp': there is no ${file}`);
    return [];
  }
  const [ours, ...theirs] = runs('seccomp', ', seccomp', { seccomp: seccompOf(JSON.parse(readFileSync(file, 'utf8'))) });
  const plain = strata.words('run', '--bundle', bundle('seccomp-none'), id);
  const pair = unit(
    row('seccomp.none', 'strata run, none', () => time([plain])),
    ...ours.rows,
  );
  // What seccomp adds is a small difference: neither of the two may always be the one that finds warm caches.
  return [{ ...pair, anyOrder: true }, ...theirs];
};

const stepsGroup = () =>
  [strata, ...peers].map((it) => {
    const steps = [it.words('create', '--bundle', bundle(`steps-${it.name}`), id), it.words('start', id), ['wait'], it.words('delete', id)];
    return unitOf(it, `steps.${it.name}`, `${it.name} create, start, delete`, async () => {
      const sample = await time(steps);
      const [create, start, , remove] = sample.steps;
      return { ...sample, parts: { create, start, delete: remove } };
    });
  });

const manyGroup = () =>
  [strata, crun].filter(Boolean).map((it) => {
    const create = it.words('create', '--bundle', bundles(`many-${it.name}-`, many), `${id}-{}`);
    const remove = it.words('delete', '--force', `${id}-{}`);
    const run = async () => {
      const sample = await time([create], { copies: many, atOnce });
      await time([remove, ['wait']], { copies: many, atOnce });
      return sample;
    };
    return { ...unit(row(`many.${it.name}`, `${it.name} create, ${many} by ${atOnce} processes`, run)), every: 4 };
  });

const layersGroup = () =>
  layerCounts.map((count) => {
    const words = strata.words('run', '--bundle', bundle(`layers-${count}`, count > 0 ? { layers: layers(count) } : {}), id);
    return unit(row(`layers.${count}`, `strata run, ${count} layers`, () => time([words])));
  });

const libraryGroup = async () => {
  const library = await import(join(root, 'dist/index.js'));
  const once = async (directory, name) => {
    const container = await library.run({ id: name, bundle: directory, root: inMemory('state-library'), stdio: 'ignore' });
    const { code } = await container.wait();
    await container.delete();
    if (code !== 0) throw new Error(`the library's container ended with ${code}`);
  };
  const share = async (copies, work) => {
    const begin = performance.now();
    await work();
    return { ms: (performance.now() - begin) / copies };
  };
  const one = bundle('library');
  const eight = bundles('library-', atOnce);
  const together = () => Promise.all(Array.from({ length: atOnce }, (_, i) => once(eight.replace('{}', i), `${id}-${i}`)));
  const repeated = async () => {
    for (let i = 0; i < inARow; i++) await once(one, id);
  };
  return [
    // As with crun: the first after a pause finds cold caches and sleeping threads; those behind it show what each of many costs.
    unit(
      row('library.pause', 'library, after a pause', () => share(1, () => once(one, id))),
      row('library.warm', 'library, warm', () => share(inARow, repeated)),
    ),
    unit(row('library.eight', `library, ${atOnce} at once, each`, () => share(atOnce, together))),
    ...[strata, ...peers].map((it) => {
      const words = it.words('run', '--bundle', bundles(`eight-${it.name}-`, atOnce), `${id}-{}`);
      return unit(
        row(`eight.${it.name}`, `${it.name} run, ${atOnce} at once, each`, async () => {
          const sample = await time([words], { copies: atOnce });
          return { ...sample, ms: sample.ms / atOnce };
        }),
      );
    }),
  ];
};

const nodeGroup = () => {
  const inNode = runtime('strata-node', strata.program, ['STRATA_HOST=node']);
  const words = inNode.words('run', '--bundle', bundle('node'), id);
  return [
    unit(row('node.start', 'node -e 0', () => time([[process.execPath, '-e', '0']]))),
    unit(row('node.strata', 'STRATA_HOST=node strata run', () => time([words]))),
  ];
};

/** The groups in the order of the table. `against`: the rows that '× floor', '× crun' and '× runc' compare with. */
export const groups = {
  run: { title: 'create, /bin/true, delete', make: runGroup, against: { floor: 'run.floor', crun: 'run.crun.warm', runc: 'run.runc' } },
  library: { title: 'the library', make: libraryGroup, against: { floor: 'run.floor', crun: 'run.crun.warm', runc: 'run.runc' } },
  exec: {
    title: 'exec of /bin/true in a running container',
    make: execGroup,
    against: { floor: 'exec.floor', crun: 'exec.crun.warm', runc: 'exec.runc' },
  },
  state: { title: 'state of a running container', make: stateGroup, against: { crun: 'state.crun', runc: 'state.runc' } },
  seccomp: {
    title: "run with podman's default seccomp profile, compiled before",
    make: seccompGroup,
    against: { crun: 'seccomp.crun.warm', runc: 'seccomp.runc' },
  },
  steps: { title: 'three commands', make: stepsGroup, against: { crun: 'steps.crun.warm', runc: 'steps.runc' } },
  many: { title: 'many at once', make: manyGroup, against: { crun: 'many.crun' } },
  layers: { title: 'run on layers', make: layersGroup, against: {} },
  node: { title: 'Node', make: nodeGroup, against: { floor: 'run.floor', crun: 'run.crun.warm', runc: 'run.runc' }, onDemand: true },
};

/** The units of the named groups, each with its group. */
export const unitsOf = async (names) => {
  patternFrom(strata.program);
  const units = [];
  for (const group of names) for (const made of await groups[group].make()) units.push({ ...made, group });
  return units;
};
