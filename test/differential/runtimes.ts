/** Runs one configuration by one runtime and tells what came of it, free of whatever differs between any two runs. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Facts } from './compare.ts';
import { type Configuration, type Place, textOf } from './configs.ts';
import { makeBundle } from './rootfs.ts';

export interface Verdict {
  readonly facts: Facts;
  /** What the runtime said on standard error. */
  readonly message: string;
  /** What it has left behind. */
  readonly left: readonly string[];
}

const CGROUPS = '/sys/fs/cgroup';
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'];
/** Files of the namespaces of a process, where the name is not that of the type: those that it makes for its children. */
const FILES: Readonly<Record<string, string>> = { network: 'net', mount: 'mnt', pid: 'pid_for_children', time: 'time_for_children' };
const HANGS = 60_000;

/** Files of the container's cgroups by controller; those that the kernel has not are left out. */
const LIMITS: Readonly<Record<string, readonly string[]>> = {
  memory: [
    ...[
      'limit_in_bytes',
      'soft_limit_in_bytes',
      'memsw.limit_in_bytes',
      'swappiness',
      'use_hierarchy',
      'kmem.limit_in_bytes',
      'kmem.tcp.limit_in_bytes',
    ],
    'oom_control',
  ].map((name) => `memory.${name}`),
  cpu: ['shares', 'cfs_quota_us', 'cfs_period_us', 'cfs_burst_us', 'idle', 'rt_runtime_us', 'rt_period_us'].map((name) => `cpu.${name}`),
  cpuset: ['cpuset.cpus', 'cpuset.mems'],
  pids: ['pids.max'],
  blkio: [
    'throttle.read_bps_device',
    'throttle.write_bps_device',
    'throttle.read_iops_device',
    'throttle.write_iops_device',
    'bfq.weight',
    'weight',
  ].map((name) => `blkio.${name}`),
  devices: ['devices.list'],
  hugetlb: ['hugetlb.2MB.limit_in_bytes', 'hugetlb.2MB.rsvd.limit_in_bytes', 'hugetlb.1GB.limit_in_bytes'],
  freezer: ['freezer.state'],
  '': ['cgroup.max.depth', 'cgroup.max.descendants'],
};

const read = (path: string): string => {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    return `(${(error as NodeJS.ErrnoException).code})`;
  }
};
const linkOf = (path: string): string => {
  try {
    return fs.readlinkSync(path);
  } catch (error) {
    return `(${(error as NodeJS.ErrnoException).code})`;
  }
};
const lines = (text: string): string[] => text.split('\n').filter(Boolean);

export class Ground {
  readonly directory: string;
  /** In the names of all cgroups. */
  private readonly token: string;
  private readonly probe: string;
  private readonly own = new Map(NAMESPACES.map((type) => [type, linkOf(`/proc/self/ns/${type}`)]));
  private readonly mountsBefore: ReadonlySet<string>;
  private count = 0;

  constructor(directory: string, token: string, probe: string) {
    this.directory = directory;
    this.token = token;
    fs.mkdirSync(directory, { recursive: true });
    this.probe = join(directory, 'probe');
    fs.copyFileSync(probe, this.probe);
    this.mountsBefore = new Set(lines(read('/proc/self/mountinfo')));
  }

  async verdict(program: string, configuration: Configuration): Promise<Verdict> {
    const number = ++this.count;
    const directory = join(this.directory, `${number}`);
    const id = `${this.token}-${number}x`;
    // Of its own, so that nothing kept from another run, a compiled filter for one, can be taken for this one's.
    const root = join(directory, 'state');
    const helpers: ChildProcess[] = [];
    const place: Place = {
      directory,
      log: join(directory, 'log'),
      cgroup: `/${id}/container`,
      interface: `e${number}`,
      namespace: (type) => {
        if (helpers.length === 0) helpers.push(newNamespaces());
        return `/proc/${helpers[0]?.pid}/ns/${FILES[type] ?? type}`;
      },
    };
    makeBundle(directory, this.probe);
    for (const piece of configuration.pieces) piece.prepare?.(place);
    fs.writeFileSync(join(directory, 'config.json'), textOf(configuration, place));
    const facts = new Map<string, string>();
    const run = await this.run(program, root, id, directory, (pid) => this.outside(pid, place, helpers[0]));
    const [before = '', after = ''] = run.output.split(/^READY\n/m);
    // A runtime's own failure ends it with 1 or 255; our program ends so only where it is told to.
    const ran = !/^exit (1|255)$/.test(run.code) || configuration.name.includes('"exit"');
    facts.set('verdict', ran ? run.code : 'refused');
    if (ran) {
      for (const line of lines(before + after)) {
        const space = line.indexOf(' ');
        facts.set(line.slice(0, space < 0 ? undefined : space), space < 0 ? '' : this.plain(line.slice(space + 1), number));
      }
      for (const [name, value] of run.outside) facts.set(name, this.plain(value, number));
    }
    const hooks = hookLog(read(place.log), this.own.get('mnt') ?? '') + hookLog(read(join(directory, 'rootfs/tmp/log')), this.own.get('mnt') ?? '');
    if (hooks !== '') facts.set('hooks', this.plain(hooks, number));
    if (fs.existsSync(`/sys/class/net/e${number}`)) execFileSync('ip', ['link', 'delete', `e${number}`]);
    const left = this.leftovers(program, root, id, directory);
    if (ran) facts.set('made', madeIn(join(directory, 'rootfs')));
    for (const helper of helpers) helper.kill('SIGKILL');
    fs.rmSync(directory, { recursive: true, force: true });
    return { facts, message: this.plain(run.errors, number), left };
  }

