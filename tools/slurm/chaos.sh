#!/usr/bin/env bash
# Runs a recipe on the Slurm of up.sh while things go wrong, and compares every result
# with that of a local run. SLURM_CONF names the cluster; minutes, and root.
#
#   tools/slurm/chaos.sh DISTILLFLOW LOCAL_STORE NEW_STORE RECIPE [FLAGS OF run ...]
#
# LOCAL_STORE is the store of a local run of the same recipe with the same flags.
set -uo pipefail
[ $# -ge 4 ] || { sed -n '2,7p' "$0"; exit 2; }
prog=$1 local=$2 store=$3 recipe=$4
shift 4
base=$(dirname "$SLURM_CONF")
submissions() { grep -c '_slurm_rpc_submit_batch_job: JobId' "$base/log/slurmctld.log"; }
before=$(submissions)
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
log=$store.log
: >"$log"
say() { echo "$(date +%T) $*" | tee -a "$log"; }

start() { # settings of the executor
  printf 'slurm: {poll: 2s, lag: 10s, %s}\n' "$1" >"$settings"
  "$prog" run "$recipe" --store "$store" --executor slurm --executors "$settings" --plain "${@:2}" >>"$log" 2>&1 &
  pid=$!
}
calm() { sleep "${CALM:-25}"; }
running() { squeue -h -r -t RUNNING -o '%i %N' | head -1; }

say "start, with too little memory for evaluate-students and too little time for a training"
start 'stages: {evaluate-students: {memory: 20MB}, "unfiltered*": {time: 1m}}' "$@"
calm; calm
say "kill the coordinator"; kill -9 $pid; wait $pid 2>/dev/null; sleep 5
start 'stages: {evaluate-students: {memory: 20MB}, "unfiltered*": {time: 1m}}' "$@"
calm
read -r id node < <(running); say "requeue job $id"; scontrol requeue "$id"
calm
read -r id node < <(running); say "node $node down, with job $id"
scontrol update NodeName="$node" State=DOWN Reason=chaos; sleep 10
scontrol update NodeName="$node" State=RESUME 2>/dev/null
calm
read -r id node < <(running); say "preempt job $id"
sbatch -p urgent -N 2 --mem=100M -o /dev/null --wrap 'sleep 5' >/dev/null; others=1
calm
say "stop the controller for a minute"; kill "$(cat "$base/run/slurmctld.pid")"; sleep 60
slurmctld -f "$SLURM_CONF"
calm
say "kill the coordinator again"; kill -9 $pid; wait $pid 2>/dev/null; sleep 5
start 'stages: {evaluate-students: {memory: 20MB}}' "$@"
calm
say "stop the run, with $(squeue -h -r | wc -l) jobs in the queue"
"$prog" ctl last stop --store "$store" | tee -a "$log"
wait $pid; say "the run ended with status $?; left in the queue: $(squeue -h -r | wc -l)"
start 'stages: {evaluate-students: {memory: 20MB}}' "$@"
wait $pid; say "the run ended with status $?; it lacked memory, which is given now"
start 'memory: 2GB' "$@"
wait $pid; say "the run ended with status $?"
left=$(squeue -h -r | wc -l)
say "left in the queue: $left; submissions: $(($(submissions) - before - others))"

python3 - "$local" "$store" "$base/log/slurmctld.log" "$before" <<'P'
import json, pathlib, re, sys
local, store, log, before = sys.argv[1:]
def actions(store):
    found = {}
    for f in pathlib.Path(store, "actions").rglob("*"):
        if f.is_file():
            a = json.loads(f.read_text())["action"]
            found[f.name] = (a["stage"], json.dumps(a["outputs"], sort_keys=True))
    return found
a, b = actions(local), actions(store)
other = [a[k][0] for k in a if k in b and a[k] != b[k]]
print(f"{len(a)} results here, {len(b)} there, {len(a.keys() & b.keys())} of the same key, {len(other)} of them with other digests", *other)

# Which jobs ran a stage, by the events of the runs; and when each job ran, by Slurm.
jobs, failed = {}, 0
for f in pathlib.Path(store, "runs").glob("*/events.jsonl"):
    for line in f.read_text().splitlines():
        e = json.loads(line)
        failed += e["kind"] == "stage_failed"
        if e["kind"] == "stage_placed":
            jobs.setdefault(e["stage"], set()).add(e["message"].split()[1])
began, ended, submitted = {}, {}, 0
for line in pathlib.Path(log).read_text().splitlines():
    submitted += "_slurm_rpc_submit_batch_job: JobId" in line
    m = re.match(r"\[(\S+)\] (.*)JobId=(\d+(?:_\d+)?)", line)
    if not m or submitted <= int(before):
        continue
    at, what, id = m.groups()
    if "Allocate" in what or "_start_job" in what:
        began.setdefault(id, at)
    elif "_job_complete" in what or "equeu" in what or "KILL_JOB" in what:
        ended[id] = at
twice = []
for stage, ids in jobs.items():
    ids = sorted(ids, key=began.get)
    twice += [f"{stage}: {x} and {y}" for x, y in zip(ids, ids[1:]) if began[y] < ended.get(x, "never")]
print(f"{sum(map(len, jobs.values()))} jobs ran {len(jobs)} stages, with {failed} failures; at the same time ran {len(twice)} of one stage", *twice)
sys.exit(bool(other or twice or a.keys() ^ b.keys()))
P
