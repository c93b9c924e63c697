#!/usr/bin/env bash
# A directory with embedded lockd: mount, use, a second mount, unmount, a killed mount, mount(8).
here=$(cd "$(dirname "$0")" && pwd)
source "$here/lib.sh"

echo "mount, use, unmount"
expect 0 "" holdfast mount "$T/src" "$T/mnt" -o "lockd=embedded,log=$T/log"
mounted "$T/mnt" || fail "it does not stand in mountinfo"
echo text >"$T/mnt/file"
[[ $(cat "$T/src/file") == text ]] || fail "the file is not in the source directory"
[[ -f $T/src/.holdfast-volume ]] || fail "no volume marker"
[[ -z $(ls -A "$T/mnt" | grep -v '^file$') ]] || fail "the marker shows on the mount"
! rm "$T/mnt/.holdfast-volume" 2>/dev/null || fail "the marker can be removed through the mount"
id=$(sed -n 's/^id=//p' "$T/src/.holdfast-volume")
[[ $(stat -c %a "/run/holdfast/$id.sock") == 600 ]] || fail "the embedded socket is open to others"
flock -n "$T/mnt/file" true || fail "flock"

echo "a second embedded mount of the volume is refused, one through the first's lockd is not"
expect 32 "already mounted on this node with lockd=embedded" holdfast mount "$T/src" "$T/mnt2" -o "lockd=embedded,log=$T/log2"
grep -q "unix:/run/holdfast/$id.sock" "$T/err" || fail "the hint does not name the socket"
expect 0 "" holdfast mount "$T/src" "$T/mnt2" -o "lockd=unix:/run/holdfast/$id.sock,log=$T/log2"
flock -x "$T/mnt/file" bash -c "! flock -n -x '$T/mnt2/file' true" || fail "both mounts got the lock"
flock -n -x "$T/mnt2/file" true || fail "the lock was not free again"
expect 0 "" holdfast unmount "$T/mnt2"

echo "busy, then unmount; the process is gone when the command returns"
expect 32 "is in use" bash -c "exec 3<'$T/mnt/file'; '$BIN/holdfast' unmount '$T/mnt'"
expect 32 "is busy: .*is mounted there" holdfast mount "$T/src" "$T/mnt" -o lockd=embedded
pid=$(cat "/run/holdfast/mount"*.pid)
expect 0 "" holdfast unmount "$T/mnt"
! mounted "$T/mnt" || fail "still mounted"
! kill -0 "$pid" 2>/dev/null || grep -q '^State:.Z' "/proc/$pid/status" || fail "the process still lives"
[[ -z $(ls -A /run/holdfast) ]] || fail "the mount left $(ls -A /run/holdfast)"
expect 32 "nothing is mounted at" holdfast unmount "$T/mnt"

echo "a killed mount: unmount clears it; the next one waits for the lease and says so"
expect 0 "" holdfast mount "$T/src" "$T/mnt" -o "lockd=embedded,log=$T/log"
kill -9 "$(cat "/run/holdfast/mount"*.pid)"
for ((i = 0; i < 100; i++)); do stat "$T/mnt" >/dev/null 2>&1 || break; sleep 0.05; done
expect 32 "whose process has died" holdfast mount "$T/src" "$T/mnt" -o "lockd=embedded,log=$T/log"
expect 0 "" holdfast unmount "$T/mnt"
expect 0 "was killed; locks wait until its lease is over" holdfast mount "$T/src" "$T/mnt" -o "lockd=embedded,log=$T/log"
[[ $(cat "$T/mnt/file") == text ]] || fail "the file is gone"

echo "SIGTERM unmounts"
pid=$(cat "/run/holdfast/mount"*.pid)
kill -TERM "$pid"
for ((i = 0; i < 200; i++)); do [[ -d /proc/$pid ]] || break; sleep 0.05; done
! mounted "$T/mnt" || fail "SIGTERM did not unmount"

echo "read only, and as another user"
expect 0 "" holdfast mount "$T/src" "$T/mnt" -r -o "lockd=embedded,log=$T/log,noexec"
! touch "$T/mnt/new" 2>/dev/null || fail "wrote on a read-only mount"
grep " $T/mnt " /proc/self/mountinfo | grep -q noexec || fail "noexec did not reach the kernel"
setpriv --reuid 1201 --regid 1201 --clear-groups cat "$T/mnt/file" >/dev/null || fail "allow_other is not the default for root"
expect 0 "" holdfast unmount "$T/mnt"

echo "mount -t holdfast, as from fstab"
mkdir "$T/sbin"
ln -s "$BIN/holdfast" "$T/sbin/mount.holdfast"
mount --bind "$T/sbin" "/usr/local/sbin"
ln -sf "$BIN/holdfast" "$T/sbin/holdfast"
echo "$T/src $T/mnt holdfast lockd=embedded,log=$T/log,owner=1201:1202,identity=0:0,_netdev,noauto,nofail,x-systemd.automount,nosuid 0 0" >"$T/fstab"
# mount(8) looks in /sbin only; inside our mount namespace that can be an overlay of ours.
sbin=$(readlink -f /sbin)
mkdir "$T/upper" "$T/work"
if mount -t overlay overlay -o "lowerdir=$sbin,upperdir=$T/upper,workdir=$T/work" "$sbin" 2>/dev/null; then
  ln -s "$BIN/holdfast" "$sbin/mount.holdfast"
  mount -T "$T/fstab" "$T/mnt" || fail "mount from fstab"
  [[ $(cat "$T/mnt/file") == text ]] || fail "the file is not there"
  [[ $(stat -c %u:%g "$T/mnt/file") == 1201:1202 ]] || fail "owner= from fstab: $(stat -c %u:%g "$T/mnt/file")"  # mount(8) has an option of that name
  umount "$T/mnt"
  for ((i = 0; i < 200; i++)); do compgen -G "/run/holdfast/mount*.pid" >/dev/null || break; sleep 0.05; done
  ! compgen -G "/run/holdfast/mount*.pid" >/dev/null || fail "the process survived a plain umount"
  # With its helper umount(8) waits until the process has ended.
  ln -s "$BIN/holdfast" "$sbin/umount.fuse.holdfast"
  mount -T "$T/fstab" "$T/mnt" || fail "mount from fstab"
  expect 1 "lose what is not stored" umount -f "$T/mnt"
  mounted "$T/mnt" || fail "umount -f was refused and unmounted"
  umount "$T/mnt"
  # Its last act is to take its name away.
  ! compgen -G "/run/holdfast/mount*.pid" >/dev/null || fail "umount(8) did not wait for the process"
  umount "$sbin"
else
  echo "  no overlay here: the helper is called directly"
fi
expect 0 "" "$T/sbin/mount.holdfast" "$T/src" "$T/mnt" -sn -o "rw,lockd=embedded,log=$T/log,unheard_of"
expect 0 "" holdfast unmount "$T/mnt"
umount /usr/local/sbin

echo "foreground: logs to the terminal, ends with the mount"
holdfast mount "$T/src" "$T/mnt" -f -o lockd=embedded 2>"$T/foreground" &
pid=$!
for ((i = 0; i < 200; i++)); do mounted "$T/mnt" && break; sleep 0.05; done
expect 0 "" holdfast unmount "$T/mnt"
wait "$pid" || fail "the foreground mount's exit code"
grep -q "mount.ready" "$T/foreground" || fail "no log on the terminal"
echo PASS
