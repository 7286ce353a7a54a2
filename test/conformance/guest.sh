#!/usr/bin/env bash
# In the guest, as root: a system made of the /usr and /etc that the host shares (those of the peers), with this project where it is on the host, and in
# it the tests.
#
#   guest.sh ROOT PLACE [ARGUMENT]...
set -euo pipefail
root=$1 PLACE=$2
shift 2
export PLACE

# A user-mode kernel takes the memory of io_uring for its own and falls over it.
sysctl -q kernel.io_uring_disabled=2 2>/dev/null || true

# The profile that one of the validation programs names, which forbids nothing.
if [ -d /sys/kernel/security/apparmor ]; then
  apparmor_parser --add <<<'profile acme_secure_profile flags=(attach_disconnected) { file, capability, network, mount, signal, ptrace, unix, }'
fi

tree=/tree
mkdir "$tree" /project
mount -t tmpfs -o mode=755 tree "$tree"
mkdir -p "$tree"/{usr,proc,dev,sys,run,root,var/tmp,.outside}
mkdir -m 1777 "$tree/tmp"
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$tree/$directory"; done
cp -a /host/etc "$tree/etc"
mount --bind /host/usr "$tree/usr"
for directory in proc dev sys run; do mount --rbind "/$directory" "$tree/$directory"; done

mkdir -p "$tree$root"
mount -t tmpfs project /project
mkdir /project/{upper,work}
mount -t overlay -o "lowerdir=/host$root,upperdir=/project/upper,workdir=/project/work" project "$tree$root"
mount --bind /results "$tree$root/build/conformance/$PLACE"

# shellcheck disable=SC2016 # the inner shell's own words
exec unshare --mount --propagation private bash -c '
  cd "$1" && pivot_root . .outside && cd / && umount -l /.outside || exit
  root=$2
  shift 2
  # systemctl takes a system with another root than the first process has for one without systemd.
  export SYSTEMD_IGNORE_CHROOT=1 HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  exec bash "$root/test/conformance/inside.sh" "$@"' guest "$tree" "$root" "$@"
