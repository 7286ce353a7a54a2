/** config.md, Mounts: every option of the specification's table, as the container's mountinfo shows it, and where things get mounted. */
import * as fs from 'node:fs';
import { type MountConfig, type Workspace, withAllCapabilities, withUserNamespace } from '../../helpers/container.ts';
import { containerTest, failed, type MountEntry, mountTable } from '../_support.ts';

const MOUNTINFO = 'cat /proc/self/mountinfo';

/** The container's mounts, with `mounts` behind the usual ones. */
async function tableWith(workspace: Workspace, mounts: readonly MountConfig[]): Promise<Record<string, MountEntry>> {
  return mountTable(await workspace.shell(MOUNTINFO, (config) => void config.mounts.push(...mounts)));
}

/** An option; the flags it leads to on a mount that had none, and on one that had all, recursive ones also on what is mounted below. */
interface Case {
  readonly option: string;
  readonly fromNone: string;
  readonly fromAll: string;
}

const NONE = 'relatime rw';
const ALL = 'noatime nodev nodiratime noexec nosuid nosymfollow ro';
const without = (text: string, flag: string, other = ''): string =>
  [...text.split(' ').filter((item) => item !== flag), ...(other === '' ? [] : [other])].sort().join(' ');

const FLAGS: readonly Case[] = [
  { option: 'ro', fromNone: without(NONE, 'rw', 'ro'), fromAll: ALL },
  { option: 'rw', fromNone: NONE, fromAll: without(ALL, 'ro', 'rw') },
  { option: 'nosuid', fromNone: without(NONE, '', 'nosuid'), fromAll: ALL },
  { option: 'suid', fromNone: NONE, fromAll: without(ALL, 'nosuid') },
  { option: 'nodev', fromNone: without(NONE, '', 'nodev'), fromAll: ALL },
  { option: 'dev', fromNone: NONE, fromAll: without(ALL, 'nodev') },
  { option: 'noexec', fromNone: without(NONE, '', 'noexec'), fromAll: ALL },
  { option: 'exec', fromNone: NONE, fromAll: without(ALL, 'noexec') },
  { option: 'noatime', fromNone: without(NONE, 'relatime', 'noatime'), fromAll: ALL },
  { option: 'atime', fromNone: NONE, fromAll: without(ALL, 'noatime', 'relatime') },
  { option: 'nodiratime', fromNone: without(NONE, '', 'nodiratime'), fromAll: ALL },
  { option: 'diratime', fromNone: NONE, fromAll: without(ALL, 'nodiratime') },
  { option: 'relatime', fromNone: NONE, fromAll: without(ALL, 'noatime', 'relatime') },
  { option: 'norelatime', fromNone: NONE, fromAll: ALL },
  // Neither of the two others is what mountinfo shows as nothing.
  { option: 'strictatime', fromNone: without(NONE, 'relatime'), fromAll: without(ALL, 'noatime') },
  { option: 'nostrictatime', fromNone: NONE, fromAll: without(ALL, 'noatime', 'relatime') },
  { option: 'nosymfollow', fromNone: without(NONE, '', 'nosymfollow'), fromAll: ALL },
  { option: 'symfollow', fromNone: NONE, fromAll: without(ALL, 'nosymfollow') },
];

/** Options about the file system, or about nothing that can be seen, and what they do to the superblock. */
const OF_SUPERBLOCK: readonly (readonly [option: string, shown: string])[] = [
  ['sync', 'sync'],
  ['async', ''],
  ['dirsync', 'dirsync'],
  ['lazytime', 'lazytime'],
  ['nolazytime', ''],
  ['mand', ''],
  ['nomand', ''],
  ['defaults', ''],
  ['iversion', ''],
  ['noiversion', ''],
  ['silent', ''],
  ['loud', ''],
];

