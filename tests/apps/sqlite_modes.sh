#!/usr/bin/env bash
# SQLite's many modes on two nodes: Python's module and the sqlite3 shell (sqlite_modes.py), Node's better-sqlite3
# (sqlite_modes.mjs); all three write into one database at once; a node dies in transactions over two databases.
#   sqlite_modes.sh BIN_DIR [long|control|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$apps_dir/npm.sh"
need "$python" sqlite3 setpriv
length=${2:-long}
install_packages
apps_begin "$1" "$length"
own_directory modes 1003
own_directory pair 1003
modes() { as_user 1003 "$python" "$apps_dir/sqlite_modes.py" "$CLUSTER/a/$1" "$CLUSTER/b/$1" "${@:2}"; }
# The packages are where only programs of a node see them.
node_on() { start_on "$1" 1003 "$2" node "$apps_dir/sqlite_modes.mjs" "$CLUSTER/program" "${@:3}"; }

three_at_once() {  # three_at_once JOURNAL: shell, Python, Node on both nodes; ten rows each
  local database=modes/three-$1.db writer writers=() node
  as_user 1003 sqlite3 "$CLUSTER/a/$database" "PRAGMA journal_mode = $1; CREATE TABLE t (b)" >/dev/null
  for node in a b; do
    node_on "$node" "three-$node" insert "$CLUSTER/data/$database" 10
    writers+=("$started")
    as_user 1003 "$python" -c 'import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
for _ in range(10): database.execute("INSERT INTO t VALUES (randomblob(300))")' "$CLUSTER/$node/$database" &
    writers+=("$!")
    # Not yes | head: whoever waits for this while it runs would be told of the SIGPIPE.
    printf 'INSERT INTO t VALUES (randomblob(300));\n%.0s' {1..10} | as_user 1003 sqlite3 -bail -cmd '.timeout 20000' "$CLUSTER/$node/$database" &
    writers+=("$!")
  done
  for writer in "${writers[@]}"; do wait "$writer" || fail "three writers, $1: $(tail -n 3 "$CLUSTER/log"/three-*.log)"; done
  [[ $(as_user 1003 sqlite3 "$CLUSTER/b/$database" 'SELECT count(*) FROM t; PRAGMA integrity_check') == $'60\nok' ]] || fail "three writers, $1: not 60 rows"
}

acknowledged=$CLUSTER/acknowledged
: >"$acknowledged"
chmod 666 "$acknowledged"
pair_on() { start_on "$1" 1003 "pair-$1" sh -c "exec $python $apps_dir/super_journal.py run $CLUSTER/data/pair >>$acknowledged"; }
# Where the programs of a node see it, too: a journal names its super-journal by the whole path, and SQLite takes one that
# it does not find for the end of the transaction.
pair_check() {
  local code=0
  start_on "$1" 1003 "check-$1" "$python" "$apps_dir/super_journal.py" check "$CLUSTER/data/pair" "$acknowledged"
  wait "$started" || code=$?
  tail -n 1 "$CLUSTER/log/check-$1.log"
  return "$code"
}

case $length in
  control)
    begin_control
    damaged='FAIL: rows of|malformed|not a database|half a|are lost|is damaged'
    finds() { grep -qE "$damaged" "$CLUSTER/findings"; }  # and not only that somebody had to wait
    export MODES_GO_ON=1 PAIR_GOES_ON=1
    for try in {1..8}; do
      own_directory "modes.$try" 1003
      modes "modes.$try" >"$CLUSTER/findings" 2>&1 || ! finds || break
    done
    finds || { cat "$CLUSTER/findings" >&2; fail "nothing is found with locks local to each mount"; }
    ok "try $try, it finds out: $(grep -E "$damaged" "$CLUSTER/findings" | tail -1)"
    for try in {1..20}; do
      pair_on a
      pair_on b
      sleep 4
      end_programs a
      end_programs b
      pair_check a >"$CLUSTER/findings" 2>&1 || ! finds || break
    done
    finds || { cat "$CLUSTER/findings" >&2; fail "transactions over two databases: no damage is found"; }
    ok "over two databases, try $try: $(tail -1 "$CLUSTER/findings")"
    ;;
  figures)
    app_prepare() { as_user 1003 sqlite3 "$CLUSTER/a/modes/one.db" 'CREATE TABLE t (b)'; }
    app_start() { :; }
    app_load() {
      start_on "$1" 1003 "node-$1" sh -c "exec node $apps_dir/sqlite_modes.mjs $CLUSTER/program insert $CLUSTER/data/modes/one.db 0 >>$2"
      loader=$started
    }
    app_stop() { end_programs a; }
    app_prepare
    story_figures sqlite_modes
    ;;
  *)
    modes modes big
    node_on a node modes "$CLUSTER/a/modes" "$CLUSTER/b/modes"
    wait "$started" || fail "better-sqlite3: $(tail -5 "$CLUSTER/log/node.log")"
    cat "$CLUSTER/log/node.log"
    for journal in delete truncate persist; do three_at_once "$journal"; done
    ok "shell, Python and Node at once on both nodes, in one database: delete, truncate, persist"
    for pair in "a b" "b a" "a b"; do
      read -r first second <<<"$pair"
      from=$(lines "$acknowledged")
      pair_on "$first"
      wait_for 60 "transactions over two databases" has_lines $((from + 40)) "$acknowledged"
      sleep "0.$((RANDOM % 10))"
      power_off "$first"
      pair_check "$second" || fail "after the death of $first"
      boot "$first"
    done
    ok "ATTACH, with a super-journal: 3 nodes killed in $(lines "$acknowledged") transactions, each is in both databases or in none"
    ;;
esac
echo PASS
