/** Checks of `linux.intelRdt` (config-linux.md, IntelRdt). */
import { invalid, quoted } from './refuse.ts';
import type { Spec } from './types.ts';

/** What is in every class of service besides its files. */
const RESERVED = ['.', '..', 'info', 'mon_groups', 'mon_data'];

export function checkIntelRdt({ linux: { intelRdt } }: Spec): void {
  if (intelRdt === undefined) return;
  const { closID = '/', schemata } = intelRdt;
  if (closID !== '/' && !isClassName(closID)) invalid('/linux/intelRdt/closID', `expected the name of a directory, or /, found ${quoted(closID)}`);
  schemata.forEach((line: string, index: number) => {
    if (!/^[^\n:]+:[^\n]+$/.test(line))
      invalid(`/linux/intelRdt/schemata/${index}`, `expected one line such as L3:0=7f0;1=1f, found ${quoted(line)}`);
  });
}

/** Whether a class of service can have this name. */
export function isClassName(name: string): boolean {
  return name !== '' && !name.includes('/') && !RESERVED.includes(name);
}
