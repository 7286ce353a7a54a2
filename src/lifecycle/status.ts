/** What a container's status permits (runtime-spec 1.3.0, runtime.md#operations): a table, and nothing but a table. */
import { StrataError } from '../base/error.ts';

/** The statuses of the specification, and `paused`, which it leaves to the runtime. */
export const STATUSES = ['creating', 'created', 'running', 'paused', 'stopped'] as const;
export type Status = (typeof STATUSES)[number];

/** Verbs whose permission depends on the status. `kill-all` is `kill --all`, `delete-force` is `delete --force`, `exec-paused` is `exec --ignore-paused`. */
export const VERBS = [
  'start',
  'kill',
  'kill-all',
  'pause',
  'resume',
  'exec',
  'exec-paused',
  'update',
  'events',
  'checkpoint',
  'delete',
  'delete-force',
] as const;
export type Verb = (typeof VERBS)[number];

/** `true`: permitted. A text: why not, with the words that engines look for (`container not running` above all). `ID` stands for the id. */
const TABLE: Readonly<Record<Verb, Readonly<Record<Status, true | string>>>> = {
  start: {
    creating: 'cannot start a container that is still being created',
    created: true,
    running: 'cannot start an already running container',
    paused: 'cannot start a paused container',
    stopped: 'cannot start a container that has stopped',
  },
  kill: {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: true,
    stopped: 'container not running: ID has stopped',
  },
  // A container that shares its pid namespace can leave processes behind in its cgroup, so `--all` serves a stopped one too.
  'kill-all': {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: true,
    stopped: true,
  },
  pause: {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: 'container already paused: ID',
    stopped: 'container not running: ID has stopped',
  },
  resume: {
    creating: 'container not paused: ID is still being created',
    created: 'container not paused: ID is created',
    running: 'container not paused: ID is running',
    paused: true,
    stopped: 'container not paused: ID has stopped',
  },
  exec: {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: 'cannot exec in a paused container: ID (--ignore-paused waits until it is resumed)',
    stopped: 'container not running: ID has stopped',
  },
  'exec-paused': {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: true,
    stopped: 'container not running: ID has stopped',
  },
  update: {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: true,
    stopped: 'container not running: ID has stopped',
  },
  events: {
    creating: 'container not running: ID is still being created',
    created: true,
    running: true,
    paused: true,
    stopped: 'container not running: ID has stopped',
  },
  checkpoint: {
    creating: 'container not running: ID is still being created',
    created: 'cannot checkpoint a container that has not been started: ID',
    running: true,
    paused: true,
    stopped: 'container not running: ID has stopped',
  },
  delete: {
    creating: 'cannot delete container ID that is not stopped: creating',
    created: 'cannot delete container ID that is not stopped: created',
    running: 'cannot delete container ID that is not stopped: running',
    paused: 'cannot delete container ID that is not stopped: paused',
    stopped: true,
  },
  'delete-force': { creating: true, created: true, running: true, paused: true, stopped: true },
};

/** Why `verb` is refused for a container of this status; undefined when it is permitted. */
export function refusal(verb: Verb, status: Status, id: string): string | undefined {
  const entry = TABLE[verb][status];
  return entry === true ? undefined : entry.replace('ID', () => id);
}

/** @throws StrataError `status` when `verb` is refused for a container of this status. */
export function permit(verb: Verb, status: Status, id: string): void {
  const reason = refusal(verb, status, id);
  if (reason !== undefined) throw new StrataError({ code: 'status', stage: 'state', reason });
}
