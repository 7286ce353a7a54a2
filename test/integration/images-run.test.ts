/** Containers made of images: what they get from the image and from the flags, what stays of them, and that failures leave nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { CommandOptions, Result, Workspace } from '../helpers/container.ts';
import { eventually } from '../helpers/container.ts';
import { fingerprint } from '../helpers/layout.ts';
import { IMAGE, type MadeImage, makeStore } from '../helpers/store.ts';
import { containerTest, failed, failedWith, fields, unless } from './_support.ts';

class Images {
  readonly made: MadeImage;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace, config: object = {}, layers: readonly ((directory: string) => void)[] = []) {
    this.workspace = workspace;
    this.made = makeStore(workspace.path('store'), { Cmd: ['sh'], ...config }, layers);
  }

  path(...names: readonly string[]): string {
    return join(this.made.store, ...names);
  }

  strata(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return this.workspace.strata(['--store', this.made.store, ...args], options);
  }

  run(flags: readonly string[], id: string, command: readonly string[] = [], options: CommandOptions = {}): Promise<Result> {
    return this.strata(['run', '--image', IMAGE, ...flags, id, ...command], options);
  }

  /** What a script prints in a container that goes afterwards, without the last newline. @throws Error if it does not end well. */
  async shell(script: string, flags: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(['--rm', ...flags], this.workspace.id(), ['sh', '-c', script], options);
    if (result.code !== 0) throw new Error(`${script}: ${result.code}\n${result.stderr}${result.stdout}`);
    return result.stdout.trimEnd();
  }

  /** Everything in the store that is not the image's. */
  leftovers(): string[] {
    return ['containers', 'volumes', 'tmp'].flatMap((name) => fs.readdirSync(this.path(name)).map((one) => `${name}/${one}`));
  }

  json(...names: readonly string[]): Record<string, unknown> {
    return JSON.parse(fs.readFileSync(this.path(...names), 'utf8')) as Record<string, unknown>;
  }
}

function imageTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>): void {
  containerTest(`an image: ${title}`, body);
}

imageTest('its configuration is that of the container', async (t, workspace) => {
  const images = new Images(workspace, {
    Env: ['FROM_IMAGE=1', 'PATH=/bin'],
    Entrypoint: ['sh', '-c'],
    Cmd: ['env; pwd; id'],
    WorkingDir: '/var',
    User: 'user',
    Labels: { colour: 'blue' },
    StopSignal: 'SIGQUIT',
  });
  const id = workspace.id();
  const { code, stdout } = await images.run([], id);
  t.is(code, 0);
  const lines = stdout.split('\n');
  for (const line of ['FROM_IMAGE=1', 'PATH=/bin', `HOSTNAME=${id}`, 'HOME=/home', '/var', 'uid=1000(user) gid=1000(user) groups=1000(user)']) {
    t.true(lines.includes(line) || lines.includes(line.replace(/ groups=.*/, '')), line);
  }
  const { image, reference, command, stopSignal, labels, layers } = images.json('containers', id, 'container.json');
  t.is(image, images.made.id);
  t.is(reference, 'docker.io/library/box:latest');
  t.deepEqual(command, ['sh', '-c', 'env; pwd; id']);
  t.is(stopSignal, 'SIGQUIT');
  t.deepEqual(labels, { colour: 'blue' });
  t.is((layers as string[]).length, 1);
});

imageTest('the program may do what most need and no more', async (t, workspace) => {
  const images = new Images(workspace);
  const status = fields(await images.shell('cat /proc/self/status'));
  t.is(status['CapEff'], '00000000a80425fb');
  t.is(status['CapInh'], '0000000000000000');
  t.is(status['CapAmb'], '0000000000000000');
  t.is(status['NoNewPrivs'], '1');
  t.is(status['Seccomp'], '2');
  t.is(await images.shell('wc -c </proc/interrupts; ls /sys/class/net'), '0\nlo');
  t.is(await images.shell('echo 1 >/proc/sys/kernel/sysrq; mount -t tmpfs x /tmp; unshare -m true; echo done', [], {}), 'done');
  const refused = await images.run(['--rm'], workspace.id(), ['unshare', '-m', 'true']);
  t.regex(refused.stderr, /Operation not permitted/);
  t.is(await images.shell('unshare -m true && echo open', ['--cap-add', 'SYS_ADMIN']), 'open');
});

