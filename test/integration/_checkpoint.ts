/** Checkpoints of containers made of images: what their tests share. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Result, Workspace } from '../helpers/container.ts';
import { eventually } from '../helpers/container.ts';
import { CRIU_PATH, whyNoCheckpoints } from '../helpers/criu.ts';
import { IMAGE, makeStore } from '../helpers/store.ts';
import { containerTest } from './_support.ts';

const reason = process.getuid?.() === 0 ? whyNoCheckpoints() : undefined;

/** A store with an image, and what is done in it. */
export class Place {
  readonly store: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace, config: object = {}) {
    this.workspace = workspace;
    this.store = makeStore(workspace.path('store'), config).store;
  }

  try(args: readonly string[]): Promise<Result> {
    return this.workspace.strata(['--store', this.store, ...args], { env: { PATH: CRIU_PATH } });
  }

  /** What the command prints. @throws Error if it fails. */
  async strata(...args: readonly string[]): Promise<string> {
    return (await this.workspace.succeed(['--store', this.store, ...args], { env: { PATH: CRIU_PATH } })).stdout;
  }

  /** A script in the background. */
  async run(id: string, script: string, ...flags: readonly string[]): Promise<void> {
    await this.strata('run', '--detach', ...flags, '--image', IMAGE, id, 'sh', '-c', script);
  }

  path(id: string, ...names: readonly string[]): string {
    return join(this.store, 'containers', id, ...names);
  }

  async counts(id: string): Promise<string[]> {
    return (await this.strata('logs', id)).trim().split('\n');
  }

  /** Waits until the log has grown. */
  async grows(id: string): Promise<void> {
    const before = (await this.counts(id)).length;
    await eventually('the log to grow', async () => (await this.counts(id)).length > before + 2);
  }

  /** Nothing is left of what has failed. */
  clean(t: ExecutionContext, ...ids: readonly string[]): void {
    t.deepEqual(fs.readdirSync(join(this.store, 'containers')).sort(), [...ids].sort());
    t.deepEqual(fs.readdirSync(join(this.store, 'tmp')), []);
  }
}

export function imageTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>): void {
  if (reason === undefined) containerTest(`checkpoint of an image: ${title}`, body);
  else test.skip(`checkpoint of an image: ${title} (${reason})`, (t) => t.pass());
}

/** Writes and deletes, then counts; ends with 5 when it is asked to. */
export const COUNTS =
  'trap "echo bye; exit 5" TERM; echo written >/tmp/f; rm /etc/passwd; mkdir /new; ln -s f /new/link; exec 3>/open; i=0; while :; do i=$((i+1)); echo $i; echo $i >&3; sleep 0.03; done';

export function isWhole(lines: readonly string[], first = 1): boolean {
  return lines.every((line, index) => line === String(first + index));
}
