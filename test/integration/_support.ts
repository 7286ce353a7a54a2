/** How the integration suites declare a test: see {@link containerTest}. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { CGROUP_V2, type Result, STRATA, Workspace, whyNoContainers } from '../helpers/container.ts';

const reason = whyNoContainers();

/**
 * A test that runs containers. It has a {@link Workspace} of its own, and when it has passed nothing of its containers may be left: it deletes what it
 * has created. Where containers cannot be run the test is skipped, and its title says why.
 */
export function containerTest(title: string, body: (t: ExecutionContext, workspace: Workspace) => Promise<unknown>): void {
  if (reason !== undefined) {
    test.skip(`${title} (${reason})`, (t) => t.pass());
    return;
  }
  test.serial(title, async (t) => {
    const workspace = new Workspace();
    try {
      await body(t, workspace);
      await workspace.endHelpers();
      t.deepEqual(workspace.leaks(), [], 'something is left');
    } finally {
      await workspace.dispose();
    }
  });
}

/** Declares a test that is skipped, with the reason in its title, where something that it needs is `lacking`: `needs two CPUs`. */
export function unless(lacking: string | undefined): typeof containerTest {
  return lacking === undefined ? containerTest : (title) => test.skip(`${title} (${lacking})`, (t) => t.pass());
}

/** Why ps(1) cannot be used: a user-mode kernel has no time of its boot, without which it prints nothing. */
export function noPs(): string | undefined {
  return spawnSync('ps', ['-ef']).status === 0 ? undefined : 'needs a ps that works';
}

/** Why systemd cannot be asked for cgroups here. */
export const NO_SYSTEMD = CGROUP_V2 && fs.existsSync('/run/systemd/system') ? undefined : 'needs systemd and cgroup v2 only';

/** Whether the command is the static program, and not the script that starts Node where there is no QuickJS. */
export function isStatic(): boolean {
  return fs.readFileSync(STRATA).subarray(1, 4).toString() === 'ELF';
}

/** Fields of /proc/PID/status, or of other text with lines `key: value`. */
export function fields(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}

/** Asserts that a command has failed as all failures do: with status 1 and one line on standard error, which holds these words and no stack trace. */
export function failed(t: ExecutionContext, result: Result, ...words: (string | RegExp)[]): void {
  failedWith(t, 1, result, ...words);
}

/** {@link failed} for the failures that have another status. */
export function failedWith(t: ExecutionContext, status: number, result: Result, ...words: (string | RegExp)[]): void {
  t.is(result.code, status, result.stderr);
  t.regex(result.stderr, /^strata: [^\n]+\n$/);
  t.notRegex(result.stderr, /internal error|\bat .+:\d+:\d+/);
  for (const word of words) {
    if (typeof word === 'string') t.true(result.stderr.includes(word), `${JSON.stringify(word)} is not in ${result.stderr}`);
    else t.regex(result.stderr, word);
  }
}

export interface MountEntry {
  readonly type: string;
  readonly source: string;
  /** What of its file system is mounted here. */
  readonly root: string;
  /** Of the mount itself, sorted. */
  readonly options: readonly string[];
  /** Of the file system, sorted. */
  readonly superOptions: readonly string[];
  /** `shared`, `master`, `unbindable`: without the numbers. */
  readonly propagation: readonly string[];
}

/** /proc/PID/mountinfo by mount point; of several mounts at one point the last, which covers the others. */
export function mountTable(text: string): Record<string, MountEntry> {
  const table: Record<string, MountEntry> = {};
  for (const line of text.trimEnd().split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', point = '', options = '', ...tags] = before.split(' ');
    const [type = '', source = '', superOptions = ''] = after.split(' ');
    const propagation = tags.map((tag) => tag.replace(/:\d+$/, ''));
    table[point] = { type, source, root, options: options.split(',').sort(), superOptions: superOptions.split(',').sort(), propagation };
  }
  return table;
}
