/** Names of the units that stand for containers, and where systemd puts their cgroups (systemd.unit(5), systemd.slice(5)). */
import { StrataError } from '../base/error.ts';
import type { Manager } from './bus.ts';

/** The unit of a container. */
export interface ScopeName {
  readonly manager: Manager;
  readonly unit: string;
  readonly slice: string;
  /** Its cgroup below the manager's own. */
  readonly path: string;
}

const POINTER = '/linux/cgroupsPath';
const LONGEST = 255;

/**
 * The scope that `cgroupsPath`, `slice:prefix:name`, stands for: `prefix-name.scope` in that slice. Without one it is `strata-ID.scope`; without a
 * slice, the one where such things go.
 *
 * @throws StrataError `config-invalid` for a path of another form, and for names that systemd would not take.
 */
export function scopeName(cgroupsPath: string | undefined, id: string, manager: Manager): ScopeName {
  const usual = manager === 'system' ? 'system.slice' : 'user.slice';
  // An id may have a plus sign, which the name of a unit may not.
  if (cgroupsPath === undefined || cgroupsPath === '') return named(manager, usual, `strata-${id.replaceAll('+', '\\x2b')}.scope`);
  const parts = cgroupsPath.split(':');
  if (parts.length !== 3 || parts[2] === '') {
    throw invalid(
      `must have the form slice:prefix:name with --systemd-cgroup, found '${cgroupsPath}'`,
      'leave it out, or choose the cgroupfs manager',
    );
  }
  const [slice = '', prefix = '', name = ''] = parts;
  return named(manager, slice === '' ? usual : slice, `${prefix}-${name}.scope`);
}

function named(manager: Manager, slice: string, unit: string): ScopeName {
  if (!/^[\w:.\\-]+$/.test(unit)) throw invalid(`'${unit}' is not the name of a systemd scope: it may have letters, digits and :-_.\\ only`);
  if (unit.length > LONGEST) throw invalid(`'${unit}' is longer than the ${LONGEST} bytes that the name of a systemd unit can have`);
  return { manager, unit, slice, path: `${slicePath(slice)}/${escaped(unit)}` };
}

/** `/a.slice/a-b.slice` for `a-b.slice`: a slice lies in the one that its name begins with. '' for the root slice. */
export function slicePath(slice: string): string {
  if (slice === '-.slice') return '';
  const name = slice.endsWith('.slice') ? slice.slice(0, -'.slice'.length) : '';
  const parts = name.split('-');
  if (!/^[\w:.\\-]+$/.test(name) || parts.includes('') || slice.length > LONGEST) throw invalid(`'${slice}' is not the name of a systemd slice`);
  return parts.map((_, index) => `/${escaped(`${parts.slice(0, index + 1).join('-')}.slice`)}`).join('');
}

/** systemd puts an underscore before names that could be taken for a file of the kernel's. */
function escaped(name: string): string {
  return /^(?:[._]|cgroup\.|(?:cpu|cpuacct|cpuset|io|blkio|memory|devices|pids|bpf-[a-z-]+)\.)/.test(name) ? `_${name}` : name;
}

function invalid(reason: string, hint?: string): StrataError {
  return new StrataError({ code: 'config-invalid', stage: 'check', pointer: POINTER, reason, ...(hint !== undefined && { hint }) });
}
