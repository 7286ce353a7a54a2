#!/usr/bin/env bash
# The part of scripts/conformance.sh that runs beside the peers. On this machine in a pid namespace, whose end is the end of whatever the tests leave
# behind; in a guest, which ends itself, without one, because systemd takes the ids of processes for its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS

directory=$(mktemp -d /tmp/strata-conformance.XXXXXX)
chmod 755 "$directory"
OUTSIDE=$(readlink /proc/self/ns/pid)
export OUTSIDE TMPDIR=$directory
if [ "${PLACE:?}" = host ]; then
  trap 'rm -rf "$directory"' EXIT
  # The shell stays, to reap what has lost its parent.
  nice unshare --pid --fork --kill-child --mount-proc bash -c 'node_modules/.bin/node test/conformance/run.mjs "$@"; exit $?' inside "$@"
else
  node_modules/.bin/node test/conformance/run.mjs "$@"
fi
