#!/bin/sh
# CRIU from a directory that holds another system's packages (setup.sh fetches them): with that system's loader, which finds the libraries beside it,
# and under its usual name. What CRIU executes in its turn are this machine's own programs.
place=$(dirname "$(readlink -f "$0")")
set -- "$place"/usr/lib/*/ld-linux-*.so.* "$@"
loader=$1
shift
exec "$loader" --argv0 criu --library-path "${loader%/*}" "$place/usr/sbin/criu" "$@"
