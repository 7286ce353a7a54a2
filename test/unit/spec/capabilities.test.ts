import test from 'ava';
import { grantedCapabilities, inUserNamespace } from '../../../src/spec/capabilities.ts';
import { CAPABILITIES, RLIMITS } from '../../../src/spec/names.ts';
import type { Capabilities } from '../../../src/spec/types.ts';

const ALL = (1n << 41n) - 1n;
const facts = { lastCapability: 40, permitted: ALL, bounding: ALL };
const none: Capabilities = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
const bit = (name: string): bigint => 1n << BigInt(CAPABILITIES[name] ?? 0);

test('names have the numbers of the kernel', (t) => {
  t.is(CAPABILITIES.CAP_CHOWN, 0);
  t.is(CAPABILITIES.CAP_SYS_ADMIN, 21);
  t.is(CAPABILITIES.CAP_CHECKPOINT_RESTORE, 40);
  t.is(Object.keys(CAPABILITIES).length, 41);
  t.is(RLIMITS.RLIMIT_NOFILE, 7);
  t.is(RLIMITS.RLIMIT_RTTIME, 15);
});

test('every set becomes its mask', (t) => {
  const names = ['CAP_KILL', 'CAP_CHOWN', 'CAP_KILL'];
  const mask = bit('CAP_KILL') | bit('CAP_CHOWN');
  const capabilities = { bounding: names, effective: names, inheritable: names, permitted: names, ambient: names };
  t.deepEqual(grantedCapabilities(capabilities, facts), {
    masks: { bounding: mask, effective: mask, inheritable: mask, permitted: mask, ambient: mask },
    warnings: [],
  });
});

test('what the kernel or the runtime lacks is left out, with one warning for each capability', (t) => {
  const names = ['CAP_SYS_RESOURCE', 'CAP_KILL', 'CAP_BPF'];
  const poor = { lastCapability: 37, permitted: ALL & ~bit('CAP_SYS_RESOURCE'), bounding: ALL & ~bit('CAP_SYS_RESOURCE') };
  const capabilities = { ...none, bounding: names, effective: names, permitted: names };
  const granted = grantedCapabilities(capabilities, poor);
  t.deepEqual(granted.masks, { bounding: bit('CAP_KILL'), effective: bit('CAP_KILL'), inheritable: 0n, permitted: bit('CAP_KILL'), ambient: 0n });
  t.deepEqual(granted.warnings, [
    'capability CAP_SYS_RESOURCE cannot be granted: the runtime does not have it',
    'capability CAP_BPF cannot be granted: this kernel does not have it',
  ]);
  t.is(grantedCapabilities(capabilities, inUserNamespace(poor)).masks.permitted, bit('CAP_KILL') | bit('CAP_SYS_RESOURCE'));
});

test('the bounding set is limited by the bounding set of the runtime', (t) => {
  const capabilities = { ...none, bounding: ['CAP_KILL'], permitted: ['CAP_KILL'] };
  t.is(grantedCapabilities(capabilities, { ...facts, permitted: 0n }).masks.bounding, bit('CAP_KILL'));
  t.is(grantedCapabilities(capabilities, { ...facts, bounding: 0n }).masks.permitted, bit('CAP_KILL'));
});

test('effective outside permitted, inheritable outside bounding, and ambient outside permitted and inheritable, are left out with a warning', (t) => {
  const granted = grantedCapabilities(
    {
      ...none,
      effective: ['CAP_KILL', 'CAP_CHOWN'],
      permitted: ['CAP_CHOWN', 'CAP_FOWNER'],
      bounding: ['CAP_FOWNER'],
      inheritable: ['CAP_FOWNER', 'CAP_BPF'],
      ambient: ['CAP_CHOWN', 'CAP_FOWNER'],
    },
    facts,
  );
  t.is(granted.masks.effective, bit('CAP_CHOWN'));
  t.is(granted.masks.ambient, bit('CAP_FOWNER'));
  t.deepEqual(granted.warnings, [
    'effective capability CAP_KILL cannot be granted: it is not permitted',
    'inheritable capability CAP_BPF cannot be granted: it is not in the bounding set',
    'ambient capability CAP_CHOWN cannot be granted: it is not both permitted and inheritable',
  ]);
});

test('a name that no kernel has is a warning, once', (t) => {
  for (const name of ['CAP_FLY', 'cap_kill', 'KILL', '', 'constructor', '__proto__', 'a\nb']) {
    const names = ['CAP_KILL', name];
    const { masks, warnings } = grantedCapabilities({ ...none, bounding: names, permitted: names }, facts);
    t.is(masks.permitted, bit('CAP_KILL'));
    t.deepEqual(warnings, [`capability ${JSON.stringify(name)} cannot be granted: there is none of this name`]);
  }
});

test('of names beyond number only some are told', (t) => {
  const names = Array.from({ length: 100_000 }, (_, index) => `CAP_${index}`);
  const { warnings } = grantedCapabilities({ ...none, bounding: names }, facts);
  t.true(warnings.length < 50);
  t.regex(warnings.at(-1) ?? '', /^99959 more capabilities/);
});
