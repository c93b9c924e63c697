#!/usr/bin/env bash
# holdfast bench fs with tiny numbers: three mounts behind the delaying proxy and a local directory as their peer. The
# results have every field, calls are counted on the mounts and nowhere else, and exactly; nothing is left behind.
#   smoke.sh BIN_DIR
set -euo pipefail
((EUID == 0)) || { echo "SKIP: needs root"; exit 77; }
[[ -c /dev/fuse ]] || { echo "SKIP: no /dev/fuse"; exit 77; }
command -v ganesha.nfsd >/dev/null || { echo "SKIP: no ganesha.nfsd"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../support/cluster/cluster.sh"
CLUSTER_NODES="a b c" CLUSTER_RTT_US=0
cluster_init "$1"
fail() { echo "FAIL: $*" >&2; cat "$CLUSTER"/err "$CLUSTER"/out 2>/dev/null >&2; exit 1; }
bench() { "$bin/holdfast" bench fs "$@" >"$CLUSTER/out" 2>"$CLUSTER/err"; }
left_behind() { find "$CLUSTER"/{export,local} -mindepth 1 -not -name .holdfast-volume; }
# expect CODE PATTERN ARGUMENT…
expect() {
  local code=0
  bench "${@:3}" || code=$?
  ((code == $1)) || fail "exit code $code instead of $1: ${*:3}"
  grep -qE -- "$2" "$CLUSTER/err" || fail "no \"$2\" from: ${*:3}"
}

echo "the proxy: what passes arrives whole, in order and not early"
"$here/proxy_test.py" "$bin/delay_proxy"

cluster_up >&2
mkdir "$CLUSTER/local"
SMALL=(--rounds 2 --seconds 0.05 --files 20 --megabytes 2)

echo "all scenarios, three mounts, a local directory beside them"
bench "$CLUSTER"/{a,b,c} --peer "local=$CLUSTER/local" "${SMALL[@]}" --json || fail "exit code $?"
"$here/check_results.py" "$CLUSTER/out" || fail "not the results expected"
[[ -z $(left_behind) ]] || fail "left behind: $(left_behind)"

echo "one scenario as text; one mount is too few for another"
bench "$CLUSTER/a" --only fcntl,pingpong-2 "${SMALL[@]}" || fail "exit code $?"
grep -Eq '^fcntl-pair +main .* 0\.0 +2\.0 +2\.0' "$CLUSTER/out" || fail "no line for fcntl-pair"
grep -Eq '^pingpong-2 +main +skipped: needs 2 directories' "$CLUSTER/out" || fail "pingpong-2 was not skipped"

echo "two directories that are not one file system, and other wrong usage"
expect 2 "does not show what was made in" "$CLUSTER/a" "$CLUSTER/local" "${SMALL[@]}"
expect 2 "cannot create a directory in $CLUSTER/none: No such file.*Name one" "$CLUSTER/none"
expect 2 "no scenario is called nonsense. There are: fcntl-pair" "$CLUSTER/a" --only nonsense
expect 2 "--peer local is not NAME=DIR" "$CLUSTER/a" --peer local
expect 2 "name a directory" --only fcntl
[[ -z $(left_behind) ]] || fail "left behind: $(left_behind)"

echo "writers whose locks do not hold are found out"
mkdir "$CLUSTER"/broken "$CLUSTER"/broken-{1,2}
for i in 1 2; do
  "$bin/local_lock_fs" "$CLUSTER/broken" "$CLUSTER/broken-$i"
  cluster_mounts+=("broken-$i")
done
code=0
bench "$CLUSTER"/broken-{1,2} --only writers --rounds 1 --seconds 2 || code=$?
((code == 1)) && grep -q '^writers-delete  *main  *FAILED' "$CLUSTER/out" || fail "exit code $code"
for i in 1 2; do fusermount3 -u "$CLUSTER/broken-$i"; done

echo "interrupted: it ends and cleans up"
rm "$CLUSTER/err"
"$bin/holdfast" bench fs "$CLUSTER/a" --only fcntl --seconds 600 >"$CLUSTER/out" 2>"$CLUSTER/err" &
pid=$!
for ((i = 0; i < 200; i++)); do grep -qs "round 1" "$CLUSTER/err" && break; sleep 0.05; done
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
((code == 130)) || fail "exit code $code after SIGTERM"
[[ -z $(left_behind) ]] || fail "left behind: $(left_behind)"

echo "a mount that is gone takes its counters with it"
node_unmount c
[[ $(ls /run/holdfast/counters-* 2>/dev/null | wc -l) -ge 2 ]] || fail "the mounts publish no counters"
"$bin/holdfast" bench fs "$CLUSTER/c" --only fcntl --json "${SMALL[@]}" >"$CLUSTER/out" 2>"$CLUSTER/err" || fail "exit code $?"
grep -q '"lockd_calls_per_op":null' "$CLUSTER/out" || fail "calls of a directory that is no mount"
echo PASS
