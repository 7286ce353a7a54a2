/** The annotation dev.strata.overlay: a container's root out of layers. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Bundle, Config, Workspace } from '../helpers/container.ts';
import { BUSYBOX, eventually, makeRootfs, mounts, withNamespace, withUserNamespace } from '../helpers/container.ts';
import { fingerprint } from '../helpers/layout.ts';
import { containerTest } from './_support.ts';

const POINTER = '/annotations/dev.strata.overlay';

interface Overlay {
  lower?: unknown;
  upper?: unknown;
  work?: unknown;
  options?: unknown;
}

/** Sets the annotation. */
function withOverlay(overlay: Overlay | string): (config: Config) => void {
  return (config: Config) => {
    config.annotations = { 'dev.strata.overlay': typeof overlay === 'string' ? overlay : JSON.stringify(overlay) };
  };
}

/** A new directory of the workspace with these files in it. */
function layer(workspace: Workspace, files: Readonly<Record<string, string>> = {}, name = 'layer'): string {
  const directory = workspace.path(name);
  fs.mkdirSync(directory);
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(join(directory, path, '..'), { recursive: true });
    fs.writeFileSync(join(directory, path), text);
  }
  return directory;
}

/** The lowest layer: busybox, and these files. */
function bottom(workspace: Workspace, files: Readonly<Record<string, string>> = {}): string {
  return makeRootfs(layer(workspace, files));
}

/** An upper and a work directory. */
function writable(workspace: Workspace): { upper: string; work: string } {
  return { upper: layer(workspace, {}, 'upper'), work: layer(workspace, {}, 'work') };
}

/** Names of the regular files, devices and links below a directory. */
function files(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** `run` must fail with one line on stderr, which this gives back. */
async function refused(t: ExecutionContext, workspace: Workspace, bundle: Bundle): Promise<string> {
  const { code, stdout, stderr } = await workspace.run(bundle);
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /^strata: [^\n]+\n$/);
  t.deepEqual(workspace.leaks(), []);
  return stderr;
}

containerTest('layers are seen from the top: replaced, removed and made anew', async (t, workspace) => {
  const first = bottom(workspace, { 'etc/replaced': '1', 'etc/removed': '1', 'old/below': '1', 'deep/a/b/c': '1' });
  const second = layer(workspace, { 'etc/replaced': '2', 'etc/second': '2' });
  const third = layer(workspace);
  // The kernel itself makes the third: a whiteout for what is removed, an opaque directory for one that is made anew.
  const { work } = writable(workspace);
  const merged = layer(workspace);
  const script = `
    mount -t overlay -o lowerdir=${second}:${first},upperdir=${third},workdir=${work} overlay ${merged}
    cd ${merged} && rm etc/removed && rm -r old deep/a && mkdir old deep/a && echo 3 >old/above`;
  execFileSync('unshare', ['--mount', 'sh', '-ec', script]);
  const removed = fs.lstatSync(join(third, 'etc/removed'));
  t.true(removed.isCharacterDevice() && removed.rdev === 0);

  const before = fingerprint(first, second, third);
  const look = 'cat etc/replaced etc/second; echo; ls etc/removed; ls old deep/a; id -u';
  const { stdout, stderr } = await workspace.run(workspace.script(look, withOverlay({ lower: [third, second, first] })));
  t.is(stdout, '22\ndeep/a:\n\nold:\nabove\n0\n');
  t.regex(stderr, /etc\/removed: No such file/);
  t.is(fingerprint(first, second, third), before);
});

