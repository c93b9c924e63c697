#!/usr/bin/env bash
# Part of installed.sh, in the root: no service manager, no network but lo, Debian's minimum of programs.
#   inside.sh DIRECTORY_OF_DEBS
set -euo pipefail
debs=$1
step() { echo "- $*"; }
fail() { echo "FAIL: $*" >&2; [[ -s /run/lockd.log ]] && sed 's/^/  lockd: /' /run/lockd.log >&2; exit 1; }
expect() { [[ $1 == "$2" ]] || fail "$3: '$1' instead of '$2'"; }
wait_for() {  # wait_for WHAT COMMAND...
  local what=$1 i
  shift
  for ((i = 0; i < 300; i++)); do "$@" 2>/dev/null && return 0; sleep 0.1; done
  fail "$what"
}
unit=/usr/lib/systemd/system/holdfast-lockd.service
setting() { sed -n "s/^$1=//p" "$unit"; }
lockd_pids() { grep -lx holdfast-lockd /proc/[0-9]*/comm 2>/dev/null || true; }

# In a network namespace that is empty, lo is down.
if command -v ip >/dev/null; then ip link set lo up; else
  # Debian's minimum has no ip: perl-base can do the ioctl (SIOCSIFFLAGS, IFF_UP|IFF_RUNNING).
  perl -e 'use Socket; socket(S, AF_INET, SOCK_DGRAM, 0) or die; ioctl(S, 0x8914, pack("a16 s x22", "lo", 0x41)) or die "$!"'
fi

step "install"
dpkg -i "$debs"/holdfast*.deb >/run/dpkg.log 2>&1 || { cat /run/dpkg.log >&2; fail "dpkg -i"; }

step "nothing is enabled or started; the user and the state directory are there"
[[ -z $(lockd_pids) ]] || fail "lockd was started by the installation"
[[ -z $(find /etc/systemd/system -name 'holdfast*') ]] || fail "a unit was enabled"
expect "$(stat -c '%U:%G %a' /var/lib/holdfast)" "holdfast:holdfast 700" "state directory"
getent passwd holdfast | grep -q ':/usr/sbin/nologin$' || fail "user holdfast can log in"
dpkg-query -W -f '${Conffiles}' holdfast-lockd | grep -q '^ /etc/holdfast/lockd.conf ' || fail "lockd.conf is no conffile"

step "programs, helpers, manual pages, completion"
holdfast --version
holdfast-lockd --version
for helper in mount.holdfast umount.fuse.holdfast; do
  expect "$(readlink -f "/sbin/$helper")" /usr/bin/holdfast "/sbin/$helper"
done
pages=(holdfast mount.holdfast umount.fuse.holdfast holdfast-lockd)
if compgen -G "$debs/holdfast-csi*" >/dev/null; then
  pages+=(holdfast-csi holdfast-csi-keeper)
  holdfast-csi --version
  holdfast-csi-keeper --version
