#!/usr/bin/env bash
# The NFS server is killed and restarted again and again while both nodes write. Hard mounts wait: no transaction
# fails with an I/O error, every acknowledged one is there afterwards, nothing is torn.
#   nfs_server_killed.sh BIN_DIR [KILLS]
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
kills=${2:-20}
cluster_init "$1"
cluster_up
log=$CLUSTER/log/torture.log
"$bin/holdfast" torture --mode bank --seconds $((kills * 4)) "$CLUSTER/a" "$CLUSTER/b" >"$log" 2>&1 &
torture=$!
done_kills=0
while kill -0 "$torture" 2>/dev/null && ((done_kills < kills)); do
  sleep 1.$((RANDOM % 10))
  nfs_kill
  nfs_restart
  done_kills=$((done_kills + 1))
done
status=0
wait "$torture" || status=$?
tail -25 "$log"
echo "server killed and restarted $done_kills times"
((done_kills == kills)) || { echo "FAIL: torture ended after $done_kills of $kills kills"; exit 1; }
((status == 0)) || { echo "FAIL: torture exit $status"; exit 1; }
echo PASS
