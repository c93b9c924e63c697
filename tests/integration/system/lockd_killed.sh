#!/usr/bin/env bash
# holdfast-lockd is killed and restarted while both nodes write. What is documented: lock calls wait, later the mounts
# wait; when it is back, everybody keeps the locks they had. No program sees an error, nothing is corrupted, nothing
# acknowledged is lost.
#   lockd_killed.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up --lease-ttl 3
log=$CLUSTER/log/torture.log
"$bin/holdfast" torture --mode bank --seconds 40 "$CLUSTER/a" "$CLUSTER/b" >"$log" 2>&1 &
torture=$!
for _ in 1 2 3; do
  sleep 4
  lockd_kill KILL
  sleep $((RANDOM % 4))  # sometimes within the lease, sometimes beyond it
  lockd_start --lease-ttl 3
done
status=0
wait "$torture" || status=$?
tail -25 "$log"
((status == 0)) || { echo "FAIL: torture exit $status"; exit 1; }
# Life goes on: a fresh transaction from each node.
for node in a b; do
  timeout 60 sqlite3 "$CLUSTER/$node/after.db" "PRAGMA busy_timeout=20000; CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1);" >/dev/null
done
rows=$(sqlite3 "$CLUSTER/a/after.db" 'SELECT count(*) FROM t')
[[ $rows == 2 ]] || { echo "FAIL: $rows rows after the restarts, expected 2"; exit 1; }
echo PASS
