/** Bad bundles and bad command lines: each is refused in one line that says where the fault is, and nothing is made. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { printable } from '../../src/base/error.ts';
import { bounded, pointer } from '../../src/base/pointer.ts';
import { type Edit, toJson, type Workspace, withNamespace } from '../helpers/container.ts';
import { at, missing, mutated, oracle, type Path, paths, valid } from '../unit/spec/_schema.ts';
import { containerTest, failed, unless } from './_support.ts';

/** Creates a container from this text, and expects one line that names the place. */
async function refused(t: ExecutionContext, workspace: Workspace, text: string | Uint8Array, ...words: (string | RegExp)[]): Promise<void> {
  const directory = workspace.path('bundle');
  fs.mkdirSync(join(directory, 'rootfs'), { recursive: true });
  fs.writeFileSync(join(directory, 'config.json'), text);
  failed(t, await workspace.strata(['create', '--bundle', directory, workspace.id()]), 'config.json ', ...words);
  t.deepEqual(workspace.leaks(), []);
  fs.rmSync(directory, { recursive: true });
}

/** The same for a bundle that is good but for these changes. */
async function refusedWith(t: ExecutionContext, workspace: Workspace, edit: Edit, place: string, ...words: (string | RegExp)[]): Promise<void> {
  const bundle = workspace.bundle(edit);
  failed(t, await workspace.strata(['create', '--bundle', bundle.directory, workspace.id()]), `config.json ${place}: `, ...words);
  t.deepEqual(workspace.leaks(), [], place);
  fs.rmSync(bundle.directory, { recursive: true });
}

const DOCUMENT = 'config.json (document): ';