containerTest('what is written lands in the upper directory only, and stays there', async (t, workspace) => {
  const lower = [layer(workspace, { 'etc/motd': 'second\n' }), bottom(workspace, { 'etc/motd': 'first\n', 'etc/gone': '', 'dir/file': '' })];
  const { upper, work } = writable(workspace);
  const before = fingerprint(...lower);
  const edit = withOverlay({ lower, upper, work });
  await workspace.shell('echo more >>/etc/motd; rm /etc/gone; rm -r /dir; mkdir -p /new/dir; echo new >/new/dir/file; chmod 700 /home', edit);
  t.is(fs.readFileSync(join(upper, 'etc/motd'), 'utf8'), 'second\nmore\n');
  t.true(fs.lstatSync(join(upper, 'etc/gone')).isCharacterDevice());
  t.true(fs.lstatSync(join(upper, 'dir')).isCharacterDevice());
  t.is(fs.statSync(join(upper, 'home')).mode & 0o777, 0o700);
  t.deepEqual(files(upper), ['dir', 'etc/gone', 'etc/motd', 'new/dir/file']);
  t.is(fingerprint(...lower), before);
  // A second container continues where the first has ended.
  t.is(await workspace.shell('cat /etc/motd /new/dir/file; ls -d /dir /etc/gone 2>/dev/null || echo gone', edit), 'second\nmore\nnew\ngone');
  t.is(fingerprint(...lower), before);
});

containerTest('without an upper directory the root is read-only', async (t, workspace) => {
  const lower = [layer(workspace, { 'etc/motd': 'top\n' }), bottom(workspace)];
  const before = fingerprint(...lower);
  t.is(
    await workspace.shell('cat /etc/motd; touch /etc/new 2>&1 || echo refused', withOverlay({ lower })),
    'top\ntouch: /etc/new: Read-only file system\nrefused',
  );
  t.is(fingerprint(...lower), before);
});

containerTest('a single layer without an upper directory is a read-only root too', async (t, workspace) => {
  const lower = [bottom(workspace, { 'etc/motd': 'only\n' })];
  const before = fingerprint(...lower);
  const script = 'cat /etc/motd; touch /etc/new /tmp/new 2>&1; mount -o remount,rw / 2>&1 || echo refused';
  const told = await workspace.shell(`${script}; true`, withOverlay({ lower }));
  t.regex(told, /^only\ntouch: \/etc\/new: Read-only file system\ntouch: \/tmp\/new: Read-only file system\n(.*\n)*refused$/);
  t.is(fingerprint(...lower), before);
});

containerTest('a single layer with an upper directory can be written', async (t, workspace) => {
  const lower = [bottom(workspace)];
  const { upper, work } = writable(workspace);
  const before = fingerprint(...lower);
  await workspace.shell('echo hello >/etc/new', withOverlay({ lower, upper, work }));
  t.deepEqual(files(upper), ['etc/new']);
  t.is(fingerprint(...lower), before);
});

containerTest('root.readonly holds with an upper directory', async (t, workspace) => {
  const lower = [bottom(workspace)];
  const { upper, work } = writable(workspace);
  const told = await workspace.shell('touch /etc/new 2>&1 || echo refused', (config) => {
    withOverlay({ lower, upper, work })(config);
    config.root.readonly = true;
  });
  t.is(told, 'touch: /etc/new: Read-only file system\nrefused');
  t.deepEqual(files(upper), []);
});

containerTest('mount points that no layer has are made in the upper directory', async (t, workspace) => {
  const lower = [bottom(workspace)];
  const { upper, work } = writable(workspace);
  const before = fingerprint(...lower);
  const told = await workspace.shell('grep -c " /made/here " /proc/self/mountinfo', (config) => {
    withOverlay({ lower, upper, work })(config);
    config.mounts.push({ destination: '/made/here', type: 'tmpfs', source: 'tmpfs' });
  });
  t.is(told, '1');
  t.true(fs.statSync(join(upper, 'made/here')).isDirectory());
  t.is(fingerprint(...lower), before);
});

containerTest("the host's mountinfo never shows the overlay", async (t, workspace) => {
  const lower = [layer(workspace), bottom(workspace)];
  const bundle = workspace.script(
    'grep -c "^[0-9]* [0-9]* [0-9:]* / / .* - overlay " /proc/self/mountinfo',
    withOverlay({ lower, ...writable(workspace) }),
  );
  const running = workspace.spawn(['run', '--bundle', bundle.directory, workspace.id()]);
  const seen = new Set<string>();
  let looks = 0;
  let over = false;
  void running.result.finally(() => {
    over = true;
  });
  for (; !over; looks++) {
    for (const line of mounts()) if (line.includes(workspace.token)) seen.add(line);
    await new Promise(setImmediate);
  }
  t.is((await running.result).stdout, '1\n');
  t.deepEqual([...seen], []);
  t.true(looks > 10);
});

