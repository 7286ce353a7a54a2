/** `fsck`: everything that can be wrong with a store, and mending what can be mended. */

import { StrataError } from '../base/error.ts';
import { messageOf } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { shortId } from '../image/digest.ts';
import { listBlobs } from '../store/blobs.ts';
import type { Finding } from '../store/check.ts';
import { examine } from '../store/check.ts';
import { sealLayer } from '../store/layers.ts';
import { whileRemoving, whileUsing } from '../store/lock.ts';
import { containerPath, layerPath } from '../store/paths.ts';
import { removeAll, takeAway } from '../store/prune.ts';
import { updateReferences } from '../store/references.ts';
import type { Store } from '../store/store.ts';
import { openStore, temporaryPath } from '../store/store.ts';
import type { Survey } from '../store/usage.ts';
import { survey } from '../store/usage.ts';
import type { Fault, FsckOptions } from './archive.ts';
import type { LayerOrigin } from './verify.ts';
import { Contents, layerOrigins } from './verify.ts';
import { Watch } from './watch.ts';

/** @throws StrataError `locked`, `system`. */
export async function fsck(host: Host, options: FsckOptions): Promise<readonly Fault[]> {
  const { store: root, repair, quick, checkpoint, progress } = options;
  const store = openStore(host, root);
  if (host.stat(root) === undefined) return [];
  const watch = new Watch(checkpoint);
  const check = new Check(store, new Contents(store, watch, progress));
  try {
    if (repair) await whileRemoving(store, () => check.repair(quick));
    else await check.look(quick);
    return check.faults;
  } finally {
    watch.end();
    await removeAll(store, check.doomed);
  }
}

class Check {
  readonly faults: Fault[] = [];
  /** Taken into `tmp`, and to be removed there. */
  readonly doomed: string[] = [];
  private readonly store: Store;
  private readonly contents: Contents;

  constructor(store: Store, contents: Contents) {
    this.store = store;
    this.contents = contents;
  }

  /** Changes nothing. Others may use the store while contents are read, which takes long. */
  async look(quick: boolean): Promise<void> {
    const { store } = this;
    const findings = await whileRemoving(store, () => examine(store));
    for (const { text } of findings) this.tell(text, false);
    if (quick) return;
    await whileUsing(store, async () => {
      await this.readBlobs();
      const { damaged } = this.contents;
      for (const finding of findings) if (finding.kind === 'layer') damaged.add(finding.chainId);
      for (const origin of this.origins(survey(store))) {
        const fault = damaged.has(origin.chainId) ? undefined : await this.contents.layer(origin);
        if (fault !== undefined) this.tell(`layer ${shortId(origin.chainId)} ${fault}`, false);
      }
    });
  }

  async repair(quick: boolean): Promise<void> {
    const { store } = this;
    const findings = await examine(store);
    await this.dropNames(findings);
    for (const { kind, text } of findings) if (kind === 'fault') this.tell(text, false);
    const orphans = findings.filter((finding) => finding.kind === 'orphan');
    this.doomed.push(
      ...(await takeAway(
        store,
        orphans.map(({ garbage }) => garbage),
      )),
    );
    for (const { text } of orphans) this.tell(text, true);
    if (!quick) await this.readBlobs();
    await this.repairLayers(findings, quick);
  }

  private tell(text: string, repaired: boolean): void {
    this.faults.push({ text, repaired });
  }

  private async readBlobs(): Promise<void> {
    for (const digest of listBlobs(this.store).digests) {
      const fault = await this.contents.blob(digest);
      if (fault !== undefined) this.tell(`blob ${shortId(digest)} ${fault}`, false);
    }
  }

  private async dropNames(findings: readonly Finding[]): Promise<void> {
    const broken = findings.filter((finding) => finding.kind === 'name');
    if (broken.length === 0) return;
    await updateReferences(this.store, (names) => {
      for (const { name } of broken) names.delete(name);
    });
    for (const { text } of broken) this.tell(text, true);
  }

  /** Each layer of all images once, lower ones first. Images whose documents cannot be read are told of already. */
  private origins({ images }: Survey): readonly LayerOrigin[] {
    const origins = new Map<string, LayerOrigin>();
    for (const image of images) {
      try {
        for (const origin of layerOrigins(this.store, image)) origins.set(origin.chainId, origin);
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        this.tell(`image ${shortId(image.id)}: ${messageOf(error)}`, false);
      }
    }
    return [...origins.values()].sort((a, b) => a.below.length - b.below.length);
  }

  private async repairLayers(findings: readonly Finding[], quick: boolean): Promise<void> {
    const { store } = this;
    const seen = survey(store);
    const known = new Map(findings.flatMap((finding) => (finding.kind === 'layer' ? [[finding.chainId, finding.text]] : [])));
    for (const origin of this.origins(seen)) {
      const { chainId } = origin;
      let text = known.get(chainId);
      known.delete(chainId);
      if (text === undefined && !quick) {
        const fault = await this.contents.layer(origin);
        if (fault !== undefined) text = `layer ${shortId(chainId)} ${fault}`;
      }
      if (text === undefined) continue;
      try {
        this.checkUnused(chainId, seen);
        await this.replaceLayer(origin);
        this.contents.damaged.delete(chainId);
        this.tell(text, true);
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        this.contents.damaged.add(chainId);
        this.tell(`${text}; and it cannot be unpacked again: ${messageOf(error)}`, false);
      }
    }
    for (const text of known.values()) this.tell(text, false);
  }

  /** What a running container stands on must not be taken away from below it. @throws StrataError `in-use`. */
  private checkUnused(chainId: string, { holders }: Survey): void {
    const { host, root } = this.store;
    for (const { id, layers } of holders) {
      if (!layers.includes(chainId)) continue;
      const lock = host.tryLock(containerPath(root, id));
      if (lock === undefined) throw new StrataError({ code: 'in-use', reason: `container ${id} runs on it` });
      host.close(lock);
    }
  }

  private async replaceLayer(origin: LayerOrigin): Promise<void> {
    const { store } = this;
    const { host, root } = store;
    const { chainId, diffId, blob, mediaType, below } = origin;
    const { directory, entries, size } = await this.contents.unpack(origin);
    try {
      const parent = below.at(-1);
      sealLayer(store, directory, { chainId, diffId, ...(parent !== undefined && { parent }), blob, mediaType, size, entries });
      await host.syncFileSystem(directory);
      const place = layerPath(root, chainId);
      if (host.stat(place) !== undefined) {
        const old = temporaryPath(store);
        host.rename(place, old, false);
        this.doomed.push(old);
      }
      host.rename(directory, place, false);
      await host.syncFile(`${root}/layers`);
    } catch (error) {
      this.doomed.push(directory);
      throw error;
    }
  }
}
