#!/usr/bin/env bash
# A mount that meets a limit of lockd: its program gets ENOLCK and loses nothing, and its log says which limit it was,
# what that means and which option raises it. Where something is lost, it says so.
#   limits.sh BIN_DIR
set -euo pipefail
# shellcheck source=tests/support/cluster/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up --limit ranges_of_session=3
a=$CLUSTER/a b=$CLUSTER/b
fail() {
  echo "FAIL: $*"
  grep -h limit "$CLUSTER"/log/*.log || true
  exit 1
}

# locker.py FILE: "lock BYTE", "unlock BYTE", "write"; each is answered with ok or the error's name.
cat >"$CLUSTER/locker.py" <<'PYTHON'
import errno, fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
for line in sys.stdin:
    words = line.split()
    try:
        if words[0] == "lock":
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(words[1]))
        elif words[0] == "unlock":
            fcntl.lockf(file, fcntl.LOCK_UN, 1, int(words[1]))
        else:
            os.pwrite(file, b"written", 0)
            os.fsync(file)
        print("ok", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
PYTHON
declare -A ask tell
locker() {  # locker NAME FILE: one that is told what to do
  mkfifo "$CLUSTER/$1.in" "$CLUSTER/$1.out"
  python3 "$CLUSTER/locker.py" "$2" <"$CLUSTER/$1.in" >"$CLUSTER/$1.out" &
  local in out
  exec {in}>"$CLUSTER/$1.in" {out}<"$CLUSTER/$1.out"
  ask[$1]=$in tell[$1]=$out
}
does() {  # does NAME COMMAND EXPECTED
  local said
  echo "$2" >&"${ask[$1]}"
  read -r -t 60 said <&"${tell[$1]}" || fail "$1: $2: no answer"
  [[ $said == "$3" ]] || fail "$1: $2: $said, not $3"
}
leaves() {  # leaves NAME
  local in=${ask[$1]} out=${tell[$1]}
  exec {in}>&- {out}<&-
}
logged() {  # logged LOG PATTERN
  for _ in {1..50}; do
    grep -qE "$2" "$CLUSTER/log/$1.log" && return 0
    sleep 0.1
  done
  fail "$1.log has no line like: $2"
}

# ---- Another node has a lock in the file all the time: so lockd decides, with tokens too.
locker there "$b/data"
does there 'lock 1000' ok
locker here "$a/data"
for byte in 0 2 4; do does here "lock $byte" ok; done
does here 'lock 6' ENOLCK
logged a ' limit\.met limit=ranges_of_session max=3 by=[0-9.]+:7680 .*told ENOLCK; nothing is lost".*--limit ranges_of_session=NUMBER'
session=$("$bin/holdfast" sessions --json --socket "$CLUSTER/lockd.sock" | grep -oE '"session":"[0-9a-f]+","node":"[^"]*","mountpoint":"'"$a"'"' | cut -d'"' -f4)
logged lockd " limit\.refused limit=ranges_of_session max=3 session=$session .*--limit ranges_of_session=NUMBER"
echo "ok    a lock above the limit is ENOLCK; the mount's log and lockd's name the limit and the option"

# ---- Nothing is lost: what is locked stays locked, what is written stays, and there is room again after an unlock.
does here write ok
does there 'lock 2' EAGAIN
does here 'unlock 4' ok
does here 'lock 6' ok
does there 'lock 4' ok
[[ $(head -c 7 "$b/data") == written ]] || fail "what was written is not there"
for _ in {1..20}; do does here 'lock 8' ENOLCK; done
[[ $(grep -c 'limit\.met limit=ranges_of_session' "$CLUSTER/log/a.log") == 1 ]] || fail "a line for each refused call"
leaves here
leaves there
echo "ok    nothing is lost, and twenty more refusals within the minute are no further line"

# ---- What a mount has granted itself and cannot hand over is lost, and called so.
if [[ ${HOLDFAST_TEST_CACHE:-} == tokens ]]; then
  locker alone "$a/own"
  for byte in 0 2 4 6 8; do does alone "lock $byte" ok; done
  locker other "$b/own"
  does other 'lock 100' ok
  logged a ' limit\.met limit=ranges_of_session .*locks of a file, and what was not synced there, are lost; programs get EIO'
  does alone write EIO
  leaves alone
  leaves other
  echo "ok    locks that lockd cannot take over are called lost"
fi

# ---- A mount that is not let in. lockd is started anew with another limit; those that are there keep theirs.
lockd_kill TERM
lockd_start --limit sessions=2
node_mount a "" third >"$CLUSTER/out" 2>&1 && fail "a third mount"
grep -q '(limit sessions, 2)' "$CLUSTER/out" || fail "the mount says: $(cat "$CLUSTER/out")"
grep -q -- '--limit sessions=NUMBER' "$CLUSTER/out" || fail "the mount says: $(cat "$CLUSTER/out")"
timeout 60 sh -c "echo still >'$a/still' && cat '$b/still'" | grep -qx still || fail "the mounts of before do not go on"
echo "ok    a mount too many is told which limit, and which option raises it"
