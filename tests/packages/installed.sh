#!/usr/bin/env bash
# The Debian packages in a root of their own: installed, used, kept over a reinstallation, removed, purged; afterwards
# the root is what it was. tools/package --test builds them and runs this.
#
#   installed.sh overlay DIRECTORY_OF_DEBS    in an overlay of this machine's root: seconds, but what the packages
#                                             forgot to depend on may be there by chance
#   installed.sh booted DIRECTORY_OF_DEBS     the same overlay with systemd as its init: the units, for real
#   installed.sh guide DIRECTORY_OF_DEBS      docs/install-node.md word by word, in a new Debian 12 with systemd as its init,
#                                             and an NFS server beside it
#   installed.sh fresh DIRECTORY_OF_DEBS      in a minimal Debian 12 made by debootstrap from this machine's own mirror;
#                                             apt has to find every dependency
#
# Needs root and /dev/fuse, else it is skipped. Everything happens in namespaces that end with it.
set -euo pipefail
mode=${1:?}
case $mode in overlay | fresh) init= ;; booted | guide) init=1 ;; *) exit 2 ;; esac
debs=$(realpath "${2:?}") here=$(dirname "$(realpath "$0")")

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
((EUID == 0)) || skip "needs root"
[[ -c /dev/fuse ]] || skip "no /dev/fuse"
compgen -G "$debs/holdfast*.deb" >/dev/null || fail "no packages in $debs"
if [[ -z ${PACKAGES_TEST_INSIDE:-} ]]; then
  dpkg-query -W holdfast 2>/dev/null | grep -q . && [[ $mode == overlay ]] && skip "holdfast is installed on this machine"
  PACKAGES_TEST_INSIDE=$(mktemp -d /var/tmp/holdfast-packages.XXXXXX)
  export PACKAGES_TEST_INSIDE
  trap 'rm -rf --one-file-system "$PACKAGES_TEST_INSIDE"' EXIT
  namespaces=(--mount --propagation private --pid --fork --mount-proc --kill-child=KILL)
  if [[ $init ]]; then
    [[ -x /lib/systemd/systemd ]] || skip "no systemd on this machine"
    cgroups=$(findmnt -n -t cgroup2 -o TARGET | head -1)
    group=$cgroups/holdfast-packages.$$
    mkdir "$group" 2>/dev/null || skip "no cgroup of our own below '$cgroups'"
    trap 'rm -rf --one-file-system "$PACKAGES_TEST_INSIDE"; find "$group" -depth -type d -exec rmdir {} +' EXIT
    namespaces+=(--cgroup --uts --ipc)
  fi
  # In a group of its own, if any. An init that powers off ends as by a signal: what counts is the word PASS.
  (
    [[ -z ${group-} ]] || echo "$BASHPID" >"$group/cgroup.procs"
    exec timeout --kill-after=10 1800 unshare "${namespaces[@]}" "$0" "$mode" "$debs"
  ) || [[ $init ]] || exit $?
  [[ ! $init ]] || grep -qx PASS "$PACKAGES_TEST_INSIDE/said" || fail "see above"
  exit 0
fi
T=$PACKAGES_TEST_INSIDE
# This namespace's copies of FUSE mounts would keep their file systems alive after they are unmounted outside.
awk '$3 ~ /^fuse(\.|$)/ {print $2}' /proc/self/mounts | while read -r at; do umount -l -c "$at" || true; done

