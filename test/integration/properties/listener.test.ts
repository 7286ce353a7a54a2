/** Seccomp filters that ask somebody outside: SCMP_ACT_NOTIFY, listenerPath, listenerMetadata. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, type Edit, eventually, withUserNamespace } from '../../helpers/container.ts';
import { IMAGE, missingPrograms, removeParents } from '../../helpers/engine.ts';
import { Podman } from '../../helpers/podman.ts';
import { agent } from '../../helpers/seccomp-agent.ts';
import { containerTest, failed, unless } from '../_support.ts';

const MKDIR = ['mkdir', 'mkdirat'];

function notify(path: string, names: readonly string[], changes: Record<string, unknown> = {}): Edit {
  const syscalls = [{ names: [...names], action: 'SCMP_ACT_NOTIFY' }];
  return (config) => {
    config.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: path, syscalls, ...changes };
  };
}

/** Every name that an engine's profile has, and those that this runtime itself needs last. */
function everyCall(): string[] {
  const own = 'read write close execve execveat sendmsg recvmsg mmap munmap rt_sigaction rt_sigprocmask prctl exit_group accept4 close_range'.split(
    ' ',
  );
  const path = '/usr/share/containers/seccomp.json';
  if (!fs.existsSync(path)) return [...own, ...MKDIR];
  const profile = JSON.parse(fs.readFileSync(path, 'utf8')) as { syscalls: { names: string[] }[] };
  return [...new Set([...own, ...MKDIR, ...profile.syscalls.flatMap(({ names }) => names)])];
}

const QUOTA = "mkdir: can't create directory '/tmp/a': Disk quota exceeded\n";

for (const noNewPrivileges of [true, false]) {
  const title = noNewPrivileges ? 'with no_new_privs' : 'without no_new_privs';

  containerTest(`a listener goes to the agent, ${title}`, async (t, workspace) => {
    const { path, said, states } = await agent(workspace);
    const metadata = 'opaque "data"';
    const bundle = workspace.script('mkdir /tmp/a; echo on', notify(path, MKDIR, { listenerMetadata: metadata }));
    bundle.edit({ process: { noNewPrivileges }, annotations: { a: 'b' } });
    const ran = await workspace.run(bundle);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'on\n', QUOTA]);
    await eventually('the listener to be done with', () => said().includes('closed'));
    t.true(said().includes('descriptors 1'));

    const { id, stdout, stderr } = await workspace.create(bundle);
    await eventually('what the agent says', () => states().length === (noNewPrivileges ? 1 : 2));
    const { pid } = await workspace.state(id);
    await workspace.succeed(['start', id]);
    await workspace.reach(id, 'stopped');
    t.deepEqual([stdout(), stderr()], ['on\n', QUOTA]);
    await eventually('what the agent says', () => states().length === 2);
    const status = noNewPrivileges ? 'created' : 'creating';
    const state = { ociVersion: '1.3.0', id, status, pid, bundle: bundle.directory, annotations: { a: 'b' } };
    t.deepEqual(states()[1], { ociVersion: '1.3.0', fds: ['seccompFd'], pid, metadata, state });
    await workspace.remove(id);
    await eventually('the second listener to be done with', () => said().filter((line) => line === 'closed').length === 2);
  });

  containerTest(`whatever call is asked about, the listener gets through, ${title}`, async (t, workspace) => {
    const { path, said } = await agent(workspace);
    const flags = ['TSYNC', 'LOG', 'SPEC_ALLOW', 'WAIT_KILLABLE_RECV'].map((name) => `SECCOMP_FILTER_FLAG_${name}`);
    const bundle = workspace.script('mkdir /tmp/a; echo on', notify(path, everyCall(), { flags }));
    bundle.edit({ process: { noNewPrivileges } });
    const ran = await workspace.run(bundle);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'on\n', QUOTA]);
    const { id, stdout } = await workspace.start(bundle);
    await workspace.reach(id, 'stopped');
    t.is(stdout(), 'on\n');
    await workspace.remove(id);
    await eventually('what the agent says', () => said().filter((line) => line.startsWith('call ')).length > 20);
  });

  containerTest(`without an agent there is no container, ${title}`, async (t, workspace) => {
    const nobody = workspace.path('nobody');
    const deaf = workspace.path('deaf');
    fs.writeFileSync(deaf, '');
    const attempt = async (bundle: Bundle, words: RegExp): Promise<void> => {
      failed(t, await workspace.run(bundle), 'config.json /linux/seccomp: cannot load the seccomp program', words);
      const id = workspace.id();
      const created = await workspace.strata(['create', '--bundle', bundle.directory, id]);
      if (!noNewPrivileges) return failed(t, created, words);
      t.is(created.code, 0, created.stderr);
      failed(t, await workspace.strata(['start', id]), words);
      failed(t, await workspace.strata(['state', id]), 'container does not exist');
      return undefined;
    };
    const bundle = workspace.script('echo on', { process: { noNewPrivileges } });
    await attempt(bundle.edit(notify(nobody, MKDIR)), /nobody: no such file or directory \(nobody to take the seccomp listener\)/);
    await attempt(bundle.edit(notify(deaf, MKDIR)), /deaf: connection refused/);
  });
}

