#!/usr/bin/env bash
# A real Prometheus, with the configuration of docs/metrics.md and our alert rules, scrapes lockd and the mounts of a node:
# it takes everything it is told, and an alert comes when lockd goes.
#   prometheus.sh BIN_DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../support/cluster/cluster.sh"
command -v prometheus >/dev/null || { echo "SKIP: no prometheus: tools/install-deps"; exit 77; }

CLUSTER_NODES="a"
cluster_init "$1"
pids=()
end() {
  local status=$?
  set +e
  kill "${pids[@]}" 2>/dev/null
  wait "${pids[@]}" 2>/dev/null
  (exit $status)
  cluster_down
}
trap end EXIT
fail() {
  echo "FAILED: $*" >&2
  tail -20 "$CLUSTER/log/prometheus.log" >&2
  exit 1
}
"$cluster_nfs/testnet" up "$net" "${cluster_nodes[@]}"
nfs_start
lockd_start --lease-ttl 2 --status 10.77.0.1:7681
node_mount a
sqlite3 "$CLUSTER/a/db" 'CREATE TABLE t(x); INSERT INTO t VALUES(1);'
# What is mounted has no network; what serves its metrics has Prometheus's.
nsenter --net="/run/netns/$net-srv" -- "$bin/holdfast" metrics --listen 10.77.0.1:9681 2>"$CLUSTER/log/metrics.log" &
pids+=($!)

# The documentation's own words, with this network's numbers, and faster.
{
  echo 'global: {scrape_interval: 1s, evaluation_interval: 1s}'
  echo "rule_files: [$cluster_repo/deploy/monitoring/alerts.yml]"
  sed -n '/^```yaml/,/^```$/p' "$cluster_repo/docs/metrics.md" | grep -v '^```' |
    sed 's/"10\.0\.0\.1:7681"/"10.77.0.1:7681"/; s/\["10\.0\.0\.11:9681".*\]}/["10.77.0.1:9681"]}/'
} >"$CLUSTER/prometheus.yml"
promtool check config "$CLUSTER/prometheus.yml" >"$CLUSTER/log/check" || fail "$(cat "$CLUSTER/log/check")"
grep -q "$(grep -c '^      - alert:' "$cluster_repo/deploy/monitoring/alerts.yml") rules found" "$CLUSTER/log/check" || fail "rules: $(cat "$CLUSTER/log/check")"
nsenter --net="/run/netns/$net-srv" -- prometheus --config.file="$CLUSTER/prometheus.yml" --storage.tsdb.path="$CLUSTER/tsdb" \
  --web.listen-address=10.77.0.1:9090 --log.level=warn 2>"$CLUSTER/log/prometheus.log" &
pids+=($!)

ask() {  # ask PATH PYTHON: the expression, of what Prometheus answers as `data`, prints something
  on_node srv curl -sfG "http://10.77.0.1:9090/api/v1/$1" "${@:3}" |
    python3 -c "import json, sys; data = json.load(sys.stdin)['data']; print($2)"
}
value() { ask query 'data["result"][0]["value"][1] if data["result"] else "none"' --data-urlencode "query=$1"; }
until_is() {  # until_is EXPECTED COMMAND...: within a minute
  local expected=$1 got='' i
  shift
  for ((i = 0; i < 300; i++)); do
    got=$("$@" 2>/dev/null) && [[ $got == "$expected" ]] && return 0
    sleep 0.2
  done
  fail "$* is $got, not $expected"
}
until_is 2 value 'count(up == 1)'
until_is '[]' ask targets '[t["lastError"] for t in data["activeTargets"] if t["lastError"]]'
until_is 1 value 'holdfast_lockd_active'
until_is 1 value 'holdfast_lockd_sessions{phase="live"}'
until_is 1 value "holdfast_mount_up{mount=\"$CLUSTER/a\"}"
until_is 1 value 'clamp_max(sum(holdfast_mount_request_seconds_count), 1)'
until_is 1 value 'clamp_max(sum(holdfast_lockd_grants_total) + 1, 1)'
echo "ok    both are scraped, and everything they tell is taken"
until_is "{'ok'}" ask rules '{r["health"] for g in data["groups"] for r in g["rules"]}'
until_is '[]' ask alerts '[a["labels"]["alertname"] for a in data["alerts"]]'
echo "ok    every rule is loaded and can be evaluated; nothing is wrong"
lockd_kill KILL
until_is True ask alerts '"HoldfastLockdNotServing" in [a["labels"]["alertname"] for a in data["alerts"]]'
until_is True ask alerts '"HoldfastMountSuspended" in [a["labels"]["alertname"] for a in data["alerts"]]'
lockd_start --lease-ttl 2 --status 10.77.0.1:7681
until_is '[]' ask alerts '[a["labels"]["alertname"] for a in data["alerts"] if a["labels"]["alertname"] in ("HoldfastLockdNotServing", "HoldfastMountSuspended")]'
! grep -E 'level=(warn|error)' "$CLUSTER/log/prometheus.log" | grep -v 'component="scrape manager"' | grep -q . || fail "it complains"
echo "ok    it sees lockd go, and come back"
echo PASS
