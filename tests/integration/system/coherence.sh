#!/usr/bin/env bash
# What is changed on one node is seen on the other at once: content, size, mode, names. No stale answer in some thousand
# pairs; PAIRS=1000000 for a long run. With tokens also through descriptors that stay open: without, the kernel
# compares the time of the last change, which may be the same.
#   coherence.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
cluster_up
held=()
[[ ${HOLDFAST_TEST_CACHE:-none} == none ]] || held=(--held-reads)
"$bin/holdfast" torture --mode coherence --pairs "${PAIRS:-2000}" "${held[@]}" ${SEED:+--seed "$SEED"} "$CLUSTER/a" "$CLUSTER/b"
node_unmount a
node_unmount b
echo PASS
