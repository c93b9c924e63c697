#!/usr/bin/env bash
# Pods that wait for a lock are told who has it, whatever Kubernetes' API server does; and nothing else waits for it.
#   events.sh BIN_DIR
# Two mounts, processes in control groups named like pods', and a stand-in for the API server (tests/support/kubernetes).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() {
  echo "FAIL: $*"
  exit 1
}

# ---- A node of our own: its runtime directory, and what kubelet leaves of pods.
if [[ -z ${EVENTS_INSIDE-} ]]; then
  groups=
  for place in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/pids /sys/fs/cgroup/systemd; do
    [[ -e $place/cgroup.procs ]] && mkdir "$place/holdfast-events.$$" 2>/dev/null && groups=$place/holdfast-events.$$ && break
  done
  [[ -n $groups ]] || { echo "SKIP: no control groups of our own"; exit 77; }
  # A process that was killed leaves its group a moment later.
  trap 'for i in {1..50}; do find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null && break; sleep 0.2; done' EXIT
  EVENTS_INSIDE=$groups unshare --mount --propagation private "$0" "$@"
  exit
fi
# This namespace's copies of FUSE mounts would keep their file systems alive after they are unmounted outside.
awk '$3 ~ /^fuse(\.|$)/ {print $2}' /proc/self/mounts | while read -r at; do umount -l -c "$at" || true; done
mkdir -p /run/holdfast
mount -t tmpfs none /run/holdfast
mount -t tmpfs none /var/log
mkdir /var/log/pods

source "$here/../../support/cluster/cluster.sh"
cluster_init "$1"
a=$CLUSTER/a b=$CLUSTER/b api=$CLUSTER/api log=$CLUSTER/log/events.log
mkdir "$api"
api_pid='' events_pid='' pids=()
end() {
  local status=$?
  set +e
  kill "${pids[@]}" $events_pid $api_pid 2>/dev/null
  wait "${pids[@]}" $events_pid $api_pid 2>/dev/null
  umount "$CLUSTER/run"
  (exit $status)
  cluster_down
}
mkdir "$CLUSTER/run"
mount --bind /run/holdfast "$CLUSTER/run"
mount -o remount,bind,ro "$CLUSTER/run"
trap end EXIT
cluster_up --lease-ttl 3

