/**
 * `process.selinuxLabel`, `linux.mountLabel` and `exec --process-label`, where the kernel enforces SELinux. The rules are the tests' own, added to the
 * policy for their time.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Edit, eventually, type Workspace, withUserNamespace } from '../../helpers/container.ts';
import { Caller, notifyProgram } from '../../helpers/notify.ts';
import { IMAGE, makeStore } from '../../helpers/store.ts';
import { program } from '../../helpers/user.ts';
import { failed, mountTable, unless } from '../_support.ts';

const HELPERS = join(import.meta.dirname, '../../helpers');
const ENFORCE = '/sys/fs/selinux/enforce';

function whyNot(): string | undefined {
  if (!fs.existsSync(ENFORCE)) return 'SELinux is not enabled in this kernel';
  if (fs.readFileSync(ENFORCE, 'utf8') !== '1') return 'SELinux is not enforcing';
  return program('semodule') === undefined ? 'needs semodule (Debian: policycoreutils)' : undefined;
}

const reason = whyNot();

const LEVEL = 's0:c1,c2';
const PROCESS = `system_u:system_r:strata_test_t:${LEVEL}`;
const READER = `system_u:system_r:strata_test_reader_t:${LEVEL}`;
const STRICT = `system_u:system_r:strata_test_strict_t:${LEVEL}`;
const FILE = `system_u:object_r:strata_test_file_t:${LEVEL}`;
const SECRET = `system_u:object_r:strata_test_secret_t:${LEVEL}`;
const OTHERS = 'system_u:object_r:strata_test_file_t:s0:c3';

test.before(() => {
  if (reason === undefined) execFileSync('semodule', ['--install', join(HELPERS, 'selinux.cil')], { stdio: 'ignore' });
});
test.after.always(() => {
  if (reason === undefined) execFileSync('semodule', ['--remove', 'selinux'], { stdio: 'ignore' });
});

function labelTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>): void {
  unless(reason)(title, body);
}

function relabel(label: string, ...paths: string[]): void {
  execFileSync('chcon', ['--recursive', '--no-dereference', label, ...paths]);
}

/** A bundle with labels, in whose root are /secret, and /others with categories that are not the container's. */
function labelled(workspace: Workspace, script: string, edit: Edit = {}) {
  const bundle = workspace.script(script, { process: { selinuxLabel: PROCESS }, linux: { mountLabel: FILE } }).edit(edit);
  const secret = bundle.file('/secret', 'secret\n');
  const others = bundle.file('/others', 'of others\n');
  relabel(FILE, bundle.rootfs);
  relabel(SECRET, secret);
  relabel(OTHERS, others);
  return bundle;
}

function fileLabel(path: string): string {
  return execFileSync('stat', ['--format=%C', path], { encoding: 'utf8' }).trim();
}

/** The label of a process, of this one if it has no number. The kernel ends it with a NUL. */
const labelOf = (pid = 'self'): string => `tr -d '\\0' </proc/${pid}/attr/current; echo`;

labelTest('a type that may not read a file is refused, and so are other categories', async (t, workspace) => {
  for (const noNewPrivileges of [false, true]) {
    const script = `${labelOf()}; cat /secret; cat /others; echo made >/tmp/made; cat /tmp/made`;
    const held = await workspace.run(labelled(workspace, script, { process: { noNewPrivileges } }));
    t.is(held.stdout, `${PROCESS}\nmade\n`, held.stderr);
    t.regex(held.stderr, /'\/secret': Permission denied[\s\S]*'\/others': Permission denied/);
    const reader = labelled(workspace, `${labelOf()}; cat /secret`, { process: { selinuxLabel: READER, noNewPrivileges } });
    t.is(await workspace.output(reader), `${READER}\nsecret\n`);
  }
});