containerTest('not even where mounts travel: the host has them shared', async (t, workspace) => {
  const bundle = workspace.script('exec sleep 1000', withOverlay({ lower: [layer(workspace), bottom(workspace)] }));
  for (const propagation of ['private', 'shared', 'slave']) {
    bundle.edit((config) => {
      config.linux['rootfsPropagation'] = propagation;
    });
    const id = workspace.id();
    const script = `
      mount --make-rshared /
      "$@" create --bundle ${bundle.directory} ${id} >/dev/null 2>&1
      "$@" start ${id}
      echo seen $(grep -c ${workspace.token} /proc/self/mountinfo)
      "$@" delete --force ${id}
      echo left $(grep -c ${workspace.token} /proc/self/mountinfo)`;
    const { stdout, stderr } = await workspace.strata([], { through: ['unshare', '--mount', 'sh', '-c', script, 'sh'] });
    t.is(stdout, 'seen 0\nleft 0\n', `${propagation}: ${stderr}`);
  }
});

containerTest("two containers share layers and never see each other's writes", async (t, workspace) => {
  const lower = [layer(workspace, { shared: 'as it was\n' }), bottom(workspace)];
  const before = fingerprint(...lower);
  const go = layer(workspace, {}, 'go');
  const containers = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const script = `echo ${name} >>/shared; echo ${name} >/mine-${name}; touch /go/${name}; while [ ! -e /go/look ]; do sleep 0.01; done; cat /shared /mine-*`;
      const bundle = workspace.script(script, (config) => {
        withOverlay({ lower, ...writable(workspace) })(config);
        config.mounts.push({ destination: '/go', type: 'bind', source: go, options: ['bind'] });
      });
      return workspace.spawn(['run', '--bundle', bundle.directory, workspace.id()]);
    }),
  );
  await eventually('both to have written', () => ['one', 'two'].every((name) => fs.existsSync(join(go, name))));
  fs.writeFileSync(join(go, 'look'), '');
  const results = await Promise.all(containers.map(({ result }) => result));
  t.deepEqual(
    results.map(({ stdout, stderr }) => stdout + stderr),
    ['as it was\none\none\n', 'as it was\ntwo\ntwo\n'],
  );
  t.is(fingerprint(...lower), before);
});

containerTest('500 layers', async (t, workspace) => {
  const place = layer(workspace);
  const lower = Array.from({ length: 499 }, (_, index) => {
    const directory = join(place, String(index));
    fs.mkdirSync(directory);
    fs.writeFileSync(join(directory, `file${index}`), '');
    fs.writeFileSync(join(directory, 'top'), `${index}\n`);
    return directory;
  });
  lower.push(bottom(workspace));
  const script = 'ls / | grep -c ^file; cat /top';
  t.is(await workspace.shell(script, withOverlay({ lower })), '499\n0');
  t.is(await workspace.shell(script, withOverlay({ lower, ...writable(workspace) })), '499\n0');
  const told = await refused(t, workspace, workspace.script(script, withOverlay({ lower: [place, ...lower] })));
  t.true(told.includes(`${POINTER}: /lower names 501 layers; the kernel stacks at most 500`), told);
});

containerTest('500 layers with paths that are longer than a mount option can be', async (t, workspace) => {
  const place = join(layer(workspace), ...Array.from({ length: 5 }, () => 'd'.repeat(200)));
  fs.mkdirSync(place, { recursive: true });
  const lower = Array.from({ length: 499 }, (_, index) => {
    const directory = join(place, String(index));
    fs.mkdirSync(directory);
    fs.writeFileSync(join(directory, `file${index}`), '');
    return directory;
  });
  lower.push(bottom(workspace));
  const upper = join(place, 'upper');
  const work = join(place, 'work');
  fs.mkdirSync(upper);
  fs.mkdirSync(work);
  t.is(await workspace.shell('ls / | grep -c ^file; echo >/new', withOverlay({ lower, upper, work })), '499');
  t.deepEqual(files(upper), ['new']);
});

