#!/usr/bin/env bash
# holdfast bench lockd with tiny numbers: every scenario runs, keeps its promises and leaves nothing behind; and its
# verdict is a failure when lockd does not keep them.
set -euo pipefail
BIN=$(cd "$1" && pwd)
T=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-bench-test.XXXXXX")
trap 'rm -rf "$T"' EXIT
fail() { echo "FAIL: $*" >&2; [[ ! -f $T/err ]] || cat "$T/err" >&2; exit 1; }
SMALL=(--directory "$T" --sessions 50 --locks 2000 --files 200 --holders 5 --ranges 2000 --waiters 100 --ops 2000
  --rounds 2 --round-size 20 --seconds 4 --patience 60 --attack-seconds 1 --attack random --attack half-open)

echo "all scenarios"
code=0
"$BIN/holdfast" bench lockd "${SMALL[@]}" --json >"$T/out" 2>"$T/err" || code=$?
((code == 0)) || { cat "$T/out" >&2; fail "exit code $code"; }
python3 - "$T/out" <<'P' || fail "not the report expected"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["verdict"] == "PASS", report
names = [one["name"] for one in report["scenarios"]]
assert names == ["sessions", "reconnect", "locks", "ranges", "waiters", "ops", "restart", "store", "hostile"], names
for one in report["scenarios"]:
    assert one["verdict"] == "PASS" and one["figures"] and not one["failures"], one
P
[[ -z $(ls "$T" | grep -vx -e out -e err) ]] || fail "left behind: $(ls "$T")"

echo "one scenario, as a table"
"$BIN/holdfast" bench lockd ops "${SMALL[@]}" >"$T/out" 2>"$T/err" || fail "exit code $?"
grep -q '^ops: PASS' "$T/out" && grep -q '^PASS$' "$T/out" || fail "no verdict in $(cat "$T/out")"

echo "a lockd whose restart forgets its sessions is found out"
cat >"$T/forgetful" <<P
#!/usr/bin/env bash
args=()
for arg; do [[ \$arg == "$T"/*/lockd.store ]] && arg=memory:; args+=("\$arg"); done
[[ \${args[-1]} == --new-volume ]] && exit 0
exec "$BIN/holdfast-lockd" "\${args[@]}" --lease-ttl 1 --storage-delay 0
P
chmod +x "$T/forgetful"
code=0
"$BIN/holdfast" bench lockd restart "${SMALL[@]}" --lockd-binary "$T/forgetful" >"$T/out" 2>"$T/err" || code=$?
((code == 1)) && grep -q 'FAILED: lost: 5 sessions unknown' "$T/out" || { cat "$T/out" >&2; fail "exit code $code"; }

echo "a lockd that dies beside an attacker is found out"
cat >"$T/mortal" <<P
#!/usr/bin/env bash
[[ \${@: -1} == --new-volume ]] || { (sleep 2; kill -9 \$\$) & }
exec "$BIN/holdfast-lockd" "\$@"
P
chmod +x "$T/mortal"
code=0
"$BIN/holdfast" bench lockd hostile --directory "$T" --attack random --attack-seconds 1 --patience 5 --lockd-binary "$T/mortal" >"$T/out" 2>"$T/err" || code=$?
((code == 1)) && grep -q 'FAILED: random: lockd died' "$T/out" || { cat "$T/out" >&2; fail "exit code $code"; }

echo "wrong usage"
code=0
"$BIN/holdfast" bench lockd nonsense >"$T/out" 2>"$T/err" || code=$?
((code == 2)) || fail "exit code $code for an unknown scenario"
code=0
"$BIN/holdfast" bench lockd ops --lockd-binary /nonexistent "${SMALL[@]}" >"$T/out" 2>"$T/err" || code=$?
((code == 2)) && grep -q 'cannot execute /nonexistent' "$T/err" || fail "exit code $code without a lockd"
