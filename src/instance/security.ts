/** Security options of a container of an image, in the words that people know from Docker and Podman, and what this machine adds to them. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { SecurityFacts } from '../host/facts.ts';
import { readSecurity, recentFacts } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import type { SecurityWishes } from '../image/convert.ts';
import { parseProfile } from '../image/seccomp-profile.ts';
import { MAX_SPEC_LENGTH } from '../spec/parse.ts';
import { cleanPath } from '../spec/refuse.ts';
import { containerPath, containersPath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { listNames } from '../store/store.ts';

/** Parts of an SELinux label; those that are absent are the policy's for containers. */
export interface LabelWish {
  readonly user?: string;
  readonly role?: string;
  readonly type?: string;
  readonly level?: string;
  /** The type of files, in the mount label. */
  readonly filetype?: string;
  /** No label at all, which is the default. */
  readonly disable?: true;
}

/** What is absent was not said. */
export interface SecurityOptions {
  readonly noNewPrivileges?: boolean;
  /** A profile's name, or `unconfined`. */
  readonly apparmor?: string;
  /** A file with a profile, `unconfined`, or `builtin` for the default one. */
  readonly seccomp?: string;
  readonly label?: LabelWish;
  readonly mask?: readonly string[];
  readonly unmask?: 'ALL' | readonly string[];
}

const UNCONFINED = 'unconfined';
/** Docker's word for the profile that there is without the option. */
const BUILTIN = 'builtin';
const LABEL_PARTS = ['user', 'role', 'type', 'level', 'filetype'] as const;
/** `s0`, `s0:c1,c2`, `s0-s15:c0.c1023`. */
const LEVEL = /^[A-Za-z][A-Za-z0-9_:,.-]{0,200}$/;
const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,200}$/;

/** `value` is undefined where the option is its name alone. */
type Reader = (value: string | undefined, before: SecurityOptions) => SecurityOptions | undefined;

/** Each gives undefined for a value that cannot be. */
const OPTIONS: Readonly<Record<string, { readonly form: string; readonly read: Reader }>> = {
  'no-new-privileges': {
    form: 'no-new-privileges[=true|false]',
    read: (value = 'true') => (['true', 'false'].includes(value) ? { noNewPrivileges: value === 'true' } : undefined),
  },
  apparmor: { form: 'apparmor=PROFILE or apparmor=unconfined', read: (value = '') => (isWord(value) ? { apparmor: value } : undefined) },
  seccomp: {
    form: `seccomp=FILE, seccomp=${UNCONFINED} or seccomp=${BUILTIN}`,
    read: (value = '') => (value === '' ? undefined : { seccomp: value }),
  },
  label: {
    form: 'label=disable, or label=PART:VALUE with user, role, type, level or filetype',
    read: (value = '', { label }) => withLabel(value, label),
  },
  mask: { form: 'mask=PATH[:PATH]...', read: (value = '', { mask = [] }) => (isPaths(value) ? { mask: [...mask, ...value.split(':')] } : undefined) },
  unmask: {
    form: 'unmask=ALL or unmask=PATH[:PATH]...',
    read: (value = '', { unmask = [] }) => {
      if (value.toUpperCase() === 'ALL') return { unmask: 'ALL' };
      return isPaths(value) ? { unmask: unmask === 'ALL' ? unmask : [...unmask, ...value.split(':')] } : undefined;
    },
  },
  systempaths: { form: 'systempaths=unconfined', read: (value) => (value === UNCONFINED ? { unmask: 'ALL' } : undefined) },
};

/**
 * One more option: `NAME`, `NAME=VALUE` or, as old versions of Docker had it, `NAME:VALUE`.
 *
 * @throws StrataError `usage` for one that there is not, that has another form, or that was given before and does not add up
 */
