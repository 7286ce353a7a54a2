/** CRIU for the tests of checkpoints: the system's, or the one that scripts/setup.sh has put into build/criu. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** The search path with which `strata` finds it: what the system has comes first. */
export const CRIU_PATH = `${process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin'}:${join(import.meta.dirname, '../../build/criu')}`;

function criu(...args: readonly string[]): boolean {
  try {
    execFileSync('criu', args, { stdio: 'ignore', env: { ...process.env, PATH: CRIU_PATH } });
    return true;
  } catch {
    return false;
  }
}

/** Why no checkpoint can be made here; undefined if it can. */
export function whyNoCheckpoints(): string | undefined {
  if (!criu('--version')) return 'needs criu (npm run setup test)';
  // What it says depends on what kernel and machine have.
  return criu('check') ? undefined : 'criu check says that this kernel cannot do it';
}

/** The first number of CRIU's version; 0 without CRIU. */
export function criuMajor(): number {
  const { stdout } = spawnSync('criu', ['--version'], { encoding: 'utf8', env: { ...process.env, PATH: CRIU_PATH } });
  return Number(/(\d+)\./.exec(stdout ?? '')?.[1] ?? 0);
}

/** Whether CRIU finds this in the kernel: `mem_dirty_track`, `uffd`. */
export function hasFeature(feature: string): boolean {
  return criu('check', '--feature', feature);
}
