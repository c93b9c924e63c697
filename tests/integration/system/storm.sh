#!/usr/bin/env bash
# Three mounts with tokens under `holdfast torture --storm`: what they keep is taken away again and again while
# exclusion, transactions, recovery and WAL are judged. That tokens really moved is checked in each mode.
# MINUTES=30 for a long run, in all modes; SEED=N repeats one. lockd lets files be kept again at once, so that they move more often.
#   storm.sh BIN_DIR
set -euo pipefail
export CLUSTER_NODES="a b c" HOLDFAST_TEST_CACHE=tokens
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up --ask-again-max 0.05
modes=(exclusion bank hotjournal wal)
seconds=20
if [[ ${MINUTES:-} ]]; then
  modes+=(semantics coherence)
  seconds=$((MINUTES * 60))
fi
"$bin/holdfast" torture --storm 3 --workers 3 --seconds "$seconds" "${modes[@]/#/--mode=}" ${SEED:+--seed "$SEED"} \
  "$CLUSTER/a" "$CLUSTER/b" "$CLUSTER/c" | tee "$CLUSTER/verdict"
for mode in "${modes[@]}"; do
  grep -qE "^note \($mode\): storm: [0-9]+ operations, [1-9][0-9]* tokens given up" "$CLUSTER/verdict" || {
    echo "FAIL  no token moved in mode $mode"
    exit 1
  }
done
for node in a b c; do node_unmount "$node"; done
echo PASS
