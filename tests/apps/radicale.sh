#!/usr/bin/env bash
# Radicale, a calendar server: many small files, each replaced by rename, and flock around every request. Its node dies and
# the other goes on; servers on both nodes at once; what was cut off and comes back changes nothing.
#   radicale.sh BIN_DIR [long|control|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need radicale "$python" curl setpriv
length=${2:-long}
apps_begin "$1" "$length"
cat >"$CLUSTER/radicale.conf" <<CONF
[server]
hosts = 127.0.0.1:5232
[auth]
type = none
[storage]
filesystem_folder = $CLUSTER/data/radicale
CONF
client() { on_node "$1" "$python" "$apps_dir/radicale_client.py" "${@:2}"; }

app_start() {
  start_on "$1" 1006 "radicale-$1" radicale --config "$CLUSTER/radicale.conf"
  server=$started
  # A dead node's lock is free when its lease is over.
  wait_for_server 60 "radicale on $1" on_node "$1" curl --silent --fail http://127.0.0.1:5232/.web/
}
app_load() {
  client "$1" load "$3" >>"$2" 2>>"$CLUSTER/log/client.log" &
  loader=$!
}
app_check() { client "$1" check "$2"; }
app_stop() { end_programs a; end_programs b; }
app_fenced() {
  sleep 2
  ok "what was cut off says: $(grep -aE 'rror' "$CLUSTER/log/radicale-b.log" | tail -1 | cut -c1-220)"
}

app_prepare() {
  own_directory radicale 1006
  app_start a
  client a begin
  end_programs a
}
app_prepare
case $length in
  control)
    export RADICALE_TOGETHER=1
    story_control 20
    ;;
  figures) story_figures radicale ;;
  *) story_begin; story_killed 20; story_both 5; story_cut 10 ;;
esac
echo PASS
