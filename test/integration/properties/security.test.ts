/** config.md, Linux Process: capabilities; config-linux.md, Seccomp. */
import * as fs from 'node:fs';
import { CAPABILITIES, type Edit, hasCapability, type Workspace, withUserNamespace } from '../../helpers/container.ts';
import { containerTest, failed, fields, unless } from '../_support.ts';

const STATUS = 'while read -r line; do echo "$line"; done </proc/self/status';
const SETS = { CapInh: 'inheritable', CapPrm: 'permitted', CapEff: 'effective', CapBnd: 'bounding', CapAmb: 'ambient' } as const;

/** Names in the five sets of a container's process. */
async function capabilities(workspace: Workspace, edit: Edit): Promise<Record<string, string[]>> {
  const status = fields(await workspace.shell(STATUS, edit));
  return Object.fromEntries(
    Object.entries(SETS).map(([key, name]) => {
      const mask = BigInt(`0x${status[key]}`);
      return [name, CAPABILITIES.filter((_, index) => (mask >> BigInt(index)) & 1n)];
    }),
  );
}

containerTest('capabilities of root: what is permitted follows from the bounding and inheritable sets', async (t, workspace) => {
  const bounding = ['CAP_CHOWN', 'CAP_KILL', 'CAP_NET_RAW'];
  const few = await capabilities(workspace, {
    process: { capabilities: { bounding, permitted: bounding, effective: ['CAP_KILL'], inheritable: ['CAP_KILL'] } },
  });
  t.deepEqual(few, { bounding, permitted: bounding, effective: bounding, inheritable: ['CAP_KILL'], ambient: [] });
  const none = { bounding: [], permitted: [], effective: [], inheritable: [], ambient: [] };
  t.deepEqual(await capabilities(workspace, { process: { capabilities: none } }), none);
  t.deepEqual(await capabilities(workspace, { process: { capabilities: undefined } }), none);
});

containerTest('capabilities of another user: only ambient ones survive the execution of the program', async (t, workspace) => {
  const user = { uid: 1000, gid: 1000 };
  const bounding = ['CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT'];
  const ambient = ['CAP_SYS_CHROOT'];
  t.deepEqual(
    await capabilities(workspace, {
      process: { user, capabilities: { bounding, permitted: bounding, effective: bounding, inheritable: ambient, ambient } },
    }),
    {
      bounding,
      permitted: ambient,
      effective: ambient,
      inheritable: ambient,
      ambient,
    },
  );
  t.deepEqual(
    await capabilities(workspace, {
      process: { user, capabilities: { bounding, permitted: bounding, effective: bounding, inheritable: bounding, ambient: [] } },
    }),
    {
      bounding,
      permitted: [],
      effective: [],
      inheritable: bounding,
      ambient: [],
    },
  );
});

containerTest('a capability that cannot be granted is a warning, also one that does not exist', async (t, workspace) => {
  const missing = CAPABILITIES.find((name) => !hasCapability(name));
  if (missing !== undefined) {
    const bundle = workspace.script('echo ran', { process: { capabilities: { bounding: ['CAP_KILL', missing], effective: [], permitted: [] } } });
    const { code, stdout, stderr } = await workspace.run(bundle);
    t.is(code, 0);
    t.is(stdout, 'ran\n');
    t.regex(stderr, new RegExp(`^strata: warning: capability ${missing} cannot be granted[^\\n]*\\n$`));
  }
  const names = ['CAP_KILL', 'CAP_LEAP_TALL_BUILDINGS'];
  const capabilities = { bounding: names, effective: names, inheritable: names, permitted: names };
  const { code, stdout, stderr } = await workspace.run(workspace.script('grep CapEff /proc/self/status', { process: { capabilities } }));
  t.is(code, 0);
  t.regex(stdout, /0000000000000020/);
  t.regex(stderr, /^strata: warning: capability "CAP_LEAP_TALL_BUILDINGS" cannot be granted[^\n]*\n$/);
});

/** A filter that lets everything through but these calls. */
function filter(...syscalls: Record<string, unknown>[]): Edit {
  return { linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls } } };
}

const MKDIR = { names: ['mkdir', 'mkdirat'] };

