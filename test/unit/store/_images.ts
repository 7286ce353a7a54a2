/** A store with images in it, on a machine in memory. */
import { createHash } from 'node:crypto';
import { installBlob } from '../../../src/store/blobs.ts';
import { saveImages } from '../../../src/store/images.ts';
import { chainIds, hasLayer, installLayer, sealLayer } from '../../../src/store/layers.ts';
import { containerPath } from '../../../src/store/paths.ts';
import { updateReferences } from '../../../src/store/references.ts';
import type { Store } from '../../../src/store/store.ts';
import { makeTemporary, prepareStore, temporaryPath } from '../../../src/store/store.ts';
import { FakeHost, FakeMachine } from '../../helpers/fake-host.ts';

export const ROOT = '/var/lib/strata';

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export interface Wanted {
  /** Whole. */
  readonly names: readonly string[];
  /** What is in each layer, bottom to top: its size is that of the text. */
  readonly layers: readonly string[];
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Imports an image; its id. */
export async function addImage(store: Store, { names, layers, config = {} }: Wanted): Promise<string> {
  const { host } = store;
  const blob = (text: string): { digest: string; size: number } => {
    const temporary = temporaryPath(store);
    host.replaceFile(temporary, text, 0o600);
    installBlob(store, temporary, `sha256:${sha256(text)}`);
    return { digest: `sha256:${sha256(text)}`, size: text.length };
  };
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  const diffIds = layers.map((text) => `sha256:${sha256(`tar of ${text}`)}`);
  const chain = chainIds(diffIds, sha256);
  const blobs = layers.map((text) => blob(`tar of ${text}`));
  for (const [index, text] of layers.entries()) {
    const chainId = chain[index] as string;
    if (hasLayer(store, chainId)) continue;
    const temporary = makeTemporary(store);
    host.makeDirectory(`${temporary}/diff`, 0o755);
    host.replaceFile(`${temporary}/diff/file`, text, 0o644);
    const parent = chain[index - 1];
    const record = { chainId, diffId: diffIds[index] as string, blob: blobs[index]?.digest as string, mediaType, size: text.length, entries: 1 };
    sealLayer(store, temporary, { ...record, ...(parent !== undefined && { parent }) });
    installLayer(store, temporary, chainId);
  }
  const document = { architecture: 'amd64', os: 'linux', created: '2026-01-02T03:04:05Z', rootfs: { type: 'layers', diff_ids: diffIds }, ...config };
  const configuration = blob(JSON.stringify(document));
  const manifest = blob(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...configuration },
      layers: blobs.map((one) => ({ mediaType, ...one })),
    }),
  );
  const id = configuration.digest;
  await saveImages(store, [{ record: { id, manifest: manifest.digest, config: id, layers: chain, created: '2026-02-03T04:05:06Z' }, names: [] }]);
  await updateReferences(store, (references) => {
    for (const name of names) references.set(name, id);
  });
  return id;
}

/** Makes a container of the image. */
export function addContainer(store: Store, id: string, image: string, layers: readonly string[], volumes: readonly string[] = []): void {
  const directory = containerPath(store.root, id);
  store.host.makeDirectories(`${directory}/upper`, 0o755);
  const record = { id, image, layers, volumes: volumes.map((name) => ({ name, anonymous: true })) };
  store.host.replaceFile(`${directory}/container.json`, JSON.stringify(record), 0o600);
}

export const BASE = 'the base';
export const WEB = 'docker.io/library/web:1';
export const DB = 'docker.io/library/db:1';

/** Two images on one base, and one without a name on another. */
export async function withImages(): Promise<{ machine: FakeMachine; store: Store; web: string; db: string; nameless: string }> {
  const machine = new FakeMachine();
  const store = prepareStore(new FakeHost(machine), ROOT);
  const web = await addImage(store, { names: [WEB], layers: [BASE, 'what the web needs'] });
  const db = await addImage(store, { names: [DB], layers: [BASE, 'data', 'more data'] });
  const nameless = await addImage(store, { names: [], layers: ['something else'] });
  return { machine, store, web, db, nameless };
}
