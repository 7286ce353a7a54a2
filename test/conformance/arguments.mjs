// What scripts/conformance.sh was asked for.
import { parseArgs } from 'node:util';

export const SUITES = ['validation', 'crun'];
export const RUNTIMES = ['strata', 'runc', 'crun'];

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
