#!/usr/bin/env bash
# A Slurm of one node on this machine, from Debian's packages (install.sh): slurm.sh start FOLDER,
# and later slurm.sh stop FOLDER. Needs root. All its files are in FOLDER but two links in
# /etc/slurm, where every Slurm command looks; its ports and secrets are its own, and it ends no
# process but those it started. Its two GPUs are empty devices: Slurm hands them out like others.
set -euo pipefail
command=$1 folder=$2 etc=/etc/slurm

start() {
  if [ -L $etc/slurm.conf ]; then (folder=$(dirname "$(readlink $etc/slurm.conf)") && stop); fi
  if [ -e $etc/slurm.conf ]; then
    echo "slurm.sh: this machine has a Slurm of its own ($etc/slurm.conf)" >&2
    exit 1
  fi
  mkdir -p "$folder"/{state,spool,munge,dev} $etc
  folder=$(realpath "$folder")
  chmod 755 "$folder"
  for gpu in 0 1; do mknod "$folder/dev/nvidia$gpu" c 1 3; done
  configure > "$folder/slurm.conf"
  echo "NodeName=$(hostname -s) Name=gpu Type=empty File=$folder/dev/nvidia[0-1]" > "$folder/gres.conf"
  ln -s "$folder"/{slurm,gres}.conf $etc
  # Fresh secrets, and a socket of our own.
  head -c 1024 /dev/urandom > "$folder/munge/key"
  chmod 700 "$folder/munge"
  chmod 400 "$folder/munge/key"
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
  slurmctld -c
  slurmd
  for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2> /dev/null | grep -q '^idle'; then return; fi
    sleep 0.5
  done
  tail -n 20 "$folder"/*.log >&2
  stop
  echo "slurm.sh: the node did not come up" >&2
  exit 1
}

configure() {
  cat << END
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
SlurmctldPort=26817
SlurmdPort=26818
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=3600
KillWait=2
SchedulerParameters=sched_interval=2
GresTypes=gpu
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(free -m | awk '/^Mem/ {print $2 - 500}') Gres=gpu:empty:2
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
END
}

stop() {
  timeout 10 scancel --user=root --quiet 2> /dev/null || true
  sleep 3 # KillWait
  for pid in "$folder"/slurmd.pid "$folder"/slurmctld.pid "$folder"/munge/pid; do
    if [ -s "$pid" ]; then end "$(cat "$pid")"; fi
  done
  rm -f $etc/{slurm,gres}.conf
}

end() {
  kill "$1" 2> /dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$1" 2> /dev/null || return 0
    sleep 0.2
  done
  kill -9 "$1" 2> /dev/null || true
}

"$command"
