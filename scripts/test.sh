#!/usr/bin/env bash
# Set up, build and test.
#
#   test.sh                          everything
#   test.sh unit [PATTERN]           one suite, or the files of it that match: unit, native, integration, integration-node
#
# Raw results are left in build/test-logs; the last line is the total over all suites. The integration suites run containers and need root:
# `integration` with the command as the build has made it, `integration-node` with the same command on Node.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/suites.sh
. scripts/suites.sh

suites=${1:-unit native integration integration-node}
pattern=${2:-}
case $suites in
  *integration*) prepare test ;;
esac
bash scripts/build.sh </dev/null

# Not again: what uses the library, chooses the host itself, asks only what an engine sees, runs on Node in any case, or is about configurations,
# of which `hosts` compares what either host says; nor hundreds of containers, for which it would start hundreds of times.
on_node() {
  left_out='bad-input checkpoint-archives checkpoint-images crash engines-* hostile-layers hosts images-import images-roundtrip images-scale launcher layer-apply library
    library-images overlay package scale static store*' \
    STRATA_HOST=node \
    ava_files integration "$1" --serial --concurrency=1
}

logs=build/test-logs
rm -rf "$logs"
for suite in $suites; do
  case $suite in
    unit) suite unit ava_files unit "$pattern" ;;
    native)
      quietly bash scripts/native.sh --target native-tests || die 'test: the native tests do not compile'
      native_tests build
      ;;
    integration | integration-node)
      if [ "$(id -u)" != 0 ]; then
        skip "$suite" 'needs root to run containers'
      elif [ "$suite" = integration ]; then
        suite "$suite" ava_files integration "$pattern" --serial --concurrency=1
      elif bin/strata --version | grep -q '^host: static$'; then
        suite "$suite" on_node "$pattern"
      else
        skip "$suite" 'the command runs on Node in any case'
      fi
      ;;
    *) die "test: no suite '$suite'; there are unit, native, integration and integration-node" ;;
  esac
done
node scripts/totals.mjs "$logs"
