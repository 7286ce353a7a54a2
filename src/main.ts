/** The command on Node: what `bin/strata` runs where there is no static command. */
import { createArchive } from './archive/index.ts';
import { main } from './cli/main.ts';
import { createNodeHost, exitNow, nativeVersions } from './host/node.ts';

/** Put in by the build; a run from the sources has none. */
declare const STRATA_COMMIT: string | undefined;

/** The oldest Node that the package supports, as package.json has it. */
const OLDEST = [22, 18] as const;

/** Ends without Node's own farewell, which takes milliseconds: all that was printed has been written already. */
async function command(): Promise<void> {
  try {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
      throw new Error(`Node ${OLDEST.join('.')} or later is needed; this is ${process.version}`);
    const host = createNodeHost();
    const build = { commit: typeof STRATA_COMMIT === 'string' ? STRATA_COMMIT : '', ...nativeVersions() };
    exitNow(await main(host, () => createArchive(host), process.argv.slice(2), build));
  } catch (error) {
    // Only a Node or a build that is not fit for use comes here: the command itself tells its errors.
    process.stderr.write(`strata: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}\n`);
    process.exitCode = 1;
  }
}

void command();
