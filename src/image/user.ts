/** Who a container's process is (config.md, `User`; conversion.md, `Config.User`): names are those of the image's own passwd and group files. */
import { StrataError } from '../base/error.ts';

export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

/** The image's /etc/passwd and /etc/group; undefined if it has none. Asked for only when needed. */
export interface UserFiles {
  passwd(): string | undefined;
  group(): string | undefined;
}

/** The largest id: the kernel reads the one above as -1. */
const LAST_ID = 0xffff_fffe;

/**
 * `user`, `uid`, `user:group`, `uid:gid`, `uid:group` or `user:gid`; '' is root. A number is an id as it stands, unless there is a user of such a name. A user without a
 * group has that of passwd, root's if there is none for a uid; a user by name is also a member of the groups that list it, unless a group was given.
 *
 * @throws StrataError `image-invalid` if there is no such user or group.
 */
export function resolveUser(text: string, files: UserFiles): ImageUser {
  if (text === '') return { uid: 0, gid: 0, additionalGids: [] };
  const colon = text.indexOf(':');
  const user = colon === -1 ? text : text.slice(0, colon);
  const group = colon === -1 ? undefined : text.slice(colon + 1);
  const number = idOf(user, text);
  const { uid, gid, name } = number !== undefined && group !== undefined ? { uid: number, gid: 0, name: undefined } : account(user, number, files);
  if (group !== undefined) return { uid, gid: idOf(group, text) ?? groupId(group, files), additionalGids: [] };
  return { uid, gid, additionalGids: name === undefined ? [] : memberships(name, files) };
}

/** The number that a text is; undefined for a name. */
function idOf(text: string, whole: string): number | undefined {
  if (text === '') throw unknown(`the user "${whole}" lacks a name or a number`);
  if (!/^[0-9]+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > LAST_ID) throw unknown(`the id ${text} in the user "${whole}" is larger than ${LAST_ID}`);
  return id;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
  /** If it was asked for by name. */
  readonly name?: string | undefined;
}

function account(user: string, number: number | undefined, files: UserFiles): Account {
  let byNumber: Account | undefined;
  const found = eachLine(files.passwd(), (fields): Account | undefined => {
    const uid = fileId(fields[2]);
    const gid = fileId(fields[3]);
    if (uid === undefined || gid === undefined) return undefined;
    if (fields[0] === user) return { uid, gid, name: user };
    if (uid === number) byNumber ??= { uid, gid };
    return undefined;
  });
  if (found !== undefined) return found;
  if (number !== undefined) return byNumber ?? { uid: number, gid: 0 };
  throw unknown(`there is no user "${user}" in the image's /etc/passwd`);
}

function groupId(group: string, files: UserFiles): number {
  const found = eachLine(files.group(), (fields) => (fields[0] === group ? fileId(fields[2]) : undefined));
  if (found === undefined) throw unknown(`there is no group "${group}" in the image's /etc/group`);
  return found;
}

/** setgroups(2) takes no more. */
const MOST_GROUPS = 65_536;

function memberships(name: string, files: UserFiles): number[] {
  const out = new Set<number>();
  eachLine(files.group(), (fields) => {
    const gid = fileId(fields[2]);
    if (gid !== undefined && fields[3]?.split(',').includes(name) === true && out.size < MOST_GROUPS) out.add(gid);
    return undefined;
  });
  return [...out];
}

/** An id in a file; a line without one counts for nothing, as for libc. */
function fileId(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,10}$/.test(text) && Number(text) <= LAST_ID ? Number(text) : undefined;
}

/** The fields of each line, until `read` has found what it looks for. */
function eachLine<T>(text: string | undefined, read: (fields: readonly string[]) => T | undefined): T | undefined {
  if (text === undefined) return undefined;
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end === -1 ? text.length : end);
    start = end === -1 ? text.length : end + 1;
    if (line.startsWith('#')) continue;
    const found = read(line.split(':'));
    if (found !== undefined) return found;
  }
  return undefined;
}

function unknown(reason: string): StrataError {
  return new StrataError({ code: 'image-invalid', stage: 'check', reason });
}
