/** A plan for people and for programs: what `strata plan` prints. */
import { printable } from '../base/error.ts';
import { stringifyExact } from '../base/json.ts';
import { IO_CLASSES, MEMORY_FLAGS, MEMORY_MODES, SCHEDULER_FLAGS, SCHEDULERS } from '../spec/names.ts';
import { ATTR, CLONE, type FieldType, type FieldTypes, MS, OPERATIONS, type Operation, type OperationName, type Plan } from './op.ts';

/** How each operation reads: one clause in the imperative. */
type Words = { readonly [Name in OperationName]: (operation: Extract<Operation, { op: Name }>) => string };

const UNCHANGED = 0xffffffff;
/** The flags of a memory policy stand above its mode. */
const MODE_BITS = 0xff;
/** Lists longer than this are cut: the JSON form has them whole. */
const LONGEST_LIST = 8;
/** By the number that the operation has. */
const ID_MAPPED = ['', ', id-mapped', ', id-mapped with all below it'];
const ENTRANCES = ['with pivot_root', 'by moving it over / (no pivot_root)', 'of a copy of the finished tree'];

const WORDS: Words = {
  'cgroup-make': ({ hierarchy, path, controllers, others }) =>
    `make the cgroup ${path} in ${hierarchy}${list(', with', controllers)}${list(', if possible with', others)}` +
    (controllers.length + others.length === 0 ? '' : ' enabled above it'),
  'cgroup-write': ({ path, value, optional }) => `write ${quote(value)} to ${path}${optional ? ', if there is such a file' : ''}`,
  'cgroup-device-program': ({ path, program }) =>
    `attach a program of ${program.length / 8} instructions to ${path} that decides on access to devices`,
  'cgroup-own': ({ directory, files, uid }) => `give ${directory} to user ${uid}${list(', with', files)}`,
  'rdt-make': ({ path, shared }) => `make the resctrl group ${path}${shared ? ', unless it exists' : ''}`,
  'cpuset-claim': ({ directory, cpus }) => `check that no partition beside ${directory} has any of the CPUs ${cpus}`,
  'cpuset-check': ({ path }) => `check that the kernel does what ${path} says`,
  'seccomp-compile': ({ profile, cache, keep }) =>
    profile.length === 0 ? `take the seccomp program from ${keep}` : `compile the seccomp profile${cache === '' ? '' : `, or take it from ${cache}`}`,
  clone: ({ create, join, cgroup, tasks, unprivileged }) =>
    `make the first process${unprivileged ? " with an ordinary user's rights" : ''}${list(', in new namespaces', names(CLONE, create))}${list(', joining', pairs(join))}` +
    list(', in the cgroups of', cgroups(cgroup, tasks)),
  enter: ({ pid, namespaces, cgroup, tasks }) =>
    `make a process in the container of process ${pid}${list(', in its namespaces', names(CLONE, namespaces))}` +
    list(', in the cgroups of', cgroups(cgroup, tasks)),
  'id-map-helper': ({ program, args }) => `have ${program} map ids: ${triples(args)}`,

  'host-bind': ({ source, directory }) => `bind ${source} to ${directory}`,
  propagation: ({ propagation }) => `make every mount here ${propagationWords(propagation)}`,
  'root-bind': ({ path }) => `take ${path} as the root`,
  'root-overlay': ({ path, lower, upper, options }) =>
    `stack ${lower.length} ${lower.length === 1 ? 'layer' : 'layers'}${upper === '' ? ', read-only,' : ` under ${upper}`} as the root at ${path}` +
    list(', with', options),
  mount: ({ destination, type, options, copyUp, ...rest }) =>
    `mount ${type} at ${destination}${attributes(rest)}${list(', with', options)}${copyUp ? ', and copy into it what lies below' : ''}`,
  bind: ({ destination, source, recursive, idmap, ...rest }) =>
    `bind ${source}${recursive ? ', with all below it,' : ''} to ${destination}${attributes(rest)}${ID_MAPPED[idmap] ?? ''}`,
  remount: ({ destination, options, ...rest }) => `change the mount at ${destination}${attributes(rest)}${list(', with', options)}`,
  directory: ({ path, mode }) => `make the directory ${path} (${octal(mode)}), unless it exists`,
  symlink: ({ path, target, ifExists }) => `link ${path} to ${target}${ifExists ? ', if that exists' : ''}`,
  device: ({ path, type, major, minor, mode, uid, gid, bind }) =>
    `${bind ? "bind the host's" : 'make the'} ${deviceWords(type, major, minor)} ${path} (${octal(mode)}, owner ${uid}:${gid})`,
  console: ({ height, width, bind }) =>
    `make a terminal${height === 0 && width === 0 ? '' : ` of ${width} columns and ${height} rows`}${bind ? ', bind it to /dev/console' : ''}, ` +
    'send its master away',
  'runtime-hooks': () => 'wait while the runtime runs its hooks',
  hook: ({ kind, path, timeout }) => `run the ${kind} hook ${path}${timeout === 0 ? '' : `, for at most ${timeout / 1000} s`}`,
  mask: ({ path }) => `hide ${path}`,
  readonly: ({ path }) => `make ${path} read-only`,
  sysctl: ({ path, value }) => `set the kernel parameter ${path} to ${quote(value)}`,
  'root-readonly': () => 'make the root read-only',
  pivot: ({ mode, propagation }) =>
    `enter the root ${ENTRANCES[mode] ?? ''}${propagation === 0 ? '' : `, and make it ${propagationWords(propagation)}`}`,

  hostname: ({ name }) => `set the host name to ${quote(name)}`,
  domainname: ({ name }) => `set the domain name to ${quote(name)}`,
  'loopback-up': () => 'bring up the loopback interface',
  stdio: ({ uid }) => `give pipes for standard input and output to user ${uid}`,
  keyring: ({ name }) => `join a new session keyring ${quote(name)}`,
  'oom-score-adj': ({ value }) => `set the OOM score adjustment to ${value}`,
  rlimit: ({ name, soft, hard }) => `limit ${name} to ${limit(soft)}, at most ${limit(hard)}`,
  cwd: ({ path, last }) => `go to ${path}${last ? ', now as the user' : ', or try again as the user'}`,
  executable: ({ file, search }) => `find the program ${quote(file)}${file.includes('/') ? '' : ` in ${search}`}`,
  'no-new-privileges': () => 'give up gaining privileges by execve',
  'seccomp-load': () => 'load the seccomp filter',
  bounding: ({ bounding }) => `keep ${capabilityCount(bounding)} in the bounding set`,
  user: ({ uid, gid, groups, umask }) =>
    `become user ${uid}, group ${gid}${list(', with groups', groups.map(String))}${umask === UNCHANGED ? '' : `, umask ${octal(umask)}`}`,
  capabilities: ({ effective, permitted, inheritable, ambient }) =>
    `keep ${capabilityCount(permitted)} permitted, ${bitCount(effective)} effective, ${bitCount(inheritable)} inheritable, ` +
    `${bitCount(ambient)} ambient`,
  personality: ({ domain }) => `take the personality ${domain === 8 ? 'LINUX32' : 'LINUX'}`,
  ready: () => 'tell the runtime that the container is created, and wait for start',
  exec: ({ args }) => `execute ${args.map(quote).join(' ')}`,
  'cpu-affinity': ({ mask }) => `run on the CPUs ${cpus(mask).join(' ')}`,
  'net-device': ({ name, target }) => `move the network device ${quote(name)} here${target === name ? '' : `, as ${quote(target)}`}, and set it up`,
  home: ({ uid }) => `take HOME of user ${uid} from the container's /etc/passwd`,
  scheduler: ({ policy, nice, priority, flags, runtime, deadline, period }) =>
    `take the scheduling policy ${nameOf(SCHEDULERS, policy)}${priority === 0 ? '' : `, priority ${priority}`}${nice === 0 ? '' : `, nice ${nice | 0}`}` +
    `${runtime === 0n ? '' : `, ${runtime} ns of every ${period === 0n ? deadline : period} within ${deadline}`}${list(', with', bitNames(SCHEDULER_FLAGS, flags))}`,
  'io-priority': ({ class: number, priority }) => `take the I/O priority ${priority} of ${nameOf(IO_CLASSES, number)}`,
  'memory-policy': ({ mode, nodes }) =>
    `take the memory policy ${nameOf(MEMORY_MODES, mode & MODE_BITS)}${nodes === '' ? '' : ` of the nodes ${nodes}`}${list(', with', names(MEMORY_FLAGS, mode))}`,
  'apparmor-profile': ({ profile }) => `take on the AppArmor profile ${quote(profile)} with the next execve`,
  'selinux-label': ({ attribute, label }) =>
    attribute === 'exec' ? `take on the SELinux label ${quote(label)} with the next execve` : `give new keys the SELinux label ${quote(label)}`,
  'mount-label': ({ label }) => `label file systems that are made from here on ${quote(label)}`,
};

