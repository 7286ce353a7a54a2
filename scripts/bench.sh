#!/usr/bin/env bash
# Build, then measure against the floor and the peers; options as in bench/bench.mjs. Needs root. `--build` only builds what the measurement
# needs, for a run inside another system tree (bench/README.md).
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || die 'bench: needs root, to make containers'
prepare bench
bash scripts/build.sh </dev/null

out=build/bench
mkdir -p "$out"
# A program is rebuilt when its source is newer.
newer() { [ ! -e "$1" ] || [ "$2" -nt "$1" ]; }
! newer "$out/floor" bench/floor.c || gcc -O2 -Wall -static -o "$out/floor" bench/floor.c -lpthread
! newer "$out/stub" bench/floor.c || musl-gcc -Os -static -s -DFLOOR_STUB -ffunction-sections -fdata-sections -Wl,--gc-sections \
  -idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)" -o "$out/stub" bench/floor.c
! newer "$out/timer" bench/timer.c || gcc -O2 -Wall -static -o "$out/timer" bench/timer.c
[ "${1:-}" = --build ] || exec node bench/bench.mjs "$@"
