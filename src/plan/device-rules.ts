/** Rules for access to devices, as the cgroup version at hand enforces them (config-linux.md, Allowed Device list). */
import type { DeviceRule } from '../spec/types.ts';

/** Bits of an access, the values of BPF_DEVCG_ACC_*. */
export const ACCESS = { m: 1, r: 2, w: 4 } as const;
export const ALL_ACCESS = 7;

/** A rule with nothing absent but the numbers: undefined is every number. */
export interface AccessRule {
  readonly allow: boolean;
  readonly type: 'a' | 'b' | 'c';
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** Bits of {@link ACCESS}. */
  readonly access: number;
}

/**
 * What every container may do, whatever the configuration says: make device nodes, which is harmless without the right to open them, and use
 * the default devices and its terminals.
 */
export const DEFAULT_RULES: readonly AccessRule[] = [
  rule('c', undefined, undefined, ACCESS.m),
  rule('b', undefined, undefined, ACCESS.m),
  rule('c', 1, 3, ALL_ACCESS), // null
  rule('c', 1, 5, ALL_ACCESS), // zero
  rule('c', 1, 7, ALL_ACCESS), // full
  rule('c', 1, 8, ALL_ACCESS), // random
  rule('c', 1, 9, ALL_ACCESS), // urandom
  rule('c', 5, 0, ALL_ACCESS), // tty
  rule('c', 5, 2, ALL_ACCESS), // ptmx
  rule('c', 136, undefined, ALL_ACCESS), // pts/*
];

function rule(type: 'b' | 'c', major: number | undefined, minor: number | undefined, access: number): AccessRule {
  return { allow: true, type, major, minor, access };
}

/**
 * All rules in order: for each access the last one that matches decides; where none does, access is denied. For a configuration that does nothing
 * else but deny everything, they are {@link DEFAULT_RULES} themselves.
 */
export function allDeviceRules(asked: readonly DeviceRule[]): readonly AccessRule[] {
  const rules: AccessRule[] = [];
  let usual = true;
  for (let index = 0; index < asked.length; ++index) {
    const { allow, type = 'a', major, minor, access = 'rwm' } = asked[index] as DeviceRule;
    const item = { allow, type, major: number(major), minor: number(minor), access: bits(access) };
    rules.push(item);
    usual &&= !allow && matchesAll(item);
  }
  return usual ? DEFAULT_RULES : rules.concat(DEFAULT_RULES);
}

/** -1 is another way to say 'every number'. */
function number(value: number | undefined): number | undefined {
  return value === -1 ? undefined : value;
}

function bits(access: string): number {
  return (access.includes('m') ? ACCESS.m : 0) | (access.includes('r') ? ACCESS.r : 0) | (access.includes('w') ? ACCESS.w : 0);
}

/** Does the rule match every device? */
export function matchesAll(item: AccessRule): boolean {
  return item.type === 'a' && item.major === undefined && item.minor === undefined && item.access === ALL_ACCESS;
}
