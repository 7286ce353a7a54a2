#!/usr/bin/env bash
# A runtime for crun's own tests, which pass every runtime options that only crun has, ask it for crun's list of features, and always want cgroupfs.
#
#   runtime.sh NAME PROGRAM MANAGER ARGUMENT...      MANAGER is cgroupfs or systemd
name=$1 program=$2 manager=$3
shift 3
if [ "$name" != crun ] && [ "${*: -1}" = --version ]; then
  "$program" "$@" || exit
  # What the tests that want these look at is not crun's own; without the words they are skipped.
  features='+SYSTEMD +SECCOMP'
  if "$program" --help | grep -q '^ *checkpoint'; then features+=' +CRIU'; fi
  echo "$features"
  exit
fi
arguments=()
while [ $# != 0 ]; do
  case "$name $1 ${2:-}" in
    'runc --config config.json') shift ;;
    'runc --cgroup-manager cgroupfs') [ "$manager" = cgroupfs ] || arguments+=(--systemd-cgroup) && shift ;;
    'runc --cgroup-manager systemd') arguments+=(--systemd-cgroup) && shift ;;
    *' --cgroup-manager cgroupfs') arguments+=("$1" "$manager") && shift ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
exec "$program" "${arguments[@]}"
