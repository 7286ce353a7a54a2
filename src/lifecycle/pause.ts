/** `pause` and `resume`. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { freeze, thaw } from './freezer.ts';
import { checkId } from './id.ts';
import { withLock } from './lock.ts';
import { observe } from './observe.ts';
import type { ContainerName } from './report.ts';
import { permit } from './status.ts';
import type { Freezer } from './store.ts';
import { checkRoot, load, notFound } from './store.ts';

/** Freezes every process of a created or running container. @throws StrataError `status`, `timeout`. */
export async function pause(host: Host, options: ContainerName): Promise<void> {
  await change(host, options, 'pause', (freezer) => freeze(host, freezer));
}

/** Lets the processes of a paused container run on. @throws StrataError `status`. */
export async function resume(host: Host, options: ContainerName): Promise<void> {
  await change(host, options, 'resume', async (freezer) => thaw(host, freezer));
}

async function change(host: Host, options: ContainerName, verb: 'pause' | 'resume', work: (freezer: Freezer) => Promise<void>): Promise<void> {
  const { root, id } = options;
  checkId(id);
  if (!checkRoot(host, root)) throw notFound(id);
  await withLock(host, root, id, async () => {
    const record = load(host, root, id);
    permit(verb, observe(host, root, record, true).status, id);
    if (record.freezer === undefined) {
      const reason = `cannot ${verb} container ${id}: it has no cgroup with a freezer`;
      throw new StrataError({ code: 'config-unsupported', stage: 'state', reason });
    }
    await work(record.freezer);
  });
}
