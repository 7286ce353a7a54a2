import test from 'ava';
import { chooseRules, parseProfile } from '../../../src/image/seccomp-profile.ts';
import type { Seccomp } from '../../../src/spec/types.ts';

const AROUND = { capabilities: ['CAP_CHOWN'], architecture: 'amd64', kernel: { major: 6, minor: 1 } };
const ALLOW = 'SCMP_ACT_ALLOW';
const profile = (fields: object): string => JSON.stringify({ defaultAction: 'SCMP_ACT_ERRNO', ...fields });

/** The first names of the rules that are there. */
function rules(syscalls: readonly object[], around: Partial<typeof AROUND> = {}): string[] {
  const whole = syscalls.map((rule) => ({ action: ALLOW, ...rule }));
  return (chosen({ syscalls: whole }, around).syscalls ?? []).map(({ names }) => names[0] ?? '');
}

function chosen(fields: object, around: Partial<typeof AROUND> = {}): Partial<Seccomp> {
  return chooseRules(parseProfile(profile(fields), 'f'), { ...AROUND, ...around });
}

test('a profile of the runtime specification stays what it is, with integers exact', (t) => {
  const args = '[{"index":1,"value":18446744073709551615,"op":"SCMP_CMP_NE"}]';
  const text = `{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"flags":["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW","args":${args}}]}`;
  t.deepEqual(chooseRules(parseProfile(text, 'f'), AROUND), {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 38,
    architectures: ['SCMP_ARCH_X86_64'],
    flags: ['SECCOMP_FILTER_FLAG_LOG'],
    syscalls: [{ names: ['read', 'write'], action: ALLOW, args: [{ index: 1, value: 2n ** 64n - 1n, valueTwo: 0n, op: 'SCMP_CMP_NE' }] }],
  });
});

test('Docker’s conditions: all capabilities, one of the architectures, a kernel as new', (t) => {
  const names = (conditions: readonly object[], around = {}) =>
    rules(
      conditions.map((one, index) => ({ names: [`${index}`], ...one })),
      around,
    );
  const caps = [
    { includes: { caps: ['CAP_CHOWN'] } },
    { includes: { caps: ['CAP_CHOWN', 'CAP_BPF'] } },
    { excludes: { caps: ['CAP_CHOWN'] } },
    { excludes: { caps: ['CAP_BPF'] } },
    { includes: {}, excludes: null, args: null, comment: '' },
  ];
  t.deepEqual(names(caps), ['0', '3', '4']);
  const arches = [{ includes: { arches: ['amd64', 'x32'] } }, { includes: { arches: ['arm64'] } }, { excludes: { arches: ['amd64'] } }];
  t.deepEqual(names(arches), ['0']);
  t.deepEqual(names(arches, { architecture: 'arm64' }), ['1', '2']);
  t.deepEqual(names(arches, { architecture: '386' }), ['0']);
  t.deepEqual(names(arches, { architecture: 's390x' }), ['2']);
  const kernels = ['4.8', '6.1', '6.2', '7.0'].flatMap((minKernel) => [{ includes: { minKernel } }, { excludes: { minKernel } }]);
  t.deepEqual(names(kernels), ['0', '2', '5', '7']);
});