/** The error of each kind of system call that the helper makes in a container, by its name; those that end in -32 are calls of 32-bit programs. */
async function systemCalls(workspace: Workspace): Promise<readonly (readonly [string, number])[]> {
  const helper = workspace.path('system-calls');
  execFileSync('cc', ['-static', '-o', helper, join(import.meta.dirname, '../helpers/system-calls.c')]);
  const lines = (await new Images(workspace).shell('/calls', ['-v', `${helper}:/calls:ro`])).split('\n');
  return lines.map((line) => line.split(' ')).map(([name = '', errno]) => [name, Number(errno)] as const);
}

const [EPERM, ENOSYS] = [1, 38];

imageTest('system calls are those of the default profile, whatever way they are made', async (t, workspace) => {
  const expected: Readonly<Record<string, number>> = {
    unix: 0,
    netlink: 0,
    alg: EPERM,
    'alg-high': EPERM,
    vsock: EPERM,
    'vsock-high': EPERM,
    clone3: ENOSYS,
    'clone-newuser': EPERM,
    unshare: EPERM,
    io_uring_setup: EPERM,
    keyctl: EPERM,
    bpf: EPERM,
    personality: 0,
    'personality-no-random': EPERM,
    unknown: ENOSYS,
  };
  t.deepEqual(Object.fromEntries((await systemCalls(workspace)).filter(([name]) => !name.endsWith('-32'))), expected);
});

// A user-mode kernel takes their numbers for those of 64-bit calls.
const NO_32_BITS = fs.existsSync('/proc/sys/abi/vsyscall32') ? undefined : 'needs a kernel with 32-bit system calls';

unless(NO_32_BITS)('an image: system calls of 32-bit programs are those of the default profile too', async (t, workspace) => {
  const found = (await systemCalls(workspace)).filter(([name]) => name.endsWith('-32'));
  t.deepEqual(Object.fromEntries(found), { 'unix-32': 0, 'vsock-32': EPERM, 'socketcall-32': ENOSYS });
});

imageTest('what a container writes is its own and stays until it is deleted', async (t, workspace) => {
  const images = new Images(workspace);
  const before = fingerprint(...images.made.layers);
  const [first, second] = [workspace.id(), workspace.id()];
  t.is((await images.run([], first, ['sh', '-c', 'echo mine >/new; rm /etc/group; exit 5'])).code, 5);
  t.is((await images.run([], second, ['sh', '-c', 'ls /new /etc/group 2>/dev/null; true'])).stdout, '/etc/group\n');
  t.is(fs.readFileSync(images.path('containers', first, 'upper/new'), 'utf8'), 'mine\n');
  t.is(fingerprint(...images.made.layers), before);
  const { code, signal, finished, oomKilled } = images.json('containers', first, 'exit.json');
  t.deepEqual([code, signal, oomKilled], [5, undefined, false]);
  t.regex(String(finished), /^20.*Z$/);
  failed(t, await images.run([], first, ['true']), `container with id ${first} exists`);
  t.deepEqual(images.leftovers().sort(), [`containers/${first}`, `containers/${second}`].sort());
});

imageTest('--rm leaves nothing, nor does what cannot be run', async (t, workspace) => {
  const images = new Images(workspace, { Volumes: { '/home': {} } });
  t.is((await images.run(['--rm'], workspace.id(), ['sh', '-c', 'exit 9'])).code, 9);
  t.deepEqual(images.leftovers(), []);
  const wrong: readonly (readonly [flags: readonly string[], command: readonly string[], message: string])[] = [
    [['--volume', '/no/such/place:/x'], ['true'], 'no such file or directory'],
    [['--volume', 'fresh:/x', '--user', 'nobody-here'], ['true'], 'there is no user "nobody-here"'],
    [['--device', '/etc/passwd'], ['true'], 'is no device'],
    [['--cap-add', 'EVERYTHING'], ['true'], 'there is no capability'],
    [['--volume', '/etc:/x', '--tmpfs', '/x'], ['true'], 'two mounts are asked for at /x'],
    [['--hostname', 'a b'], ['true'], 'is no host name'],
    [['--network', 'ns:/no/such/namespace'], ['true'], 'no such file or directory'],
    [['--stop-signal', 'NOPE'], ['true'], "unknown signal 'NOPE'"],
    [['--memory', 'lots'], ['true'], 'size "lots"'],
    [['--bundle', '/tmp'], ['true'], '--bundle is for bundles'],
    [['--log-driver', 'none'], ['true'], 'give --detach'],
  ];
  for (const [flags, command, message] of wrong) {
    for (const more of [[], ['--rm']]) failed(t, await images.run([...more, ...flags], workspace.id(), command), message);
    t.deepEqual(images.leftovers(), [], message);
  }
  failed(t, await images.strata(['run', '--image', 'nope', workspace.id()]), 'image does not exist: nope');
});

