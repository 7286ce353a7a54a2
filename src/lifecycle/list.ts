/** `list`: every container below a root. */
import type { Host } from '../host/host.ts';
import { hasCode, messageOf } from './fault.ts';
import type { Report } from './report.ts';
import type { ContainerState } from './state.ts';
import { describeState } from './state.ts';
import { listIds, load } from './store.ts';

export interface ListOptions extends Report {
  readonly root: string;
}

/** States of all containers, by id. One whose state is damaged is left out with a warning; one that is just going is left out. */
export async function list(host: Host, options: ListOptions): Promise<ContainerState[]> {
  const states: ContainerState[] = [];
  for (const id of listIds(host, options.root)) {
    try {
      states.push(describeState(host, options.root, load(host, options.root, id)));
    } catch (error) {
      if (hasCode(error, 'state-damaged')) options.warn?.(messageOf(error));
      else if (!hasCode(error, 'not-found')) throw error;
    }
  }
  return states;
}
