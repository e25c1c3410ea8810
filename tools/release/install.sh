#!/usr/bin/env bash
# Installs what is committed here as somebody does who has no copy of it, with an empty
# module cache:
#
#   bash tools/release/install.sh           # go install .../cmd/distillflow@v0.1.0
#   bash tools/release/install.sh --module  # only the module: seconds, and no other module
#
# A clone stands in for the repository that the module's path names, with a tag for the
# version; all else is the go command's own way. So it fails where the module cannot be
# made (names that a zip may not hold, too many bytes), where the go command leaves a file
# out (a link, a folder with a go.mod or called vendor), on a replace in go.mod, and where
# the program needs a file that is not committed. What is installed runs outside of the
# repository. Needs git; the install also needs the Go module proxy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
case "$*" in
'') whole=1 ;;
--module) whole= ;;
*) echo "usage: install.sh [--module]" >&2; exit 2 ;;
esac

module=$(go list -m)
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
# A clone may belong to another user; then git refuses to read it.
printf '[safe]\n\tdirectory = *\n[url "file://%s"]\n\tinsteadOf = https://%s\n' "$tmp/git" "$module" >"$tmp/gitconfig"
export GIT_CONFIG_GLOBAL="$tmp/gitconfig"
git clone --quiet --bare . "$tmp/git"
version=v$(git show HEAD:cmd/distillflow/version.go | sed -n 's/^const version = "\(.*\)"$/\1/p')
git -C "$tmp/git" tag --force "$version" HEAD >/dev/null

# As on a machine without a C compiler. -trimpath lets the build use what is compiled for releases.
export CGO_ENABLED=0 GOMODCACHE="$tmp/modules" GOBIN="$tmp/bin" GOPRIVATE="$module" GOWORK=off GOFLAGS=-trimpath
mkdir "$tmp/elsewhere"
cd "$tmp/elsewhere"
go mod download "$module@$version"
diff <(git -C "$tmp/git" ls-tree -r --name-only HEAD | LC_ALL=C sort) \
	<(cd "$GOMODCACHE/$module@$version" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) || {
	echo "the go command makes a module without these files (<)" >&2
	exit 1
}
[[ -n "$whole" ]] || exit 0

go install "$module/cmd/distillflow@$version"
"$GOBIN/distillflow" version
"$GOBIN/distillflow" init
"$GOBIN/distillflow" run recipe.yaml
