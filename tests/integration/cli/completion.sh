#!/usr/bin/env bash
# bash completion offers what --help and the manual list, and mount options that exist.
#   completion.sh DIR_OF_BINARIES
set -euo pipefail
BIN=$(cd "$1" && pwd)
repo=$(cd "$(dirname "$0")/../../.." && pwd)
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }
PATH=$BIN:$PATH
# shellcheck source=deploy/completion/holdfast
source "$repo/deploy/completion/holdfast"

# complete LINE: what bash offers at its end, one a line. As bash does, breaks words at = and :
offer() {
  local line=$1 words
  COMP_LINE=$line COMP_POINT=${#line}
  read -ra words <<<"$(sed 's/[=:]/ & /g' <<<"$line")"
  [[ $line == *' ' || $line == *= ]] && words+=("")
  COMPREPLY=()
  _holdfast "${words[0]}" "${words[-1]}" "${words[-2]-}"
  printf '%s\n' "${COMPREPLY[@]}"
}
offers() {  # offers LINE WORD...
  local line=$1 word got
  shift
  got=$(offer "$line")
  for word in "$@"; do grep -qxF -e "$word" <<<"$got" || fail "'$line' does not offer $word, but: ${got//$'\n'/ }"; done
}

# Every option that --help of a command shows, read in another way than the completion reads it.
check_options() {
  local names
  mapfile -t names < <("$@" --help | grep -E '^  -' | grep -oE '^  [^ ]+' | tr -d ' ' | tr ',' '\n' | grep '^-')
  ((${#names[@]} > 0)) || fail "no options in: $* --help"
  offers "$* -" "${names[@]}"
}
check_options holdfast-lockd
check_options holdfast
mapfile -t commands < <(holdfast --help | sed -n '/^Subcommands/,/^$/s/^  \([a-z]*\).*/\1/p')
((${#commands[@]} >= 5)) || fail "commands: ${commands[*]}"
offers "holdfast " "${commands[@]}"
for command in "${commands[@]}" "bench lockd" "bench fs"; do
  read -ra words <<<"$command"
  check_options holdfast "${words[@]}"
done
offers "holdfast ben" bench
offers "holdfast umo" umount
offers "holdfast bench " lockd fs
offers "holdfast torture --mode " bank wal
offers "holdfast-lockd --log-level " debug error
mkdir "$T/place"
offers "holdfast unmount $T/pl" "$T/place"

# Mount options: what is offered is taken, and what holdfast(8) describes is offered.
offers "holdfast mount a b -o " lockd= ro cache=
offers "holdfast mount a b -o ro,nos" ro,nosuid
offers "holdfast mount a b -o cache=" none tokens
offers "holdfast mount a b -o lockd=x,ca" x,cache=
declare -A sample=([acdirmin]=1 [acregmax]=1 [acregmin]=1 [actimeo]=1 [cache]=tokens [dirty_max]=1048576 [inodes_max]=10000 [linger]=1 [lockd]=embedded [lockd_wait]=1 [log]=stderr [mountport]=1
  [dmask]=7 [fmask]=7 [identity]=1:1 [owner]=1:1 [umask]=7
  [nconnect]=1 [port]=1 [rsize]=4096 [timeo]=1 [tls_ca]=/x [tls_cert]=/x [tls_key]=/x [token_file]=/x [volume_id]=01234567-89ab-4def-8123-456789abcdef [wsize]=4096)
mkdir "$T/src" "$T/mnt"
ln -s "$BIN/holdfast" "$T/mount.holdfast"
for option in $_holdfast_mount_options; do
  [[ $option == *= ]] && option+=${sample[${option%=}]-}
  "$T/mount.holdfast" -f "$T/src" "$T/mnt" -o "lockd=embedded,owner=1:1,$option" 2>"$T/err" || {
    # A fake mount looks for /dev/fuse too; what this asks is whether the option is known.
    grep -qE 'option|-o ' "$T/err" && fail "offered, but refused: $option: $(cat "$T/err")"
  }
done
mapfile -t described < <(sed -n '/^\.SH OPTIONS OF MOUNT/,/^\.SH THE VOLUME/p' "$repo/docs/man/holdfast.8" |
  grep -A1 '^\.TP' | grep '^\.B' | grep -oE '", "? ?[a-z_]+=?|^\.B[IR]? [a-z_]+=?' | sed 's/^\.B[IR]\? //; s/^", "\? \?//' | sort -u)
((${#described[@]} > 10)) || fail "options in holdfast.8: ${described[*]}"
offers "holdfast mount a b -o " "${described[@]}"
echo PASS
