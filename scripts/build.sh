#!/usr/bin/env bash
# Build everything into build/ and dist/; does nothing when nothing has changed.
#
#   dist/                         the library: what tsc makes of src/, floor by floor
#   bin/strata                    the command: the static program, or, where there is no QuickJS to make it of, a script that starts Node
#   dist/bin/static.js            what is in the static program as bytecode
#   dist/bin/strata.cjs           the command on Node in one file; CommonJS starts 5 ms sooner than an ES module
#   build/Release/strata.node     the addon
#   build/node-path               the Node that the command on Node starts
#   build/compile-cache           the command as V8 has compiled it, nodejs.org/api/module.html#module-compile-cache
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck disable=SC2119
prepare

mkdir -p build dist/bin bin
exec 9>build/lock
flock 9

inputs=(src native CMakeLists.txt package.json package-lock.json tsconfig.json tsconfig.base.json scripts/build.sh scripts/native.sh scripts/launcher.sh
  scripts/no-child-process.cjs scripts/warm-up.cjs)
for file in .git/logs/HEAD build/quickjs /usr/include/quickjs; do [ ! -e $file ] || inputs+=("$file"); done
if [ -e build/stamp ] && [ -e bin/strata ] && [ -e dist/index.js ] && [ -e dist/bin/strata.cjs ] && [ -e build/Release/strata.node ] && [ -d build/compile-cache ] &&
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

modules=./native/cli/node
esbuild src/static.ts --bundle --minify-syntax --minify-whitespace --platform=neutral --main-fields=module,main --format=iife --target=es2023 \
  --log-level=warning --outfile=dist/bin/static.js --define:STRATA_COMMIT="\"$commit\"" --alias:node:child_process=$modules/child_process.mjs \
  --alias:node:events=$modules/events.mjs --alias:node:fs=$modules/fs.mjs --alias:node:path=$modules/path.mjs \
  --alias:node:process=$modules/process.mjs --alias:node:util=$modules/util.mjs

wait "$native" || die 'build: the native part does not compile'
command=scripts/launcher.sh
if ninja -C build -t query strata-cli >/dev/null 2>&1; then
  bash scripts/native.sh --target strata-cli 9>&- || die 'build: the static command does not compile'
  command=build/strata
else
  echo 'build: without libquickjs there is no static command; bin/strata starts Node instead, which is slower'
fi
# By rename: the old one may be running.
install -m 755 "$command" bin/.strata.new
mv -f bin/.strata.new bin/strata

# Node fills the cache at the exit of the first run, with the functions that were needed: `plan` needs most of what `create` does.
rm -rf build/compile-cache build/warm-up
mkdir -p build/warm-up/rootfs
bin/strata spec --bundle build/warm-up
mkdir -p build/compile-cache
NODE_COMPILE_CACHE=build/compile-cache node --require ./scripts/warm-up.cjs dist/bin/strata.cjs plan --bundle build/warm-up >/dev/null
rm -rf build/warm-up
mv build/stamp.next build/stamp
