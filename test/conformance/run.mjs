// Runs the suites, every test for each runtime in turn, and writes results.json and the logs into build/conformance/PLACE, test by test.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PLACES, readArguments } from './arguments.mjs';
import { verdict } from './verdict.mjs';

const out = resolve('build/conformance');
const wanted = readArguments(process.argv.slice(2));
const place = PLACES[process.env.PLACE];
const here = join(out, process.env.PLACE);

// Whatever a test leaves is ended with SIGKILL, which must not meet anybody else.
if (!place.guest && (!process.env.OUTSIDE || readlinkSync('/proc/self/ns/pid') === process.env.OUTSIDE)) {
  throw new Error('not in a pid namespace of its own');
}

const which = (name) => ['/usr/sbin', '/usr/bin'].map((directory) => join(directory, name)).find((path) => existsSync(path));
const programs = { strata: resolve(process.env.STRATA ?? 'bin/strata'), runc: which('runc'), crun: which('crun') };
const runtimes = wanted.runtimes.filter((name) => programs[name]);

/** A command with everything it prints; ended after a while with all that it started. */
const run = (command, { cwd, env }) =>
  new Promise((done) => {
    let text = '';
    let late = false;
    const child = spawn(command[0], command.slice(1), { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (text += bytes));
    const timer = setTimeout(() => {
      late = true;
      sweep();
    }, place.limit);
    const end = (status) => {
      clearTimeout(timer);
      child.stdout.destroy();
      child.stderr.destroy();
      done({ status, late, text });
    };
    child.on('error', (error) => {
      text += error.message;
      end(-1);
    });
    // What a test leaves running may hold the pipes open.
    child.on('exit', (status) => setTimeout(end, 50, status));
  });

/** A guest's processes, but for its kernel's, and systemd's own and its services', of which this run is one. */
const processes = () => {
  const own = readFileSync('/proc/self/cgroup', 'utf8');
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
      const flags = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\)/s, '').split(' ')[7]);
      return (flags & PF_KTHREAD) === 0 && (cgroup === own || !/^0::\/(init\.scope|system\.slice\/[^/]*\.service)/.test(cgroup));
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes(error.code)) return false;
      throw error;
    }
  });
};
const PF_KTHREAD = 0x200000;
const atStart = new Set(place.guest ? processes() : []);

/** Kill what is left of a test: a guest's processes since the start, else all in this pid namespace but its first and this one; whether there was any. */
const sweep = () => {
  if (place.guest) {
    const left = processes().filter((pid) => !atStart.has(pid));
    for (const pid of left) attempt(process.kill, Number(pid), 'SIGKILL');
    return left.length > 0;
  }
  try {
    return process.kill(-1, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
    return false;
  }
};

/** Every cgroup of every hierarchy, so that what a test adds can be told. */
const cgroups = () => {
  const found = new Set();
  const walk = (path, depth) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const below = join(path, entry.name);
      found.add(below);
      if (depth > 0) walk(below, depth - 1);
    }
  };
  try {
    walk('/sys/fs/cgroup', 3);
  } catch (error) {
    // Others make and remove cgroups meanwhile.
    if (error.code !== 'ENOENT') throw error;
  }
  return found;
};

// The names that the suites give: nobody else's cgroup is touched.
const OURS = /^(test-|container-|cgrouptest|frozen$|[0-9a-f]{8}-[0-9a-f]{4}-)/;
const added = (before) => [...cgroups()].reverse().filter((path) => !before.has(path) && path.split('/').some((name) => OURS.test(name)));
const attempt = (action, path, value) => {
  try {
    action(path, value);
  } catch (error) {
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'ESRCH'].includes(error.code)) throw error;
  }
};

const mounts = () =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' ')[4]);

