#!/usr/bin/env bash
# Build build/Release/strata.node with cmake-js, which is asked only when the build directory is not configured yet.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS
# node-gyp leaves its own files here; those of CMake and Ninja do not mind them.
if [ ! -e build/build.ninja ] || [ CMakeLists.txt -nt build/CMakeCache.txt ] || [ build/quickjs -nt build/CMakeCache.txt ] ||
  [ /usr/include/quickjs -nt build/CMakeCache.txt ]; then
  quietly cmake-js configure --generator Ninja --config Release --log-level warn
fi
quietly cmake --build build "$@"