in_root() { chroot "$T/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb DEBIAN_FRONTEND=noninteractive "$@"; }
furnish() {  # the kernel's file systems, and of devices only what is needed; an init shall change nothing of this machine's
  local device
  mount -t tmpfs -o mode=755 tmpfs "$T/root/run"
  mount -t tmpfs -o mode=755 tmpfs "$T/root/dev"
  for device in null zero full random urandom tty fuse; do
    touch "$T/root/dev/$device"
    mount --bind "/dev/$device" "$T/root/dev/$device"
  done
  mkdir "$T/root/dev/shm" "$T/root/dev/pts"
  mount -t tmpfs tmpfs "$T/root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$T/root/dev/pts"
  ln -s pts/ptmx "$T/root/dev/ptmx"
  ln -s /proc/self/fd "$T/root/dev/fd"
  mount -t proc proc "$T/root/proc"
  mount --bind "$T/root/proc/sys" "$T/root/proc/sys"
  mount -o remount,bind,ro "$T/root/proc/sys"
  mount -t sysfs -o ro sysfs "$T/root/sys"
}

start_nas() {  # an NFS server at 10.99.0.1, in a network namespace beside the root's
  local nas
  unshare --net sleep infinity &
  nas=$!
  wait_until_alone "$nas"
  in_net ip link add eth0 type veth peer name eth0 netns "$nas"
  in_net ip address add 10.99.0.2/24 dev eth0
  in_net ip link set eth0 up
  in_net ip link set lo up
  nsenter --net="/proc/$nas/ns/net" ip address add 10.99.0.1/24 dev eth0
  nsenter --net="/proc/$nas/ns/net" ip link set eth0 up
  mkdir -m 1777 "$T/export"
  nsenter --net="/proc/$nas/ns/net" "$here/../support/nfs/ganesha" start "$T/export" "$T/nas" --squash Root_Squash || fail "no NFS server: $(tail -5 "$T/nas/ganesha.log")"
}
wait_until_alone() {  # wait_until_alone PID: until it is in a network namespace of its own
  while [[ $(readlink "/proc/$1/ns/net") == "$(readlink /proc/self/ns/net)" ]]; do sleep 0.05; done
}

mirror() {  # the first Debian archive that apt here knows for bookworm itself
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -1
}

lower=/
if [[ $mode == fresh || $mode == guide ]]; then
  command -v debootstrap >/dev/null || skip "debootstrap is missing: apt-get install debootstrap"
  lower=$T/fresh
  echo "a new Debian 12"
  [[ $mode == fresh ]] || with=--include=systemd,systemd-sysv,dbus
  debootstrap --variant=minbase ${with-} bookworm "$lower" "$(mirror)" >"$T/debootstrap.log" 2>&1 || { tail -20 "$T/debootstrap.log" >&2; fail "debootstrap"; }
  cp /etc/resolv.conf "$lower/etc/resolv.conf" 2>/dev/null || true
  cp -r /etc/apt/apt.conf.d/. "$lower/etc/apt/apt.conf.d/"
  mkdir "$T/root" "$lower/debs"
  mount --bind "$lower" "$T/root"
  mount --bind "$debs" "$T/root/debs"
fi
if [[ $mode == guide ]]; then
  # What apt will ask the network for, and a person; there is neither when the guide is followed.
  rm -f "$lower/etc/apt/apt.conf.d/docker-clean"
  in_root apt-get update -qq
  in_root sh -c 'apt-get install -y -qq --download-only /debs/holdfast_*.deb /debs/holdfast-lockd_*.deb fuse3' >"$T/apt.log" 2>&1 || { tail -30 "$T/apt.log" >&2; fail "apt-get"; }
  echo 'APT::Get::Assume-Yes "true";' >"$lower/etc/apt/apt.conf.d/99person"
  echo that-machine >"$lower/etc/hostname"
  printf '127.0.0.1 localhost\n10.99.0.1 nas\n10.99.0.2 that-machine\n' >"$lower/etc/hosts"
  printf '#!/bin/sh\nfor one; do to=$one; done\nfor one; do file=${one#root@that-machine:}; [ "$file" = "$one" ] || [ "$file" -ef "$to/${file##*/}" ] || cp -p "$file" "$to"; done\n' >"$lower/usr/local/bin/scp"
  chmod +x "$lower/usr/local/bin/scp"
  umount "$T/root/debs" "$T/root"
  rmdir "$lower/debs"
elif [[ $mode == fresh ]]; then
  echo "apt finds what the packages depend on, and takes them away again"
  in_root apt-get update -qq
  in_root sh -c 'apt-get install -y -qq --no-install-recommends /debs/holdfast*.deb' >"$T/apt.log" 2>&1 || { tail -30 "$T/apt.log" >&2; fail "apt-get install"; }
  # As a removal by apt is: what they depend on stays for what follows.
  in_root sh -c 'dpkg -P $(dpkg-query -W -f "\${Package}\n" "holdfast*")' >>"$T/apt.log" 2>&1 || { tail -30 "$T/apt.log" >&2; fail "purge"; }
  umount "$T/root/debs" "$T/root"
  rmdir "$lower/debs"
fi

mkdir -p "$T/root" "$T/layer"
mount -t tmpfs tmpfs "$T/layer"
mkdir "$T/layer/upper" "$T/layer/work"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$T/layer/upper,workdir=$T/layer/work" "$T/root" || skip "no overlay of $lower"
furnish
rm -rf "$T/root/var/lib/holdfast" "$T/root/var/log/holdfast" # of programs that were run by hand on this machine
rm -f "$T/root/var/lib/man-db/auto-update" # its index of all manual pages takes minutes
mkdir "$T/root/run/test"
cp "$here/inside.sh" "$T/root/run/test"
cp "$debs"/holdfast*.deb "$T/root/run/test"
# A network of its own: the packaged configuration takes its port on every address.
if [[ $init ]]; then
  mount -t cgroup2 cgroup2 "$T/root/sys/fs/cgroup"
  cp "$here/$mode.sh" "$here/../../docs/install-node.md" "$T/root/run/test"
  touch "$T/said" "$T/root/run/said"
  mount --bind "$T/said" "$T/root/run/said"
  rm -f "$T/root/usr/sbin/policy-rc.d" # this machine may be a container, in which no package may start anything
  # Not this machine's own services, of a boot neither: only what ours asks for.
  rm -rf "$T/root"/{etc,usr/lib}/systemd/system/{sysinit,basic,local-fs,multi-user,timers}.target.wants
  mount -t tmpfs tmpfs "$T/root/tmp"
  cat >"$T/root/etc/systemd/system/packages-test.service" <<'END'
[Service]
Type=oneshot
ExecStart=/bin/bash /run/test/SCRIPT /run/test
ExecStopPost=/bin/systemctl --no-block --force poweroff
StandardOutput=append:/run/said
StandardError=append:/run/said
END
  sed -i "s/SCRIPT/$mode.sh/" "$T/root/etc/systemd/system/packages-test.service"
  # As systemd makes it itself where it is not in a container: else units with mounts of their own (PrivateMounts) would
  # keep copies of a mount that is taken down.
  mount --make-rshared "$T/root"
  tail --pid=$$ -s 0.2 -f "$T/said" &
  unshare --net sleep infinity &
  net=/proc/$!/ns/net
  wait_until_alone $!
  in_net() { nsenter --net="$net" "$@"; }
  [[ $mode != guide ]] || start_nas
  exec nsenter --net="$net" chroot "$T/root" env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=packages-test.service --log-target=null --show-status=no </dev/null
fi
in_root_alone() { unshare --net chroot "$T/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb DEBIAN_FRONTEND=noninteractive "$@"; }
in_root_alone bash /run/test/inside.sh /run/test

# What the packages left in the root: everything in the upper layer that is not as below it.
left() {
  local path type below
  while read -r type path; do
    case $path in
      var/lib/dpkg/* | var/log/dpkg.log | var/log/alternatives.log | var/cache/* | var/lib/man-db* | run/* | run | tmp | tmp/*) continue ;;
      var/lib/holdfast | var/log/holdfast) [[ $type == c ]] && continue ;; # see above
      etc/passwd- | etc/group- | etc/shadow- | etc/gshadow- | etc/subuid- | etc/subgid- | etc/.pwd.lock) continue ;;
    esac
    below=${lower%/}/$path
    case $type in
      d) [[ -d $below ]] || echo "new directory /$path" ;;
      f) cmp -s "$T/layer/upper/$path" "$below" || echo "new or changed /$path" ;;
      c) echo "missing /$path" ;;
      *) echo "new /$path" ;;
    esac
  done < <(cd "$T/layer/upper" && find . -mindepth 1 -printf '%y %P\n')
}
rest=$(left)
[[ -z $rest ]] || fail "after the purge there is still: $rest"
echo "PASS ($mode)"
