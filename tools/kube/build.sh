#!/usr/bin/env bash
# Builds kube-apiserver and kube-controller-manager into a folder, for the tests of the
# Kubernetes executor on a real API server:
#
#   tools/kube/build.sh /tmp/kube
#   DISTILLFLOW_TEST_KUBERNETES=/tmp/kube go test -run TestRealCluster -v ./flow/exec/kube
#
# It takes about eight minutes on two cores and needs Go and the network. The tests also
# need etcd on PATH (Debian: etcd-server).
set -euo pipefail
version=${KUBERNETES_VERSION:-1.37.2}
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod
# A module of its own: k8s.io/kubernetes names its staging modules by folders, which a
# module that requires it does not see.
printf 'module kube\n\ngo 1.26\n\nrequire k8s.io/kubernetes v%s\n' "$version" >go.mod
mod=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -nE "s#^[[:space:]]*(replace )?(k8s.io/[a-z-]+) => ./staging.*#replace \2 => \2 v0.${version#1.}#p" "$mod" >>go.mod
printf '//go:build tools\n\npackage tools\n\nimport (\n\t_ "k8s.io/kubernetes/cmd/kube-apiserver"\n\t_ "k8s.io/kubernetes/cmd/kube-controller-manager"\n)\n' >tools.go
go mod tidy
go build -o "$out/" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
