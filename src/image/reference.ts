/**
 * Names of images, such as `debian:12` or `example.org:5000/team/app@sha256:…`, in the grammar that registries and engines share. What is left out is
 * Docker's: the registry `docker.io`, there the directory `library`, the tag `latest`. The store keeps whole names; people see and write short ones.
 */
import { StrataError } from '../base/error.ts';
import { bounded } from '../base/pointer.ts';
import { isDigest, SHORT_ID } from './digest.ts';

export interface Reference {
  /** Host name of a registry, with its port if any. */
  readonly domain: string;
  /** Path of the repository there. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

const DEFAULT_DOMAIN = 'docker.io';
/** What Docker calls that in its own files. */
const OLD_DEFAULT_DOMAIN = 'index.docker.io';
const OFFICIAL = 'library';
const DEFAULT_TAG = 'latest';
/** What podman puts before the names of images that were made here. */
const LOCAL_DOMAIN = 'localhost';
/** Of domain and path together, as registries have it. */
const LONGEST_NAME = 255;

const DOMAIN = /^(?:[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*(?:\.[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const WHOLE_ID = /^[0-9a-f]{64}$/;

/** @throws StrataError `usage`. */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const named = at === -1 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/');
  const tag = tagged ? named.slice(colon + 1) : undefined;
  const { domain, path } = split(tagged ? named.slice(0, colon) : named);

  let fault: string | undefined;
  if (text === '') fault = 'it is empty';
  else if (digest !== undefined && !isDigest(digest)) fault = `${JSON.stringify(digest)} is not a digest`;
  else if (tag !== undefined && !TAG.test(tag)) fault = `${JSON.stringify(tag)} is not a tag`;
  else if (!DOMAIN.test(domain)) fault = `${JSON.stringify(domain)} is not the name of a host`;
  else if (domain.length + path.length >= LONGEST_NAME) fault = `it is longer than ${LONGEST_NAME} characters`;
  else if (/[A-Z]/.test(path)) fault = 'a repository is written in lower case';
  else if (!path.split('/').every((component) => COMPONENT.test(component))) fault = `${JSON.stringify(path)} is not the path of a repository`;
  else if (domain === DEFAULT_DOMAIN && WHOLE_ID.test(path.slice(OFFICIAL.length + 1))) fault = 'it could be taken for an id';
  if (fault !== undefined) {
    const hint = 'a name is [HOST[:PORT]/]PATH[:TAG][@DIGEST], such as debian:12';
    throw new StrataError({ code: 'usage', reason: bounded(`invalid name of an image ${JSON.stringify(text)}: ${fault}`), hint });
  }
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

function split(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const isHost = first.includes('.') || first.includes(':') || first === LOCAL_DOMAIN || first !== first.toLowerCase();
  const domain = isHost && first !== OLD_DEFAULT_DOMAIN ? first : DEFAULT_DOMAIN;
  const path = isHost ? name.slice(slash + 1) : name;
  return { domain, path: domain === DEFAULT_DOMAIN && !path.includes('/') ? `${OFFICIAL}/${path}` : path };
}

/** As the store keeps it: `docker.io/library/debian:12`. With a digest and no tag there is none; else `latest` is the tag. */
export function referenceText({ domain, path, tag, digest }: Reference): string {
  const named = tag !== undefined || digest === undefined ? `:${tag ?? DEFAULT_TAG}` : '';
  return `${domain}/${path}${named}${digest === undefined ? '' : `@${digest}`}`;
}

/** The whole name for a name that somebody gives: `debian` becomes `docker.io/library/debian:latest`. @throws StrataError `usage`. */
export function normalizeReference(text: string): string {
  return referenceText(parseReference(text));
}

/** The whole name for one that is to be kept: a tag and no digest, for a digest says already what it means. @throws StrataError `usage`. */
export function nameToKeep(text: string): string {
  const reference = parseReference(text);
  if (reference.digest === undefined) return referenceText(reference);
  throw new StrataError({ code: 'usage', reason: bounded(`invalid name of an image ${JSON.stringify(text)}: a digest cannot be given as a name`) });
}

/** Under which whole names the store may have what somebody means, the likeliest first. @throws StrataError `usage`. */
export function candidates(text: string): readonly string[] {
  const reference = parseReference(text);
  const whole = referenceText(reference);
  if (reference.domain !== DEFAULT_DOMAIN || /^(index\.)?docker\.io\//.test(text)) return [whole];
  const path = text.startsWith(`${OFFICIAL}/`) ? reference.path : reference.path.replace(/^library\//, '');
  return [whole, referenceText({ ...reference, domain: LOCAL_DOMAIN, path })];
}

/** How people write a whole name: `debian:12`. */
export function familiarName(whole: string): string {
  const official = `${DEFAULT_DOMAIN}/${OFFICIAL}/`;
  if (whole.startsWith(official) && !whole.slice(official.length).includes('/')) return whole.slice(official.length);
  return whole.startsWith(`${DEFAULT_DOMAIN}/`) && !whole.startsWith(official) ? whole.slice(DEFAULT_DOMAIN.length + 1) : whole;
}

/** A whole name in two: `debian` and `12` of `docker.io/library/debian:12`. */
export function repositoryAndTag(whole: string): readonly [repository: string, tag: string] {
  const name = familiarName(whole).replace(/@.*$/, '');
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? [name.slice(0, colon), name.slice(colon + 1)] : [name, ''];
}

const ID = /^[0-9a-f]+$/;

/** Digits of an image's id, 12 at least, if this is what `text` may be: with `sha256:` before it or without. */
export function idDigits(text: string): string | undefined {
  const digits = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
  return digits.length >= SHORT_ID && digits.length <= 64 && ID.test(digits) ? digits : undefined;
}
