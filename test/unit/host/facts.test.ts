import test from 'ava';
import { StrataError } from '../../../src/base/error.ts';
import { type HostFacts, isAtLeast, mayAdminister, readFacts, withWeightFile } from '../../../src/host/facts.ts';
import type { Host } from '../../../src/host/host.ts';

const STATUS = 'Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t000001fffeffffff\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n';

/** A host of a few files; whatever else is asked of it fails the test. */
function hostWith(files: Readonly<Record<string, string>>): Host {
  const all: Readonly<Record<string, string>> = {
    '/proc/self/status': STATUS,
    '/proc/sys/kernel/osrelease': '6.1.0-18-amd64\n',
    '/proc/sys/kernel/cap_last_cap': '40\n',
    '/proc/self/uid_map': '         0          0 4294967295\n',
    ...files,
  };
  const below = (path: string): string[] => {
    const names = Object.keys(all)
      .filter((name) => name.startsWith(`${path}/`))
      .map((name) => name.slice(path.length + 1).replace(/\/.*/, ''));
    return [...new Set(names)];
  };
  const host: Partial<Host> = {
    readText: (path) => {
      const text = all[path];
      if (text === undefined) throw new StrataError({ code: 'system', reason: 'cannot open', errno: 2, syscall: 'openat', path });
      return text;
    },
    stat: (path) => {
      if (all[path] !== undefined) return { type: 'file', mode: 0o644, uid: 0, size: 0 };
      return below(path).length > 0 ? { type: 'directory', mode: 0o755, uid: 0, size: 0 } : undefined;
    },
    list: below,
    userId: () => 1000,
  };
  return host as Host;
}

function read(files: Readonly<Record<string, string>>): HostFacts {
  return readFacts(hostWith(files));
}

const HYBRID = {
  '/proc/self/cgroup': '9:name=systemd:/\n8:pids:/\n4:memory:/process/8f\n2:cpu,cpuacct:/a b\n0::/\n',
  '/proc/self/mountinfo': [
    '22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw',
    '31 22 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
    '35 31 0:32 / /mnt/memory rw,relatime - cgroup cgroup rw,memory',
    '36 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 master:3 - cgroup cgroup rw,memory',
    '39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids',
    '32 31 0:29 / /sys/fs/cgroup/cpu\\040and\\134acct rw,relatime - cgroup cgroup rw,cpu,cpuacct',
    '40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
    '42 22 0:40 / /srv/a\\040-\\040cgroup rw - tmpfs cgroupish rw',
    '',
  ].join('\n'),
  '/sys/fs/cgroup/unified/cgroup.controllers': 'hugetlb\n',
};

test('a hybrid machine', (t) => {
  t.deepEqual(read(HYBRID).cgroup, {
    mode: 'hybrid',
    hierarchies: [
      { controllers: ['name=systemd'], mount: '/sys/fs/cgroup/systemd', own: '/' },
      { controllers: ['pids'], mount: '/sys/fs/cgroup/pids', own: '/' },
      { controllers: ['memory'], mount: '/sys/fs/cgroup/memory', own: '/process/8f' },
      { controllers: ['cpu', 'cpuacct'], mount: '/sys/fs/cgroup/cpu and\\acct', own: '/a b' },
    ],
    unified: { controllers: ['hugetlb'], mount: '/sys/fs/cgroup/unified', own: '/', weightFile: 'io.weight' },
  });
});

test('kernel, capabilities, user', (t) => {
  const facts = read(HYBRID);
  t.deepEqual(facts.kernel, { major: 6, minor: 1, release: '6.1.0-18-amd64' });
  t.is(facts.lastCapability, 40);
  t.is(facts.permitted, 0x1fffeffffffn);
  t.is(facts.bounding, 0x1ffffffffffn);
  t.is(facts.userId, 1000);
  t.false(facts.userNamespace);
  t.true(read({ ...HYBRID, '/proc/self/uid_map': '         0       1000          1\n' }).userNamespace);
  t.true(mayAdminister(facts));
  t.false(mayAdminister({ ...facts, permitted: 0n }));
});

test('a v1 machine, of which one hierarchy is not mounted', (t) => {
  const { cgroup } = read({
    '/proc/self/cgroup': '2:memory:/user\n1:cpuset:/\n',
    '/proc/self/mountinfo': '36 31 0:32 / /cg rw - cgroup none rw,memory\n',
  });
  t.deepEqual(cgroup, { mode: 'v1', hierarchies: [{ controllers: ['memory'], mount: '/cg', own: '/user' }] });
});