export function securityOption(text: string, before: SecurityOptions = {}): SecurityOptions {
  if (/[\0\p{Surrogate}]/u.test(text)) throw wrong(`security option ${JSON.stringify(text)} holds a NUL or half of a character`);
  const [, name = '', value] = /^([a-z-]+)(?:[=:](.*))?$/s.exec(text) ?? [];
  const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (option === undefined)
    throw wrong(`there is no security option ${JSON.stringify(text)}`, `those that there are: ${Object.keys(OPTIONS).join(', ')}`);
  const more = option.read(value, before);
  if (more === undefined) throw wrong(`security option ${JSON.stringify(text)} is not of the form ${option.form}`);
  if (Object.keys(more).some((key) => Object.hasOwn(before, key) && !addsUp(before, more, key)))
    throw wrong(`security option ${JSON.stringify(text)}: one of this kind was given before`);
  return { ...before, ...more };
}

/** Parts of a label, and paths; but all paths stand alone. */
function addsUp(before: SecurityOptions, more: SecurityOptions, key: string): boolean {
  return key === 'label' || key === 'mask' || (key === 'unmask' && before.unmask !== 'ALL' && more.unmask !== 'ALL');
}

/** All of them, for those who have a list of any shape. @throws StrataError `usage` as {@link securityOption} does, and for what is no list of texts */
export function securityOptions(texts: unknown): SecurityOptions {
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== 'string')) throw wrong('securityOpts is no array of strings');
  return (texts as readonly string[]).reduce<SecurityOptions>((before, text) => securityOption(text, before), {});
}

/** @throws StrataError `usage` as {@link securityOption} does */
function withLabel(value: string, before: LabelWish = {}): SecurityOptions | undefined {
  const said = Object.keys(before).length > 0;
  if (before.disable === true || (value === 'disable' && said)) throw wrong(`security option "label=${value}": label=disable stands alone`);
  if (value === 'disable') return { label: { disable: true } };
  const colon = value.indexOf(':');
  const part = LABEL_PARTS.find((name) => name === value.slice(0, colon));
  const text = value.slice(colon + 1);
  if (part === undefined || !(part === 'level' ? LEVEL : NAME).test(text)) return undefined;
  if (Object.hasOwn(before, part)) throw wrong(`security option "label=${value}": the ${part} was given before`);
  return { label: { ...before, [part]: text } };
}

function isWord(text: string): boolean {
  return text !== '' && !/[\s\p{Control}]/u.test(text);
}

/** Absolute ones, and none of them the root, by whatever name. */
function isPaths(text: string): boolean {
  return text.split(':').every((path) => path.startsWith('/') && cleanPath(path) !== '/');
}

/** Whether a program may get more rights by being executed. `asked`: by another flag. @throws StrataError `usage` if both are asked for */
export function newPrivileges({ noNewPrivileges }: SecurityOptions, asked: boolean): boolean {
  if (asked && noNewPrivileges === true) throw wrong('both new privileges and no-new-privileges are asked for');
  return asked || noNewPrivileges === false;
}

/** For what the options are. */
export interface SecurityTarget {
  /** The container is to run on this machine, so what its kernel does not enforce is refused. */
  readonly here: boolean;
  /** Volumes with a name that it mounts: others have them too, at the same time or afterwards. */
  readonly volumes: readonly string[];
}

/**
 * Reads the profile, and makes whole labels of parts.
 *
 * @throws StrataError `config-unsupported` for a label or a profile that this kernel does not enforce or does not know, `usage` for one that this machine's
 * policy cannot complete and for one without a level beside volumes with a name, `system`, `config-syntax` and `config-invalid` for the profile
 */
export function resolveSecurity(store: Store, options: SecurityOptions, target: SecurityTarget): SecurityWishes {
  const { host } = store;
  const { apparmor, seccomp = BUILTIN, label, mask = [], unmask = [] } = options;
  // Without labels nobody looks for security modules.
  const facts = apparmor === undefined && label === undefined ? undefined : readSecurity(host);
  return {
    masked: mask,
    unmasked: unmask,
    ...(seccomp !== BUILTIN && { seccomp: seccomp === UNCONFINED ? UNCONFINED : readProfile(host, seccomp) }),
    ...(facts && apparmor !== undefined && profileOf(host, apparmor, facts, target)),
    ...(facts && label !== undefined && label.disable !== true && labelsOf(store, label, facts, target)),
  };
}

