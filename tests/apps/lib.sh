# shellcheck shell=bash
# Applications on two nodes, to be sourced by the tests here. Each node is a network namespace with a mount of its own; a
# program on it has process, IPC and mount namespaces of its own, as in a container, where the node's mount is
# $CLUSTER/data. The export squashes root; mounts have the defaults.
#
#   source lib.sh
#   apps_begin BIN_DIR LENGTH           # control: each node has a lockd of its own, so that locks are local to each mount
#   apps_begin BIN_DIR owner UID:GID    # the server's files are all of one user, 1000; mounts with -o owner=UID:GID
#   own_directory mysql mysql           # /export/mysql of user mysql, made by whoever owns the export; $CLUSTER/{a,b}/mysql
#   start_on a mysql LOG COMMAND…       # in the background on node a; $started; $APPS_PROGRAM is at $CLUSTER/program
#   as_user mysql COMMAND…              # a client, not part of any node
#   power_off a; boot a                 # every process of it at once, the mount too; the mount again
#   cut_off a; join a                   # takes the node's network away; gives it back
#   ok TEXT; fail TEXT
#
# story_* below: what is the same for all servers. Needs root.

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
  # With tokens each mount would believe in what it keeps: then not the locks alone would be to blame.
  [[ $length != control ]] || control=1 HOLDFAST_TEST_CACHE=none
  [[ $length != owner ]] || apps_server_owner=1000:1000 apps_owner=$3 APPS_OPTIONS=owner=$3,identity=1000:1000
  cluster_init "$1"
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

