/** `process.apparmorProfile` and `exec --apparmor`, where the kernel enforces AppArmor. The profiles are the test's own, loaded for its time. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import type { ExecutionContext } from 'ava';
import { type Edit, eventually, type Workspace, withUserNamespace } from '../../helpers/container.ts';
import { IMAGE, makeStore } from '../../helpers/store.ts';
import { program } from '../../helpers/user.ts';
import { failed, unless } from '../_support.ts';

const PARAMETER = '/sys/module/apparmor/parameters/enabled';
const PROFILES = '/sys/kernel/security/apparmor/profiles';

function whyNot(): string | undefined {
  if (!fs.existsSync(PARAMETER) || !fs.readFileSync(PARAMETER, 'utf8').startsWith('Y')) return 'AppArmor is not enabled in this kernel';
  return program('apparmor_parser') === undefined ? 'needs apparmor_parser (Debian: apparmor)' : undefined;
}

const reason = whyNot();

interface Profiles {
  /** Nobody reads /secret, nobody writes below /tmp/closed, nobody mounts. */
  readonly closed: string;
  /** The same, and it may take on the next one. */
  readonly changing: string;
  /** Everything but files below /tmp. */
  readonly other: string;
}

function labelTest(title: string, body: (t: ExecutionContext, workspace: Workspace, profiles: Profiles) => Promise<unknown>): void {
  unless(reason)(title, async (t, workspace) => {
    const profiles = { closed: `${workspace.token}-closed`, changing: `${workspace.token}-changing`, other: `${workspace.token}-other` };
    const all = 'file, signal, capability, network, ptrace, unix,';
    const denied = 'deny /secret r, deny /tmp/closed/** w, deny mount,';
    const flags = 'flags=(attach_disconnected,mediate_deleted)';
    const text = `profile ${profiles.closed} ${flags} { ${all} ${denied} }
profile ${profiles.changing} ${flags} { ${all} ${denied} change_profile -> ${profiles.other}, }
profile ${profiles.other} ${flags} { ${all} deny /tmp/** rw, }
`;
    parser('--add', text);
    try {
      await body(t, workspace, profiles);
    } finally {
      parser('--remove', text);
    }
    t.false(fs.readFileSync(PROFILES, 'utf8').includes(workspace.token));
  });
}

function parser(action: string, text: string): void {
  execFileSync('apparmor_parser', ['--skip-cache', action], { input: text, stdio: ['pipe', 'ignore', 'inherit'] });
}

const PROBE = `cat /proc/self/attr/current
cat /secret
mkdir -p /tmp/closed && echo x >/tmp/closed/file && echo written
mount -t tmpfs none /mnt && echo mounted
true`;

const SECRET = 'what nobody may read';
const CAPABILITIES = ['CAP_SYS_ADMIN', 'CAP_KILL', 'CAP_SETUID', 'CAP_SETGID'];

function probing(workspace: Workspace, script: string, edit: Edit) {
  const bundle = workspace
    .script(script, (config) => {
      config.process.capabilities = { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES };
      delete config.linux.seccomp;
    })
    .edit(edit);
  bundle.file('/secret', `${SECRET}\n`);
  fs.mkdirSync(`${bundle.rootfs}/mnt`, { recursive: true });
  return bundle;
}

labelTest('what the profile denies is denied; without one nothing is', async (t, workspace, { closed }) => {
  const free = await workspace.run(probing(workspace, PROBE, {}));
  t.deepEqual(free.stdout.split('\n'), ['unconfined', SECRET, 'written', 'mounted', '']);
  for (const noNewPrivileges of [false, true]) {
    const held = await workspace.run(probing(workspace, PROBE, { process: { apparmorProfile: closed, noNewPrivileges } }));
    t.deepEqual(held.stdout, `${closed} (enforce)\n`, held.stderr);
    t.regex(held.stderr, /'\/secret': Permission denied/);
    t.regex(held.stderr, /\/tmp\/closed\/file: Permission denied/);
    t.regex(held.stderr, /mount: .*[Pp]ermission denied/);
  }
});

labelTest('exec has the container’s profile, and takes another', async (t, workspace, { closed, other }) => {
  for (const noNewPrivileges of [false, true]) {
    const { id } = await workspace.start(probing(workspace, 'sleep 1000', { process: { apparmorProfile: closed, noNewPrivileges } }));
    const label = async (...args: string[]): Promise<string> => (await workspace.succeed(['exec', ...args])).stdout.trim();
    t.is(await label(id, 'cat', '/proc/self/attr/current'), `${closed} (enforce)`);
    t.is(await label(id, 'cat', '/proc/1/attr/current'), `${closed} (enforce)`);
    const refused = await workspace.strata(['exec', id, 'cat', '/secret']);
    t.deepEqual([refused.code, refused.stdout], [1, '']);
    t.regex(refused.stderr, /'\/secret': Permission denied/);

    t.is(await label('--apparmor', other, id, 'sh', '-c', 'cat /proc/self/attr/current /secret'), `${other} (enforce)\n${SECRET}`);
    t.regex((await workspace.strata(['exec', '--apparmor', other, id, 'touch', '/tmp/a'])).stderr, /\/tmp\/a: Permission denied/);
    t.is(await label('--apparmor', 'unconfined', id, 'cat', '/proc/self/attr/current'), 'unconfined');

    // A file with a process section that says nothing of a profile does not set the process free.
    const file = workspace.path('process.json');
    const section = { args: ['cat', '/proc/self/attr/current'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } };
    fs.writeFileSync(file, JSON.stringify(section));
    t.is(await label('--process', file, id), `${closed} (enforce)`);
    fs.writeFileSync(file, JSON.stringify({ ...section, apparmorProfile: other }));
    t.is(await label('--process', file, id), `${other} (enforce)`);
    await workspace.remove(id);
  }
});