containerTest('text that is no JSON', async (t, workspace) => {
  const good = toJson(workspace.bundle().config);
  const texts: (string | Uint8Array)[] = [
    '',
    ' \n',
    '{',
    '{"ociVersion": }',
    '{"ociVersion": "1.3.0",}',
    "{'ociVersion': '1.3.0'}",
    '{"ociVersion": "1.3.0" "root": {}}',
    '{"ociVersion": 01}',
    '{"ociVersion": NaN}',
    '{"ociVersion": "1.3.0"',
    '{"ociVersion": "1.3.0',
    '{"ociVersion": "\\x"}',
    '{"ociVersion": "\n"}',
    '// comment\n{}',
    `${good}x`,
    `${good}{}`,
    `${good},`,
    `${good}\0`,
    `\0${good}`,
    Buffer.from(good, 'utf16le'),
    Buffer.concat([Buffer.from('{"ociVersion": "'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
    'null',
    '[]',
    '"text"',
    '7',
  ];
  for (const text of texts) await refused(t, workspace, text, DOCUMENT);
});

containerTest('documents that are too deep or too large', async (t, workspace) => {
  const depth = 200_000;
  await refused(t, workspace, '['.repeat(depth), 'config.json /0/0/0', 'deeper than');
  await refused(t, workspace, '{"a":'.repeat(depth), 'config.json /a/a/a', 'deeper than');
  await refused(
    t,
    workspace,
    `{"ociVersion": "1.3.0", "unknown": ${'['.repeat(depth)}${']'.repeat(depth)}}`,
    'config.json /unknown/0/0',
    'deeper than',
  );
  const size = 50 * 1024 * 1024;
  await refused(t, workspace, ' '.repeat(size), DOCUMENT, 'larger than 16 MiB');
  await refused(t, workspace, `{"ociVersion": "${'1'.repeat(size)}"}`, DOCUMENT, 'larger than 16 MiB');
});

containerTest('a config.json that is no file', async (t, workspace) => {
  const bundle = workspace.bundle();
  const file = join(bundle.directory, 'config.json');
  const create = () => workspace.strata(['create', '--bundle', bundle.directory, workspace.id()]);
  const makers: [what: string, make: () => unknown][] = [
    ['missing', () => {}],
    ['a directory', () => fs.mkdirSync(file)],
    ['a link to nowhere', () => fs.symlinkSync('/no/such/file', file)],
    ['a link to itself', () => fs.symlinkSync(file, file)],
    ['a device without end', () => fs.symlinkSync('/dev/zero', file)],
    ['a fifo that nobody writes to', () => execFileSync('mkfifo', [file])],
  ];
  for (const [what, make] of makers) {
    fs.rmSync(file, { recursive: true, force: true });
    make();
    failed(t, await create(), 'config.json');
    t.deepEqual(workspace.leaks(), [], what);
  }
});

unless(missing)('a wrong type anywhere in what the schema describes', async (t, workspace) => {
  const accepts = oracle();
  const [full] = fc.sample(valid(undefined, undefined, true), { numRuns: 1, seed: 1 });
  // Something that is neither what is there nor absent.
  const other = (value: unknown): unknown => (typeof value === 'string' || (typeof value === 'object' && !Array.isArray(value)) ? 7 : 'wrong');
  const text = (path: Path): string => toJson(mutated(full, path, other(at(full, path))));
  const candidates = paths(full).filter((path) => path.length > 0 && !accepts(JSON.parse(text(path))));
  t.true(candidates.length > 200);
  // The unit suite tries every one; here a sample goes the whole way.
  const step = candidates.length / 60;
  for (let index = 0; index < candidates.length; index += step) {
    const path = candidates[Math.floor(index)] ?? [];
    await refused(t, workspace, text(path), `config.json ${printable(bounded(pointer('', ...path)))}: `);
  }
});

containerTest('versions', async (t, workspace) => {
  for (const version of ['x', '2.0.0', '0.9.0', '1', '1.0', 'v1.0.0', '1.0.0.0', '', ' 1.0.0'])
    await refusedWith(t, workspace, { ociVersion: version }, '/ociVersion');
  await refusedWith(t, workspace, (config) => Reflect.deleteProperty(config, 'ociVersion'), '/ociVersion', 'required');
  for (const version of ['1.0.0', '1.0.2-dev', '1.2.1', '1.99.0', '1.0.0-rc5+build'])
    t.is(await workspace.shell('echo fine', { ociVersion: version }), 'fine', version);
});

containerTest('the root file system', async (t, workspace) => {
  await refusedWith(t, workspace, { root: { path: 'missing' } }, '/root/path', 'no such file or directory');
  await refusedWith(t, workspace, { root: { path: '/no/such/directory' } }, '/root/path', 'no such file or directory');
  await refusedWith(t, workspace, { root: { path: 'config.json' } }, '/root/path', 'not a directory');
  await refusedWith(t, workspace, { root: { path: 'rootfs/bin/busybox' } }, '/root/path', 'not a directory');
  await refusedWith(t, workspace, { root: undefined }, '/root', 'required');
  await refusedWith(t, workspace, { root: { path: '' } }, '/root/path');
  await refusedWith(t, workspace, { root: { path: 'a\0b' } }, '/root/path');
});

containerTest('ids and numbers out of range', async (t, workspace) => {
  for (const value of [4294967296, 4294967295, -1, 1.5, 18446744073709551616n, 1e30]) {
    await refusedWith(t, workspace, { process: { user: { uid: value as number } } }, '/process/user/uid');
    await refusedWith(t, workspace, { process: { user: { gid: value as number } } }, '/process/user/gid');
    await refusedWith(t, workspace, { process: { user: { additionalGids: [0, value as number] } } }, '/process/user/additionalGids/1');
  }
  await refusedWith(t, workspace, { process: { user: { umask: 0o1000 } } }, '/process/user/umask');
  await refusedWith(t, workspace, { process: { oomScoreAdj: 1001 } }, '/process/oomScoreAdj');
  await refusedWith(t, workspace, { process: { oomScoreAdj: -1001 } }, '/process/oomScoreAdj');
  await refusedWith(
    t,
    workspace,
    { process: { rlimits: [{ type: 'RLIMIT_CPU', soft: 0, hard: 18446744073709551616n }] } },
    '/process/rlimits/0/hard',
  );
  await refusedWith(t, workspace, { process: { rlimits: [{ type: 'RLIMIT_CPU', soft: -1, hard: 0 }] } }, '/process/rlimits/0/soft');
  await refusedWith(t, workspace, { linux: { resources: { memory: { limit: 9223372036854775808n } } } }, '/linux/resources/memory/limit');
  await refusedWith(t, workspace, { linux: { resources: { memory: { swappiness: 101 } } } }, '/linux/resources/memory/swappiness');
  const mapped =
    (change: object): Edit =>
    (config) => {
      withNamespace(config, 'user');
      config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1, ...change }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
    };
  await refusedWith(t, workspace, mapped({ hostID: 4294967296 }), '/linux/uidMappings/0/hostID');
  await refusedWith(t, workspace, mapped({ containerID: -1 }), '/linux/uidMappings/0/containerID');
  await refusedWith(t, workspace, mapped({ hostID: 4294967000, size: 1000 }), '/linux/uidMappings/0/size');
});

containerTest('names that do not exist, and things that are there twice', async (t, workspace) => {
  await refusedWith(t, workspace, { process: { rlimits: [{ type: 'RLIMIT_NOTHING', soft: 0, hard: 0 }] } }, '/process/rlimits/0/type');
  const limit = { type: 'RLIMIT_CORE', soft: 0, hard: 0 };
  await refusedWith(
    t,
    workspace,
    { process: { rlimits: [limit, { type: 'RLIMIT_CPU', soft: 1, hard: 1 }, limit] } },
    '/process/rlimits/2/type',
    'duplicate',
  );
  await refusedWith(t, workspace, { process: { rlimits: [{ type: 'RLIMIT_CORE', soft: 2, hard: 1 }] } }, '/process/rlimits/0/soft');
  await refusedWith(
    t,
    workspace,
    { linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'pid' }] } },
    '/linux/namespaces/2/type',
    'duplicate',
  );
  await refusedWith(t, workspace, { linux: { namespaces: [{ type: 'space' }] } }, '/linux/namespaces/0/type');
  await refusedWith(t, workspace, { linux: { devices: [{ path: '/dev/x', type: 'x', major: 1, minor: 1 }] } }, '/linux/devices/0/type');
  await refusedWith(t, workspace, { linux: { devices: [{ path: 'dev/x', type: 'c', major: 1, minor: 1 }] } }, '/linux/devices/0/path');
  const node = { path: '/dev/x', type: 'c', major: 1, minor: 1 };
  await refusedWith(t, workspace, { linux: { devices: [node, { ...node, minor: 2 }] } }, '/linux/devices/1/path');
  await refusedWith(t, workspace, { linux: { rootfsPropagation: 'sideways' } }, '/linux/rootfsPropagation');
  await refusedWith(t, workspace, { linux: { personality: { domain: 'BSD' } } }, '/linux/personality/domain');
});

