#!/usr/bin/env bash
# The same configurations through strata and through crun and runc of another system's tree; docs/differential.md.
#
#   differential.sh [PATTERN]     all of them, or those whose names match
#   differential.sh --check       say why it cannot be run here, if so
#   differential.sh --table       print the differences that are explained, for docs/differential.md
#
# PEERS: the tree.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
peers=${PEERS:-/var/cache/peers-sid}

# crun refuses a hybrid hierarchy that has a controller in v2; here it is hugetlb, if any. It is v1's while the test runs.
controllers=$(cat /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null || true)
enabled=$(cat /sys/fs/cgroup/unified/cgroup.subtree_control 2>/dev/null || true)

# A hierarchy gives no controller away that is enabled for children, or while a cgroup with it lingers, for moments after its removal.
take() {
  { echo -hugetlb >/sys/fs/cgroup/unified/cgroup.subtree_control; } 2>/dev/null || true
  mkdir -p /sys/fs/cgroup/hugetlb
  for _ in {1..20}; do
    if mount -t cgroup -o hugetlb cgroup /sys/fs/cgroup/hugetlb 2>/dev/null; then return; fi
    sleep 1
  done
  rmdir /sys/fs/cgroup/hugetlb
  return 1
}

# For the same reason it outlives its last mount, and its controller with it: another unmount ends it.
give_back() {
  for _ in {1..10}; do
    umount /sys/fs/cgroup/hugetlb
    sleep 1
    if grep -qE '^hugetlb[[:blank:]]+0[[:blank:]]' /proc/cgroups; then break; fi
    mount -t cgroup -o hugetlb cgroup /sys/fs/cgroup/hugetlb
  done
  rmdir /sys/fs/cgroup/hugetlb || true
  if [[ " $enabled " = *" hugetlb "* ]]; then echo +hugetlb >/sys/fs/cgroup/unified/cgroup.subtree_control || true; fi
}

why_not() {
  if [ "$(id -u)" != 0 ]; then
    echo 'needs root, to make containers'
  elif [ ! -x "$peers/usr/bin/crun" ] || [ ! -x "$peers/usr/sbin/runc" ]; then
    echo "no crun and runc in $peers"
  elif ! compgen -G "$peers/usr/lib/*/libatomic.so.1" >/dev/null; then
    echo "no libatomic1, which Node needs, in $peers"
  elif [ ! -d /sys/fs/cgroup/memory ] || [ ! -d /sys/fs/cgroup/unified ]; then
    echo 'the table is made for a hybrid cgroup hierarchy'
  elif [[ " $controllers " = *" hugetlb "* ]]; then
    if take; then give_back >&2; else echo 'crun refuses a controller in cgroup v2, which does not give hugetlb away'; fi
  fi
}

reason=$(why_not)
case ${1:-} in
  --check)
    echo "$reason"
    exit 0
    ;;
  --table) exec node test/differential/table.ts ;;
esac
[ -z "$reason" ] || die "differential: $reason"
prepare
bash scripts/build.sh </dev/null >&2
gcc -static -O1 -Wall -Wextra -Werror -o build/probe test/differential/probe.c

if [[ " $controllers " = *" hugetlb "* ]]; then
  take || die 'differential: cgroup v2 does not give hugetlb away'
  trap give_back EXIT
fi

# Nothing that a container of the test does to its surroundings, and no process of it, is left for the machine: the cgroups are all that is shared.
token=differential-$$
export peers root token
# shellcheck disable=SC2016 # the inner shell expands
nice unshare --mount --uts --ipc --net --pid --fork --kill-child --propagation private bash -euc '
  mount --bind "$peers" "$peers"
  mount -t tmpfs tmpfs "$peers/run"
  mount -t tmpfs tmpfs "$peers/tmp"
  mkdir -p "$peers$root" "$peers/.host"
  mount --bind "$root" "$peers$root"
  mount --rbind /dev "$peers/dev"
  mount -t proc proc "$peers/proc"
  mount -t sysfs sysfs "$peers/sys"
  mount --rbind /sys/fs/cgroup "$peers/sys/fs/cgroup"
  cd "$peers"
  pivot_root . .host
  cd "$root"
  umount -l /.host
  hostname outside
  exec node_modules/.bin/node test/differential/main.ts build/probe "$token" "$@"' differential "$@"