containerTest('options of a new mount', async (t, workspace) => {
  const mounts = [...FLAGS.map(({ option }) => option), ...OF_SUPERBLOCK.map(([option]) => option)].map((option) => ({
    destination: `/m/${option}`,
    type: 'tmpfs',
    source: 'tmpfs',
    options: [option],
  }));
  const table = await tableWith(workspace, mounts);
  for (const { option, fromNone } of FLAGS) t.is(table[`/m/${option}`]?.options.join(' '), fromNone, option);
  for (const [option, shown] of OF_SUPERBLOCK) {
    const found = table[`/m/${option}`]?.superOptions.filter((item) => ['sync', 'dirsync', 'lazytime', 'silent'].includes(item));
    t.deepEqual(found, shown === '' ? [] : [shown], option);
    t.is(table[`/m/${option}`]?.options.join(' '), NONE, option);
  }
});

containerTest('flags that only mount(2) takes go with all other options', async (t, workspace) => {
  const options = ['iversion', 'silent', 'sync', 'lazytime', 'size=64k', 'mode=711', 'noatime', 'nosuid', 'rprivate'];
  const copied: MountConfig = { destination: '/etc', type: 'tmpfs', source: 'copy', options: ['tmpcopyup', 'silent', 'ro'] };
  const seen = `${MOUNTINFO}; echo; stat -c %a /m/a /m/b /etc; cat /etc/group; pwd`;
  for (const inUserNamespace of [false, true]) {
    const bundle = workspace.script(seen, (config) => {
      config.mounts.push({ destination: '/m/a', type: 'tmpfs', source: 'tmpfs', options });
      config.mounts.push({ destination: '/m/b', type: 'tmpfs', source: 'tmpfs', options: ['iversion', 'noiversion', 'silent', 'loud'] }, copied);
      if (inUserNamespace) withUserNamespace(config, 100000);
    });
    if (inUserNamespace) bundle.giveTo(100000);
    const [mountinfo = '', rest = ''] = (await workspace.output(bundle)).split('\n\n');
    const table = mountTable(mountinfo);
    t.deepEqual(table['/m/a']?.options, ['noatime', 'nosuid', 'rw']);
    t.deepEqual(
      table['/m/a']?.superOptions.filter((option) => !/^(uid|gid|inode64)/.test(option)),
      ['lazytime', 'mode=711', 'rw', 'size=64k', 'sync'],
    );
    t.deepEqual(table['/etc']?.options, ['relatime', 'ro']);
    t.is(rest, '711\n1777\n755\nroot:x:0:\nuser:x:1000:\n/\n');
    // Nothing is left of the place where they were made.
    t.is(mountinfo.split('\n').filter((line) => line.includes(' /m/a ')).length, 1);
  }
});

containerTest('later options win over earlier ones', async (t, workspace) => {
  const cases: [options: string[], flags: string][] = [
    [['ro', 'rw'], NONE],
    [['rw', 'ro'], 'relatime ro'],
    [['nosuid', 'suid', 'nosuid'], 'nosuid relatime rw'],
    [['noatime', 'relatime'], NONE],
    [['relatime', 'noatime'], 'noatime rw'],
    [['noatime', 'atime'], NONE],
    [['strictatime', 'nodiratime'], 'nodiratime rw'],
    [['noatime', 'strictatime'], 'rw'],
  ];
  const table = await tableWith(
    workspace,
    cases.map(([options], index) => ({ destination: `/m/${index}`, type: 'tmpfs', source: 'tmpfs', options })),
  );
  for (const [index, [options, flags]] of cases.entries()) t.is(table[`/m/${index}`]?.options.join(' '), flags, options.join());
});

/** A mount with another below it, both with these options; and both are shared. */
function tree(workspace: Workspace, options: string): string {
  const top = workspace.mount('tmpfs', 'mode=755');
  const sub = `${top}/sub`;
  workspace.mount('tmpfs', options, sub);
  // Only now, so that the directory could be made.
  workspace.mount('none', `remount,bind,${options}`, top);
  for (const at of [top, sub]) workspace.mount('none', 'shared', at);
  return top;
}

