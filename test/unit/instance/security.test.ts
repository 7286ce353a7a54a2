import test from 'ava';
import type { SecurityOptions } from '../../../src/instance/security.ts';
import {
  categoriesOf,
  freshLevel,
  isKnownLabel,
  newPrivileges,
  resolveSecurity,
  securityOption,
  securityOptions,
  sharedLabel,
} from '../../../src/instance/security.ts';
import type { Store } from '../../../src/store/store.ts';
import { prepareStore } from '../../../src/store/store.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { ROOT } from '../store/_images.ts';

const HERE = { here: true, volumes: [] };
const ELSEWHERE = { here: false, volumes: [] };

const read = (...texts: string[]): SecurityOptions => texts.reduce<SecurityOptions>((before, text) => securityOption(text, before), {});

test('options, in the words of Docker and Podman', (t) => {
  t.deepEqual(read('no-new-privileges'), { noNewPrivileges: true });
  t.deepEqual(read('no-new-privileges=false'), { noNewPrivileges: false });
  t.deepEqual(read('no-new-privileges:true'), { noNewPrivileges: true });
  t.deepEqual(read('apparmor=mine', 'seccomp=/a:b=c.json'), { apparmor: 'mine', seccomp: '/a:b=c.json' });
  t.deepEqual(read('label=type:x_t', 'label=level:s0:c1,c2', 'label:user:staff_u'), { label: { type: 'x_t', level: 's0:c1,c2', user: 'staff_u' } });
  t.deepEqual(read('label=disable'), { label: { disable: true } });
  t.deepEqual(read('mask=/a:/b', 'unmask=/proc/kcore'), { mask: ['/a', '/b'], unmask: ['/proc/kcore'] });
  t.deepEqual(read('mask=/a', 'mask=/b:/c', 'unmask=/proc/kcore', 'unmask=/proc/keys'), {
    mask: ['/a', '/b', '/c'],
    unmask: ['/proc/kcore', '/proc/keys'],
  });
  t.deepEqual(read('seccomp=builtin'), { seccomp: 'builtin' });
  t.deepEqual(read('unmask=all'), { unmask: 'ALL' });
  t.deepEqual(read('systempaths=unconfined'), { unmask: 'ALL' });
});

test('what there is not, has another form or was given before', (t) => {
  for (const [texts, message] of [
    [['aparmor=x'], /^there is no security option "aparmor=x" \(.*apparmor.*systempaths\)$/],
    [[''], /there is no security option ""/],
    [['toString=x'], /there is no/],
    [['apparmor'], /"apparmor" is not of the form apparmor=PROFILE/],
    [['apparmor=a b'], /not of the form/],
    [['seccomp='], /not of the form seccomp=FILE, seccomp=unconfined or seccomp=builtin/],
    [['no-new-privileges=yes'], /not of the form no-new-privileges\[=true\|false\]/],
    [['no-new-privileges='], /not of the form no-new-privileges\[=true\|false\]/],
    [['systempaths=all'], /not of the form systempaths=unconfined/],
    [['mask=a'], /not of the form mask=/],
    [['mask=/a::/b'], /not of the form mask=/],
    ...['//', '/.', '/..', '/proc/../..', '/a:/..', '/a/./../'].map((path) => [[`mask=${path}`], /not of the form mask=/] as const),
    [['unmask=/..'], /not of the form unmask=/],
    [['mask=/a\0b'], /"mask=\/a\\u0000b" holds a NUL or half of a character/],
    [['seccomp=/\ud800'], /holds a NUL or half of a character/],
    [['unmask=/proc/kcore', 'unmask=ALL'], /"unmask=ALL": one of this kind was given before/],
    [['unmask=ALL', 'unmask=/proc/kcore'], /"unmask=\/proc\/kcore": one of this kind was given before/],
    [['unmask=proc'], /not of the form unmask=ALL/],
    [['label=x_t'], /not of the form label=disable/],
    [['label=kind:x_t'], /not of the form label=disable/],
    [['label=type:'], /not of the form label=disable/],
    [['label=type:a:b'], /not of the form label=disable/],
    [['apparmor=a', 'apparmor=a'], /"apparmor=a": one of this kind was given before/],
    [['unmask=ALL', 'systempaths=unconfined'], /given before/],
    [['label=type:a', 'label=type:b'], /"label=type:b": the type was given before/],
    [['label=type:a', 'label=disable'], /label=disable stands alone/],
    [['label=disable', 'label=type:a'], /label=disable stands alone/],
  ] as const) {
    t.throws(() => read(...texts), { code: 'usage', message }, texts.join(' '));
  }
});

