#!/usr/bin/env bash
# runc for crun's own tests, which pass every runtime two options that runc does not know.
arguments=()
while [ $# != 0 ]; do
  case "$1 ${2:-}" in
    '--cgroup-manager cgroupfs' | '--config config.json') shift ;;
    '--cgroup-manager systemd') arguments+=(--systemd-cgroup) && shift ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
exec runc "${arguments[@]}"
