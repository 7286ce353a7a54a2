# Sourced by test.sh and .ci/run: run something and keep its TAP, so that scripts/totals.mjs can add everything up. $logs is where.
# shellcheck shell=bash disable=SC2154

# suite NAME COMMAND...: a command that prints TAP.
suite() {
  local name=$1 status=0 begin=$SECONDS
  shift
  mkdir -p "$logs"
  ("$@") >"$logs/$name.tap" 2>"$logs/$name.err" </dev/null || status=$?
  echo "$status" >"$logs/$name.status"
  node scripts/totals.mjs --suite "$logs" "$name" $((SECONDS - begin))
}

# check NAME COMMAND...: a command that is one test itself.
check() {
  local name=$1 status=0 begin=$SECONDS
  shift
  mkdir -p "$logs"
  ("$@") >"$logs/$name.err" 2>&1 </dev/null || status=$?
  if [ "$status" = 0 ]; then echo "ok 1 - $name"; else echo "not ok 1 - $name"; fi >"$logs/$name.tap"
  echo "$status" >"$logs/$name.status"
  node scripts/totals.mjs --suite "$logs" "$name" $((SECONDS - begin))
}

# skip NAME REASON: one test that cannot run here.
skip() {
  mkdir -p "$logs"
  echo "ok 1 - $1 # SKIP $2" >"$logs/$1.tap"
  echo 0 >"$logs/$1.status"
  printf '%-28s skipped: %s\n' "$1" "$2"
}

# ava_files DIRECTORY PATTERN [OPTION...]: the test files below test/DIRECTORY whose paths contain PATTERN, but for those named in $left_out.
ava_files() {
  local directory=$1 pattern=$2
  shift 2
  local files name omit=()
  for name in ${left_out-}; do omit+=(! -name "$name.test.ts"); done
  mapfile -t files < <(find "test/$directory" -name '*.test.ts' -path "*$pattern*" "${omit[@]}" | sort)
  if [ ${#files[@]} = 0 ]; then
    echo "no test file in test/$directory matches '$pattern'" >&2
    return 1
  fi
  ava --tap "$@" "${files[@]}"
}

# native_tests BUILD_DIRECTORY [PREFIX]: every native test program of a build.
native_tests() {
  local program
  for program in "$1"/native-tests/*; do
    if [ ! -x "$program" ]; then
      echo "no native test in $1"
      return 1
    fi
    suite "${2:-native}-$(basename "$program")" "$program"
  done
}