labelTest('exec has the container’s labels, and takes another', async (t, workspace) => {
  for (const noNewPrivileges of [false, true]) {
    const { id } = await workspace.start(labelled(workspace, 'sleep 1000', { process: { noNewPrivileges } }));
    const said = async (...args: string[]): Promise<string> => (await workspace.succeed(['exec', ...args])).stdout.trim();
    t.is(await said(id, 'sh', '-c', `${labelOf()}; ${labelOf('1')}`), `${PROCESS}\n${PROCESS}`);
    const refused = await workspace.strata(['exec', id, 'cat', '/secret']);
    t.deepEqual([refused.code, refused.stdout], [1, '']);
    t.regex(refused.stderr, /'\/secret': Permission denied/);
    t.is(await said('--process-label', READER, id, 'sh', '-c', `${labelOf()}; cat /secret`), `${READER}\nsecret`);

    // A file with a process section that says nothing of a label does not set the process free.
    const file = workspace.path('process.json');
    const section = { args: ['sh', '-c', labelOf()], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } };
    fs.writeFileSync(file, JSON.stringify(section));
    t.is(await said('--process', file, id), PROCESS);
    fs.writeFileSync(file, JSON.stringify({ ...section, selinuxLabel: READER }));
    t.is(await said('--process', file, id), READER);
    await workspace.remove(id);
  }
});

labelTest('no_new_privs: only where the policy lets such a process change its label', async (t, workspace) => {
  const bundle = (noNewPrivileges: boolean) => labelled(workspace, labelOf(), { process: { selinuxLabel: STRICT, noNewPrivileges } });
  t.is(await workspace.output(bundle(false)), `${STRICT}\n`);
  failed(t, await workspace.run(bundle(true)), 'exec: "sh": operation not permitted');
  t.deepEqual(workspace.leaks(), []);
});

labelTest('the session keyring has the label', async (t, workspace) => {
  const helper = workspace.path('keyring-label');
  execFileSync('cc', ['-static', '-o', helper, join(HELPERS, 'keyring-label.c')]);
  const bundle = labelled(workspace, '/keyring-label; sleep 1000');
  fs.copyFileSync(helper, join(bundle.rootfs, 'keyring-label'));
  fs.chmodSync(join(bundle.rootfs, 'keyring-label'), 0o755);
  relabel(FILE, join(bundle.rootfs, 'keyring-label'));
  const { id, stdout, stderr } = await workspace.start(bundle);
  await eventually('the container to tell the label', () => (stdout() + stderr()).endsWith('\n'));
  t.is(stdout(), `${PROCESS}\n`, stderr());
  t.is((await workspace.succeed(['exec', id, '/keyring-label'])).stdout, `${PROCESS}\n`);
  await workspace.remove(id);
});

