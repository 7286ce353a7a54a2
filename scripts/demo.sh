#!/usr/bin/env bash
# Three layers, a container on top of them, and a look from both sides. Needs root, for the container.
# shellcheck disable=SC2016 # programs for other interpreters stand in single quotes
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || die 'demo: needs root, to make a container; try: sudo npm run demo'
prepare
quietly bash scripts/build.sh || die 'demo: the build failed'

strata=$root/bin/strata
id=strata-demo-$$
place=${TMPDIR:-/tmp}
# The kernel takes no upper directory that is itself on an overlay.
[ "$(stat -f -c %T "$place")" != overlayfs ] || place=/dev/shm
work=$(mktemp -d "$place/strata-demo.XXXXXX")
clean() {
  "$strata" delete --force "$id" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

title() { printf '\n%s\n' "$*"; }
row() { printf '  %-16s %s\n' "$1" "$2"; }

# --- the layers, bottom to top

cd "$work"
mkdir -p 1/{bin,etc,root,proc,sys,dev,tmp} 2/etc 3/etc upper work bundle/rootfs
busybox=$(command -v busybox)
cp "$busybox" 1/bin/busybox
for applet in sh cat hostname sed sleep; do ln -s busybox "1/bin/$applet"; done
echo 'from layer 1' >1/etc/motd
echo 'no longer needed' >1/etc/retired
echo 'from layer 2' >2/etc/motd
mknod 3/etc/retired c 0 0

checksum() { tar -C "$work" --sort=name -cf - 1 2 3 | sha256sum | cut -c 1-16; }
before=$(checksum)

title 'Layers'
row '3 (top)' 'deletes /etc/retired'
row 2 'replaces /etc/motd'
row '1 (bottom)' 'busybox, /etc/motd, /etc/retired'

# --- the bundle: what `strata spec` writes, with the layers, the limits and a program

"$strata" spec --bundle bundle
# configure PROGRAM: a shell script for the container's sh.
configure() {
  ID=$id PROGRAM=$1 WORK=$work node -e '
    const { ID, PROGRAM, WORK } = process.env;
    const file = "bundle/config.json";
    const config = JSON.parse(fs.readFileSync(file));
    Object.assign(config.process, { terminal: false, args: ["sh", "-c", PROGRAM] });
    config.root.readonly = false;
    config.annotations = {
      "dev.strata.overlay": JSON.stringify({ lower: [3, 2, 1].map((layer) => `${WORK}/${layer}`), upper: `${WORK}/upper`, work: `${WORK}/work` }),
    };
    config.linux.cgroupsPath = `/${ID}`;
    Object.assign(config.linux.resources, { memory: { limit: 64 * 1024 * 1024 }, pids: { limit: 32 } });
    fs.writeFileSync(file, JSON.stringify(config, null, 2));
  '
}

# Limits are in one directory for each controller (cgroup v1) or all in one (v2).
if [ -d /sys/fs/cgroup/memory ]; then
  memory=memory/memory.limit_in_bytes pids=pids/pids.max
  host_memory=/sys/fs/cgroup/memory/$id/memory.limit_in_bytes host_pids=/sys/fs/cgroup/pids/$id/pids.max
else
  memory=memory.max pids=pids.max
  host_memory=/sys/fs/cgroup/$id/memory.max host_pids=/sys/fs/cgroup/$id/pids.max
fi

configure "
row() { printf '  %-16s %s\n' \"\$1\" \"\$2\"; }
row hostname \"\$(hostname)\"
row 'its pid' \$\$
row /etc/motd \"\$(cat /etc/motd)\"
row /etc/retired \"\$([ -e /etc/retired ] && echo there || echo gone)\"
row 'its root is' \"\$(sed -n 's|.* / / .* - \\([a-z]*\\) .*|an \\1|p' /proc/self/mountinfo)\"
row 'memory limit' \"\$(cat /sys/fs/cgroup/$memory)\"
row 'pids limit' \"\$(cat /sys/fs/cgroup/$pids)\"
echo 'changed by the container' >>/etc/motd
echo 'a new file' >/root/note
row wrote '/etc/motd, /root/note'
"
title "In the container (strata run --bundle bundle $id)"
"$strata" run --bundle bundle "$id" </dev/null

title 'In the upper directory afterwards'
(cd upper && find . -type f | sort) | while read -r file; do row "${file#.}" "$(tail -n 1 "upper/$file")"; done

# --- again, in two steps, to look from the host while it runs

configure 'sleep 600'
"$strata" create --bundle bundle "$id" </dev/null >/dev/null 2>&1
"$strata" start "$id"
title 'From the host while it runs (strata create, strata start)'
row status "$("$strata" state "$id" | node -p 'const { status, pid } = JSON.parse(fs.readFileSync(0)); `${status}, pid ${pid}`')"
row 'memory limit' "$(cat "$host_memory")  $host_memory"
row 'pids limit' "$(cat "$host_pids")  $host_pids"
row 'its mounts' "$(grep -c "$work" /proc/self/mountinfo || true) in the host's mountinfo"

"$strata" delete --force "$id"
title 'After strata delete --force'
row layers "$([ "$(checksum)" = "$before" ] && echo "untouched (checksum $before before and after)" || echo CHANGED)"
row cgroups "$(find /sys/fs/cgroup -maxdepth 3 -name "$id" | wc -l) left"
row mounts "$(grep -c "$work" /proc/self/mountinfo || true) left"
row state "$(find /run/strata -maxdepth 1 -name "$id" 2>/dev/null | wc -l) left"
[ "$(checksum)" = "$before" ] || die 'demo: the layers have changed'
[ -z "$(find /sys/fs/cgroup -maxdepth 3 -name "$id")" ] || die 'demo: a cgroup is left'
[ ! -e "/run/strata/$id" ] || die 'demo: state is left'
