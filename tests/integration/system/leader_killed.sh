#!/usr/bin/env bash
# Two lockds on an etcd; the active one is killed, killed again, frozen, and stopped while both nodes write. What is
# documented: the other one takes over within seconds, everybody keeps the locks they had, no program sees an error,
# nothing acknowledged is lost.
#   leader_killed.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
etcd_pid=
declare -A pid=([1]='' [2]='')
clean_up() {
  local status=$?
  for one in "${pid[@]}"; do
    [[ -z $one ]] || kill -CONT "$one" 2>/dev/null || true
  done
  # Mounts first: without a lockd they would have nobody to say goodbye to.
  local node
  for node in a b; do
    cluster_mounted "$node" && timeout 30 "$bin/holdfast" unmount "$CLUSTER/$node" >/dev/null 2>&1 || true
  done
  for one in "${pid[@]}" $etcd_pid; do
    [[ -z $one ]] || kill -KILL "$one" 2>/dev/null || true
  done
  cluster_down || true
  exit "$status"
}
trap clean_up EXIT

store=etcd://127.0.0.1:2379/test
export CLUSTER_LOCKDS=10.77.0.1:7680/10.77.0.1:7681
replica_start() {  # replica_start 1|2; from then on its log is log/lockd1 or log/lockd2
  nsenter --net="/run/netns/$net-srv" -- "$bin/holdfast-lockd" --store "$store" --listen "10.77.0.1:768$(($1 - 1))" --allow-plain \
    --admin "$CLUSTER/lockd$1.sock" >>"$CLUSTER/log/lockd$1" 2>&1 &
  pid[$1]=$!
}
leading() { cat "$CLUSTER"/log/lockd[12] 2>/dev/null | grep -c ' lockd.leading ' || true; }
wait_leading() {  # wait_leading N: somebody has come to lead for the Nth time
  local i
  for ((i = 0; i < 400; i++)); do
    (($(leading) >= $1)) && return 0
    sleep 0.05
  done
  echo "FAIL: nobody leads for the time number $1" && tail -n 5 "$CLUSTER"/log/lockd[12]
  return 1
}

"$cluster_nfs/testnet" up "$net"
nfs_start
mkdir -m 700 "$CLUSTER/etcd"
nsenter --net="/run/netns/$net-srv" -- etcd --data-dir "$CLUSTER/etcd" >"$CLUSTER/log/etcd" 2>&1 &
etcd_pid=$!
for ((i = 0; i < 100; i++)); do
  nsenter --net="/run/netns/$net-srv" -- "$bin/holdfast-lockd" --store "$store" --new-volume >/dev/null 2>&1 && break
  sleep 0.2
done
active=1 standby=2
replica_start 1
wait_leading 1
replica_start 2
node_mount a
node_mount b
log=$CLUSTER/log/torture.log
"$bin/holdfast" torture --mode bank --seconds 40 "$CLUSTER/a" "$CLUSTER/b" >"$log" 2>&1 &
torture=$!
times=1
for fault in KILL KILL STOP TERM; do
  sleep 4
  began=$(date +%s%N)
  kill "-$fault" "${pid[$active]}"
  wait_leading $((++times))
  echo "$fault of the active lockd: the other one leads after $((($(date +%s%N) - began) / 1000000)) ms"
  if [[ $fault == STOP ]]; then
    kill -CONT "${pid[$active]}"
  else
    wait "${pid[$active]}" || true
    replica_start "$active"
  fi
  read -r active standby <<<"$standby $active"
done
status=0
wait "$torture" || status=$?
tail -25 "$log"
((status == 0)) || { echo "FAIL: torture exit $status"; exit 1; }
grep -q ' lockd.deposed ' "$CLUSTER"/log/lockd[12] || { echo "FAIL: the frozen one was not deposed"; exit 1; }
if grep -hE ' (session|locks)\.lost ' "$CLUSTER"/log/[ab].log; then
  echo "FAIL: a mount lost something"
  exit 1
fi
for node in a b; do
  timeout 60 sqlite3 "$CLUSTER/$node/after.db" "PRAGMA busy_timeout=20000; CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1);" >/dev/null
done
rows=$(sqlite3 "$CLUSTER/a/after.db" 'SELECT count(*) FROM t')
[[ $rows == 2 ]] || { echo "FAIL: $rows rows after the fail-overs, expected 2"; exit 1; }
echo PASS