test('options of callers without types', (t) => {
  t.deepEqual(securityOptions(['mask=/a', 'mask=/b']), { mask: ['/a', '/b'] });
  for (const wrong of ['mask=/a', [1], [undefined], null, {}])
    t.throws(() => securityOptions(wrong), { code: 'usage', message: /no array of strings/ });
});

test('new privileges are asked for in one way or the other, and not in both', (t) => {
  t.false(newPrivileges({}, false));
  t.true(newPrivileges({}, true));
  t.true(newPrivileges({ noNewPrivileges: false }, false));
  t.false(newPrivileges({ noNewPrivileges: true }, false));
  t.throws(() => newPrivileges({ noNewPrivileges: true }, true), { code: 'usage' });
});

const CONTEXTS =
  'process = "system_u:system_r:container_t:s0"\ncontent = "system_u:object_r:virt_var_lib_t:s0"\nfile = "system_u:object_r:container_file_t:s0"\n';

function machine(modules: { readonly apparmor?: boolean; readonly selinux?: boolean; readonly contexts?: string }): {
  machine: FakeMachine;
  store: Store;
} {
  const fake = new FakeMachine();
  if (modules.apparmor === true) fake.file('/sys/module/apparmor/parameters/enabled', 'Y\n');
  if (modules.selinux === true) fake.file('/sys/fs/selinux/enforce', '1');
  if (modules.contexts !== undefined) {
    fake.file('/etc/selinux/config', '# kind of policy\nSELINUX=enforcing\nSELINUXTYPE=default\n');
    fake.file('/etc/selinux/default/contexts/lxc_contexts', modules.contexts);
  }
  return { machine: fake, store: prepareStore(new FakeHost(fake), ROOT) };
}

test('AppArmor: a profile needs a kernel that enforces it; unconfined is nothing where none does', (t) => {
  const usual = { masked: [], unmasked: [] };
  const without = machine({}).store;
  t.throws(() => resolveSecurity(without, { apparmor: 'mine' }, HERE), {
    code: 'config-unsupported',
    message: 'security option "apparmor=mine": AppArmor is not enabled in this kernel',
  });
  t.deepEqual(resolveSecurity(without, { apparmor: 'unconfined' }, HERE), usual);
  t.deepEqual(resolveSecurity(without, { apparmor: 'mine' }, ELSEWHERE), { ...usual, apparmorProfile: 'mine' });
  const { store } = machine({ apparmor: true });
  for (const apparmor of ['mine', 'unconfined']) t.deepEqual(resolveSecurity(store, { apparmor }, HERE), { ...usual, apparmorProfile: apparmor });
  // A bundle is for another machine, where strata may have a profile.
  t.deepEqual(resolveSecurity(without, { apparmor: 'unconfined' }, ELSEWHERE), { ...usual, apparmorProfile: 'unconfined' });
});

test('AppArmor: a profile that is not loaded, where the kernel tells which ones are', (t) => {
  const { machine: fake, store } = machine({ apparmor: true });
  fake.file('/sys/kernel/security/apparmor/profiles', 'mine (enforce)\nother (complain)\na//b (enforce)\n');
  for (const apparmor of ['mine', 'other', 'a//b', 'unconfined', ':ns:none', 'mine//&none']) {
    t.is(resolveSecurity(store, { apparmor }, HERE).apparmorProfile, apparmor);
  }
  for (const apparmor of ['min', 'mine (enforce)', 'b']) {
    t.throws(() => resolveSecurity(store, { apparmor }, HERE), {
      code: 'config-unsupported',
      message: `security option "apparmor=${apparmor}": no such profile is loaded`,
    });
  }
  t.is(resolveSecurity(store, { apparmor: 'none' }, ELSEWHERE).apparmorProfile, 'none');
});

