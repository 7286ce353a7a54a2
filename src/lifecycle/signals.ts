/** Signal names and numbers, signal(7); the numbers are those of x86-64, arm64 and every other architecture but alpha, mips, parisc and sparc. */
import { StrataError } from '../base/error.ts';

const NAMES: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  IOT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  POLL: 29,
  PWR: 30,
  SYS: 31,
  UNUSED: 31,
};

export const SIGKILL = 9;
/** The first two realtime signals belong to the C library. */
const RTMIN = 34;
const RTMAX = 64;

/**
 * The number of a signal: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `RTMAX-1`. 0 sends nothing and only asks whether the process is there.
 *
 * @throws StrataError `usage`.
 */
export function signalNumber(text: string): number {
  if (/^[0-9]{1,3}$/.test(text)) {
    const number = Number(text);
    if (number <= RTMAX) return number;
  } else {
    const name = text.toUpperCase().replace(/^SIG/, '');
    if (Object.hasOwn(NAMES, name)) return NAMES[name] ?? 0;
    const realtime = /^RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
    if (realtime !== null) {
      const distance = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
      const number = (realtime[1] === 'MIN' ? RTMIN : RTMAX) + distance;
      if (number >= RTMIN && number <= RTMAX) return number;
    }
  }
  throw new StrataError({ code: 'usage', reason: `unknown signal '${text}'`, hint: 'a name such as TERM or SIGKILL, RTMIN+1, or a number up to 64' });
}
