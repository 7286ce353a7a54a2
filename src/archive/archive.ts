/**
 * What only Node can do, as the command line sees it: archives are read and written with zlib and hashed with OpenSSL, which the static command has
 * not got. Pure, for `src/cli` names it; `index.ts` beside it is the implementation.
 */

/** Each function is one verb; see there. */
export type Archive = Readonly<Record<never, never>>;
