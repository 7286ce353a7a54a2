/** Killing strata, or the container's process, at a chosen system call: the program of kill-at.cpp, compiled when it is first needed. */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { MANAGER_FLAGS, STRATA } from './container.ts';

const SOURCE = join(import.meta.dirname, 'kill-at.cpp');
const DIRECTORY = resolve(import.meta.dirname, '../../build/test-helpers');
const PROGRAM = join(DIRECTORY, 'kill-at');

/** Compiles the program unless it is newer than its source. */
export function buildKillAt(): void {
  if (fs.existsSync(PROGRAM) && fs.statSync(PROGRAM).mtimeMs > fs.statSync(SOURCE).mtimeMs) return;
  fs.mkdirSync(DIRECTORY, { recursive: true });
  execFileSync('g++', ['-std=c++20', '-O1', '-Wall', '-Wextra', '-Werror', '-o', `${PROGRAM}.new`, SOURCE]);
  fs.renameSync(`${PROGRAM}.new`, PROGRAM);
}

/** A call as the program lists it: its number, the thread, its name and a path. */
const TRACED = /^\d+ \d+ ([a-z]\w+) /;

/** How a command that was to be killed has ended. */
export interface Killed {
  /** System calls that were counted. */
  readonly calls: number;
  /** The call before which somebody was killed, and the path that it names; '' if the command came to its end first. */
  readonly call: string;
  readonly path: string;
  /** Of the command: its exit status, or the number of the signal that ended it. */
  readonly exit?: number;
  readonly signal?: number;
  /** What it printed on its standard error. */
  readonly stderr: string;
  /** Names of the calls that were counted, in order, if nobody was to be killed. */
  readonly names: readonly string[];
  /** Waits until all its descendants have ended; how many had to be killed for that. To be called once. */
  readonly left: () => Promise<number>;
}

/**
 * Runs `strata --root ROOT ARGS...` and kills it, or the container's process, before call number `point`; 0 kills nobody. Calls of strata are
 * counted from the first that names a path which begins with `prefix`.
 */
export async function killAt(
  who: 'runtime' | 'container',
  point: number,
  root: string,
  args: readonly string[],
  errors: string,
  prefix = root,
): Promise<Killed> {
  const stderr = fs.openSync(errors, 'w+');
  try {
    const command = [who, String(point), prefix, STRATA, '--root', root, ...MANAGER_FLAGS, ...args];
    const env = { ...process.env, ...(point === 0 && { KILL_AT_TRACE: '1' }) };
    const child = spawn(PROGRAM, command, { stdio: ['pipe', 'ignore', stderr, 'pipe'], env });
    const ended = new Promise<number | null>((fulfil, reject) => {
      child.once('error', reject);
      child.once('close', fulfil);
    });
    const lines = child.stdio[3] as Readable;
    const first = await new Promise<string>((fulfil, reject) => {
      lines.setEncoding('utf8');
      lines.once('data', fulfil);
      ended.then((code) => reject(new Error(`kill-at ended with status ${code}`)), reject);
    });
    const left = async (): Promise<number> => {
      child.stdin?.end();
      const report = JSON.parse(await text(lines)) as { left: number };
      await ended;
      return report.left;
    };
    const said = fs.readFileSync(errors, 'utf8').split('\n');
    const names = said.flatMap((line) => TRACED.exec(line)?.[1] ?? []);
    return { ...(JSON.parse(first) as Killed), stderr: said.filter((line) => !TRACED.test(line)).join('\n'), names, left };
  } finally {
    fs.closeSync(stderr);
  }
}
