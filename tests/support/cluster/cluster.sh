# shellcheck shell=bash
# A whole Holdfast on one machine, to be sourced: an NFS server, lockd and two nodes (network namespaces), each with a
# mount of the same export. Everything is private to the caller and gone after cluster_down.
#
#   source tests/support/cluster/cluster.sh
#   cluster_init BIN_DIR              # where holdfast and holdfast-lockd are; installs the clean-up trap
#   cluster_up                        # afterwards: $CLUSTER/a and $CLUSTER/b are two mounts of one export
#   on_node a COMMAND…                # in node a's network namespace, in the caller's mount namespace
#   cluster_down                      # also runs from the trap, whatever happened
#
# Needs root. State, logs and the exported directory are below $CLUSTER.

cluster_repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cluster_nfs=$cluster_repo/tests/support/nfs
LOCKD_PORT=7680

cluster_init() {
  bin=$(cd "$1" && pwd)
  CLUSTER=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-cluster.XXXXXX")
  net=h$$
  mkdir -p "$CLUSTER"/{a,b,export,nfs,log}
  chmod 755 "$CLUSTER"
  chmod 1777 "$CLUSTER/export"
  lockd_pid=
  trap cluster_down EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# ip netns exec would give the command a mount namespace of its own, and its mounts would die with it.
on_node() {
  local node=$1
  shift
  nsenter --net="/run/netns/$net-$node" -- "$@"
}

# The store is the cluster's own and stays over lockd_kill. The first start finds one that knows that it may serve at
# once; CLUSTER_EMPTY_STORE=1 leaves that out.
lockd_start() {
  if [[ ! -e $CLUSTER/lockd.db && -z ${CLUSTER_EMPTY_STORE:-} ]]; then
    "$bin/holdfast-lockd" --store "$CLUSTER/lockd.db" --new-volume >/dev/null
  fi
  # Not through on_node: $! would be the shell that runs the function.
  nsenter --net="/run/netns/$net-srv" -- "$bin/holdfast-lockd" --listen "10.77.0.1:$LOCKD_PORT" --admin "$CLUSTER/lockd.sock" \
    --store "$CLUSTER/lockd.db" "$@" \
    >>"$CLUSTER/log/lockd.log" 2>&1 &
  lockd_pid=$!
  local i
  for ((i = 0; i < 100; i++)); do
    [[ -S $CLUSTER/lockd.sock ]] && return 0
    kill -0 "$lockd_pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "holdfast-lockd did not start:" >&2
  cat "$CLUSTER/log/lockd.log" >&2
  return 1
}

lockd_kill() {  # lockd_kill SIGNAL
  [[ -n $lockd_pid ]] || return 0
  kill "-$1" "$lockd_pid" 2>/dev/null || true
  wait "$lockd_pid" 2>/dev/null || true
  lockd_pid=
  rm -f "$CLUSTER/lockd.sock"
}

nfs_start() { on_node srv "$cluster_nfs/ganesha" start "$CLUSTER/export" "$CLUSTER/nfs" --owner $$ "$@"; }
nfs_restart() { on_node srv "$cluster_nfs/ganesha" restart "$CLUSTER/nfs"; }
nfs_kill() { "$cluster_nfs/ganesha" kill9 "$CLUSTER/nfs"; }

node_mount() {  # node_mount a|b [extra -o options]; CLUSTER_LOCKDS: replicas instead of the cluster's own lockd
  local node=$1
  on_node "$node" "$bin/holdfast" mount "10.77.0.1:/export" "$CLUSTER/$node" \
    -o "lockd=${CLUSTER_LOCKDS:-10.77.0.1:$LOCKD_PORT},log=$CLUSTER/log/$node.log${2:+,$2}"
}

# Looks into the table only: stat of a dead mount would hang.
cluster_mounted() { grep -qF " $CLUSTER/$1 " /proc/self/mounts; }

node_unmount() { "$bin/holdfast" unmount "$CLUSTER/$1"; }

cluster_up() {
  "$cluster_nfs/testnet" up "$net"
  nfs_start
  lockd_start "$@"
  node_mount a
  node_mount b
}

cluster_down() {
  local status=$?
  trap - EXIT
  set +e  # one step that fails must not keep the next from cleaning up
  [[ -n ${CLUSTER:-} && -d $CLUSTER ]] || return "$status"
  local node
  for node in a b; do
    cluster_mounted "$node" || continue
    timeout 30 "$bin/holdfast" unmount "$CLUSTER/$node" >/dev/null || umount -l "$CLUSTER/$node" 2>/dev/null
  done
  lockd_kill TERM
  "$cluster_nfs/ganesha" stop "$CLUSTER/nfs" >/dev/null 2>&1 || true
  "$cluster_nfs/testnet" down "$net" >/dev/null 2>&1 || true
  for node in a b; do mountpoint -q "$CLUSTER/$node" 2>/dev/null && umount -l "$CLUSTER/$node"; done
  if [[ ${CLUSTER_KEEP:-} ]]; then
    echo "kept: $CLUSTER"
  else
    rm -rf --one-file-system "$CLUSTER"
  fi
  return "$status"
}
