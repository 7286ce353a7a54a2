/** A checkpoint of a container made of an image, with all that it had written, as one archive: `checkpoint-form.ts`. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { StrataError, withFields } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { checkpointInstance } from '../instance/checkpoint.ts';
import { loadInstance } from '../instance/instances.ts';
import { archiveLayer } from '../instance/layer-archive.ts';
import { whilePaused } from '../instance/paused.ts';
import type { Instance } from '../instance/record.ts';
import { writableLayer } from '../instance/writable.ts';
import { checkId } from '../lifecycle/id.ts';
import { whileUsing } from '../store/lock.ts';
import { containerPath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary, openStore } from '../store/store.ts';
import type { CheckpointExportOptions } from './archive.ts';
import { fileRange, systemError } from './bytes.ts';
import { BUNDLE_FILES, CONFIG, DOCUMENT, isCriuName, LAYER, makeDocument } from './checkpoint-form.ts';
import type { Output } from './output.ts';
import { openTar } from './output.ts';

/**
 * @throws StrataError of any code; then there is no archive. A container that is not left running and has been dumped by then has its checkpoint in the store, so that
 *   `restore` can go on with it.
 */
export async function exportCheckpoint(host: Host, options: CheckpointExportOptions): Promise<void> {
  const { id } = options;
  checkId(id);
  const store = openStore(host, options.store);
  refuseVolumes(loadInstance(store, id));
  // Before the container is touched: a place that cannot be written to is the likeliest fault.
  const output = await openTar(options.output, options.compression);
  try {
    const work = new CheckpointExport(store, options, output);
    if (options.leaveRunning) await work.ofRunning();
    else await work.ofEnded();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

/** What a volume holds is not the container's own, and one that nobody can name could not be given to it again. */
function refuseVolumes({ id, volumes }: Instance): void {
  if (!volumes.some(({ anonymous }) => anonymous)) return;
  const reason = `container ${id} has a volume without a name, which cannot go into an archive`;
  throw new StrataError({ code: 'config-unsupported', reason, hint: 'give the volumes that its image asks for names, with --volume' });
}

class CheckpointExport {
  private readonly host: Host;
  private readonly store: Store;
  private readonly options: CheckpointExportOptions;
  private readonly output: Output;
  private readonly directory: string;

  constructor(store: Store, options: CheckpointExportOptions, output: Output) {
    this.host = store.host;
    this.store = store;
    this.options = options;
    this.output = output;
    this.directory = containerPath(store.root, options.id);
  }

  /** Nothing writes to its files any more. */
  async ofEnded(): Promise<void> {
    const { host, options } = this;
    const criu = await checkpointInstance(host, options);
    try {
      await this.using(async (work) => {
        await this.layer(work);
        await this.write(work, criu);
      });
    } catch (error) {
      if (!(error instanceof StrataError)) throw error;
      throw withFields(error, { hint: `the checkpoint is in the store: strata restore --detach ${options.id} goes on with it` });
    }
    // What went into a pipe may yet be lost on its way.
    if (this.output.isKept) await host.removeTree(criu);
  }

  /** From before the dump until its files have been read nothing in it goes on. */
  async ofRunning(): Promise<void> {
    const { host, options } = this;
    await this.using(async (work) => {
      const criu = `${work}/criu`;
      host.makeDirectory(criu, 0o700);
      await whilePaused(host, options, options.warn, async () => {
        await options.dump(criu, () => {});
        await this.layer(work);
      });
      await this.write(work, criu);
    });
  }

  private made: Awaited<ReturnType<typeof archiveLayer>> | undefined;

  private using(work: (directory: string) => Promise<void>): Promise<void> {
    const { host, store, options } = this;
    const run = async (): Promise<void> => {
      const directory = makeTemporary(store);
      try {
        await work(directory);
      } finally {
        await host.removeTree(directory);
      }
    };
    return whileUsing(store, run, options.checkpoint);
  }

  private async layer(work: string): Promise<void> {
    const { host, store, options } = this;
    const directory = `${work}/layer`;
    host.makeDirectory(directory, 0o700);
    const check = options.checkpoint ?? (() => {});
    const { warn } = options;
    // What was made for mounts goes along: they are to be mounted there again.
    const written = { ...writableLayer(store, options.id), destinations: [] };
    this.made = await archiveLayer(store, written, { directory, archive: `${work}/archive`, latest: undefined, check, warn });
    await host.removeTree(directory);
  }

  private async write(work: string, criu: string): Promise<void> {
    const { host, store, output, options, directory, made } = this;
    const { digest, archiveSize: size, diffId } = made as NonNullable<typeof made>;
    const names = host.list(criu);
    for (const name of names) {
      if (isCriuName(name) && host.stat(`${criu}/${name}`)?.type === 'file') continue;
      throw new StrataError({ code: 'config-unsupported', reason: `the checkpoint has ${JSON.stringify(name)}, which cannot go into an archive` });
    }
    const bundle = BUNDLE_FILES.filter((name) => host.stat(`${directory}/${name}`)?.type === 'file');
    const container = loadInstance(store, options.id);
    await this.text(
      DOCUMENT,
      makeDocument({ created: host.timestamp(), container, store: store.root, layer: { digest, size, diffId }, bundle, criu: names }),
    );
    await this.file(CONFIG, `${directory}/${CONFIG}`);
    await output.directory('bundle');
    for (const name of bundle) await this.file(`bundle/${name}`, `${directory}/${name}`);
    await this.file(LAYER, `${work}/archive`);
    await output.directory('criu');
    for (const name of names) await this.file(`criu/${name}`, `${criu}/${name}`);
    await output.finish();
  }

  private async text(name: string, text: string): Promise<void> {
    const content = Buffer.from(text);
    await this.output.begin(name, content.length);
    await this.output.write(content);
    await this.output.end();
  }

  private async file(name: string, path: string): Promise<void> {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
      throw systemError(error, path);
    });
    try {
      const { size } = await file.stat();
      await this.output.begin(name, size);
      for await (const chunk of fileRange(file.fd, 0, size, path)) {
        this.options.checkpoint?.();
        await this.output.write(chunk);
      }
      await this.output.end();
    } finally {
      await file.close();
    }
  }
}
