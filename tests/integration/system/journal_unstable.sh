#!/usr/bin/env bash
# A program on node a is in a transaction: it holds the database's lock and has written the journal, not yet stable. The
# NFS server restarts, which makes a send the journal again. That must be over before the lock goes, however the program
# ends: else it lands in the journal that node b writes by then. And if the lock is lost while the program is being
# killed, the journal must not be sent any more.
#   journal_unstable.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up --lease-ttl 3
cat >"$CLUSTER/writer.py" <<'PYTHON'
# writer.py DIRECTORY TEXT: locks db, writes TEXT into the journal, says so, and obeys what comes from stdin.
import fcntl, os, sys
directory, text = sys.argv[1], sys.argv[2].ljust(16).encode()
db = os.open(f"{directory}/db", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(db, fcntl.LOCK_EX)
journal = os.open(f"{directory}/db-journal", os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(journal, text, 0)
print("written", flush=True)
for line in sys.stdin:
    if line == "sync\n":
        os.fsync(journal)
    elif line == "unlock\n":
        fcntl.lockf(db, fcntl.LOCK_UN)
    elif line == "close\n":
        os.close(journal)
    print(f"done {line}", end="", flush=True)
PYTHON
declare -A pid
start() {  # start NODE TEXT FD: its stdin is FD
  rm -f "$CLUSTER/$1.in"
  mkfifo "$CLUSTER/$1.in"
  python3 "$CLUSTER/writer.py" "$CLUSTER/$1" "$2" <"$CLUSTER/$1.in" >"$CLUSTER/$1.out" 2>&1 &
  pid[$1]=$!
  eval "exec $3>$CLUSTER/$1.in"
}
says() {  # says NODE TEXT: waits for that line
  local i
  for ((i = 0; i < 600; i++)); do
    grep -qx "$2" "$CLUSTER/$1.out" && return 0
    sleep 0.1
  done
  echo "FAIL: node $1 does not come to '$2':"
  cat "$CLUSTER/$1.out"
  exit 1
}

for end in unlock kill loss; do
  start a "old $end" 8
  says a written
  if [[ $end == loss ]]; then
    exec 7<"$CLUSTER/a/db"  # somebody of whom it is known that he loses
    on_node a nft 'add table inet cut; add chain inet cut out { type filter hook output priority 0; }; add rule inet cut out tcp dport 7680 drop'
    for ((i = 0; i < 300; i++)); do
      grep -q fuse.suspended "$CLUSTER/log/a.log" && break
      sleep 0.1
    done
  fi
  nfs_kill
  nfs_restart 7<&-
  if [[ $end == unlock ]]; then
    echo unlock >&8
    says a "done unlock"
  else
    kill -KILL "${pid[a]}"
  fi
  start b "new $end" 9
  says b written
  echo sync >&9
  says b "done sync"
  if [[ $end == unlock ]]; then
    echo close >&8
    says a "done close"
  elif [[ $end == loss ]]; then
    on_node a nft delete table inet cut
    for ((i = 0; i < 300; i++)); do
      grep -q fuse.locks_lost "$CLUSTER/log/a.log" && break
      sleep 0.1
    done
    wait "${pid[a]}" 2>/dev/null || true  # its closes are over
    exec 7<&-
  fi
  for node in a b; do
    kill -KILL "${pid[$node]}" 2>/dev/null || true
    wait "${pid[$node]}" 2>/dev/null || true
  done
  read -r found <"$CLUSTER/export/db-journal" || true  # without the padding
  [[ $found == "new $end" ]] || { echo "FAIL: the journal of b is '$found' after a's $end"; exit 1; }
  echo "ok    a's journal does not come back after its $end"
done
echo PASS
