import test from 'ava';
import { parseExact } from '../../../src/base/json.ts';
import { planCreate } from '../../../src/plan/create.ts';
import { explain, toJson } from '../../../src/plan/explain.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import { contextOf, plan, RUNC_SPEC, V2 } from './_support.ts';

const EXPECTED = `\
In the runtime
   1  make the cgroup /strata-c1 in /sys/fs/cgroup, if possible with cpuset cpu io memory hugetlb pids enabled above it
   2  attach a program of 119 instructions to /sys/fs/cgroup/strata-c1 that decides on access to devices  [/linux/resources/devices]
   3  make the first process, in new namespaces mount uts ipc pid network, in the cgroups of /sys/fs/cgroup/strata-c1  [/linux/namespaces]

In the container's first process
   4  make every mount here recursively slave
   5  take /bundle/rootfs as the root  [/root/path]
   6  mount proc at /proc  [/mounts/0]
   7  mount tmpfs at /dev: nosuid strictatime, with mode=755 size=65536k  [/mounts/1]
   8  mount devpts at /dev/pts: nosuid noexec, with newinstance ptmxmode=0666 mode=0620 gid=5  [/mounts/2]
   9  mount tmpfs at /dev/shm: nosuid nodev noexec, with mode=1777 size=65536k  [/mounts/3]
  10  mount mqueue at /dev/mqueue: nosuid nodev noexec  [/mounts/4]
  11  mount sysfs at /sys: ro nosuid nodev noexec  [/mounts/5]
  12  bind /sys/fs/cgroup/strata-c1 to /sys/fs/cgroup: ro nosuid nodev noexec relatime  [/mounts/6]
  13  make the directory / (0755), unless it exists  [/process/cwd]
`;

test('the beginning of the default plan, in words', (t) => {
  const text = explain(planCreate(loadSpec(JSON.stringify(RUNC_SPEC)), contextOf(V2)));
  t.is(text.slice(0, EXPECTED.length), EXPECTED);
  t.regex(text, /\n {2}\d\d {2}become user 0, group 0 {2}\[\/process\/user\]\n/);
  t.regex(text, /\n {2}\d\d {2}execute "sh" {2}\[\/process\/args\]\n$/);
});

test('less usual operations, in words', (t) => {
  const text = explain({
    operations: plan(
      {
        root: { path: 'r' },
        hostname: 'h\u001b[31m\nx',
        annotations: { 'dev.strata.overlay': '{"lower":["/a","/b"],"upper":"/u","work":"/w","options":["volatile"]}' },
        mounts: [
          { destination: '/d', source: '/d', options: ['rbind', 'rro', 'rshared', 'rw'] },
          { destination: '/e', type: 'tmpfs', options: ['tmpcopyup'] },
        ],
        hooks: { createContainer: [{ path: '/hook', timeout: 2 }] },
        process: {
          user: { uid: 1, gid: 2, umask: 0o22, additionalGids: [3, 4] },
          rlimits: [{ type: 'RLIMIT_CORE', soft: 1, hard: 18446744073709551615n }],
        },
        linux: {
          namespaces: [{ type: 'mount' }, { type: 'uts' }, { type: 'network', path: '/run/netns/x' }],
          devices: [
            { type: 'b', path: '/dev/sda', major: 8, minor: 0 },
            { type: 'p', path: '/p' },
          ],
        },
      },
      V2,
    ),
  });
  for (const words of [
    'joining network (/run/netns/x)',
    'stack 2 layers under /u as the root at /bundle/r, with volatile',
    'bind /d, with all below it, to /d: rw rro recursively shared',
    'mount tmpfs at /e, and copy into it what lies below',
    'make the block device 8:0 /dev/sda (0666, owner 0:0)',
    'make the fifo /p (0666, owner 0:0)',
    'run the createContainer hook /hook, for at most 2 s',
    'become user 1, group 2, with groups 3 4, umask 0022',
    'limit RLIMIT_CORE to 1, at most nothing',
    'set the host name to "h\\u001b[31m\\nx"',
  ]) {
    t.true(text.includes(words), words);
  }
});

test('every operation is one line, whatever the configuration says', (t) => {
  const operations = plan({ mounts: [{ destination: '/a\nb\u001b', source: '/x\r', options: ['bind'] }] });
  t.is(explain({ operations }).trimEnd().split('\n').length, operations.length + 3);
});

test('as JSON: fields and order as in the plan, integers exact, bytes counted', (t) => {
  const operations = plan({ process: { rlimits: [{ type: 'RLIMIT_CORE', soft: 1, hard: 18446744073709551615n }] } }, V2);
  const text = toJson({ operations });
  const parsed = parseExact(text) as Record<string, unknown>[];
  t.true(text.endsWith(']\n'));
  t.deepEqual(
    parsed.map(({ op }) => op),
    operations.map(({ op }) => op),
  );
  t.like(
    parsed.find(({ op }) => op === 'rlimit'),
    { hard: 18446744073709551615n, pointer: '/process/rlimits/0' },
  );
  t.deepEqual(Object.keys(parsed.find(({ op }) => op === 'cgroup-device-program')?.program ?? {}), ['bytes']);
});

test('a seccomp profile is so many values', (t) => {
  const operations = plan({ linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } } });
  const parsed = parseExact(toJson({ operations })) as Record<string, unknown>[];
  // Version, action, errno, and the counts of architectures, flags and rules.
  t.deepEqual(parsed.find(({ op }) => op === 'seccomp-compile')?.profile, { values: 6 });
});
