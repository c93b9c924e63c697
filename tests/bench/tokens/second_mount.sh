#!/usr/bin/env bash
# How long does everybody stand still when a second mount comes to a volume that one mount has had alone, with everything
# below it in its cache? Until then one token implies that of every file; with the second mount each file that is kept
# needs one of its own. Measured for each number of files: the longest wait of programs on the first mount (stat of what
# is cached, a read, a lock and its unlock, a write, each all the time), and how soon the second one is answered.
#   second_mount.sh BIN_DIR [FILES…]     default: 100 100000. Release binaries, a machine that does nothing else
# Needs root; the files are in memory. Writes a Markdown table.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../support/cluster/cluster.sh"
binaries=$(cd "$1" && pwd)
shift
(($#)) || set -- 100 100000
export HOLDFAST_TEST_CACHE=tokens
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-second.XXXXXX")
export TMPDIR
trap 'umount -l "$TMPDIR" 2>/dev/null; rmdir "$TMPDIR"' EXIT
mount -t tmpfs -o size=4g,nr_inodes=0,mode=1777 tmpfs "$TMPDIR"

echo "| files cached | second mount: mounts; first stat; first write, ms | first mount, longest: stat; read; lock; write, ms | the same before, ms |"
echo "| --- | --- | --- | --- |"
for files in "$@"; do (
  cluster_init "$binaries"
  "$cluster_nfs/testnet" up "$net" a b
  nfs_start
  lockd_start
  python3 "$here/second_mount.py" make "$CLUSTER/export" "$files"
  node_mount a "inodes_max=$((files * 2 + 10000))" >&2
  find "$CLUSTER/a" -size +1000  # looks at every file
  python3 "$here/second_mount.py" probe "$CLUSTER/a" "$files" "$CLUSTER/stop" "$CLUSTER/before" "$CLUSTER/longest" &
  probe=$!
  sleep 4
  touch "$CLUSTER/before"
  now() { date +%s%N; }
  since() { echo $((($(now) - $1) / 1000000)); }
  begun=$(now); node_mount b >&2; mounts=$(since "$begun")
  begun=$(now); stat "$CLUSTER/b/d0/f0" >/dev/null; stats=$(since "$begun")
  begun=$(now); echo b >"$CLUSTER/b/d0/of-b"; writes=$(since "$begun")
  sleep 6
  touch "$CLUSTER/stop"
  wait "$probe"
  { read -r before; read -r after; } <"$CLUSTER/longest"
  echo "| $files | $mounts; $stats; $writes | $after | $before |"
); done