containerTest('seccomp: every action', async (t, workspace) => {
  const tried = async (rule: Record<string, unknown>): Promise<string> => {
    const bundle = workspace.script('mkdir /tmp/made; echo $?', filter({ ...MKDIR, ...rule }));
    bundle.edit((config) => config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }));
    const { stdout, stderr } = await workspace.run(bundle);
    return stderr + stdout;
  };
  const refused = "mkdir: can't create directory '/tmp/made': ";
  t.is(await tried({ action: 'SCMP_ACT_ALLOW' }), '0\n');
  t.is(await tried({ action: 'SCMP_ACT_LOG' }), '0\n');
  t.is(await tried({ action: 'SCMP_ACT_ERRNO' }), `${refused}Operation not permitted\n1\n`);
  t.is(await tried({ action: 'SCMP_ACT_ERRNO', errnoRet: 28 }), `${refused}No space left on device\n1\n`);
  t.is(await tried({ action: 'SCMP_ACT_ERRNO', errnoRet: 0 }), '0\n');
  // Without a tracer the call is not there.
  t.is(await tried({ action: 'SCMP_ACT_TRACE', errnoRet: 1 }), `${refused}Function not implemented\n1\n`);
  for (const action of ['SCMP_ACT_KILL', 'SCMP_ACT_KILL_THREAD', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_TRAP'])
    t.regex(await tried({ action }), /159\n$/, action);
});

containerTest('seccomp: comparisons of arguments', async (t, workspace) => {
  const signals = [1, 10, 12, 15];
  // The program is the first process of its namespace, so no signal does anything to it.
  const script = `for signal in ${signals.join(' ')}; do kill -$signal $$ 2>/dev/null || echo $signal; done`;
  const refused = async (args: Record<string, unknown>[]): Promise<number[]> => {
    const out = await workspace.shell(script, filter({ names: ['kill'], action: 'SCMP_ACT_ERRNO', args }));
    return out.split('\n').filter(Boolean).map(Number);
  };
  const cases: [op: string, value: number, valueTwo: number, refused: number[]][] = [
    ['SCMP_CMP_EQ', 10, 0, [10]],
    ['SCMP_CMP_NE', 10, 0, [1, 12, 15]],
    ['SCMP_CMP_LT', 10, 0, [1]],
    ['SCMP_CMP_LE', 10, 0, [1, 10]],
    ['SCMP_CMP_GT', 10, 0, [12, 15]],
    ['SCMP_CMP_GE', 10, 0, [10, 12, 15]],
    ['SCMP_CMP_MASKED_EQ', 4, 4, [12, 15]],
  ];
  for (const [op, value, valueTwo, expected] of cases) t.deepEqual(await refused([{ index: 1, value, valueTwo, op }]), expected, op);
  // All arguments of one rule have to match; of one argument that is compared twice, any.
  t.deepEqual(
    await refused([
      { index: 0, value: 1, op: 'SCMP_CMP_EQ' },
      { index: 1, value: 12, op: 'SCMP_CMP_EQ' },
    ]),
    [12],
  );
  t.deepEqual(
    await refused([
      { index: 0, value: 2, op: 'SCMP_CMP_EQ' },
      { index: 1, value: 12, op: 'SCMP_CMP_EQ' },
    ]),
    [],
  );
});

