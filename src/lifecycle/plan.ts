/** `plan`: what create would do, as data. */
import type { Host } from '../host/host.ts';
import type { Plan } from '../plan/op.ts';
import { resolveBundle } from './bundle.ts';
import { isId } from './id.ts';
import type { BundleOptions } from './prepare.ts';
import { prepare } from './prepare.ts';

/** The plan of a bundle. Touches nothing and needs no privilege; an id of '' stands for the name of the bundle. */
export function planContainer(host: Host, options: BundleOptions): Plan {
  return prepare(host, { ...options, id: options.id === '' ? bundleName(host, options.bundle) : options.id }).plan;
}

function bundleName(host: Host, bundle: string): string {
  const path = resolveBundle(host, bundle);
  const name = path.slice(path.lastIndexOf('/') + 1);
  return isId(name) ? name : 'container';
}
