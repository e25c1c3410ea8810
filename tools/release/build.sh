#!/usr/bin/env bash
# Builds the release of this platform, or of $GOOS/$GOARCH:
#
#   bash tools/release/build.sh OUT
#   bash tools/release/build.sh --quick OUT
#
# writes the program, its SHA-256, and a list of what it is made of (SBOM, CycloneDX) into
# the new folder OUT. It builds a second time from a copy of the sources in another folder,
# without what the first build has cached, and fails where the programs differ. Needs the
# Go module proxy, no C compiler.
#
# --quick is for CI: the second build compiles this module's packages again, but takes those
# of other modules and of Go as the first one left them. So it sees what comes into the
# program by our own packages, their folder, or linking; that compiling the others also gives
# the same bytes, only the whole form sees. The program keeps its symbols, which govulncheck
# reads: it is no release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

quick= symbols="-s -w"
[[ "${1:-}" != --quick ]] || { quick=1 symbols=; shift; }
[[ $# == 1 ]] || { echo "usage: build.sh [--quick] OUT" >&2; exit 2; }
mkdir "$1"
out=$(cd "$1" && pwd)
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' cmd/distillflow/version.go)
name=distillflow-$version-$(go env GOOS)-$(go env GOARCH)$(go env GOEXE)
build() { # build FOLDER FILE
	(cd "$1" && CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=false -ldflags "$symbols -buildid=" -o "$2" ./cmd/distillflow)
}

build . "$out/$name"
mkdir "$tmp/elsewhere"
{ git -c safe.directory='*' ls-files -z --cached --others --exclude-standard || find . -type f -print0; } |
	tar --null -T - -cf - | tar -xf - -C "$tmp/elsewhere"
if [[ -n "$quick" ]]; then
	# What no build has seen is compiled: a comment at the end of a file changes no line.
	find "$tmp/elsewhere" -name '*.go' ! -path '*/testdata/*' -print0 | while IFS= read -rd '' file; do
		printf '\n// %s\n' "$tmp" >>"$file"
	done
	build "$tmp/elsewhere" "$tmp/again"
else
	GOCACHE="$tmp/cache" build "$tmp/elsewhere" "$tmp/again"
fi
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