  /** A text without the names that belong to this run. */
  private plain(text: string, number: number): string {
    return text
      .replaceAll(`${this.directory}/${number}`, 'BUNDLE')
      .replaceAll(`${this.token}-${number}x`, 'ID')
      .replaceAll(`/${number}/`, '/BUNDLE/')
      .replaceAll(`e${number}-`, 'e-');
  }

  private async run(
    program: string,
    root: string,
    id: string,
    directory: string,
    look: (pid: number) => Map<string, string>,
  ): Promise<{ code: string; output: string; errors: string; outside: Map<string, string> }> {
    const pidFile = join(directory, 'pid');
    const child = spawn(program, ['--root', root, 'run', '--bundle', directory, '--pid-file', pidFile, id], {
      cwd: directory,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', XDG_RUNTIME_DIR: this.directory },
    });
    let [output, errors] = ['', ''];
    let outside = new Map<string, string>();
    let started = false;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      const pid = Number(read(pidFile));
      if (pid > 1) process.kill(pid, 'SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
    }, HANGS);
    child.stdin.on('error', () => {});
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child.stdout.on('data', (data) => {
      output += data;
      if (started || !/^READY$/m.test(output)) return;
      started = true;
      // The program can be quicker than its runtime.
      for (let tries = 0; tries < 300 && !/^\d/.test(read(pidFile)); tries++) sleep(1);
      outside = look(Number(read(pidFile)));
      child.stdin.end();
    });
    const [code, signal] = await once(child, 'close');
    clearTimeout(timer);
    return { code: signal === null ? `exit ${code}` : `hangs, ${signal}`, output, errors, outside };
  }

  /** What is to be seen of a process from outside. */
  private outside(pid: number, place: Place, helper: ChildProcess | undefined): Map<string, string> {
    const facts = new Map<string, string>();
    const proc = `/proc/${pid}`;
    for (const type of NAMESPACES) {
      const here = linkOf(`${proc}/ns/${type}`);
      const joined = helper && [linkOf(`/proc/${helper.pid}/ns/${type}`), linkOf(`/proc/${helper.pid}/ns/${type}_for_children`)].includes(here);
      facts.set(`namespace-${type}`, here === this.own.get(type) ? 'shared' : joined ? 'joined' : 'new');
    }
    for (const name of ['oom_score_adj', 'uid_map', 'gid_map', 'setgroups', 'timens_offsets', 'coredump_filter']) {
      facts.set(
        name,
        lines(read(`${proc}/${name}`))
          .map((line) => line.trim().replace(/\s+/g, ' '))
          .join('; '),
      );
    }
    facts.set('executable', linkOf(`${proc}/exe`).replace(/^.*\/(?=\w+$)/, ''));
    for (const [point, text] of mountsOf(read(`${proc}/mountinfo`), join(place.directory, 'rootfs'))) facts.set(`mount:${point}`, text);
    for (const line of lines(read(`${proc}/cgroup`))) {
      const [, controllers = '', path = ''] = line.split(':');
      const at = path === '/' ? 'the root' : path;
      facts.set(`cgroup:${controllers}`, at);
      if (path === '/') continue;
      for (const name of LIMITS[controllers] ?? []) {
        const file = join(CGROUPS, controllers === '' ? 'unified' : controllers, path, name);
        if (fs.existsSync(file)) facts.set(`limit:${name}`, limitOf(name, read(file)));
      }
    }
    return facts;
  }

  /** What a run has left, in words; it is removed. */
  private leftovers(program: string, root: string, id: string, directory: string): string[] {
    const left: string[] = [];
    if (fs.existsSync(join(root, id))) {
      left.push('state');
      try {
        execFileSync(program, ['--root', root, 'delete', '--force', id], { stdio: 'ignore' });
      } catch {
        fs.rmSync(join(root, id), { recursive: true, force: true });
      }
    }
    const mounts = lines(read('/proc/self/mountinfo')).filter((line) => !this.mountsBefore.has(line) && line.includes(`${directory}/`));
    for (const line of mounts.reverse()) {
      const point = (line.split(' ')[4] ?? '').replace(/\\040/g, ' ');
      left.push(`mount ${point.replace(directory, 'BUNDLE')}`);
      execFileSync('umount', ['-l', point], { stdio: 'ignore' });
    }
    for (const path of this.cgroupsNamed(id)) {
      left.push(`cgroup ${path.replace(id, 'ID')}`);
      try {
        fs.rmdirSync(path);
      } catch (error) {
        left.push(`cgroup ${path}: ${(error as NodeJS.ErrnoException).code}`);
      }
    }
    return left;
  }

  /** Cgroups that are still there; they are removed, if they can be. */
  left(): string[] {
    return this.cgroupsNamed(`${this.token}-`).filter((path) => {
      try {
        fs.rmdirSync(path);
        return false;
      } catch {
        return true;
      }
    });
  }

  /** Cgroups with this in their names, and those below them, the lower before the upper. */
  private cgroupsNamed(token: string): string[] {
    const found: string[] = [];
    const search = (path: string, ours: boolean): void => {
      for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
        if (!entry.isDirectory()) continue;
        const below = join(path, entry.name);
        const its = ours || entry.name.includes(token);
        if (its || ['user.slice', 'system.slice'].includes(entry.name)) search(below, its);
        if (its) found.push(below);
      }
    };
    for (const hierarchy of fs.readdirSync(CGROUPS)) search(join(CGROUPS, hierarchy), false);
    return found;
  }
}