test('SELinux: what is not given is the policy’s, and two categories of the container’s own', (t) => {
  const { machine: fake, store } = machine({ selinux: true, contexts: CONTEXTS });
  const labels = (...texts: string[]) => {
    const { selinuxLabel, mountLabel } = resolveSecurity(store, read(...texts), HERE);
    return [selinuxLabel, mountLabel];
  };
  t.deepEqual(labels(), [undefined, undefined]);
  t.deepEqual(labels('label=disable'), [undefined, undefined]);
  t.deepEqual(labels('label=level:s0:c5'), ['system_u:system_r:container_t:s0:c5', 'system_u:object_r:container_file_t:s0:c5']);
  t.deepEqual(labels('label=type:x_t', 'label=role:x_r', 'label=user:x_u', 'label=level:s0', 'label=filetype:y_t'), [
    'x_u:x_r:x_t:s0',
    'x_u:object_r:y_t:s0',
  ]);
  const [process = '', file = ''] = labels('label=type:x_t');
  t.regex(process, /^system_u:system_r:x_t:s0:c\d+,c\d+$/);
  t.is(file.replace(/^(?:[^:]*:){3}/, ''), process.replace(/^(?:[^:]*:){3}/, ''));
  // A level that a container of the store has is not given again.
  fake.random = 0xfff;
  const [first = ''] = labels('label=type:x_t');
  fake.directory(`${ROOT}/containers/one`);
  fake.file(`${ROOT}/containers/one/config.json`, JSON.stringify({ process: { selinuxLabel: first } }));
  fake.random = 0xfff;
  const [second = ''] = labels('label=type:x_t');
  t.not(second, first);
  // One whose configuration is large counts too, and one that cannot be read keeps nobody from anything.
  fake.file(`${ROOT}/containers/one/config.json`, `{"pad":"${'x'.repeat(2 * 1024 * 1024)}","process":{"selinuxLabel":"${first}"}}`);
  fake.file(`${ROOT}/containers/two/config.json`, 'x'.repeat(17 * 1024 * 1024));
  fake.random = 0xfff;
  t.is(labels('label=type:x_t')[0], second);
});

test('SELinux: categories that are not taken', (t) => {
  t.is(categoriesOf('s0:c5,c3'), categoriesOf('s0:c3,c5'));
  t.is(categoriesOf('s0-s0:c0.c2,c1'), '0,1,2');
  t.is(categoriesOf('s0:c0.c99999999'), categoriesOf('s0:c0.c1023'));
  t.is(categoriesOf('s0'), '');
  t.is(freshLevel(1, new Set()), 's0:c0,c1');
  t.is(freshLevel(1024 * 1024 - 1, new Set()), 's0:c0,c1');
  t.is(freshLevel(1, new Set([categoriesOf('s0:c1,c0')])), 's0:c0,c2');
  t.throws(() => freshLevel(7, { has: () => true }), { code: 'config-unsupported', message: /all pairs of categories/ });
});

