#!/usr/bin/env bash
# Actual Budget's sync server, from npm: bootstrap, login, a budget file, changes by its sync protocol. Its node dies under
# load and the other goes on. Two servers at once (its SQLite databases are in a rollback journal mode) share the files;
# what was cut off and comes back changes nothing.
#   actual.sh BIN_DIR [short|long|control|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$apps_dir/npm.sh"
need "$python" setpriv
length=${2:-short}
install_packages
apps_begin "$1" "$length"
state=$CLUSTER/state
client() { on_node "$1" node "$apps_dir/actual_client.mjs" "$packages" "${@:2}"; }

app_start() {
  start_on "$1" 1001 "actual-$1" env NODE_ENV=production ACTUAL_DATA_DIR="$CLUSTER/data/actual" \
    node "$CLUSTER/program/node_modules/@actual-app/sync-server/build/app.js"
  server=$started
  wait_for_server 60 "Actual on $1" on_node "$1" curl --silent --fail --globoff 'http://[::1]:5006/health'
  # Its databases are locked until a dead node's lease is over.
  [[ ! -e $state ]] || wait_for 60 "an answer of Actual on $1" client "$1" check "$state" /dev/null
}
app_load() {
  client "$1" load "$state" "$3" >>"$2" 2>>"$CLUSTER/log/client-$1.log" &
  loader=$!
}
app_check() {
  local bad=0 file
  client "$1" check "$state" "$2" || bad=1
  for file in "$CLUSTER"/export/actual/*/*.sqlite; do
    file=$CLUSTER/$1/${file#"$CLUSTER"/export/}
    [[ $(as_user 1001 sqlite3 -cmd '.timeout 20000' "$file" 'PRAGMA integrity_check') == ok ]] || { echo "$file is damaged"; bad=1; }
  done
  return "$bad"
}
app_stop() { end_programs a; end_programs b; }
app_second() { fail "two servers share the files"; }
app_fenced() {  # its requests fail or are carried out; what it said yes to is checked on the other node
  sleep 2
  ok "the server that was cut off says: $(grep -hE ': (5|fetch)' "$CLUSTER/log/client-b.log" | tail -1 | cut -c1-220)"
}

app_prepare() {
  rm -f "$state"
  own_directory actual 1001
  app_start a
  client a setup "$state"
  end_programs a
}
app_prepare
modes=$(for file in "$CLUSTER"/export/actual/*/*.sqlite; do as_user 1001 sqlite3 "$CLUSTER/a/${file#"$CLUSTER"/export/}" 'PRAGMA journal_mode'; done | sort -u)
ok "bootstrap, login, upload as user 1001 on an export that squashes root; journal mode: $modes"

case $length in
  control) story_control 100 ;;
  figures) story_figures actual ;;
  short) story_begin; story_killed 50; story_both 20 ;;
  long) story_begin; story_killed 200; story_both 100; story_cut 100 ;;
esac
echo PASS
