#!/usr/bin/env bash
# Write the formats that scripts/lint.sh asks for.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
prepare lint
shopt -s nullglob globstar
native=(native/**/*.cpp native/**/*.hpp test/native/*.cpp test/native/*.hpp)
biome check --colors=off --write --max-diagnostics=50 .
[ ${#native[@]} = 0 ] || clang-format -i "${native[@]}"
