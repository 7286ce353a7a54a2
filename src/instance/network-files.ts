/** The three small files by which programs find out about names in the network. */
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import type { ContainerNetwork } from '../image/convert.ts';

/** Bytes of a file of the host that is taken over. */
const LARGEST = 1024 * 1024;

const LOOPBACK = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n';
/** systemd-resolved listens on an address of the host's loopback device; the servers that it asks are in a file of its own. */
const RESOLVED = '127.0.0.53';
const RESOLVED_SERVERS = '/run/systemd/resolve/resolv.conf';

/** Names of files in /etc, with what is in them: nobody is asked about names where there is no network. */
export function networkFiles(host: Host, network: ContainerNetwork, hostname: string): readonly (readonly [name: string, text: string])[] {
  const own = `127.0.1.1\t${hostname}\n`;
  const hosts = network === 'host' ? `${withNewline(readIfThere(host, '/etc/hosts') ?? LOOPBACK)}${own}` : LOOPBACK + own;
  return [
    ['hostname', `${hostname}\n`],
    ['hosts', hosts],
    ['resolv.conf', network === 'none' ? '' : resolvers(host, network)],
  ];
}

function resolvers(host: Host, network: ContainerNetwork): string {
  const text = readIfThere(host, '/etc/resolv.conf') ?? '';
  return network !== 'host' && text.includes(RESOLVED) ? (readIfThere(host, RESOLVED_SERVERS) ?? text) : text;
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

function readIfThere(host: Host, path: string): string | undefined {
  try {
    return host.readText(path, LARGEST);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return undefined;
    throw error;
  }
}
