// Where the measurement takes place: one root file system, bundles, the runtimes' state, and the end of all of it.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const TMPFS = 0x01021994;
const floorState = '/run/floor';

/** The id of every container that is alone in its turn, and what the names of all others and of all cgroups begin with. */
export const id = `strata-bench-${process.pid}`;

const disk = mkdtempSync(join(tmpdir(), 'strata-bench.'));
// State in memory, as it is in /run of an ordinary system.
const memory = ['/run', '/dev/shm'].find((path) => existsSync(path) && statfsSync(path).type === TMPFS);
const volatile = memory ? mkdtempSync(join(memory, 'strata-bench.')) : join(disk, 'volatile');
mkdirSync(volatile, { recursive: true });

/** A path for a file or directory that goes when the measurement ends. */
export const inMemory = (name) => join(volatile, name);

export const which = (name) =>
  (process.env.PATH ?? '')
    .split(':')
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));

const rootfs = join(disk, 'rootfs');
for (const directory of ['bin', 'proc', 'sys', 'dev']) mkdirSync(join(rootfs, directory), { recursive: true });
copyFileSync(which('busybox') ?? '/usr/bin/busybox', join(rootfs, 'bin/busybox'));
for (const name of ['true', 'sleep']) symlinkSync('busybox', join(rootfs, 'bin', name));

export { rootfs };

const runtimes = [];

/** A runtime with state of its own; undefined where its program is missing. `variables` are set for its commands, NAME=VALUE. */
export const runtime = (name, program, variables = []) => {
  if (!program) return undefined;
  const root = inMemory(`state-${name}`);
  const it = { name, program, root, words: (verb, ...rest) => [...variables, program, '--root', root, verb, ...rest] };
  runtimes.push(it);
  return it;
};

let pattern;
/** What `strata spec` writes becomes the configuration of every bundle. */
export const patternFrom = (strata) => {
  execFileSync(strata, ['spec', '--bundle', disk]);
  pattern = JSON.parse(readFileSync(join(disk, 'config.json'), 'utf8'));
  // The peers may be older than the specification; nothing of 1.0.2 is missed here.
  Object.assign(pattern, { ociVersion: '1.0.2', root: { path: rootfs, readonly: true } });
  Object.assign(pattern.process, { terminal: false, args: ['/bin/true'] });
};

/** A directory with the configuration. Its cgroup is named here: runc would nest it below the caller's. */
export const bundle = (name, { args, seccomp, layers } = {}) => {
  const directory = join(disk, name);
  mkdirSync(directory);
  const config = { ...pattern, linux: { ...pattern.linux, cgroupsPath: `/${id}-${name}` } };
  if (args) config.process = { ...config.process, args };
  if (seccomp) config.linux.seccomp = seccomp;
  if (layers) {
    for (const part of ['upper', 'work']) mkdirSync(inMemory(`${name}-${part}`));
    const overlay = { lower: layers, upper: inMemory(`${name}-upper`), work: inMemory(`${name}-work`) };
    config.annotations = { 'dev.strata.overlay': JSON.stringify(overlay) };
    config.root = { ...config.root, readonly: false };
  }
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  return directory;
};

/** Bundles NAME0, NAME1, …; their common path with '{}' for the number. */
export const bundles = (name, count) => {
  for (let i = 0; i < count; i++) bundle(`${name}${i}`);
  return join(disk, `${name}{}`);
};

/** Directories for `count` layers, from top to bottom: small ones with a file each, and the root file system below them. */
export const layers = (count) => {
  const small = Array.from({ length: count - 1 }, (_, i) => join(disk, `layers/${i}`));
  for (const [i, directory] of small.entries()) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${i}`), `${i}\n`);
  }
  return [...small, rootfs];
};

/** Remove `path` if it is an empty directory: a cgroup looks full and is removed all the same. */
const removeEmpty = (path) => {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EBUSY'].includes(error.code)) throw error;
  }
};

const directoriesIn = (path) =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

// A signal ends the measurement between two samples, so that nothing is left half made.
let interrupted;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted ??= signal;
  });
}

export const interruption = () => interrupted;

/** End as the signal that came would have ended this process. */
export const endIfInterrupted = () => {
  if (!interrupted) return;
  process.removeAllListeners(interrupted);
  process.kill(process.pid, interrupted);
};

/** Containers, cgroups, state, bundles: whatever an ended or interrupted measurement has left. */
export const cleanUp = () => {
  for (const { program, root } of runtimes) {
    if (!existsSync(root)) continue;
    const quiet = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    const ids = execFileSync(program, ['--root', root, 'list', '--quiet'], quiet).split('\n').filter(Boolean);
    for (const left of ids) execFileSync(program, ['--root', root, 'delete', '--force', left], quiet);
  }
  const cgroups = '/sys/fs/cgroup';
  for (const parent of [cgroups, ...directoriesIn(cgroups).map((name) => join(cgroups, name))]) {
    for (const name of directoriesIn(parent)) if (name === id || name.startsWith(`${id}-`)) removeEmpty(join(parent, name));
  }
  rmSync(join(floorState, id), { recursive: true, force: true });
  removeEmpty(floorState);
  rmSync(volatile, { recursive: true, force: true });
  rmSync(disk, { recursive: true, force: true });
};