containerTest('any name that a directory can have', async (t, workspace) => {
  const names = ['a,b', 'a:b', 'a\\b', 'a\\,b\\:c', 'a b', 'a\'b"c', 'a\nb', 'lowerdir=x', '-o', 'größe ✓', '\u00ff', '%s', '\\', ','];
  for (const name of names) {
    const place = layer(workspace);
    const lower = ['1', '2'].map((number) => {
      const directory = join(place, number + name);
      fs.mkdirSync(directory);
      fs.writeFileSync(join(directory, `file${number}`), `${number}\n`);
      return directory;
    });
    const [upper, work] = [join(place, `upper${name}`), join(place, `work${name}`)] as const;
    fs.mkdirSync(upper);
    fs.mkdirSync(work);
    const edit = withOverlay({ lower: [...lower, bottom(workspace)], upper, work });
    t.is(await workspace.shell('cat /file1 /file2; echo >/new', edit), '1\n2', JSON.stringify(name));
    t.deepEqual(files(upper), ['new'], JSON.stringify(name));
  }
});

containerTest('relative directories start at the bundle, wherever it was called from', async (t, workspace) => {
  const bundle = workspace.script('cat /file; echo >/new', withOverlay({ lower: ['top', './rootfs'], upper: 'up/../upper', work: 'work' }));
  for (const name of ['top', 'up', 'upper', 'work']) fs.mkdirSync(join(bundle.directory, name));
  fs.writeFileSync(join(bundle.directory, 'top/file'), 'top\n');
  const link = workspace.path('link');
  fs.symlinkSync(bundle.directory, link);
  for (const [directory, cwd] of [
    [bundle.directory, '/'],
    ['.', bundle.directory],
    [link, '/'],
  ] as const) {
    const { code, stdout, stderr } = await workspace.strata(['run', '--bundle', directory, workspace.id()], { cwd });
    t.deepEqual([code, stdout, stderr], [0, 'top\n', '']);
  }
  t.deepEqual(files(join(bundle.directory, 'upper')), ['new']);
});

containerTest('a layer may be reached through a symbolic link', async (t, workspace) => {
  const link = workspace.path('link');
  fs.symlinkSync(layer(workspace, { file: 'behind a link\n' }), link);
  t.is(await workspace.shell('cat /file', withOverlay({ lower: [link, bottom(workspace)] })), 'behind a link');
});

containerTest('a directory that is missing, or is none, is named', async (t, workspace) => {
  const lowest = bottom(workspace);
  const { upper, work } = writable(workspace);
  const missing = join(workspace.directory, 'no-such-layer');
  const long = join(workspace.directory, 'n'.repeat(250), 'm'.repeat(250));
  const file = join(layer(workspace, { file: '' }), 'file');
  const cases: readonly (readonly [Overlay, string, RegExp])[] = [
    [{ lower: [lowest, missing] }, missing, /no such file or directory/],
    [{ lower: [missing, lowest], upper, work }, missing, /no such file or directory/],
    [{ lower: [missing] }, missing, /no such file or directory/],
    [{ lower: [lowest, long] }, long, /no such file or directory/],
    [{ lower: [lowest, file] }, file, /not a directory/],
    [{ lower: [file] }, file, /not a directory/],
    [{ lower: [lowest], upper: missing, work }, missing, /no such file or directory/],
    [{ lower: [lowest], upper: file, work }, file, /not a directory/],
    [{ lower: [lowest], upper, work: missing }, missing, /no such file or directory/],
  ];
  for (const [overlay, path, reason] of cases) {
    const told = await refused(t, workspace, workspace.script('true', withOverlay(overlay)));
    // What is longer than an error record is cut.
    const named = path.slice(0, 255);
    t.true(told.includes(`config.json ${POINTER}: `) && told.includes(named), told);
    t.regex(told.toLowerCase(), reason);
  }
});

