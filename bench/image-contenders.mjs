// Who is measured at what with images. What a turn needs beforehand, and what it leaves, is made and removed off the clock.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fixtures } from './image-fixtures.mjs';
import { time } from './timer.mjs';
import { id, runtime, which } from './workplace.mjs';

const root = join(import.meta.dirname, '..');
// A directory on a disk: stores are no tmpfs.
const disk = mkdtempSync(join(tmpdir(), 'strata-bench-images.'));
const at = (name) => join(disk, name);

const strata = runtime('strata', join(root, 'bin/strata'));
export const programs = { strata: strata.program, tar: which('tar'), umoci: which('umoci'), podman: which('podman') };

const words = (store, ...rest) => [strata.program, '--root', strata.root, '--store', at(store), ...rest];
/** Runs a command, which must succeed. */
const quietly = ([program, ...rest]) => execFileSync(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Ten files of the image get a line more. */
const change = 'n=0; for f in /usr/share/doc/*/copyright; do echo changed >>$f; n=$((n + 1)); [ $n -lt 10 ] || break; done';

// Limits that podman's own would exceed where root lacks CAP_SYS_RESOURCE, and nothing that needs systemd.
writeFileSync(
  at('containers.conf'),
  '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
);
const podmanVariables = [`CONTAINERS_CONF=${at('containers.conf')}`, 'PODMAN_IGNORE_CGROUPSV1_WARNING=1'];
/** `name`: of its storage. */
const podmanWords = (name, ...rest) => {
  const places = ['--root', at(name), '--runroot', at(`${name}-run`), '--tmpdir', at(`${name}-tmp`)];
  return [...podmanVariables, programs.podman, ...places, '--storage-driver', 'overlay', ...rest];
};
const podman = (...rest) => quietly(['env', ...podmanWords(...rest)]);

/** One row whose `before` is not timed. What was written before is on the disk when the clock starts. */
const row = (key, name, command, before) => ({
  rows: [
    {
      key,
      name,
      run: async () => {
        await before();
        quietly(['sync']);
        return time([command]);
      },
    },
  ],
});

const without = (name) => () => rmSync(at(name), { recursive: true, force: true });
const empty = (name) => () => {
  without(name)();
  mkdirSync(at(name));
};

const importGroup = ({ one, layer }) => [
  row('import.tar', 'tar -xzf of the layer', [programs.tar, '--numeric-owner', '-C', at('tar'), '-xzf', layer], empty('tar')),
  row('import.strata', 'strata image import', words('import', 'image', 'import', one), without('import')),
];

const layersGroup = ({ eight, archive }) => {
  const units = [
    row('layers8.strata', 'strata image import, layout', words('layers8', 'image', 'import', eight), without('layers8')),
    row('layers8.archive', 'strata image import, archive', words('archive8', 'image', 'import', archive), without('archive8')),
  ];
  if (programs.umoci)
    units.push(row('layers8.umoci', 'umoci unpack', [programs.umoci, 'unpack', '--image', `${eight}:latest`, at('umoci')], without('umoci')));
  if (programs.podman)
    units.push(
      row('layers8.podman', 'podman load', podmanWords('podman-load', 'load', '--input', archive), () =>
        podman('podman-load', 'rmi', '--all', '--force'),
      ),
    );
  return units;
};

const largeGroup = ({ large }) => [
  { ...row('large.strata', 'strata image import', words('large-import', 'image', 'import', large), without('large-import')), every: 2 },
];

/** A container of the image with ten changed files is there; what is timed makes an image of it. */
const commitGroup = (size, layout) => {
  const store = `commit-${size}`;
  const name = `${id}-${size}`;
  const [base, made] = [`localhost/base-${size}:1`, `localhost/made-${size}:1`];
  quietly(words(store, 'image', 'import', '--name', base, layout));
  quietly(words(store, 'run', '--image', base, name, '/bin/sh', '-c', change));
  let committed = false;
  const remove = () => {
    if (committed) quietly(words(store, 'image', 'rm', made));
    committed = true;
  };
  const units = [row(`commit.${size}.strata`, 'strata commit', words(store, 'commit', name, made), remove)];
  if (!programs.podman) return units;
  quietly(['tar', '-C', layout, '-cf', at('archive'), '.']);
  const loaded = execFileSync('env', podmanWords('podman', 'load', '--quiet', '--input', at('archive')), { encoding: 'utf8' });
  rmSync(at('archive'));
  podman('podman', 'tag', loaded.trim().split(' ').at(-1), base);
  podman('podman', '--runtime', strata.program, 'run', '--name', name, '--network', 'none', base, '/bin/sh', '-c', change);
  const again = () => podman('podman', 'rmi', '--ignore', '--force', made);
  return [...units, row(`commit.${size}.podman`, 'podman commit', podmanWords('podman', 'commit', '--quiet', name, made), again)];
};

/** The bundle has the configuration that `run --image` makes. */
const runGroup = ({ one }) => {
  const base = 'localhost/base:1';
  quietly(words('run', 'image', 'import', '--name', base, one));
  quietly(words('run', 'create', '--image', base, id, '/bin/true'));
  const instance = at(`run/containers/${id}`);
  const config = JSON.parse(readFileSync(join(instance, 'config.json'), 'utf8'));
  for (const directory of ['rootfs', 'upper', 'work']) mkdirSync(at(`bundle/${directory}`), { recursive: true });
  for (const { type, source } of config.mounts) {
    if (type === 'bind' && !isAbsolute(source)) copyFileSync(join(instance, source), join(at('bundle'), source));
  }
  quietly(words('run', 'delete', id));
  const overlay = JSON.parse(config.annotations['dev.strata.overlay']);
  Object.assign(overlay, { upper: at('bundle/upper'), work: at('bundle/work') });
  config.annotations['dev.strata.overlay'] = JSON.stringify(overlay);
  writeFileSync(at('bundle/config.json'), JSON.stringify(config));
  const timed = (key, name, ...rest) => ({ key, name, run: () => time([words('run', 'run', ...rest)]) });
  return [
    {
      rows: [
        timed('run.bundle', 'strata run, prepared bundle', '--bundle', at('bundle'), id),
        timed('run.image', 'strata run --image --rm', '--image', base, '--rm', id, '/bin/true'),
      ],
      anyOrder: true,
      turns: 20,
    },
  ];
};

/** The groups in the order of the table. `against`: the rows that '× tar', '× umoci' and '× podman' compare with. */
export const groups = {
  import: { title: 'Debian minbase, one gzip layer', make: importGroup, against: { tar: 'import.tar' } },
  layers8: { title: 'the same files in eight layers', make: layersGroup, against: { umoci: 'layers8.umoci', podman: 'layers8.podman' } },
  large: { title: 'a large layer more', make: largeGroup, against: {} },
  commit: { title: 'commit of ten changed files', make: ({ one }) => commitGroup('small', one), against: { podman: 'commit.small.podman' } },
  commitLarge: { title: 'the same on the large image', make: ({ large }) => commitGroup('large', large), against: { podman: 'commit.large.podman' } },
  run: { title: '/bin/true of the image', make: runGroup, against: {} },
};

/** The units of the named groups, each with its group. */
export const unitsOf = async (names) => {
  const images = await fixtures();
  return names.flatMap((group) => groups[group].make(images).map((unit) => ({ ...unit, group })));
};

export const cleanUp = () => {
  for (const name of ['podman', 'podman-load']) if (existsSync(at(name))) podman(name, 'system', 'reset', '--force');
  rmSync(disk, { recursive: true, force: true });
};
