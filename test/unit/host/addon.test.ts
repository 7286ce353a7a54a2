import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { StrataError } from '../../../src/base/error.ts';
import type { Command } from '../../../src/host/host.ts';
import { LaunchError } from '../../../src/host/host.ts';
import { createNodeHost, nativePlanBytes, nativeVersions } from '../../../src/host/node.ts';

const host = createNodeHost();
const MODULE = join(import.meta.dirname, '../../../src/host/node.ts');

function scratch(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'strata-host-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

function shell(script: string, more: Partial<Command> = {}): Command {
  return { path: '/bin/sh', args: ['sh', '-c', script], env: ['PATH=/usr/bin:/bin'], stdin: '', timeout: 0, ...more };
}

/** A program in Node that has the host as `host`. */
function node(script: string): { status: number | null; stdout: string; stderr: string } {
  const source = `import { createNodeHost } from ${JSON.stringify(MODULE)};\nconst host = createNodeHost();\n${script}`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8', timeout: 30_000 });
}

/** A process that is no child of this one: its pid and start time. */
async function orphan(script: string): Promise<{ pid: number; startTime: bigint }> {
  const { stdout } = await host.run(shell(`(${script}) >&- 2>&- & echo $!; cut -d' ' -f22 /proc/$!/stat`));
  const [pid = '', startTime = ''] = stdout.split('\n');
  return { pid: Number(pid), startTime: BigInt(startTime) };
}

test('a refusal of the kernel is a StrataError with syscall, errno and path', (t) => {
  const error = t.throws(() => host.readText('/nowhere/config.json'), { instanceOf: StrataError });
  t.is(error?.message, 'open /nowhere/config.json: no such file or directory');
  t.deepEqual(error?.toJSON(), { code: 'system', syscall: 'open', errno: 'ENOENT', path: '/nowhere/config.json' });
  t.is(t.throws(() => host.close(1_000_000), { instanceOf: StrataError })?.message, 'close: bad file descriptor');
});

test('a plan as the core gets it: every type of value', (t) => {
  const bytes = nativePlanBytes([
    ...[54, []],
    ...[45, [7, 'Aé', 1n, 0xffffffffffffffffn]],
    ...[51, [0xffffffff, 2, 2, 3, 4, 5]],
    ...[55, [2, 'a', '', 0]],
    ...[3, ['', Uint8Array.of(0, 255)]],
    ...[46, ['/', true]],
    ...[4, [[1, 'x', [2n]], '']],
  ]);
  const parts = [
    '53545241 01000000 c5000000 07000000',
    '36000000 00000000',
    '2d000000 1c000000 07000000 03000000 41c3a9 00 0100000000000000 ffffffffffffffff',
    '33000000 18000000 ffffffff 02000000 02000000 03000000 04000000 05000000',
    '37000000 13000000 02000000 01000000 61 00 00000000 00 00000000',
    '03000000 0b000000 00000000 00 02000000 00ff',
    '2e000000 0a000000 01000000 2f 00 01000000',
    '04000000 1f000000 16000000 01000000 01000000 78 00 08000000 0200000000000000 00000000 00',
  ];
  const expected = parts.join('').replaceAll(' ', '');
  t.is(bytes.slice(32), expected.slice(32));
  t.is(Buffer.from(bytes, 'hex').readUInt32LE(8), bytes.length / 2);
  t.is(nativePlanBytes([]), '53545241' + '01000000' + '10000000' + '00000000');
});

test('any text without NUL arrives in a plan; a lone surrogate as U+FFFD', (t) => {
  const textOf = (text: string) => Buffer.from(nativePlanBytes([1, [text]]), 'hex').subarray(28);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), (text) => {
      if (text.includes('\0')) return;
      const expected = Buffer.from(text.toWellFormed());
      if (!textOf(text).equals(Buffer.concat([expected, Buffer.of(0)]))) throw new Error('changed on the way');
    }),
  );
  for (const text of ['\ud800', '\udc00\ud800x', '\ud83d\ude00', '\ud800\ud83d\ude00', '\u07ff\u0800\uffff', 'x'.repeat(200_000)]) {
    t.deepEqual(textOf(text), Buffer.concat([Buffer.from(text.toWellFormed()), Buffer.of(0)]));
  }
});

