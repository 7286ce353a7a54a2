import test from 'ava';
import { encodeSeccomp } from '../../../src/plan/seccomp.ts';
import type { Seccomp } from '../../../src/spec/types.ts';
import { Reader } from './_decode.ts';
import { only, plan } from './_support.ts';

const PROFILE: Seccomp = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  flags: ['SECCOMP_FILTER_FLAG_LOG'],
  syscalls: [
    { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW', args: [] },
    {
      names: ['clone'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 0,
      args: [{ index: 5, value: 0xffffffffffffffffn, valueTwo: 1n, op: 'SCMP_CMP_MASKED_EQ' }],
    },
  ],
};

test('the profile, field by field', (t) => {
  const read = new Reader(encodeSeccomp(PROFILE));
  const rule = () => ({
    action: read.next(),
    errno: read.next(),
    names: read.list(() => read.next()),
    args: read.list(() => [read.next(), read.next(), read.next(), read.next()]),
  });
  t.is(read.next(), 1);
  t.is(read.next(), 'SCMP_ACT_ERRNO');
  t.is(read.next(), 38);
  t.deepEqual(
    read.list(() => read.next()),
    PROFILE.architectures,
  );
  t.deepEqual(
    read.list(() => read.next()),
    PROFILE.flags,
  );
  t.deepEqual(read.list(rule), [
    { action: 'SCMP_ACT_ALLOW', errno: 0xffffffff, names: ['read', 'write'], args: [] },
    { action: 'SCMP_ACT_ERRNO', errno: 0, names: ['clone'], args: [[5, 0xffffffffffffffffn, 1n, 'SCMP_CMP_MASKED_EQ']] },
  ]);
  t.is(read.at, encodeSeccomp(PROFILE).length);
});

test('equal profiles are equal values, different ones are not: they are the key of the cache', (t) => {
  t.deepEqual(encodeSeccomp(PROFILE), encodeSeccomp(structuredClone(PROFILE)));
  const { defaultErrnoRet, ...rest } = PROFILE;
  t.is(defaultErrnoRet, 38);
  t.notDeepEqual(encodeSeccomp(PROFILE), encodeSeccomp(rest));
});

test('in a plan', (t) => {
  t.deepEqual(only(plan(), 'seccomp-compile'), []);
  t.deepEqual(only(plan(), 'seccomp-load'), []);
  const [operation] = only(plan({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } } }), 'seccomp-compile');
  t.like(operation, { cache: '/run/strata/.seccomp', pointer: '/linux/seccomp' });
});
