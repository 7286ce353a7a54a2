/** Errors that came up from below. */
import { isOutOfMemory, isStackOverflow, StrataError } from '../base/error.ts';
import { messageOf } from '../base/fault.ts';

export { ERRNO, hasCode, hasErrno, isCgroupGone, messageOf } from '../base/fault.ts';

/** most_memory of native/cli/main.cpp; on Node there is no such limit, and no error either. */
const MEMORY = '256 MiB';

/** An exception that nobody foresaw is a fault of ours, unless it is a want of memory or stack. `hint`: what else the user is to know. */
export function internalError(error: unknown, hint?: string): StrataError {
  let what = messageOf(error);
  if (isOutOfMemory(error)) what = `out of memory: this needs more than the ${MEMORY} that strata allows itself; is config.json too large?`;
  else if (isStackOverflow(error)) what = 'out of stack: something is nested too deeply; is it config.json?';
  return new StrataError({ code: 'internal', reason: `internal error: ${what}`, ...(hint !== undefined && { hint }) });
}
