/** Checks of `process`, for create and for exec. */
import type { CapabilityFacts } from './capabilities.ts';
import { grantedCapabilities } from './capabilities.ts';
import type { SecurityFacts } from './check-labels.ts';
import { checkLabels } from './check-labels.ts';
import { checkScheduling } from './check-scheduling.ts';
import { RLIMITS } from './names.ts';
import { checkEnv, invalid, mustBeAbsolute, quoted } from './refuse.ts';
import type { Process } from './types.ts';

/** The id that setresuid(2) and chown(2) take as 'leave as it is'. */
const UNCHANGED = 0xffff_ffff;
/** Dimensions of a terminal are unsigned short, ioctl_tty(2). */
const MOST_CHARACTERS = 0xffff;

export interface ProcessFacts extends CapabilityFacts {
  /** Read only for those who ask for a label. */
  readonly security?: SecurityFacts;
}

/**
 * @param pointer where the process stands in its document
 * @returns warnings
 * @throws StrataError `config-invalid` or `config-unsupported`
 */
export function checkProcess(process: Process, facts: ProcessFacts, pointer = '/process'): readonly string[] {
  mustBeAbsolute(process.cwd, `${pointer}/cwd`);
  if (process.args.length === 0) invalid(`${pointer}/args`, 'must have at least one entry');
  checkEnv(process.env, `${pointer}/env`);
  checkUser(process, `${pointer}/user`);
  checkRlimits(process, `${pointer}/rlimits`);
  checkConsole(process, `${pointer}/consoleSize`);
  const adjustment = process.oomScoreAdj ?? 0;
  if (adjustment < -1000 || adjustment > 1000) invalid(`${pointer}/oomScoreAdj`, `expected an integer from -1000 to 1000, found ${adjustment}`);
  checkAffinity(process, `${pointer}/execCPUAffinity`);
  checkScheduling(process, pointer);
  checkLabels(process, facts.security, pointer);
  return process.capabilities === undefined ? [] : grantedCapabilities(process.capabilities, facts).warnings;
}

/** An id that stands for 'no id' would leave the process with the runtime's own. */
export function checkId(id: number | undefined, pointer: string): void {
  if (id === UNCHANGED) invalid(pointer, `${UNCHANGED} is not an id: the kernel reads it as -1`);
}

function checkUser({ user }: Process, pointer: string): void {
  checkId(user.uid, `${pointer}/uid`);
  checkId(user.gid, `${pointer}/gid`);
  for (const [index, gid] of user.additionalGids.entries()) checkId(gid, `${pointer}/additionalGids/${index}`);
  if (user.umask !== undefined && user.umask > 0o777)
    invalid(`${pointer}/umask`, `expected permission bits, 0 to 511 (0777 octal), found ${user.umask}`);
}

function checkRlimits({ rlimits }: Process, pointer: string): void {
  const seen = new Set<string>();
  for (const [index, { type, soft, hard }] of rlimits.entries()) {
    const place = `${pointer}/${index}`;
    if (!Object.hasOwn(RLIMITS, type)) invalid(`${place}/type`, `unknown resource limit ${quoted(type)}`);
    if (seen.has(type)) invalid(`${place}/type`, `duplicate resource limit ${type}`);
    seen.add(type);
    if (soft > hard) invalid(`${place}/soft`, `the soft limit ${soft} is above the hard limit ${hard}`);
  }
}

/** config.md: `consoleSize` must be ignored without a terminal. */
function checkConsole({ terminal, consoleSize }: Process, pointer: string): void {
  if (!terminal || consoleSize === undefined) return;
  for (const side of ['height', 'width'] as const) {
    if (consoleSize[side] > MOST_CHARACTERS)
      invalid(`${pointer}/${side}`, `expected an integer from 0 to ${MOST_CHARACTERS}, found ${consoleSize[side]}`);
  }
}

/** It is for exec only, but what is wrong with it is told at once. */
function checkAffinity({ execCPUAffinity }: Process, pointer: string): void {
  if (execCPUAffinity === undefined) return;
  for (const part of ['initial', 'final'] as const) {
    const list = execCPUAffinity[part];
    if (list !== undefined) cpuMask(list, `${pointer}/${part}`);
  }
}

/** The most CPUs that a kernel can be built for. */
const MOST_CPUS = 8192;

/** The CPUs of a list such as `0-3,7`: bit b of word w is CPU 32 w + b. @throws StrataError `config-invalid` */
export function cpuMask(list: string, pointer: string): number[] {
  const mask: number[] = [];
  for (const part of list.split(',')) {
    if (part.trim() === '') continue;
    const match = /^ *([0-9]{1,6}) *(?:- *([0-9]{1,6}) *)?$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? first);
    if (match === null || last < first) invalid(pointer, `expected a list of CPUs such as 0-3,7, found ${quoted(list)}`);
    if (last >= MOST_CPUS) invalid(pointer, `expected CPUs from 0 to ${MOST_CPUS - 1}, found ${last}`);
    while (mask.length * 32 <= last) mask.push(0);
    for (let cpu = first; cpu <= last; cpu++) mask[cpu >>> 5] = ((mask[cpu >>> 5] as number) | (1 << (cpu & 31))) >>> 0;
  }
  if (mask.length === 0) invalid(pointer, `expected a list of CPUs such as 0-3,7, found ${quoted(list)}`);
  return mask;
}
