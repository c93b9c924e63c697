#!/usr/bin/env bash
# PostgreSQL 15 with everything on the mount: data directory, a tablespace, the unix socket, archived WAL. Its node dies
# under load and the other goes on. PostgreSQL itself has no lock that another node could see (postmaster.pid names a
# process): it is started under flock(1), which refuses a second server; a node that was cut off changes nothing.
#   postgresql.sh BIN_DIR [short|long|control|owner|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
pg=/usr/lib/postgresql/15/bin
need "$pg/postgres" "$pg/initdb" "$pg/pgbench" "$pg/pg_amcheck" psql flock setpriv
length=${2:-short}
apps_begin "$1" "$length" "$(id -u postgres):$(id -g postgres)"
client() { as_user postgres psql --host "$CLUSTER/$1/pg/run" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "${@:2}"; }
bench() { as_user postgres "$pg/pgbench" --host "$CLUSTER/$1/pg/run" "${@:2}"; }

postgres_on() {  # postgres_on NODE SECONDS: how long to wait for the other server's end
  start_on "$1" postgres "postgresql-$1" flock --verbose --no-fork --wait "$2" "$CLUSTER/data/pg/lock" \
    "$pg/postgres" -D "$CLUSTER/data/pg/data"
  server=$started
}
app_start() {
  postgres_on "$1" 60
  wait_for_server 180 "postgres on $1" client "$1" -c 'SELECT 1' postgres
}
app_stop() { stop_program INT "$server"; }
app_load() {
  "$python" "$apps_dir/transfers.py" load "$3" | client "$1" bank >>"$2" 2>>"$CLUSTER/log/client.log" &
  loader=$!
  if [[ $length == long ]]; then
    # Without --no-vacuum it empties its history first.
    bench "$1" --no-vacuum --client 4 --time 30 bank >>"$CLUSTER/log/pgbench.log" 2>&1 &
  fi
}
app_check() {
  local bad=0 sums
  client "$1" bank --field-separator ' ' -c "SELECT 'account', id, balance FROM account" -c "SELECT 'ledger', number, payer, payee, amount FROM ledger" |
    "$python" "$apps_dir/transfers.py" check "$2" || bad=1
  # pgbench's own books: each transaction changes all four by the same amount.
  sums=$(client "$1" bank -c 'SELECT count(DISTINCT s) FROM (SELECT sum(abalance) s FROM pgbench_accounts UNION ALL
    SELECT sum(tbalance) FROM pgbench_tellers UNION ALL SELECT sum(bbalance) FROM pgbench_branches UNION ALL
    SELECT coalesce(sum(delta), 0) FROM pgbench_history) all_sums')
  [[ $sums == 1 ]] || { echo "the sums of pgbench's tables differ"; bad=1; }
  as_user postgres "$pg/pg_amcheck" --host "$CLUSTER/$1/pg/run" --install-missing --heapallindexed bank || bad=1
  return "$bad"
}
app_second() {
  local server
  postgres_on "$1" 3
  ends_within 30 "$started" || fail "a second server starts"
  ok "the second server says: $(tail -1 "$CLUSTER/log/postgresql-$1.log")"
  grep -q 'timeout while waiting to get lock' "$CLUSTER/log/postgresql-$1.log" || fail "it does not say why"
  who_has "$1" pg/lock
}
app_fenced() {  # whoever was started under the lock that is lost, and all children, can change nothing any more
  client b bank -c 'INSERT INTO ledger VALUES (0, 0, 0, 0, 0); CHECKPOINT' >"$CLUSTER/log/late.log" 2>&1 && fail "the server that was cut off still writes"
  ok "the server that was cut off says: $(grep -aE 'PANIC|Input/output' "$CLUSTER/log/postgresql-b.log" | head -1 | cut -c1-220)"
}

app_prepare() {
  own_directory pg postgres
  as_user postgres mkdir "$CLUSTER/a/pg/run" "$CLUSTER/a/pg/space" "$CLUSTER/a/pg/archive"
  as_user postgres "$pg/initdb" --pgdata "$CLUSTER/a/pg/data" --data-checksums --auth trust >"$CLUSTER/log/initdb.log" 2>&1 || fail initdb
  as_user postgres tee -a "$CLUSTER/a/pg/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$CLUSTER/data/pg/run'
fsync = on
archive_mode = on
archive_command = 'test ! -f $CLUSTER/data/pg/archive/%f && cp %p $CLUSTER/data/pg/archive/%f'
CONF
  # With cache=none, opening each file after a crash takes minutes; what is on the server is in question, not what is sent.
  [[ $length != control ]] || as_user postgres tee -a "$CLUSTER/a/pg/data/postgresql.conf" >/dev/null <<<'recovery_init_sync_method = syncfs'
  app_start a
  client a postgres -c 'CREATE DATABASE bank' -c "CREATE TABLESPACE space LOCATION '$CLUSTER/data/pg/space'"
  "$python" "$apps_dir/transfers.py" schema 'TABLESPACE space' | client a bank
  bench a --initialize --scale 1 --quiet bank 2>/dev/null
  app_stop
}
app_prepare
ok "initdb as user postgres on an export that squashes root"

case $length in
  control) story_control 100 ;;
  figures) story_figures postgresql ;;
  short | owner) story_begin; story_killed 100; story_twice 20 ;;
  long)
    story_begin
    story_killed 300
    story_twice 100
    story_cut 200
    client a bank -c 'SELECT pg_switch_wal()' >/dev/null
    wait_for 30 "an archived segment" as_user postgres sh -c "ls $CLUSTER/a/pg/archive | grep -q ^0000"
    ok "WAL is archived: $(as_user postgres ls "$CLUSTER/a/pg/archive" | wc -l) segments"
    ;;
esac
echo PASS
