#!/usr/bin/env bash
# The integration suite in guests that have cgroup v2 only, and systemd: user-mode kernels, or with `--full` an emulated machine, which also has
# cpuset, hugetlb, pressure stall information and what CRIU needs, and takes many times as long.
#
#   guest.sh [--full | --quick] [--manager cgroupfs|systemd] [--lsm selinux] [PATTERN]...
#
# There is a guest for each cgroup manager. Without a PATTERN they run what is about containers and their cgroups; with --quick, which is for CI, only
# what tells most about cgroup v2 and systemd, with --full only what needs that machine; else the test files that match a PATTERN. The kernel enforces
# AppArmor, or with `--lsm selinux` SELinux; on user-mode kernels, without a PATTERN, the tests of SELinux run too, in a guest of their own.
#
# A guest sees this machine's programs and this directory read-only, its own system's programs before them; what is written there is gone afterwards.
# $VMRUN names the program that boots guests, and its own `build` makes their disk the first time. Raw results are left in build/guest-logs.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/suites.sh
. scripts/suites.sh

# A guest that hangs is the fault; the limits, seconds, only end it.
engine=uml limit=1800 managers='cgroupfs systemd' needs=guest selection=all lsm=apparmor
while [ $# != 0 ]; do
  case $1 in
    --full) engine=tcg limit=7200 needs=emulator selection=emulated ;;
    --quick) selection=quick limit=600 ;;
    --manager)
      managers=$2
      shift
      ;;
    --lsm)
      lsm=$2
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
  elif [ ! -s "${VMRUN_DIR:-/var/cache/vmrun}/root.img" ] && ! quietly nice "$vmrun" build; then
    echo 'the disk of the guest cannot be made'
  fi
}
reason=$(why_not)
if [ -n "$reason" ]; then
  for manager in $managers; do skip "guest-$engine-$manager" "$reason"; done
  node scripts/totals.mjs "$logs"
  exit
fi
prepare test
bash scripts/build.sh </dev/null

# in_guest LSM MANAGER PATTERN...
in_guest() {
  local lsm=$1 words
  shift
  printf -v words ' %q' "$root" "$selection" "$@"
  "$vmrun" -e "$engine" -l "$lsm" -t "$limit" -m 2048 -s /usr:/host/usr -s /etc:/host/etc -s "$root:/host$root" "bash /host$root/test/guest/inside.sh$words"
}
# User-mode kernels have one processor each, so they run at the same time; an emulated machine takes all there are.
start() {
  suite "$@" &
  if [ "$engine" != uml ]; then wait; fi
}
for manager in $managers; do start "guest-$engine-$manager" in_guest "$lsm" "$manager" "$@"; done
if [ $# = 0 ] && [ "$engine" = uml ]; then start "guest-$engine-selinux" in_guest selinux cgroupfs properties/selinux; fi
wait
node scripts/totals.mjs "$logs"
