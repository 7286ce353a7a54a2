/** `linux.intelRdt`: the class of service of the container's process, as a group of the resctrl file system (config-linux.md, IntelRdt). */
import { StrataError } from '../base/error.ts';
import { isClassName } from '../spec/check-rdt.ts';
import type { IntelRdt, Spec } from '../spec/types.ts';
import type { PlanContext } from './context.ts';
import type { Operation } from './op.ts';

const POINTER = '/linux/intelRdt';

export interface RdtPlan {
  /** Host path of the class's group. */
  readonly group: string;
  /** Groups that are made for this container alone, and go with it: a monitoring group, then the class. */
  readonly own: readonly string[];
  readonly operations: readonly Operation[];
  /** Host paths of the `tasks` files that the container's process writes itself to. */
  readonly tasks: readonly string[];
}

/** undefined without `linux.intelRdt`. @throws StrataError `config-unsupported` or `config-invalid`. */
export function planRdt({ linux: { intelRdt } }: Spec, { id, facts }: Pick<PlanContext, 'id' | 'facts'>): RdtPlan | undefined {
  if (intelRdt === undefined) return undefined;
  const { rdt } = facts;
  if (rdt === undefined) throw refused('config-unsupported', '', 'needs the resctrl file system, which is not mounted');
  const { closID } = intelRdt;
  if (closID === undefined && !isClassName(id)) throw refused('config-invalid', '/closID', `is needed: no class of service can be named ${id}`);
  const group = closID === '/' ? rdt.mount : `${rdt.mount}/${closID ?? id}`;
  const lines = schemaLines(intelRdt);
  const operations: Operation[] = [];
  const own: string[] = [];
  if (closID === undefined || rdt.schemata === undefined) {
    if (closID !== undefined && lines.length === 0)
      throw refused('config-invalid', '/closID', `${group} does not exist, and no schema is given for it`);
    operations.push({ op: 'rdt-make', pointer: `${POINTER}${closID === undefined ? '' : '/closID'}`, path: group, shared: closID !== undefined });
    for (const { at, line } of lines) {
      operations.push({ op: 'cgroup-write', pointer: POINTER + at, path: `${group}/schemata`, value: `${line}\n`, optional: false });
    }
    if (closID === undefined) own.push(group);
  } else {
    for (const { at, line } of lines) {
      if (!isInForce(line, rdt.schemata))
        throw refused('config-invalid', at, `the class ${closID} exists with another schema: '${line}' is not in force`);
    }
  }
  const tasks = [`${group}/tasks`];
  if (intelRdt.enableMonitoring) {
    const monitoring = `${group}/mon_groups/${id}`;
    operations.push({ op: 'rdt-make', pointer: `${POINTER}/enableMonitoring`, path: monitoring, shared: false });
    own.unshift(monitoring);
    tasks.push(`${monitoring}/tasks`);
  }
  return { group, own, operations, tasks };
}

/** In the order in which they must be written. */
function schemaLines({ l3CacheSchema, memBwSchema, schemata }: IntelRdt): { readonly at: string; readonly line: string }[] {
  return [
    ...(l3CacheSchema === undefined ? [] : [{ at: '/l3CacheSchema', line: l3CacheSchema }]),
    ...(memBwSchema === undefined ? [] : [{ at: '/memBwSchema', line: memBwSchema }]),
    ...schemata.map((line, index) => ({ at: `/schemata/${index}`, line })),
  ];
}

/** Whether what `schema` asks of each domain is what the file says. */
function isInForce(schema: string, file: string): boolean {
  const found = parseSchemata(file);
  for (const [resource, domains] of parseSchemata(schema)) {
    for (const [domain, value] of domains) if (found.get(resource)?.get(domain) !== value) return false;
  }
  return true;
}

/** Lines such as `    L3:0=7ff;1=7ff`, by resource and domain; the same number can be written with zeros before it. */
function parseSchemata(text: string): Map<string, Map<string, string>> {
  const all = new Map<string, Map<string, string>>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const domains = line.slice(colon + 1).split(';');
    const pairs = domains.map((pair): [string, string] => {
      const [domain = '', value = ''] = pair.split('=').map((part) => part.trim());
      return [domain, value.toLowerCase().replace(/^0+(?=.)/, '')];
    });
    all.set(line.slice(0, colon).trim(), new Map(pairs));
  }
  return all;
}

function refused(code: 'config-unsupported' | 'config-invalid', at: string, reason: string): StrataError {
  return new StrataError({ code, stage: 'plan', pointer: POINTER + at, reason });
}