imageTest('a program that cannot be run ends with what docker and podman end with', async (t, workspace) => {
  const script = (name: string, content: string, mode: number) => (directory: string) => {
    fs.writeFileSync(join(directory, name), content);
    fs.chmodSync(join(directory, name), mode);
  };
  const images = new Images(workspace, {}, [script('plain', 'echo', 0o644), script('orphan', '#!/no/interpreter\n', 0o755)]);
  const programs: readonly (readonly [program: string, status: number, message: string])[] = [
    ['no-such-program', 127, 'executable file not found in $PATH'],
    ['/no/such/program', 127, 'no such file or directory'],
    ['/orphan', 127, 'no such file or directory'],
    ['/plain', 126, 'permission denied'],
    ['/etc', 126, 'is a directory: permission denied'],
  ];
  const up = workspace.id();
  t.is((await images.run(['--detach'], up, ['sleep', '1000'])).stderr, '');
  for (const [program, status, message] of programs) {
    for (const flags of [[], ['--rm'], ['--detach']]) failedWith(t, status, await images.run(flags, workspace.id(), [program]), message);
    for (const flags of [[], ['--detach']]) failedWith(t, status, await images.strata(['exec', ...flags, up, program]), message);
    const id = workspace.id();
    t.is((await images.strata(['create', '--image', IMAGE, id, program])).stderr, '');
    for (const verb of ['start', 'restart']) failedWith(t, status, await images.strata([verb, id]), message);
    t.is((await images.strata(['delete', id])).stderr, '');
  }
  t.is((await images.strata(['delete', '--force', up])).stderr, '');
  t.deepEqual(images.leftovers(), []);
});

imageTest('flags change what the image says', async (t, workspace) => {
  const images = new Images(workspace, { Env: ['A=1', 'B=1'], Entrypoint: ['false'] });
  const file = workspace.path('variables');
  fs.writeFileSync(file, '# none\nB=2\nC=3\n');
  const flags = ['--entrypoint', '', '-e', 'C=4', '--env', 'PASSED', '-e', 'A', '--env-file', file];
  const env = (await images.shell('env', flags, { env: { PASSED: 'on' } })).split('\n');
  t.deepEqual(env.filter((line) => /^(A|B|C|PASSED)=/.test(line)).sort(), ['B=2', 'C=4', 'PASSED=on']);

  const script = 'pwd; id -u; id -g; hostname; ulimit -n; ulimit -Hn; touch /x 2>/dev/null || echo read-only';
  const more = ['-w', '/not/there', '-u', '7:8', '--hostname', 'other', '--ulimit', 'nofile=50:60', '--read-only', '--entrypoint='];
  t.is(await images.shell(script, more), '/not/there\n7\n8\nother\n50\n60\nread-only');
  const capabilities = 'grep CapBnd /proc/self/status | cut -f 2';
  t.is(await images.shell(capabilities, ['--entrypoint=', '--cap-drop', 'ALL', '--cap-add', 'chown']), '0000000000000001');
  t.is(await images.shell('grep NoNewPrivs /proc/self/status | cut -f 2', ['--entrypoint=', '--new-privileges']), '0');
  t.is(await images.shell('cat', ['--entrypoint='], { stdin: 'unheard' }), '');
  t.is(await images.shell('cat', ['--entrypoint=', '-i'], { stdin: 'heard' }), 'heard');
  t.regex(await images.shell('tty; stty -a | head -n 1; env', ['--entrypoint=', '-it']), /^\/dev\/pts\/0\r?\n.*TERM=xterm/s);
});