containerTest('paths, names and texts', async (t, workspace) => {
  await refusedWith(t, workspace, { process: { cwd: 'relative' } }, '/process/cwd');
  await refusedWith(t, workspace, { process: { cwd: '' } }, '/process/cwd');
  await refusedWith(t, workspace, { process: { args: [] } }, '/process/args');
  await refusedWith(t, workspace, { hostname: 'x'.repeat(65) }, '/hostname');
  await refusedWith(t, workspace, { linux: { maskedPaths: ['relative'] } }, '/linux/maskedPaths/0');
  await refusedWith(t, workspace, { linux: { readonlyPaths: ['/fine', ''] } }, '/linux/readonlyPaths/1');
  await refusedWith(t, workspace, (config) => void config.mounts.push({ destination: '' }), '/mounts/7/destination');
  await refusedWith(t, workspace, (config) => void config.mounts.push({ destination: '/x' }), '/mounts/7/type');
  await refusedWith(t, workspace, (config) => void config.mounts.push({ destination: '/x', options: ['bind'] }), '/mounts/7/source');
  await refusedWith(t, workspace, (config) => void config.mounts.push({ destination: '/proc/1', type: 'tmpfs' }), '/mounts/7/destination', '/proc');
  await refusedWith(
    t,
    workspace,
    (config) => void config.mounts.push({ destination: '/proc/../proc/sys', source: '/etc', options: ['bind'] }),
    '/mounts/7/destination',
  );
  // A NUL would end the text early for the kernel.
  await refusedWith(t, workspace, { process: { args: ['sh', 'a\0b'] } }, '/process/args/1');
  await refusedWith(t, workspace, { process: { env: ['A=\0'] } }, '/process/env/0');
  await refusedWith(t, workspace, { process: { cwd: '/\0' } }, '/process/cwd');
  await refusedWith(t, workspace, { hostname: 'a\0' }, '/hostname');
  await refusedWith(t, workspace, { annotations: { 'com.example.x': '\0' } }, '/annotations/com.example.x');
  await refusedWith(t, workspace, (config) => void config.mounts.push({ destination: '/x\0', type: 'tmpfs' }), '/mounts/7/destination');
  await refusedWith(t, workspace, { linux: { cgroupsPath: '/x\0' } }, '/linux/cgroupsPath');
});