containerTest('options of a bind mount: the mount gets them, and with r also what is mounted below it', async (t, workspace) => {
  const none = tree(workspace, 'rw,relatime');
  const all = tree(workspace, ALL.replaceAll(' ', ','));
  const mounts: MountConfig[] = [];
  for (const { option } of FLAGS) {
    for (const [name, source] of [
      ['none', none],
      ['all', all],
    ] as const) {
      mounts.push({ destination: `/${name}/${option}`, source, options: ['rbind', option] });
      mounts.push({ destination: `/${name}/r${option}`, source, options: ['rbind', `r${option}`] });
    }
  }
  mounts.push({ destination: '/alone', source: none, options: ['bind'] });
  const table = await tableWith(workspace, mounts);
  for (const { option, fromNone, fromAll } of FLAGS) {
    t.is(table[`/none/${option}`]?.options.join(' '), fromNone, option);
    t.is(table[`/none/${option}/sub`]?.options.join(' '), NONE, `${option}, below`);
    t.is(table[`/all/${option}`]?.options.join(' '), fromAll, option);
    t.is(table[`/all/${option}/sub`]?.options.join(' '), ALL, `${option}, below`);
    for (const at of ['', '/sub']) {
      t.is(table[`/none/r${option}${at}`]?.options.join(' '), fromNone, `r${option}${at}`);
      t.is(table[`/all/r${option}${at}`]?.options.join(' '), fromAll, `r${option}${at}`);
    }
  }
  t.is(table['/alone']?.options.join(' '), NONE);
  t.is(table['/alone/sub'], undefined, 'bind takes nothing that is mounted below');
});

containerTest('remount changes a mount that an earlier entry made', async (t, workspace) => {
  const mounts: MountConfig[] = [];
  for (const { option } of FLAGS) {
    mounts.push({ destination: `/none/${option}`, type: 'tmpfs', source: 'tmpfs', options: [] });
    mounts.push({ destination: `/none/${option}`, options: ['remount', option] });
    mounts.push({ destination: `/all/${option}`, type: 'tmpfs', source: 'tmpfs', options: ALL.split(' ').filter((item) => item !== 'ro') });
    mounts.push({ destination: `/all/${option}`, type: 'none', source: 'none', options: ['bind', 'remount', 'ro'] });
    mounts.push({ destination: `/all/${option}`, options: ['remount', option] });
  }
  const table = await tableWith(workspace, mounts);
  for (const { option, fromNone, fromAll } of FLAGS) {
    t.is(table[`/none/${option}`]?.options.join(' '), fromNone, option);
    t.is(table[`/all/${option}`]?.options.join(' '), fromAll, option);
  }
  const bundle = workspace.bundle((config) => void config.mounts.push({ destination: '/home', options: ['remount', 'ro'] }));
  failed(t, await workspace.run(bundle), '/mounts/7', '/home');
});

containerTest('remount changes the file system too, unless it is with bind', async (t, workspace) => {
  const made: MountConfig = { destination: '/a', type: 'tmpfs', source: 'tmpfs', options: ['size=1m', 'lazytime', 'nosuid'] };
  const after = async (...options: string[]) => (await tableWith(workspace, [made, { destination: '/a', options: ['remount', ...options] }]))['/a'];
  const changed = await after('size=2m', 'nolazytime', 'sync', 'nodev', 'loud');
  t.deepEqual(changed?.options, ['nodev', 'nosuid', 'relatime', 'rw']);
  t.true(changed?.superOptions.includes('size=2048k') && changed.superOptions.includes('sync'));
  t.false(changed?.superOptions.includes('lazytime'));
  const kept = await tableWith(workspace, [made, { destination: '/a', source: '/a', options: ['remount', 'bind', 'ro', 'sync'] }]);
  t.deepEqual(kept['/a']?.options, ['nosuid', 'relatime', 'ro']);
  t.false(kept['/a']?.superOptions.includes('sync'));
  const refused = async (...options: string[]) =>
    workspace.run(workspace.bundle((config) => void config.mounts.push(made, { destination: '/a', options: ['remount', ...options] })));
  failed(t, await refused('size=x'), '/mounts/', 'size=x');
  failed(t, await refused('dirsync'), '/mounts/', 'dirsync', 'not with remount');
});

