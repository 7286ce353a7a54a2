#!/usr/bin/env bash
# Set up, build and test.
#
#   test.sh                          everything
#   test.sh unit [PATTERN]           one suite, or the files of it that match: unit, native, integration
#
# Raw results are left in build/test-logs; the last line is the total over all suites. The integration suite runs containers and needs root.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/suites.sh
. scripts/suites.sh

suites=${1:-unit native integration}
pattern=${2:-}
case $suites in
  *integration*) prepare test ;;
esac
bash scripts/build.sh </dev/null

logs=build/test-logs
rm -rf "$logs"
for suite in $suites; do
  case $suite in
    unit) suite unit ava_files unit "$pattern" ;;
    native)
      quietly bash scripts/native.sh --target native-tests || die 'test: the native tests do not compile'
      native_tests build
      ;;
    integration)
      if [ "$(id -u)" = 0 ]; then
        suite integration ava_files integration "$pattern" --serial --concurrency=1
      else
        skip integration 'needs root to run containers'
      fi
      ;;
    *) die "test: no suite '$suite'; there are unit, native and integration" ;;
  esac
done
node scripts/totals.mjs "$logs"
