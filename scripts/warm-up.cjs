// Preloaded when the build fills the compile cache: Node writes the cache at its own exit, which the command otherwise goes without.
const dlopen = process.dlopen;
process.dlopen = (module, ...rest) => {
  dlopen.call(process, module, ...rest);
  module.exports.exitNow = (status) => process.exit(status);
};
