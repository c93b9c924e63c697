#!/usr/bin/env bash
# A removal that is on its way to the NFS server when the mount's lease ends: by the time it is back another node has
# given the name to a file of its own. It is not sent again.
#   lost_change.sh BIN_DIR
# Nodes are network namespaces; the server is a real one (nfs-ganesha).
set -euo pipefail
# shellcheck source=tests/support/cluster/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../support/cluster/cluster.sh"
export HOLDFAST_TEST_CACHE=tokens

cluster_init "$1"
cluster_up --lease-ttl 3 --storage-delay 1
a=$CLUSTER/a b=$CLUSTER/b

mkdir "$a/spool"
echo ours >"$a/spool/job"
sync "$a/spool/job"
[[ $(cat "$b/spool/job") == ours ]]
touch "$a/spool" "$a/spool/job"      # both are node a's again,
[[ $(cat "$a/spool/job") == ours ]]  # and it knows the name: the removal itself is the first call

cut() {
  on_node a nft 'add table inet cut
    add chain inet cut out { type filter hook output priority 0; }
    add chain inet cut in { type filter hook input priority 0; }
    add rule inet cut out tcp dport { 2049, 7680 } drop
    add rule inet cut in tcp sport { 2049, 7680 } drop'
}

mkfifo "$CLUSTER/go"
python3 -c 'import os, sys
open(sys.argv[2]).read()
try:
    os.unlink(sys.argv[1])
    print("removed")
except OSError as error:
    print(error.errno)' "$a/spool/job" "$CLUSTER/go" >"$CLUSTER/answer" &
program=$!
exec {go}>"$CLUSTER/go"  # it has begun
cut
exec {go}>&-
mv "$b/spool/job" "$b/spool/done"  # waits until node a's lease is over, and the fence
echo theirs >"$b/spool/job"
sync "$b/spool/job"
[[ ! -s $CLUSTER/answer ]] || { echo "the removal has ended: $(cat "$CLUSTER/answer")" >&2; exit 1; }
on_node a nft delete table inet cut
wait "$program"

answer=$(cat "$CLUSTER/answer")
[[ $answer == 5 ]] || { echo "the program heard '$answer', not EIO" >&2; exit 1; }
[[ $(cat "$CLUSTER/export/spool/job") == theirs ]] || { echo "the other node's file is gone" >&2; exit 1; }
[[ $(cat "$a/spool/job") == theirs && $(cat "$b/spool/job") == theirs && $(cat "$a/spool/done") == ours ]]
rm "$a/spool/job"
[[ ! -e $b/spool/job ]]
