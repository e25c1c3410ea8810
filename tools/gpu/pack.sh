#!/bin/sh
# Builds what run.sh needs on a machine without Go, stripped and compressed, as carry.tar.xz.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$here/../.." && CGO_ENABLED=1 go build -trimpath -ldflags "-s -w" -o "$work/" ./cmd/distillflow ./tools/gpu/bench)
(cd "$work" && "${PYTHON:-python3}" -m tarfile -c "$here/carry.tar.xz" distillflow bench)
ls -l "$here/carry.tar.xz"
