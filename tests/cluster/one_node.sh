#!/usr/bin/env bash
# A real Slurm of one node on this machine: `one_node.sh up` starts it, `one_node.sh down` ends it and its jobs. Needs
# root; installs Debian's packages slurm-wlm and munge if they are missing. See docs/running.md.
set -euo pipefail

state=/tmp/one-node-slurm
conf=/etc/slurm/slurm.conf
mark="# made by one_node.sh, which removes it"
host=$(hostname)

ours() { [ ! -e "$conf" ] || grep -qxF "$mark" "$conf"; }

up() {
  ours || { echo "$conf is of a Slurm that this machine already has: use another machine" >&2 && return 1; }
  command -v slurmctld > /dev/null || { apt-get -qq update && apt-get -qq install -y slurm-wlm munge; }
  rm -rf "$state" && mkdir -p "$state/ctld" "$state/d" /etc/slurm
  head -c 1024 /dev/urandom > "$state/munge.key" && chmod 600 "$state/munge.key"
  munged --force --socket="$state/munge.socket" --key-file="$state/munge.key" --pid-file="$state/munged.pid" \
    --log-file="$state/munged.log" --seed-file="$state/munge.seed"
  # Jobs do not inherit SLURM_CONF, so the file has the path that Slurm reads by default. The node claims to have what the
  # profile requests, independent of this machine.
  cat > "$conf" << CONF
$mark
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munge.socket
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$state/ctld
SlurmdSpoolDir=$state/d
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=60
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  slurmctld -c
  slurmd
  for _ in $(seq 30); do
    ! timeout 10 sinfo --noheader --format %t | grep -q idle || { timeout 10 sinfo && return; }
    sleep 1
  done
  tail "$state"/*.log >&2
  return 1
}

down() {
  ours || return 0
  [ ! -f "$state/slurmctld.pid" ] || timeout 30 scancel --user=root || true
  for _ in $(seq 90); do # after KillWait Slurm kills what does not end
    pgrep -x slurmstepd > /dev/null || break
    sleep 1
  done
  for daemon in slurmd slurmctld munged; do
    [ ! -f "$state/$daemon.pid" ] || kill "$(cat "$state/$daemon.pid")" || true
  done
  for _ in $(seq 30); do # each removes its own file when it ends
    compgen -G "$state/*.pid" > /dev/null || break
    sleep 1
  done
  rm -rf "$state" "$conf"
}

case "${1:-}" in
  up | down) "$1" ;;
  *) echo "usage: $0 up | down" >&2 && exit 2 ;;
esac