/** A numbered line for each operation, from 1, with the pointer of what asked for it. */
export function explain(plan: Plan): string {
  const cloneAt = plan.operations.findIndex(({ op }) => op === 'clone' || op === 'enter');
  const digits = String(plan.operations.length).length;
  let out = 'In the runtime\n';
  plan.operations.forEach((operation, index) => {
    if (index === cloneAt + 1) out += "\nIn the container's first process\n";
    const say = WORDS[operation.op] as (operation: Operation) => string;
    const asked = operation.pointer === '' ? '' : `  [${operation.pointer}]`;
    out += `${printable(`${String(index + 1).padStart(digits + 2)}  ${say(operation)}${asked}`)}\n`;
  });
  return out;
}

/** The operations as a JSON array, with integers exact, and a newline behind. What becomes bytes, which nobody reads, is counted: `{ "bytes": count }`, or `{ "values": count }` of what they
 * are made of. */
export function toJson(plan: Plan): string {
  const operations = plan.operations.map((operation) => {
    const types: Readonly<Record<string, FieldType>> = OPERATIONS[operation.op][1];
    return Object.fromEntries(
      Object.entries(operation).map(([key, value]) => [key, types[key] === 'bytes' ? counted(value as FieldTypes['bytes']) : value]),
    );
  });
  return `${stringifyExact(operations, 2)}\n`;
}

