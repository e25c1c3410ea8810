#!/usr/bin/env bash
# Runs every fuzz target of the repository, one after the other, and prints a table of
# them. Run it from anywhere: bash tools/fuzz/run.sh [PATTERN]
#
# PATTERN is a regular expression over "PACKAGE TARGET", such as 'internal/lm/ ' or
# 'FuzzParse$'; all targets without it.
#   FUZZTIME=30m     how long each of them searches: a number and s, m or h
#   FUZZDIR=FOLDER   keeps what was found interesting there, for the next run to begin
#                    with, and in times.tsv what each target had (seconds, CPU seconds,
#                    executions, new inputs); a folder that is removed at the end without it
#   FUZZTOTAL=1      FUZZTIME is meant with what FUZZDIR's times.tsv counts already: a
#                    round that was stopped goes on where it was
# What breaks a target lies, made smaller, in testdata/fuzz of its package afterwards: a
# test case that stays in the repository. The exit status is 1 then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

pattern=${1:-.}
fuzztime=${FUZZTIME:-30m}
if [[ ! $fuzztime =~ ^([0-9]+)([smh])$ ]]; then
	echo "FUZZTIME $fuzztime is no time such as 90s, 30m or 1h" >&2
	exit 2
fi
want=${BASH_REMATCH[1]}
case ${BASH_REMATCH[2]} in
m) want=$((want * 60)) ;;
h) want=$((want * 3600)) ;;
esac
tmp=$(mktemp -d)
# What the targets write lies in memory where that is possible: on a disk some of them do
# little else than wait for it.
files=$(mktemp -d -p "$([[ -w /dev/shm ]] && echo /dev/shm || echo "$tmp")")
trap 'rm -rf "$tmp" "$files"' EXIT
corpus=${FUZZDIR:-$tmp/corpus}
mkdir -p "$corpus"
corpus=$(cd "$corpus" && pwd)
times=$corpus/times.tsv
touch "$times"

targets=$(grep -rn --include='*_test.go' -oP '^func \KFuzz\w+(?=\(f \*testing\.F\))' . |
	sed -E 's|^\./(.*)/[^/:]+:[0-9]+:(.*)$|\1 \2|' | sort | grep -E -- "$pattern") || true
if [[ -z "$targets" ]]; then
	echo "no fuzz target matches $pattern" >&2
	exit 2
fi

status=0
built=""
TIMEFORMAT='%U %S'
printf '| target | time | CPU | execs | new | corpus | result |\n|---|---|---|---|---|---|---|\n'
while read -r dir name; do
	left=$want
	if [[ -n ${FUZZTOTAL:-} ]]; then
		left=$(awk -F'\t' -v t="$dir $name" -v left="$want" '$1 == t { left -= $2 } END { print left }' "$times")
		((left > 0)) || continue
	fi
	if [[ "$built" != "$dir" ]]; then
		# Instrumented for all targets of the package at once.
		if ! go test -c -fuzz=. -o "$tmp/fuzz.test" "./$dir" >"$tmp/log" 2>&1; then
			cat "$tmp/log" >&2
			exit 1
		fi
		built=$dir
	fi
	result=ok
	start=$SECONDS
	# Inputs are made smaller in so many calls: in two seconds each, as by time, a short
	# search would do little else.
	{ time (cd "$dir" && TMPDIR=$files nice -n 19 "$tmp/fuzz.test" -test.run='^$' -test.fuzz="^$name\$" -test.fuzztime="${left}s" \
		-test.fuzzminimizetime=100x -test.parallel=1 -test.fuzzcachedir="$corpus/$dir" >"$tmp/log" 2>&1 </dev/null); } 2>"$tmp/cpu" || result=FAIL
	seconds=$((SECONDS - start))
	cpu=$(tail -1 "$tmp/cpu" | awk '{ printf "%.0f", $1 + $2 }')
	# A search that was busy when its time was up says so; it has found nothing.
	if [[ $result == FAIL ]] && grep -q 'context deadline exceeded' "$tmp/log" && ! grep -q 'Failing input' "$tmp/log"; then
		result=ok
	fi
	last=$(grep -E '^fuzz: elapsed' "$tmp/log" | tail -1 || true)
	field() { sed -nE "s/.*$1: ([0-9]+).*/\1/p" <<<"$last"; }
	execs=$(field execs) new=$(field 'new interesting')
	printf '| %s %s | %ds | %ss | %s | %s | %s | %s |\n' "$dir" "$name" $seconds "$cpu" \
		"$execs" "$new" "$(field total)" "$result"
	printf '%s\t%d\t%d\t%d\t%d\n' "$dir $name" $seconds "$cpu" "${execs:-0}" "${new:-0}" >>"$times"
	if [[ $result == FAIL ]]; then
		status=1
		grep -vE '^fuzz: elapsed' "$tmp/log" | head -60 >&2 || true
	fi
done <<<"$targets"
exit $status
