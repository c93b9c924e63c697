#!/usr/bin/env bash
# holdfast status says what a mount waits for while it waits: lockd, the NFS server, its own process; and when it is dead.
#   status.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up --lease-ttl 3
a=$CLUSTER/a
fail() {
  echo "FAIL: $*"
  exit 1
}
mount_process() { pgrep -f "holdfast mount .* $CLUSTER/$1 "; }
# comes_to CODE PATTERN: within some time status of node a's mount says so, and exits so
comes_to() {
  local code=$1 got text
  for _ in {1..150}; do
    got=0
    text=$(timeout 10 "$bin/holdfast" status "$a") || got=$?
    ((got == code)) && grep -qE "$2" <<<"$text" && return 0
    sleep 0.2
  done
  fail "status does not come to $code \"$2\" but says ($got): $text"
}

echo hello >"$a/file"
comes_to 0 '^[^ ]+/a \(10.77.0.1:/export\): serving$'
comes_to 0 'process [0-9]+ for .* at lockd 10.77.0.1:7680, lease for another [0-9]'
"$bin/holdfast" top --once --interval 0.2 "$a" | grep -q "^$a  *serving" || fail top
[[ $("$bin/holdfast" top --json --interval 0.2 "$a") == *'"per_second":{'* ]] || fail "top --json"
[[ $("$bin/holdfast" status --json "$a/file") == *'"health":"serving"'* ]] || fail "status --json"
echo "ok    a mount that serves"

lockd_kill KILL
comes_to 1 'waiting for lockd at 10.77.0.1:7680 since [0-9]+s: it cannot be reached \(Connection refused\)'
lockd_start --lease-ttl 3
comes_to 0 ': serving$'
echo "ok    waits for lockd, and goes on"

nfs_kill
stat "$a/nothing" >/dev/null 2>&1 &
looking=$!
comes_to 1 "waiting for NFS since [0-9]+s: [A-Z]+ of .* oldest request [0-9]+s [A-Z]+ of process $looking"
nfs_restart
comes_to 0 ': serving$'
wait "$looking" || true
echo "ok    waits for the NFS server, names the oldest request and who asks"

mount_a=$(mount_process a)
kill -STOP $mount_a
comes_to 1 'hanging: its process \([0-9]+\) has not run for [0-9]+s'
kill -CONT $mount_a
comes_to 0 ': serving$'
number=$("$bin/holdfast" status --json "$a" | sed -n 's/.*"connection":"\([0-9]*\)".*/\1/p')
kill -KILL $mount_a
comes_to 1 'its process is dead'
# As long as it stands, what it left tells of it; then it goes with the next mount.
published=(/run/holdfast/{mount-"$number".sock,counters-"$number",state-"$number"})
identities() { stat -c '%i %W' "${published[@]}" 2>/dev/null || true; }  # the next mount may get the number again
node_mount a "" beside
comes_to 1 'its process is dead'
mapfile -t its_own < <(identities)
((${#its_own[@]} == 3)) || fail "of a dead mount that stands not all is there: $(ls /run/holdfast)"
umount -l "$a"
got=0
"$bin/holdfast" status "$a" 2>"$CLUSTER/err" || got=$?
((got == 3)) || fail "exit $got without a mount"
for _ in {1..300}; do [[ -e /sys/fs/fuse/connections/$number ]] || break; sleep 0.2; done
[[ ! -e /sys/fs/fuse/connections/$number ]] || fail "the connection of the dead mount goes on: $(grep -l "/a fuse" /proc/[0-9]*/mounts)"
node_mount a "" next
for identity in "${its_own[@]}"; do
  ! identities | grep -qxF "$identity" || fail "what $number left is there: $(grep cleared "$CLUSTER"/log/*.log)"
done
timeout 10 stat "$CLUSTER/beside" "$CLUSTER/next" >/dev/null || fail "a mount that lives was disturbed"
[[ $("$bin/holdfast" status "$CLUSTER/next") == *serving* ]] || fail "a mount that is ready does not say so"
[[ $("$bin/holdfast" status "$CLUSTER/beside") == *serving* ]] || fail "what a living mount publishes was taken"
echo "ok    a process that does not run, and one that is dead"
echo PASS