function counted(value: FieldTypes['bytes']): object {
  return value instanceof Uint8Array ? { bytes: value.length } : { values: value.length };
}

function list(before: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  const more = items.length - LONGEST_LIST;
  return `${before} ${more > 1 ? `${items.slice(0, LONGEST_LIST).join(' ')} and ${more} more` : items.join(' ')}`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function limit(value: bigint): string {
  return value === 0xffffffffffffffffn ? 'nothing' : `${value}`;
}

function pairs(join: readonly string[]): string[] {
  return join.filter((_, index) => index % 2 === 0).map((type, index) => `${type} (${join[index * 2 + 1]})`);
}

/** `/sys/fs/cgroup/memory/x/tasks` as its directory. */
function cgroups(unified: string, tasks: readonly string[]): string[] {
  const directories = tasks.map((path) => path.replace(/\/tasks$/, ''));
  return unified === '' ? directories : [...directories, unified];
}

function cpus(mask: readonly number[]): number[] {
  return mask
    .flatMap((word, index) => Array.from({ length: 32 }, (_, bit) => (((word >>> bit) & 1) === 0 ? -1 : 32 * index + bit)))
    .filter((cpu) => cpu >= 0);
}

/** The numbers of a map as its lines. */
function triples(numbers: readonly string[]): string {
  const lines: string[] = [];
  for (let at = 0; at < numbers.length; at += 3) lines.push(numbers.slice(at, at + 3).join(' '));
  return lines.join(', ');
}

function names(bits: Readonly<Record<string, number>>, value: number): string[] {
  return Object.entries(bits)
    .filter(([, bit]) => (value & bit) !== 0)
    .map(([name]) => name);
}

function nameOf(numbers: Readonly<Record<string, number>>, number: number): string {
  return Object.keys(numbers).find((name) => numbers[name] === number) ?? String(number);
}

/** For names that are numbered by their bit. */
function bitNames(numbers: Readonly<Record<string, number>>, bits: bigint): string[] {
  return Object.keys(numbers).filter((name) => ((bits >> BigInt(numbers[name] ?? 0)) & 1n) === 1n);
}

function propagationWords(propagation: number): string {
  const kind = names({ private: MS.private, slave: MS.slave, shared: MS.shared, unbindable: MS.unbindable }, propagation).join(' ');
  return (propagation & MS.rec) === 0 ? kind : `recursively ${kind}`;
}

interface Attributes {
  readonly set: bigint;
  readonly clear: bigint;
  readonly recursiveSet: bigint;
  readonly recursiveClear: bigint;
  readonly propagation: number;
}

function attributes({ set, clear, recursiveSet, recursiveClear, propagation }: Attributes): string {
  const words = [...attributeWords(set, clear), ...attributeWords(recursiveSet, recursiveClear).map((word) => `r${word}`)];
  if (propagation !== 0) words.push(propagationWords(propagation));
  return words.length === 0 ? '' : `: ${words.join(' ')}`;
}

const ATTRIBUTE_WORDS = [
  [ATTR.rdonly, 'ro', 'rw'],
  [ATTR.nosuid, 'nosuid', 'suid'],
  [ATTR.nodev, 'nodev', 'dev'],
  [ATTR.noexec, 'noexec', 'exec'],
  [ATTR.nodiratime, 'nodiratime', 'diratime'],
  [ATTR.nosymfollow, 'nosymfollow', 'symfollow'],
] as const;

function attributeWords(set: bigint, clear: bigint): string[] {
  const words: string[] = [];
  for (const [bit, on, off] of ATTRIBUTE_WORDS) {
    if ((set & bit) !== 0n) words.push(on);
    else if ((clear & bit) !== 0n) words.push(off);
  }
  const time = set & ATTR.atime;
  if (time === ATTR.noatime) words.push('noatime');
  else if (time === ATTR.strictatime) words.push('strictatime');
  else if ((clear & ATTR.atime) !== 0n) words.push('relatime');
  return words;
}

function deviceWords(type: string, major: number, minor: number): string {
  if (type === 'p') return 'fifo';
  return `${type === 'b' ? 'block' : 'character'} device ${major}:${minor}`;
}

function bitCount(mask: bigint): number {
  let count = 0;
  for (let rest = mask; rest > 0n; rest &= rest - 1n) count++;
  return count;
}

function capabilityCount(mask: bigint): string {
  const count = bitCount(mask);
  return `${count} ${count === 1 ? 'capability' : 'capabilities'}`;
}