apps_end() {
  local status=$? node
  set +e
  for node in "${cluster_nodes[@]}"; do end_programs "$node"; done
  [[ -z ${loader:-} ]] || end_load
  [[ -z ${other_lockd:-} ]] || kill "$other_lockd" 2>/dev/null
  (exit "$status")
  cluster_down
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

lines() { wc -l <"$1"; }
has_lines() { (($(lines "$2") >= $1)); }

# ---- Stories. The test defines:
#   app_prepare                a directory for it and what it needs once, through node a; nothing runs afterwards
#   app_start NODE             starts the server there and returns when it serves; $server
#   app_load NODE FILE FIRST   in the background until the server is gone: changes with numbers from FIRST; FILE gets the
#                              number of each that was acknowledged; $loader
#   app_check NODE FILE        is everything that is acknowledged there, and all of it in order? Prints what is not
#   app_stop                   an orderly end of $server
#   app_second NODE            starts another server while one runs on the other node: succeeds if it did not serve and
#                              said why
#   app_fenced SERVER LOG      succeeds if the server that was cut off says that it cannot go on
acknowledged=
story_begin() {
  acknowledged=$CLUSTER/acknowledged
  : >"$acknowledged"
  app_start a
  ok "started on a"
}

story_load() {  # story_load NODE COUNT: at least that many changes more, and then on and on
  local from
  from=$(lines "$acknowledged")
  app_load "$1" "$acknowledged" $((from + 1000000 * ++loads))
  local until=$((SECONDS + 240))
  until has_lines $((from + $2)) "$acknowledged"; do
    ((SECONDS < until)) || fail "$(($(lines "$acknowledged") - from)) of $2 changes on $1 in 240 s"
    sleep 0.1
  done
  sleep "0.$((RANDOM % 10))"
}
loads=0
load_ends() {  # by itself, as its server is gone
  wait "$loader" 2>/dev/null || true
  loader=
}
end_load() {  # the server stays
  pkill -KILL -P "$loader" 2>/dev/null || true
  kill "$loader" 2>/dev/null || true
  load_ends
}

story_checked() {  # story_checked NODE WHAT
  app_check "$1" "$acknowledged" >"$CLUSTER/findings" 2>&1 || { head -20 "$CLUSTER/findings" >&2; fail "$2"; }
  ok "$2: all $(lines "$acknowledged") acknowledged changes are there"
}

story_killed() {  # story_killed COUNT: node a dies while it writes; b goes on
  story_load a "$1"
  power_off a
  load_ends
  app_start b
  boot a
  story_checked b "node a killed while it wrote, started on b"
}

story_twice() {  # story_twice COUNT: the server runs on b, under load, and is started on a too
  story_load b "$1"
  app_second a
  end_programs a
  end_load
  story_checked b "a second server on the other node was refused"
}

story_both() {  # story_both COUNT: the server runs on b, under load, and on a too: that is allowed, and both are right
  story_load b "$1"
  local loader_b=$loader
  app_start a
  : >"$acknowledged.a"
  app_load a "$acknowledged.a" $((500000 + 1000000 * ++loads))
  wait_for 120 "$1 changes on each of two nodes" has_lines "$1" "$acknowledged.a"
  end_load
  loader=$loader_b
  end_load
  cat "$acknowledged.a" >>"$acknowledged"
  story_checked a "servers on both nodes at once, looked at on a"
  story_checked b "looked at on b"
  end_programs a
}

story_cut() {  # story_cut COUNT: b loses its network while it writes; a goes on; b is back
  story_load b "$1"
  cut_off b
  local stuck=$server
  app_start a
  story_checked a "node b cut off while it wrote, started on a"
  join b
  app_fenced "$stuck"
  end_load
  end_programs b
  app_stop
  app_start a
  story_checked a "what was cut off is back, and changed nothing"
}

# Locks local to each mount: both servers start, and the check must find out. If it passes here, it proves nothing.
story_control() {  # story_control COUNT: changes that each of them acknowledges, unless one fails before
  acknowledged=$CLUSTER/acknowledged
  : >"$acknowledged"
  : >"$acknowledged.b"
  app_start a
  app_load a "$acknowledged" 1
  local loader_a=$loader until
  wait_for 60 "a first change" has_lines 1 "$acknowledged"
  until=$((SECONDS + 150))
  # The damage may be done before the second one serves.
  if mild=1 app_start b; then
    app_load b "$acknowledged.b" 1000000
    ok "two servers of one directory"
  else
    ok "the second server comes to nothing"
    until=$((SECONDS + 5))
  fi
  until has_lines "$1" "$acknowledged" && has_lines "$1" "$acknowledged.b"; do
    ((SECONDS < until)) && runs "$loader" && runs "$loader_a" || break
    sleep 0.2
  done
  end_programs a
  end_programs b
  end_load
  loader=$loader_a
  end_load
  cat "$acknowledged.b" >>"$acknowledged"
  if (app_start a && app_check a "$acknowledged") >"$CLUSTER/findings" 2>&1; then
    fail "the check finds nothing although two servers wrote $(lines "$acknowledged") changes with locks local to each mount"
  fi
  ok "the check finds out: $(grep -vE '^$| (info|warn) |^==>' "$CLUSTER/findings" | head -1 | cut -c1-200)"
}

# What it costs, for docs/apps.md: a directory of this disk, a mount with cache=none, one with tokens, in turn. A line for
# each: seconds until it serves, changes that one client is told of in a second.
story_figures() {  # story_figures APPLICATION ROUNDS SECONDS
  local round place began from
  acknowledged=$CLUSTER/acknowledged
  node_unmount a
  for ((round = 0; round < $2; round++)); do
    for place in local none tokens; do
      apps_top=$CLUSTER/export
      if [[ $place == local ]]; then apps_top=$CLUSTER/a; else HOLDFAST_TEST_CACHE=$place boot a; fi
      find "$apps_top" -mindepth 1 -maxdepth 1 ! -name .holdfast-volume -exec rm -rf {} +
      app_prepare >/dev/null
      : >"$acknowledged"
      began=${EPOCHREALTIME/./}
      app_start a
      began=$((${EPOCHREALTIME/./} - began))
      app_load a "$acknowledged" $((++loads * 1000000))
      wait_for 60 "a first change" has_lines 1 "$acknowledged"
      from=$(lines "$acknowledged")
      sleep "$3"
      echo "figure $1 $place start_ms $((began / 1000)) changes_per_10s $((($(lines "$acknowledged") - from) * 10 / $3))"
      end_load
      app_stop
      end_programs a
      [[ $place == local ]] || node_unmount a
    done
  done
}
