#!/usr/bin/env bash
# The part of scripts/conformance.sh that builds the suites, where that is not done, with the peers' compilers and libraries.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$PWD/build/conformance
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS

if [ ! -e "$out/validation/runtimetest" ]; then
  echo 'conformance: building the validation programs'
  place=$out/go/src/github.com
  rm -rf "$out/go" "$out/validation"
  mkdir -p "$place/opencontainers" "$place/mndrix" "$out/validation.new"
  cp -r "$out/golang-github-opencontainers-runtime-tools" "$place/opencontainers/runtime-tools"
  cp -r test/conformance/tap "$place/mndrix/tap-go"
  (
    cd "$place/opencontainers/runtime-tools"
    # A function that has moved since within the package it comes from.
    sed -i 's/label\.FileLabel/selinux.FileLabel/; s,/go-selinux/label",/go-selinux",' cmd/runtimetest/main.go
    export GO111MODULE=off GOPATH="$out/go:/usr/share/gocode" GOCACHE="$out/go/cache"
    CGO_ENABLED=0 nice go build -p 2 -o "$out/validation.new/" ./cmd/runtimetest
    nice go build -p 2 -o "$out/validation.new/" ./validation/...
    cp rootfs-*.tar.gz "$out/validation.new/"
  )
  mv "$out/validation.new" "$out/validation"
  rm -rf "$out/go"
fi
if [ ! -e "$out/crun/tests/init" ]; then
  : >"$out/crun/tests/config.h"
  gcc -static -w -I"$out/crun/tests" -DHAVE_SECCOMP -DHAVE_LINUX_IOPRIO_H -o "$out/crun/tests/init" "$out/crun/tests/init.c" -lseccomp
fi
