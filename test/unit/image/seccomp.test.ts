import test from 'ava';
import { defaultSeccomp } from '../../../src/image/seccomp.ts';
import { CAPABILITIES } from '../../../src/spec/names.ts';
import { parseSpec } from '../../../src/spec/parse.ts';
import type { Seccomp } from '../../../src/spec/types.ts';

function profile(capabilities: readonly string[] = [], architecture = 'amd64'): Seccomp {
  const seccomp = defaultSeccomp(capabilities, architecture);
  const spec = parseSpec({ ociVersion: '1.3.0', root: { path: 'x' }, linux: { seccomp } });
  return spec.linux.seccomp as Seccomp;
}

/** Names that are allowed whatever their arguments. */
function allowed(seccomp: Seccomp): ReadonlySet<string> {
  return new Set(seccomp.syscalls.filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args.length === 0).flatMap(({ names }) => names));
}

test('the default is EPERM, and each name stands there once', (t) => {
  const seccomp = profile();
  t.is(seccomp.defaultAction, 'SCMP_ACT_ERRNO');
  t.is(seccomp.defaultErrnoRet, 1);
  const [first] = profile(Object.keys(CAPABILITIES)).syscalls;
  t.is(new Set(first?.names).size, first?.names.length ?? -1);
});

test('what ordinary programs need is allowed', (t) => {
  const names = allowed(profile());
  for (const name of 'read write openat execve mmap futex epoll_wait accept4 setuid chown ptrace rseq statx fchmodat2 mseal'.split(' '))
    t.true(names.has(name), name);
});

test('what manages the machine or is shared between containers is not', (t) => {
  const names = allowed(profile());
  const refused =
    'mount umount2 setns unshare bpf perf_event_open init_module kexec_load reboot keyctl add_key request_key io_uring_setup io_uring_enter userfaultfd ' +
    'open_by_handle_at settimeofday clock_settime iopl ioperm swapon acct chroot process_vm_readv move_pages clone clone3 socket personality syslog';
  for (const name of refused.split(' ')) t.false(names.has(name), name);
});

test('a capability opens what it is for, and no other does', (t) => {
  const base = allowed(profile());
  const opened: Readonly<Record<string, string>> = {
    CAP_SYS_ADMIN: 'mount unshare clone clone3 bpf setns',
    CAP_SYS_CHROOT: 'chroot',
    CAP_SYS_TIME: 'settimeofday',
    CAP_SYS_PTRACE: 'process_vm_writev',
    CAP_SYS_MODULE: 'finit_module',
    CAP_DAC_READ_SEARCH: 'open_by_handle_at',
    CAP_NET_ADMIN: '',
  };
  for (const [capability, text] of Object.entries(opened)) {
    const names = allowed(profile([capability]));
    for (const name of text.split(' ').filter(Boolean)) {
      t.false(base.has(name));
      t.true(names.has(name), `${capability} ${name}`);
    }
    if (text === '') t.deepEqual(names, base);
  }
});

test('new namespaces are seen in the flags of clone, and clone3 does not exist', (t) => {
  const { syscalls } = profile();
  const clone = syscalls.filter(({ names }) => names.includes('clone'));
  t.deepEqual(
    clone.map(({ args }) => args),
    [[{ index: 0, value: 0x7e020000n, valueTwo: 0n, op: 'SCMP_CMP_MASKED_EQ' }]],
  );
  t.deepEqual(hidden(profile()), ['socketcall', 'clone3']);
  t.deepEqual(hidden(profile(['CAP_SYS_ADMIN'])), ['socketcall']);
});

/** Calls that do not exist. */
function hidden({ syscalls }: Seccomp): readonly string[] {
  return syscalls.filter(({ errnoRet }) => errnoRet === 38).flatMap(({ names }) => names);
}

test('sockets are of every family but two, whatever is in the half of the argument that the kernel does not look at', (t) => {
  const rules = profile().syscalls.filter(({ names }) => names.includes('socket'));
  const isAllowed = (family: bigint): boolean => rules.some(({ args: [arg] }) => arg !== undefined && (family & arg.value) === arg.valueTwo);
  for (const high of [0n, 1n << 32n, 0xffff_ffffn << 32n]) {
    for (let family = 0n; family < 64n; family++)
      t.is(isAllowed(high | family), family < 48n && family !== 38n && family !== 40n, `${high | family}`);
    t.false(isAllowed(high | 0xffff_ffffn));
  }
  t.true(rules.every(({ args }) => args.every(({ op }) => op === 'SCMP_CMP_MASKED_EQ')));
});

test('the architectures are those of the image', (t) => {
  t.deepEqual(profile([], 'amd64').architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
  t.deepEqual(profile([], 'arm64').architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  t.deepEqual(profile([], 'riscv64').architectures, []);
});
