/** Podman with strata as its runtime, and with storage of its own: nothing of the machine's podman is touched. */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from './container.ts';
import { makeRootfs, STRATA } from './container.ts';

/** Limits that podman's own would exceed where root lacks CAP_SYS_RESOURCE, and nothing that needs systemd. */
const CONFIGURATION = `
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/** Where strata has its state when nobody says otherwise. */
const STATE = '/run/strata';

/** The image of a busybox that every test has. */
export const IMAGE = 'localhost/busybox:1';

/** Which of these programs are missing here. */
export function missingPrograms(...names: readonly string[]): string[] {
  const directories = (process.env.PATH ?? '').split(':');
  return names.filter((name) => !directories.some((directory) => fs.existsSync(join(directory, name))));
}

export class Podman {
  readonly directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'strata-podman-')));
  readonly #environment: Record<string, string>;

  constructor() {
    const configuration = join(this.directory, 'containers.conf');
    fs.writeFileSync(configuration, CONFIGURATION);
    this.#environment = { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: this.directory, CONTAINERS_CONF: configuration };
  }

  /** Makes the image. */
  importImage(): void {
    const rootfs = makeRootfs(join(this.directory, 'rootfs'));
    const archive = join(this.directory, 'rootfs.tar');
    execFileSync('tar', ['-C', rootfs, '-cf', archive, '.']);
    execFileSync('podman', [...this.#storage(), 'import', '-c', 'CMD ["/bin/sh"]', '-c', 'ENV FROM_IMAGE=yes', archive, IMAGE], {
      env: this.#environment,
      stdio: 'pipe',
    });
  }

  /** The command line up to podman's verb. */
  get command(): string[] {
    return ['podman', ...this.#storage(), '--runtime', STRATA];
  }

  /** Runs podman. */
  run(args: readonly string[], input?: string): Promise<Result> {
    return this.execute([...this.command, ...args], input);
  }

  /** Ids of strata's containers whose bundles are in this storage. Podman does not hand `--runtime-flag` on to its clean-up, so they are in strata's own root. */
  containers(): string[] {
    if (!fs.existsSync(STATE)) return [];
    return fs.readdirSync(STATE).filter((id) => {
      try {
        return fs.readFileSync(join(STATE, id, 'state.json'), 'utf8').includes(this.directory);
      } catch {
        return false;
      }
    });
  }

  /** Runs a program with podman's environment. */
  execute(args: readonly string[], input?: string): Promise<Result> {
    const [program = '', ...rest] = args;
    return new Promise((fulfil, reject) => {
      // conmon leaves notes in the working directory.
      const options = { cwd: this.directory, env: this.#environment };
      const child = spawn(program, rest, { ...options, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
      let [stdout, stderr] = ['', ''];
      child.stdout?.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr?.on('data', (chunk) => {
        stderr += chunk;
      });
      child.once('error', reject);
      // Not close: conmon may hold the pipes for longer.
      child.once('exit', (code, signal) => setImmediate(() => fulfil({ code: code ?? -1, signal, stdout, stderr })));
      child.stdin?.end(input);
    });
  }

  /** Where skopeo finds an image of this storage. */
  reference(image: string): string {
    const { root, runroot } = this.#directories();
    return `containers-storage:[vfs@${root}+${runroot}]${image}`;
  }

  /** Removes all containers and pods. */
  async clear(): Promise<void> {
    await this.run(['pod', 'rm', '--all', '--force', '--time', '0']);
    await this.run(['rm', '--all', '--force', '--time', '0']);
  }

  /** Removes everything. */
  async dispose(): Promise<void> {
    await this.clear();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /** Options of podman and buildah that lead to this storage. */
  get places(): string[] {
    const { root, runroot } = this.#directories();
    return ['--root', root, '--runroot', runroot, '--storage-driver', 'vfs'];
  }

  #directories(): { root: string; runroot: string } {
    return { root: join(this.directory, 'root'), runroot: join(this.directory, 'runroot') };
  }

  #storage(): string[] {
    return [...this.places, '--tmpdir', join(this.directory, 'tmp')];
  }
}
