#!/usr/bin/env bash
# MariaDB with its data directory and its socket on the mount, InnoDB and Aria: its node dies under load and the other
# goes on; a second server is refused by the first one's locks; a node that was cut off and comes back changes nothing.
# InnoDB: each transaction that was acknowledged is there. Aria has none: each statement that was is there, and no half one.
#   mariadb.sh BIN_DIR [short|long|control|owner|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need mariadbd mariadb mariadb-install-db "$python" setpriv
length=${2:-short}
apps_begin "$1" "$length" 999:999
notes=notes
[[ $length != figures ]] || notes=
client() { as_user 999 mariadb --no-defaults --user=root --socket="$CLUSTER/$1/mysql/sock" --batch --skip-column-names "${@:2}"; }

mariadbd_on() {  # with the defaults, but for where its files are
  start_on "$1" 999 "mariadb-$1" mariadbd --no-defaults --datadir="$CLUSTER/data/mysql/data" \
    --socket="$CLUSTER/data/mysql/sock" --pid-file="$CLUSTER/data/mysql/pid" --skip-networking --innodb-buffer-pool-size=64M
  server=$started
}
app_start() {
  mariadbd_on "$1"
  # A dead node's locks are free when its lease is over.
  wait_for_server 60 "mariadbd on $1" client "$1" -e 'SELECT 1'
}
app_stop() { stop_program TERM "$server"; }
app_load() {
  "$python" "$apps_dir/transfers.py" load "$3" $notes | client "$1" --unbuffered bank >>"$2" 2>>"$CLUSTER/log/client.log" &
  loader=$!
}
app_check() {
  local bad=0
  client "$1" bank -e "SELECT 'account', id, balance FROM account; SELECT 'ledger', number, payer, payee, amount FROM ledger;
      SELECT 'note', number, part, IF(text = REPEAT('n', LENGTH(text)), LENGTH(text), -1) FROM notes; SELECT 'tally', id, count FROM tally" |
    "$python" "$apps_dir/transfers.py" check "$2" || bad=1
  client "$1" bank -e 'CHECK TABLE account, ledger, notes, tally EXTENDED' >"$CLUSTER/check" || bad=1
  [[ $(grep -c 'status.OK$' "$CLUSTER/check") == 4 ]] || { cat "$CLUSTER/check"; bad=1; }
  return "$bad"
}
app_second() {
  local server
  mariadbd_on "$1"
  local second=$server
  wait_for 40 "a word of the second server" grep -q 'Unable to lock ./ibdata1 error: 11\|aria_log_control. for exclusive use, error: 11' "$CLUSTER/log/mariadb-$1.log"
  if client "$1" -e 'SELECT 1' >/dev/null 2>&1; then fail "two servers"; fi
  ok "the second server says: $(grep -m 1 'error: 11' "$CLUSTER/log/mariadb-$1.log" | cut -c1-220)"
  who_has "$1" mysql/data/ibdata1
  [[ $length != long ]] || ends_within 150 "$second" || fail "the second server does not give up"
}
app_fenced() {  # its writes fail, and InnoDB then ends rather than go on
  ends_within 60 "$1" || fail "the server that was cut off still runs"
  ok "the server that was cut off says: $(grep -aiE '\[ERROR\].*(error 5|errno: 5|Input/output|InnoDB)' "$CLUSTER/log/mariadb-b.log" | tail -1 | cut -c1-220)"
}

app_prepare() {
  own_directory mysql 999
  as_user 999 mariadb-install-db --no-defaults --datadir="$CLUSTER/a/mysql/data" --auth-root-authentication-method=normal \
    --skip-test-db >"$CLUSTER/log/install.log" 2>&1 || fail "mariadb-install-db"
  app_start a
  client a -e 'CREATE DATABASE bank'
  "$python" "$apps_dir/transfers.py" schema ENGINE=InnoDB | client a bank
  "$python" "$apps_dir/transfers.py" notes-schema 'ENGINE=Aria TRANSACTIONAL=1' | client a bank
  app_stop
}
app_prepare
ok "data directory made by user 999 on an export that squashes root"

case $length in
  control) story_control 100 ;;
  figures) story_figures mariadb ;;
  short | owner) story_begin; story_killed 100; story_twice 20 ;;
  long) story_begin; story_killed 300; story_twice 100; story_cut 200 ;;
esac
echo PASS