imageTest('security options: system calls', async (t, workspace) => {
  const images = new Images(workspace);
  const file = workspace.path('profile.json');
  const probe = 'chmod 700 /tmp 2>/dev/null && echo chmod; mkdir /tmp/a 2>/dev/null && echo mkdir; grep Seccomp: /proc/self/status | cut -f 2';
  const made = async (profile: object, ...flags: string[]): Promise<string> => {
    fs.writeFileSync(file, JSON.stringify(profile));
    return (await images.shell(probe, ['--security-opt', `seccomp=${file}`, ...flags])).replaceAll('\n', ' ');
  };
  const denied = { names: ['chmod', 'fchmodat', 'fchmodat2'], action: 'SCMP_ACT_ERRNO' };
  t.is(await images.shell(probe, ['--security-opt', 'seccomp=unconfined']), 'chmod\nmkdir\n0');
  t.is(await made({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [denied] }), 'mkdir 2');
  // Docker's form: rules depend on capabilities, and each can have a single name.
  const conditions = [
    { ...denied, includes: { caps: ['CAP_NET_ADMIN'] } },
    { name: 'mkdir', action: 'SCMP_ACT_ERRNO', excludes: { caps: ['CAP_NET_ADMIN'] } },
    { name: 'mkdirat', action: 'SCMP_ACT_ERRNO', excludes: { caps: ['CAP_NET_ADMIN'], arches: ['s390x'] } },
  ];
  t.is(await made({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: conditions }), 'chmod 2');
  t.is(await made({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: conditions }, '--cap-add', 'NET_ADMIN'), 'mkdir 2');
  // The words of containers-common.
  const returned = { name: 'rmdir', action: 'SCMP_ACT_ERRNO', errnoRet: 1, errno: 'ENOSYS' };
  fs.writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [returned] }));
  t.regex(await images.shell('mkdir /tmp/c; rmdir /tmp/c 2>&1; true', ['--security-opt', `seccomp=${file}`]), /Function not implemented/);
  const huge = [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 0, op: 'SCMP_CMP_EQ' }] }];
  fs.writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: huge }).replace('"value":0', '"value":18446744073709551615'));
  t.is(await images.shell('mkdir /tmp/b && echo made', ['--security-opt', `seccomp=${file}`]), 'made');

  fs.writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'DENY' }] }));
  const wrong = await images.run(['--security-opt', `seccomp=${file}`], workspace.id(), ['true']);
  failed(t, wrong, `${file} /syscalls/0/action: expected one of SCMP_ACT_`);
  failed(t, await images.run(['--security-opt', 'seccomp=/none.json'], workspace.id(), ['true']), '/none.json', 'no such file or directory');
  t.deepEqual(images.leftovers(), []);
});

imageTest('security options: the kernel’s files, new privileges, and words that are wrong', async (t, workspace) => {
  const images = new Images(workspace);
  const opt = (...options: string[]): string[] => options.flatMap((option) => ['--security-opt', option]);
  const probe = 'wc -c </proc/interrupts; cat /etc/passwd | wc -l; (: >>/proc/sys/kernel/hostname) 2>/dev/null && echo writable; true';
  t.is(await images.shell(probe, opt('mask=/srv/none', 'mask=/etc/passwd')), '0\n0');
  const [masked = '', , ...more] = (await images.shell(probe, opt('unmask=/proc/interrupts:/proc/sys'))).split('\n');
  t.true(Number(masked) > 0);
  t.deepEqual(more, ['writable']);
  t.regex(await images.shell(probe, opt('systempaths=unconfined')), /writable$/);
  const privileges = 'grep NoNewPrivs /proc/self/status | cut -f 2';
  t.is(await images.shell(privileges, opt('no-new-privileges')), '1');
  t.is(await images.shell(privileges, opt('no-new-privileges=false')), '0');
  t.is(await images.shell('echo runs', opt('label=disable', 'apparmor=unconfined')), 'runs');

  for (const [flags, ...words] of [
    [opt('aparmor=x'), '--security-opt: there is no security option "aparmor=x"', 'seccomp'],
    [opt('seccomp=builtin', 'seccomp=unconfined'), '--security-opt: security option "seccomp=unconfined": one of this kind was given before'],
    [opt('mask=/proc/../..'), 'security option "mask=/proc/../.." is not of the form mask='],
    [opt('unmask=/proc/none'), 'nothing is masked or read-only at /proc/none'],
    [[...opt('no-new-privileges'), '--new-privileges'], 'both'],
  ] as const) {
    failed(t, await images.run([...flags], workspace.id(), ['true']), ...words);
  }
  for (const [module, option, sign] of [
    ['AppArmor', 'apparmor=mine', '/sys/module/apparmor/parameters/enabled'],
    ['SELinux', 'label=type:x_t', '/sys/fs/selinux/enforce'],
  ] as const) {
    if (fs.existsSync(sign)) continue;
    for (const verb of ['run', 'create']) {
      const refused = await images.strata([verb, '--image', IMAGE, ...opt(option), workspace.id(), 'true']);
      failed(t, refused, `security option "${option}": ${module} is not enabled in this kernel`);
    }
  }
  t.deepEqual(images.leftovers(), []);

  // A bundle is for any machine.
  const directory = workspace.path('written');
  const options = opt('apparmor=unconfined', 'label=type:x_t', 'label=filetype:y_t', 'label=level:s0', 'seccomp=unconfined', 'mask=/srv');
  t.is((await images.strata(['bundle', ...options, IMAGE, directory])).stderr, '');
  const { process, linux } = JSON.parse(fs.readFileSync(join(directory, 'config.json'), 'utf8')) as {
    process: { apparmorProfile: string; selinuxLabel: string };
    linux: { mountLabel: string; seccomp?: object; maskedPaths: readonly string[] };
  };
  t.deepEqual([process.apparmorProfile, process.selinuxLabel], ['unconfined', 'system_u:system_r:x_t:s0']);
  t.deepEqual([linux.mountLabel, linux.seccomp], ['system_u:object_r:y_t:s0', undefined]);
  t.true(linux.maskedPaths.includes('/srv'));
});

