/** The class of service of a container that exists: what its resctrl group says, and what is removed with the container. */
import type { Host } from '../host/host.ts';
import { CgroupFiles, type Count } from './cgroup-files.ts';
import { ERRNO, hasErrno } from './fault.ts';
import type { RdtGroup } from './store.ts';

/** The group that was made for the container alone; one that others can use stays (config-linux.md, IntelRdt). */
export function removeRdtGroups(host: Host, { own }: RdtGroup): void {
  for (const group of own) {
    try {
      host.removeDirectory(group);
    } catch (error) {
      if (!hasErrno(error, ERRNO.ENOENT)) throw error;
    }
  }
}

/** The group of the whole machine: the mount point. */
function rootOf(host: Host, group: string): string {
  return host.stat(`${group}/info`) !== undefined ? group : group.slice(0, group.lastIndexOf('/'));
}

/** What the kernel says of a schema that it has just refused. */
export function rdtRefusal(host: Host, { group }: RdtGroup): string | undefined {
  const status = new CgroupFiles(host, `${rootOf(host, group)}/info`).text('last_cmd_status').trim();
  return status === '' || status === 'ok' ? undefined : status;
}

/** The lines about these resources, as they would be written again. */
export function schemaFor(schema: string): (schemata: string) => string {
  const names = resourcesOf(schema);
  return (schemata) => {
    const lines = schemata.split('\n').map((line) => line.trim());
    return lines
      .filter((line) => names.includes(resourcesOf(line)[0] ?? ''))
      .map((line) => `${line}\n`)
      .join('');
  };
}

function resourcesOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => line.slice(0, line.indexOf(':')).trim());
}

export interface RdtStats {
  readonly l3_cache_info?: { readonly cbm_mask?: string; readonly min_cbm_bits?: Count; readonly num_closids?: Count };
  readonly l3_cache_schema_root?: string;
  readonly l3_cache_schema?: string;
  readonly mem_bw_info?: {
    readonly bandwidth_gran?: Count;
    readonly delay_linear?: Count;
    readonly min_bandwidth?: Count;
    readonly num_closids?: Count;
  };
  readonly mem_bw_schema_root?: string;
  readonly mem_bw_schema?: string;
  readonly mbm_stats?: readonly { readonly mbm_total_bytes: Count; readonly mbm_local_bytes: Count }[];
  readonly cmt_stats?: readonly { readonly llc_occupancy: Count }[];
}

/** With the names of runc; of a resource that the machine does not have there is nothing. */
export function rdtStats(host: Host, { group, own }: RdtGroup): RdtStats {
  const root = rootOf(host, group);
  const schema = (directory: string, resource: string): string => schemaFor(`${resource}:`)(new CgroupFiles(host, directory).text('schemata')).trim();
  const l3 = new CgroupFiles(host, `${root}/info/L3`);
  const bandwidth = new CgroupFiles(host, `${root}/info/MB`);
  const features = new CgroupFiles(host, `${root}/info/L3_MON`).lines('mon_features');
  const monitored = own.find((path) => path.includes('/mon_groups/')) ?? group;
  const nodes = features.length === 0 ? [] : nodesOf(host, `${monitored}/mon_data`);
  return {
    ...(l3.text('cbm_mask') !== '' && {
      l3_cache_info: { cbm_mask: l3.text('cbm_mask').trim(), min_cbm_bits: l3.count('min_cbm_bits'), num_closids: l3.count('num_closids') },
      l3_cache_schema_root: schema(root, 'L3'),
      l3_cache_schema: schema(group, 'L3'),
    }),
    ...(bandwidth.text('num_closids') !== '' && {
      mem_bw_info: {
        bandwidth_gran: bandwidth.count('bandwidth_gran'),
        delay_linear: bandwidth.count('delay_linear'),
        min_bandwidth: bandwidth.count('min_bandwidth'),
        num_closids: bandwidth.count('num_closids'),
      },
      mem_bw_schema_root: schema(root, 'MB'),
      mem_bw_schema: schema(group, 'MB'),
    }),
    ...(features.includes('mbm_total_bytes') && {
      mbm_stats: nodes.map((node) => ({ mbm_total_bytes: node.count('mbm_total_bytes'), mbm_local_bytes: node.count('mbm_local_bytes') })),
    }),
    ...(features.includes('llc_occupancy') && { cmt_stats: nodes.map((node) => ({ llc_occupancy: node.count('llc_occupancy') })) }),
  };
}

/** One directory for each L3 cache. */
function nodesOf(host: Host, directory: string): CgroupFiles[] {
  if (host.stat(directory) === undefined) return [];
  const names = host.list(directory).filter((name) => name.startsWith('mon_L3_'));
  return names.map((name) => new CgroupFiles(host, `${directory}/${name}`));
}