containerTest('what the kernel refuses is told in one line', async (t, workspace) => {
  const lowest = bottom(workspace);
  const { upper } = writable(workspace);
  const elsewhere = workspace.mount('tmpfs', 'size=1m');
  const cases: readonly (readonly [Overlay, RegExp])[] = [
    // On another file system than the upper directory.
    [{ lower: [lowest], upper, work: elsewhere }, /invalid argument|invalid cross-device link/],
    // Inside the upper directory.
    [{ lower: [lowest], upper, work: join(upper, 'work') }, /invalid argument|overlap/],
    [{ lower: [lowest, lowest], options: ['nonsense'] }, /nonsense/],
    [{ lower: [lowest, lowest], options: ['index=maybe'] }, /index/],
  ];
  fs.mkdirSync(join(upper, 'work'));
  for (const [overlay, reason] of cases) {
    const bundle = workspace.script('true', withOverlay(overlay));
    const { code, stderr } = await workspace.run(bundle);
    t.is(code, 1);
    t.regex(stderr, /^strata: [^\n]+\n$/);
    t.true(stderr.includes(`config.json ${POINTER}: `), stderr);
    t.regex(stderr.toLowerCase(), reason);
  }
  await workspace.endHelpers();
});

containerTest('an upper directory in use is for the kernel to refuse', async (t, workspace) => {
  const lower = [bottom(workspace)];
  const { upper, work } = writable(workspace);
  // With the index the kernel insists on an upper directory of one's own.
  const edit = withOverlay({ lower, upper, work, options: ['index=on'] });
  const { id } = await workspace.start(workspace.script('exec sleep 1000', edit));
  const { code, stdout, stderr } = await workspace.run(workspace.script('true', edit));
  t.deepEqual([code, stdout], [1, '']);
  t.regex(stderr, /^strata: config\.json [^\n]*[Dd]evice or resource busy[^\n]*\n$/);
  t.is((await workspace.state(id)).status, 'running');
  await workspace.remove(id);
  t.is((await workspace.run(workspace.script('true', edit))).code, 0);
});

containerTest('options of overlayfs are passed on', async (t, workspace) => {
  const lower = [layer(workspace), bottom(workspace)];
  const options = (asked: readonly string[], upper = true) =>
    workspace.shell(
      'sed -n "s/.* - overlay overlay //p" /proc/self/mountinfo | head -n 1',
      withOverlay({ lower, options: asked, ...(upper && writable(workspace)) }),
    );
  const told = await options(['index=on', 'redirect_dir=on', 'volatile']);
  // Newer kernels tell `volatile` as `fsync=volatile`.
  for (const option of [/,index=on/, /,redirect_dir=on/, /[,=]volatile/]) t.regex(told, option);
  t.true((await options(['userxattr'])).split(',').includes('userxattr'));
  t.true((await options(['metacopy=on'], false)).split(',').includes('metacopy=on'));
  t.true((await options([], false)).startsWith('ro,'));
  t.true((await options([])).startsWith('rw,'));
});

containerTest('an annotation that is wrong is an error with its pointer', async (t, workspace) => {
  const cases: readonly (readonly [Overlay | string, string])[] = [
    ['', 'is not JSON'],
    ['{', 'is not JSON'],
    ['{"lower":["/x"]} trailing', 'is not JSON'],
    ['[]', 'must be an object'],
    ['null', 'must be an object'],
    ['"/layers"', 'must be an object'],
    [{}, '/lower is required'],
    [{ lower: [] }, '/lower must name at least one layer'],
    [{ lower: '/x' }, '/lower must be an array'],
    [{ lower: ['/x', 7] }, '/lower/1 must be a string'],
    [{ lower: [''] }, '/lower/0 must not be empty'],
    [{ lower: ['/x\0y'] }, '/lower/0 must not contain a NUL'],
    [{ lower: ['/x'], upper: '/y' }, '/work is required'],
    [{ lower: ['/x'], work: '/y' }, '/upper is required'],
    [{ lower: ['/x'], upper: {}, work: '/y' }, '/upper must be a string'],
    [{ lower: ['/x'], options: 'index=on' }, '/options must be an array'],
    [{ lower: ['/x'], options: ['a,b'] }, '/options/0 must be one option'],
    [{ lower: ['/x'], options: ['lowerdir=/etc'] }, '/options/0 must not set lowerdir'],
    [{ lower: ['/x'], options: ['upperdir=/etc'] }, '/options/0 must not set upperdir'],
    ['{"lowers":["/x"]}', '/lowers is not known'],
  ];
  const bundle = workspace.script('true');
  for (const [overlay, reason] of cases) {
    const told = await refused(t, workspace, bundle.edit(withOverlay(overlay)));
    t.true(told.startsWith(`strata: config.json ${POINTER}: `) && told.includes(reason), `${JSON.stringify(overlay)}: ${told}`);
  }
});

