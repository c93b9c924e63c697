#!/usr/bin/env bash
# Part of installed.sh: the same packages under a real systemd (in a container). The units, and mounts among them.
#   booted.sh DIRECTORY_OF_DEBS
set -euo pipefail
debs=$1
export DEBIAN_FRONTEND=noninteractive HOME=/root
step() { echo "- $*"; }
fail() { echo "FAIL: $*"; journalctl --no-pager -n 60 2>/dev/null | grep -i holdfast | tail -20 || true; systemctl --no-pager status holdfast-lockd || true; exit 1; }
expect() { [[ $1 == "$2" ]] || fail "$3: '$1' instead of '$2'"; }
wait_for() {
  local what=$1 i
  shift
  for ((i = 0; i < 600; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  fail "$what"
}
show() { systemctl show -P "$1" "${2:-holdfast-lockd.service}"; }
if command -v ip >/dev/null; then ip link set lo up; else
  perl -e 'use Socket; socket(S, AF_INET, SOCK_DGRAM, 0) or die; ioctl(S, 0x8914, pack("a16 s x22", "lo", 0x41)) or die "$!"'
fi

step "install: systemd knows the unit, it is neither enabled nor running"
dpkg -i "$debs"/holdfast*.deb >/run/dpkg.log 2>&1 || { cat /run/dpkg.log; fail "dpkg -i"; }
expect "$(systemctl is-enabled holdfast-lockd || true)" disabled "is-enabled"
expect "$(show ActiveState)" inactive "lockd"

step "enable --now returns when lockd serves"
sed -i 's/^#lease-ttl=.*/lease-ttl=2/' /etc/holdfast/lockd.conf # so that a mount stands still soon without lockd
holdfast-lockd init >/run/init.log || fail "init"
runuser -u holdfast -- holdfast-lockd --config /etc/holdfast/lockd.conf --new-volume
systemctl enable --now holdfast-lockd 2>&1 || fail "enable --now"
[[ $(show StatusText) == "active at 0.0.0.0:7680,"* ]] || fail "status: $(show StatusText)"
lockd=$(show MainPID)
expect "$(stat -c %U "/proc/$lockd")" holdfast "user"
for line in $'CapEff:\t0000000000000000' $'CapBnd:\t0000000000000000' $'NoNewPrivs:\t1' $'Seccomp:\t2'; do
  grep -qx "$line" "/proc/$lockd/status" || fail "no '$line' in lockd's status"
done
holdfast sessions >/dev/null || fail "'holdfast sessions' does not find it"

step "a mount of fstab: after lockd, and back before it"
mkdir /run/data /run/mnt
echo "/run/data /run/mnt holdfast lockd=localhost,lockd_wait=60,_netdev,nofail 0 0" >/etc/fstab
systemctl daemon-reload
systemctl start run-mnt.mount || fail "mount"
echo text >/run/mnt/file
expect "$(cat /run/data/file)" text "the file"
[[ " $(show After run-mnt.mount) " == *" remote-fs-pre.target "* ]] || fail "the mount is not ordered after remote-fs-pre.target"
[[ " $(show Before) " == *" remote-fs-pre.target "* ]] || fail "lockd is not ordered before remote-fs-pre.target"
expect "$(show ControlGroup run-mnt.mount)" "$(sed -n "s/^0:://p" "/proc/$(cat /run/holdfast/mount*.pid)/cgroup")" "the mount's process belongs to its unit"

step "lockd is killed: systemd starts it again, the mount goes on"
kill -9 "$lockd"
wait_for "no new lockd" bash -c "[[ \$(systemctl show -P MainPID holdfast-lockd) != $lockd && \$(systemctl is-active holdfast-lockd) == active ]]"
flock /run/mnt/file true || fail "no lock after the restart"

step "lockd comes up although a mount of this machine stands still for want of it"
systemctl stop holdfast-lockd
sleep 5 # the lease is over, and with it the token under which the mount would grant a lock by itself
flock /run/mnt/file true &
waiter=$!
sleep 3
kill -0 "$waiter" || fail "a lock without lockd"
timeout 60 systemctl start holdfast-lockd || fail "lockd waits for the mount that waits for lockd"
wait "$waiter" || fail "the lock, once lockd was back"

step "lockd stands still: the watchdog ends it"
mkdir -p /etc/systemd/system/holdfast-lockd.service.d
printf '[Service]\nWatchdogSec=4\n' >/etc/systemd/system/holdfast-lockd.service.d/override.conf
systemctl daemon-reload
systemctl restart holdfast-lockd
lockd=$(show MainPID)
sleep 8
expect "$(show MainPID)" "$lockd" "lockd does not feed the watchdog, so it was ended:"
kill -STOP "$lockd"
wait_for "the watchdog did not bite" bash -c "[[ \$(systemctl show -P MainPID holdfast-lockd) != $lockd && \$(systemctl is-active holdfast-lockd) == active ]]"

step "an upgrade restarts it, and keeps the mount"
lockd=$(show MainPID)
dpkg -i "$debs"/holdfast*.deb >/run/dpkg.log 2>&1 || { cat /run/dpkg.log; fail "dpkg -i again"; }
[[ $(show MainPID) != "$lockd" ]] || fail "the upgrade left the old lockd running"
flock /run/mnt/file true || fail "no lock after the upgrade"

step "unmounting waits for the mount's process"
systemctl stop run-mnt.mount || fail "unmount"
# Its last act is to take its name away; then it only has to exit.
! compgen -G "/run/holdfast/mount*.pid" || fail "the unit is stopped, the mount's process still works"

step "a removal stops lockd, a purge leaves no unit"
mapfile -t packages < <(dpkg-query -W -f '${Package}\n' 'holdfast*')
dpkg -r "${packages[@]}" >/run/dpkg.log 2>&1 || { cat /run/dpkg.log; fail "dpkg -r"; }
! pidof holdfast-lockd || fail "lockd still runs"
dpkg -P "${packages[@]}" >/run/dpkg.log 2>&1 || { cat /run/dpkg.log; fail "dpkg -P"; }
[[ -z $(find /etc/systemd/system /etc/holdfast /var/lib/holdfast -path '*holdfast*' 2>/dev/null) ]] || fail "left: $(find /etc/systemd/system -path '*holdfast*')"
expect "$(systemctl list-units --all --no-legend 'holdfast*')" "" "units"
echo PASS
