#!/usr/bin/env bash
# An image of three small layers is imported, run, changed and committed, and the new image is run; then all of it goes. Needs root, for the containers.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || die 'demo: needs root, to make a container; try: sudo npm run demo'
prepare
quietly bash scripts/build.sh || die 'demo: the build failed'

place=${TMPDIR:-/tmp}
# The kernel takes no upper directory that is itself on an overlay.
[ "$(stat -f -c %T "$place")" != overlayfs ] || place=/dev/shm
work=$(mktemp -d "$place/strata-demo.XXXXXX")
# Ids are known to the machine's cgroups, so they must be nobody else's.
first=first-$$ second=second-$$
places=(--root "$work/state" --store "$work/store")
strata() { "$root/bin/strata" "${places[@]}" "$@"; }
clean() {
  for id in "$first" "$second"; do strata delete --force "$id" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

title() { printf '\n%s\n' "$*"; }
row() { printf '  %-16s %s\n' "$1" "$2"; }
# Run a command of strata and show both.
show() {
  printf '\n$ strata'
  for word in "$@"; do
    case $word in
      *[' "']*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  echo
  strata "$@" </dev/null 2>&1 | sed 's/^/  /'
}

# --- the layers, bottom to top, and an archive of them as `docker save` writes it

cd "$work"
mkdir -p 1/{bin,etc,root,proc,sys,dev,tmp} 2/etc 3/etc
busybox=$(command -v busybox)
cp "$busybox" 1/bin/busybox
for applet in sh cat grep hostname id ls sed sleep; do ln -s busybox "1/bin/$applet"; done
echo 'root:x:0:0::/root:/bin/sh' >1/etc/passwd
echo 'guest:x:1000:1000::/:/bin/sh' >>1/etc/passwd
echo 'from layer 1' >1/etc/motd
echo 'no longer needed' >1/etc/retired
echo 'from layer 2' >2/etc/motd
touch 3/etc/.wh.retired

diff_ids=()
for layer in 1 2 3; do
  tar --numeric-owner --sort=name -C "$layer" -cf "$layer.tar" .
  diff_ids+=("\"sha256:$(sha256sum "$layer.tar" | cut -d ' ' -f 1)\"")
done
arch=$(dpkg --print-architecture)
cat >config.json <<JSON
{"architecture": "$arch", "os": "linux", "created": "2026-01-01T00:00:00Z",
 "config": {"Cmd": ["sh"], "Env": ["PATH=/bin", "COLOUR=blue"]},
 "rootfs": {"type": "layers", "diff_ids": [$(IFS=,; echo "${diff_ids[*]}")]},
 "history": [{"created_by": "busybox"}, {"created_by": "COPY motd /etc/"}, {"created_by": "RUN rm /etc/retired"}]}
JSON
echo '[{"Config": "config.json", "RepoTags": ["demo:1"], "Layers": ["1.tar", "2.tar", "3.tar"]}]' >manifest.json
tar -cf image.tar manifest.json config.json 1.tar 2.tar 3.tar

title 'Layers of image.tar'
row '3 (top)' 'deletes /etc/retired'
row 2 'replaces /etc/motd'
row '1 (bottom)' 'busybox, /etc/motd, /etc/retired'

# --- import

show image import image.tar
show image ls
layers() { (cd store/layers && tar --sort=name -cf - -- * | sha256sum | cut -c 1-16); }
before=$(layers)

# --- run, and change

# shellcheck disable=SC2016 # the container's shell expands it
program='
row() { printf "%-14s %s\n" "$1" "$2"; }
row "host name" "$(hostname)"
row "its pid" $$
row "COLOUR" "$COLOUR"
row /etc/motd "$(cat /etc/motd)"
row /etc/retired "$([ -e /etc/retired ] && echo there || echo gone)"
row "seccomp filter" "$(grep -q "Seccomp:.2" /proc/self/status && echo yes || echo no)"
row "memory limit" "$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null)"
echo "changed by the container" >>/etc/motd
echo "a new file" >/root/note
rm /etc/passwd
'
printf '\n$ strata run --image demo:1 --memory 64m %s sh -c …\n' "$first"
strata run --image demo:1 --memory 64m "$first" sh -c "$program" </dev/null | sed 's/^/  /'
show ps --all --size
show diff "$first"

# --- commit, and run what was committed

show commit --author demo --message 'a note and a new motd' --change 'CMD ["cat", "/etc/motd", "/root/note"]' "$first" demo:2
show run --rm --image demo:2 "$second"
show image history demo:2
show image tree

# --- take it all away

show image rm demo:2
show prune
show image tree

title 'Left behind'
[ "$(layers)" = "$before" ] || die 'demo: the layers have changed'
row layers "untouched (checksum $before before and after)"
for id in "$first" "$second"; do
  [ -z "$(find /sys/fs/cgroup -maxdepth 3 -name "*$id*")" ] || die 'demo: a cgroup is left'
  if [ -e "state/$id" ] || [ -e "store/containers/$id" ]; then die 'demo: a container is left'; fi
done
if grep -q "$work" /proc/self/mountinfo; then die 'demo: a mount is left'; fi
row 'containers' 'no state, no cgroup, no mount'
