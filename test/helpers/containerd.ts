/** Containerd with strata behind its shim, all of its state in a directory of its own; by way of ctr or of the CRI. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Result, STRATA } from './container.ts';
import { Daemon, IMAGE, Place, whereIs } from './engine.ts';
import { Podman } from './podman.ts';

/** What a pod's first container runs in. */
export const PAUSE = 'localhost/pause:1';

/** Containerd's namespace of everything that comes by way of the CRI. */
export const CRI_NAMESPACE = 'k8s.io';

export class Containerd extends Place {
  /** Containerd's, not the kernel's: one for each place, so that nobody else's containers are in it. */
  readonly namespace: string;
  readonly #daemon: Daemon;

  constructor() {
    super('containerd');
    this.namespace = this.directory.slice(this.directory.lastIndexOf('/') + 1);
    fs.writeFileSync(this.path('config.toml'), this.#configuration());
    this.#daemon = new Daemon(this, ['containerd', '--config', this.path('config.toml')]);
  }

  /** Where runtimes have their state, in a directory for each namespace. */
  get state(): string {
    return this.path('runtime');
  }

  get socket(): string {
    return this.path('socket');
  }

  /** Waits for the daemon, and imports the images. */
  async ready(): Promise<void> {
    const podman = new Podman();
    podman.importImage();
    podman.importImage(PAUSE, 'CMD ["/bin/sleep", "100000"]');
    for (const image of [IMAGE, PAUSE]) podman.save(image, this.#file(image));
    await podman.end();
    await this.#daemon.answers(async () => (await this.ctr(['version'])).code === 0);
    for (const namespace of [this.namespace, CRI_NAMESPACE]) {
      for (const image of [IMAGE, PAUSE])
        await this.told(['ctr', '--address', this.socket, '--namespace', namespace, 'image', 'import', this.#file(image)]);
    }
  }

  /** The command line up to ctr's verb. */
  get command(): string[] {
    return ['ctr', '--address', this.socket, '--namespace', this.namespace];
  }

  ctr(args: readonly string[], input?: string): Promise<Result> {
    return this.execute([...this.command, ...args], input);
  }

  /** Containers that a runtime still knows. */
  containers(namespace = this.namespace): string[] {
    const directory = join(this.state, namespace);
    return fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => !name.startsWith('@')) : [];
  }

  /** Removes all containers of the namespace. */
  async clear(): Promise<void> {
    for (const id of (await this.ctr(['container', 'ls', '--quiet'])).stdout.split('\n').filter(Boolean)) {
      await this.ctr(['task', 'delete', '--force', id]);
      await this.ctr(['container', 'delete', id]);
    }
  }

  /** Ends the daemon. */
  end(): Promise<void> {
    return this.#daemon.end();
  }

  /** A runtime called strata and one called runc, for the CRI; ctr names its own on its command line. */
  #configuration(): string {
    const current = !/ v?1\./.test(execFileSync('containerd', ['--version'], { encoding: 'utf8' }));
    const plugin = current ? "plugins.'io.containerd.cri.v1.runtime'" : 'plugins."io.containerd.grpc.v1.cri"';
    const sandbox = current
      ? `[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = "${PAUSE}"\n[${plugin}]`
      : `[${plugin}]\nsandbox_image = "${PAUSE}"`;
    const runtime = (name: string, binary: string): string => `
[${plugin}.containerd.runtimes.${name}]
runtime_type = "io.containerd.runc.v2"
[${plugin}.containerd.runtimes.${name}.options]
BinaryName = "${binary}"
Root = "${this.state}"`;
    return `
version = ${current ? 3 : 2}
root = "${this.path('root')}"
state = "${this.path('state')}"
[grpc]
address = "${this.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "${this.path('opt')}"
${sandbox}
restrict_oom_score_adj = true
disable_apparmor = true
[${plugin}.containerd]
default_runtime_name = "strata"
${runtime('strata', STRATA)}
${runtime('runc', whereIs('runc'))}
`;
  }

  #file(image: string): string {
    return this.path(`${image.replaceAll(/[/:]/g, '-')}.tar`);
  }
}
