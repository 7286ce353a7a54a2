/** What a container has changed, as the core reads it for an archive. */

import { StrataError } from '../base/error.ts';
import type { LaunchFailure } from '../host/host.ts';
import { addonFunctions } from '../host/node.ts';

export interface ScanOptions {
  /** The container's writable layer. */
  readonly upper: string;
  /** The layers below, top to bottom. */
  readonly lower: readonly string[];
  /** Where mounts are in the container: what is empty there, and in no layer, was made for them. */
  readonly destinations: readonly string[];
  /** Seconds since 1970: later times of modification become this one. */
  readonly latest?: number;
  /** The overlay is mounted with `userxattr`. */
  readonly userAttributes: boolean;
}

/** What a layer cannot hold and has been left out: how much, and one of each. */
export interface LeftOut {
  readonly sockets: number;
  readonly socket: string;
  readonly attributes: number;
  readonly attribute: string;
}

export interface Scan {
  /** The next batch of records (`src/layer/records.ts`), undefined at the end. One at a time. @throws StrataError `system`, `config-unsupported`. */
  next(): Promise<Uint8Array | undefined>;
  /** Whole at the end. */
  leftOut(): LeftOut;
}

/** Kept alive by JavaScript. */
type Handle = object;

interface ScanFunctions {
  openScan(upper: string, lower: readonly string[], destinations: readonly string[], userAttributes: boolean, latest: number): Handle;
  nextOfScan(scan: Handle): Promise<Uint8Array | undefined>;
  resultOfScan(scan: Handle): LeftOut;
}

/** @throws StrataError `system`. */
export function openScan({ upper, lower, destinations, latest = -1, userAttributes }: ScanOptions): Scan {
  const native = addonFunctions<ScanFunctions>();
  let scan: Handle;
  try {
    scan = native.openScan(upper, lower, destinations, userAttributes, latest);
  } catch (error) {
    throw scanError(error);
  }
  return {
    async next() {
      try {
        return await native.nextOfScan(scan);
      } catch (error) {
        throw scanError(error);
      }
    },
    leftOut: () => native.resultOfScan(scan),
  };
}

/** A failure with a reason in words is about what no layer can hold. */
function scanError(error: unknown): unknown {
  if (error instanceof Error || typeof error !== 'object' || error === null) return error;
  const { syscall, errno, path, detail } = error as LaunchFailure;
  if (detail !== '') return new StrataError({ code: 'config-unsupported', reason: `/${path} ${detail}`, path });
  return new StrataError({ code: 'system', reason: `cannot read ${path}: ${syscall}`, syscall, errno, path });
}
