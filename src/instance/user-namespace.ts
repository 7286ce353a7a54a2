/**
 * The store of an ordinary user. What is in it belongs to the user and to his subordinate ids, as container and layers see root and others; to touch
 * what is the others', strata executes itself as root of a user namespace that has the same ids, through unshare(1) and the programs of uidmap.
 */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import { mayAdminister, readCapabilities } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import { findHelper, groupId } from '../lifecycle/rootless.ts';
import { defaultMounts } from '../spec/defaults.ts';
import type { IdMapping } from '../spec/types.ts';

/** Is the caller somebody whose only rights are those that a user namespace brings? */
export function isOrdinary(host: Host): boolean {
  return host.userId() !== 0 && !mayAdminister(readCapabilities(host));
}

/** Goes on as root of a user namespace, with this command line, if the caller is an ordinary user; then it does not return. @throws StrataError */
export function becomeNamespaceRoot(host: Host, argv: readonly string[]): void {
  if (isOrdinary(host)) host.become([...inNamespace(host), host.ownCommand(), ...argv]);
}

/** Removes a directory with everything in it, also what belongs to the ids of the container. */
export async function removeTree(host: Host, path: string): Promise<void> {
  try {
    await host.removeTree(path);
  } catch (error) {
    if (!hasErrno(error, ERRNO.EACCES, ERRNO.EPERM) || !isOrdinary(host)) throw error;
    const args = [...inNamespace(host), 'rm', '-rf', '--one-file-system', '--', path];
    const env = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
    const { status, stderr } = await host.run({ path: args[0] as string, args, env, stdin: '', timeout: 0 });
    if (!('code' in status) || status.code !== 0) {
      throw new StrataError({ code: 'system', reason: `cannot remove ${path}: ${stderr.split('\n', 1)[0]}`, path });
    }
  }
}

/**
 * The beginning of a command line that runs the rest as root of the user's namespace. @throws StrataError `config-unsupported` if that cannot be had.
 */
function inNamespace(host: Host): string[] {
  mappings(host);
  const unshare = findHelper(host, 'unshare');
  if (unshare === '') throw lacking('there is no unshare', 'it is part of the package util-linux');
  return [unshare, '--user', '--map-root-user', '--map-auto', '--'];
}

/**
 * The configuration of a container that is an ordinary user's: in a user namespace where root is the user, and the others are his subordinate ids.
 */
export function inUserNamespace(host: Host, spec: object): object {
  const { linux, mounts } = spec as {
    readonly mounts: readonly { readonly destination: string; readonly type: string }[];
    readonly linux: { readonly namespaces: readonly { readonly type: string }[]; readonly resources: object };
  };
  // The rules for devices are only the machine's root to make.
  const { devices: _, ...resources } = linux.resources as { readonly devices?: unknown };
  const ownsNetwork = linux.namespaces.some(({ type }) => type === 'network');
  const sys = defaultMounts(true).find(({ destination }) => destination === '/sys') as { readonly destination: string; readonly type: string };
  return {
    ...spec,
    mounts: ownsNetwork ? mounts : mounts.map((mount) => (mount.type === 'sysfs' && mount.destination === '/sys' ? sys : mount)),
    linux: { ...linux, ...mappings(host), resources, namespaces: [...linux.namespaces, { type: 'user' }] },
  };
}

/** As unshare(1) makes them with --map-root-user and --map-auto. @throws StrataError `config-unsupported` */
function mappings(host: Host): { readonly uidMappings: readonly IdMapping[]; readonly gidMappings: readonly IdMapping[] } {
  for (const name of ['newuidmap', 'newgidmap'])
    if (findHelper(host, name) === '') throw lacking(`there is no ${name}`, 'it is part of the package uidmap or shadow-utils');
  const uid = host.userId();
  const map = (file: string, own: number): IdMapping[] => [
    { containerID: 0, hostID: own, size: 1 },
    { containerID: 1, ...firstRange(host, file, uid) },
  ];
  return { uidMappings: map('/etc/subuid', uid), gidMappings: map('/etc/subgid', groupId(host)) };
}

/** subuid(5): `name or uid:first:count`. */
function firstRange(host: Host, file: string, uid: number): Omit<IdMapping, 'containerID'> {
  const name = lineOf(host, '/etc/passwd', (fields) => fields[2] === `${uid}`)?.[0];
  const fields = lineOf(host, file, ([who]) => who === `${uid}` || who === name);
  const [hostID, size] = [Number(fields?.[1]), Number(fields?.[2])];
  if (Number.isInteger(hostID) && Number.isInteger(size) && size > 0) return { hostID, size };
  throw lacking(`${file} has no ids for user ${name ?? uid}`, 'usermod --add-subuids and --add-subgids give some');
}

function lineOf(host: Host, file: string, isIt: (fields: readonly string[]) => boolean): readonly string[] | undefined {
  if (host.stat(file) === undefined) return undefined;
  return host
    .readText(file)
    .split('\n')
    .map((line) => line.split(':'))
    .find(isIt);
}

function lacking(what: string, hint: string): StrataError {
  return new StrataError({
    code: 'config-unsupported',
    reason: `images of an ordinary user need a user namespace with ranges of ids: ${what}`,
    hint,
  });
}
