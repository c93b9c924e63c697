#!/usr/bin/env bash
# The table of docs/apps.md: what applications cost on a directory of this disk, with cache=none and with cache=tokens, one
# after the other. On a quiet machine, with release binaries; about six minutes.
#   figures.sh BIN_DIR [APPLICATION…]       all, if none is named
#   CLUSTER_RTT_US=0                        without the round trip of 0.2 ms between mounts and servers
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$1" && pwd)
shift
(($#)) || set -- vaultwarden sqlite_modes actual mariadb postgresql fossil radicale files
export CLUSTER_RTT_US=${CLUSTER_RTT_US-200}
[[ $CLUSTER_RTT_US != 0 ]] || CLUSTER_RTT_US=
log=$(mktemp "${TMPDIR:-/tmp}/holdfast-figures.XXXXXX")
trap 'rm -f "$log"' EXIT

failed=
for name in "$@"; do
  "$here/../support/alone" "$here/$name.sh" "$bin" figures 2>&1 | tee -a "$log" >&2 || failed+=" $name"
done

# figure NAME PLACE START_MS CHANGES_PER_1000_S
awk '
  function rate(thousandths) { return sprintf(thousandths < 10000 ? "%.1f" : "%.0f", thousandths / 1000) }
  function join(list, text) { return list == "" ? text : list ", " text }
  $1 == "figure" {
    if (!($2 in seen)) { seen[$2]; names[++n] = $2 }
    starts[$2, $3] = join(starts[$2, $3], sprintf("%.1f", $4 / 1000))
    if ($4 > 150) serves[$2]
    rates[$2, $3] = join(rates[$2, $3], rate($5))
  }
  END {
    print "| | local disk | `cache=none` | `cache=tokens` (the default) | seconds until it serves: local; none; tokens |"
    print "| --- | --- | --- | --- | --- |"
    for (i = 1; i <= n; i++) {
      name = names[i]
      start = name in serves ? starts[name, "local"] "; " starts[name, "none"] "; " starts[name, "tokens"] : ""
      printf "| %s | %s | %s | %s | %s |\n", name, rates[name, "local"], rates[name, "none"], rates[name, "tokens"], start
    }
  }' "$log"
echo "$SECONDS s; load average $(cut -d' ' -f1-3 /proc/loadavg)${failed:+; failed:$failed}" >&2
[[ -z $failed ]]
