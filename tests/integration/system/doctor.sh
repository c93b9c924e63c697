#!/usr/bin/env bash
# holdfast doctor against real servers, broken in different ways: each with the sentence it must print.
#   doctor.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
CLUSTER_NODES=a
cluster_init "$1"
"$cluster_nfs/testnet" up "$net" a rtt
server=10.77.0.1:/export
fail() {
  echo "FAIL: $*"
  exit 1
}
# serve [OPTION...]: the NFS server, anew
serve() {
  "$cluster_nfs/ganesha" stop "$CLUSTER/nfs" >/dev/null 2>&1 || true
  nfs_start "$@"
}
# finds CODE SENTENCE ARGUMENT...: what the doctor says, on node a, and its exit code
finds() {
  local code=$1 sentence=$2 got=0 text
  shift 2
  text=$(timeout 60 nsenter --net="/run/netns/$net-a" -- "$bin/holdfast" doctor "$@" 2>&1) || got=$?
  grep -qF -e "$sentence" <<<"$text" || fail "doctor $* does not say \"$sentence\" but: $text"
  ((got == code)) || fail "doctor $*: exit $got, not $code: $text"
  echo "ok    $sentence"
}

serve --squash Root_Squash
lockd_start
lockd=10.77.0.1:$LOCKD_PORT
finds 0 '0 problems' "$server" --lockd "$lockd"
finds 0 'root is mapped to uid' "$server"
finds 0 'no marker yet: the first mount makes it' "$server"
finds 0 "lockd at $lockd answers" "$server" --lockd "$lockd"
[[ $(nsenter --net="/run/netns/$net-a" -- "$bin/holdfast" doctor "$server" --json) == '{"problem":false,"findings":['* ]] || fail json
compgen -G "$CLUSTER/export/.holdfast-doctor-*" >/dev/null && fail "it leaves something behind"

finds 1 'cannot be reached: Connection refused' "$server" --lockd 10.77.0.1:7681
finds 1 'something listens there and does not answer' "$server" --lockd 10.77.0.1:2049
lockd_kill KILL

node_volume=01234567-89ab-4def-8123-456789abcdef
finds 1 "has no marker, so it is not volume $node_volume" "$server" -o "volume_id=$node_volume"
echo nonsense >"$CLUSTER/export/.holdfast-volume"
finds 1 'has a marker that cannot be understood' "$server"
rm "$CLUSTER/export/.holdfast-volume"

chmod 755 "$CLUSTER/export"
finds 1 "neither root nor uid 0, who owns $server, may make a file there" "$server"
chmod 1777 "$CLUSTER/export"

finds 1 '/nope' 10.77.0.1:/nope
finds 1 'problem  export' 10.77.0.9:/export -o port=2049
finds 2 'is neither a path nor SERVER:/EXPORT' not-a-server
CLUSTER_RTT_US=20000
delay_start
finds 0 'a call takes 2' "$CLUSTER_SERVER:/export"
CLUSTER_SERVER=10.77.0.1

serve --squash No_Root_Squash
finds 0 'lets root be root (no_root_squash)' "$server"
serve --squash All_Squash
finds 1 'the export maps all users to one' "$server"
serve --access RO
finds 1 'is exported read-only' "$server"
serve --protocols 4
finds 1 'problem  export' "$server"

# Two directories that are not one, and one whose mounts do not share locks.
mkdir "$CLUSTER/one" "$CLUSTER/two" "$CLUSTER/seen-a" "$CLUSTER/seen-b"
finds 1 'a file that one made or removed was not so for the other' "$CLUSTER/one" --peer "$CLUSTER/two"
finds 0 'locks, names and bytes hold' "$CLUSTER/one" --peer "$CLUSTER/one"
for at in seen-a seen-b; do "$bin/local_lock_fs" "$CLUSTER/one" "$CLUSTER/$at"; done
finds 1 'both had the same fcntl lock at once' "$CLUSTER/seen-a" --peer "$CLUSTER/seen-b"
finds 1 'both had the same flock at once' "$CLUSTER/seen-a" --peer "$CLUSTER/seen-b"
umount "$CLUSTER/seen-a" "$CLUSTER/seen-b"
echo PASS
