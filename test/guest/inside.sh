#!/usr/bin/env bash
# In the guest, as root: the host's programs and this project where they are on the host, then the integration suite. What it prints is TAP.
set -euo pipefail
root=$1 pattern=$2

# A user-mode kernel takes the memory of io_uring for its own and falls over it.
sysctl -q kernel.io_uring_disabled=2

# The guest's own programs come first; the host's add compilers, busybox and the engines.
mount -t overlay -o lowerdir=/usr:/host/usr host-usr /usr
cp -a --update=none /host/etc/. /etc/ 2>/dev/null || cp -an /host/etc/. /etc/
mkdir -p "$root" /run/project /run/upper
mount -t tmpfs -o size=512m project /run/upper
mkdir /run/upper/{files,work}
mount -t overlay -o "lowerdir=/host$root,upperdir=/run/upper/files,workdir=/run/upper/work" project "$root"
cd "$root"
export PATH=$root/node_modules/.bin:$PATH

# Engines only when they are asked for: each has tests of its own on the host, which take longer than all others together.
engines=(! -name 'engines-*')
case $pattern in *engines*) engines=() ;; esac
mapfile -t files < <(find test/integration -name '*.test.ts' -path "*$pattern*" "${engines[@]}" | sort)
exec ava --tap --serial --concurrency=1 "${files[@]}"
