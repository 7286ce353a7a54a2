/** What the checks of a {@link Spec} have in common. */
import type { ErrorCode } from '../base/error.ts';
import { StrataError } from '../base/error.ts';
import { bounded } from '../base/pointer.ts';
import type { Namespace, NamespaceType, Spec } from './types.ts';

function refuse(code: ErrorCode, pointer: string, reason: string, hint?: string): never {
  throw new StrataError({ code, stage: 'check', pointer: bounded(pointer), reason, ...(hint === undefined ? {} : { hint }) });
}

/** The property contradicts the specification, the kernel's rules or another property. */
export function invalid(pointer: string, reason: string, hint?: string): never {
  refuse('config-invalid', pointer, reason, hint);
}

/** The property is valid, but not honoured. */
export function unsupported(pointer: string, reason: string, hint?: string): never {
  refuse('config-unsupported', pointer, reason, hint);
}

/** `"text"`, shortened: strings of the config have no bound. */
export function quoted(text: string): string {
  return JSON.stringify(text.length <= 60 ? text : `${text.slice(0, 50)}…`);
}

export function mustBeAbsolute(path: string, pointer: string): void {
  if (!path.startsWith('/')) invalid(pointer, `must be an absolute path, found ${quoted(path)}`);
}

// The pointer of an entry is made only for an entry that is wrong, and loops go by index: in QuickJS either costs more than the check itself.

/** As {@link mustBeAbsolute}, for every entry of the list at `pointer`. */
export function mustAllBeAbsolute(paths: readonly string[], pointer: string): void {
  for (let index = 0; index < paths.length; index++) {
    const path = paths[index] as string;
    if (!path.startsWith('/')) mustBeAbsolute(path, `${pointer}/${index}`);
  }
}

/** Each `NAME=value` with a name, environ(7). */
export function checkEnv(env: readonly string[], pointer: string): void {
  for (let index = 0; index < env.length; index++) {
    const entry = env[index] as string;
    if (entry.indexOf('=') <= 0) invalid(`${pointer}/${index}`, `expected NAME=value, found ${quoted(entry)}`);
  }
}

/** The entry of `linux.namespaces` for a type; without one the container stays in the runtime's namespace. */
export function findNamespace(spec: Spec, type: NamespaceType): Namespace | undefined {
  const { namespaces } = spec.linux;
  for (let index = 0; index < namespaces.length; index++) if (namespaces[index]?.type === type) return namespaces[index];
  return undefined;
}

/** The path with `.`, `..`, doubled and trailing slashes resolved as text, as seen from `/`: what it names where nothing is a symbolic link. */
export function cleanPath(path: string): string {
  // Nearly every path is clean already.
  if (path.startsWith('/') && !path.endsWith('/') && !path.includes('/.') && !path.includes('//')) return path;
  const out: string[] = [];
  for (const component of path.split('/')) {
    if (component === '..') out.pop();
    else if (component !== '' && component !== '.') out.push(component);
  }
  return `/${out.join('/')}`;
}
