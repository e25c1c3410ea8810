#!/bin/sh
# Parity and speed of one device, beside transformers and PEFT. See README.md here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
device=cuda:0 shapes=1b,7b-4,7b rows=4 seq=768 steps=50 rank=16 dtype=bfloat16
peak=0 python=python3 torch=cuda out=${OUT:-gpu-results} parity=1 baseline=1 compiled=1
while [ $# -gt 0 ]; do
	case $1 in
	--tiny) shapes=tiny rows=2 seq=32 steps=5 rank=4 device=xla torch=cpu ;;
	--no-parity) parity=0 ;;
	--no-baseline) baseline=0 ;;
	--no-compile) compiled=0 ;;
	--device | --shapes | --rows | --seq | --steps | --rank | --dtype | --peak | --python | --torch | --out)
		[ $# -ge 2 ] || { echo "run.sh: $1 wants a value" >&2; exit 2; }
		eval "${1#--}=\$2"
		shift
		;;
	*)
		sed -n 's/^    //p' "$here/README.md" >&2
		exit 2
		;;
	esac
	shift
done
bench=$here/bench.bin
if command -v go >/dev/null 2>&1; then
	(cd "$repo" && CGO_ENABLED=1 go build -o "$bench" ./tools/gpu/bench)
elif [ ! -x "$bench" ]; then
	echo "run.sh: there is no Go here; carry a built bench: go build -o tools/gpu/bench.bin ./tools/gpu/bench" >&2
	exit 1
fi
mkdir -p "$out"
rm -f "$out"/*.job.json "$out"/*.result.json
failed=0
if [ "$parity" = 1 ]; then
	"$bench" parity -device "$device" -repo "$repo" -out "$out" || failed=1
fi
"$bench" jobs -shapes "$shapes" -rows "$rows" -seq "$seq" -steps "$steps" -rank "$rank" -dtype "$dtype" -out "$out"
for shape in $(echo "$shapes" | tr , ' '); do
	job=$out/$shape.job.json
	# One process each: what a device had allocated is free again after it.
	"$bench" train -device "$device" -job "$job" -out "$out" || failed=1
	[ "$baseline" = 1 ] || continue
	"$python" "$here/baseline.py" "$job" "$out" --device "$torch" || failed=1
	[ "$compiled" = 1 ] || continue
	"$python" "$here/baseline.py" "$job" "$out" --device "$torch" --compile || failed=1
done
echo
"$bench" table -peak "$peak" "$out"
exit $failed
