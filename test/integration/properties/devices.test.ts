/** config-linux.md, Devices, Default Devices and Allowed Device list; runtime-linux.md, Dev symbolic links. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { withAllCapabilities, withUserNamespace } from '../../helpers/container.ts';
import { containerTest, failed } from '../_support.ts';

const DEFAULTS = ['null 1:3', 'zero 1:5', 'full 1:7', 'random 1:8', 'urandom 1:9', 'tty 5:0'];
const STAT = "stat -c '%n %t:%T %a %u %g %F'";

containerTest('default devices and links', async (t, workspace) => {
  const names = DEFAULTS.map((device) => `/dev/${device.split(' ')[0]}`);
  const out = await workspace.shell(
    [
      `${STAT} ${names.join(' ')}`,
      'for link in fd stdin stdout stderr ptmx; do readlink /dev/$link; done',
      'ls /dev',
      'echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x 2>/dev/null >/dev/full || echo full; echo y | cat /dev/stdin',
      // A pair of terminals of its own.
      '[ -c /dev/pts/ptmx ] && : <>/dev/ptmx && echo open',
    ].join('; '),
  );
  t.deepEqual(out.split('\n'), [
    ...DEFAULTS.map((device) => `/dev/${device} 666 0 0 character special file`),
    '/proc/self/fd',
    '/proc/self/fd/0',
    '/proc/self/fd/1',
    '/proc/self/fd/2',
    'pts/ptmx',
    ...(fs.existsSync('/proc/kcore') ? ['core'] : []),
    ...['fd', 'full', 'mqueue', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero'],
    '3',
    '5',
    'full',
    'y',
    'open',
  ]);
});

containerTest('devices of every type, with mode, owner and the umask out of the way', async (t, workspace) => {
  const out = await workspace.shell(
    `${STAT} /dev/char /dev/block /dev/unbuffered /dev/fifo /not/in/dev /dev/null; echo through >/dev/fifo & cat /dev/fifo`,
    {
      process: { capabilities: { bounding: ['CAP_DAC_OVERRIDE'], permitted: ['CAP_DAC_OVERRIDE'], effective: [] } },
      linux: {
        devices: [
          { path: '/dev/char', type: 'c', major: 10, minor: 229, fileMode: 0o622, uid: 12, gid: 34 },
          { path: '/dev/block', type: 'b', major: 254, minor: 1048575, fileMode: 0o4600 & 0o777 },
          { path: '/dev/unbuffered', type: 'u', major: 4, minor: 64 },
          { path: '/dev/fifo', type: 'p', fileMode: 0o777, uid: 1 },
          { path: '/not/in/dev', type: 'c', major: 1, minor: 5 },
          // Takes the place of the default one.
          { path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o600, uid: 7, gid: 8 },
        ],
      },
    },
    [],
    { through: ['sh', '-c', 'umask 077; exec "$0" "$@"'] },
  );
  t.deepEqual(out.split('\n'), [
    '/dev/char a:e5 622 12 34 character special file',
    '/dev/block fe:fffff 600 0 0 block special file',
    '/dev/unbuffered 4:40 666 0 0 character special file',
    '/dev/fifo 0:0 777 1 0 fifo',
    '/not/in/dev 1:5 666 0 0 character special file',
    '/dev/null 1:3 600 7 8 character special file',
    'through',
  ]);
});

containerTest('a node that exists must be the device that is asked for', async (t, workspace) => {
  const bundle = workspace.script(`${STAT} /null`, {
    linux: { devices: [{ path: '/null', type: 'c', major: 1, minor: 3, fileMode: 0o644, uid: 3, gid: 4 }] },
  });
  const path = `${bundle.rootfs}/null`;
  execFileSync('mknod', ['-m', '600', path, 'c', '1', '3']);
  t.regex(await workspace.output(bundle), /^\/null 1:3 \d+ \d+ \d+ character special file\n$/);

  for (const make of [['c', '1', '5'], ['b', '1', '3'], ['p'], undefined] as const) {
    fs.rmSync(path);
    if (make === undefined) fs.writeFileSync(path, 'a file\n');
    else execFileSync('mknod', [path, ...make]);
    failed(t, await workspace.run(bundle), '/linux/devices/0', '/null');
  }
  fs.rmSync(path);
  fs.symlinkSync('/dev/zero', path);
  failed(t, await workspace.run(bundle), '/linux/devices/0');
});

containerTest('in a user namespace nodes are made outside of it, with owners of its own', async (t, workspace) => {
  const bundle = workspace.script(
    `stat -c '%n %t:%T' /dev/null /dev/zero /dev/tty; stat -c '%n %t:%T %u:%g %a' /dev/extra /dev/full; head -c 3 /dev/extra | wc -c`,
    (config) => {
      withUserNamespace(config, 100000);
      config.linux.devices = [
        { path: '/dev/extra', type: 'c', major: 1, minor: 5, fileMode: 0o640, uid: 0, gid: 11 },
        { path: '/dev/full', type: 'c', major: 1, minor: 7 },
      ];
    },
  );
  bundle.giveTo(100000);
  const expected = '/dev/null 1:3\n/dev/zero 1:5\n/dev/tty 5:0\n/dev/extra 1:5 0:11 640\n/dev/full 1:7 0:0 666\n3\n';
  t.is(await workspace.output(bundle), expected);
  bundle.edit({ linux: { devices: [{ path: '/dev/extra', type: 'c', major: 1, minor: 5, uid: 65536 }] } });
  failed(t, await workspace.run(bundle), '/linux/devices/0/uid');
  // The host's node, where what is made would show on the host.
  bundle.edit({ linux: { rootfsPropagation: 'shared', devices: [{ path: '/dev/extra', type: 'c', major: 1, minor: 5 }] } });
  failed(t, await workspace.run(bundle), '/linux/devices/0', '/dev/extra');
});

containerTest('nothing is made in a /dev that is a bind mount', async (t, workspace) => {
  const source = workspace.path('dev');
  fs.mkdirSync(source);
  const out = await workspace.shell('ls -A /dev', (config) => {
    config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
    config.mounts.push({ destination: '/dev', source, options: ['bind'] });
    config.linux.devices = [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229 }];
  });
  t.is(out, '');
  t.deepEqual(fs.readdirSync(source), []);
});

containerTest('rules for devices are in force, and the last one that matches counts', async (t, workspace) => {
  const disk = fs.readdirSync('/sys/block').map((name) => fs.readFileSync(`/sys/block/${name}/dev`, 'utf8').trim().split(':').map(Number))[0] ?? [
    7, 0,
  ];
  const [major = 7, minor = 0] = disk;
  const devices = [
    { path: '/dev/kmsg', type: 'c', major: 1, minor: 11 },
    { path: '/dev/mem', type: 'c', major: 1, minor: 1 },
    { path: '/dev/fuse', type: 'c', major: 10, minor: 229 },
    { path: '/dev/disk', type: 'b', major, minor },
  ];
  const script = [
    'for name in kmsg mem fuse disk null; do',
    '  ( : </dev/$name ) 2>/tmp/err && r=yes || r=$(sed "s/.*: //" /tmp/err)',
    '  ( : >>/dev/$name ) 2>/tmp/err && w=yes || w=$(sed "s/.*: //" /tmp/err)',
    '  echo $name: $r, $w',
    'done; mknod /tmp/node c 1 11 && echo made; ( : </tmp/node ) || echo no use',
  ].join('\n');
  const seen = async (rules: Record<string, unknown>[]): Promise<string[]> => {
    const bundle = workspace.script(script, (config) => {
      withAllCapabilities(config);
      config.linux.devices = devices;
      config.linux.resources.devices = rules;
    });
    return (await workspace.run(bundle)).stdout.trimEnd().split('\n');
  };
  const no = 'Operation not permitted';
  const denied = ['kmsg', 'mem', 'fuse', 'disk'].map((name) => `${name}: ${no}, ${no}`);
  const rest = ['null: yes, yes', 'made', 'no use'];
  t.deepEqual(await seen([{ allow: false, access: 'rwm' }]), [...denied, ...rest], 'nothing is allowed');
  t.deepEqual(await seen([]), [...denied, ...rest], 'nothing is said');
  t.deepEqual(
    await seen([
      { allow: false, access: 'rwm' },
      { allow: true, type: 'c', major: 1, minor: 11, access: 'r' },
      { allow: true, type: 'c', major: 10, access: 'rw' },
      { allow: true, type: 'c', major: 1, minor: 1, access: 'rw' },
      { allow: false, type: 'c', major: 1, minor: 1, access: 'w' },
    ]).then((lines) => lines.filter((line) => !/^(mem|fuse)/.test(line))),
    [`kmsg: yes, ${no}`, `disk: ${no}, ${no}`, ...rest.slice(0, 2)],
  );
  const wide = await seen([
    { allow: true, access: 'rwm' },
    { allow: false, type: 'b', major, minor, access: 'w' },
    { allow: false, type: 'c', major: 1, minor: 11, access: 'rwm' },
  ]);
  t.true(wide.includes(`disk: yes, ${no}`), wide.join());
  t.true(wide.includes(`kmsg: ${no}, ${no}`), wide.join());
  t.true(wide.includes('no use'));
});
