import test from 'ava';
import { externalMounts, mountsBelow, movedMounts, parseMounts } from '../../../src/criu/mountinfo.ts';

const HOST = parseMounts(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /dev rw - devtmpfs devtmpfs rw
24 22 0:21 / /proc rw - proc proc rw
25 22 0:22 / /sys rw - sysfs sysfs rw
26 22 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
27 22 0:40 / /run rw shared:7 - tmpfs tmpfs rw
28 27 0:41 / /run/my\\040data rw - tmpfs tmpfs rw
`);

test('what is from the host is external, what is the container itself is not', (t) => {
  const container = parseMounts(`50 40 254:0 /bundle/rootfs / rw master:1 - ext4 /dev/vda rw
51 50 0:60 / /proc rw - proc proc rw
52 51 0:60 /sys /proc/sys ro - proc proc rw
53 51 0:5 /null /proc/keys ro - devtmpfs devtmpfs rw
54 50 0:61 / /dev rw - tmpfs tmpfs rw
55 50 0:22 / /sys ro - sysfs sysfs rw
56 55 0:62 / /sys/fs/cgroup ro - tmpfs tmpfs rw
57 56 0:30 /strata-x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
58 50 254:0 /etc/hosts /etc/hosts rw - ext4 /dev/vda rw
59 50 254:0 /bundle/rootfs/etc /etc ro - ext4 /dev/vda rw
60 50 0:41 / /my\\040data rw - tmpfs tmpfs rw
61 50 254:0 /bundle/rootfs2 /other rw - ext4 /dev/vda rw
`);
  t.deepEqual(externalMounts(container, HOST), ['/etc/hosts', '/my data', '/other', '/proc/keys', '/sys/fs/cgroup/memory']);
});

test('an overlay is the root, whatever is bound from below it', (t) => {
  const container = parseMounts('50 40 0:70 / / rw - overlay overlay rw\n51 50 0:70 /usr /usr ro - overlay overlay rw\n');
  t.deepEqual(externalMounts(container, [...HOST, ...container.map((line) => ({ ...line, point: '/merged' }))]), []);
});

test('mounts below a directory, relative to it', (t) => {
  t.deepEqual(mountsBelow(HOST, '/run'), ['/my data']);
  t.deepEqual(mountsBelow(HOST, '/sys'), ['/fs/cgroup/memory']);
  t.deepEqual(mountsBelow(HOST, '/ru'), []);
  t.true(mountsBelow(HOST, '/').includes('/run/my data'));
});

test('a mount that a symbolic link has led elsewhere is found by its last name, if that is the only one', (t) => {
  const points = ['/proc', '/run/lock', '/data', '/run/a/there', '/run/b/there'];
  t.deepEqual([...movedMounts(['/var/lock', '/proc', '/data', '/x/there', '/none'], points)], [['/var/lock', '/run/lock']]);
});

test('lines that are none are passed over', (t) => {
  t.deepEqual(parseMounts('\nx\n1 2 3\n1 2 0:1 / /a rw - \n'), [{ id: 1, device: '0:1', root: '/', point: '/a', readonly: false, type: '' }]);
});
