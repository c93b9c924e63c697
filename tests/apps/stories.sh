# shellcheck shell=bash
# What is the same for all servers, sourced by lib.sh. The test defines:
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
  wait_for 240 "$1 changes on each of two nodes" has_lines "$1" "$acknowledged.a"
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

# Locks local to each mount: both servers start, and the check must find out; if it passes here, it proves nothing. Whether
# changes of the two meet is luck: they go on, from what they have, until something is lost.
story_control() {  # story_control COUNT [TRIES]: changes that each of them acknowledges in one try, if it comes to that
  local try said
  acknowledged=$CLUSTER/acknowledged
  : >"$acknowledged"
  begin_control
  for ((try = 1; try <= ${2:-8}; try++)); do
    two_servers "$1"
    if said=$(damage); then
      said=${said%%$'\n'*}
      ok "try $try, found: ${said:0:200}"
      return
    fi
    ok "try $try: nothing is damaged so far: ${said:0:200}"
  done
  fail "the check finds no damage although two servers wrote $(lines "$acknowledged") changes with locks local to each mount"
}

# With tokens each mount would believe in what it keeps: then not the locks alone would be to blame. What was prepared before
# took them.
begin_control() {
  node_unmount a
  node_unmount b
  HOLDFAST_TEST_CACHE=none
  boot a
  boot b
}

two_servers() {  # two_servers COUNT
  local from until loader_a until_first=$((SECONDS + 180))
  : >"$acknowledged.b"
  from=$(lines "$acknowledged")
  # Not the first time, and the damage may be done already.
  if [[ $from == 0 ]]; then app_start a; else mild=1 app_start a || return 0; fi
  app_load a "$acknowledged" $((1000000 * ++loads))
  loader_a=$loader
  until has_lines $((from + 1)) "$acknowledged"; do
    ((SECONDS < until_first)) && runs "$loader_a" || break
    sleep 0.2
  done
  until=$((SECONDS + 120))
  # The damage may be done before the second one serves.
  if mild=1 app_start b; then
    app_load b "$acknowledged.b" $((1000000 * ++loads))
  else
    ok "the second server comes to nothing"
    loader= until=$((SECONDS + 3))
  fi
  until has_lines $((from + $1)) "$acknowledged" && has_lines "$1" "$acknowledged.b"; do
    ((SECONDS < until)) && runs "$loader_a" && { [[ -z $loader ]] || runs "$loader"; } || break
    sleep 0.2
  done
  end_programs a
  end_programs b
  [[ -z $loader ]] || end_load
  loader=$loader_a
  end_load
  cat "$acknowledged.b" >>"$acknowledged"
}

# Not slow, but wrong: by the check's own word, or the server's if it does not even start any more. Succeeds, and says what,
# if that is so; else says what it has instead.
damage() {
  local findings=$CLUSTER/findings
  : >"$findings"
  (
    trap 'end_programs a' EXIT
    app_start a >"$CLUSTER/again" 2>&1 && app_check a "$acknowledged" >"$findings" 2>&1
  ) && return 1
  grep -m 1 -E '(is|are) (lost|damaged)|counted up|by the ledger|differ|half a ' "$findings" ||
    grep -m 1 -ahiE 'malformed|corrupt|not a database|PANIC' "$CLUSTER"/log/*-[ab].log "$CLUSTER"/log/client*.log 2>/dev/null && return 0
  cat "$findings" "$CLUSTER/again" 2>/dev/null | head -c 300 | tr '\n' ' '
  return 1
}

rate() {  # rate SECONDS: $rate, in thousandths, of changes; measures longer if there are not five of them
  local from begin=${EPOCHREALTIME/./} until=$((SECONDS + 40))
  from=$(lines "$acknowledged")
  sleep "$1"
  until has_lines $((from + 5)) "$acknowledged" || ((SECONDS >= until)); do sleep 0.2; done
  rate=$((($(lines "$acknowledged") - from) * 1000000 / ((${EPOCHREALTIME/./} - begin) / 1000)))
}

# What it costs, for docs/apps.md: a directory of this disk, a mount with cache=none, one with tokens, in turn, each on a
# fresh copy of what app_prepare made. A line for each: milliseconds until it serves, changes that one client is
# told of in 1000 s.
story_figures() {  # story_figures APPLICATION [ROUNDS [SECONDS]]
  local round place began from seconds=${3:-5} prepared=$CLUSTER/prepared top
  acknowledged=$CLUSTER/acknowledged
  node_unmount a
  node_unmount b
  cp -a "$CLUSTER/export" "$prepared"
  rm -rf "$prepared/.holdfast-volume"
  for ((round = 0; round < ${2:-2}; round++)); do
    for place in local none tokens; do
      top=$CLUSTER/export
      [[ $place != local ]] || top=$CLUSTER/a
      find "$top" -mindepth 1 -maxdepth 1 ! -name .holdfast-volume -exec rm -rf {} +
      cp -a "$prepared/." "$top"
      sync -f "$top"
      if [[ $place != local ]]; then
        nfs_kill && nfs_restart  # it knows the old directories by these names
        HOLDFAST_TEST_CACHE=$place boot a
      fi
      : >"$acknowledged"
      chmod 666 "$acknowledged"
      began=${EPOCHREALTIME/./}
      app_start a
      began=$((${EPOCHREALTIME/./} - began))
      app_load a "$acknowledged" $((++loads * 1000000))
      wait_for 180 "a first change" has_lines 1 "$acknowledged"
      rate "$seconds"
      echo "figure $1 $place $((began / 1000)) $rate"
      end_load
      app_stop
      end_programs a
      [[ $place == local ]] || node_unmount a
    done
  done
}
