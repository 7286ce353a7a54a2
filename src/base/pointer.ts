/** JSON pointers, RFC 6901. */

/** `pointer('/linux', 'a/b', 0)` is `/linux/a~1b/0`. */
export function pointer(base: string, ...tokens: readonly (string | number)[]): string {
  let out = base;
  // Every mount and device of a plan has its pointer: a regular expression for each token would take longer than all else that is done for it.
  for (let index = 0; index < tokens.length; index++) out += `/${escaped(String(tokens[index]))}`;
  return out;
}

function escaped(token: string): string {
  return token.includes('~') || token.includes('/') ? token.replace(/~/g, '~0').replace(/\//g, '~1') : token;
}

const LONGEST = 200;

/** `text`, or its two ends with an ellipsis between when it is longer than 200 characters: keys come from the config, and messages are one line. */
export function bounded(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST / 2)}…${text.slice(1 - LONGEST / 2)}`;
}