const V2_MOUNT = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';
const V2_CONTROLLERS = { '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n' };

test('a v2 machine', (t) => {
  const { cgroup } = read({ '/proc/self/cgroup': '0::/user.slice/x\n', '/proc/self/mountinfo': V2_MOUNT, ...V2_CONTROLLERS });
  t.deepEqual(cgroup, {
    mode: 'v2',
    hierarchies: [],
    unified: { mount: '/sys/fs/cgroup', own: '/user.slice/x', controllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'], weightFile: 'io.weight' },
  });
});

test('the weight file of the BFQ scheduler, where a cgroup shows it', (t) => {
  const files = { '/proc/self/mountinfo': V2_MOUNT, ...V2_CONTROLLERS };
  const own = read({ ...files, '/proc/self/cgroup': '0::/u/x\n', '/sys/fs/cgroup/u/x/io.bfq.weight': '' });
  t.is(own.cgroup.unified?.weightFile, 'io.bfq.weight');
  const root = read({ ...files, '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/init.scope/io.bfq.weight': '' });
  t.is(root.cgroup.unified?.weightFile, 'io.bfq.weight');
});

test('the weight file where the I/O controller works in no cgroup yet', (t) => {
  const files = { '/proc/self/mountinfo': V2_MOUNT, ...V2_CONTROLLERS, '/proc/self/cgroup': '0::/\n' };
  const weightFile = (more: Readonly<Record<string, string>>): string | undefined => {
    const host = hostWith({ ...files, ...more });
    return withWeightFile(host, readFacts(host)).cgroup.unified?.weightFile;
  };
  const disks = { '/sys/block/loop0/size': '', '/sys/block/sda/queue/scheduler': '[none] mq-deadline bfq\n' };
  t.is(weightFile({}), 'io.weight');
  t.is(weightFile(disks), 'io.bfq.weight');
  t.is(weightFile({ '/sys/block/sda/queue/scheduler': '[none] mq-deadline\n' }), 'io.weight');
  t.is(weightFile({ ...disks, '/sys/fs/cgroup/init.scope/io.stat': '' }), 'io.weight', 'the kernel has told');
});

test('in a container whose hierarchy is mounted from its own cgroup down', (t) => {
  const files = { '/proc/self/mountinfo': V2_MOUNT.replace(' / ', ' /docker/abc '), ...V2_CONTROLLERS };
  t.is(read({ ...files, '/proc/self/cgroup': '0::/docker/abc\n' }).cgroup.unified?.own, '/');
  t.is(read({ ...files, '/proc/self/cgroup': '0::/docker/abc/d\n' }).cgroup.unified?.own, '/d');
  t.is(read({ ...files, '/proc/self/cgroup': '0::/docker/abcd\n' }).cgroup.unified?.own, '/docker/abcd');
});

test('no cgroups', (t) => {
  t.deepEqual(read({ '/proc/self/cgroup': '', '/proc/self/mountinfo': '22 1 259:1 / / rw - ext4 /dev/root rw\n' }).cgroup, {
    mode: 'none',
    hierarchies: [],
  });
});

test('thousands of mounts are no matter', (t) => {
  const mounts = Array.from(
    { length: 20000 },
    (_, index) => `${index + 100} 22 0:${index} / /var/lib/containers/${index}/merged rw,relatime - overlay overlay rw,lowerdir=/a:/b`,
  );
  const files = { ...HYBRID, '/proc/self/mountinfo': `${mounts.join('\n')}\n${HYBRID['/proc/self/mountinfo']}` };
  const start = performance.now();
  t.is(read(files).cgroup.hierarchies.length, 4);
  t.true(performance.now() - start < 100);
});

test('files of another form are named', (t) => {
  const release = t.throws(() => read({ ...HYBRID, '/proc/sys/kernel/osrelease': 'Plan 9\n' }), { instanceOf: StrataError }) as StrataError;
  t.regex(release.message, /Plan 9/);
  const status = t.throws(() => read({ ...HYBRID, '/proc/self/status': 'Name:\tx\n' }), { instanceOf: StrataError }) as StrataError;
  t.regex(status.message, /CapPrm/);
  t.throws(() => read({}), { instanceOf: StrataError, message: /no such file or directory/ });
});

test('comparing kernels', (t) => {
  const kernel = { major: 6, minor: 8, release: '6.8.0' };
  t.deepEqual([isAtLeast(kernel, 5, 19), isAtLeast(kernel, 6, 8), isAtLeast(kernel, 6, 9), isAtLeast(kernel, 7, 0)], [true, true, false, false]);
});