containerTest('propagation of bind mounts', async (t, workspace) => {
  const source = tree(workspace, 'rw');
  const cases: [option: string, top: string[], below: string[]][] = [
    ['private', [], ['master']],
    ['rprivate', [], []],
    ['slave', ['master'], ['master']],
    ['rslave', ['master'], ['master']],
    ['shared', ['shared', 'master'], ['master']],
    ['rshared', ['shared', 'master'], ['shared', 'master']],
    ['unbindable', ['unbindable'], ['master']],
    ['runbindable', ['unbindable'], ['unbindable']],
  ];
  const bundle = workspace.script('sleep 1000', (config) => {
    for (const [option] of cases) config.mounts.push({ destination: `/m/${option}`, source, options: ['rbind', option] });
  });
  const { id } = await workspace.start(bundle);
  const { pid } = await workspace.state(id);
  const table = () => mountTable(fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  for (const [option, top, below] of cases) {
    t.deepEqual(table()[`/m/${option}`]?.propagation, top, option);
    t.deepEqual(table()[`/m/${option}/sub`]?.propagation, below, `${option}, below`);
  }
  // What the host mounts later arrives where a master is left.
  workspace.mount('tmpfs', 'rw', `${source}/later`);
  workspace.mount('tmpfs', 'rw', `${source}/sub/later`);
  const arrived = table();
  for (const [option, top, below] of cases) {
    t.is(`/m/${option}/later` in arrived, top.includes('master'), option);
    t.is(`/m/${option}/sub/later` in arrived, below.includes('master'), `${option}, below`);
  }
  await workspace.remove(id);
});

containerTest('rootfsPropagation', async (t, workspace) => {
  for (const [propagation, shown] of [
    ['shared', ['shared']],
    ['slave', ['master']],
    ['private', []],
    ['unbindable', ['unbindable']],
    ['rshared', ['shared']],
    ['rslave', ['master']],
    ['rprivate', []],
    [undefined, ['master']],
  ] as const) {
    const table = mountTable(await workspace.shell(MOUNTINFO, { linux: { rootfsPropagation: propagation } }));
    const tags = table['/']?.propagation.filter((tag) => shown.length > 0 || tag !== 'master') ?? [];
    // A root of which the host has nothing shared has no master either.
    t.true(
      tags.every((tag) => ['master', ...shown].includes(tag)) && shown.every((tag) => tag === 'master' || tags.includes(tag)),
      `${propagation}: ${tags}`,
    );
  }
});

containerTest("options of the file system's own", async (t, workspace) => {
  const table = await tableWith(workspace, [
    { destination: '/a', type: 'tmpfs', source: 'named', options: ['size=65536k', 'mode=1700', 'uid=12', 'gid=34', 'nr_inodes=100'] },
    { destination: '/b', type: 'tmpfs', options: ['size=1m,mode=711'] },
    { destination: '/c', type: 'mqueue', source: 'mqueue' },
    { destination: '/d', type: 'ramfs', source: 'ramfs', options: ['mode=750'] },
  ]);
  t.is(table['/a']?.source, 'named');
  t.deepEqual(
    table['/a']?.superOptions.filter((option) => option.includes('=')),
    ['gid=34', 'mode=1700', 'nr_inodes=100', 'size=65536k', 'uid=12'],
  );
  t.true(table['/b']?.superOptions.includes('size=1024k'));
  t.true(table['/b']?.superOptions.includes('mode=711'));
  t.is(table['/c']?.type, 'mqueue');
  t.is(table['/d']?.type, 'ramfs');

  for (const [mount, ...words] of [
    [{ destination: '/a', type: 'tmpfs', options: ['size=nonsense'] }, '/mounts/7'],
    [{ destination: '/a', type: 'tmpfs', options: ['no-such-option'] }, '/mounts/7', 'no-such-option'],
    [{ destination: '/a', type: 'no-such-type' }, '/mounts/7', 'no-such-type'],
    [{ destination: '/a', source: '/no/such/source', options: ['bind'] }, '/mounts/7', 'no such file or directory'],
  ] as const) {
    failed(t, await workspace.run(workspace.bundle((config) => void config.mounts.push(mount as MountConfig))), ...words);
  }
});

containerTest('binds of files and directories: absolute, relative to the bundle, over what is there and what is not', async (t, workspace) => {
  const script = `cat /etc/passwd /new/file /dir/inner/file /rel/file relative-file; stat -c '%F %a' /new /new/file /dir; echo x >/etc/passwd; echo x >/dir/inner/new`;
  const bundle = workspace.script(script, (config) => {
    config.process.cwd = '/';
    config.mounts.push(
      { destination: '/etc/passwd', type: 'bind', source: '$file', options: ['bind', 'ro'] },
      { destination: '/new/file', type: 'none', source: '$file', options: ['bind'] },
      { destination: '/dir/inner', type: 'none', source: 'data', options: ['rbind', 'ro'] },
      { destination: '/rel', source: 'data', options: ['bind'] },
      { destination: 'relative-file', source: 'data/file', options: ['bind'] },
    );
  });
  fs.mkdirSync(`${bundle.directory}/data`);
  fs.writeFileSync(`${bundle.directory}/data/file`, 'from the bundle\n');
  const file = workspace.path('file');
  fs.writeFileSync(file, 'from the host\n', { mode: 0o640 });
  bundle.edit((config) => {
    for (const mount of config.mounts) if (mount.source === '$file') mount.source = file;
  });
  const { stdout, stderr } = await workspace.run(bundle);
  t.is(stdout, 'from the host\nfrom the host\nfrom the bundle\nfrom the bundle\nfrom the bundle\ndirectory 755\nregular file 640\ndirectory 755\n');
  t.regex(stderr, /etc\/passwd: Read-only file system[\s\S]*new: Read-only file system/);
  t.is(fs.readFileSync(file, 'utf8'), 'from the host\n');
  t.false(fs.existsSync('/new'));
});

containerTest('mounts are made in order: a later one covers an earlier one, and may lie within it', async (t, workspace) => {
  const [first, second] = ['first', 'second'].map((name) => {
    const directory = workspace.path(name);
    fs.mkdirSync(directory);
    fs.writeFileSync(`${directory}/name`, name);
    return directory;
  }) as [string, string];
  const out = await workspace
    .shell('cat /m/name; echo; ls /m /m/inner; umount /m; cat /m/name', (config) => {
      const all = ['CAP_SYS_ADMIN'];
      config.process.capabilities = { bounding: all, effective: all, permitted: all };
      config.mounts.push(
        { destination: '/m', source: first, options: ['bind'] },
        { destination: '/m', source: second, options: ['bind'] },
        { destination: '/n', source: second, options: ['bind'] },
        { destination: '/n/inner', type: 'tmpfs', source: 'tmpfs' },
        { destination: '/m/inner', source: first, options: ['bind'] },
        { destination: '/n', type: 'tmpfs', source: 'tmpfs' },
      );
    })
    .catch((error: Error) => error.message);
  // The mount within keeps the outer one busy.
  t.regex(out, /second\n\/m:\ninner\nname\n\n\/m\/inner:\nname\n/);
});

containerTest('destinations are resolved inside the root', async (t, workspace) => {
  const bundle = workspace.script('ls /target /etc/up; readlink /link', (config) => {
    config.mounts.push(
      { destination: '/link/inner', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/absolute', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/../../../etc/up', type: 'tmpfs', source: 'tmpfs' },
    );
  });
  fs.mkdirSync(`${bundle.rootfs}/target`);
  fs.symlinkSync('../../../../../../target', `${bundle.rootfs}/link`);
  fs.symlinkSync(`${workspace.directory}/outside`, `${bundle.rootfs}/absolute`);
  t.is(await workspace.output(bundle), '/etc/up:\n\n/target:\ninner\n../../../../../../target\n');
  t.false(fs.existsSync(`${workspace.directory}/outside`));
  t.true(fs.existsSync(`${bundle.rootfs}${workspace.directory}/outside`));

  // These must be what they seem.
  for (const name of ['proc', 'sys', 'dev']) {
    const hostile = workspace.bundle();
    fs.rmdirSync(`${hostile.rootfs}/${name}`);
    fs.symlinkSync('tmp', `${hostile.rootfs}/${name}`);
    failed(t, await workspace.run(hostile), /\/mounts\/\d/, `/${name}`);
  }
});

containerTest('tmpcopyup copies what the mount covers', async (t, workspace) => {
  const script = `cd /data; find . | sort | while read -r f; do stat -c '%n %a %u %g %F' "$f"; done; cat file deep/er/file; readlink link; echo x >new && df . | tail -n 1`;
  const bundle = workspace.script(script, (config) => {
    withAllCapabilities(config);
    config.mounts.push({ destination: '/data', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', 'ro', 'rw', 'mode=700'] });
    config.mounts.push({ destination: '/frozen', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', 'ro'] });
  });
  bundle.file('data/file', 'text\n', 0o4751);
  bundle.file('data/deep/er/file', 'deeper\n', 0o600);
  bundle.file('frozen/file', 'frozen\n');
  fs.symlinkSync('/nowhere', `${bundle.rootfs}/data/link`);
  fs.chownSync(`${bundle.rootfs}/data/deep`, 12, 34);
  fs.chmodSync(`${bundle.rootfs}/data/deep`, 0o1770);
  const out = await workspace.output(bundle);
  t.regex(out, /^\.\/deep 1770 12 34 directory$/m);
  t.regex(out, /^\.\/file 4751 0 0 regular file$/m);
  t.regex(out, /^\.\/deep\/er\/file 600 0 0 regular file$/m);
  t.regex(out, /^\.\/link 777 0 0 symbolic link\ntext\ndeeper\n\/nowhere\ntmpfs/m);
  t.false(fs.existsSync(`${bundle.rootfs}/data/new`));

  bundle.edit({ process: { args: ['sh', '-c', 'cat /frozen/file; ! touch /frozen/file'] } });
  t.is(await workspace.output(bundle), 'frozen\n');
});

containerTest('id-mapped mounts', async (t, workspace) => {
  const source = workspace.mount('tmpfs', 'mode=755');
  workspace.mount('tmpfs', 'mode=755', `${source}/sub`);
  for (const directory of [source, `${source}/sub`]) {
    fs.writeFileSync(`${directory}/file`, '');
    fs.chownSync(`${directory}/file`, 1000, 2000);
  }
  const uidMappings = [{ containerID: 1000, hostID: 51000, size: 1 }];
  const gidMappings = [{ containerID: 2000, hostID: 62000, size: 1 }];
  const stat = 'stat -c "%n %u %g" /m/*/file /m/*/sub/file; touch /m/idmap/new';
  const bundle = workspace.script(stat, (config) => {
    config.process.user = { uid: 51000, gid: 62000 };
    config.mounts.push(
      { destination: '/m/idmap', source, options: ['rbind', 'idmap'], uidMappings, gidMappings },
      { destination: '/m/ridmap', source, options: ['rbind', 'ridmap'], uidMappings, gidMappings },
      { destination: '/m/plain', source, options: ['rbind'] },
    );
  });
  // Nobody may write where the owner is not mapped.
  fs.chownSync(source, 1000, 2000);
  t.is(
    await workspace.output(bundle),
    [
      '/m/idmap/file 51000 62000',
      '/m/plain/file 1000 2000',
      '/m/ridmap/file 51000 62000',
      '/m/idmap/sub/file 1000 2000',
      '/m/plain/sub/file 1000 2000',
      '/m/ridmap/sub/file 51000 62000',
      '',
    ].join('\n'),
  );
  const made = fs.statSync(`${source}/new`);
  t.deepEqual([made.uid, made.gid], [1000, 2000]);

  for (const [mount, pointer] of [
    [{ options: ['bind', 'idmap'] }, '/mounts/7/options/1'],
    [{ options: ['bind', 'ridmap'] }, '/mounts/7/options/1'],
    [{ options: ['bind'], uidMappings }, '/mounts/7/gidMappings'],
    [{ options: ['bind'], gidMappings }, '/mounts/7/uidMappings'],
    [{ type: 'tmpfs', options: ['idmap'], uidMappings, gidMappings }, '/mounts/7/options/0'],
  ] as const) {
    const wrong = workspace.bundle((config) => void config.mounts.push({ destination: '/m', source, ...(mount as object) }));
    failed(t, await workspace.run(wrong), pointer);
  }
});

containerTest("an id-mapped mount without mappings takes the container's user namespace", async (t, workspace) => {
  const source = workspace.mount('tmpfs', 'mode=755');
  fs.writeFileSync(`${source}/file`, '');
  fs.chownSync(`${source}/file`, 7, 8);
  const bundle = workspace.script('stat -c "%u %g" /mapped/file /plain/file', (config) => {
    withUserNamespace(config, 100000);
    config.mounts.push({ destination: '/mapped', source, options: ['bind', 'idmap'] }, { destination: '/plain', source, options: ['bind'] });
  });
  bundle.giveTo(100000);
  const out = await workspace.output(bundle);
  t.is(out, '7 8\n65534 65534\n');
});

containerTest('a read-only root, and mounts in it that are not', async (t, workspace) => {
  const bundle = workspace.script('touch /file; touch /tmp/file && echo written; touch /dev/file && echo also', (config) => {
    config.root.readonly = true;
    config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' });
    config.mounts.push({ destination: '/made/for/this', type: 'tmpfs', source: 'tmpfs', options: ['ro'] });
  });
  const { stdout, stderr } = await workspace.run(bundle);
  t.is(stdout, 'written\nalso\n');
  t.is(stderr, 'touch: /file: Read-only file system\n');
});

containerTest('masked and readonly paths', async (t, workspace) => {
  const script = [
    'cat /proc/kcore /secret/file | wc -c; ls -A /secret-dir /empty; touch /secret-dir/new',
    'touch /frozen/new /frozen/file /frozen/mount/new; echo x >/frozen/file; cat /frozen/file; touch /free && echo free',
    'stat -c "%F" /secret/file /secret-dir',
  ].join('; ');
  const bundle = workspace.script(script, (config) => {
    config.linux.maskedPaths = ['/proc/kcore', '/secret/file', '/secret-dir', '/not/there', '/link-to-empty'];
    config.linux.readonlyPaths = ['/frozen', '/frozen-file', '/not/there/either', '/proc/sys'];
    config.mounts.push({ destination: '/frozen/mount', type: 'tmpfs', source: 'tmpfs' });
  });
  bundle.file('secret/file', 'secret');
  bundle.file('secret-dir/file', 'secret');
  bundle.file('empty/file', 'secret');
  bundle.file('frozen/file', 'kept\n');
  fs.symlinkSync('empty', `${bundle.rootfs}/link-to-empty`);
  const { stdout, stderr } = await workspace.run(bundle);
  t.is(stdout, '0\n/empty:\n\n/secret-dir:\nkept\nfree\ncharacter special file\ndirectory\n');
  t.is(stderr.match(/Read-only file system/g)?.length, 5, stderr);
  t.is(fs.readFileSync(`${bundle.rootfs}/secret/file`, 'utf8'), 'secret');
});
