/** An ordinary user for the time of a test: with a name and ranges of subordinate ids, for without these newuidmap(1) gives nothing. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bundle, type CommandOptions, eventually, type Result, STRATA, type Workspace } from './container.ts';

const FILES = ['/etc/subuid', '/etc/subgid'] as const;
/** What the user gets of each kind. */
export const SUBORDINATE = 65_536;

export class User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** The first subordinate uid and gid. */
  readonly firstUid: number;
  readonly firstGid: number;
  /** XDG_RUNTIME_DIR and HOME. */
  readonly runtime: string;
  readonly home: string;
  private readonly workspace: Workspace;
  /** The user's copy of the command. */
  readonly command: string;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
    this.name = workspace.token;
    this.home = workspace.path('home');
    execFileSync('useradd', ['--no-create-home', '--home-dir', this.home, '--shell', '/bin/sh', this.name]);
    try {
      const [firstUid, firstGid] = FILES.map((file) => this.range(file)) as [number, number];
      this.firstUid = firstUid;
      this.firstGid = firstGid;
      this.uid = Number(execFileSync('id', ['-u', this.name], { encoding: 'utf8' }));
      this.gid = Number(execFileSync('id', ['-g', this.name], { encoding: 'utf8' }));
      this.runtime = this.directory('runtime');
      fs.mkdirSync(this.home);
      fs.chownSync(this.home, this.uid, this.gid);
      fs.mkdirSync(workspace.root);
      fs.chownSync(workspace.root, this.uid, this.gid);
      // The build may lie where ordinary users cannot go.
      this.command = workspace.path('strata');
      fs.copyFileSync(STRATA, this.command);
      fs.chmodSync(this.command, 0o755);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** useradd(8) gives ranges where login.defs says so. */
  private range(file: string): number {
    const line = fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .find((text) => text.startsWith(`${this.name}:`));
    if (line !== undefined) return Number(line.split(':')[1]);
    const first = 700_000_000;
    execFileSync('usermod', [file === '/etc/subuid' ? '--add-subuids' : '--add-subgids', `${first}-${first + SUBORDINATE - 1}`, this.name]);
    return first;
  }

  /** A directory that is the user's. */
  directory(name: string): string {
    const path = this.workspace.path(name);
    fs.mkdirSync(path, { mode: 0o700 });
    fs.chownSync(path, this.uid, this.gid);
    return path;
  }

  /** Gives the user a bundle. */
  own(bundle: Bundle): Bundle {
    fs.chownSync(bundle.directory, this.uid, this.gid);
    bundle.giveTo(this.uid);
    return bundle;
  }

  /** A bundle of the user's with a script for its program: what `spec --rootless` writes, with a writable root. */
  script(script: string, edit: Parameters<Workspace['script']>[1] = {}): Bundle {
    const { uid, gid } = this;
    const bundle = this.workspace.script(script, (config) => {
      config.linux.namespaces = ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'user'].map((type) => ({ type }));
      config.linux.uidMappings = [{ containerID: 0, hostID: uid, size: 1 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: gid, size: 1 }];
      config.linux.resources = {};
      delete config.linux.cgroupsPath;
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/sys');
      for (const mount of config.mounts) mount.options = mount.options?.filter((option) => option !== 'gid=5') ?? [];
    });
    return this.own(bundle.edit(edit));
  }

  /** Maps root to the user and all other ids to the subordinate ones. */
  mapAll(config: Bundle['config']): void {
    const rest = (hostID: number) => ({ containerID: 1, hostID, size: SUBORDINATE });
    config.linux.uidMappings = [{ containerID: 0, hostID: this.uid, size: 1 }, rest(this.firstUid)];
    config.linux.gidMappings = [{ containerID: 0, hostID: this.gid, size: 1 }, rest(this.firstGid)];
  }

  /** How `strata` is run as the user, through `wrapper` if there is one. */
  options(wrapper: readonly string[] = [], options: CommandOptions = {}): CommandOptions {
    const through = ['setpriv', `--reuid=${this.uid}`, `--regid=${this.gid}`, '--clear-groups', ...wrapper, ...(options.through ?? [])];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: this.home, USER: this.name, XDG_RUNTIME_DIR: this.runtime };
    return { command: this.command, cwd: this.home, ...options, through, env: { ...env, ...options.env } };
  }

  strata(args: readonly string[], wrapper: readonly string[] = [], options: CommandOptions = {}): Promise<Result> {
    return this.workspace.strata(args, this.options(wrapper, options));
  }

  /** Runs any other program as the user. */
  execute(...args: readonly string[]): Promise<Result> {
    // What the workspace adds to every command line is for strata: `--root DIR`, and an argument that must be there.
    const script = 'shift 2; exec "$@"';
    return this.workspace.strata(args, this.options(['sh', '-c', script]));
  }

  run(bundle: Bundle, wrapper: readonly string[] = [], options: CommandOptions = {}): Promise<Result> {
    return this.workspace.run(bundle, [], this.options(wrapper, options));
  }

  /** What a bundle's program prints; it must end well. */
  output(bundle: Bundle, wrapper: readonly string[] = []): Promise<string> {
    return this.workspace.output(bundle, [], this.options(wrapper));
  }

  /** Ends what the user left running, and the user. */
  async end(): Promise<void> {
    for (const pid of this.processes()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It was faster.
      }
    }
    await eventually('the processes of the user to be gone', () => this.processes().length === 0);
    this.remove();
  }

  processes(): number[] {
    return fs.readdirSync('/proc').flatMap((name) => {
      const stat = /^\d+$/.test(name) ? fs.statSync(`/proc/${name}`, { throwIfNoEntry: false }) : undefined;
      return stat?.uid === this.uid ? [Number(name)] : [];
    });
  }

  private remove(): void {
    // userdel(8) takes the group and the subordinate ids with it.
    execFileSync('userdel', ['--force', this.name], { stdio: 'ignore' });
    for (const file of FILES) {
      const text = fs.readFileSync(file, 'utf8');
      const kept = text.split('\n').filter((line) => !line.startsWith(`${this.name}:`));
      if (kept.join('\n') !== text) fs.writeFileSync(file, kept.join('\n'));
    }
  }
}

/** Where a program of this name is; undefined if nowhere. */
export function program(name: string): string | undefined {
  return ['/usr/bin', '/usr/sbin', '/bin', '/sbin'].map((directory) => join(directory, name)).find((path) => fs.existsSync(path));
}
