#!/usr/bin/env bash
# What people do first: files made on one node are seen on the other, locks exclude across nodes, WAL stays on one
# node, holdfast locks names the holder, and unmounting leaves nothing behind.
#   mounts_of_two_nodes.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up
a=$CLUSTER/a b=$CLUSTER/b
check() { if "${@:2}"; then echo "ok    $1"; else echo "FAIL  $1"; exit 1; fi; }

echo hello >"$a/greeting"
check "a file made on a is read on b" test "$(cat "$b/greeting")" = hello
rm "$b/greeting"
check "removed on b, gone on a" test ! -e "$a/greeting"
check "the marker of the volume is on the export" test -s "$CLUSTER/export/.holdfast-volume"

exec 7>"$a/flag"
flock -x 7
check "flock on a excludes b" bash -c '! flock -xn "$0/flag" true' "$b"
listing=$("$bin/holdfast" locks --socket "$CLUSTER/lockd.sock" --json)
check "holdfast locks shows it" grep -q flock <<<"$listing"
exec 7>&-
check "closing frees it" flock -xw 10 "$b/flag" true

sqlite3 "$a/wal.db" 'PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1);' >/dev/null
coproc keeper { sqlite3 "$a/wal.db"; }
echo 'SELECT count(*) FROM t;' >&"${keeper[1]}"
read -r rows <&"${keeper[0]}"
check "a WAL database works on a" test "$rows" = 1
second=$(sqlite3 "$b/wal.db" 'PRAGMA busy_timeout=500; SELECT count(*) FROM t;' 2>&1 || true)
check "while b is told it is locked" grep -q 'database is locked' <<<"$second"
check "a second process on a shares it" test "$(sqlite3 "$a/wal.db" 'INSERT INTO t VALUES(2); SELECT count(*) FROM t;')" = 2
check "no -shm on the export" test ! -e "$CLUSTER/export/wal.db-shm"
eval "exec ${keeper[1]}>&-"
wait "$keeper_PID" 2>/dev/null || true
check "after a has closed, b takes over" test "$(sqlite3 "$b/wal.db" 'PRAGMA busy_timeout=5000; INSERT INTO t VALUES(3); SELECT count(*) FROM t;' | tail -1)" = 3

node_unmount a
node_unmount b
check "nothing is mounted any more" bash -c '! grep -q "$0" /proc/self/mounts' "$CLUSTER"
check "no silly names are left on the export" bash -c '! ls -A "$0" | grep -iE "silly|\.nfs"' "$CLUSTER/export"
check "no error was logged" bash -c '! grep -hE " error " "$0"/log/*.log' "$CLUSTER"
echo PASS
