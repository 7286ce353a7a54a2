#!/usr/bin/env bash
# In the guest, as root: the host's programs and this project where they are on the host, then tests of the integration suite. What it prints is TAP.
#
#   inside.sh ROOT all|quick|emulated MANAGER [PATTERN]...
set -euo pipefail
root=$1 selection=$2 manager=$3
shift 3

# A user-mode kernel takes the memory of io_uring for its own and falls over it.
sysctl -q kernel.io_uring_disabled=2 || true

# A scheduler of block I/O that knows weights, where the kernel has one.
if modprobe -q bfq; then
  for scheduler in /sys/block/*/queue/scheduler; do if grep -q bfq "$scheduler"; then echo bfq >"$scheduler"; fi; done
fi

# The guest's own programs come first; the host's add compilers, busybox and the engines. Under SELinux mount(8) has a domain of its own, in whose name the
# overlay would look into what the host shares; busybox has ours.
/host/usr/bin/busybox mount -t overlay -o lowerdir=/usr:/host/usr host-usr /usr
cp -an /host/etc/. /etc/
mkdir -p "$root" /run/project
mount -t tmpfs -o size=512m project /run/project
mkdir /run/project/{upper,work}
/host/usr/bin/busybox mount -t overlay -o "lowerdir=/host$root,upperdir=/run/project/upper,workdir=/run/project/work" project "$root"
cd "$root"
export PATH=$root/node_modules/.bin:$PATH STRATA_CGROUP_MANAGER=$manager

# files DIRECTORY NAME...: test files of a directory.
files() {
  local name
  for name in "${@:2}"; do printf 'test/integration/%s.test.ts\n' "$1$name"; done
}
# What is about containers and their cgroups; the rest is the same on the host: engines (which can be asked for), how images come and go, packages, both
# hosts, every call to be killed at, and how many containers there can be.
all() {
  find test/integration/properties -name '*.test.ts'
  files '' bad-input events exec hooks images-run instances library lifecycle overlay rootless rootless-images rootless-v2 terminal update
}
# With systemd, what is about containers and not about how they are called, or about directories of cgroups.
all_with_systemd() {
  find test/integration/properties -name '*.test.ts' ! -name 'cgroups*'
  files '' engines-podman-systemd events exec hooks images-run instances lifecycle overlay terminal update
}
quick() {
  files properties/ cgroups-v2 apparmor
  files '' events lifecycle update
}
quick_with_systemd() {
  files properties/ systemd
  files '' engines-podman-systemd exec
}
# What a user-mode kernel lacks: cpuset, hugetlb, pressure stall information, weights of block I/O, a second processor, and what CRIU needs.
emulated() {
  files properties/ cgroups-v2 cpuset scheduling
  files '' checkpoint checkpoint-images update
}
emulated_with_systemd() {
  files properties/ systemd
  files '' checkpoint
}
chosen() {
  local pattern
  for pattern in "$@"; do find test/integration -name '*.test.ts' -path "*$pattern*"; done
}
if [ $# != 0 ]; then
  list=$(chosen "$@")
elif [ "$manager" = systemd ]; then
  list=$("${selection}_with_systemd")
else
  list=$("$selection")
fi
mapfile -t list < <(sort -u <<<"$list")
# Not before: systemd's own programs lack rules for what was done so far. Node makes machine code.
if [ -e /sys/fs/selinux/enforce ]; then
  setsebool allow_execmem=on
  setenforce 1
fi
# Emulated, a test can be silent for long.
exec ava --tap --serial --concurrency=1 --timeout=10m "${list[@]}"
