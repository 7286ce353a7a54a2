#!/usr/bin/env bash
# Build everything into build/ and dist/; does nothing when nothing has changed.
#
#   dist/                         the library: what tsc makes of src/, floor by floor
#   dist/bin/strata.cjs           the command in one file; CommonJS starts 5 ms sooner than an ES module
#   build/Release/strata.node     the addon
#   build/node-path               the Node that bin/strata starts
#   build/compile-cache           the command as V8 has compiled it, nodejs.org/api/module.html#module-compile-cache
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck disable=SC2119
prepare

mkdir -p build dist/bin
exec 9>build/lock
flock 9

inputs=(src native bin CMakeLists.txt package.json package-lock.json tsconfig.json tsconfig.base.json scripts/build.sh scripts/native.sh scripts/no-child-process.cjs scripts/warm-up.cjs)
[ ! -e .git/logs/HEAD ] || inputs+=(.git/logs/HEAD)
if [ -e build/stamp ] && [ -e dist/index.js ] && [ -e dist/bin/strata.cjs ] && [ -e build/Release/strata.node ] && [ -d build/compile-cache ] &&
  [ -z "$(find "${inputs[@]}" -newer build/stamp -print -quit)" ]; then
  exit 0
fi
touch build/stamp.next

bash scripts/native.sh 9>&- &
native=$!
tsc -b --pretty false || { wait "$native" || true; die 'build: the TypeScript does not compile'; }

commit=$(git rev-parse --verify -q HEAD 2>/dev/null || true)
# import.meta.dirname means the same in dist/host/node.js and here: two levels below the package's root.
esbuild src/main.ts --bundle --minify --platform=node --format=cjs --target=node22 --log-level=warning --outfile=dist/bin/strata.cjs \
  --define:STRATA_COMMIT="\"$commit\"" --define:import.meta.dirname=__dirname \
  --alias:node:child_process=./scripts/no-child-process.cjs
readlink -f node_modules/.bin/node >build/node-path

wait "$native" || die 'build: the native part does not compile'

# Node fills the cache at the exit of the first run, with the functions that were needed: `plan` needs most of what `create` does.
rm -rf build/compile-cache build/warm-up
mkdir -p build/warm-up/rootfs
bin/strata spec --bundle build/warm-up
mkdir -p build/compile-cache
NODE_COMPILE_CACHE=build/compile-cache node --require ./scripts/warm-up.cjs dist/bin/strata.cjs plan --bundle build/warm-up >/dev/null
rm -rf build/warm-up
mv build/stamp.next build/stamp
