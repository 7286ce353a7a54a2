/**
 * Device rules for the cgroup v1 devices controller. It keeps no ordered rules but a default and a set of exceptions, and takes an exception
 * back only when it is named exactly. So the ordered rules are worked out here, and the kernel gets the result.
 */
import { StrataError } from '../base/error.ts';
import { ACCESS, type AccessRule, ALL_ACCESS, matchesAll } from './device-rules.ts';

/** What an open(2) can ask for. */
const OPEN = ACCESS.r | ACCESS.w;

/** How an access is written, by its bits. */
const LETTERS = Array.from({ length: ALL_ACCESS + 1 }, (_, access) => {
  return (access & ACCESS.r ? 'r' : '') + (access & ACCESS.w ? 'w' : '') + (access & ACCESS.m ? 'm' : '');
});

/** One write to `devices.allow` or `devices.deny`. */
export interface DeviceLine {
  readonly file: 'devices.allow' | 'devices.deny';
  readonly line: string;
}

interface Exception {
  readonly type: 'b' | 'c';
  readonly major: number | undefined;
  readonly minor: number | undefined;
  access: number;
}

/**
 * The writes that make a new cgroup obey `rules`.
 *
 * @throws StrataError `config-unsupported` for rules that a default with exceptions cannot express, such as a denial of 8:1 after 8:* was allowed.
 */
export function deviceLines(rules: readonly AccessRule[]): DeviceLine[] {
  let allowed = false;
  let exceptions: Exception[] = [];
  for (let index = 0; index < rules.length; ++index) {
    const rule = rules[index] as AccessRule;
    if (matchesAll(rule)) {
      allowed = rule.allow;
      exceptions = [];
    } else if (rule.access !== 0) {
      const change = rule.allow === allowed ? takeBack : add;
      if (rule.type !== 'c') exceptions = change(exceptions, { type: 'b', major: rule.major, minor: rule.minor, access: rule.access });
      if (rule.type !== 'b') exceptions = change(exceptions, { type: 'c', major: rule.major, minor: rule.minor, access: rule.access });
    }
  }
  if (!allowed) widen(exceptions);
  const lines: DeviceLine[] = [{ file: allowed ? 'devices.allow' : 'devices.deny', line: 'a' }];
  const file = allowed ? 'devices.deny' : 'devices.allow';
  for (const item of exceptions) if (item.access !== 0) lines.push({ file, line: text(item) });
  return lines;
}

/** By index, for engines that interpret: rules are often written out one by one, and each is looked for among all. */
function add(exceptions: Exception[], item: Exception): Exception[] {
  const { type, major, minor } = item;
  for (let index = 0; index < exceptions.length; ++index) {
    const other = exceptions[index] as Exception;
    if (other.minor === minor && other.major === major && other.type === type) {
      other.access |= item.access;
      return exceptions;
    }
  }
  exceptions.push(item);
  return exceptions;
}

function takeBack(exceptions: Exception[], item: Exception): Exception[] {
  for (const other of exceptions) {
    if (!overlaps(item, other) || (item.access & other.access) === 0) continue;
    if (!covers(item, other)) {
      const reason = `the rule for ${text(item)} makes a hole in the earlier one for ${text(other)}, which cgroup v1 cannot express`;
      throw new StrataError({ code: 'config-unsupported', stage: 'plan', pointer: '/linux/resources/devices', reason });
    }
    other.access &= ~item.access;
  }
  return exceptions.filter((other) => other.access !== 0);
}

/**
 * One exception must grant all that an open(2) asks for: reading from one and writing from another do not add up. So where two meet, as 8:* and *:1
 * do in 8:1, there is one that has what both have.
 */
function widen(exceptions: Exception[]): void {
  // One number of the two is every number: only such an exception can meet another in part, or cover it.
  const wide = exceptions.filter((item) => item.major === undefined || item.minor === undefined);
  if (wide.some((item) => item.major === undefined && item.minor !== undefined)) {
    for (const a of wide) {
      for (const b of wide) {
        if (!overlaps(a, b) || covers(a, b) || covers(b, a)) continue;
        add(exceptions, { type: a.type, major: a.major ?? b.major, minor: a.minor ?? b.minor, access: (a.access | b.access) & OPEN });
      }
    }
  }
  for (const a of wide) {
    if ((a.access & OPEN) === 0) continue;
    for (const b of exceptions) if (covers(a, b)) b.access |= a.access & OPEN;
  }
}

function covers(wide: Exception, narrow: Exception): boolean {
  const within = (a: number | undefined, b: number | undefined): boolean => a === undefined || a === b;
  return wide.type === narrow.type && within(wide.major, narrow.major) && within(wide.minor, narrow.minor);
}

function overlaps(a: Exception, b: Exception): boolean {
  const meet = (x: number | undefined, y: number | undefined): boolean => x === undefined || y === undefined || x === y;
  return a.type === b.type && meet(a.major, b.major) && meet(a.minor, b.minor);
}

function text({ type, major, minor, access }: Exception): string {
  return `${type} ${major ?? '*'}:${minor ?? '*'} ${LETTERS[access]}`;
}