test('what has no form on the wire is refused, not changed', (t) => {
  const deep = [[[[[[]]]]]];
  for (const value of ['a\0b', -1, 2 ** 32, 0.5, Number.NaN, -1n, 1n << 64n, null, undefined, {}, deep]) {
    t.like(
      t.throws(() => nativePlanBytes([1, [value as never]]), { any: true }),
      { syscall: 'strata', errno: 22 },
      String(value),
    );
  }
});

test('a path with a NUL is refused before the kernel would cut it', (t) => {
  t.is(t.throws(() => host.readText('/etc/passwd\0.json'), { instanceOf: StrataError })?.errno, 22);
});

test('what cannot be executed leaves this process as it is', (t) => {
  const error = t.throws(() => host.become(['/nowhere/program']), { instanceOf: StrataError });
  t.deepEqual([error?.syscall, error?.errno, error?.path], ['execve', 2, '/nowhere/program']);
  t.is(t.throws(() => host.become([]), { instanceOf: StrataError })?.errno, 22);
  // Node ignores SIGPIPE.
  t.is(Number.parseInt(/^SigIgn:\s*(\w+)/m.exec(host.readText('/proc/self/status'))?.[1]?.slice(-4) ?? '0', 16) & 0x1000, 0x1000);
});

test('renames, random digits, and what is on the disk', async (t) => {
  const root = scratch(t);
  const [from, to] = [join(root, 'from'), join(root, 'to')];
  for (const path of [from, to]) writeFileSync(path, path);
  t.is(t.throws(() => host.rename(from, to, false), { instanceOf: StrataError })?.errno, 17);
  host.rename(from, to, true);
  t.is(readFileSync(to, 'utf8'), from);
  host.rename(to, from, false);
  for (const path of [from, root]) await host.syncFile(path);
  await host.syncFileSystem(root);
  t.is((await t.throwsAsync(host.syncFile(to), { instanceOf: StrataError }))?.errno, 2);
  t.regex(host.randomDigits(16), /^[0-9a-f]{32}$/);
  t.not(host.randomDigits(16), host.randomDigits(16));
  t.is(t.throws(() => host.randomDigits(65), { instanceOf: StrataError })?.errno, 22);
});

test('a lock is held by many who share it, or by one', (t) => {
  const root = scratch(t);
  const shared = [host.lock(root, true), host.lock(root, true)];
  t.false(shared.includes(undefined));
  t.is(host.lock(root, false), undefined);
  t.is(host.tryLock(root), undefined);
  for (const lock of shared) host.close(lock ?? -1);
  const alone = host.lock(root, false);
  t.is(host.lock(root, true), undefined);
  host.close(alone ?? -1);
  t.is(host.lock(join(root, 'none'), true), undefined);
});

test('files', (t) => {
  const root = scratch(t);
  const file = join(root, 'a/b/state.json');
  host.makeDirectories(join(root, 'a/b'), 0o700);
  host.replaceFile(file, 'größer als 7 bits: 🂡', 0o640);
  t.is(host.readText(file), 'größer als 7 bits: 🂡');
  t.is(statSync(file).mode & 0o7777, 0o640);
  t.is(t.throws(() => host.readText(file, 10), { instanceOf: StrataError })?.errno, 27);
  writeFileSync(file, Buffer.from([0x7b, 0xff]));
  t.is(t.throws(() => host.readText(file), { instanceOf: StrataError })?.errno, 84);
  host.appendFile(join(root, 'log'), 'one\n');
  host.appendFile(join(root, 'log'), 'two\n');
  t.is(readFileSync(join(root, 'log'), 'utf8'), 'one\ntwo\n');
  t.deepEqual(host.list(root), ['a', 'log']);
  t.deepEqual(host.stat(join(root, 'log')), { type: 'file', mode: 0o600, uid: process.geteuid?.() ?? -1, size: 8 });
  t.is(host.stat(join(root, 'none')), undefined);
  t.is(host.realPath(join(root, 'a/../log')), join(root, 'log'));
  host.makeLink('log', join(root, 'link'));
  t.is(host.stat(join(root, 'link'))?.type, 'symlink');
  t.is(host.realPath(join(root, 'link')), join(root, 'log'));
  t.is(t.throws(() => host.makeLink('log', join(root, 'link')), { instanceOf: StrataError })?.errno, 17);
  host.removeFile(file);
  host.removeFile(file);
  host.removeDirectory(join(root, 'a/b'));
  t.throws(() => host.makeDirectory(join(root, 'a'), 0o700), { instanceOf: StrataError, message: /file exists/ });
});