fi
for page in "${pages[@]}"; do
  # dpkg may be told to leave out manual pages (containers).
  [[ -e /usr/share/man/man8/$page.8.gz ]] || grep -qs '^path-exclude.*/man' /etc/dpkg/dpkg.cfg.d/* || fail "no manual page $page"
  if [[ -e /usr/share/man/man8/$page.8.gz ]]; then zcat "/usr/share/man/man8/$page.8.gz" | grep -q '^\.TH' || fail "no manual page $page"; fi
done
# shellcheck source=/dev/null
offered=$(source /usr/share/bash-completion/completions/holdfast && COMP_LINE="holdfast mou" COMP_POINT=12 && _holdfast holdfast mou holdfast && echo "${COMPREPLY[*]}")
expect "$offered" mount "completion of 'holdfast mou'"
expect "$(cmp /usr/share/bash-completion/completions/holdfast{,-lockd} && echo same)" same "completions"

if command -v systemd-analyze >/dev/null; then
  step "systemd takes the units"
  said=$(systemd-analyze verify --man=no /usr/lib/systemd/system/holdfast*.service 2>&1 | grep holdfast || true)
  expect "$said" "" "systemd-analyze verify"
  systemd-analyze security --offline=true --threshold=20 "$unit" >/run/security.log 2>&1 || { cat /run/security.log >&2; fail "less hardened than it was"; }
  sed -n 's/^.*Overall/  overall/p' /run/security.log
fi

step "lockd, as its unit runs it"
user=$(setting User)
as_lockd() { exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"; }
install -d -o "$user" -m "$(setting RuntimeDirectoryMode)" "/run/$(setting RuntimeDirectory)"
read -ra command <<<"$(setting ExecStart)"
(as_lockd "${command[@]}") 2>/run/lockd.log && fail "lockd starts without credentials"
grep -q "holdfast-lockd init" /run/lockd.log || fail "lockd does not say where credentials come from"
holdfast-lockd init >/run/init.log || fail "init"
expect "$(stat -c '%U %a' /var/lib/holdfast/tls/lockd.key)" "holdfast 600" "lockd's key"
expect "$(stat -c '%U %a' /etc/holdfast/token)" "root 600" "the token for the nodes"
(as_lockd "${command[@]}" --new-volume)
as_lockd "${command[@]}" >/run/lockd.log 2>&1 &
lockd=$!
wait_for "lockd did not start" test -S /run/holdfast-lockd/lockd.sock

step "a mount, from the command line and from fstab"
mkdir /run/data /run/mnt /run/mnt2
mount -t holdfast /run/data /run/mnt -o lockd=localhost
echo "/run/data /run/mnt2 holdfast lockd=localhost,_netdev,nofail,x-systemd.mount-timeout=2min 0 0" >/run/fstab
mount -T /run/fstab /run/mnt2
echo text >/run/mnt/file
expect "$(cat /run/mnt2/file)" text "the other mount reads"
! mount -t holdfast /run/data /run/mnt2 -o lockd=localhost,plain 2>/run/refused.log || fail "a mount without a credential"
grep -q "does not let this mount in" /run/refused.log || { cat /run/refused.log; fail "it was not let in, and not told so"; }
exec 9<>/run/mnt/file
flock -n 9 || fail "flock"
! flock -n /run/mnt2/file true || fail "both mounts hold one lock"
holdfast locks | grep -q file || { holdfast locks; fail "'holdfast locks' does not find lockd, or the lock"; }
expect "$(holdfast sessions --json | grep -o '"session"' | wc -l)" 2 "sessions"
exec 9>&-
umount /run/mnt2
expect "$(compgen -G '/run/holdfast/mount*.pid' | wc -l)" 1 "umount waits for the mount's process"
holdfast unmount /run/mnt
expect "$(cat /run/data/file)" text "the file is a plain file"

step "a reinstallation keeps the configuration"
echo "# mine" >>/etc/holdfast/lockd.conf
dpkg -i "$debs"/holdfast-lockd_*.deb >/run/dpkg.log 2>&1 || { cat /run/dpkg.log >&2; fail "dpkg -i again"; }
expect "$(tail -1 /etc/holdfast/lockd.conf)" "# mine" "lockd.conf"
kill -TERM "$lockd"
wait "$lockd" || fail "lockd's exit status is $?"

step "a removal keeps the configuration, the store, and a mount that stands"
mapfile -t packages < <(dpkg-query -W -f '${Package}\n' 'holdfast*')
mount -t holdfast /run/data /run/mnt -o lockd=embedded
dpkg -r "${packages[@]}" >/run/dpkg.log 2>&1 || { cat /run/dpkg.log >&2; fail "dpkg -r"; }
grep -q '^/run/mnt$' /run/dpkg.log || fail "the removal does not name the mount"
expect "$(cat /run/mnt/file)" text "the mount goes on"
umount /run/mnt
wait_for "the mount's process did not end" bash -c '! compgen -G "/run/holdfast/mount*.pid"'
[[ ! -e /usr/bin/holdfast && -e /etc/holdfast/lockd.conf && -e /var/lib/holdfast/lockd.db ]] || fail "after dpkg -r"

step "a purge"
dpkg -P "${packages[@]}" >/run/dpkg.log 2>&1 || { cat /run/dpkg.log >&2; fail "dpkg -P"; }
! getent passwd holdfast || fail "the user is still there"
[[ -z $(ls -d /run/holdfast* 2>/dev/null) ]] || fail "/run: $(ls -d /run/holdfast*)"
