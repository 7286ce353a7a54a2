#!/usr/bin/env bash
# The suites with engines once more, with the engines of Debian sid: in a tree of their own, which ../shared/peers.sh makes and enters. Not part of CI.
# Prints a table of what each engine came to; what failed is in build/engines-sid.
#
#   engines-sid.sh [SUITE...]        podman docker containerd cri buildah, all if none is named
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || die 'engines:sid: needs root, to make containers'
peers=$(cd .. && pwd -P)/shared/peers.sh
[ -e "$peers" ] || die "engines:sid: needs $peers"
suites=("$@")
[ $# != 0 ] || suites=(podman docker containerd cri buildah)

prepare test
bash scripts/build.sh </dev/null
tree=${PEERS:-/var/cache/peers-sid}
for program in podman dockerd containerd docker buildah docker-init catatonit busybox script; do
  [ -e "$tree/usr/bin/$program" ] || [ -e "$tree/usr/sbin/$program" ] || missing=yes
done
[ -z "${missing-}" ] ||
  quietly bash "$peers" setup podman buildah containerd docker.io docker-cli catatonit conmon tini busybox-static bsdutils ||
  die 'engines:sid: the tree cannot be made'

inside() { BIND=$root bash "$peers" run "$@"; }
version() { inside "$@" 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1; }

out=build/engines-sid
rm -rf "$out"
mkdir -p "$out"
printf '| engine | version | passed | failed | skipped |\n|---|---|---|---|---|\n'
failed=0
for suite in "${suites[@]}"; do
  case $suite in
    docker) program=dockerd ;;
    cri) program=containerd ;;
    *) program=$suite ;;
  esac
  status=0
  inside env PATH="$root/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    ava --tap --serial --concurrency=1 "test/integration/engines-$suite.test.ts" >"$out/$suite.tap" 2>"$out/$suite.err" </dev/null || status=$?
  [ "$status" = 0 ] || failed=1
  count() { grep -cE "$1" "$out/$suite.tap" || true; }
  skipped=$(count '^ok .*# SKIP')
  printf '| %s | %s | %d | %d | %d |\n' "$suite" "$(version "$program" --version)" "$(($(count '^ok ') - skipped))" "$(count '^not ok ')" "$skipped"
done
exit "$failed"