test('Docker’s other words: a single name, and architectures by the machine’s', (t) => {
  t.deepEqual(rules([{ name: 'read' }]), ['read']);
  const archMap = [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
    { architecture: 'SCMP_ARCH_S390X', subArchitectures: null },
  ];
  t.deepEqual(chosen({ archMap }).architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  t.deepEqual(chosen({ archMap }, { architecture: 'arm64' }).architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  // What is empty is not there at all.
  t.deepEqual(Object.keys(chosen({ archMap, flags: [], syscalls: [] }, { architecture: 'riscv64' })), ['defaultAction']);
  const written = chosen({ syscalls: [{ names: ['read'], name: '', action: ALLOW, args: [], comment: 'c', includes: {}, errno: '' }] });
  t.deepEqual(written.syscalls, [{ names: ['read'], action: ALLOW }] as unknown as Seccomp['syscalls']);
});

test('the errno by name or number, as containers-common has it, over errnoRet', (t) => {
  const returned = (fields: object) => {
    const { defaultErrnoRet, syscalls = [] } = chosen({ syscalls: [{ names: ['a'], action: 'SCMP_ACT_ERRNO', ...fields }], ...fields });
    return [defaultErrnoRet, syscalls[0]?.errnoRet];
  };
  t.deepEqual(returned({ errno: 'ENOSYS', errnoRet: 1 }), [undefined, 38]);
  t.deepEqual(returned({ errno: '', errnoRet: 1 }), [undefined, 1]);
  t.deepEqual(returned({ errno: '5' }), [undefined, 5]);
  t.deepEqual(returned({ errno: 7 }), [undefined, 7]);
  t.deepEqual(returned({ errno: 'EHWPOISON' }), [undefined, 133]);
  t.deepEqual(returned({ errno: 'ENOTSUP' }), [undefined, 95]);
  t.is(chosen({ defaultErrno: 'ENOSYS', defaultErrnoRet: 1 }).defaultErrnoRet, 38);
  t.is(chosen({ defaultErrno: 'EPERM' }).defaultErrnoRet, 1);
});

for (const [title, text, code, message] of [
  ['no JSON', '{', 'config-syntax', /^f /],
  ['no object', '[]', 'config-invalid', /^f \(document\): expected an object/],
  ['no default', '{}', 'config-invalid', /^f \/defaultAction: required/],
  ['an action that there is not', profile({ syscalls: [{ names: ['a'], action: 'KILL' }] }), 'config-invalid', /^f \/syscalls\/0\/action: /],
  ['no names', profile({ syscalls: [{ action: ALLOW }] }), 'config-invalid', /^f \/syscalls\/0\/names: /],
  ['names in two ways', profile({ syscalls: [{ name: 'a', names: ['b'], action: ALLOW }] }), 'config-invalid', /^f \/syscalls\/0\/name: .*names/],
  ['architectures in two ways', profile({ archMap: [{ architecture: 'SCMP_ARCH_X86' }], architectures: ['y'] }), 'config-invalid', /^f \/archMap: /],
  ['an architecture that there is not', profile({ archMap: [{ architecture: 'x' }] }), 'config-invalid', /^f \/archMap\/0\/architecture: /],
  [
    'an architecture below another that there is not',
    profile({ archMap: [{ architecture: 'SCMP_ARCH_ARM', subArchitectures: ['x'] }] }),
    'config-invalid',
    /^f \/archMap\/0\/subArchitectures\/0: /,
  ],
  ['an errno without number', profile({ defaultErrno: 'ENONE' }), 'config-invalid', /^f \/defaultErrno: .*ENOSYS.*"ENONE"/],
  ['an errno of no name', profile({ syscalls: [{ names: ['a'], action: ALLOW, errno: '-' }] }), 'config-invalid', /^f \/syscalls\/0\/errno: /],
  [
    'an errno for nothing',
    profile({ syscalls: [{ names: ['a'], action: ALLOW, errno: 'EPERM' }] }),
    'config-invalid',
    /^f \/syscalls\/0\/errno: the/,
  ],
  ['an errno too large', profile({ defaultErrno: '5000' }), 'config-invalid', /^f \/defaultErrno: .*4095/],
  [
    'a condition that there is not',
    profile({ syscalls: [{ names: ['a'], action: ALLOW, includes: { cap: ['CAP_BPF'] } }] }),
    'config-invalid',
    /^f \/syscalls\/0\/includes\/cap: there is no such property/,
  ],
  ['a misspelt condition', profile({ syscalls: [{ names: ['a'], action: ALLOW, include: {} }] }), 'config-invalid', /^f \/syscalls\/0\/include: /],
  ['no version', profile({ syscalls: [{ names: ['a'], action: ALLOW, includes: { minKernel: 'new' } }] }), 'config-invalid', /minKernel: /],
  ['an errno that there is not', profile({ defaultErrnoRet: 5000 }), 'config-invalid', /^f \/defaultErrnoRet: /],
] as const) {
  test(`a fault has its place in the file: ${title}`, (t) => {
    t.throws(() => parseProfile(text, 'f'), { code, message });
  });
}
