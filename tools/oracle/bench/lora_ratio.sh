#!/bin/sh
# Prints the speed of LoRA training as a ratio to transformers and PEFT, measured one
# after the other on this machine:
#
#   PYTHON=python tools/oracle/bench/lora_ratio.sh
#
# Pure Go plain, pure Go with GOEXPERIMENT=simd, and XLA on the CPU where a plugin is
# found. Run it on a quiet machine; it prints the load before each measurement.
set -eu
cd "$(dirname "$0")/../../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
load() { cut -d' ' -f1 /proc/loadavg; }

go test -c -o "$tmp/plain" ./internal/lm/causal
GOEXPERIMENT=simd go test -c -o "$tmp/simd" ./internal/lm/causal || echo "no GOEXPERIMENT=simd in this toolchain"

torch() { "${PYTHON:-python}" tools/oracle/bench/lora_step.py 3 2>/dev/null | sed 's/.*"tokens_per_second": \([0-9.]*\).*/\1/'; }
steps() { # name device binary: runs it beside torch, in turn
	[ -x "$3" ] || return 0
	at=$(load)
	ours=$(DISTILLFLOW_DEVICE=$2 "$3" -test.run '^$' -test.bench LoRAStep -test.benchtime "${STEPS:-3}x" | sed -n 's/.* \([0-9.]*\) tok\/s.*/\1/p')
	[ -n "$ours" ] || { echo "$1: could not run"; return 0; }
	theirs=$(torch)
	echo "$1: $ours tok/s, PEFT $theirs tok/s, ratio $(awk "BEGIN{printf \"%.2f\", $ours/$theirs}") (load $at before, $(load) after)"
}
steps "pure Go" cpu "$tmp/plain"
steps "pure Go, simd" cpu "$tmp/simd"
steps "XLA CPU" xla "$tmp/plain"
