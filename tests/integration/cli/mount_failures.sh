#!/usr/bin/env bash
# Every failure has its own line, a hint where there is something to do, and mount(8)'s exit code.
here=$(cd "$(dirname "$0")" && pwd)
source "$here/lib.sh"
embedded="lockd=embedded,log=$T/log"

echo "wrong invocation: 1"
expect 1 "lockd= is missing" holdfast mount "$T/src" "$T/mnt"
grep -q "hint: .*lockd=embedded" "$T/err" || fail "the missing lockd= has no hint"
expect 1 "unknown option -o nolock" holdfast mount "$T/src" "$T/mnt" -o "$embedded,nolock"
expect 1 "cannot understand the source" holdfast mount "nfs://" "$T/mnt" -o "$embedded"
expect 1 "" holdfast mount "$T/src"
expect 1 "" "$BIN/mount.holdfast" "$T/src"
expect 1 "cannot be remounted" "$BIN/mount.holdfast" "$T/src" "$T/mnt" -o "remount,$embedded"
expect 1 "cannot open the log" holdfast mount "$T/src" "$T/mnt" -o "lockd=embedded,log=$T/src"
expect 2 "" holdfast nonsense

echo "the place: 32"
expect 32 "the mount point $T/none does not exist" holdfast mount "$T/src" "$T/none" -o "$embedded"
touch "$T/file"
expect 32 "is not a directory" holdfast mount "$T/src" "$T/file" -o "$embedded"
expect 32 "is busy" holdfast mount "$T/src" /proc -o "$embedded"
expect 32 "not a Holdfast mount but proc" holdfast unmount /proc

echo "the source"
expect 32 "the directory $T/none cannot be used: No such file" holdfast mount "$T/none" "$T/mnt" -o "$embedded"

echo "lockd"
expect 32 "cannot reach lockd at 127.0.0.1:1: Connection refused" holdfast mount "$T/src" "$T/mnt" -o "lockd=127.0.0.1:1,log=$T/log"
grep -q "hint: is holdfast-lockd running" "$T/err" || fail "no hint for an unreachable lockd"
expect 32 "cannot reach lockd at unix:$T/none.sock" holdfast mount "$T/src" "$T/mnt" -o "lockd=unix:$T/none.sock,log=$T/log"
expect 1 "lockd=:x" holdfast mount "$T/src" "$T/mnt" -o "lockd=:x"

echo "the volume"
expect 32 "no volume marker" holdfast mount "$T/mnt2" "$T/mnt" -o "$embedded,ro"
expect 32 "no volume marker" holdfast mount "$T/mnt2" "$T/mnt" -o "$embedded,volume_id=f81d4fae-7dec-4d0d-a765-00a0c91e6bf6"
grep -q "is the right disk exported" "$T/err" || fail "no hint for a missing volume"
[[ ! -e $T/mnt2/.holdfast-volume ]] || fail "a marker was made although volume_id= was given"
expect 32 "is another volume than volume_id=" holdfast mount "$T/src" "$T/mnt" -o "$embedded,volume_id=f81d4fae-7dec-4d0d-a765-00a0c91e6bf6"
mkdir "$T/damaged"
echo junk >"$T/damaged/.holdfast-volume"
expect 32 "marker cannot be read" holdfast mount "$T/damaged" "$T/mnt" -o "$embedded"

echo "no /dev/fuse"
mount --bind /dev/null /dev/fuse
expect 32 "cannot mount at|/dev/fuse" holdfast mount "$T/src" "$T/mnt" -o "$embedded"
umount /dev/fuse
expect 32 "/dev/fuse cannot be opened: Permission denied" \
  bash -c "mount -o bind,nodev '$T' /mnt && mknod '$T/fuse' c 10 229 && mount --bind /mnt/fuse /dev/fuse && '$BIN/holdfast' mount '$T/src' '$T/mnt' -o '$embedded'"
umount /dev/fuse /mnt

echo "after all of that nothing is mounted and a mount works"
! mounted "$T/mnt" || fail "something is mounted"
expect 0 "" holdfast mount "$T/src" "$T/mnt" -o "$embedded"
expect 0 "" holdfast unmount "$T/mnt"
echo PASS
