/** What people ask for when they make a container of an image, in the words that they know from Docker: texts to values, nothing touched. */
import { StrataError } from '../base/error.ts';
import { parseSize } from '../base/size.ts';
import type { ContainerLimit, ContainerMount, ContainerNetwork } from '../image/convert.ts';
import { RLIMITS } from '../spec/names.ts';
import type { LogSettings } from './record.ts';

/** A directory or file of the host, or a volume of the store, in the container. */
export interface VolumeWish {
  /** Absolute, or the name of a volume; absent for a new volume that nobody has named. */
  readonly source?: string;
  readonly destination: string;
  readonly readonly: boolean;
  /** Mount options besides. */
  readonly options: readonly string[];
  /** Does a new volume begin with what the image has there? */
  readonly copy: boolean;
}

export interface DeviceWish {
  /** On the host. */
  readonly source: string;
  readonly destination: string;
  /** Some of `rwm`. */
  readonly access: string;
}

/** A volume's name is a directory's too. */
export const VOLUME_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
/** Options of a bind mount that change nothing but the mount itself. */
const BIND_OPTIONS = 'nosuid suid nodev dev noexec exec private rprivate shared rshared slave rslave'.split(' ');

/** @throws StrataError `usage` */
export function checkVolumeName(name: string): void {
  if (!VOLUME_NAME.test(name)) {
    const hint = 'letters, digits, _ . and -, the first a letter or digit, at most 200';
    throw wrong(`invalid volume name ${JSON.stringify(name)}`, hint);
  }
}

/** `SOURCE:DESTINATION[:OPTIONS]`, or `DESTINATION`. @throws StrataError `usage` */
export function volumeWish(text: string): VolumeWish {
  const parts = text.split(':');
  if (parts.length > 3) throw wrong(`volume ${JSON.stringify(text)} has more than three parts`, 'SOURCE:DESTINATION[:OPTIONS]');
  const [first = '', second, third] = parts;
  const destination = second ?? first;
  if (!destination.startsWith('/')) throw wrong(`volume ${JSON.stringify(text)}: the place in the container must be an absolute path`);
  const source = second === undefined ? undefined : first;
  if (source !== undefined && !source.startsWith('/')) {
    if (source.includes('/') || source === '.' || source === '..')
      throw wrong(`volume ${JSON.stringify(text)}: a directory of the host must be an absolute path`);
    checkVolumeName(source);
  }
  let readonly = false;
  let copy = true;
  const options: string[] = [];
  for (const option of third === undefined ? [] : third.split(',')) {
    if (option === 'ro' || option === 'rw') readonly = option === 'ro';
    else if (option === 'nocopy') copy = false;
    else if (BIND_OPTIONS.includes(option)) options.push(option);
    else throw wrong(`volume ${JSON.stringify(text)}: unknown option ${JSON.stringify(option)}`, `ro, rw, nocopy, ${BIND_OPTIONS.join(', ')}`);
  }
  return { ...(source !== undefined && { source }), destination, readonly, options, copy };
}

/** `DESTINATION[:OPTIONS]`. @throws StrataError `usage` */
export function tmpfsMount(text: string): ContainerMount {
  const colon = text.indexOf(':');
  const destination = colon === -1 ? text : text.slice(0, colon);
  if (!destination.startsWith('/')) throw wrong(`tmpfs ${JSON.stringify(text)}: the place in the container must be an absolute path`);
  const more = colon === -1 ? [] : text.slice(colon + 1).split(',');
  if (more.includes('')) throw wrong(`tmpfs ${JSON.stringify(text)}: an option is empty`);
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec', ...more] };
}

/** `DEVICE[:PATH][:ACCESS]`. @throws StrataError `usage` */
export function deviceWish(text: string): DeviceWish {
  const parts = text.split(':');
  const [source = '', second, third] = parts;
  const isAccess = second !== undefined && third === undefined && /^[rwm]+$/.test(second);
  const destination = second === undefined || isAccess ? source : second;
  const access = (isAccess ? second : third) ?? 'rwm';
  if (parts.length > 3 || !source.startsWith('/') || !destination.startsWith('/') || !/^[rwm]{1,3}$/.test(access)) {
    throw wrong(`device ${JSON.stringify(text)} is not of the form /dev/NAME[:/dev/NAME][:rwm]`);
  }
  return { source, destination, access };
}

const UNLIMITED = 2n ** 64n - 1n;

