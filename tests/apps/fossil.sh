#!/usr/bin/env bash
# Fossil's server on one repository: commits come in by its own protocol. Its node dies and the other goes on; servers on
# both nodes at once; what was cut off and comes back changes nothing.
#   fossil.sh BIN_DIR [long|control|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need fossil setpriv curl
length=${2:-long}
apps_begin "$1" "$length"
mkdir "$CLUSTER/home"
export HOME=$CLUSTER/home
url=http://admin:secret@127.0.0.1:8080/

app_start() {
  start_on "$1" 1005 "fossil-$1" env HOME="$CLUSTER/data/fossil" USER=admin fossil server "$CLUSTER/data/fossil/project.fossil" --port 8080 --localhost
  server=$started
  # With locks local to each mount some requests fail at once.
  local answered=--fail
  [[ $length != control ]] || answered=--show-error
  wait_for_server 60 "fossil on $1" on_node "$1" curl --silent "$answered" http://127.0.0.1:8080/timeline
}
synchronized() {  # fossil's exit status is 0 whatever happens: what it prints counts
  local said
  said=$(fossil sync "$url" 2>&1 | tr '\r' '\n')
  grep -q 'Sync done.*received: [1-9]' <<<"$said" && ! grep -qiE 'error|locked|cannot|denied' <<<"$said" && return 0
  grep -iE 'error|locked|cannot|denied' <<<"$said" | head -1 >&2
  return 1
}
commits() {  # commits FIRST: one after the other, from a clone of its own; prints each number that the server has
  local failures=0 number=$1 work=$CLUSTER/home/work.$1
  fossil clone --quiet "$url" "$work.fossil" >/dev/null
  mkdir "$work"
  cd "$work"
  fossil open --quiet --nosync "$work.fossil" >/dev/null
  fossil settings autosync off
  fossil settings mtime-changes off  # it would not see two changes in one second
  while true; do
    number=$((number + 1))
    head -c 2000 /dev/urandom | base64 >"file.$((number % 10))"
    fossil add --quiet --force "file.$((number % 10))" >/dev/null
    fossil commit --quiet --no-warnings --allow-fork --allow-older --no-prompt -m "change $number" >/dev/null || [[ ${patience:-} ]] || return 1
    until synchronized; do
      ((++failures < ${patience:-20})) || return 0
      sleep 0.2
    done
    echo "$number"
  done
}
export -f commits synchronized
export url CLUSTER
app_load() {
  on_node "$1" bash -c "commits $3" >>"$2" 2>>"$CLUSTER/log/client.log" &
  loader=$!
}
app_check() {
  local bad=0 repository=$CLUSTER/$1/fossil/project.fossil
  as_user 1005 sqlite3 -cmd '.timeout 20000' "$repository" "SELECT substr(comment, 8) FROM event WHERE comment LIKE 'change %'" | sort >"$CLUSTER/there"
  sort "$2" | comm -23 - "$CLUSTER/there" >"$CLUSTER/lost"
  [[ ! -s $CLUSTER/lost ]] || { echo "$(lines "$CLUSTER/lost") commits are lost, the first is $(head -1 "$CLUSTER/lost")"; bad=1; }
  as_user 1005 env USER=admin HOME="$CLUSTER/$1/fossil" fossil test-integrity "$repository" >"$CLUSTER/integrity" 2>&1 || bad=1
  grep -q ' 0 errors' "$CLUSTER/integrity" || { tail -3 "$CLUSTER/integrity"; bad=1; }
  [[ $(as_user 1005 sqlite3 -cmd '.timeout 20000' "$repository" 'PRAGMA integrity_check') == ok ]] || { echo "the database is damaged"; bad=1; }
  return "$bad"
}
app_stop() { end_programs a; end_programs b; }
app_fenced() { ok "what was cut off says: $(tail -1 "$CLUSTER/log/client.log" | cut -c1-220)"; }

app_prepare() {
  own_directory fossil 1005
  as_user 1005 env USER=admin HOME="$CLUSTER/a/fossil" fossil new --admin-user admin "$CLUSTER/a/fossil/project.fossil" >/dev/null
  as_user 1005 env USER=admin HOME="$CLUSTER/a/fossil" fossil user password admin secret -R "$CLUSTER/a/fossil/project.fossil"
}
app_prepare
ok "a repository of user 1005, journal mode: $(as_user 1005 sqlite3 "$CLUSTER/a/fossil/project.fossil" 'PRAGMA journal_mode')"
case $length in
  control)
    export patience=1000  # until something is lost, not only until it is noticed
    story_control 20
    ;;
  figures) story_figures fossil ;;
  *) story_begin; story_killed 10; story_both 5; story_cut 10 ;;
esac
echo PASS
