#!/usr/bin/env bash
# The container image (deploy/container) without a container engine: a minimal Debian 12, made ours by the same script, in
# which everything that the chart's pods run runs with the user, the rights and the directories that they have there.
#   image.sh DIRECTORY_OF_DEBS [DEBIAN]   DEBIAN: an unpacked minimal Debian 12, which stays as it is; else debootstrap makes one
#
# Needs root, /dev/fuse, the network (for apt), Go and python3-yaml (for the chart); else it is skipped.
set -euo pipefail
debs=$(realpath "${1:?}") debian=${2:+$(realpath "$2")} here=$(dirname "$(realpath "$0")")
cd "$here/../.."

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAIL: $*" >&2; tail -n 20 "$T"/*.log >&2 2>/dev/null || true; exit 1; }
step() { echo "- $*"; }
wait_for() {  # wait_for WHAT COMMAND...
  local what=$1 i
  shift
  for ((i = 0; i < 600; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  fail "$what"
}
if [[ -z ${IMAGE_TEST_INSIDE:-} ]]; then
  ((EUID == 0)) || skip "needs root"
  [[ -c /dev/fuse ]] || skip "no /dev/fuse"
  command -v go >/dev/null || skip "Go is missing: tools/install-deps"
  [[ $debian ]] || command -v debootstrap >/dev/null || skip "debootstrap is missing: apt-get install debootstrap"
  IMAGE_TEST_INSIDE=$(mktemp -d /var/tmp/holdfast-image.XXXXXX)
  export IMAGE_TEST_INSIDE
  trap 'rm -rf --one-file-system "$IMAGE_TEST_INSIDE"' EXIT
  # What the chart says, before there is no network: program by program, with the words for a shell.
  tools/manifests --print >"$IMAGE_TEST_INSIDE/chart.yaml"
  unshare --mount --propagation private --pid --fork --mount-proc --kill-child=KILL "$0" "$debs" ${debian:+"$debian"}
  exit
fi
T=$IMAGE_TEST_INSIDE root=$T/root
# This namespace's copies of FUSE mounts would keep their file systems alive after they are unmounted outside.
drop_fuse() {
  local at
  awk '$3 ~ /^fuse(\.|$)/ {print $2}' /proc/self/mounts | while read -r at; do umount -l -c "$at" || true; done
}

if [[ ! ${IMAGE_TEST_FURNISHED:-} ]]; then
  drop_fuse
  if [[ ! $debian ]]; then
    debian=$T/debian
    echo "a minimal Debian 12"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -1)
    debootstrap --variant=minbase bookworm "$debian" "$mirror" >"$T/debootstrap.log" 2>&1 || fail "debootstrap"
    cp /etc/resolv.conf "$debian/etc/resolv.conf"
    cp -r /etc/apt/apt.conf.d/. "$debian/etc/apt/apt.conf.d/"
  fi
  mkdir "$root" "$T/layer"
  mount -t tmpfs tmpfs "$T/layer"
  mkdir "$T/layer/upper" "$T/layer/work"
  mount -t overlay overlay -o "lowerdir=$debian,upperdir=$T/layer/upper,workdir=$T/layer/work" "$root" || skip "no overlay of $debian"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"

  step "deploy/container/furnish, as the Dockerfile runs it"
  mkdir "$root/debs"
  cp "$debs"/holdfast*.deb deploy/container/furnish "$root/debs"
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /debs/furnish /debs >"$T/furnish.log" 2>&1 || fail "furnish"
  rm -r "$root/debs"
  echo "  adds $(du -sm "$T/layer/upper" | cut -f1) MiB to Debian's"

  # Kubelet's part: what every pod has of its own.
  mkdir -p "$root/pod" "$root/var/lib/kubelet" "$root/csi"
  pod_directory() {  # an emptyDir or a volume with fsGroup 7680
    mount -t tmpfs -o mode=2770,gid=7680 tmpfs "$root$1"
  }
  mkdir -p "$root/run/holdfast-lockd" "$root/run/holdfast" "$root/var/log/holdfast" "$root/mnt" "$root/data"
  pod_directory /run/holdfast-lockd
  pod_directory /var/lib/holdfast
  for directory in /run/holdfast /var/log/holdfast /var/lib/kubelet /csi /data; do mount -t tmpfs tmpfs "$root$directory"; done

  step "keys and a first token, as the guide has them made; the two secrets, where the chart puts them"
  mkdir "$root/made"
  chroot "$root" holdfast-lockd init --dir /made/lockd --nodes /made/nodes --config /made/lockd.conf --name holdfast-lockd-0.holdfast.svc \
    >"$T/init.log" 2>&1 || fail "init"
  install -d "$root/etc/holdfast/tls"
  install -m 0400 "$root"/made/nodes/{ca.pem,token} "$root/etc/holdfast"
  install -m 0440 -g 7680 "$root"/made/lockd/{lockd.pem,lockd.key,ca.pem,access} "$root/etc/holdfast/tls"
  rm -r "$root/made"
  mount --rbind "$root" "$root"  # so that it can be read-only while what is mounted below is not
  mount -o remount,bind,ro "$root"
  # The rest needs no network, and takes the ports of the chart.
  IMAGE_TEST_FURNISHED=1 exec unshare --net "$0" "$debs" "$debian"
fi
ip link set lo up

command_of() {  # command_of OBJECT CONTAINER [PROBE]: the words, quoted
  python3 - "$T/chart.yaml" "$@" <<'END'
import shlex, sys, yaml
file, name, container, *probe = sys.argv[1:]
for document in yaml.safe_load_all(open(file)):
    if document and document["metadata"]["name"] == name and "template" in document.get("spec", {}):
        one = next(c for c in document["spec"]["template"]["spec"]["containers"] if c["name"] == container)
        print(shlex.join(one[probe[0]]["exec"]["command"] if probe else one["command"]).replace("$(NODE_NAME)", "node-a"))
END
}
# in_pod USER CAPABILITIES COMMAND...: of the capabilities of root only these; "all": privileged
in_pod() {
  local user=$1 bounding=$2 rights=()
  shift 2
  [[ $bounding == all ]] || rights=(--bounding-set="$bounding" --inh-caps=-all --no-new-privs)
  exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv --reuid "$user" --regid "$user" --clear-groups "${rights[@]}" "$@"
}
run_pod() {  # run_pod LOG USER CAPABILITIES OBJECT CONTAINER: in the background; its pid in $pod
  local log=$1 user=$2 bounding=$3 words
  eval "words=($(command_of "$4" "$5"))"
  in_pod "$user" "$bounding" "${words[@]}" >"$T/$log.log" 2>&1 &
  pod=$!
}
step "lockd: user 7680, no rights, a read-only root; its probe"
eval "probe=($(command_of holdfast-lockd lockd livenessProbe))"
! (in_pod 7680 -all "${probe[@]}") >/dev/null || fail "the probe finds a lockd where there is none"
run_pod lockd 7680 -all holdfast-lockd lockd
lockd=$pod
wait_for "lockd's probe" bash -c "chroot '$root' setpriv --reuid 7680 --regid 7680 --clear-groups $(command_of holdfast-lockd lockd livenessProbe)"
grep -q '^CapEff:[[:space:]]*0000000000000000$' "/proc/$lockd/status" || fail "lockd has capabilities"

step "controller: root without rights, a read-only root"
run_pod controller 0 -all,+net_bind_service holdfast-csi-controller holdfast
controller=$pod
wait_for "the controller's socket" test -S "$root/csi/csi.sock"
kill "$controller"
wait "$controller" || fail "the controller's exit status is $?"

step "keeper and node driver"
run_pod keeper 0 all holdfast-csi-keeper keeper
wait_for "the keeper's socket" test -S "$root/run/holdfast/csi-keeper.sock"
run_pod node 0 all holdfast-csi-node holdfast
wait_for "the node driver's socket" test -S "$root/csi/csi.sock"

step "a mount, and who holds its lock, as NOTES says"
in_root() { (in_pod 0 all "$@"); }
in_root holdfast mount /data /mnt -o lockd=127.0.0.1 >"$T/mount.log" 2>&1 || fail "mount"
in_pod 0 all sh -c 'echo text >/mnt/file; exec flock --no-fork /mnt/file sleep 60' &
holder=$!
wait_for "the lock" bash -c "chroot '$root' setpriv --reuid 7680 --regid 7680 --clear-groups holdfast locks | grep -q file"
[[ $(cat "$root/data/file") == text ]] || fail "the file is no plain file"
kill "$holder"
wait "$holder" || true
in_root holdfast unmount /mnt || fail "unmount"

step "without a token, or in plain text: nobody is let in"
! in_root holdfast mount /data /mnt -o lockd=127.0.0.1,token_file=/dev/null >"$T/no-token.log" 2>&1 || fail "a mount without a token"
! in_root holdfast mount /data /mnt -o lockd=127.0.0.1,plain >"$T/plain.log" 2>&1 || fail "a mount in plain text"

step "what is frozen is found out: lockd's probe fails"
kill -STOP "$lockd"
! (in_pod 7680 -all timeout 10 "${probe[@]}") >/dev/null 2>&1 || fail "the probe says a frozen lockd is well"
kill -CONT "$lockd"
echo "PASS (image)"
