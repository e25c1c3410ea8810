#!/bin/sh
# Prints the speed of greedy decoding, batch 8, as a ratio to transformers' generate,
# measured one after the other on this machine with the same weights, prompts and cores:
#
#   PYTHON=python tools/oracle/bench/generate_ratio.sh [FOLDER [NEW]]
#
# FOLDER is a checkpoint (default: random weights of the 6.3M-parameter Llama shape), NEW
# how many tokens each row gets (default 128), THREADS how many cores both may use
# (default: all), RUNS how many runs are timed (default 3). Pure Go plain, pure Go with
# GOEXPERIMENT=simd, and XLA on the CPU where a plugin is found. Run it on a quiet
# machine; it prints the load before and after each measurement, and how many tokens the
# two have in common.
set -eu
cd "$(dirname "$0")/../../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
model=${1:-$tmp/model}
new=${2:-128}
runs=${RUNS:-3}
threads=${THREADS:-$(nproc)}
pin=
[ "$threads" -ge "$(nproc)" ] || pin="taskset -c 0-$((threads - 1))"
load() { cut -d' ' -f1 /proc/loadavg; }
theirs() { $pin "${PYTHON:-python}" tools/oracle/bench/greedy.py "$model" "$new" "$runs" "$threads" 2>/dev/null >"$tmp/theirs.json"; }

go test -c -o "$tmp/plain" ./internal/lm/generate
GOEXPERIMENT=simd go test -c -o "$tmp/simd" ./internal/lm/generate || echo "no GOEXPERIMENT=simd in this toolchain"
[ -e "$model/config.json" ] || "${PYTHON:-python}" tools/oracle/bench/greedy.py "$model" 1 1 "$threads" >/dev/null 2>&1

compare() { # name device binary: runs it beside transformers, in turn
	[ -x "$3" ] || return 0
	at=$(load)
	ours=$(DISTILLFLOW_DEVICE=$2 DISTILLFLOW_BENCH_MODEL=$model DISTILLFLOW_BENCH_NEW=$new DISTILLFLOW_BENCH_OUT=$tmp/ours.json GOMAXPROCS=$threads \
		$pin "$3" -test.run '^$' -test.bench '^BenchmarkGreedy$' -test.benchtime "${runs}x" | sed -n 's/.* \([0-9.]*\) tok\/s.*/\1/p')
	[ -n "$ours" ] || { echo "$1: could not run"; return 0; }
	theirs
	"${PYTHON:-python}" - "$1" "$ours" "$tmp" "$at" "$(load)" <<'PY'
import json, sys
name, ours, tmp, before, after = sys.argv[1:]
got, other = json.load(open(tmp + "/ours.json")), json.load(open(tmp + "/theirs.json"))
same = sum(next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), len(a)) for a, b in zip(got, other["rows"]))
theirs = other["tokens_per_second"]
print(f"{name}: {float(ours):.0f} tok/s, transformers {theirs:.0f} tok/s, ratio {float(ours) / theirs:.2f} "
      f"({same} of {sum(map(len, got))} tokens before a first difference; load {before} before, {after} after)")
PY
}
compare "pure Go" cpu "$tmp/plain"
compare "pure Go, simd" cpu "$tmp/simd"
compare "XLA CPU" xla "$tmp/plain"
