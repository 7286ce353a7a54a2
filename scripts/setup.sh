#!/usr/bin/env bash
# Install what is missing on this machine: Debian packages and node_modules. Quick when nothing is.
#
#   setup.sh [test] [lint] [cross] [fuzz] [bench] [images] [guest] [emulator]     the build's needs, and those of the named groups
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

# One at a time: two builds that begin together would both fetch.
mkdir -p build
exec 8>build/setup-lock
flock 8

packages=(g++ cmake ninja-build libseccomp-dev zlib1g-dev libmd-dev musl-tools busybox-static)
for group in "$@"; do
  case $group in
    test) packages+=(crun runc podman catatonit buildah skopeo umoci containerd docker.io tini uidmap strace zsh fish iproute2) ;;
    lint) packages+=(clang-format clang-tidy shellcheck mandoc) ;;
    cross) packages+=(g++-aarch64-linux-gnu) ;;
    fuzz) packages+=(clang libclang-rt-dev) ;;
    bench) packages+=(crun runc) ;;
    guest) packages+=(cpio kmod e2fsprogs debootstrap) ;;
    emulator) packages+=(cpio kmod e2fsprogs debootstrap qemu-system-x86) ;;
    images) packages+=(debootstrap umoci podman) ;;
    *) die "setup: no group '$group'; there are test, lint, cross, fuzz, bench, images, guest and emulator" ;;
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

# fetch NAME SUITE PACKAGE [whole]: unpack a package of another of Debian's suites in build/NAME, and if `whole` also all that it depends on, through
# lists of packages that are our own, so that the machine's sources stay as they are and nothing is installed.
fetch() (
  # shellcheck disable=SC2016 # the format is apt's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security | sort -u | head -n 1)
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -n "$mirror" ] && [ -e "$keys" ] || return 1
  place=$root/build/$1.new
  lists=$root/build/packages-of-$2
  rm -rf "$place"
  mkdir -p "$place/cache" "$lists/partial"
  cd "$place"
  echo "deb [signed-by=$keys] $mirror $2 main" >sources
  : >status
  options=(-qq -o "Dir::Etc::sourcelist=$place/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$lists" -o "Dir::Cache=$place/cache"
    -o "APT::Sandbox::User=$(id -un)")
  [ -e "$lists/whole" ] || { apt-get "${options[@]}" update && touch "$lists/whole"; } || return 1
  if [ "${4-}" = whole ]; then
    # As on a machine that has nothing yet.
    apt-get "${options[@]}" -o "Dir::State::status=$place/status" --no-install-recommends --download-only -y install "$3" || return 1
    mv cache/archives/*.deb .
  else
    apt-get "${options[@]}" download "$3" || return 1
  fi
  for package in ./*.deb; do dpkg-deb -x "$package" . || return 1; done
  rm -rf cache sources status lock* ./*.deb && mv "$place" "$root/build/$1"
)

# QuickJS, the engine of the static command. Debian has it since trixie; an older system gets trixie's.
if [ ! -e /usr/include/quickjs/quickjs.h ] && [ ! -e build/quickjs ] && [ ! -e build/no-quickjs ]; then
  echo 'setup: fetching libquickjs'
  if ! quietly fetch quickjs trixie libquickjs; then
    echo 'setup: libquickjs cannot be had, so the command will run on Node (to try again, remove build/no-quickjs)'
    touch build/no-quickjs
  fi
  rm -rf build/quickjs.new
fi

case " $* " in
  *' test '*)
    # The description of Kubernetes' runtime interface, for the tests that speak it.
    if [ ! -e build/cri-api ] && [ ! -e build/no-cri-api ]; then
      echo 'setup: fetching golang-k8s-cri-api-dev'
      if ! quietly fetch cri-api sid golang-k8s-cri-api-dev; then
        echo 'setup: api.proto cannot be had, so the tests of the CRI are skipped (to try again, remove build/no-cri-api)'
        touch build/no-cri-api
      fi
      rm -rf build/cri-api.new
    fi
    # CRIU, for the tests of checkpoints. Debian's stable releases have none that knows current kernels: sid's runs here with its own loader and
    # libraries.
    if [ ! -e build/criu ] && [ ! -e build/no-criu ]; then
      echo 'setup: fetching criu'
      if quietly fetch criu sid criu whole; then
        install -m 755 scripts/criu-launcher.sh build/criu/criu
      else
        echo 'setup: criu cannot be had, so the tests of checkpoints are skipped (to try again, remove build/no-criu)'
        touch build/no-criu
      fi
      rm -rf build/criu.new
    fi
    ;;
esac
rm -rf build/packages-of-*

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo 'setup: installing node_modules'
  # With the machine's own Node: the one in node_modules is about to be replaced.
  PATH=$machine_path quietly npm ci --loglevel=error || die 'setup: npm ci failed'
  touch node_modules/.package-lock.json
fi