labelTest('inside, no_new_privs keeps the profile; else its own rules count', async (t, workspace, { closed, changing, other }) => {
  // The program that writes is the one that executes.
  const change = `echo "exec ${other}" >/proc/self/attr/apparmor/exec; exec cat /proc/self/attr/current`;
  const run = (apparmorProfile: string, noNewPrivileges: boolean) =>
    workspace.run(probing(workspace, change, { process: { apparmorProfile, noNewPrivileges } }));
  t.is((await run(changing, false)).stdout, `${other} (enforce)\n`);
  const kept = await run(changing, true);
  t.is(kept.stdout, `${changing} (enforce)\n`);
  t.regex(kept.stderr, /write error: Operation not permitted/);
  const forbidden = await run(closed, false);
  t.is(forbidden.stdout, `${closed} (enforce)\n`);
  t.regex(forbidden.stderr, /write error: Permission denied/);
});

labelTest('in a user namespace, with hooks and signals', async (t, workspace, { closed }) => {
  const bundle = probing(workspace, PROBE, (config) => {
    config.process['apparmorProfile'] = closed;
    withUserNamespace(config, 100_000);
    config.hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'cat /proc/self/attr/current >/tmp/hook'] }] };
  });
  bundle.giveTo(100_000);
  const { stdout, stderr } = await workspace.run(bundle);
  t.is(stdout, `${closed} (enforce)\n`);
  t.regex(stderr, /'\/secret': Permission denied/);
  t.is(fs.readFileSync(`${bundle.rootfs}/tmp/hook`, 'utf8'), `${closed} (enforce)\n`);

  const { id } = await workspace.start(probing(workspace, 'sleep 1000', { process: { apparmorProfile: closed } }));
  await workspace.succeed(['kill', id, 'KILL']);
  await workspace.reach(id, 'stopped');
  await workspace.succeed(['delete', id]);
});

labelTest('a profile that is not loaded is one error, and nothing is left', async (t, workspace, { closed }) => {
  const name = `${workspace.token}-missing`;
  const words = [`take on the AppArmor profile ${name}`, 'no such file or directory'];
  failed(t, await workspace.run(probing(workspace, 'true', { process: { apparmorProfile: name } })), '/process/apparmorProfile', ...words);
  t.deepEqual(workspace.leaks(), []);
  const { id } = await workspace.start(probing(workspace, 'sleep 1000', { process: { apparmorProfile: closed } }));
  failed(t, await workspace.strata(['exec', '--apparmor', name, id, 'true']), ...words);
  await workspace.remove(id);
});

labelTest('a container of an image: --security-opt apparmor', async (t, workspace, { closed }) => {
  const store = workspace.path('store');
  makeStore(store, { Cmd: ['sh'] }, [(directory) => fs.writeFileSync(`${directory}/secret`, `${SECRET}\n`)]);
  const strata = (...args: string[]) => workspace.strata(['--store', store, ...args]);
  const run = (option: string, id: string, ...flags: string[]) =>
    strata('run', ...flags, '--image', IMAGE, '--security-opt', `apparmor=${option}`, id, 'sh', '-c', 'cat /proc/self/attr/current /secret');
  const id = workspace.id();
  const held = await run(closed, id);
  t.deepEqual([held.code, held.stdout], [1, `${closed} (enforce)\n`]);
  t.regex(held.stderr, /'\/secret': Permission denied/);
  // It is the container's, whenever it runs.
  t.is((await strata('start', id)).stderr, '');
  await eventually('the container to have ended', async () => (await strata('wait', id)).code === 0);
  t.regex((await strata('logs', id)).stdout, new RegExp(`^${closed} \\(enforce\\)$`, 'm'));
  t.is((await strata('delete', '--force', id)).stderr, '');
  t.is((await run('unconfined', workspace.id(), '--rm')).stdout, `unconfined\n${SECRET}\n`);
  const missing = `${workspace.token}-missing`;
  failed(t, await run(missing, workspace.id(), '--rm'), `security option "apparmor=${missing}": no such profile is loaded`);
  t.deepEqual(fs.readdirSync(`${store}/containers`), []);
});

labelTest('no file of the container takes the profile in place of the kernel', async (t, workspace, { closed }) => {
  const decoy = workspace.path('decoy');
  fs.mkdirSync(`${decoy}/self/attr/apparmor`, { recursive: true });
  fs.mkdirSync(`${decoy}/thread-self/attr/apparmor`, { recursive: true });
  const mount = { source: decoy, options: ['bind'] };
  // Over the whole of /proc, where a process of the container could look: the label is not written there.
  const whole = probing(workspace, 'sleep 1000', (config) => {
    config.process['apparmorProfile'] = closed;
    config.mounts = config.mounts.filter(({ destination }) => destination !== '/proc').concat({ destination: '/proc', ...mount });
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  });
  const id = workspace.id();
  const started = await workspace.strata(['run', '--detach', '--bundle', whole.directory, id]);
  if (started.code === 0) {
    const { pid } = await workspace.state(id);
    await eventually('the program to run', () => fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n');
    t.is(fs.readFileSync(`/proc/${pid}/attr/current`, 'utf8'), `${closed} (enforce)\n`);
    await workspace.remove(id);
  } else failed(t, started, '/proc');
  // Over a part of it: refused.
  for (const destination of ['/proc/self/attr', '/proc/thread-self/attr/apparmor']) {
    const part = probing(workspace, 'true', (config) => {
      config.process['apparmorProfile'] = closed;
      config.mounts.push({ destination, ...mount });
    });
    failed(t, await workspace.run(part), '/mounts/', '/proc');
  }
  t.deepEqual(fs.readdirSync(`${decoy}/self/attr/apparmor`), []);
});
