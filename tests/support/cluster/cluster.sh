# shellcheck shell=bash
# A whole Holdfast on one machine, to be sourced: an NFS server, lockd and nodes (network namespaces), each with a
# mount of the same export. Everything is private to the caller and gone after cluster_down.
#
#   source tests/support/cluster/cluster.sh
#   cluster_init BIN_DIR              # where holdfast and holdfast-lockd are; installs the clean-up trap
#   cluster_up                        # afterwards: $CLUSTER/a and $CLUSTER/b are two mounts of one export
#   CLUSTER_NODES="a b c"             # before cluster_init: more nodes, or fewer
#   CLUSTER_RTT_US=200                # the same: mounts reach both servers through bin/delay_proxy, with that round trip
#   lockd_access=(--tls-cert …)       # after cluster_init: instead of plain text for everybody
#   on_node a COMMAND…                # in node a's network namespace, in the caller's mount namespace
#   cluster_down                      # also runs from the trap, whatever happened
#   CLUSTER_KEEP=1                    # what is below $CLUSTER stays; of a test that failed also what each mount waited for
#
# Needs root. State, logs and the exported directory are below $CLUSTER.

cluster_repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cluster_nfs=$cluster_repo/tests/support/nfs
LOCKD_PORT=7680

cluster_init() {
  bin=$(cd "$1" && pwd)
  CLUSTER=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-cluster.XXXXXX")
  net=h$$
  read -ra cluster_nodes <<<"${CLUSTER_NODES:-a b}"
  cluster_mounts=("${cluster_nodes[@]}")
  mkdir -p "${cluster_nodes[@]/#/$CLUSTER/}" "$CLUSTER"/{export,nfs,log}
  chmod 755 "$CLUSTER"
  chmod 1777 "$CLUSTER/export"
  lockd_pid=
  delay_pid=
  lockd_access=(--allow-plain)
  CLUSTER_SERVER=10.77.0.1  # what mounts talk to
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
    --store "$CLUSTER/lockd.db" "${lockd_access[@]}" "$@" \
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

# On a node of its own, at the address after the last one's: portmapper, MOUNT, NFS, lockd.
delay_start() {
  CLUSTER_SERVER=10.77.0.$((${#cluster_nodes[@]} + 2))
  nsenter --net="/run/netns/$net-rtt" -- "$bin/delay_proxy" "$CLUSTER_RTT_US" "$CLUSTER_SERVER" 10.77.0.1 \
    111 20048 2049 "$LOCKD_PORT" >"$CLUSTER/log/delay.log" 2>&1 &
  delay_pid=$!
  local i
  for ((i = 0; i < 100; i++)); do
    grep -qsx ready "$CLUSTER/log/delay.log" && return 0
    kill -0 "$delay_pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "delay_proxy did not start: $(cat "$CLUSTER/log/delay.log")" >&2
  return 1
}

# node_mount NODE [extra -o options [NAME]]: at $CLUSTER/NAME, which is NODE's own if nothing is said.
# CLUSTER_LOCKDS: replicas instead of the cluster's own lockd. HOLDFAST_TEST_CACHE: -o cache=, none
# if it is not set.
node_mount() {
  local node=$1 name=${3:-$1}
  if [[ $name != "$node" ]]; then
    mkdir -p "$CLUSTER/$name"
    cluster_mounts+=("$name")
  fi
  on_node "$node" "$bin/holdfast" mount "$CLUSTER_SERVER:/export" "$CLUSTER/$name" \
    -o "lockd=${CLUSTER_LOCKDS:-$CLUSTER_SERVER:$LOCKD_PORT},log=$CLUSTER/log/$name.log,cache=${HOLDFAST_TEST_CACHE:-none}${2:+,$2}"
}

# Looks into the table only: stat of a dead mount would hang.
cluster_mounted() { grep -qF " $CLUSTER/$1 " /proc/self/mounts; }

node_unmount() { "$bin/holdfast" unmount "$CLUSTER/$1"; }

cluster_up() {
  "$cluster_nfs/testnet" up "$net" "${cluster_nodes[@]}" ${CLUSTER_RTT_US:+rtt}
  nfs_start
  lockd_start "$@"
  [[ -z ${CLUSTER_RTT_US:-} ]] || delay_start
  local node
  for node in "${cluster_nodes[@]}"; do node_mount "$node"; done
}

cluster_down() {
  local status=$?
  trap - EXIT
  set +e  # one step that fails must not keep the next from cleaning up
  [[ -n ${CLUSTER:-} && -d $CLUSTER ]] || return "$status"
  local node
  if [[ ${CLUSTER_KEEP:-} && $status != 0 ]]; then
    for node in "${cluster_mounts[@]}"; do
      timeout 20 "$bin/holdfast" status --json "$CLUSTER/$node" >"$CLUSTER/log/$node.status.json" 2>&1
    done
  fi
  for node in "${cluster_mounts[@]}"; do
    cluster_mounted "$node" || continue
    timeout 30 "$bin/holdfast" unmount "$CLUSTER/$node" >/dev/null || umount -l "$CLUSTER/$node" 2>/dev/null
  done
  lockd_kill TERM
  [[ -z ${delay_pid:-} ]] || kill "$delay_pid" 2>/dev/null
  "$cluster_nfs/ganesha" stop "$CLUSTER/nfs" >/dev/null 2>&1 || true
  "$cluster_nfs/testnet" down "$net" >/dev/null 2>&1 || true
  for node in "${cluster_mounts[@]}"; do mountpoint -q "$CLUSTER/$node" 2>/dev/null && umount -l "$CLUSTER/$node"; done
  if [[ ${CLUSTER_KEEP:-} ]]; then
    echo "kept: $CLUSTER"
  else
    rm -rf --one-file-system "$CLUSTER"
  fi
  return "$status"
}
