/** JSON pointers, RFC 6901. */

/** `pointer('/linux', 'a/b', 0)` is `/linux/a~1b/0`. */
export function pointer(base: string, ...tokens: readonly (string | number)[]): string {
  let out = base;
  for (const token of tokens) out += `/${String(token).replace(/~/g, '~0').replace(/\//g, '~1')}`;
  return out;
}

const LONGEST = 200;

/** `text`, or its two ends with an ellipsis between when it is longer than 200 characters: keys come from the config, and messages are one line. */
export function bounded(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST / 2)}…${text.slice(1 - LONGEST / 2)}`;
}
