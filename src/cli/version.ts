/** What `--version` prints; a test holds VERSION against package.json. */
import type { Host } from '../host/host.ts';
import { OCI_VERSION } from '../spec/defaults.ts';

export const VERSION = '0.1.0';

/** What is known about this build. */
export interface Build {
  /** The commit it was made from. */
  readonly commit?: string;
  /** Version of the libseccomp that is linked in. */
  readonly libseccomp?: string;
  /** Version of QuickJS, where that is what runs this. */
  readonly quickjs?: string;
}

/** The lines that engines parse: `name version X` first, then `key: value`; what is not known is left out. */
export function versionText(host: Host, build: Build): string {
  const lines = [`strata version ${VERSION}`];
  if (build.commit) lines.push(`commit: ${build.commit}`);
  lines.push(`spec: ${OCI_VERSION}`, `host: ${host.kind}`);
  if (build.libseccomp) lines.push(`libseccomp: ${build.libseccomp}`);
  if (build.quickjs) lines.push(`quickjs: ${build.quickjs}`);
  return lines.join('\n');
}
