/** config-linux.md, Namespaces, User namespace mappings and Sysctl: new ones, joined ones, and none. */
import * as fs from 'node:fs';
import {
  eventually,
  namespaceOf,
  type Workspace,
  withAllCapabilities,
  withNamespace,
  withoutNamespaces,
  withUserNamespace,
} from '../../helpers/container.ts';
import { containerTest, failed } from '../_support.ts';

/** By the names of the specification, with those of /proc/PID/ns and the option of unshare(1). */
const TYPES = {
  pid: ['pid', '--pid'],
  network: ['net', '--net'],
  mount: ['mnt', '--mount'],
  ipc: ['ipc', '--ipc'],
  uts: ['uts', '--uts'],
  user: ['user', '--user'],
  cgroup: ['cgroup', '--cgroup'],
  time: ['time', '--time'],
} as const;
type Type = keyof typeof TYPES;
const ALL = Object.keys(TYPES) as Type[];

/** Prints the namespaces of the program. */
const LINKS = `for name in ${Object.values(TYPES)
  .map(([name]) => name)
  .join(' ')}; do readlink /proc/self/ns/$name; done`;

function parse(out: string): Record<Type, string> {
  const lines = out.trimEnd().split('\n');
  return Object.fromEntries(ALL.map((type, index) => [type, lines[index]])) as Record<Type, string>;
}

