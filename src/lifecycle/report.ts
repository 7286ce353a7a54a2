/** Where a verb tells what is neither a result nor an error. */
export interface Report {
  /** Something the user should know, and that did not stop the work (runtime.md#warnings). */
  readonly warn?: (text: string) => void;
  /** One line for each stage of the work, for `--debug`. */
  readonly debug?: (text: string) => void;
}

/** Where a container is found; every verb's options hold these. */
export interface ContainerName extends Report {
  /** The state directory's root, absolute. */
  readonly root: string;
  readonly id: string;
}
