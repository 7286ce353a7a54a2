/** The seccomp agent: who it is, and what it is told with the listener (config-linux.md, The Container Process State). */
import type { SeccompAgent } from '../host/host.ts';
import { OCI_VERSION } from '../spec/defaults.ts';
import { hookState } from './state.ts';
import type { Status } from './status.ts';
import type { ContainerRecord } from './store.ts';

/** For a process of the container that gets its filter; undefined if the filter asks nobody. @param status the container's */
export function agentFor(record: ContainerRecord, pid: number, status: Status): SeccompAgent | undefined {
  const { listener } = record;
  if (listener === undefined) return undefined;
  const { path, metadata } = listener;
  const state: unknown = JSON.parse(hookState(record, status));
  return { path, state: JSON.stringify({ ociVersion: OCI_VERSION, fds: ['seccompFd'], pid, metadata, state }) };
}
