#!/usr/bin/env bash
# What docs/migrate.md says, done: data that is on the export goes on through Holdfast and back again; data from a docker
# volume; an SQLite database becomes PostgreSQL's; backups and snapshots of the export are consistent.
#   migrate.sh BIN_DIR [long]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
pg=/usr/lib/postgresql/15/bin
need sqlite3 "$python" tar rsync pgloader "$pg/initdb" setpriv
apps_begin "$1"
vault() { as_user 1002 "$python" "$apps_dir/vault.py" "$@"; }
export VAULT_SYNCHRONOUS=FULL
write_for() {  # write_for SECONDS DATABASE FIRST: as an application does; prints what is committed
  as_user 1002 timeout -s KILL "$1" "$python" "$apps_dir/vault.py" run "$2" "$3" "${4:-WAL}" 2>/dev/null || true
}

# ---- The same data, in place. The export's own directory stands for another NFS client: an application has used it there,
# and was not even shut down well.
own_directory app 1002
write_for 2 "$CLUSTER/export/app/db.sqlite3" 1 >"$CLUSTER/acknowledged"
[[ -s $CLUSTER/export/app/db.sqlite3-wal ]] || fail "it was meant to leave a WAL behind"
vault check "$CLUSTER/a/app/db.sqlite3" "$CLUSTER/acknowledged"
write_for 2 "$CLUSTER/a/app/db.sqlite3" 1000000 >>"$CLUSTER/acknowledged"
vault check "$CLUSTER/b/app/db.sqlite3" "$CLUSTER/acknowledged"
node_unmount a
node_unmount b
vault check "$CLUSTER/export/app/db.sqlite3" "$CLUSTER/acknowledged"
write_for 2 "$CLUSTER/export/app/db.sqlite3" 2000000 >>"$CLUSTER/acknowledged"
vault check "$CLUSTER/export/app/db.sqlite3" "$CLUSTER/acknowledged"
boot a
boot b
vault check "$CLUSTER/b/app/db.sqlite3" "$CLUSTER/acknowledged"
ok "the same files without Holdfast, with it, without, with it: $(lines "$CLUSTER/acknowledged") changes"

# ---- A docker volume: a directory that only root may enter, of files of the application's user. Root is nobody on the
# export, so the application's user writes.
mkdir -m 701 -p "$CLUSTER/volume"
install -d -o 1002 -m 700 "$CLUSTER/volume/_data"
cp -a "$CLUSTER/export/app/." "$CLUSTER/volume/_data"
own_directory moved 1002
tar -C "$CLUSTER/volume/_data" -c . | as_user 1002 tar -C "$CLUSTER/a/moved" -x -p
(cd "$CLUSTER/volume/_data" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$CLUSTER/sums"
(cd "$CLUSTER/b/moved" && as_user 1002 sha256sum --quiet -c "$CLUSTER/sums") || fail "the copy differs"
vault check "$CLUSTER/b/moved/db.sqlite3" "$CLUSTER/acknowledged"
mkdir "$CLUSTER/back"
rsync -a --chown=1002:1002 "$CLUSTER/export/moved/" "$CLUSTER/back/"  # on the server, or any client that may
(cd "$CLUSTER/back" && sha256sum --quiet -c "$CLUSTER/sums") || fail "the way back"
ok "from a docker volume and back"

# ---- A snapshot of the export under load. The server stands still while it is taken, as a NAS does it with its own files.
chmod 666 "$CLUSTER/acknowledged"
before=$(lines "$CLUSTER/acknowledged")
start_on a 1002 vault sh -c "exec $python $apps_dir/vault.py run $CLUSTER/data/app/db.sqlite3 3000000 WAL >>$CLUSTER/acknowledged"
wait_for 240 "changes" has_lines $((before + 200)) "$CLUSTER/acknowledged"
server=$(pgrep -f "ganesha.nfsd .*$CLUSTER/nfs")
for round in 1 2 3; do
  sleep 1
  # What is acknowledged before the server stops must be in it.
  cp "$CLUSTER/acknowledged" "$CLUSTER/acknowledged.$round"
  kill -STOP "$server"
  cp -a "$CLUSTER/export/app" "$CLUSTER/snapshot.$round"
  kill -CONT "$server"
done
end_programs a
for round in 1 2 3; do
  vault check "$CLUSTER/snapshot.$round/db.sqlite3" "$CLUSTER/acknowledged.$round" || fail "snapshot $round"
done
ok "3 snapshots of the export under load: each opens, with all that was acknowledged before"

# ---- To PostgreSQL.
install -d -o postgres -m 700 "$CLUSTER/pg"
as_user postgres "$pg/initdb" --pgdata "$CLUSTER/pg/data" --auth trust >"$CLUSTER/log/initdb.log" 2>&1
start_on a postgres postgres "$pg/postgres" -D "$CLUSTER/pg/data" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$CLUSTER/pg"
client() { as_user postgres psql --host "$CLUSTER/pg" --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }
wait_for 30 postgres client postgres -c 'SELECT 1'
client postgres -c 'CREATE DATABASE app' >/dev/null
install -d -o 1002 "$CLUSTER/home"
# As the application's user, who may open the database; its exit status says little.
on_node a setpriv --reuid=1002 --regid=1002 --clear-groups -- env HOME="$CLUSTER/home" \
  pgloader --root-dir "$CLUSTER/home" "sqlite://$CLUSTER/b/app/db.sqlite3" postgresql://postgres@127.0.0.1/app >"$CLUSTER/log/pgloader.log" 2>&1 || fail pgloader
[[ $(client app -c 'SELECT count(*), sum(amount) FROM ledger' | tr '|' ' ') == "$(as_user 1002 sqlite3 -separator ' ' "$CLUSTER/a/app/db.sqlite3" 'SELECT count(*), sum(amount) FROM ledger')" ]] ||
  fail "PostgreSQL has other rows"
ok "pgloader: $(client app -c 'SELECT count(*) FROM ledger') rows of SQLite are PostgreSQL's"
echo PASS
