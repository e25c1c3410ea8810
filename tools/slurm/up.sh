#!/usr/bin/env bash
# Starts a small real Slurm on this one machine, for tests: two nodes with a core and a
# make-believe GPU each, a partition `main`, a partition `urgent` that preempts it, no
# accounting. Needs root, and Debian's slurm-wlm and munge.
#
#   tools/slurm/up.sh DIR         start it; then: export SLURM_CONF=DIR/slurm.conf
#   tools/slurm/up.sh DIR down    stop it
#   tools/slurm/up.sh DIR ctld    start the controller again, after it was stopped
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,8p' "$0"; exit 2; }
mkdir -p "$1"
root=$(cd "$1" && pwd)
verb=${2:-up}
port=${SLURM_TEST_PORT:-17817}
me=$(hostname -s)
export SLURM_CONF=$root/slurm.conf

if [ "$verb" = down ]; then
  for f in "$root"/run/*.pid; do
    [ -f "$f" ] && kill "$(cat "$f")" 2>/dev/null || true
  done
  exit 0
fi
if [ "$verb" = ctld ]; then exec slurmctld -f "$SLURM_CONF"; fi

mkdir -p "$root"/{run,log,state,dev}
for i in 0 1; do # devices that are like /dev/null; where none may be made, jobs see no GPU
  mknod "$root/dev/nvidia$i" c 1 3 2>/dev/null || : >"$root/dev/nvidia$i"
done

# munge signs what Slurm's parts say to each other.
if ! munge -n >/dev/null 2>&1; then
  install -d -o munge -g munge /run/munge /var/lib/munge /var/log/munge
  su -s /bin/sh munge -c /usr/sbin/munged
  for _ in {1..50}; do munge -n >/dev/null 2>&1 && break; sleep 0.1; done
fi

{
  echo "ClusterName=distillflow"
  echo "SlurmctldHost=$me(127.0.0.1)"
  echo "SlurmctldPort=$port"
  echo "SlurmUser=root"
  echo "SlurmdUser=root"
  echo "AuthType=auth/munge"
  echo "StateSaveLocation=$root/state"
  echo "SlurmdSpoolDir=$root/spool-%n"
  echo "SlurmctldPidFile=$root/run/slurmctld.pid"
  echo "SlurmdPidFile=$root/run/slurmd-%n.pid"
  echo "SlurmctldLogFile=$root/log/slurmctld.log"
  echo "SlurmdLogFile=$root/log/slurmd-%n.log"
  # No control groups: they need rights that a container may lack. Memory is looked at
  # every second, and a job that takes too much is killed.
  echo "ProctrackType=proctrack/linuxproc"
  echo "TaskPlugin=task/none"
  echo "JobAcctGatherType=jobacct_gather/linux"
  echo "JobAcctGatherFrequency=1"
  echo "JobAcctGatherParams=OverMemoryKill"
  echo "AccountingStorageType=accounting_storage/none"
  echo "SelectType=select/cons_tres"
  echo "SelectTypeParameters=CR_Core_Memory"
  echo "PreemptType=preempt/partition_prio"
  echo "PreemptMode=REQUEUE"
  echo "ReturnToService=2"
  echo "KillWait=5"
  echo "MaxArraySize=101"
  echo "MinJobAge=30"
  echo "GresTypes=gpu"
  for i in 1 2; do
    echo "NodeName=n$i NodeHostname=$me NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=1 RealMemory=8000 Gres=gpu:1"
  done
  for p in "main Default=YES PriorityTier=1" "urgent PriorityTier=10"; do
    echo "PartitionName=${p%% *} ${p#* } Nodes=n1,n2 MaxTime=60 DefMemPerCPU=2000 State=UP"
  done
} >"$SLURM_CONF"
for i in 1 2; do
  echo "NodeName=n$i Name=gpu File=$root/dev/nvidia$((i - 1))"
done >"$root/gres.conf"

slurmctld -f "$SLURM_CONF"
for i in 1 2; do slurmd -f "$SLURM_CONF" -N "n$i"; done
for _ in {1..60}; do
  [ "$(sinfo -h -t idle -p main -o %D 2>/dev/null)" = 2 ] && { sinfo; exit 0; }
  sleep 0.5
done
echo "the nodes do not become idle; see $root/log" >&2
exit 1
