# shellcheck shell=bash
# For tests of the holdfast command; sourced. A private directory $T with src/ and mnt/, in a mount namespace of our
# own, so that nothing stays mounted whatever happens; and every process we started ends with us.
#
#   BIN=DIR_OF_BINARIES; source lib.sh "$@"

set -euo pipefail
if [[ -z ${HOLDFAST_TEST_INSIDE:-} ]]; then
  ((EUID == 0)) || { echo "SKIP: needs root"; exit 77; }
  [[ -c /dev/fuse ]] || { echo "SKIP: no /dev/fuse"; exit 77; }
  export HOLDFAST_TEST_INSIDE=1
  exec unshare --mount --propagation private --pid --fork --mount-proc --kill-child=KILL bash "$0" "$@"
fi

BIN=$(cd "$1" && pwd)
T=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-cli.XXXXXX")
chmod 755 "$T"
# A /run of our own: sockets and lock files of embedded mounts.
mkdir -p /run/holdfast "$T/run" "$T/src" "$T/mnt" "$T/mnt2"
mount --bind "$T/run" /run/holdfast
cleanup() {
  umount -l "$T/mnt" "$T/mnt2" 2>/dev/null || true
  umount /run/holdfast 2>/dev/null || true
  rm -rf "$T"
}
trap cleanup EXIT

fail() { echo "FAIL: $*" >&2; [[ -f $T/log ]] && sed 's/^/  log: /' "$T/log" >&2; exit 1; }
holdfast() { "$BIN/holdfast" "$@"; }

# expect CODE PATTERN COMMAND…: the exit code, and an extended regular expression that stderr matches
expect() {
  local code=$1 pattern=$2 got=0
  shift 2
  "$@" >"$T/out" 2>"$T/err" || got=$?
  ((got == code)) || { cat "$T/err" >&2; fail "exit code $got instead of $code: $*"; }
  [[ -z $pattern ]] || grep -qE "$pattern" "$T/err" || { cat "$T/err" >&2; fail "no \"$pattern\" from: $*"; }
}
mounted() { grep -q " $1 " /proc/self/mountinfo; }
