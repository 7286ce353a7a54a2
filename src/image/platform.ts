/** Which image of an index is the one for this machine, or for the platform that somebody asks for. */
import { StrataError } from '../base/error.ts';
import type { Descriptor, Platform } from './types.ts';

/** Names that other programs have for GOARCH's. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  x64: 'amd64',
  i386: '386',
  i686: '386',
  ia32: '386',
  aarch64: 'arm64',
  armhf: 'arm',
  armel: 'arm',
  loongarch64: 'loong64',
};
/** What is meant where an index leaves the variant out, and where somebody does. */
const USUAL_VARIANTS: Readonly<Record<string, string>> = { arm: 'v7', arm64: 'v8', amd64: 'v1' };

/** `os/architecture[/variant]`, or the architecture alone, which is Linux's. @throws StrataError `usage`. */
export function parsePlatform(text: string): Platform {
  const words = text.toLowerCase().split('/');
  const [first = '', second, variant] = words;
  if (words.length > 3 || words.some((word) => !/^[a-z0-9_.-]+$/.test(word))) {
    throw new StrataError({ code: 'usage', reason: `invalid platform ${JSON.stringify(text)}`, hint: 'such as linux/amd64 or linux/arm/v7' });
  }
  return { os: second === undefined ? 'linux' : first, architecture: architectureName(second ?? first), ...(variant !== undefined && { variant }) };
}

/** The name that images have for an architecture, whoever else's name is given. */
export function architectureName(name: string): string {
  return Object.hasOwn(ARCHITECTURES, name) ? (ARCHITECTURES[name] as string) : name;
}

export function platformText({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === undefined ? '' : `/${variant}`}`;
}

/**
 * How well an image fits, undefined if it does not run there: 2 for the same variant, 1 for an older one. A newer variant can have instructions that
 * the wanted one has not got.
 */
function fitness(wanted: Platform, offered: Platform): number | undefined {
  const architecture = architectureName(offered.architecture);
  if (offered.os !== wanted.os || architecture !== wanted.architecture) return undefined;
  const usual = Object.hasOwn(USUAL_VARIANTS, architecture) ? USUAL_VARIANTS[architecture] : undefined;
  const [want = '', have = ''] = [wanted.variant ?? usual, offered.variant ?? usual];
  if (want === have) return SAME;
  const [newest, variant] = [Number(/^v([0-9]+)$/.exec(want)?.[1]), Number(/^v([0-9]+)$/.exec(have)?.[1])];
  return variant <= newest ? variant / newest : undefined;
}
const SAME = 2;

/** Whether an image for `offered` runs on `wanted`. */
export function platformFits(wanted: Platform, offered: Platform): boolean {
  return fitness(wanted, offered) !== undefined;
}

/**
 * The manifests of an index that are for the platform: the best of those that name one, of several equal ones the first, as image-index.md says; if
 * none names a platform, all.
 */
export function choose(manifests: readonly Descriptor[], wanted: Platform): readonly Descriptor[] {
  let best: Descriptor | undefined;
  let bestFitness = 0;
  let named = false;
  for (const manifest of manifests) {
    if (manifest.platform === undefined) continue;
    named = true;
    const fits = fitness(wanted, manifest.platform) ?? 0;
    if (fits > bestFitness) [best, bestFitness] = [manifest, fits];
  }
  if (!named) return manifests;
  return best === undefined ? [] : [best];
}