test('SELinux: a volume that others have too needs a level that is the same for all', (t) => {
  const { store } = machine({ selinux: true, contexts: CONTEXTS });
  const named = { here: true, volumes: ['data'] };
  t.throws(() => resolveSecurity(store, read('label=type:x_t'), named), {
    code: 'usage',
    message: /^security option "label=type:x_t" with the volume data needs label=level:LEVEL too \(/,
  });
  t.is(resolveSecurity(store, read('label=type:x_t', 'label=level:s0:c1'), named).selinuxLabel, 'system_u:system_r:x_t:s0:c1');
  for (const options of [{}, read('label=disable')]) t.is(resolveSecurity(store, options, named).selinuxLabel, undefined);
  // A policy without levels has nothing that could differ.
  const plain = machine({ selinux: true, contexts: CONTEXTS.replaceAll(':s0', '') }).store;
  t.is(resolveSecurity(plain, read('label=type:x_t'), named).selinuxLabel, 'system_u:system_r:x_t');
});

test('SELinux: a label that the policy has not got is refused before anything is made', (t) => {
  const { machine: fake, store } = machine({ selinux: true, contexts: CONTEXTS });
  fake.refusals.set('/sys/fs/selinux/context', (text) => (text.includes('none_t') ? 22 : undefined));
  for (const [option, label] of [
    ['label=type:none_t', 'system_u:system_r:none_t:s0'],
    ['label=filetype:none_t', 'system_u:object_r:none_t:s0'],
  ] as const) {
    t.throws(() => resolveSecurity(store, read('label=level:s0', option), HERE), {
      code: 'config-unsupported',
      message: new RegExp(`: this machine's policy has no label ${label}$`),
    });
  }
  t.is(resolveSecurity(store, read('label=level:s0', 'label=type:none_t'), ELSEWHERE).selinuxLabel, 'system_u:system_r:none_t:s0');
  // Not every process may ask.
  fake.refusals.set('/sys/fs/selinux/context', () => 13);
  t.true(isKnownLabel(store.host, 'a:b:c'));
});

test('SELinux: a kernel or a policy that has nothing for containers', (t) => {
  const off = machine({ contexts: CONTEXTS }).store;
  t.throws(() => resolveSecurity(off, read('label=type:x_t'), HERE), {
    code: 'config-unsupported',
    message: 'security option "label=type:x_t": SELinux is not enabled in this kernel',
  });
  t.is(resolveSecurity(off, read('label=level:s0'), ELSEWHERE).mountLabel, 'system_u:object_r:container_file_t:s0');
  for (const contexts of [undefined, 'other = "x"\n']) {
    const { store } = machine({ selinux: true, ...(contexts !== undefined && { contexts }) });
    t.throws(() => resolveSecurity(store, read('label=level:s0'), HERE), {
      code: 'usage',
      message: /names no label for containers \(label=type:TYPE/,
    });
    t.throws(() => resolveSecurity(store, read('label=type:x_t'), HERE), { code: 'usage', message: /label=filetype:TYPE/ });
    const { selinuxLabel } = resolveSecurity(store, read('label=type:x_t', 'label=filetype:y_t', 'label=level:s0'), HERE);
    t.is(selinuxLabel, 'system_u:system_r:x_t:s0');
  }
  // A policy without levels.
  const { store } = machine({ selinux: true, contexts: CONTEXTS.replaceAll(':s0', '') });
  t.is(resolveSecurity(store, read('label=type:x_t'), HERE).selinuxLabel, 'system_u:system_r:x_t');
});

test('what containers share has no categories', (t) => {
  t.is(sharedLabel('system_u:object_r:x_t:s0:c1,c2'), 'system_u:object_r:x_t:s0');
  t.is(sharedLabel('system_u:object_r:x_t:s0-s0:c0.c1023'), 'system_u:object_r:x_t:s0');
  t.is(sharedLabel('system_u:object_r:x_t'), 'system_u:object_r:x_t');
});

test('a profile of system calls is read, and what is wrong with it has its place in the file', (t) => {
  const { machine: fake, store } = machine({});
  t.is(resolveSecurity(store, { seccomp: 'unconfined' }, HERE).seccomp, 'unconfined');
  t.throws(() => resolveSecurity(store, { seccomp: '/none.json' }, HERE), { code: 'system', message: /\/none\.json/ });
  fake.file('/bad.json', '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"NO"}]}');
  t.throws(() => resolveSecurity(store, { seccomp: '/bad.json' }, HERE), { code: 'config-invalid', message: /^\/bad\.json \/syscalls\/0\/action: / });
  fake.file('/good.json', '{"defaultAction":"SCMP_ACT_ALLOW"}');
  const { seccomp } = resolveSecurity(store, { seccomp: '/good.json' }, HERE);
  t.is(resolveSecurity(store, { seccomp: 'builtin' }, HERE).seccomp, undefined);
  t.is(typeof seccomp === 'object' && seccomp.profile.seccomp.defaultAction, 'SCMP_ACT_ALLOW');
});
