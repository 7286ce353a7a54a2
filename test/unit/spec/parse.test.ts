import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { loadSpec, MAX_SPEC_LENGTH, parseProcess, parseResources, parseSpec } from '../../../src/spec/parse.ts';
import type { Spec } from '../../../src/spec/types.ts';

const minimal = { ociVersion: '1.3.0', root: { path: 'rootfs' } };
const withProcess = (process: object): object => ({ ...minimal, process: { cwd: '/', ...process } });
const withLinux = (linux: object): object => ({ ...minimal, linux });
const withResources = (resources: object): object => withLinux({ resources });

test('what is absent gets its default', (t) => {
  const spec: Spec = {
    ociVersion: '1.3.0',
    root: { path: 'rootfs', readonly: false },
    mounts: [],
    hooks: { prestart: [], createRuntime: [], createContainer: [], startContainer: [], poststart: [], poststop: [] },
    annotations: {},
    linux: {
      namespaces: [],
      uidMappings: [],
      gidMappings: [],
      devices: [],
      resources: { devices: [], hugepageLimits: [], unified: {} },
      sysctl: {},
      maskedPaths: [],
      readonlyPaths: [],
    },
  };
  t.deepEqual(parseSpec(minimal), spec);
  t.deepEqual(parseSpec({ ...minimal, linux: {}, hooks: {}, mounts: null, process: null, hostname: '' }), spec);
  t.deepEqual(parseSpec(withProcess({})).process, {
    terminal: false,
    cwd: '/',
    env: [],
    args: [],
    user: { uid: 0, gid: 0, additionalGids: [] },
    rlimits: [],
    noNewPrivileges: false,
  });
  t.deepEqual(parseSpec(withProcess({ capabilities: { bounding: ['CAP_KILL'] } })).process?.capabilities, {
    bounding: ['CAP_KILL'],
    effective: [],
    inheritable: [],
    permitted: [],
    ambient: [],
  });
});

test('unknown properties and sections of other platforms are ignored', (t) => {
  t.deepEqual(parseSpec({ ...minimal, windows: 7, 'x-vendor': { a: [1] }, linux: { future: true } }), parseSpec(minimal));
});

test('64-bit properties are bigints of the exact value', (t) => {
  const { linux, process } = loadSpec(
    `{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/","rlimits":[{"type":"RLIMIT_NOFILE","soft":1024,"hard":18446744073709551615}]},
      "linux":{"resources":{"memory":{"limit":9223372036854775807,"swap":-1},"cpu":{"quota":-9223372036854775808}},
      "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":9007199254740993,"op":"SCMP_CMP_EQ"}]}]}}}`,
  );
  t.deepEqual(process?.rlimits, [{ type: 'RLIMIT_NOFILE', soft: 1024n, hard: 2n ** 64n - 1n }]);
  t.deepEqual(linux.resources.memory, { limit: 2n ** 63n - 1n, swap: -1n });
  t.is(linux.resources.cpu?.quota, -(2n ** 63n));
  t.deepEqual(linux.seccomp?.syscalls[0]?.args, [{ index: 0, value: 2n ** 53n + 1n, valueTwo: 0n, op: 'SCMP_CMP_EQ' }]);
});

test('a file mode may carry the file type, as engines emit it', (t) => {
  const device = { type: 'c', path: '/dev/fuse', major: 10, minor: 229 };
  t.is(parseSpec(withLinux({ devices: [{ ...device, fileMode: 8630 }] })).linux.devices[0]?.fileMode, 0o666);
  t.is(parseSpec(withLinux({ devices: [{ ...device, fileMode: 0o104755 }] })).linux.devices[0]?.fileMode, 0o4755);
  t.deepEqual(parseSpec(withLinux({ devices: [{ type: 'p', path: '/run/fifo' }] })).linux.devices, [
    { type: 'p', path: '/run/fifo', major: 0, minor: 0 },
  ]);
});

test('-1, and an empty type or access, stand for all in device rules', (t) => {
  t.deepEqual(parseResources({ devices: [{ allow: false, type: '', major: -1, minor: -1, access: '' }] }).devices, [{ allow: false }]);
  t.deepEqual(parseResources({ devices: [{ allow: true, type: 'c', major: 1, minor: 0, access: 'rw' }] }).devices, [
    { allow: true, type: 'c', major: 1, minor: 0, access: 'rw' },
  ]);
});

test('an empty path, label or list of mappings is an absent one', (t) => {
  const { linux, mounts } = parseSpec({
    ...minimal,
    mounts: [{ destination: '/a', type: '', source: '', options: null, uidMappings: [], gidMappings: null }],
    linux: { namespaces: [{ type: 'pid', path: '' }], mountLabel: '', cgroupsPath: '' },
  });
  t.deepEqual(mounts, [{ destination: '/a', options: [] }]);
  t.deepEqual(linux.namespaces, [{ type: 'pid' }]);
  t.false('mountLabel' in linux || 'cgroupsPath' in linux);
});

test('keys of maps keep their meaning, __proto__ too', (t) => {
  const { annotations } = loadSpec('{"ociVersion":"1.0.0","root":{"path":"r"},"annotations":{"__proto__":"x","a":"b"}}');
  t.deepEqual(Object.entries(annotations), [
    ['__proto__', 'x'],
    ['a', 'b'],
  ]);
});

