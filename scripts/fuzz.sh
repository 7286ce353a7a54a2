#!/usr/bin/env bash
# Fuzz the core with libFuzzer: test/fuzz has the targets, test/fuzz/seeds.ts what they begin with.
#
#   fuzz.sh                          every target, for a fixed number of inputs, the same ones each time
#   fuzz.sh TARGET [RUNS [SEED]]     one target: plan, init, launch, seccomp, host, layer, engine; with RUNS it goes on from what such runs have found
#
# An input that makes a target fail is kept in build/fuzz/found/TARGET; `build/fuzz/fuzz/TARGET FILE` runs it again.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
prepare fuzz

directory=build/fuzz
[ -e $directory/build.ninja ] || quietly cmake -S . -B $directory -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DSTRATA_FUZZ=ON
quietly cmake --build $directory --target fuzz-targets
rm -rf $directory/seeds
node test/fuzz/seeds.ts $directory/seeds

# fuzz TARGET RUNS SEED: a whole run takes some seconds.
fuzz() {
  local target=$1 found=$directory/found/$1 corpus=$directory/corpus/$1
  mkdir -p "$found" "$corpus"
  echo "fuzz: $target, $2 inputs"
  # The first directory is the one that grows.
  quietly "$directory/fuzz/$target" -runs="$2" -seed="$3" -max_len=16384 -timeout=30 -verbosity=0 -artifact_prefix="$found/" \
    "$corpus" "$directory/seeds/$target"
}

if [ $# -gt 0 ]; then
  [ -x "$directory/fuzz/$1" ] || die "fuzz: no target '$1'"
  fuzz "$1" "${2:-10000}" "${3:-1}"
  exit
fi

declare -A runs=([plan]=15000 [init]=30000 [launch]=30000 [seccomp]=200000 [host]=30000 [layer]=30000 [engine]=100000)
failed=0
rm -rf $directory/corpus
for program in "$directory"/fuzz/*; do
  target=$(basename "$program")
  fuzz "$target" "${runs[$target]}" 1 || failed=1
done
exit $failed