imageTest('limits are in force', async (t, workspace) => {
  const images = new Images(workspace);
  const id = workspace.id();
  await images.run([], id, ['true']);
  const { linux } = images.json('containers', id, 'config.json') as { linux: { resources: object } };
  t.deepEqual(linux.resources, { devices: [{ allow: false, access: 'rwm' }] });
  const limited = workspace.id();
  await images.run(['-m', '64m', '--cpus', '0.5', '--pids-limit', '20'], limited, ['true']);
  const config = images.json('containers', limited, 'config.json') as { linux: { resources: Record<string, unknown> } };
  const { memory, cpu, pids } = config.linux.resources;
  t.deepEqual([memory, cpu, pids], [{ limit: 2 ** 26 }, { quota: 50_000, period: 100_000 }, { limit: 20 }]);
  const greedy = workspace.id();
  const result = await images.run(['-m', '16m'], greedy, [
    'sh',
    '-c',
    'dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null; tail -c 40M /dev/zero',
  ]);
  t.not(result.code, 0);
  t.true(images.json('containers', greedy, 'exit.json')['oomKilled']);
});

imageTest('volumes begin with what the image has, and outlive the container if they have a name', async (t, workspace) => {
  const images = new Images(workspace, { Volumes: { '/srv/data': {}, '/srv/none': {} } }, [
    (directory) => {
      fs.mkdirSync(join(directory, 'srv/data'), { recursive: true });
      fs.writeFileSync(join(directory, 'srv/data/seed'), 'seed');
      fs.chownSync(join(directory, 'srv/data'), 3, 4);
      fs.chmodSync(join(directory, 'srv/data'), 0o2770);
    },
  ]);
  const before = fingerprint(...images.made.layers);
  t.is(await images.shell('cat /srv/data/seed; stat -c %u:%g:%a /srv/data; echo x >/srv/data/new; ls /srv/none | wc -l'), 'seed3:4:2770\n0');
  t.deepEqual(images.leftovers(), []);
  t.is(await images.shell('cat /srv/data/seed; echo kept >/srv/data/new', ['-v', 'named:/srv/data']), 'seed');
  t.is(await images.shell('cat /mine/new; touch /mine/x 2>/dev/null || echo read-only', ['-v', 'named:/mine:ro']), 'kept\nread-only');
  t.is(await images.shell('ls /srv/data', ['-v', 'empty:/srv/data:nocopy']), '');
  t.deepEqual(images.leftovers(), ['volumes/empty', 'volumes/named']);
  const { name, labels, anonymous } = images.json('volumes/named/volume.json');
  t.deepEqual([name, labels, anonymous], ['named', {}, false]);

  const host = workspace.path('host');
  fs.mkdirSync(join(host, 'below'), { recursive: true });
  t.is(
    await images.shell('echo out >/h/f; touch /r/f 2>/dev/null || echo read-only; ls /t', [
      '-v',
      `${host}:/h`,
      '-v',
      `${host}:/r:ro`,
      '--tmpfs',
      '/t:size=1m',
    ]),
    'read-only',
  );
  t.is(fs.readFileSync(join(host, 'f'), 'utf8'), 'out\n');
  const id = workspace.id();
  await images.run(['-v', 'named:/srv/data'], id, ['true']);
  const { volumes } = images.json('containers', id, 'container.json') as { volumes: { anonymous: boolean; name: string }[] };
  t.deepEqual(volumes.map(({ anonymous }) => anonymous).sort(), [false, true]);
  t.is(fingerprint(...images.made.layers), before);
});