containerTest('seccomp: with and without noNewPrivileges, with flags, with names that nobody knows', async (t, workspace) => {
  for (const noNewPrivileges of [true, false]) {
    for (const user of [
      { uid: 0, gid: 0 },
      { uid: 1000, gid: 1000 },
    ]) {
      const status = fields(
        await workspace.shell(STATUS, {
          process: { noNewPrivileges, user },
          linux: {
            seccomp: {
              defaultAction: 'SCMP_ACT_ALLOW',
              architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32', 'SCMP_ARCH_AARCH64'],
              flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'],
              syscalls: [{ names: ['mkdir', 'a_call_of_the_future'], action: 'SCMP_ACT_ERRNO' }],
            },
          },
        }),
      );
      t.is(status.Seccomp, '2');
      t.is(status.NoNewPrivs, noNewPrivileges ? '1' : '0');
    }
  }
  // What the set-up needs before the program runs is not the profile's to permit; nor need a profile know of newer calls.
  const names = ['close_range', 'setgroups', 'setresgid', 'setresuid', 'chdir', 'getcwd', 'umask'];
  for (const user of [
    { uid: 0, gid: 0 },
    { uid: 1000, gid: 1000 },
  ]) {
    const edit = { ...filter({ names, action: 'SCMP_ACT_ERRNO' }), process: { noNewPrivileges: false, user } };
    t.is(await workspace.shell('echo ran', edit), 'ran');
  }
  const contradiction = ['SCMP_ACT_ERRNO', 'SCMP_ACT_KILL_PROCESS'].map((action) => ({
    ...MKDIR,
    action,
    args: [{ index: 1, value: 7, op: 'SCMP_CMP_EQ' }],
  }));
  const refused = await workspace.run(workspace.bundle({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: contradiction } } }));
  failed(t, refused, '/linux/seccomp: cannot compile the seccomp profile: mkdir', 'contradicts another rule');
  const strange = await workspace.run(
    workspace.bundle({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_M68K'] } } }),
  );
  failed(t, strange, '/linux/seccomp: cannot compile the seccomp profile: SCMP_ARCH_M68K', 'this libseccomp does not know');
  for (const [seccomp, pointer] of [
    [{ defaultAction: 'SCMP_ACT_MAYBE' }, '/linux/seccomp/defaultAction'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_ABACUS'] }, '/linux/seccomp/architectures/0'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_NONE'] }, '/linux/seccomp/flags/0'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }] }, '/linux/seccomp/syscalls/0/action'],
    [{ defaultAction: 'SCMP_ACT_NOTIFY', listenerPath: '/run/listener' }, '/linux/seccomp/defaultAction'],
  ] as const) {
    failed(t, await workspace.run(workspace.bundle({ linux: { seccomp: seccomp as Record<string, unknown> } })), pointer);
  }
});

interface EngineRule {
  names: string[];
  action: string;
  args?: object[];
  errnoRet?: number;
  includes?: { caps?: string[]; arches?: string[]; minKernel?: string };
  excludes?: { caps?: string[]; arches?: string[] };
}

const PROFILE = '/usr/share/containers/seccomp.json';
const NO_PROFILE = fs.existsSync(PROFILE) ? undefined : `needs ${PROFILE} (Debian: golang-github-containers-common)`;

unless(NO_PROFILE)("seccomp: an engine's default profile of some 300 names", async (t, workspace) => {
  const profile = JSON.parse(fs.readFileSync(PROFILE, 'utf8')) as { defaultAction: string; defaultErrnoRet?: number; syscalls: EngineRule[] };
  const arch = process.arch === 'x64' ? 'amd64' : 'arm64';
  const syscalls = profile.syscalls
    .filter(
      ({ includes, excludes }) =>
        (includes?.caps ?? []).length === 0 && (includes?.arches ?? [arch]).includes(arch) && !excludes?.arches?.includes(arch),
    )
    .map(({ names, action, args, errnoRet }) => ({ names, action, ...(args && { args }), ...(errnoRet !== undefined && { errnoRet }) }));
  t.true(syscalls.flatMap(({ names }) => names).length > 250);
  const script =
    'mkdir /tmp/a && echo x >/tmp/a/b && cat /tmp/a/b && ls -la / >/dev/null && sleep 0.01 && date >/dev/null && unshare -m true; mount -t tmpfs t /tmp';
  const seccomp = {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet ?? 1,
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    syscalls,
  };
  const bundle = workspace.script(script, { linux: { seccomp } });
  for (const attempt of ['compiled', 'cached']) {
    const { stdout, stderr } = await workspace.run(bundle);
    t.is(stdout, 'x\n', attempt);
    t.regex(stderr, /unshare: [^\n]*Operation not permitted\nmount: [^\n]*permi/i, attempt);
    fs.rmSync(`${bundle.rootfs}/tmp/a`, { recursive: true });
  }
  // The default action, with an errno of its own, for a call that no rule names.
  const names = ({ names: all, ...rule }: { names: string[] }): object => ({ ...rule, names: all.filter((name) => !MKDIR.names.includes(name)) });
  bundle.edit({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38, syscalls: syscalls.map(names) } } });
  t.regex((await workspace.run(bundle)).stderr, /mkdir: [^\n]*: Function not implemented/);
});

