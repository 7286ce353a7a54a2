import { existsSync, readFileSync } from 'node:fs';
import AjvDraft04 from 'ajv-draft-04';
import test from 'ava';
import { main } from '../../../src/cli/main.ts';
import { OCI_VERSION } from '../../../src/spec/defaults.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';
import { noArchive } from '../../helpers/no-archive.ts';

const FOLDER = new URL('../../../../shared/runtime-spec/schema/', import.meta.url);
const FILES = ['features-schema.json', 'features-linux.json', 'defs.json', 'defs-linux.json'];
const missing = FILES.every((file) => existsSync(new URL(file, FOLDER))) ? undefined : `no runtime-spec schema in ${FOLDER.pathname}`;

interface Features {
  readonly ociVersionMin: string;
  readonly ociVersionMax: string;
  readonly hooks: readonly string[];
  readonly mountOptions: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly potentiallyUnsafeConfigAnnotations: readonly string[];
  readonly linux: {
    readonly namespaces: readonly string[];
    readonly capabilities: readonly string[];
    readonly seccomp: Readonly<Record<'actions' | 'operators' | 'archs' | 'knownFlags' | 'supportedFlags', readonly string[]>>;
    readonly memoryPolicy: { readonly modes: readonly string[]; readonly flags: readonly string[] };
    readonly mountExtensions: { readonly idmap: { readonly enabled: boolean } };
  };
}

const EVERY_NAMESPACE = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];

async function print(change: (machine: FakeMachine) => void = () => {}, libseccomp = '2.5.4'): Promise<Features> {
  const machine = new FakeMachine();
  for (const name of EVERY_NAMESPACE) machine.file(`/proc/self/ns/${name}`, '');
  change(machine);
  const host = new FakeHost(machine);
  if ((await main(host, noArchive, ['features'], { commit: 'abc', libseccomp })) !== 0) throw new Error(host.complained.join(''));
  return JSON.parse(host.printed.join('')) as Features;
}

(missing === undefined ? test : test.skip)(`features: the official schema accepts them${missing === undefined ? '' : ` (${missing})`}`, async (t) => {
  const Ajv = AjvDraft04 as unknown as typeof AjvDraft04.default;
  const ajv = new Ajv({ strict: false });
  for (const file of FILES) ajv.addSchema(JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')), file);
  const validate = ajv.getSchema('features-schema.json');
  t.true(validate?.(await print()), JSON.stringify(validate?.errors));
});

test('features: what engines look at', async (t) => {
  const features = await print();
  t.is(features.ociVersionMin, '1.0.0');
  t.is(features.ociVersionMax, OCI_VERSION);
  t.deepEqual(features.hooks, ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop']);
  t.deepEqual(features.mountOptions, [...features.mountOptions].sort());
  for (const option of ['rro', 'idmap', 'ridmap', 'iversion', 'nosymfollow', 'tmpcopyup']) t.true(features.mountOptions.includes(option), option);
  t.deepEqual(features.linux.namespaces, ['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts']);
  t.is(features.linux.capabilities.length, 41);
  t.true(features.linux.mountExtensions.idmap.enabled);
  t.deepEqual(features.potentiallyUnsafeConfigAnnotations, ['dev.strata.', 'org.systemd.property.', 'org.criu.config']);
  t.like(features.annotations, { 'dev.strata.commit': 'abc', 'io.github.seccomp.libseccomp.version': '2.5.4' });
});

test('features: what the kernel and libseccomp lack is left out', async (t) => {
  const old = await print((machine) => {
    machine.nodes.delete('/proc/self/ns/time');
    machine.nodes.delete('/proc/self/ns/user');
    machine.file('/proc/sys/kernel/osrelease', '5.10.0\n');
  });
  t.deepEqual(old.linux.namespaces, ['cgroup', 'ipc', 'mount', 'network', 'pid', 'uts']);
  t.true(old.linux.seccomp.knownFlags.includes('SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'));
  t.false(old.linux.seccomp.supportedFlags.includes('SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'));
  t.false(old.linux.seccomp.archs.includes('SCMP_ARCH_LOONGARCH64'));
  t.true((await print(undefined, '2.6.0')).linux.seccomp.archs.includes('SCMP_ARCH_LOONGARCH64'));
});

test('features: every name in them is one that a configuration may use', async (t) => {
  const { ociVersionMin, linux } = await print();
  const { seccomp, memoryPolicy } = linux;
  const load = (parts: object) => loadSpec(JSON.stringify({ ociVersion: ociVersionMin, root: { path: 'rootfs' }, linux: parts }));
  for (const type of linux.namespaces) t.notThrows(() => load({ namespaces: [{ type }] }), type);
  t.notThrows(() => load({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', architectures: seccomp.archs, flags: seccomp.supportedFlags } }));
  for (const action of seccomp.actions) t.notThrows(() => load({ seccomp: { defaultAction: action } }), action);
  const rule = (op: string) => ({ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 0, op }] });
  t.notThrows(() => load({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: seccomp.operators.map(rule) } }));
  for (const mode of memoryPolicy.modes) t.notThrows(() => load({ memoryPolicy: { mode, flags: memoryPolicy.flags } }), mode);
});
