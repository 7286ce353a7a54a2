#!/bin/sh
# shellcheck disable=SC3013,SC3045 # test -ef and ulimit -S are in every shell that is /bin/sh somewhere: dash, busybox, bash, ksh
# The command: finds Node and the bundled program beside itself, and becomes it. Engines call this with an empty environment and from any
# directory, so it leans on nothing but the shell's own words.
case $0 in
  */*) self=$0 ;;
  *) self=./$0 ;;
esac
while [ -L "$self" ]; do
  link=$(command -p readlink -- "$self") || exit 1
  case $link in
    /*) self=$link ;;
    *) self=${self%/*}/$link ;;
  esac
done
home=${self%/*}/..

# Certificates cost every start of Node 100 ms; options meant for other programs have no business here.
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS

# The Node that the build was made with, else the first in PATH; the program itself refuses one that is too old.
node=
[ ! -r "$home/build/node-path" ] || read -r node <"$home/build/node-path"
[ -x "$node" ] || node=$(command -v node) || {
  echo 'strata: no Node.js: none was built in, and there is none in PATH' >&2
  exit 1
}

# What the build has compiled already saves 3 ms of every start.
unset NODE_COMPILE_CACHE
[ ! -d "$home/build/compile-cache" ] || export NODE_COMPILE_CACHE="$home/build/compile-cache"

# Which descriptors the caller passed on can be told only here: Node opens its own and marks the caller's close-on-exec.
unset STRATA_INHERITED_FDS
case "${LISTEN_FDS-} $*" in
  [0-9]* | *--preserve-fds*)
    for fd in "/proc/$$/fd/"*; do
      # Not the shell's own: its descriptor of this script, and that of the listing, which is gone by now.
      [ ! -e "$fd" ] || [ "$fd" -ef "$self" ] || STRATA_INHERITED_FDS=${STRATA_INHERITED_FDS:+$STRATA_INHERITED_FDS,}${fd##*/}
    done
    export STRATA_INHERITED_FDS
    ;;
esac

# Node raises the soft limit of open files to the hard one; a container without a limit of its own inherits the caller's.
unset STRATA_NOFILE_SOFT
case " $* " in
  *' create '* | *' run '*)
    STRATA_NOFILE_SOFT=$(ulimit -Sn)
    export STRATA_NOFILE_SOFT
    ;;
esac

exec "$node" "$home/dist/bin/strata.cjs" "$@"