imageTest('a device of the host is passed on, and no other', async (t, workspace) => {
  const images = new Images(workspace);
  t.is(
    await images.shell('head -c 3 /dev/mine | wc -c; (: >/dev/mine) 2>/dev/null || echo no', ['--device', '/dev/zero:/dev/mine:r', '-u', '0']),
    '3',
  );
  const spare = '/dev/kmsg';
  if (!fs.existsSync(spare)) return;
  t.is(await images.shell(`head -c 1 /dev/log0 >/dev/null 2>&1 || echo no`, ['--device', `${spare}:/dev/log0:m`]), 'no');
});

imageTest('networks: none has the loopback device only, host is the machine, and a namespace can be named', async (t, workspace) => {
  const images = new Images(workspace);
  t.is(
    await images.shell('ls /sys/class/net; cat /etc/hosts /etc/resolv.conf', ['--hostname', 'box']),
    'lo\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tbox',
  );
  t.is(await images.shell('readlink /proc/self/ns/net', ['--network', 'host']), fs.readlinkSync('/proc/self/ns/net'));
  const helper = workspace.helper(['unshare', '--net', 'sleep', '600']);
  const theirs = `/proc/${helper.pid}/ns/net`;
  await eventually('a network namespace', () => fs.readlinkSync(theirs) !== fs.readlinkSync('/proc/self/ns/net'));
  t.is(await images.shell('readlink /proc/self/ns/net', ['--network', `ns:${theirs}`]), fs.readlinkSync(theirs));
});

imageTest('hostile: its labels and files give no orders and lead nowhere', async (t, workspace) => {
  const secret = workspace.path('secret');
  fs.mkdirSync(secret);
  fs.writeFileSync(join(secret, 'passwd'), 'ghost:x:0:0:::\n');
  const labels = { 'dev.strata.overlay': JSON.stringify({ lower: ['/'] }), 'run.oci.handler': 'krun' };
  const images = new Images(workspace, { Labels: labels, Volumes: { '/seed': {} } }, [
    (directory) => {
      fs.mkdirSync(join(directory, 'etc'));
      fs.symlinkSync(join(secret, 'passwd'), join(directory, 'etc/passwd'));
      fs.symlinkSync(secret, join(directory, 'seed'));
      fs.symlinkSync('/proc/self/root/etc', join(directory, 'var2'));
    },
  ]);
  failed(t, await images.run(['-u', 'ghost'], workspace.id(), ['true']), /there is no user "ghost"|passwd/);
  t.deepEqual(images.leftovers(), []);
  const id = workspace.id();
  const { code, stderr } = await images.run(['-v', 'plain:/plain'], id, ['true']);
  t.true([0, 1].includes(code));
  t.regex(stderr, /label "dev.strata.overlay" is an order/);
  for (const name of images.leftovers().filter((one) => one.startsWith('volumes/'))) t.deepEqual(fs.readdirSync(images.path(name, 'data')), []);
  t.deepEqual(fs.readdirSync(secret), ['passwd']);
});

imageTest('volumes over what the kernel has are left out, and one over the root is refused', async (t, workspace) => {
  const images = new Images(workspace, { Volumes: { '/proc': {}, '/sys/': {}, '/dev': {}, '/data': {} } });
  const { code, stdout, stderr } = await images.run(['--rm'], workspace.id(), ['sh', '-c', 'echo kept >/data/x; cat /proc/1/comm; echo >/dev/null']);
  t.is(code, 0, stderr);
  t.is(stdout, 'sh\n');
  for (const place of ['/proc', '/sys/', '/dev']) t.true(stderr.includes(`volume "${place}" would cover what the kernel has there`), stderr);
  const over = new Images(workspace, { Volumes: { '/': {} } });
  failed(t, await over.run([], workspace.id(), ['true']), 'the volume "/" is no absolute path below the root');
  t.deepEqual([...images.leftovers(), ...over.leftovers()], []);
});