/** `NAME=SOFT[:HARD]`; -1 and `unlimited` are no limit. @throws StrataError `usage` */
export function limitWish(text: string): ContainerLimit {
  const match = /^([a-z]+)=([0-9]{1,20}|-1|unlimited)(?::([0-9]{1,20}|-1|unlimited))?$/i.exec(text);
  const type = `RLIMIT_${match?.[1]?.toUpperCase()}`;
  if (match === null || !Object.hasOwn(RLIMITS, type)) {
    const names = Object.keys(RLIMITS).map((name) => name.slice('RLIMIT_'.length).toLowerCase());
    throw wrong(`limit ${JSON.stringify(text)} is not of the form NAME=SOFT[:HARD]`, `names are ${names.join(', ')}`);
  }
  const soft = limitValue(match[2] as string);
  const hard = match[3] === undefined ? soft : limitValue(match[3]);
  if (soft > hard || hard > UNLIMITED) throw wrong(`limit ${JSON.stringify(text)}: the soft limit must not exceed the hard one, nor that 2^64 - 1`);
  return { type, soft, hard };
}

function limitValue(text: string): bigint {
  return text === '-1' || text.toLowerCase() === 'unlimited' ? UNLIMITED : BigInt(text);
}

/** `host`, `none` or `ns:PATH`. @throws StrataError `usage` */
export function networkWish(text: string): ContainerNetwork {
  if (text === 'host' || text === 'none') return text;
  if (text.startsWith('ns:/')) return { path: text.slice('ns:'.length) };
  throw wrong(`unknown network ${JSON.stringify(text)}`, 'none, host, or ns:PATH of a network namespace');
}

/** `512m`, in bytes: letters are powers of 1024. @throws StrataError `usage` */
export function sizeWish(text: string): number {
  return sizeOf(text, `size ${JSON.stringify(text)}`);
}

function sizeOf(text: string, what: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes > Number.MAX_SAFE_INTEGER) throw wrong(`${what} is not a number of bytes such as 512m`);
  return Number(bytes);
}

/** The kernel's least quota of processor time is 1 ms in a period; ours is 100 ms. */
const LEAST_CPUS = 0.01;
const MOST_CPUS = 100_000;

/** A number of processors, such as `1.5`, as microseconds in 100 ms. @throws StrataError `usage` */
export function cpusWish(text: string): number {
  const cpus = /^[0-9]{1,6}(\.[0-9]{1,9})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(cpus >= LEAST_CPUS && cpus <= MOST_CPUS))
    throw wrong(`${JSON.stringify(text)} is not a number of processors from ${LEAST_CPUS} to ${MOST_CPUS}`);
  return Math.floor(cpus * 100_000);
}

/** A file name as a program, or a list of arguments in JSON; '' for none. @throws StrataError `usage` */
export function entrypointWish(text: string): readonly string[] {
  if (text === '') return [];
  if (!text.startsWith('[')) return [text];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = undefined;
  }
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  throw wrong(`entrypoint ${JSON.stringify(text)} is no list of texts in JSON`);
}

/** The lines of a file of `NAME=value`, or `NAME`; those that begin with # and empty ones are none. @throws StrataError `usage` */
export function environmentLines(text: string, path: string): string[] {
  const out: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.replace(/^\s+/, '').replace(/\r$/, '');
    if (entry === '' || entry.startsWith('#')) continue;
    const name = entry.split('=', 1)[0] ?? '';
    if (name === '' || /\s/.test(name)) throw wrong(`${path}, line ${index + 1}: ${JSON.stringify(name)} is no name of a variable`);
    out.push(entry);
  }
  return out;
}

/** A log of 10 MiB and three older ones. */
export const DEFAULT_LOG: LogSettings = { driver: 'json-file', maxSize: 10 * 2 ** 20, maxFile: 4 };

/** `options`: `max-size=SIZE` (0 for no limit) and `max-file=N`. @throws StrataError `usage` */
export function logWish(driver: string, options: readonly string[]): LogSettings {
  if (driver !== 'json-file' && driver !== 'none') throw wrong(`unknown log driver ${JSON.stringify(driver)}`, 'json-file or none');
  let { maxSize, maxFile } = DEFAULT_LOG;
  for (const option of options) {
    const [, name, value = ''] = /^(max-size|max-file)=(.+)$/.exec(option) ?? [];
    if (driver === 'none' || name === undefined)
      throw wrong(`unknown log option ${JSON.stringify(option)}`, 'of json-file: max-size=SIZE and max-file=N');
    if (name === 'max-size') maxSize = sizeOf(value, `log option ${JSON.stringify(option)}`);
    else if (/^[1-9][0-9]{0,2}$/.test(value)) maxFile = Number(value);
    else throw wrong(`log option ${JSON.stringify(option)}: a number from 1 to 999`);
  }
  return { driver, maxSize, maxFile };
}

function wrong(reason: string, hint?: string): StrataError {
  return new StrataError({ code: 'usage', stage: 'check', reason, ...(hint !== undefined && { hint }) });
}
