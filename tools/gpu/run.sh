#!/bin/bash
# Parity and speed of one device, beside transformers and PEFT, in at most TOTAL seconds.
# See README.md here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
SIZE=${SIZE:-full} DEVICE=${DEVICE:-cuda:0} TOTAL=${TOTAL:-570} PYTHON=${PYTHON:-python3} OUT=${OUT:-gpu-results}
case $SIZE in
full) first=mistral second=gemma routed="mistral-4 gemma-3" rows=4 seq=768 steps=12 decode_rows=64 prompt=64 fresh=128 dtype=bfloat16 ;;
tiny) first=tiny-mistral second=tiny-gemma routed="tiny-mistral tiny-gemma" rows=2 seq=32 steps=5 decode_rows=8 prompt=16 fresh=32 dtype=float32 ;;
*) echo "run.sh: SIZE is full or tiny" >&2; exit 2 ;;
esac
# By the H200's data sheet: TFLOP/s in bfloat16, and GB/s.
PEAK=${PEAK:-989} BANDWIDTH=${BANDWIDTH:-4800} torch=cuda
case $DEVICE in cuda*) ;; *) PEAK=0 BANDWIDTH=0 torch=cpu ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$here/carry.tar.xz" ]; then
	"$PYTHON" -m tarfile -e "$here/carry.tar.xz" "$work" || exit 1
elif command -v go >/dev/null 2>&1; then
	(cd "$repo" && CGO_ENABLED=1 go build -trimpath -ldflags "-s -w" -o "$work/" ./cmd/distillflow ./tools/gpu/bench) || exit 1
else
	echo "run.sh: there is no Go here, and no $here/carry.tar.xz, which pack.sh makes" >&2
	exit 1
fi
bench=$work/bench
# Where XLA's plugin lies beside Python, it is found by these.
if [ -z "${PJRT_PLUGIN_LIBRARY_PATH:-}${VIRTUAL_ENV:-}" ]; then
	VIRTUAL_ENV=$("$PYTHON" -c 'import sys; print(sys.prefix)') && export VIRTUAL_ENV
fi
mkdir -p "$OUT"
rm -f "$OUT"/*.job.json "$OUT"/*.result.json "$OUT/parity.json" "$OUT/routed.jsonl"

failed=0
# step SECONDS WORK SHAPE SYSTEM command... runs a command until its limit or the end of all
# time. What leaves no result, because it was stopped or broke, gets one that says so.
step() {
	limit=$1 what=$2 shape=$3 system=$4
	shift 4
	left=$((TOTAL - SECONDS))
	[ "$limit" -le "$left" ] || limit=$left
	result=$OUT/$shape.$what.${system// /-}.result.json
	echo "--- $what $shape $system (at most $limit s, $left s left)"
	rc=0
	if [ "$limit" -lt 10 ]; then
		why="not begun: $TOTAL s are over"
		rc=1
	else
		timeout -k 5 "$limit" "$@" || rc=$?
		why="ended with status $rc"
		[ $rc -ne 124 ] && [ $rc -ne 137 ] || why="stopped after $limit s"
	fi
	[ $rc -eq 0 ] || failed=1
	[ $rc -eq 0 ] || [ -f "$result" ] ||
		printf '{"work":"%s","system":"%s","shape":"%s","error":"%s"}\n' "$what" "$system" "$shape" "$why" >"$result"
}

# routed trains a pair of published models, made on the spot, by the program itself.
routed() {
	set -- $1
	for shape in "$1" "$2"; do
		"$bench" checkpoint -shapes "$shape" -repo "$repo" -out "$work/models/$shape" || return
	done
	"$work/distillflow" run "$here/routed.yaml" --json --store "$work/store" \
		--set device="$DEVICE" --set first="$work/models/$1" --set second="$work/models/$2" >"$OUT/routed.jsonl"
}
export -f routed
export bench work repo here DEVICE OUT

fewer=${routed% *} # layers than first, should that take too long to compile
"$bench" jobs -shapes "$first,$second,$fewer" -rows $rows -seq $seq -steps $steps -rank 16 -dtype $dtype -out "$OUT" || exit 1
"$bench" jobs -shapes "$first,$fewer" -rows $decode_rows -seq $prompt -dtype $dtype -out "$work/decode" || exit 1

# What the targets are about comes first: what comes last may find no time left.
step 100 parity golden distillflow "$bench" parity -device "$DEVICE" -repo "$repo" -out "$OUT"
for shape in $first $fewer; do
	step 190 training $shape distillflow "$bench" train -device "$DEVICE" -job "$OUT/$shape.job.json" -out "$OUT"
	first=$shape
	grep -q '"error"' "$OUT/$shape.training.distillflow.result.json" || break
done
step 80 training $first hf-eager "$PYTHON" "$here/baseline.py" "$OUT/$first.job.json" "$OUT" --device $torch
step 90 decoding $first distillflow "$bench" decode -device "$DEVICE" -job "$work/decode/$first.job.json" -out "$OUT" -fresh $fresh -bandwidth "$BANDWIDTH"
step 120 routing pair distillflow bash -c 'routed "$1"' routed "$routed"
if [ -s "$OUT/routed.jsonl" ]; then
	rm -f "$OUT/pair.routing.distillflow.result.json"
	"$bench" routed -events "$OUT/routed.jsonl" -out "$OUT" || failed=1
fi
step 150 training $second distillflow "$bench" train -device "$DEVICE" -job "$OUT/$second.job.json" -out "$OUT"
step 80 training $second hf-eager "$PYTHON" "$here/baseline.py" "$OUT/$second.job.json" "$OUT" --device $torch
step 150 training $first "distillflow nf4" "$bench" train -device "$DEVICE" -job "$OUT/$first.job.json" -out "$OUT" -quantize
step 120 training $first hf-compile "$PYTHON" "$here/baseline.py" "$OUT/$first.job.json" "$OUT" --device $torch --compile

echo
"$bench" table -peak "$PEAK" "$OUT"
echo "$SECONDS s in all"
exit $failed
