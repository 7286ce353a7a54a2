// Stands in for node:fs in the static command: commander wants it for subcommands that are programs of their own, which strata has not.
export default {};
