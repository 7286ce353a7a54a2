/** Docker's daemon with strata among its runtimes, all of its state in a directory of its own, and no network. */
import * as fs from 'node:fs';
import { type Result, STRATA } from './container.ts';
import { Daemon, IMAGE, IMAGE_CHANGES, Place } from './engine.ts';

/** Debian's client; another one may come first in PATH. */
const CLIENT = '/usr/bin/docker';

export class Docker extends Place {
  readonly #daemon: Daemon;

  constructor() {
    super('docker');
    const state = ['--data-root', this.path('root'), '--exec-root', this.path('run'), '--pidfile', this.path('pid')];
    const network = ['--bridge', 'none', '--iptables=false', '--ip6tables=false'];
    const runtimes = ['--add-runtime', `strata=${STRATA}`, '--default-runtime', 'strata'];
    fs.writeFileSync(this.path('daemon.json'), '{}');
    this.#daemon = new Daemon(this, [
      'dockerd',
      '--config-file',
      this.path('daemon.json'),
      '--host',
      this.#address,
      ...state,
      ...network,
      ...runtimes,
    ]);
  }

  static missing(): string[] {
    return fs.existsSync(CLIENT) ? [] : ['docker'];
  }

  /** Waits for the daemon and makes the image. */
  async ready(): Promise<void> {
    await this.#daemon.answers(async () => (await this.run(['version'])).code === 0);
    await this.told([...this.command, 'import', ...IMAGE_CHANGES.flatMap((line) => ['--change', line]), this.archive(), IMAGE]);
  }

  /** The command line up to docker's verb. */
  get command(): string[] {
    return [CLIENT, '--host', this.#address];
  }

  /** Runs the client. */
  run(args: readonly string[], input?: string): Promise<Result> {
    return this.execute([...this.command, ...args], input);
  }

  /** Removes all containers. */
  async clear(): Promise<void> {
    const ids = (await this.run(['ps', '--all', '--quiet'])).stdout.split('\n').filter(Boolean);
    if (ids.length > 0) await this.run(['rm', '--force', ...ids]);
  }

  /** State directories that a runtime still has. */
  containers(): string[] {
    const directory = this.path('run/runtime-runc/moby');
    return fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => !name.startsWith('@')) : [];
  }

  /** Ends the daemon. It has made a mount of its root, and since version 28 leaves that. */
  async end(): Promise<void> {
    await this.#daemon.end();
    await this.execute(['umount', this.path('root')]);
  }

  get #address(): string {
    return `unix://${this.path('socket')}`;
  }
}