# ---- Pods
pod() {  # pod NAMESPACE NAME NUMBER: prints where its processes go
  local uid=0123456$3-89ab-cdef-0123-456789abcdef
  local group=$EVENTS_INSIDE/kubepods/pod$uid/$(printf 'c%.0s' {1..64})
  mkdir -p "$group" "/var/log/pods/$1_$2_$uid"
  echo "$group"
}
vault=$(pod vault vaultwarden-0 1)
shop=$(pod shop app-0 2)
cron=$(pod shop cron-7 3)
cat >"$CLUSTER/hold.py" <<'PYTHON'
# hold.py FILE GROUP: locks it, says so and waits to be killed; in that control group, if one is given.
import fcntl, os, sys, time
if len(sys.argv) > 2:
    with open(sys.argv[2] + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
PYTHON
says=()  # of each process: the file with what it says
lock() {  # lock FILE [GROUP]: in the background; $locker is its process
  local out=$CLUSTER/lock.${#says[@]}
  python3 "$CLUSTER/hold.py" "$@" >"$out" &
  locker=$!
  says[$locker]=$out
  pids+=("$locker")
}
release() {
  kill "$1"
  wait "$1" 2>/dev/null || true
}
until_true() {  # until_true SECONDS WHAT COMMAND...
  local seconds=$1 what=$2 i
  shift 2
  for ((i = 0; i < seconds * 5; i++)); do
    "$@" && return 0
    sleep 0.2
  done
  fail "not within $seconds s: $what; the log: $(tail -5 "$log"); the API server was asked: $(tail -3 "$api/said" 2>/dev/null)"
}
locked() { grep -qs locked "${says[$1]}"; }

# ---- The API server
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout "$api/ca.key" -out "$api/ca.pem" -subj /CN=ca 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$api/server.key" -out "$api/server.csr" -subj /CN=kubernetes 2>/dev/null
openssl x509 -req -in "$api/server.csr" -CA "$api/ca.pem" -CAkey "$api/ca.key" -days 2 -out "$api/server.pem" \
  -extfile <(echo subjectAltName=IP:127.0.0.1) 2>/dev/null
echo ok >"$api/mode"
echo token-1 >"$api/token"
cp "$api/token" "$CLUSTER/token"
: >"$api/said"
api_start() {
  python3 "$here/../../support/kubernetes/fake_api.py" "$api" "$@" 2>"$CLUSTER/log/api.log" &
  api_pid=$!
  until_true 20 "the API server listens" test -s "$api/port"
  port=$(<"$api/port")
}
api_stop() {
  kill "$api_pid"
  wait "$api_pid" 2>/dev/null || true
  api_pid=
}
events_start() {
  # As in the chart: root without rights, and what mounts publish is read-only.
  setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \
    "$bin/holdfast" events --after 2 --api "127.0.0.1:$port" --token "$CLUSTER/token" --ca "${1:-$api/ca.pem}" \
    --directory "$CLUSTER/run" --node node-a 2>>"$log" &
  events_pid=$!
}
events_stop() {
  kill "$events_pid"
  local status=0
  wait "$events_pid" || status=$?
  ((status == 0)) || fail "holdfast events ends with $status"
  events_pid=
}
# said JQ-LIKE: how many requests have this text, with these others
said() {
  local count=0 line word
  while IFS= read -r line; do
    for word in "$@"; do [[ $line == *"$word"* ]] || continue 2; done
    count=$((count + 1))
  done <"$api/said"
  echo "$count"
}
is_said() { (($(said "$@") > 0)); }
in_log() { grep -q -e "$1" "$log"; }

# ---- Outside Kubernetes there is nobody to tell.
got=0
"$bin/holdfast" events 2>"$CLUSTER/err" || got=$?
((got == 1)) && grep -q 'this is no pod of Kubernetes' "$CLUSTER/err" || fail "exit $got: $(cat "$CLUSTER/err")"
got=0
"$bin/holdfast" events --api nowhere 2>/dev/null || got=$?
((got == 2)) || fail "exit $got for a wrong --api"

# ---- A pod waits for another's lock, on another node.
api_start
events_start
lock "$a/one" "$vault"
holder=$locker
until_true 20 "the lock is held" locked "$holder"
lock "$b/one" "$shop"
waiter=$locker
until_true 30 "the waiting pod is told" is_said '"method": "POST"' '"status": 201' '"namespace": "shop"' '"name": "app-0"'
is_said "In its way: process $holder (python3) of pod vault/vaultwarden-0 on node " || fail "who holds it: $(cat "$api/said")"
is_said "Process $waiter (python3) has waited " 'exclusive lock (whole file)' ':/export' || fail "who waits: $(cat "$api/said")"
is_said '"related": {' '"name": "vaultwarden-0"' || fail "the holder's pod is not related"
begun=$SECONDS
echo "ok    the waiting pod is told who has the lock: pod, node and process"

# ---- Once; others of the pod, and who is in no pod, change nothing.
lock "$b/one" "$shop"
lock "$b/one"
lock "$a/two"
until_true 20 "a free lock is free" locked "$locker"
sleep 8
(($(said '"method": "POST"') == 1)) || fail "told more than once: $(cat "$api/said")"
lock "$b/one" "$cron"
until_true 30 "another pod is told too" is_said '"name": "cron-7"'
(($(said '"method": "POST"') == 2)) || fail "told more than once each: $(cat "$api/said")"
echo "ok    once for a pod and a file, and nobody who is in no pod"

# ---- A mount that hangs: nothing is forgotten, nothing ends.
mount_b=$(pgrep -f "holdfast mount .* $CLUSTER/b ")
kill -STOP $mount_b
sleep 16  # longer than it takes to give up a question
kill -CONT $mount_b
kill -0 "$events_pid" || fail "holdfast events has ended"
until_true 90 "the wait is counted on" is_said '"method": "PATCH"' '"status": 200' '"count": 2'
((SECONDS - begun >= 55)) || fail "counted on after $((SECONDS - begun)) s"
(($(said '"method": "POST"') == 2)) || fail "told anew after a hang: $(cat "$api/said")"
echo "ok    a wait that goes on is counted on, also over a hang of its mount"

# ---- It ends with the wait.
for one in "${pids[@]}"; do release "$one"; done
pids=()

# ---- What the API server does harms nothing, is said once, and is over when it is over.
# trouble MODE PATTERN: a wait while the API server is like that
trouble() {
  local lines
  lines=$(wc -l <"$log")
  echo "$1" >"$api/mode"
  lock "$a/$1" "$vault"
  holder=$locker
  until_true 20 "$1: a lock is held" locked "$holder"
  lock "$b/$1" "$shop"
  waiter=$locker
  until_true 60 "$1: it is said" in_log "$2"
  sleep 5
  (($(tail -n +$((lines + 1)) "$log" | grep -c -e "$2") == 1)) || fail "$1: said more than once: $(cat "$log")"
  release "$holder"
  until_true 20 "$1: the lock is handed over" locked "$waiter"
  release "$waiter"
  echo ok >"$api/mode"
}
trouble forbidden 'events.not_told.*HTTP status 403.*may not create and patch events'
trouble slow 'events.not_told.*no answer.*networkPolicy.apiPorts'
trouble terminating 'events.refused .*status=403'
echo "ok    an API server that refuses, or is slow: said once, with what to do; locks go on"

api_stop
lock "$a/three" "$vault"
holder=$locker
until_true 20 "a lock is held" locked "$holder"
lock "$b/three" "$shop"
waiter=$locker
until_true 150 "that it is gone is said" in_log 'events.not_told.*cannot connect'
# It comes back, with another token: the old one is not good any more.
echo token-2 | tee "$api/token" >"$CLUSTER/token"
rm "$api/port"
api_start "$port"
before=$(said '"method": "POST"' '"status": 201')
until_true 150 "the pod is told late" eval '(($(said "\"method\": \"POST\"" "\"status\": 201") > before))'
in_log events.told_again || fail "that it goes again is not said"
release "$holder"
until_true 20 "the lock is handed over" locked "$waiter"
release "$waiter"
events_stop
echo "ok    an API server that is gone and comes back, with a new token"

# ---- Somebody else's API server gets no token.
before=$(wc -l <"$api/said")
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout "$api/other.key" -out "$api/other.pem" -subj /CN=ca 2>/dev/null
events_start "$api/other.pem"
lock "$a/four" "$vault"
holder=$locker
until_true 20 "a lock is held" locked "$holder"
lock "$b/four" "$shop"
until_true 30 "a wrong certificate is said" in_log 'events.not_told.*ca.crt is not that of this API server'
(($(wc -l <"$api/said") == before)) || fail "a stranger was told"
events_stop
! in_log ' error ' || fail "errors in the log: $(cat "$log")"
echo "ok    an API server with another certificate is told nothing"
echo PASS
