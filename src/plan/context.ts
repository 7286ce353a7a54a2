/** What a plan depends on besides the configuration. */
import type { HostFacts } from '../host/facts.ts';
import type { Operation } from './op.ts';

export interface PlanContext {
  readonly id: string;
  /** Absolute path of the bundle. */
  readonly bundle: string;
  readonly facts: HostFacts;
  /** For whom the container is made, if his only rights are those that its user namespace brings. */
  readonly caller?: Caller;
  readonly options: PlanOptions;
  /** Is told what is planned without an effect. */
  readonly warn?: ((text: string) => void) | undefined;
}

/** An ordinary user: his ids, and the paths of the programs that map others for him, '' for one that is not there. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly newuidmap: string;
  readonly newgidmap: string;
}

export interface PlanOptions {
  /** `--no-pivot`: enter the root with MS_MOVE and chroot(2), for a runtime that runs from an initial ramdisk. */
  readonly noPivot: boolean;
  /** `--no-new-keyring`: keep the caller's session keyring. */
  readonly noNewKeyring: boolean;
  /** Descriptors of socket activation that are passed on from 3 (sd_listen_fds(3)); 0 for none. */
  readonly listenFds: number;
  /** Directory of compiled seccomp programs, '' for none. */
  readonly seccompCache: string;
  /** File in which the container's own is kept for `exec`, '' for none. */
  readonly seccompProgram: string;
  /** The host directory of the container's socket of sd_notify(3), and where it is in the container; absent without one. */
  readonly notify?: { readonly directory: string; readonly place: string };
  /** The runtime's own, for hooks in the container that have none in the configuration. */
  readonly environment?: readonly string[];
}

/** What each part of the plan contributes, in order. */
export type Operations = readonly Operation[];
