#!/usr/bin/env bash
# In the guest, as root: the host's programs and this project where they are on the host, then the integration suite. What it prints is TAP.
#
#   inside.sh ROOT MANAGER [PATTERN]...
set -euo pipefail
root=$1 manager=$2
shift 2

# A user-mode kernel takes the memory of io_uring for its own and falls over it.
sysctl -q kernel.io_uring_disabled=2 || true

# The guest's own programs come first; the host's add compilers, busybox and the engines.
mount -t overlay -o lowerdir=/usr:/host/usr host-usr /usr
cp -an /host/etc/. /etc/
mkdir -p "$root" /run/project
mount -t tmpfs -o size=512m project /run/project
mkdir /run/project/{upper,work}
mount -t overlay -o "lowerdir=/host$root,upperdir=/run/project/upper,workdir=/run/project/work" project "$root"
cd "$root"
export PATH=$root/node_modules/.bin:$PATH STRATA_CGROUP_MANAGER=$manager

# What is about containers and their cgroups; the rest is the same on the host: engines (which can be asked for), images, packages, both hosts, every
# call to be killed at, and how many containers there can be.
all() {
  find test/integration/properties test/integration/{bad-input,events,exec,hooks,library,lifecycle,overlay,rootless,terminal,update}.test.ts -name '*.test.ts'
}
# With systemd, what is about containers and not about how they are called, or about directories of cgroups.
with_systemd() {
  find test/integration/properties test/integration/{lifecycle,exec,hooks,overlay,events}.test.ts -name '*.test.ts' ! -name 'cgroups*'
}
chosen() {
  local pattern
  for pattern in "$@"; do find test/integration -name '*.test.ts' -path "*$pattern*"; done
}
if [ $# != 0 ]; then
  list=$(chosen "$@")
elif [ "$manager" = systemd ]; then
  list=$(with_systemd)
else
  list=$(all)
fi
mapfile -t files < <(sort -u <<<"$list")
exec ava --tap --serial --concurrency=1 "${files[@]}"
