#!/usr/bin/env bash
# Vaultwarden's pattern of using SQLite (vault.py; not Vaultwarden itself, which is in no package): WAL, several processes
# and threads on one node, backups by VACUUM INTO and .backup under load. Its node dies and the other goes on; from a second
# node the database is locked; what was cut off and comes back changes nothing. Without WAL, both nodes at once.
#   vaultwarden.sh BIN_DIR [long|control|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need "$python" sqlite3 setpriv
length=${2:-long}
apps_begin "$1" "$length"
mode=WAL
database=vault/db.sqlite3
vault() { as_user 1002 "$python" "$apps_dir/vault.py" "$@"; }

# Server and load are one program: it prints what it has committed.
app_start() { :; }
app_load() {
  chmod 666 "$2"
  start_on "$1" 1002 "vault-$1" sh -c "exec $python $apps_dir/vault.py run $CLUSTER/data/$database $3 $mode >>$2"
  loader=$started server=$started
}
app_prepare() { own_directory vault 1002; }
app_check() { vault check "$CLUSTER/$1/$database" "$2"; }
app_stop() { end_programs a; end_programs b; }
app_second() {
  local said
  # Ten times its time-out is what vault.py waits for; here the first answer counts.
  said=$(as_user 1002 sqlite3 -cmd '.timeout 1000' "$CLUSTER/$1/$database" 'SELECT count(*) FROM ledger' 2>&1) && fail "a second node reads a WAL database"
  [[ $said == *"database is locked"* ]] || fail "it says: $said"
  ok "on the second node: $said"
  who_has "$1" "$database"
}
app_fenced() {
  sleep 3
  ok "what was cut off says: $(grep -h ends: "$CLUSTER/log/vault-b.log" | tail -1)"
}
story_backups() {  # story_backups ROUNDS: while it writes
  local round
  story_load a 100
  for ((round = 0; round < $1; round++)); do
    vault vacuum-into "$CLUSTER/a/$database" "$CLUSTER/a/vault/into.$round"
    vault whole "$CLUSTER/b/vault/into.$round" || fail "VACUUM INTO under load"
    vault backup "$CLUSTER/a/$database" "$CLUSTER/a/vault/backup.$round"
    vault whole "$CLUSTER/b/vault/backup.$round" || fail "a backup under load"
    as_user 1002 sqlite3 "$CLUSTER/a/$database" '.timeout 5000' ".backup $CLUSTER/a/vault/shell.$round"
    vault whole "$CLUSTER/b/vault/shell.$round" || fail ".backup under load"
  done
  as_user 1002 sqlite3 "$CLUSTER/b/$database" '.timeout 1000' ".backup $CLUSTER/b/vault/elsewhere" >"$CLUSTER/log/elsewhere.log" 2>&1 &&
    fail "a WAL database was copied on another node"
  end_load
  ok "$((3 * $1)) backups under load, each of one moment, read on the other node; from there: $(tail -1 "$CLUSTER/log/elsewhere.log")"
}

app_prepare
# What SQLite promises with synchronous=NORMAL: a database in order, and after the loss of a node not the last commits. These
# are sent soon, and made stable after 3 s at the latest.
story_normal() {
  unset VAULT_SYNCHRONOUS
  story_load a 200
  cp "$acknowledged" "$acknowledged.old"
  sleep 5
  power_off a
  load_ends
  app_check b "$acknowledged.old" >"$CLUSTER/findings" 2>&1 || { cat "$CLUSTER/findings"; fail "synchronous=NORMAL, what was acknowledged 5 s before the end"; }
  local said
  said=$(app_check b "$acknowledged" | grep lost) || true
  ok "synchronous=NORMAL: $(lines "$acknowledged.old") changes that were acknowledged 5 s before are there; of all: ${said:-nothing is lost}"
  cp "$acknowledged.old" "$acknowledged"
  boot a
  export VAULT_SYNCHRONOUS=FULL
}

export VAULT_SYNCHRONOUS=FULL
case $length in
  figures) story_figures vaultwarden ;;
  control)
    mode=DELETE
    export VAULT_GOES_ON=1  # until something is lost, not only until it is noticed
    story_control 100
    ;;
  *)
    story_begin
    story_backups 5
    story_normal
    story_killed 500
    story_twice 100
    app_stop
    story_cut 300
    app_stop
    mode=DELETE
    story_both 20
    ;;
esac
echo PASS
