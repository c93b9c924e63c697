#!/usr/bin/env bash
# The secure way, word by word as docs/install-node.md says it, between network namespaces: init, two mounts over TLS, and
# who is not let in: no credential, another volume's, plain text, a wrong name, a token that was taken back.
#   secure.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
fail() { echo "FAIL: $*"; tail -20 "$CLUSTER/log/lockd.log"; exit 1; }
files=$CLUSTER/files
lockd() { "$bin/holdfast-lockd" "$@"; }

"$cluster_nfs/testnet" up "$net" "${cluster_nodes[@]}"
on_node srv "$bin/holdfast-lockd" init --dir "$files/tls" --nodes "$files/nodes" --config "$files/lockd.conf" >"$CLUSTER/log/init.log"
grep -q 10.77.0.1 "$CLUSTER/log/init.log" || fail "init does not name this machine's address"
! on_node srv "$bin/holdfast-lockd" init --dir "$files/tls" --nodes "$files/nodes" --config "$files/lockd.conf" 2>/dev/null || fail "init overwrites"
[[ $(find "$files" -type f ! -name lockd.conf ! -perm 600) == "" ]] || fail "a secret that others may read"
token=$(cat "$files/nodes/token")
! grep -rqF "$token" "$files/tls" || fail "the token is at rest at lockd"
lockd access add --dir "$files/tls" other --volume 00000000-0000-0000-0000-000000000001 >"$files/other" 2>/dev/null
lockd access add --dir "$files/tls" node-b --volume '*' --certificate "$files" 2>/dev/null
chmod 600 "$files/other"

lockd_access=(--config "$files/lockd.conf")
nfs_start
lockd_start --lease-ttl 2
ca="tls_ca=$files/nodes/ca.pem"
node_mount a "$ca,token_file=$files/nodes/token"
node_mount b "$ca,tls_cert=$files/node-b.pem,tls_key=$files/node-b.key"
echo "- locks between a mount with a token and one with a certificate"
exec 9<>"$CLUSTER/a/file"
flock -n 9 || fail "flock"
! flock -n "$CLUSTER/b/file" true || fail "both hold one lock"
exec 9>&-
timeout 120 "$bin/holdfast" torture --mode bank --seconds 10 "$CLUSTER/a" "$CLUSTER/b" >"$CLUSTER/log/torture.log" 2>&1 || { tail -20 "$CLUSTER/log/torture.log"; fail "torture"; }

refused() {  # refused WORDS OPTIONS: a mount that must not come about, and says why
  local said
  if said=$(node_mount a "$2" refused 2>&1); then fail "mounted with $2"; fi
  [[ $said == *"$1"* ]] || fail "with $2 it says: $said"
}
echo "- who is not let in, and is told why"
refused "neither a token nor a client certificate" "$ca"
refused "'other' is not for volume" "$ca,token_file=$files/other"
refused "a token is not sent in plain text" "token_file=$files/nodes/token"
refused "this lockd speaks TLS only" plain
lockd init --dir "$files/tls2" --nodes "$files/nodes2" --config "$files/lockd2.conf" >/dev/null
refused "its certificate is not believed" "tls_ca=$files/nodes2/ca.pem,token_file=$files/nodes/token"
: >"$files/empty"
refused "empty: its first line is empty" "$ca,token_file=$files/empty"
grep -q "access.denied" "$CLUSTER/log/lockd.log" || fail "lockd does not log it"
! grep -rqF "$token" "$CLUSTER/log" || fail "a token in a log"

echo "- the doctor speaks TLS, as a mount would"
doctor() {  # doctor CODE SENTENCE ARGUMENT...
  local code=$1 sentence=$2 got=0 text
  shift 2
  text=$(timeout 60 nsenter --net="/run/netns/$net-a" -- "$bin/holdfast" doctor "$CLUSTER_SERVER:/export" --lockd "$CLUSTER_SERVER" "$@" 2>&1) || got=$?
  [[ $text == *"$sentence"* ]] || fail "doctor $* does not say \"$sentence\" but: $text"
  ((got == code)) || fail "doctor $*: exit $got, not $code: $text"
}
doctor 0 "answers over TLS" -o "$ca,token_file=$files/nodes/token"
doctor 0 "answers over TLS" -o "$ca,tls_cert=$files/node-b.pem,tls_key=$files/node-b.key"
volume=$(sed -n 's/^id=//p' "$CLUSTER/export/.holdfast-volume")
lockd access add --dir "$files/tls" mine --volume "$volume" >"$files/mine" 2>/dev/null
chmod 600 "$files/mine"
kill -HUP "$lockd_pid"
doctor 0 "answers over TLS" -o "$ca,token_file=$files/mine"  # with the export's volume, the one that it is for
doctor 1 "'other' is not for volume" -o "$ca,token_file=$files/other"
doctor 1 "this lockd speaks TLS only" -o plain
doctor 1 "its certificate is not believed" -o "tls_ca=$files/nodes2/ca.pem,token_file=$files/nodes/token"
doctor 1 "a token is not sent in plain text" -o "token_file=$files/nodes/token"
doctor 1 "empty: its first line is empty" -o "$ca,token_file=$files/empty"
echo "- so does bench lockd"
bench() {  # bench CODE SENTENCE ARGUMENT...
  local code=$1 sentence=$2 got=0 text
  shift 2
  text=$(timeout 60 nsenter --net="/run/netns/$net-a" -- "$bin/holdfast" bench lockd ops --ops 2000 --patience 5 --lockd "$CLUSTER_SERVER" "$@" 2>&1) || got=$?
  [[ $text == *"$sentence"* ]] || fail "bench $* does not say \"$sentence\" but: $text"
  ((got == code)) || fail "bench $*: exit $got, not $code: $text"
}
bench 0 "ops: PASS" -o "$ca,token_file=$files/nodes/token"
bench 0 "ops: PASS" -o "$ca,tls_cert=$files/node-b.pem,tls_key=$files/node-b.key"
bench 0 "ops: PASS" -o "$ca,token_file=$files/other,volume_id=00000000-0000-0000-0000-000000000001"
bench 1 "'other' is not for volume" -o "$ca,token_file=$files/other"
bench 1 "this lockd speaks TLS only" -o plain
bench 1 "TLS: " -o "tls_ca=$files/nodes2/ca.pem,token_file=$files/nodes/token"
bench 2 "a token is not sent in plain text" -o "token_file=$files/nodes/token"
bench 2 "unknown option" -o bogus
bench 2 "cannot read" -o "tls_ca=/nowhere"

echo "- a token that is taken back: that mount stands still, the other gets what it wants"
exec 9<>"$CLUSTER/a/file"
flock -n 9 || fail "flock"
lockd access remove --dir "$files/tls" first 2>/dev/null
kill -HUP "$lockd_pid"
timeout 60 flock "$CLUSTER/b/file" true || fail "a mount without a token keeps its lock"
grep -q "access.revoked .*credential=first" "$CLUSTER/log/lockd.log" || fail "lockd does not log it"
echo "- a new one: it goes on, and is told what it lost"
lockd access add --dir "$files/tls" second --volume '*' >"$files/nodes/token" 2>/dev/null
kill -HUP "$lockd_pid"
timeout 60 ls "$CLUSTER/a" >/dev/null || fail "it does not come back"
exec 9>&- || true
timeout 60 flock "$CLUSTER/a/file" true || fail "no lock after it came back"
echo PASS