for (const noNewPrivileges of [true, false]) {
  containerTest(`exec: a listener of its own for each process, no_new_privs ${noNewPrivileges}`, async (t, workspace) => {
    const { path, process, states, said } = await agent(workspace);
    const bundle = workspace.script('exec sleep 1000', notify(path, everyCall(), { listenerMetadata: 'm' })).edit({ process: { noNewPrivileges } });
    const { id } = await workspace.start(bundle);
    const { pid } = await workspace.state(id);
    const pidFile = workspace.path('pid');
    const ran = await workspace.strata(['exec', '--pid-file', pidFile, id, 'sh', '-c', 'mkdir /tmp/a; echo on']);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'on\n', QUOTA]);
    await eventually('both states', () => states().length === 2);
    const state = { ociVersion: '1.3.0', id, status: 'running', pid, bundle: bundle.directory };
    const own = Number(fs.readFileSync(pidFile, 'utf8'));
    t.deepEqual(states()[1], { ociVersion: '1.3.0', fds: ['seccompFd'], pid: own, metadata: 'm', state });
    await eventually('the listener of the process to be done with', () => said().includes('closed'));

    // Nobody new is let in without the agent, and nobody is left behind. The first process hangs, or is told ENOSYS.
    fs.rmSync(path);
    failed(t, await workspace.strata(['exec', id, 'true']), 'cannot load the seccomp program', /no such file or directory \(nobody to take/);
    process.kill('SIGKILL');
    await workspace.remove(id);
  });
}

containerTest('exec: with a filter loaded, the process has nothing of the host open', async (t, workspace) => {
  const { path, process } = await agent(workspace);
  const bundle = workspace.script('exec sleep 1000', notify(path, ['capset'])).edit({ process: { noNewPrivileges: false } });
  const { id } = await workspace.start(bundle);
  // Its capset(2) waits for the agent.
  process.kill('SIGSTOP');
  const pidFile = workspace.path('pid');
  const running = workspace.strata(['exec', '--pid-file', pidFile, id, 'true']);
  const own = (): string => `/proc/${fs.readFileSync(pidFile, 'utf8')}`;
  await eventually('the filter', () => fs.existsSync(pidFile) && /^Seccomp:\t2$/m.test(fs.readFileSync(`${own()}/status`, 'utf8')));
  const open = fs.readdirSync(`${own()}/fd`).filter((number) => Number(number) > 2);
  const paths = open.map((number) => fs.readlinkSync(`${own()}/fd/${number}`)).filter((name) => name.startsWith('/'));
  process.kill('SIGCONT');
  t.is((await running).code, 0);
  t.deepEqual(paths, []);
  await workspace.remove(id);
});

containerTest('a listener of a container with a user namespace, at a path longer than a socket address', async (t, workspace) => {
  const { path, said } = await agent(workspace);
  const long = join(workspace.directory, 'l'.repeat(100));
  fs.mkdirSync(long);
  fs.linkSync(path, join(long, 'agent'));
  for (const noNewPrivileges of [true, false]) {
    const bundle = workspace.script('mkdir /tmp/a; echo on', notify(join(long, 'agent'), MKDIR));
    bundle.edit((config) => withUserNamespace(config, 100000)).edit({ process: { noNewPrivileges } });
    bundle.giveTo(100000);
    const ran = await workspace.run(bundle);
    t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'on\n', QUOTA]);
  }
  await eventually('what the agent says', () => said().filter((line) => line === 'descriptors 1').length === 2);
});

containerTest('a profile that allows execve, and little else that a runtime needs, runs a program with no_new_privs', async (t, workspace) => {
  const names =
    'execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink getrandom mprotect uname write exit_group getuid'.split(' ');
  const bundle = workspace.bundle({
    process: { args: ['echo', 'on'], noNewPrivileges: true },
    linux: {
      seccomp: {
        defaultAction: 'SCMP_ACT_ERRNO',
        defaultErrnoRet: 38,
        syscalls: [
          { names, action: 'SCMP_ACT_ALLOW' },
          { names: ['mmap', 'munmap', 'execveat', 'sendmsg', 'close'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
        ],
      },
    },
  });
  t.is(await workspace.output(bundle), 'on\n');
});

const missing = missingPrograms('podman', 'conmon');

unless(missing.length > 0 ? `needs ${missing.join(', ')}` : undefined)('podman hands an agent of a profile on', async (t, workspace) => {
  const { path, states } = await agent(workspace);
  const profile = workspace.path('profile.json');
  const syscalls = [{ names: MKDIR, action: 'SCMP_ACT_NOTIFY' }];
  fs.writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', listenerPath: path, listenerMetadata: 'p', syscalls }));
  const podman = new Podman();
  try {
    podman.importImage();
    for (const more of [[], ['--security-opt', 'no-new-privileges']]) {
      const options = ['--rm', '--network', 'none', '--cgroup-parent', `/${workspace.token}`, '--security-opt', `seccomp=${profile}`, ...more];
      const ran = await podman.run(['run', ...options, IMAGE, 'sh', '-c', 'mkdir /tmp/a; echo on']);
      t.deepEqual([ran.code, ran.stdout, ran.stderr], [0, 'on\n', QUOTA]);
    }
    t.deepEqual(
      states().map(({ metadata }) => metadata),
      ['p', 'p'],
    );
  } finally {
    await podman.end();
    await removeParents(workspace.token);
  }
});
