#!/usr/bin/env bash
# Writing behind (-o cache=tokens; with cache=none all of it goes through): what fsync acknowledged survives restarts of
# the NFS server in the middle of it and the end of the mount's process; what is not yet sent is there for whoever asks
# on another node; SQLite on one mount, and on two in turn.
#   write_behind.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up --lease-ttl 3
a=$CLUSTER/a b=$CLUSTER/b
fail() {
  echo "FAIL: $*"
  exit 1
}
mount_process() { pgrep -f "holdfast mount .* $CLUSTER/$1 "; }

cat >"$CLUSTER/rounds.py" <<'PYTHON'
# rounds.py FILE: round after round writes 40 pages that do not touch, and prints the number of each one that is stable.
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
number = 0
while True:
    number += 1
    for page in range(40):
        os.pwrite(file, number.to_bytes(8, "big") * 512, page * 3 * 4096)
    os.fsync(file)
    print(number, flush=True)
PYTHON
cat >"$CLUSTER/oldest.py" <<'PYTHON'
# oldest.py FILE: the oldest round that any of its pages is of.
import sys
data = open(sys.argv[1], "rb").read()
print(min(int.from_bytes(data[page * 3 * 4096:][:8], "big") for page in range(40)))
PYTHON
cat >"$CLUSTER/insert.py" <<'PYTHON'
# insert.py DATABASE ROWS: a transaction each.
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
database.execute("PRAGMA synchronous=FULL")
for _ in range(int(sys.argv[2])):
    database.execute("INSERT INTO t VALUES (randomblob(300))")
PYTHON
query() {  # query DATABASE SQL
  python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1], timeout=20).execute(sys.argv[2]).fetchone()[0])' "$@"
}

# ---- In turn, without fsync: nobody sees an old size, an old name or old bytes.
for i in {1..5}; do
  for pair in "$a $b" "$b $a"; do
    read -r one other <<<"$pair"
    printf 'line %s\n' "$i" >>"$one/log"
    [[ $(stat -c %s "$one/log") == "$(stat -c %s "$other/log")" ]] || fail "sizes differ in round $i"
    cmp "$one/log" "$other/log" || fail "contents differ in round $i"
    printf 'new %s' "$i" >"$one/config.new"
    mv "$one/config.new" "$one/config"
    [[ $(cat "$other/config") == "new $i" ]] || fail "an old file under the name in round $i"
  done
done
echo "ok    what was written is there for the other node without fsync"

# ---- SQLite
for mode in delete wal; do
  [[ $(query "$a/$mode.db" "PRAGMA journal_mode=$mode") == "$mode" ]] || fail "no $mode"
  python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("CREATE TABLE t(b)")' "$a/$mode.db"
  python3 "$CLUSTER/insert.py" "$a/$mode.db" 20
  for i in {1..3}; do
    python3 "$CLUSTER/insert.py" "$b/$mode.db" 5
    python3 "$CLUSTER/insert.py" "$a/$mode.db" 5
  done
  for node in a b; do
    [[ $(query "$CLUSTER/$node/$mode.db" "SELECT count(*) FROM t") == 50 ]] || fail "rows are missing in $mode on $node"
    [[ $(query "$CLUSTER/$node/$mode.db" "PRAGMA integrity_check") == ok ]] || fail "$mode is damaged"
  done
  echo "ok    SQLite, journal_mode=$mode: one mount, then two in turn"
done

# ---- The server restarts while WRITEs and COMMITs go out, then the mount's process is killed.
python3 "$CLUSTER/rounds.py" "$a/pages" >"$CLUSTER/acknowledged" &
writer=$!
for _ in 1 2; do
  sleep 0.5
  nfs_kill
  nfs_restart
done
sleep 1
kill -KILL "$(mount_process a)"
wait "$writer" 2>/dev/null || true
umount -l "$a"
last=$(tail -1 "$CLUSTER/acknowledged")
((last > 2)) || fail "the writer made no progress"
oldest=$(python3 "$CLUSTER/oldest.py" "$b/pages")
((oldest >= last)) || fail "round $last was acknowledged, but a page is of round $oldest"
echo "ok    $last rounds acknowledged, the oldest page is of round $oldest"
echo PASS