const sleep = (milliseconds: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

/** A process with new namespaces of every type but user, to be joined. */
function newNamespaces(): ChildProcess {
  const helper = spawn(
    'unshare',
    ['--net', '--ipc', '--uts', '--cgroup', '--mount', '--pid', '--time', '--fork', '--kill-child', 'sh', '-c', 'echo; exec sleep 1000'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const end = Date.now() + HANGS;
  while (
    linkOf(`/proc/${helper.pid}/ns/pid_for_children`) === linkOf('/proc/self/ns/pid') ||
    !/^\d/.test(read(`/proc/${helper.pid}/task/${helper.pid}/children`))
  ) {
    if (Date.now() > end) throw new Error('no process with namespaces of its own');
    sleep(2);
  }
  return helper;
}

/** Mount points with type, root, options and propagation of what is mounted there, one over another in order. Numbers are left out. */
function mountsOf(mountinfo: string, rootfs: string): Map<string, string> {
  const table = new Map<string, string>();
  for (const line of lines(mountinfo)) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', point = '', options = '', ...tags] = before.split(' ');
    const [type = '', source = '', superOptions = ''] = after.split(' ');
    const sorted = (list: string): string => list.split(',').sort().join(',');
    const shown = [
      type,
      source,
      root,
      sorted(options),
      type === 'devtmpfs' || type === 'cgroup' ? '' : sorted(superOptions.replace(/,?(seclabel|inode64)/g, '')),
      ...tags.map((tag) => tag.replace(/:\d+$/, '')),
    ].join(' ');
    const at = point.startsWith(rootfs) ? `ROOTFS${point.slice(rootfs.length)}` : point;
    table.set(at, table.has(at) ? `${table.get(at)} + ${shown}` : shown);
  }
  return table;
}

function limitOf(name: string, text: string): string {
  if (name === 'memory.oom_control') return /^oom_kill_disable \d/m.exec(text)?.[0] ?? text;
  return name === 'devices.list' ? lines(text).sort().join('; ') : lines(text).join('; ');
}

/** What hooks have told, without process ids and the runtime's own variables. */
function hookLog(text: string, ownMounts: string): string {
  if (text.startsWith('(')) return '';
  return lines(text)
    .map((line) => {
      const { hook, argv0, cwd, mnt, umask, env, state } = JSON.parse(line);
      const { pid, ...rest } = state ?? {};
      const known = Object.fromEntries(['ociVersion', 'id', 'status', 'bundle', 'annotations'].map((key) => [key, rest[key]]));
      return JSON.stringify({
        hook,
        argv0,
        cwd,
        mnt: mnt === ownMounts ? 'outside' : mnt === '?' ? mnt : 'inside',
        umask,
        env,
        pid: typeof pid === 'number' && pid > 0,
        ...known,
      });
    })
    .join('\n');
}

/** What the runtime has made in the root file system, that is, mount points. */
function madeIn(rootfs: string): string {
  const found: string[] = [];
  const search = (path: string): void => {
    for (const entry of fs.readdirSync(join(rootfs, path), { withFileTypes: true })) {
      const below = join(path, entry.name);
      const { mode, uid, gid } = fs.lstatSync(join(rootfs, below));
      found.push(`${below} ${mode.toString(8)} ${uid}:${gid}`);
      if (entry.isDirectory()) search(below);
    }
  };
  search('');
  return found.sort().join('; ');
}
