// What scripts/conformance.sh was asked for.
import { parseArgs } from 'node:util';

export const SUITES = ['validation', 'crun'];
export const RUNTIMES = ['strata', 'runc', 'crun'];

const ALL = /(?:)/;
// What only the emulated guest has: cpuset, hugetlb, several CPUs, CRIU.
const NEEDS_EMULATION = /cpus|hugetlb|affinity|^checkpoint_restore\//;

/** Where the suites can run: who makes the cgroups, after how many milliseconds a test is ended, and which tests are worth it. */
export const PLACES = {
  host: { guest: false, manager: 'cgroupfs', limit: 60_000, suites: SUITES, tests: ALL },
  guest: { guest: true, manager: 'cgroupfs', limit: 60_000, suites: SUITES, tests: ALL },
  'guest-systemd': { guest: true, manager: 'systemd', limit: 60_000, suites: ['crun'], tests: ALL },
  emulated: { guest: true, manager: 'cgroupfs', limit: 300_000, suites: SUITES, tests: NEEDS_EMULATION },
};

const among = (names, value) => {
  const list = value?.split(',') ?? names;
  const strange = list.find((name) => !names.includes(name));
  if (strange !== undefined) throw new Error(`no '${strange}'; there are ${names.join(', ')}`);
  return list;
};

export const readArguments = (words) => {
  const { values, positionals } = parseArgs({
    args: words,
    options: { only: { type: 'string' }, runtimes: { type: 'string' }, write: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  return {
    suites: among(SUITES, values.only),
    runtimes: among(RUNTIMES, values.runtimes),
    write: values.write,
    pattern: positionals[0] ?? '',
  };
};