test('a lock has one holder', (t) => {
  const root = scratch(t);
  const held = host.tryLock(root);
  t.not(held, undefined);
  t.is(host.tryLock(root), undefined);
  host.close(held ?? -1);
  const again = host.tryLock(root);
  t.not(again, undefined);
  host.close(again ?? -1);
  t.is(host.tryLock(join(root, 'none')), undefined);
});

test('the time of day has nanoseconds and is in UTC', (t) => {
  t.regex(host.timestamp(), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  t.true(Math.abs(Date.parse(host.timestamp()) - Date.now()) < 1000);
});

test('sockets connect, whatever the length of the path', (t) => {
  const directory = join(scratch(t), 'x'.repeat(200));
  host.makeDirectory(directory, 0o700);
  const path = join(directory, 'start.sock');
  const listening = host.listen(path);
  const connected = host.connect(path);
  host.close(connected);
  host.close(listening);
  t.is(t.throws(() => host.connect(path), { instanceOf: StrataError })?.errno, 111);
});

test('receiveDescriptor rejects when the other end goes away, even if this one is closed first', async (t) => {
  const [near, far] = host.socketPair();
  const received = host.receiveDescriptor(near);
  host.close(near);
  host.close(far);
  const error = await t.throwsAsync(received, { instanceOf: StrataError });
  t.is(error?.errno, 104);
});

test('a command gets its input and gives its output', async (t) => {
  const result = await host.run(shell('cat; echo problem >&2; exit 3', { stdin: 'text' }));
  t.deepEqual(result, { status: { code: 3 }, timedOut: false, stdout: 'text', stderr: 'problem\n' });
});

test('a command that takes too long is killed', async (t) => {
  const result = await host.run(shell('echo begun; sleep 300', { timeout: 2000 }));
  t.deepEqual(result, { status: { code: 137, signal: 9 }, timedOut: true, stdout: 'begun\n', stderr: '' });
});

test('a command that does not exist', async (t) => {
  const error = await t.throwsAsync(host.run({ ...shell(''), path: '/nowhere/hook' }), { instanceOf: StrataError });
  t.is(error?.message, 'execve /nowhere/hook: no such file or directory');
});

test('slow commands do not keep other work waiting', async (t) => {
  let ended = 0;
  const slow = Array.from({ length: 12 }, () => host.run(shell('sleep 1')).then(() => ended++));
  await host.removeCgroups([{ hierarchy: '/nowhere', path: 'cgroup' }], 0);
  t.is(ended, 0);
  await Promise.all(slow);
});

test('waitExit tells of the end of any process, once the time is over nothing', async (t) => {
  const { pid, startTime } = await orphan('exec sleep 30');
  t.is(host.openProcess(pid, startTime + 1n), undefined);
  const pidfd = host.openProcess(pid, startTime) ?? -1;
  t.is(await host.waitExit(pidfd, 0), undefined);
  const begin = host.now();
  t.is(await host.waitExit(pidfd, 50), undefined);
  t.true(host.now() - begin >= 49);
  const waits = [host.waitExit(pidfd, -1), host.waitExit(pidfd, 60_000), host.waitExit(pidfd, -1)];
  t.true(host.signal(pidfd, 15));
  host.close(pidfd);
  for (const status of await Promise.all(waits)) if (status !== 'unknown') t.deepEqual(status, { code: 143, signal: 15 });
  t.is(host.openProcess(pid, startTime), undefined);
});

test('waitExit of many processes', async (t) => {
  const processes = await Promise.all(Array.from({ length: 20 }, () => orphan('exec sleep 30')));
  const pidfds = processes.map(({ pid, startTime }) => host.openProcess(pid, startTime) ?? -1);
  const waits = pidfds.map((pidfd) => host.waitExit(pidfd, 30_000));
  for (const pidfd of pidfds) host.signal(pidfd, 9);
  for (const status of await Promise.all(waits)) t.not(status, undefined);
  for (const pidfd of pidfds) host.close(pidfd);
});

test('launch rejects with a LaunchError', async (t) => {
  const error = await t.throwsAsync(host.launch([9999, []], { stdio: [0, 1, 2], preserve: 0, console: -1, start: -1 }), {
    instanceOf: LaunchError,
  });
  t.is(error?.failure.operation, -1);
});

test('start of a container that does not wait is a LaunchError', async (t) => {
  const path = join(scratch(t), 'start.sock');
  t.false(host.awaitsStart(path));
  await t.throwsAsync(host.start(path), { instanceOf: LaunchError });
});

test('inherited descriptors are those that the launcher of Node counted', (t) => {
  const { stdout } = node('console.log([0, 2, 3, 5, 13].filter((fd) => host.isInherited(fd)).join());');
  t.is(stdout, '\n');
  const listed = spawnSync('/bin/sh', ['-c', 'exec "$0" "$@"', process.execPath, '--input-type=module', '-e', inheritedScript()], {
    encoding: 'utf8',
    env: { ...process.env, STRATA_INHERITED_FDS: '0,1,2,13' },
  });
  t.is(listed.stdout, '0,2,13\n');
});

function inheritedScript(): string {
  return `import { createNodeHost } from ${JSON.stringify(MODULE)};
    const host = createNodeHost();
    console.log([0, 2, 3, 5, 13].filter((fd) => host.isInherited(fd)).join());`;
}

test('print and printError write all, also into a full pipe', (t) => {
  // What Node itself does to a pipe when it writes to one: from then on it is non-blocking.
  const { stdout, stderr } = node(`process.stdout._handle?.setBlocking?.(false); host.print('x'.repeat(1_000_000)); host.printError('problem\\n');`);
  t.is(stdout.length, 1_000_000);
  t.is(stderr, 'problem\n');
});

test('the process ends while waits are pending', (t) => {
  const pending = `
    const [near] = host.socketPair();
    host.receiveDescriptor(near);
    host.run({ path: '/bin/sleep', args: ['sleep', '2'], env: [], stdin: '', timeout: 0 });
    const { stdout } = await host.run({ path: '/bin/sh', args: ['sh', '-c', 'cut -d" " -f22 /proc/' + process.pid + '/stat'], env: ['PATH=/bin:/usr/bin'], stdin: '', timeout: 0 });
    host.waitExit(host.openProcess(process.pid, BigInt(stdout)), -1);
    process.exit(5);`;
  const { status, stderr } = node(pending);
  t.is(stderr, '');
  t.is(status, 5);
});

test('a process whose waits are over ends by itself', (t) => {
  t.is(node(`await host.run({ path: '/bin/true', args: ['true'], env: [], stdin: '', timeout: 0 }); process.exitCode = 6;`).status, 6);
});

test('a worker has a state of its own, and ends while it waits', async (t) => {
  const source = `
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(MODULE)}).then(async ({ createNodeHost }) => {
      const host = createNodeHost();
      const command = { path: '/bin/sh', args: ['sh', '-c', 'echo worker'], env: [], stdin: '', timeout: 0 };
      const { stdout } = await host.run(command);
      const [near] = host.socketPair();
      host.receiveDescriptor(near);
      host.run({ ...command, args: ['sh', '-c', 'sleep 1'] });
      parentPort.postMessage(stdout);
    });`;
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(source, { eval: true });
    const said = await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
    t.is(said, 'worker\n');
    await worker.terminate();
  }
  t.is((await host.run(shell('echo main'))).stdout, 'main\n');
  // The workers' commands end with nobody to hear, in code that must still be there.
  await host.sleep(1200);
});

test('versions of what is linked in', (t) => {
  t.regex(nativeVersions().libseccomp, /^\d+\.\d+\.\d+$/);
});
