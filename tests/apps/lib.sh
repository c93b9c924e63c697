# shellcheck shell=bash
# Applications on two nodes, to be sourced by the tests here. Each node is a network namespace with a mount of its own; a
# program on it has process, IPC and mount namespaces of its own, as in a container, where the node's mount is
# $CLUSTER/data. The export squashes root; mounts have the defaults. No test here kills the server, so what it was told to
# make stable may be in memory, where it does not wait for a disk that is busy with other things.
#
#   source lib.sh
#   apps_begin BIN_DIR LENGTH           # control: each node has a lockd of its own, so that locks are local to each mount
#   apps_begin BIN_DIR figures          # on the disk
#   apps_begin BIN_DIR owner UID:GID    # the server's files are all of one user, 1000; mounts with -o owner=UID:GID
#   own_directory mysql mysql           # /export/mysql of user mysql, made by whoever owns the export; $CLUSTER/{a,b}/mysql
#   start_on a mysql LOG COMMAND…       # in the background on node a; $started; $APPS_PROGRAM is at $CLUSTER/program
#   as_user mysql COMMAND…              # a client, not part of any node
#   power_off a; boot a                 # every process of it at once, the mount too; the mount again
#   who_has a FILE                      # `holdfast who`, where another node has it locked
#   cut_off a; join a                   # takes the node's network away; gives it back
#   ok TEXT; fail TEXT
#
# story_* in stories.sh: what is the same for all servers. Needs root.

apps_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$apps_dir/../support/cluster/cluster.sh"
python=/usr/bin/python3  # Debian's, which every user may run
APPS_LEASE_S=3  # as other system tests: half of what they do is to wait for it

