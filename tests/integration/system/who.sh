#!/usr/bin/env bash
# From "database is locked" to the process: holdfast who on any node, whoever decides the lock, and whatever hangs.
#   who.sh BIN_DIR
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
who() { timeout 20 "$bin/holdfast" who "$@"; }
# says PATTERN PATH: who of it has a line like that
says() {
  local text
  text=$(who "$2") || fail "who $2: exit $?"
  grep -qE "$1" <<<"$text" || fail "who $2 does not say \"$1\" but: $text"
}

cat >"$CLUSTER/hold.py" <<'PYTHON'
# hold.py FILE: locks it and waits to be killed.
import fcntl, os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
PYTHON
hold() {  # hold FILE: in the background; $held is its process, once it has the lock
  rm -f "$CLUSTER/held"
  python3 "$CLUSTER/hold.py" "$1" >"$CLUSTER/held" &
  held=$!
  for _ in {1..100}; do
    grep -qs locked "$CLUSTER/held" && return 0
    sleep 0.1
  done
  fail "no lock on $1"
}

# ---- Nobody
says '^nobody has or wants a lock' "$a/." 
[[ $(who --json "$a/.") == *'"locks":[]'* ]] || fail "json of nothing"

# ---- The drill: an application is told that its database is locked; the next command names the process.
sqlite3 "$a/app.db" 'CREATE TABLE t(x)'
python3 - "$a/app.db" >"$CLUSTER/writer.out" <<'PYTHON' &
import os, sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print(os.getpid(), flush=True)
time.sleep(600)
PYTHON
writer=$!
for _ in {1..100}; do [[ -s $CLUSTER/writer.out ]] && break; sleep 0.1; done
said=$(sqlite3 "$b/app.db" 'INSERT INTO t VALUES (1)' 2>&1) && fail "two writers"
[[ $said == *locked* ]] || fail "sqlite says: $said"
says "^held .* $writer python3 .* RESERVED " "$b/app.db"
kill "$writer"
wait "$writer" || true
echo "ok    from \"database is locked\" to the process with one command, on another node"

# ---- A lock that the mount decides itself under its token: told all the same, and no token moves.
hold "$a/one"
for _ in 1 2; do
  says "^held +[^ ]+ +$held python3 .* exclusive +whole file" "$a/one"
  if [[ ${HOLDFAST_TEST_CACHE:-} == tokens ]]; then
    [[ $(who --json "$a/one") == *'"decided":"mount"'* ]] || fail "asking has moved the token"
  fi
done
# On the other node, where looking the path up takes what any stat takes.
says "^held +[^ ]+ +$held python3 .* exclusive +whole file" "$b/one"
[[ $(who --json "$b/one") == *"\"pid\":$held,\"process\":\"python3\""* ]] || fail "json: $(who --json "$b/one")"
echo "ok    what a mount has decided itself is told, and stays its own"

# ---- Who waits behind whom.
python3 "$CLUSTER/hold.py" "$b/one" >/dev/null &
waiter=$!
for _ in {1..100}; do
  who "$a/one" | grep -q "^waiting .* $waiter python3 .* $held python3\$" && break
  sleep 0.1
done
says "^waiting .* $waiter python3 .* $held python3\$" "$a/one"
echo "ok    who waits is told with whom it waits for"

# ---- The holder's mount hangs: the answer comes all the same, and says what is missing.
mount_a=$(mount_process a)
kill -STOP $mount_a
if [[ ${HOLDFAST_TEST_CACHE:-} == tokens ]]; then
  # To look the path up may itself take a token that the hanging mount has: then that is said, within some seconds.
  who "$b/one" >"$CLUSTER/out" 2>&1 || true
  grep -qE "^held .* $held |does not answer within" "$CLUSTER/out" || fail "who says: $(cat "$CLUSTER/out")"
else
  says "^held .* $held " "$b/one"
  says '^note: node .*/a\) (did not say which processes|is out of reach)' "$b/one"
fi
# On the node of the mount that hangs: said soon, and why.
sleep 4
who "$a/never-looked-at" >"$CLUSTER/out" 2>&1 && fail "a mount that is stopped answers"
grep -qE "does not answer within 1 s: hanging: its process .* has not run for" "$CLUSTER/out" || fail "who says: $(cat "$CLUSTER/out")"
kill -CONT $mount_a
kill "$waiter" "$held"
wait "$waiter" "$held" || true
for _ in {1..100}; do timeout 5 stat "$a/one" "$b/one" >/dev/null 2>&1 && break; sleep 0.2; done
echo "ok    a mount that hangs is named"

# ---- lockd is away: the mount tells what it knows. Its programs stop only when its lease is over.
hold "$a/two"
lockd_kill KILL
says '^note: lockd does not answer this mount' "$a/two"
says "^held .* $held python3" "$a/two"
lockd_start --lease-ttl 3
for _ in {1..150}; do
  who "$b/two" >"$CLUSTER/two" && grep -q "^held .* $held python3" "$CLUSTER/two" && ! grep -q ^note "$CLUSTER/two" && break
  sleep 0.2
done
says "^held .* $held python3" "$b/two"
kill "$held"
wait "$held" || true
echo "ok    without lockd, what is known here; with it again, everything"

# ---- Elsewhere
got=0
who /proc/self/status 2>"$CLUSTER/err" || got=$?
((got == 1)) || fail "exit $got outside a mount"
grep -q 'not on a Holdfast mount' "$CLUSTER/err" || fail "says: $(cat "$CLUSTER/err")"
echo PASS
