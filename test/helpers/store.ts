/** A store with an image in it, written by hand: what tests of running images need of import. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { createNodeHost } from '../../src/host/node.ts';
import { prepareStore } from '../../src/store/store.ts';
import { makeRootfs } from './container.ts';

/** The name of the image. */
export const IMAGE = 'box';

export interface MadeImage {
  /** What `--store` gets. */
  readonly store: string;
  /** `sha256:…` */
  readonly id: string;
  /** Directories of the layers, bottom to top. */
  readonly layers: readonly string[];
}

/**
 * Makes a store in a new directory, with an image called {@link IMAGE}: a layer with busybox, and one for each of `layers`, which fill its directory.
 *
 * @param config `config` of the image's configuration
 */
export function makeStore(store: string, config: object = {}, layers: readonly ((directory: string) => void)[] = []): MadeImage {
  prepareStore(createNodeHost(), store);
  const diffIds: string[] = [];
  const chainIds: string[] = [];
  const directories: string[] = [];
  for (const [index, fill] of [(directory: string) => void makeRootfs(directory), ...layers].entries()) {
    const diffId = digest(`layer ${index}`);
    const chainId = index === 0 ? diffId : digest(`${chainIds.at(-1)} ${diffId}`);
    const place = join(store, 'layers', hex(chainId));
    fs.mkdirSync(join(place, 'diff'), { recursive: true });
    fill(join(place, 'diff'));
    const parent = chainIds.at(-1);
    const record = { chainId, diffId, parent, blob: digest(''), mediaType: 'application/vnd.oci.image.layer.v1.tar', size: 0, entries: 0 };
    fs.writeFileSync(join(place, 'layer.json'), JSON.stringify(record));
    diffIds.push(diffId);
    chainIds.push(chainId);
    directories.push(join(place, 'diff'));
  }
  return { store, id: addImage(store, IMAGE, config, diffIds, chainIds), layers: directories };
}

function addImage(store: string, name: string, config: object, diffIds: readonly string[], layers: readonly string[]): string {
  const configuration = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
  const id = addBlob(store, configuration);
  const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: id, size: JSON.stringify(configuration).length };
  const manifest = addBlob(store, { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: descriptor, layers: [] });
  const record = { id, manifest, config: id, layers, created: '2026-01-01T00:00:00Z' };
  fs.writeFileSync(join(store, 'images', `${hex(id)}.json`), JSON.stringify(record));
  fs.writeFileSync(join(store, 'references.json'), JSON.stringify({ [`docker.io/library/${name}:latest`]: id }));
  return id;
}

function addBlob(store: string, document: object): string {
  const text = JSON.stringify(document);
  fs.writeFileSync(join(store, 'blobs/sha256', hex(digest(text))), text);
  return digest(text);
}

function digest(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

function hex(name: string): string {
  return name.slice('sha256:'.length);
}
