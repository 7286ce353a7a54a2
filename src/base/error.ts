/** The one error type of strata: fields first, prose made from them once. `docs/errors.md` lists the codes for users. */
import { errnoName, errnoText } from './errno.ts';

/** Every code a {@link StrataError} can carry. Codes are stable; messages are not. */
export type ErrorCode =
  /** A flag or argument is wrong. */
  | 'usage'
  /** config.json (or a state file) is not JSON. */
  | 'config-syntax'
  /** A property has the wrong type, is out of range or contradicts another. */
  | 'config-invalid'
  /** A property is valid, but this build, kernel or machine cannot honour it. */
  | 'config-unsupported'
  /** The container id is not allowed. */
  | 'id-invalid'
  /** A container with this id exists. */
  | 'exists'
  /** No container has this id. */
  | 'not-found'
  /** A document of an image or an archive is not what the image specification says, or is not what its digest says. */
  | 'image-invalid'
  /** No image in the store has this name or id. */
  | 'image-not-found'
  /** Something in the store is still used, by a container for one. */
  | 'in-use'
  /** The store, or a record in it, cannot be believed. */
  | 'store-damaged'
  /** The container's status does not permit this verb. */
  | 'status'
  /** The state on disk cannot be read as a state. */
  | 'state-damaged'
  /** Another strata process holds the container's lock, and did not let go in time. */
  | 'locked'
  /** The kernel refused a call. */
  | 'system'
  /** The user's program cannot be executed. */
  | 'exec'
  /** A hook failed. */
  | 'hook'
  /** CRIU has failed, or is missing. */
  | 'criu'
  /** Something did not happen in the time it was given. */
  | 'timeout'
  /** The caller's AbortSignal fired. */
  | 'aborted'
  /** A fault in strata itself. */
  | 'internal';

/** Which part of the work failed. */
export type Stage =
  | 'load'
  | 'check'
  | 'plan'
  | 'cgroup'
  | 'clone'
  | 'namespace'
  | 'rootfs'
  | 'process'
  | 'hook'
  | 'start'
  | 'delete'
  | 'state'
  | 'checkpoint'
  | 'restore';

/** The fields of a {@link StrataError}; all but `code` and `reason` are optional. */
export interface ErrorFields {
  readonly code: ErrorCode;
  /** What is wrong, one clause without a full stop; the errno's words are added when `errno` is set. */
  readonly reason: string;
  /** JSON pointer (RFC 6901) into `document`, '' for the document itself. */
  readonly pointer?: string;
  /** config.json if absent. */
  readonly document?: string;
  readonly stage?: Stage;
  /** Name of the plan operation that failed. */
  readonly operation?: string;
  /** Name of the system call. */
  readonly syscall?: string;
  /** Linux errno number. */
  readonly errno?: number;
  /** The path or object that the call was about. */
  readonly path?: string;
  /** What the user can do about it, one clause. */
  readonly hint?: string;
}

/** An error as data; `message` is one line made of the fields. */
export class StrataError extends Error {
  override readonly name = 'StrataError';
  readonly code: ErrorCode;
  readonly reason: string;
  readonly pointer: string | undefined;
  readonly document: string | undefined;
  readonly stage: Stage | undefined;
  readonly operation: string | undefined;
  readonly syscall: string | undefined;
  readonly errno: number | undefined;
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(fields: ErrorFields) {
    super(describe(fields));
    this.code = fields.code;
    this.reason = fields.reason;
    this.pointer = fields.pointer;
    this.document = fields.document;
    this.stage = fields.stage;
    this.operation = fields.operation;
    this.syscall = fields.syscall;
    this.errno = fields.errno;
    this.path = fields.path;
    this.hint = fields.hint;
  }

  /** The fields that are set, in a fixed order, for `--log-format json` and the library's users; `errno` by name. */
  toJSON(): Record<string, string> {
    const out: Record<string, string> = { code: this.code };
    if (this.pointer !== undefined) out['pointer'] = this.pointer;
    if (this.stage !== undefined) out['stage'] = this.stage;
    if (this.operation !== undefined) out['operation'] = this.operation;
    if (this.syscall !== undefined) out['syscall'] = this.syscall;
    if (this.errno !== undefined) out['errno'] = errnoName(this.errno);
    if (this.path !== undefined) out['path'] = this.path;
    if (this.hint !== undefined) out['hint'] = this.hint;
    return out;
  }
}

/** The error with some of its fields replaced. */
export function withFields(error: StrataError, changes: Partial<ErrorFields>): StrataError {
  const { code, reason, pointer, document, stage, operation, syscall, errno, path, hint } = error;
  const all = Object.entries({ code, reason, pointer, document, stage, operation, syscall, errno, path, hint, ...changes });
  return new StrataError(Object.fromEntries(all.filter(([, value]) => value !== undefined)) as unknown as ErrorFields);
}

/** Whether JavaScript had no memory left. QuickJS throws null when not even the error finds room. */
export function isOutOfMemory(error: unknown): boolean {
  return error === null || (error instanceof Error && error.message === 'out of memory');
}

/** Whether calls were nested too deeply, in the words of QuickJS or of V8. */
export function isStackOverflow(error: unknown): boolean {
  return error instanceof Error && (error.message === 'stack overflow' || error.message === 'Maximum call stack size exceeded');
}

/** One printable line: control characters, which could forge a second line or colour a terminal, are escaped. */
export function printable(text: string): string {
  return text.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** U+0000 to U+001F and U+007F to U+009F. */
const CONTROL = /\p{Control}/gu;

function describe(fields: ErrorFields): string {
  let text = '';
  const { document = 'config.json' } = fields;
  if (fields.pointer !== undefined) text += `${document} ${fields.pointer === '' ? '(document)' : fields.pointer}: `;
  text += fields.reason;
  if (fields.path !== undefined && !fields.reason.includes(fields.path)) text += ` ${fields.path}`;
  if (fields.errno !== undefined) text += `: ${errnoText(fields.errno)}`;
  if (fields.hint !== undefined) text += ` (${fields.hint})`;
  return printable(text);
}