/** A process of the host in a namespace of its own of this type; its pid. */
async function holder(workspace: Workspace, type: Type): Promise<number> {
  const mapping = type === 'user' ? ['--map-root-user'] : [];
  const child = workspace.helper(['unshare', TYPES[type][1], ...mapping, '--fork', '--kill-child', 'sleep', '1000']);
  let pid = 0;
  await eventually('unshare to fork', () => {
    pid = Number(fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
    return pid > 0 && fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n';
  });
  return pid;
}

containerTest('new namespaces of every type', async (t, workspace) => {
  const bundle = workspace.script(LINKS, (config) => {
    config.linux.namespaces = ALL.map((type) => ({ type }));
    withUserNamespace(config, 100000);
  });
  bundle.giveTo(100000);
  const found = parse(await workspace.output(bundle));
  for (const type of ALL) {
    t.regex(found[type], /^\w+:\[\d+\]$/);
    t.not(found[type], namespaceOf('self', TYPES[type][0]), type);
  }
});

containerTest('no namespaces: those of the caller, and still nothing of the container is in its mounts', async (t, workspace) => {
  const script = `${LINKS}; cat /etc/mark; echo x >/dev/shm/file; stat -f -c '%n %T' /dev /dev/shm /proc /sys; touch /proc/sys/kernel/x; echo; sleep 1000`;
  const bundle = workspace.script(script, (config) => {
    config.linux.namespaces = [];
    delete config.hostname;
    withAllCapabilities(config);
  });
  bundle.file('etc/mark', 'of the container\n');
  const { id, stdout, stderr } = await workspace.start(bundle);
  await eventually('the program to say all', () => stdout().endsWith('\n\n'));
  const found = parse(stdout());
  for (const type of ALL) t.is(found[type], namespaceOf('self', TYPES[type][0]), type);
  t.regex(stdout(), /\nof the container\n\/dev tmpfs\n\/dev\/shm tmpfs\n\/proc proc\n\/sys sysfs\n\n$/);
  t.regex(stderr(), /touch: \/proc\/sys\/kernel\/x: (Read-only file system|No such file or directory)/);
  t.false(fs.existsSync('/dev/shm/file'));
  t.deepEqual(
    workspace.leaks().filter((line) => line.startsWith('mount')),
    [],
  );
  await workspace.remove(id);
});

for (const type of ALL) {
  containerTest(`a namespace of type ${type} that is joined by path`, async (t, workspace) => {
    const pid = await holder(workspace, type);
    const path = `/proc/${pid}/ns/${TYPES[type][0]}`;
    const wanted = fs.readlinkSync(path);
    const bundle = workspace.script(type === 'pid' ? `${LINKS}; cat /proc/1/comm; echo $$` : LINKS, (config) => {
      withNamespace(config, type, path);
      // What the namespaces that are joined would have to be the owner of.
      if (type === 'user') for (const other of ['network', 'cgroup']) withoutNamespaces(config, other);
      if (type === 'user') config.mounts = config.mounts.filter((mount) => mount.type !== 'sysfs' && mount.type !== 'cgroup');
      if (type === 'user') for (const mount of config.mounts) if (mount.type === 'devpts') mount.options = ['newinstance', 'ptmxmode=0666'];
    });
    const out = await workspace.output(bundle);
    const found = parse(out);
    for (const other of ALL) {
      if (other === 'mount' && type === 'mount') t.not(found.mount, namespaceOf('self', 'mnt'));
      else if (other === type) t.is(found[other], wanted);
      else t.not(found[other], wanted);
    }
    if (type === 'pid') t.regex(out, /\nsleep\n([2-9]|\d{2,})\n$/);
    // It outlives the container, and has got nothing from it.
    t.is(fs.readlinkSync(path), wanted);
    t.false(fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8').includes(workspace.token));
  });
}

containerTest('a joined namespace is checked', async (t, workspace) => {
  const cases: [type: Type, path: string, pointer: string | RegExp][] = [
    ['network', '/no/such/namespace', /linux\/namespaces.*no such file or directory/],
    ['network', '/proc/self/ns/ipc', /linux\/namespaces/],
    ['mount', '/proc/self/ns/net', /not a namespace of this type/],
    ['ipc', '/etc/passwd', /linux\/namespaces/],
    ['uts', 'relative/path', /\/linux\/namespaces\/\d+\/path/],
  ];
  for (const [type, path, pointer] of cases) failed(t, await workspace.run(workspace.bundle((config) => withNamespace(config, type, path))), pointer);
});

containerTest('lo is up in a new network namespace, and left alone in a joined one', async (t, workspace) => {
  t.regex(await workspace.shell('ip addr show lo'), /<LOOPBACK,UP,[\s\S]*inet 127\.0\.0\.1\/8/);
  const pid = await holder(workspace, 'network');
  t.regex(await workspace.shell('ip addr show lo', (config) => withNamespace(config, 'network', `/proc/${pid}/ns/net`)), /<LOOPBACK>/);
});

containerTest('a user namespace: mappings, ids inside and outside, groups', async (t, workspace) => {
  const bundle = workspace.script(
    'cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; id -G; touch /tmp/made; cat /proc/self/setgroups; ls -ldn /etc',
    (config) => {
      withNamespace(config, 'user');
      config.linux.uidMappings = [
        { containerID: 0, hostID: 100000, size: 1000 },
        { containerID: 1000, hostID: 200000, size: 500 },
      ];
      config.linux.gidMappings = [{ containerID: 0, hostID: 300000, size: 65536 }];
      config.process.user = { uid: 1234, gid: 5, additionalGids: [6, 7] };
    },
  );
  bundle.giveTo(100000);
  const lines = (await workspace.output(bundle)).split('\n').map((line) => line.trim().replace(/ +/g, ' '));
  t.deepEqual(lines.slice(0, 7), ['0 100000 1000', '1000 200000 500', '0 300000 65536', '1234', '5', '5 6 7', 'allow']);
  t.regex(lines[7] ?? '', /^drwxr-xr-x \d+ 0 65534 /);
  const { uid, gid } = fs.statSync(`${bundle.rootfs}/tmp/made`);
  t.deepEqual([uid, gid], [200234, 300005]);
  // Whose cgroup, and whose root file system, is not touched.
  t.is(fs.statSync(bundle.rootfs).uid, 100000);

  for (const [edit, pointer] of [
    [{ linux: { uidMappings: [] } }, '/linux/uidMappings'],
    [{ linux: { gidMappings: [] } }, '/linux/gidMappings'],
    [{ process: { user: { uid: 1700, gid: 0 } } }, '/process/user/uid'],
    [{ linux: { uidMappings: [{ containerID: 0, hostID: 0, size: 0 }] } }, '/linux/uidMappings/0'],
  ] as const) {
    const wrong = workspace
      .bundle((config) => withUserNamespace(config, 100000))
      .edit({ linux: { uidMappings: bundle.config.linux.uidMappings ?? [] } });
    failed(t, await workspace.run(wrong.edit(edit as object)), pointer);
  }
});

containerTest('a user namespace without mappings has the ids of the host', async (t, workspace) => {
  const bundle = workspace.script('cat /proc/self/uid_map /proc/self/gid_map; readlink /proc/self/ns/user', (config) =>
    withNamespace(config, 'user'),
  );
  const { code, stdout, stderr } = await workspace.run(bundle);
  t.is(code, 0);
  const lines = stdout.trimEnd().split('\n');
  t.deepEqual(
    lines.slice(0, 2).map((line) => line.trim().split(/ +/)),
    [
      ['0', '0', '4294967295'],
      ['0', '0', '4294967295'],
    ],
  );
  t.not(lines[2], namespaceOf('self', 'user'));
  t.regex(stderr, /^strata: warning: \/linux\/uidMappings and [^\n]*\n$/);
});

containerTest('the programs of other containers and of the host cannot be seen in a new pid namespace', async (t, workspace) => {
  t.is(await workspace.shell('echo $$; ls -d /proc/[0-9]*; :'), '1\n/proc/1');
});

containerTest('sysctl', async (t, workspace) => {
  const sysctl = {
    'net.ipv4.ip_forward': '1',
    'net/ipv4/conf/lo/forwarding': '0',
    'kernel.shm_rmid_forced': '1',
    'kernel.msgmax': '65536',
    'fs.mqueue.msg_max': '20',
  };
  const files = 'net/ipv4/ip_forward net/ipv4/conf/lo/forwarding kernel/shm_rmid_forced kernel/msgmax fs/mqueue/msg_max';
  t.is(await workspace.shell(`cd /proc/sys; cat ${files}`, { linux: { sysctl } }), '1\n0\n1\n65536\n20');

  const cases: [sysctl: Record<string, string>, without: string | undefined, pointer: string][] = [
    [{ 'kernel.pid_max': '1000' }, undefined, '/linux/sysctl/kernel.pid_max'],
    [{ 'vm.swappiness': '1' }, undefined, '/linux/sysctl/vm.swappiness'],
    [{ 'net.ipv4.ip_forward': '1' }, 'network', '/linux/sysctl/net.ipv4.ip_forward'],
    [{ 'kernel.msgmax': '1' }, 'ipc', '/linux/sysctl/kernel.msgmax'],
    [{ 'net.ipv4.no_such_key': '1' }, undefined, '/linux/sysctl/net.ipv4.no_such_key'],
    [{ 'net.ipv4.ip_forward': 'nonsense' }, undefined, '/linux/sysctl/net.ipv4.ip_forward'],
    [{ 'net/../../kernel/pid_max': '1' }, undefined, '/linux/sysctl/net~1..~1..~1kernel~1pid_max'],
  ];
  for (const [keys, missing, pointer] of cases) {
    const bundle = workspace.bundle((config) => {
      config.linux.sysctl = keys;
      if (missing !== undefined) withoutNamespaces(config, missing);
    });
    failed(t, await workspace.run(bundle), pointer);
  }
});
