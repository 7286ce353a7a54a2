/** Security options of a container of an image, in the words that people know from Docker and Podman, and what this machine adds to them. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { SecurityFacts } from '../host/facts.ts';
import { readSecurity, recentFacts } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import type { SecurityWishes } from '../image/convert.ts';
import { parseProfile } from '../image/seccomp-profile.ts';
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
  /** A file with a profile, or `unconfined`. */
  readonly seccomp?: string;
  readonly label?: LabelWish;
  readonly mask?: readonly string[];
  readonly unmask?: 'ALL' | readonly string[];
}

const UNCONFINED = 'unconfined';
const LABEL_PARTS = ['user', 'role', 'type', 'level', 'filetype'] as const;
/** `s0`, `s0:c1,c2`, `s0-s15:c0.c1023`. */
const LEVEL = /^[A-Za-z][A-Za-z0-9_:,.-]{0,200}$/;
const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,200}$/;

type Reader = (value: string, before: SecurityOptions) => SecurityOptions | undefined;

/** Each gives undefined for a value that cannot be. */
const OPTIONS: Readonly<Record<string, { readonly form: string; readonly read: Reader }>> = {
  'no-new-privileges': {
    form: 'no-new-privileges[=true|false]',
    read: (value) => (['', 'true', 'false'].includes(value) ? { noNewPrivileges: value !== 'false' } : undefined),
  },
  apparmor: { form: 'apparmor=PROFILE or apparmor=unconfined', read: (value) => (isWord(value) ? { apparmor: value } : undefined) },
  seccomp: { form: 'seccomp=FILE or seccomp=unconfined', read: (value) => (value === '' ? undefined : { seccomp: value }) },
  label: { form: 'label=disable, or label=PART:VALUE with user, role, type, level or filetype', read: (value, { label }) => withLabel(value, label) },
  mask: { form: 'mask=PATH[:PATH]...', read: (value) => (isPaths(value) ? { mask: value.split(':') } : undefined) },
  unmask: {
    form: 'unmask=ALL or unmask=PATH[:PATH]...',
    read: (value) => (value.toUpperCase() === 'ALL' ? { unmask: 'ALL' } : isPaths(value) ? { unmask: value.split(':') } : undefined),
  },
  systempaths: { form: 'systempaths=unconfined', read: (value) => (value === UNCONFINED ? { unmask: 'ALL' } : undefined) },
};

/**
 * One more option: `NAME`, `NAME=VALUE` or, as old versions of Docker had it, `NAME:VALUE`.
 *
 * @throws StrataError `usage` for one that there is not, that has another form, or that was given before
 */
export function securityOption(text: string, before: SecurityOptions = {}): SecurityOptions {
  const [, name = '', value = ''] = /^([a-z-]+)(?:[=:](.*))?$/s.exec(text) ?? [];
  const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (option === undefined)
    throw wrong(`there is no security option ${JSON.stringify(text)}`, `those that there are: ${Object.keys(OPTIONS).join(', ')}`);
  const more = option.read(value, before);
  if (more === undefined) throw wrong(`security option ${JSON.stringify(text)} is not of the form ${option.form}`);
  if (Object.keys(more).some((key) => key !== 'label' && Object.hasOwn(before, key)))
    throw wrong(`security option ${JSON.stringify(text)}: one of this kind was given before`);
  return { ...before, ...more };
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

/** Absolute ones, and none of them the root. */
function isPaths(text: string): boolean {
  return text.split(':').every((path) => /^\/+[^/]/.test(path));
}

/** Whether a program may get more rights by being executed. `asked`: by another flag. @throws StrataError `usage` if both are asked for */
export function newPrivileges({ noNewPrivileges }: SecurityOptions, asked: boolean): boolean {
  if (asked && noNewPrivileges === true) throw wrong('both new privileges and no-new-privileges are asked for');
  return asked || noNewPrivileges === false;
}

/**
 * Reads the profile, and makes whole labels of parts. `here`: the container is to run on this machine, so a label that its kernel does not enforce is
 * refused.
 *
 * @throws StrataError `config-unsupported` for a label that this kernel does not enforce, `usage` for one that this machine's policy cannot complete,
 * `system`, `config-syntax` and `config-invalid` for the profile
 */
export function resolveSecurity(store: Store, options: SecurityOptions, here: boolean): SecurityWishes {
  const { host } = store;
  const { apparmor, seccomp, label, mask = [], unmask = [] } = options;
  // Without labels nobody looks for security modules.
  const facts = apparmor === undefined && label === undefined ? undefined : readSecurity(host);
  return {
    masked: mask,
    unmasked: unmask,
    ...(seccomp !== undefined && { seccomp: seccomp === UNCONFINED ? UNCONFINED : readProfile(host, seccomp) }),
    ...(facts && apparmor !== undefined && profileOf(apparmor, facts, here)),
    ...(facts && label !== undefined && label.disable !== true && labelsOf(store, label, facts, here)),
  };
}

function readProfile(host: Host, file: string): NonNullable<SecurityWishes['seccomp']> {
  return { profile: parseProfile(host.readText(file), file), kernel: recentFacts(host).kernel };
}

function profileOf(apparmor: string, facts: SecurityFacts, here: boolean): Pick<SecurityWishes, 'apparmorProfile'> {
  if (apparmor === UNCONFINED && !facts.apparmor) return {};
  if (here && !facts.apparmor) throw unsupported(`apparmor=${apparmor}`, 'AppArmor is not enabled in this kernel');
  return { apparmorProfile: apparmor };
}

type Labels = Required<Pick<SecurityWishes, 'selinuxLabel' | 'mountLabel'>>;

function labelsOf(store: Store, label: LabelWish, facts: SecurityFacts, here: boolean): Labels {
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
  const level = hasLevel ? [label.level ?? freshLevel(store)] : [];
  return {
    selinuxLabel: [label.user ?? user, label.role ?? role, need('type', type), ...level].join(':'),
    mountLabel: [label.user ?? fileUser, fileRole, need('filetype', fileType), ...level].join(':'),
  };
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

/** Two categories that no other container of the store has, so that the policy keeps them apart. */
function freshLevel(store: Store): string {
  const taken = levels(store);
  for (;;) {
    const number = Number.parseInt(store.host.randomDigits(RANDOM_BYTES), 16);
    const [one, two] = [number % CATEGORIES, Math.floor(number / CATEGORIES) % CATEGORIES];
    const level = `s0:c${Math.min(one, two)},c${Math.max(one, two)}`;
    if (one !== two && !taken.has(level)) return level;
  }
}

/** The levels of the store's containers. */
function levels(store: Store): ReadonlySet<string> {
  const out = new Set<string>();
  for (const id of listNames(store, containersPath(store.root))) {
    const [, level] = /"selinuxLabel": ?"(?:[^":]*:){3}([^"]*)"/.exec(readIfThere(store.host, `${containerPath(store.root, id)}/config.json`)) ?? [];
    if (level !== undefined) out.add(level);
  }
  return out;
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
