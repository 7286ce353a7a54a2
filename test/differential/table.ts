/** Prints the table of explained differences, as docs/differential.md has it. */
import { markdown } from './compare.ts';
import { EXPLAINED } from './explained.ts';

console.log(markdown(EXPLAINED));
