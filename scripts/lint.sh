#!/usr/bin/env bash
# Look, change nothing: formats, lints and the rules of the house. `lint.sh --no-tidy` leaves out clang-tidy, the slow one.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
prepare lint
failed=0
fail() {
  echo "lint: $*" >&2
  failed=1
}
shopt -s nullglob globstar
native=(native/**/*.?pp test/{native,fuzz,sanitize}/*.?pp)
units=(native/**/*.cpp)
shell=(scripts/*.sh test/{conformance,guest}/*.sh .ci/run)

biome ci --colors=off --error-on-warnings --max-diagnostics=50 . || fail 'biome found faults (npm run format mends the formats)'
[ ${#native[@]} = 0 ] || clang-format --dry-run --Werror "${native[@]}" || fail 'clang-format would change files (npm run format does)'
shellcheck --source-path=SCRIPTDIR --external-sources "${shell[@]}" || fail 'shellcheck found faults'
mandoc -T lint -W warning docs/man/*.8 || fail 'mandoc found faults'

# One door to the kernel: system calls are made in native/core/sys.cpp and nowhere else in the core.
grep -nE '(^|[^_[:alnum:]])(::)?syscall *\(|\basm\b[^;]*(syscall|svc)|#include <(sys/syscall|asm/unistd)\.h>' "${units[@]}" /dev/null | grep -v '^native/core/sys\.cpp:' &&
  fail 'a system call outside native/core/sys.cpp'
grep -nE '#include *[<"](napi|node_api|js_native_api|node|v8|uv)[^>"]*\.h' native/core/**/*.?pp native/{init,keeper}/*.?pp /dev/null && fail 'a Node header in the core'
grep -nE '\b(try *\{|catch *\(|throw\b|dynamic_cast|typeid)' native/core/**/*.?pp native/{init,keeper}/*.?pp /dev/null | grep -vE ':[0-9]+: *//' && fail 'exceptions or RTTI in the core'

# The build knows only what is shipped; a test that names what is not there would not even load.
tsc -p test --pretty false || fail 'the tests have faults of type'

grep -rnE 'Math\.(a?(sin|cos|tan)h?|atan2|exp|expm1|log|log1p|log10|cbrt|hypot)\b' src /dev/null && fail 'a function that native/cli/math.cpp leaves out'

if [ "${1:-}" != --no-tidy ] && [ ${#units[@]} != 0 ]; then
  # Flags of our own: those of the build name gcc's specs file, which clang cannot read. The analyzer gives a function up after a third of its usual
  # steps, which halves the time of all that clang-tidy does.
  # shellcheck disable=SC2016
  printf '%s\0' "${units[@]}" | xargs -0 -P "$(nproc)" -n 2 bash -c '
    set -o pipefail
    clang-tidy --quiet "$@" -- -xc++ -std=c++20 -fno-exceptions -fno-rtti -Inative -isystem node_modules/node-api-headers/include \
      -isystem node_modules/node-addon-api -isystem build/quickjs/usr/include -DNAPI_VERSION=9 -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS \
      -DSTRATA_QUICKJS_DIGEST=\"\" -DSTRATA_QUICKJS_VERSION=\"\" \
      -Xclang -analyzer-config -Xclang max-nodes=75000 2>&1 | sed "/^[0-9]* warnings\? generated/d"
  ' tidy || fail 'clang-tidy found faults'
fi
exit "$failed"