ok() { echo "ok    $* ($SECONDS s)"; }
fail() {
  echo "FAIL: $*" >&2
  tail -n 15 "$CLUSTER"/log/*.log >&2 2>/dev/null || true
  exit 1
}
need() {  # need PROGRAM…: nothing is skipped silently
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "FAIL: $program is missing: tools/install-deps" >&2; exit 1; }
  done
}

declare -A apps_started=() apps_lockd=()
apps_begin() {
  export HOLDFAST_TEST_CACHE=tokens
  local length=${2:-} control=
  [[ $length != control ]] || control=1
  [[ $length != owner ]] || apps_server_owner=1000:1000 apps_owner=$3 APPS_OPTIONS=owner=$3,identity=1000:1000
  apps_memory=
  [[ $length == figures ]] || use_memory
  TMPDIR=${apps_memory:-${TMPDIR:-/tmp}} cluster_init "$1"
  mkdir "$CLUSTER/data" "$CLUSTER/program" "$CLUSTER/scripts"
  # Where every user may read them, wherever this repository is.
  cp "$apps_dir"/*.py "$apps_dir"/*.mjs "$CLUSTER/scripts"
  apps_dir=$CLUSTER/scripts
  trap apps_end EXIT
  "$cluster_nfs/testnet" up "$net" "${cluster_nodes[@]}" ${CLUSTER_RTT_US:+rtt}
  nfs_start --squash "${APPS_SQUASH:-Root_Squash}"
  lockd_start --lease-ttl "$APPS_LEASE_S"
  if [[ $control ]]; then
    "$bin/holdfast-lockd" --store "$CLUSTER/other.db" --new-volume >/dev/null
    nsenter --net="/run/netns/$net-srv" -- "$bin/holdfast-lockd" --listen "10.77.0.1:7690" --admin "$CLUSTER/other.sock" \
      --store "$CLUSTER/other.db" --allow-plain --lease-ttl "$APPS_LEASE_S" >>"$CLUSTER/log/other.log" 2>&1 &
    other_lockd=$!
    apps_lockd[b]=10.77.0.1:7690
    wait_for 10 "the other lockd" test -S "$CLUSTER/other.sock"
  fi
  [[ -z ${CLUSTER_RTT_US:-} ]] || delay_start
  boot a
  boot b
}

use_memory() {
  (($(awk '/^MemAvailable/ {print $2}' /proc/meminfo) > 4000000)) || return 0  # kB
  apps_memory=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-apps.XXXXXX")
  mount -t tmpfs -o size=4g,mode=755 apps "$apps_memory"
}

apps_end() {
  local status=$? node
  set +e
  for node in "${cluster_nodes[@]}"; do end_programs "$node"; done
  [[ -z ${loader:-} ]] || end_load
  [[ -z ${other_lockd:-} ]] || kill "$other_lockd" 2>/dev/null
  (exit "$status")
  cluster_down
  [[ -z $apps_memory || ${CLUSTER_KEEP:-} ]] || { umount -l "$apps_memory" && rmdir "$apps_memory"; }
  return "$status"
}

wait_for() {  # wait_for SECONDS WHAT COMMAND…: until it succeeds
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= until)); then
      [[ -z ${mild:-} ]] || return 1
      fail "$what: not in time"
    fi
    sleep 0.2
  done
}
succeeds_or_server_ended() { ! runs "$server" || "$@"; }
wait_for_server() {  # the same, but for $server's end: then it will not succeed any more
  wait_for "$1" "$2" succeeds_or_server_ended "${@:3}" || return 1
  runs "$server" && return 0
  [[ -z ${mild:-} ]] || return 1
  fail "$2: it has ended"
}

own_directory() {  # own_directory NAME USER
  mkdir -p "${apps_top:=$CLUSTER/export}/$1"
  chown "${apps_server_owner:-$2}" "$apps_top/$1"
  chmod 700 "$apps_top/$1"
  # As entry points of images do it, as root. On the server it stays whose it is.
  [[ -z ${apps_server_owner:-} ]] || chown "$apps_owner" "$CLUSTER/a/$1"
}

# USER: a name, or a number that nobody has, as in images
identity() {
  if [[ $1 =~ ^[0-9]+$ ]]; then
    echo "--reuid=$1 --regid=$1 --clear-groups"
  else
    echo "--reuid=$1 --regid=$(id -g "$1") --init-groups"
  fi
}
as_user() {
  local who
  who=$(identity "$1")
  shift
  # shellcheck disable=SC2086
  setpriv $who -- "$@"
}

start_on() {  # start_on NODE USER LOG COMMAND…
  local node=$1 who log=$3
  who=$(identity "$2")
  shift 3
  # keep: with the identity, the kernel forgets that the process is to end with unshare.
  nsenter --net="/run/netns/$net-$node" -- unshare --mount --propagation slave --pid --ipc --fork --kill-child=KILL -- \
    sh -ec 'mount --bind "$1" "$2"
      [ -z "$3" ] || mount --bind "$3" "$4"
      who=$5
      shift 5
      exec setpriv --pdeathsig keep $who -- "$@"' start_on \
    "$CLUSTER/$node" "$CLUSTER/data" "${APPS_PROGRAM:-}" "$CLUSTER/program" "$who" "$@" >>"$CLUSTER/log/$log.log" 2>&1 &
  started=$!
  apps_started[$node]+=" $started"
}
runs() { kill -0 "$1" 2>/dev/null; }
ends_within() {  # ends_within SECONDS PID
  local until=$((SECONDS + $1))
  while runs "$2"; do
    ((SECONDS < until)) || return 1
    sleep 0.2
  done
}
stop_program() {  # stop_program SIGNAL PID: to the first process of its namespace; waits for its end
  local first
  first=$(pgrep -P "$2") || return 0
  kill "-$1" "$first" 2>/dev/null || true
  ends_within 60 "$2" || fail "a program did not end within 60 s of SIG$1"
  wait "$2" 2>/dev/null || true
}
end_programs() {  # all of a node
  local pid
  for pid in ${apps_started[$1]:-}; do
    pkill -KILL -P "$pid" 2>/dev/null || true  # the first process of a namespace takes all others of it with it
    wait "$pid" 2>/dev/null || true
  done
  apps_started[$1]=
  return 0
}

mount_process() { pgrep -f "holdfast mount .* $CLUSTER/$1 "; }
power_off() {
  # The mount first: programs that end before it would be seen closing their files.
  kill -KILL "$(mount_process "$1")"
  end_programs "$1"
  umount -l "$CLUSTER/$1"
}
boot() { CLUSTER_LOCKDS=${apps_lockd[$1]:-} node_mount "$1" "${APPS_OPTIONS:-}"; }
cut_off() {
  on_node "$1" nft "add table inet cut
    add chain inet cut out { type filter hook output priority 0; }
    add chain inet cut in { type filter hook input priority 0; }
    add rule inet cut out oifname != lo drop
    add rule inet cut in iifname != lo drop"
}
join() { on_node "$1" nft delete table inet cut; }

who_has() {  # who_has NODE FILE: what `holdfast who` answers there while a program on the other node has it locked
  local said
  said=$("$bin/holdfast" who "$CLUSTER/$1/$2" 2>&1) || true
  grep -q '^held' <<<"$said" || fail "holdfast who on $1, of $2: $said"
  ok "holdfast who there: $(grep -m 1 '^held' <<<"$said")"
}

lines() { wc -l <"$1"; }
has_lines() { (($(lines "$2") >= $1)); }

source "$apps_dir/stories.sh"
