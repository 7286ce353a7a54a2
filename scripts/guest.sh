#!/usr/bin/env bash
# The integration suite in a guest that has cgroup v2 only, and systemd: a user-mode kernel, or with `--full` an emulated machine, which also has cpuset,
# hugetlb and pressure stall information and takes many times as long.
#
#   guest.sh [--full] [--manager cgroupfs|systemd] [PATTERN]...      the test files that match one of the patterns, with one or both cgroup managers
#
# The guest sees this machine's programs and this directory read-only, its own system's programs before them; what is written there is gone afterwards. $VMRUN names the program that
# boots the guest, and its own `build` makes the guest's disk the first time. Raw results are left in build/guest-logs.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/suites.sh
. scripts/suites.sh

engine=uml limit=600 managers='cgroupfs systemd' needs=guest
while [ $# != 0 ]; do
  case $1 in
    --full) engine=tcg limit=7200 needs=emulator ;;
    --manager)
      managers=$2
      shift
      ;;
    *) break ;;
  esac
  shift
done
logs=build/guest-logs
rm -rf "$logs"
mkdir -p "$logs"

vmrun=${VMRUN:-$root/../shared/vm/vmrun.sh}
why_not() {
  if [ ! -x "$vmrun" ]; then
    echo "no program that boots a guest ($vmrun)"
  elif [ "$(id -u)" != 0 ]; then
    echo 'needs root to make the disk of the guest'
  elif ! quietly bash scripts/setup.sh "$needs"; then
    echo 'what makes and boots the guest cannot be installed'
  elif [ ! -s "${VMRUN_DIR:-/var/cache/vmrun}/root.img" ] && ! quietly "$vmrun" build; then
    echo 'the disk of the guest cannot be made'
  fi
}
reason=$(why_not)
if [ -n "$reason" ]; then
  skip "guest-$engine" "$reason"
  node scripts/totals.mjs "$logs"
  exit
fi
prepare test
bash scripts/build.sh </dev/null

# in_guest MANAGER PATTERN...
in_guest() {
  printf -v words ' %q' "$root" "$@"
  "$vmrun" -e "$engine" -t "$limit" -m 3072 -s /usr:/host/usr -s /etc:/host/etc -s "$root:/host$root" "bash /host$root/test/guest/inside.sh$words"
}
for manager in $managers; do suite "guest-$engine-$manager" in_guest "$manager" "$@"; done
node scripts/totals.mjs "$logs"
