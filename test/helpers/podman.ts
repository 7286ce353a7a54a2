/** Podman with strata as its runtime, and with storage of its own: nothing of the machine's podman is touched. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Result, STRATA } from './container.ts';
import { type EngineCgroups, IMAGE, IMAGE_CHANGES, Place, removeCgroup } from './engine.ts';

/** Where strata has its state when nobody says otherwise. */
const STATE = '/run/strata';

/** Cgroups that podman makes beside those of containers, and leaves. */
const LEFT = ['conmon', 'libpod_parent'];

function leftCgroups(): string[] {
  const hierarchies = ['.', ...fs.readdirSync('/sys/fs/cgroup')].map((name) => join('/sys/fs/cgroup', name));
  return hierarchies.flatMap((hierarchy) => LEFT.map((name) => join(hierarchy, name))).filter((path) => fs.existsSync(path));
}

export class Podman extends Place {
  readonly #before = leftCgroups();

  constructor(manager?: EngineCgroups) {
    super('podman', manager);
  }

  /** Makes the image, or another one of the same files. */
  importImage(image = IMAGE, ...changes: readonly string[]): void {
    const change = [...IMAGE_CHANGES, ...changes].flatMap((line) => ['--change', line]);
    execFileSync('podman', [...this.#storage(), 'import', ...change, this.archive(), image], { env: this.environment, stdio: 'pipe' });
  }

  /** Writes an image, by its name, to a file that other engines can import. */
  save(image: string, file: string): void {
    execFileSync('podman', [...this.#storage(), 'save', '--quiet', '--format', 'oci-archive', '--output', file, image], {
      env: this.environment,
      stdio: 'pipe',
    });
  }

  /** The command line up to podman's verb. */
  get command(): string[] {
    return ['podman', ...this.#storage(), '--runtime', STRATA];
  }

  /** Runs podman with strata, or with what other options say. */
  run(args: readonly string[], input?: string, runtime: readonly string[] = ['--runtime', STRATA]): Promise<Result> {
    return this.execute(['podman', ...this.#storage(), ...runtime, ...args], input);
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
  async end(): Promise<void> {
    await this.clear();
    this.dispose();
    for (const path of leftCgroups()) if (!this.#before.includes(path)) await removeCgroup(path);
  }

  /** Options of podman and buildah that lead to this storage. */
  get places(): string[] {
    const { root, runroot } = this.#directories();
    return ['--root', root, '--runroot', runroot, '--storage-driver', 'vfs'];
  }

  #directories(): { root: string; runroot: string } {
    return { root: this.path('root'), runroot: this.path('runroot') };
  }

  #storage(): string[] {
    return [...this.places, '--tmpdir', this.path('tmp')];
  }
}
