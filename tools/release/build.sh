#!/usr/bin/env bash
# Builds the release of this platform, or of $GOOS/$GOARCH:
#
#   bash tools/release/build.sh OUT
#
# writes the program, its SHA-256, and a list of what it is made of (SBOM, CycloneDX) into
# the new folder OUT. It builds a second time from a copy of the sources in another folder,
# without what the first build has cached, and fails where the programs differ. Needs the
# Go module proxy, no C compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

[[ $# == 1 ]] || { echo "usage: build.sh OUT" >&2; exit 2; }
mkdir "$1"
out=$(cd "$1" && pwd)
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' cmd/distillflow/version.go)
name=distillflow-$version-$(go env GOOS)-$(go env GOARCH)$(go env GOEXE)
build() { # build FOLDER FILE
	(cd "$1" && CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$2" ./cmd/distillflow)
}

build . "$out/$name"
mkdir "$tmp/elsewhere"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$tmp/elsewhere"
GOCACHE="$tmp/cache" build "$tmp/elsewhere" "$tmp/again"
cmp "$out/$name" "$tmp/again" || {
	echo "two builds of the same sources differ: is a path, a time or a map's order in the program?" >&2
	exit 1
}
(cd "$out" && sha256sum "$name" | tee "$name.sha256")
# The tool runs here; GOOS and GOARCH are the program's.
GOOS= GOARCH= go run "$sbom" bin -json -licenses -noserial -notimestamp -version "v$version" -output "$out/$name.cdx.json" "$out/$name" 2>"$tmp/log" || {
	cat "$tmp/log" >&2
	exit 1
}