containerTest('what is known but not supported is an error that names it', async (t, workspace) => {
  const cases: [edit: Edit, place: string][] = [
    [{ process: { scheduler: { policy: 'SCHED_ISO' } } }, '/process/scheduler/policy'],
    [{ linux: { personality: { domain: 'LINUX', flags: ['x'] } } }, '/linux/personality/flags'],
    [{ ociVersion: '2.0.0' }, '/ociVersion'],
  ];
  if (!fs.existsSync('/sys/module/apparmor')) cases.push([{ process: { apparmorProfile: 'profile' } }, '/process/apparmorProfile']);
  if (!fs.existsSync('/sys/fs/selinux/enforce')) {
    cases.push([{ process: { selinuxLabel: 'system_u:system_r:container_t:s0' } }, '/process/selinuxLabel']);
    cases.push([{ linux: { mountLabel: 'system_u:object_r:container_file_t:s0' } }, '/linux/mountLabel']);
  }
  for (const [edit, place] of cases) await refusedWith(t, workspace, edit, place, 'support');
  // For exec only, and what nobody knows is nobody's business.
  const ignored: Edit = {
    process: { execCPUAffinity: { initial: '0' }, unknown: 1 },
    unknown: { deep: [1, 2] },
    linux: { unknown: true },
    windows: { x: 1 },
  };
  t.is(await workspace.shell('echo fine', ignored), 'fine');
});

containerTest('null stands for nothing', async (t, workspace) => {
  const edit: Edit = (config) => {
    Object.assign(config, { hooks: null, annotations: null, domainname: null });
    Object.assign(config.process, { rlimits: null, capabilities: null });
    Object.assign(config.linux, { devices: null, sysctl: null, seccomp: null, uidMappings: null });
  };
  t.is(await workspace.shell('echo fine', edit), 'fine');
});

containerTest('command lines', async (t, workspace) => {
  const bundle = workspace.bundle();
  const create = ['create', '--bundle', bundle.directory];
  const cases: [args: string[], ...words: (string | RegExp)[]][] = [
    [['no-such-verb'], 'no-such-verb'],
    [['create'], 'container-id'],
    [['create', 'a', 'b'], 'the program of a bundle is in its config.json'],
    [[...create, '--no-such-option', 'x'], '--no-such-option'],
    [[...create, '--preserve-fds', '-1', 'x'], 'preserve-fds'],
    [[...create, '--preserve-fds', '1.5', 'x'], 'preserve-fds'],
    [[...create, '--preserve-fds', '4294967297', 'x'], 'preserve-fds'],
    [[...create, '--preserve-fds', '1', 'x'], 'descriptor 3 is not open'],
    [['--log-format', 'xml', ...create, 'x'], 'xml'],
    [['--systemd-cgroup', ...create, 'x'], '--systemd-cgroup'],
    [['--rootless', 'maybe', ...create, 'x'], 'maybe'],
    [['run', '--bundle'], 'bundle'],
    [['list', '--format', 'yaml'], 'yaml'],
  ];
  for (const [args, ...words] of cases) {
    failed(t, await workspace.strata(args), ...words);
    t.deepEqual(workspace.leaks(), []);
  }
  // Engines pass these with every verb.
  t.is((await workspace.strata(['--systemd-cgroup', '--rootless=auto', 'list'])).code, 0);

  // A root that others could write to, or that is none.
  fs.mkdirSync(workspace.root);
  fs.chmodSync(workspace.root, 0o777);
  failed(t, await workspace.strata([...create, 'x']), workspace.root, 'written by others');
  fs.chmodSync(workspace.root, 0o700);
  fs.chownSync(workspace.root, 1000, 1000);
  failed(t, await workspace.strata([...create, 'x']), workspace.root);
  fs.rmdirSync(workspace.root);
  fs.writeFileSync(workspace.root, '');
  failed(t, await workspace.strata([...create, 'x']), workspace.root);
  fs.rmSync(workspace.root);
});