containerTest('layers in a user namespace belong to whom their owners map to', async (t, workspace) => {
  const first = 100_000;
  const lower = [layer(workspace, { 'etc/ours': 'ours\n', 'etc/foreign': 'foreign\n' }), bottom(workspace)];
  const { upper, work } = writable(workspace);
  for (const directory of [...lower, upper])
    for (const name of ['', ...fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })])
      if (name !== 'etc/foreign') fs.lchownSync(join(directory, name), first, first);
  const before = fingerprint(...lower);
  const script =
    'stat -c %u:%g /etc/ours /etc/foreign /bin; rm /etc/passwd; echo mine >/etc/ours; touch /new; echo x 2>/dev/null >/etc/foreign || echo refused';
  const edit = (config: Config): void => {
    withOverlay({ lower, upper, work })(config);
    withUserNamespace(config, first);
  };
  t.is(await workspace.shell(script, edit), '0:0\n65534:65534\n0:0\nrefused');
  t.is(fs.readFileSync(join(upper, 'etc/ours'), 'utf8'), 'mine\n');
  t.is(fs.statSync(join(upper, 'new')).uid, first);
  t.true(fs.lstatSync(join(upper, 'etc/passwd')).isCharacterDevice());
  t.is(fingerprint(...lower), before);
  // The single layer, which needs no overlay, and one that is read-only.
  for (const few of [lower.slice(1), lower]) {
    const told = await workspace.shell('id -u; touch /new 2>&1 || echo refused', (config) => {
      withOverlay({ lower: few })(config);
      withUserNamespace(config, first);
    });
    t.is(told, '0\ntouch: /new: Read-only file system\nrefused');
  }
});

containerTest('layers without a mount namespace of the container', async (t, workspace) => {
  const lower = [layer(workspace, { file: 'top\n' }), bottom(workspace)];
  const { upper, work } = writable(workspace);
  const holder = workspace.helper(['unshare', '--mount', BUSYBOX, 'sleep', '1000']);
  await eventually('the other namespace', () => fs.readlinkSync(`/proc/${holder.pid}/ns/mnt`) !== fs.readlinkSync('/proc/self/ns/mnt'));
  const told = await workspace.shell('cat /file; echo >/new; ls /', (config) => {
    withOverlay({ lower, upper, work })(config);
    withNamespace(config, 'mount', `/proc/${holder.pid}/ns/mnt`);
  });
  t.true(told.startsWith('top\nbin\n'));
  t.false(fs.readFileSync(`/proc/${holder.pid}/mountinfo`, 'utf8').includes(upper));
  t.deepEqual(files(upper), ['new']);
});

containerTest('the upper directory on a tmpfs', async (t, workspace) => {
  const place = workspace.mount('tmpfs', 'size=16m');
  const [upper, work] = [join(place, 'upper'), join(place, 'work')] as const;
  fs.mkdirSync(upper);
  fs.mkdirSync(work);
  await workspace.shell('echo hello >/etc/new; rm /etc/group', withOverlay({ lower: [bottom(workspace)], upper, work }));
  t.deepEqual(files(upper), ['etc/group', 'etc/new']);
});
