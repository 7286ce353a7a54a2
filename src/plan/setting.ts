/** A limit as the file of one controller takes it. */

/** One write, before it is known in which directory. */
export interface Setting {
  /** Pointer below `/linux/resources`. */
  readonly pointer: string;
  readonly file: string;
  readonly value: string;
  /** Forgive a kernel without this file. */
  readonly optional?: boolean;
  /** What to write in order to have again what `text`, the file's content, says now; without it the whole content. */
  readonly former?: (text: string) => string;
}

/** For files with a line for each device: its line, or what stands for having none. */
export function entryOf(key: string, none: string): (text: string) => string {
  return (text) => text.split('\n').find((line) => line.startsWith(`${key} `)) ?? none;
}
