#!/usr/bin/env bash
# SQLite's many modes on two nodes (sqlite_modes.py); a node dies in transactions over two databases.
#   sqlite_modes.sh BIN_DIR [long|control]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need "$python" sqlite3 setpriv
length=${2:-long}
apps_begin "$1" "$length"
own_directory modes 1003
own_directory pair 1003
modes() { as_user 1003 "$python" "$apps_dir/sqlite_modes.py" "$CLUSTER/a/modes" "$CLUSTER/b/modes" "$@"; }
if [[ $length == control ]]; then
  if modes >"$CLUSTER/findings" 2>&1; then fail "nothing is found with locks local to each mount"; fi
  ok "it finds out: $(tail -1 "$CLUSTER/findings")"
  echo PASS
  exit 0
fi
modes big

acknowledged=$CLUSTER/acknowledged
: >"$acknowledged"
chmod 666 "$acknowledged"
for pair in "a b" "b a" "a b"; do
  read -r first second <<<"$pair"
  from=$(lines "$acknowledged")
  start_on "$first" 1003 "pair-$first" sh -c "exec $python $apps_dir/super_journal.py run $CLUSTER/data/pair >>$acknowledged"
  wait_for 60 "transactions over two databases" has_lines $((from + 40)) "$acknowledged"
  sleep "0.$((RANDOM % 10))"
  power_off "$first"
  as_user 1003 "$python" "$apps_dir/super_journal.py" check "$CLUSTER/$second/pair" "$acknowledged" || fail "after the death of $first"
  boot "$first"
done
ok "ATTACH, with a super-journal: 3 nodes killed in $(lines "$acknowledged") transactions, each is in both databases or in none"
echo PASS
