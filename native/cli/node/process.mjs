// Stands in for node:process in the static command: commander looks here for what main.ts gives it otherwise, and finds nothing.
export default { argv: [], env: {}, versions: {}, platform: 'linux', stdout: {}, stderr: {} };
