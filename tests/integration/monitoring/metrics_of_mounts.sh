#!/usr/bin/env bash
# What `holdfast metrics` tells of real mounts: calls while they are used; that a mount stands still when lockd is gone,
# and goes on when it is back; that it still tells of one that is stopped; that it says which one is dead.
#   metrics_of_mounts.sh BIN_DIR
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../support/cluster/cluster.sh"

CLUSTER_NODES="a"
cluster_init "$1"
"$cluster_nfs/testnet" up "$net" "${cluster_nodes[@]}"
nfs_start
lockd_start --lease-ttl 2 --status 10.77.0.1:7681
node_mount a

exporter=
fail() {
  echo "FAILED: $*" >&2
  metrics | grep -v _bucket >&2
  [[ -z $exporter ]] || kill "$exporter"
  exit 1
}
metrics() { "$bin/holdfast" metrics | grep "^[a-z].*mount=\"$CLUSTER/a\"" || true; }
# value NAME [LABEL]: of our mount; nothing: there is none
value() { metrics | awk -v name="$1{" -v label="${2-}" 'index($0, name) == 1 && (label == "" || index($0, label)) && !done { print $NF; done = 1 }'; }
is() { awk -v a="$(value "$1" "${4-}")" -v b="$3" "BEGIN { exit !(a != \"\" && a + 0 $2 b + 0) }"; }
# until NAME OP NUMBER [LABEL]: within a minute
until_is() {
  local i
  for ((i = 0; i < 300; i++)); do
    is "$@" && return 0
    sleep 0.2
  done
  fail "$1 is not $2 $3"
}

sqlite3 "$CLUSTER/a/db" 'CREATE TABLE t(x); INSERT INTO t VALUES(1);'
is holdfast_mount_up == 1 || fail "it lives"
is holdfast_mount_requests_total '>' 0 'op="CREATE"' || fail "requests are counted"
is holdfast_mount_request_seconds_count '>' 0 'op="WRITE"' || fail "requests are timed"
is holdfast_mount_nfs_calls_total '>' 0 'procedure="WRITE"' || fail "NFS calls are counted"
is holdfast_mount_nfs_call_seconds_count '>' 0 'procedure="WRITE"' || fail "NFS calls are timed"
is holdfast_mount_lock_call_seconds_count '>' 0 'message="lock"' || fail "locks are timed"
is holdfast_mount_lease_margin_seconds '>' 0 || fail "its lease runs"
is holdfast_mount_requests_under_way == 0 || fail "all is answered"
is holdfast_mount_suspensions_total == 0 || fail "it has not stood still"
lockd_metrics() { on_node srv curl -sf http://10.77.0.1:7681/metrics; }
says=$(lockd_metrics) || fail "lockd serves its metrics"
grep -q '^holdfast_lockd_sessions{phase="live"} 1$' <<<"$says" || fail "lockd knows it"

# The same served, to whoever asks by number, until it is told to end.
: >"$CLUSTER/log/metrics.log"
"$bin/holdfast" metrics --listen 127.0.0.1:0 2>>"$CLUSTER/log/metrics.log" &
exporter=$!
url=
for ((i = 0; i < 100; i++)); do
  url=http://$(sed -n 's/.* metrics\.listening address=//p' "$CLUSTER/log/metrics.log")/metrics
  [[ $url != http:///metrics ]] && break
  sleep 0.1
done
served=$(curl -sf "$url") || fail "it is served"
grep -q "^holdfast_mount_up{.*mount=\"$CLUSTER/a\"} 1$" <<<"$served" || fail "our mount is served"
[[ $(curl -s -o /dev/null -w '%{http_code}' -H 'Host: nas.example' "$url") == 421 ]] || fail "another host is refused"
kill -TERM "$exporter"
wait "$exporter" || fail "holdfast metrics ends with $?"
exporter=

# lockd is gone: the lease ends, the mount stands still; it is back: the mount goes on.
lockd_kill KILL
until_is holdfast_mount_lease_margin_seconds '<' 0
until_is holdfast_mount_suspensions_total == 1
lockd_start --lease-ttl 2 --status 10.77.0.1:7681
until_is holdfast_mount_lease_margin_seconds '>' 0
is holdfast_mount_suspended_seconds_total '>' 0 || fail "it knows that it stood still"
is holdfast_mount_lockd_connects_total '>=' 2 || fail "it connected again"
sqlite3 "$CLUSTER/a/db" 'INSERT INTO t VALUES(2);'

# The process is stopped, and somebody asks it for something: nothing of it runs, its figures are there all the same.
pid=$(sed -n 's/.* mount\.ready .* pid=//p' "$CLUSTER/log/a.log")
kill -STOP "$pid"
until_is holdfast_mount_lease_margin_seconds '<' 0
is holdfast_mount_up == 1 || fail "stopped is not dead"
for ((i = 0; i < 100; i++)); do
  lockd_says=$(lockd_metrics | sed -n 's/^holdfast_lockd_leases_expired_total //p')
  [[ ${lockd_says:-0} -ge 1 ]] && break
  sleep 0.2
done
[[ ${lockd_says:-0} -ge 1 ]] || fail "lockd has not seen the lease end"
kill -CONT "$pid"
until_is holdfast_mount_lease_margin_seconds '>' 0

# It dies.
kill -KILL "$pid"
until_is holdfast_mount_up == 0
[[ -z $(value holdfast_mount_lease_margin_seconds) ]] || fail "who is dead has no lease"
echo "ok"
