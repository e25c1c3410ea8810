#!/bin/sh
# Prints speed and peak memory of LoRA training beside transformers and PEFT, measured in
# alternation on this machine:
#
#   PYTHON=python tools/oracle/bench/lora_ratio.sh [SHAPE...]
#
# SHAPE is llama6m or gemma270m (default: both), ROUNDS how often each is measured (default
# 3), STEPS how many steps at a time (default 3), THREADS how many cores both may use
# (default: all), DEVICES what is measured (default: cpu, pure Go in a plain build, and xla
# where a plugin is found). The ratio is that of the medians. Run it on a quiet machine; it
# prints the load at each measurement.
set -eu
cd "$(dirname "$0")/../../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export THREADS="${THREADS:-$(nproc)}"
steps=${STEPS:-3}
pin=
[ "$THREADS" -ge "$(nproc)" ] || pin="taskset -c 0-$((THREADS - 1))"
load() { cut -d' ' -f1 /proc/loadavg; }
median() { sort -n "$1" | awk '{x[NR]=$1} END {print x[int((NR+1)/2)]}'; }

sed -n 's/^model name[^:]*: /machine: /p' /proc/cpuinfo | head -n 1
go test -c -o "$tmp/ours" ./internal/lm/causal

ours() { # device shape: tok/s and MiB
	DISTILLFLOW_DEVICE=$1 GOMAXPROCS=$THREADS $pin "$tmp/ours" -test.run '^$' -test.bench "^BenchmarkLoRAStep\$/^$2\$" -test.benchtime "${steps}x" |
		sed -n 's/.* \([0-9.]*\) peak-MiB.* \([0-9.]*\) tok\/s.*/\2 \1/p'
}
theirs() { # shape
	$pin "${PYTHON:-python}" tools/oracle/bench/lora_step.py "$1" "$steps" 2>/dev/null |
		sed -n 's/.*"tokens_per_second": \([0-9.]*\), "peak_mib": \([0-9]*\).*/\1 \2/p'
}

[ $# -gt 0 ] || set -- llama6m gemma270m
for shape in "$@"; do
	for device in ${DEVICES:-cpu xla}; do
		: >"$tmp/a"
		: >"$tmp/b"
		for round in $(seq "${ROUNDS:-3}"); do
			at=$(load)
			a=$(ours "$device" "$shape")
			[ -n "$a" ] || break
			b=$(theirs "$shape")
			echo "$a" >>"$tmp/a"
			echo "$b" >>"$tmp/b"
			echo "$shape on $device, round $round: ours $a, PEFT $b (tok/s, peak MiB; load $at)"
		done
		[ -s "$tmp/a" ] || { echo "$shape on $device: could not run"; continue; }
		echo "$shape on $device: $(median "$tmp/a") tok/s, PEFT $(median "$tmp/b"), ratio $(awk "BEGIN {printf \"%.2f\", $(median "$tmp/a") / $(median "$tmp/b")}")"
	done
done
