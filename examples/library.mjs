/**
 * The library at work: run a program in a container, read what it prints, limit it, wait for it, kill it. Needs root and a root file system
 * with a shell, such as that of Debian's busybox-static:
 *
 *     node examples/library.mjs /path/to/rootfs
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import * as strata from 'strata-oci';

const rootfs = process.argv[2];
if (rootfs === undefined) {
  console.error('usage: node examples/library.mjs ROOTFS');
  process.exit(2);
}

/** The configuration of a container that runs a shell command: what config.json would hold. */
function specFor(command) {
  return {
    ociVersion: '1.3.0',
    root: { path: rootfs, readonly: true },
    process: { args: ['/bin/sh', '-c', command], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } },
    hostname: 'example',
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      namespaces: ['pid', 'mount', 'uts', 'ipc', 'network'].map((type) => ({ type })),
      resources: { memory: { limit: 64 * 1024 * 1024 }, pids: { limit: 16 } },
    },
  };
}

const bundle = await mkdtemp(join(tmpdir(), 'strata-example-'));
try {
  // One container from start to end: its output is a stream, its exit a promise.
  const hello = await strata.run({
    id: 'example-hello',
    bundle,
    spec: specFor('echo "hello from $(hostname), I am pid $$"; exit 7'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  console.log('it says:', (await text(hello.stdout)).trim());
  console.log('it exits with:', (await hello.wait()).code);
  await hello.delete();

  // Created first, started later, and given something to read.
  const sorter = await strata.create({ id: 'example-sort', bundle, spec: specFor('sort'), stdio: ['pipe', 'pipe', 'inherit'] });
  console.log('it is:', (await sorter.state()).status);
  await sorter.start();
  sorter.stdin.end('pear\napple\n');
  console.log('it sorts:', (await text(sorter.stdout)).trim().split('\n').join(' '));
  await sorter.wait();
  await sorter.delete();

  // Four at once, stopped by one signal.
  const stop = new AbortController();
  const ids = ['example-1', 'example-2', 'example-3', 'example-4'];
  const many = await Promise.all(ids.map((id) => strata.run({ id, bundle, spec: specFor('sleep 100'), stdio: 'ignore', signal: stop.signal })));
  console.log('running:', (await strata.list()).filter(({ id }) => ids.includes(id)).length);
  stop.abort();
  const exits = await Promise.all(many.map((container) => container.wait()));
  console.log('killed by signal:', exits.map(({ signal }) => signal).join(' '));
  await Promise.all(many.map((container) => container.delete()));

  // An error has fields to decide by; its message is for people.
  try {
    await strata.run({ id: 'example-error', bundle, spec: { ...specFor(''), hostname: 5 } });
  } catch (error) {
    if (!(error instanceof strata.StrataError)) throw error;
    console.log('refused:', error.code, 'at', error.pointer);
  }
} finally {
  await rm(bundle, { recursive: true });
}