labelTest('mountLabel: every file system that is made, masks too', async (t, workspace) => {
  const bundle = labelled(workspace, 'touch /dev/shm/made /m/made; sleep 1000', (config) => {
    config.mounts.push({ destination: '/m', type: 'tmpfs', source: 'tmpfs', options: ['nosuid'] });
    config.mounts.push({ destination: '/own', type: 'tmpfs', source: 'tmpfs', options: [`context=${OTHERS}`] });
    config.linux.maskedPaths = ['/masked'];
  });
  fs.mkdirSync(join(bundle.rootfs, 'masked'));
  const { id } = await workspace.start(bundle);
  const { pid } = await workspace.state(id);
  const at = (path: string): string => join(`/proc/${pid}/root`, path);
  await eventually('the files', () => fs.existsSync(at('/m/made')));
  for (const path of ['/dev', '/dev/null', '/dev/pts', '/dev/pts/ptmx', '/dev/shm', '/dev/shm/made', '/dev/mqueue', '/m', '/m/made', '/masked']) {
    t.is(fileLabel(at(path)), FILE, path);
  }
  t.is(fileLabel(at('/own')), OTHERS);
  t.is(fileLabel(at('/proc/1/attr/current')), PROCESS);
  const table = mountTable(fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  for (const point of ['/dev', '/dev/pts', '/dev/shm', '/m']) {
    t.true(table[point]?.superOptions.join(',').includes('strata_test_file_t'), point);
  }
  await workspace.remove(id);
});

labelTest('mountLabel of an overlay: its layers have other labels', async (t, workspace) => {
  const upper = workspace.path('upper');
  const work = workspace.path('work');
  for (const directory of [upper, work]) fs.mkdirSync(directory);
  const bundle = workspace.script(`${labelOf()}; cat /lower; echo changed >/lower; cat /lower; sleep 1000`, (config) => {
    config.process['selinuxLabel'] = PROCESS;
    config.linux['mountLabel'] = FILE;
  });
  bundle.file('/lower', 'below\n');
  // An option of the stack comes first.
  const own = FILE.replace(LEVEL, 's0');
  for (const [options, label] of [
    [[], FILE],
    [[`context=${own}`], own],
  ] as const) {
    const overlay = { lower: [bundle.rootfs], upper, work, options };
    bundle.edit({ annotations: { 'dev.strata.overlay': JSON.stringify(overlay) } });
    const { id, stdout, stderr } = await workspace.start(bundle);
    await eventually('the file to be changed', () => (stdout() + stderr()).endsWith('changed\n'));
    t.is(stdout(), `${PROCESS}\nbelow\nchanged\n`, stderr());
    const { pid } = await workspace.state(id);
    for (const path of ['', 'lower', 'bin/busybox']) t.is(fileLabel(`/proc/${pid}/root/${path}`), label);
    await workspace.remove(id);
    t.is(fs.readFileSync(join(upper, 'lower'), 'utf8'), 'changed\n');
    fs.rmSync(join(upper, 'lower'));
  }
});

labelTest('a container of an image: --security-opt label', async (t, workspace) => {
  const store = workspace.path('store');
  const fill = (directory: string): void => {
    fs.mkdirSync(join(directory, 'srv/data'), { recursive: true });
    fs.writeFileSync(join(directory, 'srv/data/seed'), 'seed\n');
  };
  makeStore(store, { Cmd: ['sh'], Volumes: { '/srv/data': {} } }, [fill]);
  const strata = (...args: string[]) => workspace.strata(['--store', store, ...args]);
  const said = async (script: string, ...flags: string[]): Promise<string> => {
    const id = workspace.id();
    const result = await strata('run', '--image', IMAGE, ...flags, id, 'sh', '-c', script);
    if (result.code !== 0) throw new Error(`${script}: ${result.code}\n${result.stderr}${result.stdout}`);
    t.is((await strata('delete', id)).stderr, '');
    return result.stdout;
  };
  const options = (...parts: string[]): string[] => parts.flatMap((part) => ['--security-opt', `label=${part}`]);
  const types = options('type:strata_test_t', 'filetype:strata_test_file_t');

  // The whole of the container, its own files and a new volume are within reach, and the volume is shared.
  const script = `${labelOf()}; cat /etc/hostname /srv/data/seed; echo made >/made; echo new >/srv/data/new; cat /made`;
  const level = options(`level:${LEVEL}`);
  t.is(await said(script, ...types, ...level, '--hostname', 'box', '-v', 'shared:/srv/data'), `${PROCESS}\nbox\nseed\nmade\n`);
  const shared = join(store, 'volumes/shared/data');
  for (const path of [shared, join(shared, 'seed')]) t.regex(fileLabel(path), /^[^:]*:object_r:strata_test_file_t:s0$/, path);
  t.is(fileLabel(join(shared, 'new')), FILE);
  t.is(fileLabel(join(shared, 'seed')), fileLabel(shared));

  // What a container makes in a volume has its level: those that have the volume after it are to say the same.
  const again = 'cat /srv/data/new && echo newer >/srv/data/new && cat /srv/data/new';
  t.is(await said(again, ...types, ...level, '-v', 'shared:/srv/data'), 'new\nnewer\n');
  const other = await strata(
    'run',
    '--rm',
    '--image',
    IMAGE,
    ...types,
    ...options('level:s0:c3,c4'),
    '-v',
    'shared:/srv/data',
    workspace.id(),
    'cat',
    '/srv/data/new',
  );
  t.deepEqual([other.code, other.stdout], [1, '']);
  t.regex(other.stderr, /'\/srv\/data\/new': Permission denied/);
  const unsaid = await strata('run', '--image', IMAGE, ...types, '-v', 'shared:/srv/data', workspace.id(), 'true');
  failed(t, unsaid, '"label=type:strata_test_t" with the volume shared needs label=level:LEVEL too');
  t.is(await said('cat /srv/data/seed', ...types), 'seed\n');

  // Each has categories of its own, in which the others have no part.
  const id = workspace.id();
  t.is((await strata('run', '--detach', '--image', IMAGE, ...types, id, 'sh', '-c', 'echo mine >/tmp/mine; sleep 1000')).stderr, '');
  const { pid } = await workspace.state(id);
  const own = fs.readFileSync(`/proc/${pid}/attr/current`, 'utf8').replace(/\0$/, '');
  t.regex(own, /^system_u:system_r:strata_test_t:s0:c\d+,c\d+$/);
  t.is((await strata('exec', id, 'sh', '-c', labelOf())).stdout, `${own}\n`);
  await eventually('the file', () => fs.existsSync(`/proc/${pid}/root/tmp/mine`));
  t.is(fileLabel(`/proc/${pid}/root/tmp/mine`), own.replace('system_r:strata_test_t', 'object_r:strata_test_file_t'));
  t.not(await said(labelOf(), ...types), `${own}\n`);
  const mounted = workspace.path('mounted');
  fs.mkdirSync(mounted);
  fs.writeFileSync(join(mounted, 'file'), 'of others\n');
  relabel(fileLabel(`/proc/${pid}/root/tmp/mine`), mounted);
  const refused = await strata('run', '--rm', '--image', IMAGE, ...types, '-v', `${mounted}:/mnt`, workspace.id(), 'cat', '/mnt/file');
  t.deepEqual([refused.code, refused.stdout], [1, '']);
  t.regex(refused.stderr, /'\/mnt\/file': Permission denied/);
  t.is((await strata('delete', '--force', id)).stderr, '');

  // Without, the program has what strata's own children have.
  t.is(await said(labelOf()), `${fs.readFileSync('/proc/self/attr/current', 'utf8').replace(/\0$/, '')}\n`);
  t.is(await said(labelOf(), ...options('disable')), await said(labelOf()));
  for (const [type, filetype, label] of [
    ['strata_test_none_t', 'strata_test_file_t', 'system_u:system_r:strata_test_none_t:s0'],
    ['strata_test_t', 'strata_test_none_t', 'system_u:object_r:strata_test_none_t:s0'],
  ]) {
    const unknown = options(`type:${type}`, `filetype:${filetype}`, 'level:s0');
    const reason = `security option "label=type:${type}": this machine's policy has no label ${label}`;
    for (const verb of ['run', 'create']) failed(t, await strata(verb, '--image', IMAGE, ...unknown, workspace.id(), 'true'), reason);
  }
  t.deepEqual(fs.readdirSync(join(store, 'containers')), []);
});

labelTest('in a user namespace', async (t, workspace) => {
  const bundle = labelled(workspace, `${labelOf()}; cat /secret; touch /dev/shm/made; sleep 1000`, (config) => {
    withUserNamespace(config, 100_000);
  });
  bundle.giveTo(100_000);
  const { id, stdout, stderr } = await workspace.start(bundle);
  const { pid } = await workspace.state(id);
  const at = (path: string): string => `/proc/${pid}/root${path}`;
  await eventually('the file', () => fs.existsSync(at('/dev/shm/made')));
  t.is(stdout(), `${PROCESS}\n`, stderr());
  t.regex(stderr(), /'\/secret': Permission denied/);
  for (const path of ['/dev', '/dev/pts', '/dev/shm', '/dev/shm/made', '/dev/mqueue']) t.is(fileLabel(at(path)), FILE, path);
  await workspace.remove(id);
});

labelTest('labels that the policy does not know are one error, and nothing is left', async (t, workspace) => {
  const unknown = `system_u:system_r:strata_test_none_t:${LEVEL}`;
  for (const [edit, ...words] of [
    [{ process: { selinuxLabel: unknown } }, '/process/selinuxLabel', `the SELinux label ${unknown}`, 'invalid argument'],
    [{ linux: { mountLabel: unknown } }, '/mounts/', 'invalid argument'],
  ] as [Edit, ...string[]][]) {
    failed(t, await workspace.run(labelled(workspace, 'true', edit)), ...words);
    t.deepEqual(workspace.leaks(), []);
  }
  const { id } = await workspace.start(labelled(workspace, 'sleep 1000'));
  failed(t, await workspace.strata(['exec', '--process-label', unknown, id, 'true']), unknown, 'invalid argument');
  await workspace.remove(id);
});

labelTest('a program says that it is ready to a socket with the label of its files', async (t, workspace) => {
  const caller = await Caller.listen(workspace, `@strata-${workspace.token}`);
  const bundle = workspace.script('notify READY=1; exec sleep 1000', { process: { selinuxLabel: PROCESS }, linux: { mountLabel: FILE } });
  fs.copyFileSync(notifyProgram(), join(bundle.rootfs, 'bin/notify'));
  relabel(FILE, bundle.rootfs);
  const id = workspace.id();
  await workspace.succeed(['run', '--detach', '--bundle', bundle.directory, id], { env: caller.env });
  t.regex((await caller.hears(2))[0] ?? '', /^READY=1\|/);
  for (const name of ['notify', 'notify/notify']) t.is(fileLabel(join(workspace.root, id, name)), FILE);
  await workspace.remove(id);
});