const faults: readonly [config: unknown, pointer: string, reason: RegExp | string][] = [
  [null, '', 'expected an object, found null'],
  [[], '', 'expected an object, found an array'],
  [{}, '/ociVersion', 'required, but absent'],
  [{ ociVersion: '1.0.0' }, '/root', 'required, but absent'],
  [{ ...minimal, root: { path: null } }, '/root/path', 'required, but absent'],
  [withProcess({ user: { uid: 4294967296 } }), '/process/user/uid', 'expected an integer from 0 to 4294967295, found 4294967296'],
  [withProcess({ user: { gid: 2n ** 64n } }), '/process/user/gid', 'expected an integer from 0 to 4294967295, found 18446744073709551616'],
  [withProcess({ user: { additionalGids: [0, -1] } }), '/process/user/additionalGids/1', 'expected an integer from 0 to 4294967295, found -1'],
  [withProcess({ args: ['a', null] }), '/process/args/1', 'expected a string, found null'],
  [withProcess({ args: ['a', 'b\0c'] }), '/process/args/1', 'must not contain a NUL byte'],
  [withProcess({ cwd: undefined }), '/process/cwd', 'required, but absent'],
  [
    withProcess({ rlimits: [{ type: 'RLIMIT_CPU', soft: 0, hard: 2n ** 64n }] }),
    '/process/rlimits/0/hard',
    /^expected an integer from 0 to 18446744073709551615, found 18446744073709551616$/,
  ],
  [
    withProcess({ rlimits: [{ type: 'nofile', soft: 0, hard: 0 }] }),
    '/process/rlimits/0/type',
    'expected a name such as RLIMIT_NOFILE, found "nofile"',
  ],
  [{ ...minimal, annotations: { 'a/b~c': 1 } }, '/annotations/a~1b~0c', 'expected a string, found 1'],
  [{ ...minimal, annotations: { '': 'x' } }, '/annotations/', 'the empty string is not a key'],
  [{ ...minimal, annotations: { 'a\0': 'x' } }, '/annotations/a\0', 'must not contain a NUL byte'],
  [{ ...minimal, hooks: { poststop: [{ path: '/a', timeout: 0 }] } }, '/hooks/poststop/0/timeout', /found 0$/],
  [withLinux({ namespaces: [{ type: 'net' }] }), '/linux/namespaces/0/type', /^expected one of user, .*, found "net"$/],
  [
    withLinux({ seccomp: { defaultAction: 'SCMP_ACT_DENY' } }),
    '/linux/seccomp/defaultAction',
    /^expected one of SCMP_ACT_KILL, .* found "SCMP_ACT_DENY"$/,
  ],
  [
    withLinux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [], action: 'SCMP_ACT_LOG' }] } }),
    '/linux/seccomp/syscalls/0/names',
    /at least one name/,
  ],
  [withLinux({ devices: [{ type: 'c', path: '/dev/x', major: 4096, minor: 0 }] }), '/linux/devices/0/major', /from 0 to 4095, found 4096/],
  [withLinux({ devices: [{ type: 'b', path: '/dev/x', major: 1, minor: 2 ** 20 }] }), '/linux/devices/0/minor', /from 0 to 1048575/],
  [withLinux({ devices: [{ type: 'u', path: '/dev/x', major: 1 }] }), '/linux/devices/0/minor', 'required for a device of type u, but absent'],
  [withLinux({ devices: [{ type: 'p', path: '/x', fileMode: 0o200000 }] }), '/linux/devices/0/fileMode', /found 65536/],
  [withResources({ devices: [{ allow: true, major: -2 }] }), '/linux/resources/devices/0/major', /found -2/],
  [withResources({ devices: [{ allow: true, access: 'rx' }] }), '/linux/resources/devices/0/access', 'expected letters of rwm, found "rx"'],
  [withResources({ memory: { limit: 2n ** 63n } }), '/linux/resources/memory/limit', /found 9223372036854775808$/],
  [withResources({ memory: { limit: 1.5 } }), '/linux/resources/memory/limit', /found 1.5$/],
  [withResources({ hugepageLimits: [{ pageSize: '2mb', limit: 0 }] }), '/linux/resources/hugepageLimits/0/pageSize', /a page size such as 2MB/],
  [withLinux({ personality: {} }), '/linux/personality/domain', 'required, but absent'],
  [{ ...minimal, hostname: 'x'.repeat(1_000_000).split('') }, '/hostname', 'expected a string, found an array'],
  [withProcess({ terminal: 'x'.repeat(1_000_000) }), '/process/terminal', /^.{60,100}…$/],
];
for (const [config, pointer, reason] of faults) {
  test(`refused: ${JSON.stringify(pointer)} ${reason}`, (t) => {
    const error = t.throws(() => parseSpec(config), { instanceOf: StrataError }) as StrataError;
    t.is(error.code, 'config-invalid');
    t.is(error.pointer, pointer);
    if (typeof reason === 'string') t.is(error.reason, reason);
    else t.regex(error.reason, reason);
  });
}

test('a process or resources by themselves have pointers of their own', (t) => {
  t.is((t.throws(() => parseProcess({ cwd: 1 })) as StrataError).pointer, '/cwd');
  t.is((t.throws(() => parseProcess({ cwd: 1 }, '/process')) as StrataError).pointer, '/process/cwd');
  t.is((t.throws(() => parseResources({ pids: { limit: 'x' } }, '/linux/resources')) as StrataError).pointer, '/linux/resources/pids/limit');
  t.deepEqual(parseResources({ pids: {} }).pids, {});
});

test('a document over 16 MiB is not read', (t) => {
  const error = t.throws(() => loadSpec(' '.repeat(MAX_SPEC_LENGTH + 1)), { instanceOf: StrataError }) as StrataError;
  t.regex(error.message, /larger than 16 MiB/);
  t.throws(() => loadSpec(' '.repeat(MAX_SPEC_LENGTH)), { message: /found the end/ });
});

test('a long key makes a short message', (t) => {
  const error = t.throws(() => parseSpec({ ...minimal, annotations: { ['k'.repeat(1_000_000)]: 1 } }), { instanceOf: StrataError }) as StrataError;
  t.true(error.message.length < 300);
});