function readProfile(host: Host, file: string): NonNullable<SecurityWishes['seccomp']> {
  return { profile: parseProfile(host.readText(file), file), kernel: recentFacts(host).kernel };
}

function profileOf(host: Host, apparmor: string, facts: SecurityFacts, { here }: SecurityTarget): Pick<SecurityWishes, 'apparmorProfile'> {
  if (!here) return { apparmorProfile: apparmor };
  if (apparmor === UNCONFINED) return facts.apparmor ? { apparmorProfile: apparmor } : {};
  if (!facts.apparmor) throw unsupported(`apparmor=${apparmor}`, 'AppArmor is not enabled in this kernel');
  if (!isLoaded(host, apparmor)) throw unsupported(`apparmor=${apparmor}`, 'no such profile is loaded');
  return { apparmorProfile: apparmor };
}

/** False if the kernel says so: profiles of other namespaces and stacks are not in its list, and not everybody may read that. */
function isLoaded(host: Host, profile: string): boolean {
  if (profile.startsWith(':') || profile.includes('//&')) return true;
  try {
    const list = host.readText('/sys/kernel/security/apparmor/profiles');
    return list.split('\n').some((line) => line.startsWith(`${profile} (`));
  } catch {
    return true;
  }
}

type Labels = Required<Pick<SecurityWishes, 'selinuxLabel' | 'mountLabel'>>;

function labelsOf(store: Store, label: LabelWish, facts: SecurityFacts, { here, volumes }: SecurityTarget): Labels {
  const [first = ''] = LABEL_PARTS.filter((part) => label[part] !== undefined).map((part) => `label=${part}:${label[part]}`);
  if (here && !facts.selinux) throw unsupported(first, 'SELinux is not enabled in this kernel');
  const usual = readContexts(store.host);
  const need = (part: 'type' | 'filetype', fallback: string | undefined): string => {
    const value = label[part] ?? fallback;
    if (value !== undefined) return value;
    throw wrong(`security option "${first}": this machine's policy names no label for containers`, `label=${part}:TYPE gives the ${part} too`);
  };
  const [user = 'system_u', role = 'system_r', type, ...levels] = usual.process;
  const [fileUser = 'system_u', fileRole = 'object_r', fileType] = usual.file;
  // A policy without levels gives none to its own labels either.
  const hasLevel = label.level !== undefined || usual.process.length === 0 || levels.length > 0;
  if (hasLevel && label.level === undefined && volumes.length > 0) {
    const hint = 'the same for all that share the volume, or have it one after the other: files have the level of the container that makes them';
    throw wrong(`security option "${first}" with the volume ${volumes[0]} needs label=level:LEVEL too`, hint);
  }
  const level = hasLevel ? [label.level ?? freshLevel(randomNumber(store.host), takenCategories(store))] : [];
  const labels = {
    selinuxLabel: [label.user ?? user, label.role ?? role, need('type', type), ...level].join(':'),
    mountLabel: [label.user ?? fileUser, fileRole, need('filetype', fileType), ...level].join(':'),
  };
  for (const whole of Object.values(labels)) {
    if (here && !isKnownLabel(store.host, whole)) throw unsupported(first, `this machine's policy has no label ${whole}`);
  }
  return labels;
}

/** False if the kernel says that its policy has not got this label; not every process may ask. While SELinux is enabled. */
export function isKnownLabel(host: Host, label: string): boolean {
  try {
    host.writeText('/sys/fs/selinux/context', label);
    return true;
  } catch (error) {
    return !hasErrno(error, ERRNO.EINVAL);
  }
}

/** Parts of the labels that the policy has for containers; none if it says nothing of them. */
interface Contexts {
  readonly process: readonly string[];
  readonly file: readonly string[];
}