imageTest('of many who want one id, one gets it', async (t, workspace) => {
  const images = new Images(workspace);
  const id = workspace.id();
  const results = await Promise.all(Array.from({ length: 8 }, () => images.run([], id, ['sleep', '0.2'])));
  t.deepEqual(results.map(({ code }) => code).sort(), [0, 1, 1, 1, 1, 1, 1, 1]);
  for (const result of results.filter(({ code }) => code === 1)) failed(t, result, 'exists');
  t.deepEqual(images.leftovers(), [`containers/${id}`]);
});

imageTest('create only records it', async (t, workspace) => {
  const images = new Images(workspace);
  const id = workspace.id();
  t.is((await images.strata(['create', '--image', IMAGE, '-l', 'a=b', '--interactive', id, 'echo', '-n'])).code, 0);
  t.false(fs.existsSync(join(workspace.root, id)));
  const { command, interactive, remove, terminal } = images.json('containers', id, 'container.json');
  t.deepEqual([command, interactive, remove, terminal], [['echo', '-n'], true, false, false]);
  t.is(images.json('containers', id, 'config.json')['hostname'], id);
  for (const flags of [['--pid-file', 'x'], ['--no-pivot'], ['--bundle', '.']]) {
    failed(t, await images.strata(['create', '--image', IMAGE, ...flags, workspace.id()]), `${flags[0]} cannot be used with create --image`);
  }
});

imageTest('flags of images are refused for a bundle', async (t, workspace) => {
  const bundle = workspace.script('true');
  for (const [flag, ...value] of [['--env', 'A=1'], ['--rm'], ['-m', '1m'], ['--tty'], ['--network', 'host'], ['--label', 'a=b']]) {
    failed(t, await workspace.run(bundle, [flag as string, ...value]), 'those of images need --image');
  }
  failed(t, await workspace.strata(['run', '--bundle', bundle.directory, workspace.id(), 'true']), 'a program can be given with --image');
});

imageTest('in the background its output is kept, and its end recorded', async (t, workspace) => {
  const images = new Images(workspace);
  const id = workspace.id();
  t.is((await images.run(['-d'], id, ['sh', '-c', 'echo out; exit 3'])).code, 0);
  await eventually('the end', () => fs.existsSync(images.path('containers', id, 'exit.json')));
  t.is(images.json('containers', id, 'exit.json')['code'], 3);
  t.regex(fs.readFileSync(images.path('containers', id, 'container.log'), 'utf8'), /"log":"out\\n"/);
  failedWith(t, 127, await images.run(['-d'], workspace.id(), ['nope']), 'executable file not found');
  await images.strata(['delete', '--force', id]);
});

imageTest('bundle writes it for any runtime', async (t, workspace) => {
  const images = new Images(workspace, { Env: ['A=1'], Cmd: ['sh', '-c', 'echo $A $B; cat /two'] }, [
    (directory) => {
      fs.writeFileSync(join(directory, 'two'), 'second');
      execFileSync('mknod', [join(directory, 'home'), 'c', '0', '0']);
    },
  ]);
  const bundle = workspace.path('made');
  t.is((await images.strata(['bundle', '--env', 'B=2', IMAGE, bundle])).code, 0);
  t.is((await workspace.strata(['run', '--bundle', bundle, workspace.id()])).stdout, '1 2\nsecond');
  const runc = spawnSync('runc', ['--root', workspace.path('runc'), 'run', '--bundle', bundle, workspace.id()], { encoding: 'utf8' });
  if (runc.error === undefined) t.deepEqual([runc.status, runc.stdout], [0, '1 2\nsecond'], runc.stderr);
  t.false(fs.existsSync(join(bundle, 'rootfs/home')));
  t.deepEqual(fs.readdirSync(bundle).sort(), ['config.json', 'rootfs']);
  failed(t, await images.strata(['bundle', IMAGE, bundle]), 'is not empty');
  const other = workspace.path('other');
  failed(t, await images.strata(['bundle', '-v', 'named:/x', IMAGE, other]), 'a bundle cannot have the volume at /x');
  failed(t, await images.strata(['bundle', 'nope', other]), 'image does not exist');
  t.false(fs.existsSync(other));
  t.deepEqual(images.leftovers(), []);
});
