/** Reading what the files of a cgroup hold. A file that a kernel does not have, or that cannot be read, has nothing to tell. */
import { StrataError } from '../base/error.ts';
import type { CgroupName, Host } from '../host/host.ts';

/** A 64-bit number: bigint beyond 2^53. */
export type Count = number | bigint;

export class CgroupFiles {
  private readonly host: Host;
  private readonly directory: string | undefined;

  /** @param directory undefined where no hierarchy has the controller: then there are no files */
  constructor(host: Host, directory: string | undefined) {
    this.host = host;
    this.directory = directory;
  }

  text(name: string): string {
    if (this.directory === undefined) return '';
    try {
      return this.host.readText(`${this.directory}/${name}`);
    } catch (error) {
      if (error instanceof StrataError) return '';
      throw error;
    }
  }

  lines(name: string): string[] {
    return this.text(name).split('\n').filter(Boolean);
  }

  /** The number that the file begins with; 0 if it begins with none, as `max` does. */
  count(name: string): Count {
    return countOf(this.text(name));
  }

  /** Lines of a key and a number. */
  keyed(name: string): Record<string, Count> {
    const pairs = this.lines(name).map((line): [string, Count] => {
      const space = line.indexOf(' ');
      return [line.slice(0, space), countOf(line.slice(space + 1))];
    });
    return Object.fromEntries(pairs);
  }
}

/** Which of these cgroups, or of those above them, has no room for so many more processes, in words. Births fail there then. */
export function crowdHint(host: Host, cgroups: readonly CgroupName[], births: 1 | 2): string | undefined {
  for (const { hierarchy, path } of cgroups) {
    for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
      const files = new CgroupFiles(host, hierarchy + at);
      const limit = files.text('pids.max').trim();
      const current = files.text('pids.current').trim();
      if (/^\d+$/.test(limit) && Number(current) + births > Number(limit))
        return `the cgroup ${at} has ${current} of the ${limit} processes that it may have (pids.max), and needs room for ${births}`;
    }
  }
  return undefined;
}

export function countOf(text: string): Count {
  const digits = /^-?\d+/.exec(text)?.[0] ?? '0';
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : BigInt(digits);
}

export function times(value: Count, factor: number): Count {
  const product = BigInt(value) * BigInt(factor);
  return product <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(product) : product;
}

export function sum(a: Count, b: Count): Count {
  return times(BigInt(a) + BigInt(b), 1);
}