/** A cache entry with another program: a header of 56 bytes, the profile, the program; see native/core/seccomp.cpp. */
function withProgram(entry: Buffer, program: Buffer): Buffer {
  const header = Buffer.from(entry.subarray(0, 56));
  header.writeUInt32LE(program.length, 8);
  header.writeBigUInt64LE(0n, 48);
  let sum = 0xcbf29ce484222325n;
  for (const byte of Buffer.concat([header, program])) sum = BigInt.asUintN(64, (sum ^ BigInt(byte)) * 0x100000001b3n);
  header.writeBigUInt64LE(sum, 48);
  return Buffer.concat([header, entry.subarray(56, 56 + header.readUInt32LE(4)), program]);
}

containerTest('seccomp: compiled programs are kept, and believed only from a file of ours alone', async (t, workspace) => {
  const cache = `${workspace.root}/@seccomp`;
  const entries = () => fs.readdirSync(cache);
  const tried = async (errnoRet: number): Promise<string> => {
    const { stderr } = await workspace.run(workspace.script('mkdir /tmp', filter({ ...MKDIR, action: 'SCMP_ACT_ERRNO', errnoRet })));
    return /: ([^:]*)\n$/.exec(stderr)?.[1] ?? stderr;
  };
  t.is(await tried(28), 'No space left on device');
  t.is(entries().length, 1);
  const entry = `${cache}/${entries()[0]}`;
  t.is(fs.statSync(cache).mode & 0o777, 0o700);
  t.is(fs.statSync(entry).mode & 0o777, 0o600);
  const { ino, mtimeNs } = fs.statSync(entry, { bigint: true });
  t.is(await tried(28), 'No space left on device');
  const again = fs.statSync(entry, { bigint: true });
  t.deepEqual([again.ino, again.mtimeNs], [ino, mtimeNs], 'it is not written again');
  t.is(await tried(30), 'Read-only file system');
  t.is(entries().length, 2);

  // What is in it is what is loaded: here a program of one instruction that allows everything.
  const good = fs.readFileSync(entry);
  fs.writeFileSync(entry, withProgram(good, Buffer.from('060000000000ff7f', 'hex')));
  t.is(await tried(28), 'File exists');
  fs.writeFileSync(entry, good);

  // Whatever is wrong with an entry, the program is compiled anew, and a good entry takes the bad one's place.
  const other = fs.readFileSync(`${cache}/${entries().find((name) => !entry.endsWith(name))}`);
  const changed = (at: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    return bytes;
  };
  const damages: [what: string, damage: () => void][] = [
    ['empty', () => fs.writeFileSync(entry, '')],
    ['short', () => fs.writeFileSync(entry, good.subarray(0, good.length - 1))],
    ['long', () => fs.appendFileSync(entry, 'x')],
    ['garbage', () => fs.writeFileSync(entry, Buffer.alloc(good.length, 0xa5))],
    ["another profile's", () => fs.writeFileSync(entry, other)],
    ['a changed header', () => fs.writeFileSync(entry, changed(13))],
    ['a changed program', () => fs.writeFileSync(entry, changed(good.length - 5))],
    ['writable by others', () => fs.chmodSync(entry, 0o666)],
    ["another user's", () => fs.chownSync(entry, 1000, 1000)],
    [
      'a link',
      () => {
        fs.renameSync(entry, `${workspace.directory}/moved`);
        fs.symlinkSync(`${workspace.directory}/moved`, entry);
      },
    ],
    [
      'a directory',
      () => {
        fs.rmSync(entry);
        fs.mkdirSync(entry);
      },
    ],
  ];
  for (const [what, damage] of damages) {
    damage();
    t.is(await tried(28), 'No space left on device', what);
    if (what === 'a directory') fs.rmdirSync(entry);
    else t.deepEqual(fs.readFileSync(entry), good, `${what}: is replaced`);
    t.is(await tried(28), 'No space left on device', what);
  }
  // The whole directory too.
  fs.chmodSync(cache, 0o777);
  fs.writeFileSync(entry, other);
  t.is(await tried(28), 'No space left on device');
  t.deepEqual(fs.readFileSync(entry), other, 'a cache that others can write to is neither read nor written');
});

containerTest('while it waits for start the process cannot be traced by its user', async (t, workspace) => {
  const { id } = await workspace.create(workspace.bundle((config) => withUserNamespace(config, 100000)));
  const { pid } = (await workspace.state(id)) as { pid: number };
  // What can be traced belongs to its user, 100000 here; what cannot, to root (proc(5), on /proc/PID).
  t.is(fs.statSync(`/proc/${pid}/environ`).uid, 0);
  await workspace.remove(id);
});
