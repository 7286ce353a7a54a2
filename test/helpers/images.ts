/** A store for a test, with small images in it. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { createNodeHost } from '../../src/host/node.ts';
import { examine } from '../../src/store/check.ts';
import { whileRemoving } from '../../src/store/lock.ts';
import { openStore } from '../../src/store/store.ts';
import type { Result, Workspace } from './container.ts';
import { makeLayout, tarOf, tarOfFiles } from './layout.ts';

export interface StoredLayer {
  /** What overlayfs stacks. */
  readonly diff: string;
  /** The archive. */
  readonly blob: string;
  /** Twelve digits of the chain id. */
  readonly short: string;
}

/** What two images share: an entry of each kind that is easy to damage. */
export const BASE = tarOf([
  { path: 'etc/', type: '5', mode: 0o750 },
  { path: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\n' },
  { path: 'bin/su', mode: 0o4755, content: 'su' },
  { path: 'bin/sudo', type: '1', link: 'bin/su' },
]);
export const WEB = tarOfFiles({ 'etc/web.conf': 'port 80\n', 'bin/.wh.sudo': '' });
export const DB = tarOfFiles({ 'var/data': 'x'.repeat(5000) });

export class TestStore {
  readonly directory: string;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace, directory = join(workspace.directory, 'store')) {
    this.workspace = workspace;
    this.directory = directory;
  }

  strata(...args: readonly string[]): Promise<Result> {
    return this.workspace.strata(['--store', this.directory, ...args]);
  }

  /** What a command prints, which must succeed. */
  async out(...args: readonly string[]): Promise<string> {
    return (await this.workspace.succeed(['--store', this.directory, ...args])).stdout;
  }

  /** Imports an image of these layers; its short id. */
  async import(name: string, ...layers: readonly Buffer[]): Promise<string> {
    return (await this.out('image', 'import', '--quiet', '--name', name, this.layout(name, ...layers))).trim();
  }

  /** An image layout with these layers, bottom to top. */
  layout(name: string, ...layers: readonly Buffer[]): string {
    const directory = join(this.workspace.directory, `layout-${name}`);
    return fs.existsSync(directory) ? directory : makeLayout(directory, { layers, config: { Cmd: [name] } });
  }

  /** Imports the images web and db, whose lowest layer is the same. */
  async importTwo(): Promise<{ readonly web: string; readonly db: string }> {
    return { web: await this.import('web', BASE, WEB), db: await this.import('db', BASE, DB) };
  }

  /** Bottom to top. */
  async layers(image: string): Promise<readonly StoredLayer[]> {
    const [found] = JSON.parse(await this.out('image', 'inspect', image)) as { layers: { chainId: string; blob: string }[] }[];
    return (found?.layers ?? []).map(({ chainId, blob }) => ({
      diff: join(this.directory, 'layers', chainId.slice('sha256:'.length), 'diff'),
      blob: join(this.directory, 'blobs/sha256', blob.slice('sha256:'.length)),
      short: chainId.slice('sha256:'.length, 'sha256:'.length + 12),
    }));
  }

  /** What a directory of the store holds. */
  names(directory: string): readonly string[] {
    return fs.readdirSync(join(this.directory, directory)).sort();
  }

  /** What is wrong with the records, as `kind: text`. */
  async findings(): Promise<readonly string[]> {
    const store = openStore(createNodeHost(), this.directory);
    return whileRemoving(store, async () => (await examine(store)).map(({ kind, text }) => `${kind}: ${text}`));
  }
}
