#!/usr/bin/env bash
# Files and names that are changed on the server itself, of which no token tells: seen at the next open or lookup once
# what is kept is older than acregmin=, acdirmin=. What this node has written and not sent is not lost to that, and what
# it has written itself is not taken for such a change. With -o cache=none all of it is seen at once.
#   changed_on_the_server.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
CLUSTER_NODES="a b"
cluster_init "$1"
"$cluster_nfs/testnet" up "$net" a b
nfs_start
lockd_start
node_mount a acregmin=1,acregmax=1,acdirmin=1,debug
a=$CLUSTER/a server=$CLUSTER/export
fail() {
  echo "FAIL: $*"
  exit 1
}
sees() {  # sees WHAT COMMAND…: within 30 s
  local what=$1 i
  shift
  for ((i = 0; i < 300; i++)); do
    "$@" && return 0
    sleep 0.1
  done
  fail "$what is not seen"
}
is() { [[ $(cat "$1" 2>/dev/null) == "$2" ]]; }
absent() { [[ ! -e $1 ]]; }
received() {  # bytes that READs of node a have brought so far
  local before
  before=$(grep -c mount.counters "$CLUSTER/log/a.log" || true)
  kill -USR1 "$(pgrep -f "holdfast mount .* $a ")"
  while (($(grep -c mount.counters "$CLUSTER/log/a.log" || true) == before)); do sleep 0.05; done
  grep mount.counters "$CLUSTER/log/a.log" | tail -1 | grep -o "nfs.bytes_received=[0-9]*" | cut -d= -f2
}
noticed() { grep -c fuse.changed_elsewhere "$CLUSTER/log/a.log" || true; }

# ---- A file
printf 'one' >"$a/file"
sync "$a/file"
for _ in 1 2 3; do
  is "$a/file" one || fail "its own file"  # and now pages of it are kept
done
touch -r "$server/file" "$CLUSTER/mtime"
printf 'two' >"$server/file"
touch -r "$CLUSTER/mtime" "$server/file"  # as cp -p and tar do: neither size nor mtime tell
sees "new content" is "$a/file" two
printf 'longer' >"$server/file"
sees "another size" is "$a/file" longer
[[ $(stat -c %s "$a/file") == 6 ]] || fail "content and size differ"
chmod 640 "$server/file"
mode() { [[ $(stat -c %a "$a/file") == 640 ]]; }
sees "another mode" mode
echo "ok    content, size, mode"

# ---- Names
mkdir "$a/dir"
absent "$a/dir/x" || fail "nobody made it"
printf 'x' >"$server/dir/x"
sees "a new name" is "$a/dir/x" x
printf 'y' >"$server/dir/y"
mv "$server/dir/y" "$server/dir/x"
sees "a file in another's place" is "$a/dir/x" y
rm "$server/dir/x"
sees "a removal" absent "$a/dir/x"
[[ -z $(ls "$a/dir") ]] || fail "it is listed still"
(while :; do : >"$a/dir/journal" && rm "$a/dir/journal"; done) 2>/dev/null &  # as SQLite does
busy=$!
printf 'z' >"$server/dir/x"
sees "a new name in a directory where this node makes and removes files" is "$a/dir/x" z
kill "$busy"
wait "$busy" 2>/dev/null || true
rm -rf "$server/dir"
sees "a directory's end" absent "$a/dir"
echo "ok    names: made, replaced, removed"

# ---- What is written and not sent stays
python3 - "$a/both" "$server/both" <<'PYTHON'
import os, sys, time
ours, theirs = sys.argv[1:]
file = os.open(ours, os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(file, b"-" * 12288, 0)
os.fsync(file)
for turn in range(5):
    mine, foreign = (kind + str(turn).encode() for kind in (b"mine", b"foreign"))
    other = os.open(theirs, os.O_RDWR)
    os.pwrite(file, mine, 0)  # stays in memory for some seconds
    os.pwrite(other, foreign, 8192)
    os.close(other)
    for _ in range(300):
        os.pwrite(file, mine, 4096)
        again = os.open(ours, os.O_RDONLY)
        data = os.read(again, 12288)
        os.close(again)
        if not (data[:len(mine)] == data[4096:4096 + len(mine)] == mine):
            sys.exit(f"FAIL: turn {turn}: {data[:8]}, {data[4096:4104]} is not what was written")
        if data[8192:8192 + len(foreign)] == foreign:
            break
        time.sleep(0.1)
    else:
        sys.exit("FAIL: the server's change is not seen while this node writes")
    os.fsync(file)
    stored = open(theirs, "rb").read()
    if not (stored[:len(mine)] == stored[4096:4096 + len(mine)] == mine and stored[8192:].startswith(foreign)):
        sys.exit("FAIL: not stored")
PYTHON
echo "ok    nothing that was written is lost"

# ---- What nobody else has changed is kept, and what this node writes is not taken for somebody else's
if [[ ${HOLDFAST_TEST_CACHE:-none} == tokens ]]; then
  (($(noticed) > 0)) || fail "nothing of that was noticed?"
  head -c 300000 /dev/urandom >"$a/kept"
  sync "$a/kept"
  cat "$a/kept" >/dev/null
  before=$(noticed) received_before=$(received)
  for _ in 1 2 3; do
    sleep 1.1
    cat "$a/kept" >/dev/null
  done
  # Not by the byte: a kernel that is short of memory drops a page now and then.
  (($(received) - received_before < 150000)) || fail "it was read again"
  for _ in 1 2 3; do
    printf 'x' >>"$a/kept"
    sleep 1.1
    cat "$a/kept" >/dev/null
    sync "$a/kept"
    cmp "$a/kept" "$server/kept" || fail "contents differ"
    dd if=/dev/zero of="$a/kept" bs=1000 count=100 conv=notrunc,fsync status=none
    mv "$a/kept" "$a/moved"
    ln "$a/moved" "$a/kept"
    rm "$a/moved"
    chmod 600 "$a/kept"
    sleep 1.1
    cmp "$a/kept" "$server/kept" || fail "contents differ"
  done
  [[ $(noticed) == "$before" ]] || fail "its own changes were taken for somebody else's"
  echo "ok    what nobody else has changed is kept"
fi

# ---- Asked each time
node_mount b noac
python3 - "$CLUSTER/b/db" <<'PYTHON'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("CREATE TABLE t(b)")
for _ in range(10):
    database.execute("INSERT INTO t VALUES (randomblob(300))")
assert database.execute("SELECT count(*) FROM t").fetchone()[0] == 10
PYTHON
for i in {1..5}; do
  printf '%s' "$i" >"$server/now"
  is "$CLUSTER/b/now" "$i" || fail "noac: round $i is not seen at once"
  rm "$server/now"
  absent "$CLUSTER/b/now" || fail "noac: the removal in round $i is not seen at once"
done
echo "ok    noac: seen at once"
echo PASS
