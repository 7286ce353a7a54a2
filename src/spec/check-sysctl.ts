/** Checks of `linux.sysctl`: only settings that belong to a namespace of the container; all others would change the host. */
import { pointer } from '../base/pointer.ts';
import { findNamespace, invalid } from './refuse.ts';
import type { NamespaceType, Spec } from './types.ts';

const IPC = new Set('msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced'.split(' ').map((name) => `kernel/${name}`));

/**
 * The path below /proc/sys. As sysctl(8) has it: when the first separator is a dot, dots separate and slashes stand for dots; else slashes separate.
 * `net.ipv4.conf.eth0/100.forwarding` and `net/ipv4/conf/eth0.100/forwarding` are the same.
 */
export function sysctlPath(key: string): string {
  return /[./]/.exec(key)?.[0] === '.' ? key.replace(/[./]/g, (char) => (char === '.' ? '/' : '.')) : key;
}

export function checkSysctl(spec: Spec): void {
  for (const key of Object.keys(spec.linux.sysctl)) {
    const place = pointer('/linux/sysctl', key);
    const path = sysctlPath(key);
    if (path.split('/').some((name) => name === '' || name === '.' || name === '..')) invalid(place, 'not the name of a kernel setting');
    if (path === 'kernel/hostname') invalid(place, 'the host name is set by the property hostname');
    const type = namespaceOf(path);
    if (type === undefined) invalid(place, 'not a setting of a namespace: it would change the host');
    if (findNamespace(spec, type) === undefined) invalid(place, `needs a namespace of type ${type} in linux.namespaces: it would change the host`);
  }
}

function namespaceOf(path: string): NamespaceType | undefined {
  if (IPC.has(path) || path.startsWith('fs/mqueue/')) return 'ipc';
  if (path.startsWith('net/')) return 'network';
  if (path === 'kernel/domainname') return 'uts';
  return path.startsWith('user/') ? 'user' : undefined;
}
