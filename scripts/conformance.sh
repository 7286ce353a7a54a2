#!/usr/bin/env bash
# Other people's tests, against strata, runc and crun in one run: the validation programs of runtime-tools and crun's own tests. Needs root.
#
#   conformance.sh [--guest|--full] [--only SUITE] [--runtimes NAME,…] [--write] [PATTERN]
#
# They run on this machine; with --guest in a guest that has cgroup v2 only, and systemd: a user-mode kernel, where crun's tests run once more with
# systemd as the manager of cgroups; with --full in an emulated machine, those tests that need what it has. SUITE is validation or crun, PATTERN is a
# part of the tests' names; --write puts the tables into docs/conformance.md. Nothing of either suite is part of this project: both are fetched from
# Debian and kept in build/conformance, with the logs of the last run. The peers are those of the Debian sid tree that ../shared/peers.sh makes;
# without it, this system's. $VMRUN names the program that boots the guest (scripts/guest.sh).
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || die 'conformance: needs root, to make containers'
places=host engine='' group=''
case ${1:-} in
  --guest) places='guest guest-systemd' engine=uml group=guest ;;
  --full) places=emulated engine=tcg group=emulator ;;
esac
[ "$places" = host ] || shift
# shellcheck disable=SC2086 # a group or none
prepare $group
bash scripts/build.sh </dev/null

peers=$root/../shared/peers.sh
out=$root/build/conformance
mkdir -p "$out"
packages=(runc crun criu libcriu2 systemd golang-go gcc libc6-dev libseccomp-dev python3 libatomic1 libstdc++6
  golang-github-opencontainers-runtime-tools-dev golang-github-mrunalp-fileutils-dev golang-github-google-uuid-dev golang-github-urfave-cli-dev)
tree=
if [ -e "$peers" ]; then
  tree=${PEERS:-/var/cache/peers-sid}
  # For tests that make cgroups peers.sh moves a controller, which cannot be done while anybody has cgroups there; what needs none sees none.
  without_cgroups() { unshare --mount --propagation private sh -c 'umount --lazy /sys/fs/cgroup && exec "$@"' sh "$@"; }
  install() { without_cgroups "$peers" setup "${packages[@]}"; }
  beside() { BIND="$root" without_cgroups "$peers" run "$@"; }
  inside() { BIND="$root" "$peers" run "$@"; }
else
  install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; }
  beside() { "$@"; }
  inside() { unshare --mount --propagation private "$@"; }
fi
if ! beside dpkg-query --status "${packages[@]}" >/dev/null 2>&1; then
  echo 'conformance: installing what the suites need'
  quietly install || die "conformance: apt-get could not install ${packages[*]}"
fi

# fetch PACKAGE DIRECTORY: the source as its authors made it, of the newest release of Debian whose mirror has all of it.
fetch() (
  # shellcheck disable=SC2016 # the format is apt's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security | sort -u | head -n 1)
  place=$out/fetch
  for release in sid trixie bookworm; do
    rm -rf "$place"
    mkdir -p "$place/lists/partial" "$place/cache"
    cd "$place"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >sources
    options=(-qq -o "Dir::Etc::sourcelist=$place/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$place/lists" -o "Dir::Cache=$place/cache"
      -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" update
    # The signed description may be missing on a mirror: what matters is the archive, whose digest is in the signed list.
    apt-get "${options[@]}" source --download-only "$1" || true
    archive=$(find . -name '*.orig.tar.*' ! -name '*.asc')
    [ -n "$archive" ] || continue
    mkdir unpacked
    tar -C unpacked --strip-components=1 -xf "$archive"
    archive=${archive##*/}
    echo "${archive%.orig.tar.*}" | tr _ ' ' >unpacked/version
    mv unpacked "$2"
    rm -rf "$place"
    return
  done
  return 1
)
for package in golang-github-opencontainers-runtime-tools crun; do
  [ -e "$out/$package" ] && continue
  echo "conformance: fetching the source of $package"
  quietly fetch "$package" "$out/$package" || die "conformance: the source of $package cannot be had"
done

beside bash "$root/test/conformance/build.sh"

vmrun=${VMRUN:-$root/../shared/vm/vmrun.sh}
# in_guest PLACE [ARGUMENT]...
in_guest() {
  [ -x "$vmrun" ] || die "conformance: no program that boots a guest ($vmrun)"
  [ -s "${VMRUN_DIR:-/var/cache/vmrun}/root.img" ] || quietly "$vmrun" build || die 'conformance: the disk of the guest cannot be made'
  printf -v words ' %q' "$root" "$@"
  "$vmrun" -e "$engine" -t 7200 -s "$tree/usr:/host/usr" -s "$tree/etc:/host/etc" -s "$root:/host$root" -s "$out/$1:/results:rw" \
    "bash /host$root/test/conformance/guest.sh$words"
}
status=0
for place in $places; do
  mkdir -p "$out/$place"
  if [ "$place" = host ]; then
    PLACE=host inside bash "$root/test/conformance/inside.sh" "$@"
  else
    in_guest "$place" "$@"
  fi
  PLACE=$place node test/conformance/report.mjs "$@" || status=1
done
[ "$status" = 0 ]
