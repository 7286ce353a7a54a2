#!/usr/bin/env bash
# Install what is missing on this machine: Debian packages and node_modules. Quick when nothing is.
#
#   setup.sh [test] [lint] [cross] [bench]     the build's needs, and those of the named groups
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

packages=(g++ cmake ninja-build libseccomp-dev musl-tools busybox-static)
for group in "$@"; do
  case $group in
    test) packages+=(crun runc podman catatonit buildah skopeo umoci strace) ;;
    lint) packages+=(clang-format clang-tidy shellcheck) ;;
    cross) packages+=(g++-aarch64-linux-gnu) ;;
    bench) packages+=(crun runc) ;;
    *) die "setup: no group '$group'; there are test, lint, cross and bench" ;;
  esac
done

command -v dpkg-query >/dev/null || die "setup: this needs a Debian system; elsewhere install what these packages hold: ${packages[*]}"
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  case $'\n'"$installed"$'\n' in
    *$'\n'"$package installed"$'\n'*) ;;
    *) missing+=("$package") ;;
  esac
done

if [ ${#missing[@]} != 0 ]; then
  [ "$(id -u)" = 0 ] || die "setup: not root, so install these first: apt-get install --no-install-recommends ${missing[*]}"
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # A source of packages that does not answer need not be the one that has them: the installation will tell.
  apt-get update -qq </dev/null >/dev/null 2>&1 || true
  quietly apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" || die "setup: apt-get could not install ${missing[*]}"
fi

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo 'setup: installing node_modules'
  # With the machine's own Node: the one in node_modules is about to be replaced.
  PATH=$machine_path quietly npm ci --loglevel=error || die 'setup: npm ci failed'
  touch node_modules/.package-lock.json
fi
