// Stands in for node:child_process in the bundled command. commander loads that module for subcommands that are programs of their own, which
// strata has not; loading it costs 2 ms of every start.
module.exports = {};
