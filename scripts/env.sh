# Sourced by every script: the project's root, its tools first in PATH, one locale, and what is said in one way.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
export LC_ALL=C.UTF-8
machine_path=${PATH#"$root/node_modules/.bin:"}
export PATH="$root/node_modules/.bin:$machine_path"

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Install what the named groups need (scripts/setup.sh). From here on Node starts without reading certificates, which costs 100 ms each time.
# shellcheck disable=SC2120
prepare() {
  bash scripts/setup.sh "$@"
  unset NODE_EXTRA_CA_CERTS NODE_OPTIONS
}

# Run a command; its output is shown only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ "$status" = 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}