/** Containers, processes, cgroups, mounts. */
const cleanUp = async (name, before, mounted) => {
  const quiet = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 10_000 };
  try {
    for (const id of execFileSync(programs[name], ['list', '--quiet'], quiet).split('\n').filter(Boolean)) {
      execFileSync(programs[name], ['delete', '--force', id], quiet);
    }
  } catch {
    // Its processes end all the same.
  }
  // What is frozen cannot even be killed.
  for (const path of added(before)) {
    if (existsSync(`${path}/freezer.state`)) attempt(writeFileSync, `${path}/freezer.state`, 'THAWED');
    else if (existsSync(`${path}/cgroup.freeze`)) attempt(writeFileSync, `${path}/cgroup.freeze`, '0');
  }
  // A cgroup can be removed when the last of its processes is gone, which takes a moment.
  for (let tries = 100; sweep() && tries > 0; tries--) await sleep(20);
  for (const path of added(before)) attempt(rmdirSync, path);
  for (const path of mounts().slice(mounted).reverse()) spawnSync('umount', ['--lazy', path]);
};

const validation = () => {
  const cwd = join(out, 'validation');
  return readdirSync(cwd)
    .filter((name) => name !== 'runtimetest' && !name.startsWith('rootfs-'))
    .map((name) => ({ name, command: [join(cwd, name)], cwd, env: (name) => ({ RUNTIME: programs[name] }) }));
};

// Tests of terminals skip themselves without one.
const ON_TERMINAL = ['python3', '-c', 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'];

/** A program that calls a runtime the way its author wants it. */
const wrapper = (name) => {
  const path = join(process.env.TMPDIR, name);
  const words = [resolve('test/conformance/runtime.sh'), name, programs[name], place.manager];
  writeFileSync(path, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o755 });
  return path;
};

const crun = () => {
  const wrappers = Object.fromEntries(runtimes.map((name) => [name, wrapper(name)]));
  const tests = join(out, 'crun/tests');
  const list = 'import sys; sys.path.insert(0, "."); print("\\n".join(__import__(sys.argv[1]).all_tests))';
  const python = {
    PYTHONPATH: resolve('test/conformance/python'),
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONWARNINGS: 'ignore',
    INIT: join(tests, 'init'),
  };
  return readdirSync(tests)
    .filter((file) => /^test_.*\.py$/.test(file))
    .flatMap((file) => {
      const options = { cwd: tests, encoding: 'utf8', env: { ...process.env, ...python, OCI_RUNTIME: programs.crun } };
      const names = execFileSync('python3', ['-c', list, file.slice(0, -3)], options)
        .split('\n')
        .filter(Boolean);
      return names.map((name) => ({
        name: `${file.slice(5, -3)}/${name}`,
        command: [...(/tty|getpgrp/.test(name) ? ON_TERMINAL : []), 'python3', join(tests, file)],
        cwd: process.env.TMPDIR,
        env: (runtime) => ({ ...python, OCI_RUNTIME: wrappers[runtime], RUN_TESTS: name }),
      }));
    });
};

const suites = { validation, crun };
const results = { versions: {}, date: new Date().toISOString().slice(0, 10), suites: {} };
for (const name of runtimes) results.versions[name] = execFileSync(programs[name], ['--version'], { encoding: 'utf8' }).split('\n')[0].trim();
rmSync(join(here, 'logs'), { recursive: true, force: true });

for (const suite of place.suites.filter((name) => wanted.suites.includes(name))) {
  const source = suite === 'crun' ? 'crun' : 'golang-github-opencontainers-runtime-tools';
  const tests = suites[suite]().filter(({ name }) => name.includes(wanted.pattern) && (wanted.pattern !== '' || place.tests.test(name)));
  const table = {};
  results.suites[suite] = { source: readFileSync(join(out, source, 'version'), 'utf8').trim(), tests: table };
  for (const { name, command, cwd, env } of tests) {
    table[name] = {};
    for (const runtime of runtimes) {
      let outcome;
      // Some tests race with the program that they have started, so every runtime gets a second try.
      for (let tries = 2; tries > 0 && [undefined, 'fail'].includes(table[name][runtime]); tries--) {
        const before = cgroups();
        const mounted = mounts().length;
        outcome = await run(command, { cwd, env: env(runtime) });
        await cleanUp(runtime, before, mounted);
        table[name][runtime] = verdict(suite, outcome);
      }
      const log = join(here, 'logs', suite, runtime, `${name.replaceAll('/', '.')}.log`);
      mkdirSync(join(log, '..'), { recursive: true });
      writeFileSync(log, outcome.text);
    }
    console.log(`${suite} ${name}: ${runtimes.map((runtime) => `${runtime} ${table[name][runtime]}`).join(', ')}`);
    writeFileSync(join(here, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  }
}
