#!/usr/bin/env bash
# Build, then measure against the floor and the peers; options as in bench/bench.mjs. Needs root.
#
#   bench.sh --build      only build what the measurement needs, for a run inside another system tree (bench/README.md)
#   bench.sh --images …  images: import, commit, run; options as in bench/images.mjs
#   bench.sh --split …    where the time of one command goes, call by call; options as in bench/split.mjs
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
[ "$(id -u)" = 0 ] || die 'bench: needs root, to make containers'
groups=(bench)
[ "${1:-}" != --images ] || groups+=(images)
prepare "${groups[@]}"
bash scripts/build.sh </dev/null

out=build/bench
mkdir -p "$out"
# A program is rebuilt when its source is newer.
newer() { [ ! -e "$1" ] || [ "$2" -nt "$1" ]; }
! newer "$out/floor" bench/floor.c || gcc -O2 -Wall -static -o "$out/floor" bench/floor.c -lpthread
if newer "$out/floor-exec" bench/floor.c || newer "$out/floor-exec" bench/floor-exec.c; then
  gcc -O2 -Wall -Wno-unused-variable -static -o "$out/floor-exec" bench/floor-exec.c -lpthread
fi
! newer "$out/stub" bench/floor.c || musl-gcc -Os -static -s -DFLOOR_STUB -ffunction-sections -fdata-sections -Wl,--gc-sections \
  -idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)" -o "$out/stub" bench/floor.c
! newer "$out/timer" bench/timer.c || gcc -O2 -Wall -static -o "$out/timer" bench/timer.c

# podman's default seccomp profile: this machine's, else the one in its package, which is not installed for this.
profile=usr/share/containers/seccomp.json
if [ -e "/$profile" ]; then
  cp "/$profile" "$out/seccomp.json"
elif [ ! -e "$out/seccomp.json" ]; then
  mkdir -p "$out/package"
  if (cd "$out/package" && quietly apt-get download -o APT::Sandbox::User=root golang-github-containers-common); then
    dpkg-deb --fsys-tarfile "$out"/package/*.deb | tar -xO "./$profile" >"$out/seccomp.json.next"
    mv "$out/seccomp.json.next" "$out/seccomp.json"
  fi
  rm -r "$out/package"
fi

case ${1:-} in
  --build) ;;
  --images)
    shift
    exec node bench/images.mjs "$@"
    ;;
  --split)
    shift
    exec node bench/split.mjs "$@"
    ;;
  *) exec node bench/bench.mjs "$@" ;;
esac