/** selinux_config(5) names the policy; lxc_contexts(5) is where all engines look. */
function readContexts(host: Host): Contexts {
  const policy = settingOf(readIfThere(host, '/etc/selinux/config'), 'SELINUXTYPE');
  const text = NAME.test(policy) ? readIfThere(host, `/etc/selinux/${policy}/contexts/lxc_contexts`) : '';
  const parts = (name: string): string[] =>
    settingOf(text, name)
      .replace(/^"(.*)"$/, '$1')
      .split(':')
      .filter(Boolean);
  return { process: parts('process'), file: parts('file') };
}

/** Of a line `NAME = VALUE`; '' if there is none. */
function settingOf(text: string, name: string): string {
  const line = text.split('\n').find((one) => one.split('=', 1)[0]?.trim() === name);
  return line === undefined ? '' : line.slice(line.indexOf('=') + 1).trim();
}

function readIfThere(host: Host, path: string): string {
  try {
    return host.readText(path);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return '';
    throw error;
  }
}

const CATEGORIES = 1024;
const RANDOM_BYTES = 4;

function randomNumber(host: Host): number {
  return Number.parseInt(host.randomDigits(RANDOM_BYTES), 16);
}

/**
 * Two categories that are not `taken` ({@link categoriesOf}), so that the policy keeps their holders apart; the first ones from `start` on.
 *
 * @throws StrataError `config-unsupported` if all are
 */
export function freshLevel(start: number, taken: Pick<ReadonlySet<string>, 'has'>): string {
  for (let step = 0; step < CATEGORIES * CATEGORIES; step++) {
    const number = (start + step) % (CATEGORIES * CATEGORIES);
    const [one, two] = [number % CATEGORIES, Math.floor(number / CATEGORIES)];
    const level = `s0:c${Math.min(one, two)},c${Math.max(one, two)}`;
    if (one !== two && !taken.has(categoriesOf(level))) return level;
  }
  throw unsupported('label', 'the containers of the store have all pairs of categories');
}

/** The set of categories that a level's holder may reach, in one way of writing: `s0:c5,c3` and `s0-s0:c3,c5` have the same. */
export function categoriesOf(level: string): string {
  const [, list = ''] = level.split('-').pop()?.split(':') ?? [];
  const all = list.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split('.').map((name) => Number.parseInt(name.slice(1), 10));
    const numbers: number[] = [];
    for (let number = first; number <= last && number < CATEGORIES; number++) numbers.push(number);
    return numbers;
  });
  return [...new Set(all)].sort((a, b) => a - b).join();
}

/** Of the store's containers. One whose configuration cannot be read does not keep others from being made. */
function takenCategories(store: Store): ReadonlySet<string> {
  const out = new Set<string>();
  for (const id of listNames(store, containersPath(store.root))) {
    const level = levelIn(store.host, `${containerPath(store.root, id)}/config.json`);
    if (level !== undefined) out.add(categoriesOf(level));
  }
  return out;
}

function levelIn(host: Host, file: string): string | undefined {
  try {
    return /"selinuxLabel": ?"(?:[^":]*:){3}([^"]*)"/.exec(host.readText(file, MAX_SPEC_LENGTH))?.[1];
  } catch {
    return undefined;
  }
}

/** The label of what containers share: files of the same type, and without categories. */
export function sharedLabel(mountLabel: string): string {
  const [user, role, type, ...level] = mountLabel.split(':');
  return [user, role, type, ...level.slice(0, 1).map((sensitivity) => sensitivity.replace(/-.*/, ''))].join(':');
}

function unsupported(option: string, reason: string): StrataError {
  return new StrataError({ code: 'config-unsupported', stage: 'check', reason: `security option ${JSON.stringify(option)}: ${reason}` });
}

function wrong(reason: string, hint?: string): StrataError {
  return new StrataError({ code: 'usage', stage: 'check', reason, ...(hint !== undefined && { hint }) });
}
