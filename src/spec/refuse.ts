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

/** Each `NAME=value` with a name, environ(7). */
export function checkEnv(env: readonly string[], pointer: string): void {
  for (const [index, entry] of env.entries()) {
    if (entry.indexOf('=') <= 0) invalid(`${pointer}/${index}`, `expected NAME=value, found ${quoted(entry)}`);
  }
}

/** The entry of `linux.namespaces` for a type; without one the container stays in the runtime's namespace. */
export function findNamespace(spec: Spec, type: NamespaceType): Namespace | undefined {
  return spec.linux.namespaces.find((namespace) => namespace.type === type);
}

/** The path with `.`, `..`, doubled and trailing slashes resolved as text, as seen from `/`: what it names where nothing is a symbolic link. */
export function cleanPath(path: string): string {
  const out: string[] = [];
  for (const component of path.split('/')) {
    if (component === '..') out.pop();
    else if (component !== '' && component !== '.') out.push(component);
  }
  return `/${out.join('/')}`;
}
