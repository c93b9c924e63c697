#!/usr/bin/env bash
# The container image (deploy/container) and the chart's pods, without a container engine and without a cluster: a minimal
# Debian 12, made ours by the same script; of it every container of the chart that runs our image, started with what the
# chart says (container.py), and docs/install-kubernetes.md followed with them: keys, a claim, a pod, its end (kube.sh).
#   image.sh DIRECTORY_OF_DEBS [DEBIAN]   DEBIAN: an unpacked minimal Debian 12, which stays as it is; else debootstrap makes one
#
# Needs root, /dev/fuse, the network (for apt), nfs-ganesha, protoc, curl, Go and python3-yaml; else it is skipped.
set -euo pipefail
debs=$(realpath "${1:?}") debian=${2:+$(realpath "$2")} here=$(dirname "$(realpath "$0")")
repo=$(realpath "$here/../..")
cd "$repo"

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAIL: $*" >&2; tail -n 20 "$T"/*.log >&2 2>/dev/null || true; exit 1; }
step() { echo "- $*"; }
wait_for() {  # wait_for WHAT COMMAND...
  local what=$1 i
  shift
  for ((i = 0; i < 900; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  fail "$what"
}

# ---- Outside: what needs this machine's programs, its network, its control groups.
if [[ -z ${IMAGE_TEST_INSIDE:-} ]]; then
  ((EUID == 0)) || skip "needs root"
  [[ -c /dev/fuse ]] || skip "no /dev/fuse"
  for program in go protoc curl ganesha.nfsd openssl; do
    command -v "$program" >/dev/null || skip "$program is missing: tools/install-deps"
  done
  [[ $debian ]] || command -v debootstrap >/dev/null || skip "debootstrap is missing: apt-get install debootstrap"
  IMAGE_TEST_INSIDE=$(mktemp -d /var/tmp/holdfast-image.XXXXXX)
  IMAGE_TEST_CGROUP=
  for place in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/pids; do
    [[ -e $place/cgroup.procs ]] && mkdir "$place/holdfast-image.$$" 2>/dev/null && IMAGE_TEST_CGROUP=$place/holdfast-image.$$ && break
  done
  export IMAGE_TEST_INSIDE IMAGE_TEST_CGROUP
  end() {
    local i
    rm -rf --one-file-system "$IMAGE_TEST_INSIDE"
    [[ $IMAGE_TEST_CGROUP ]] || return 0
    # A process that was killed leaves its group a moment later.
    for ((i = 0; i < 50; i++)); do find "$IMAGE_TEST_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break; sleep 0.2; done
  }
  trap end EXIT
  # The guide's blocks: block.SECTION.NUMBER
  awk -v to="$IMAGE_TEST_INSIDE" '/^## / { section = $2 + 0; number = 0 }
    /^```/ { inside = !inside; if (inside) file = sprintf("%s/block.%d.%d", to, section, ++number); next }
    inside && section > 0 { print > file }' docs/install-kubernetes.md
  # Its values, but for the export's path, which is ganesha's; with metrics, so that all there is runs.
  guide=(--values "$IMAGE_TEST_INSIDE/block.3.1" --namespace holdfast --set 'storageClasses[0].share=/export' --set monitoring.enabled=true)
  tools/manifests --print "${guide[@]}" >"$IMAGE_TEST_INSIDE/chart.yaml"
  tools/manifests --print "${guide[@]}" --set lockd.store.type=hostPath --set lockd.store.hostPath.node=node-a >"$IMAGE_TEST_INSIDE/hostpath.yaml"
  unshare --mount --propagation private --pid --fork --mount-proc --kill-child=KILL "$0" "$debs" ${debian:+"$debian"}
  exit
fi
T=$IMAGE_TEST_INSIDE

# ---- The image.
if [[ ! ${IMAGE_TEST_FURNISHED:-} ]]; then
  # This namespace's copies of FUSE mounts would keep their file systems alive after they are unmounted outside.
  awk '$3 ~ /^fuse(\.|$)/ {print $2}' /proc/self/mounts | while read -r at; do umount -l -c "$at" || true; done
  if [[ ! $debian ]]; then
    debian=$T/debian
    echo "a minimal Debian 12"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -1)
    debootstrap --variant=minbase bookworm "$debian" "$mirror" >"$T/debootstrap.log" 2>&1 || fail "debootstrap"
    cp /etc/resolv.conf "$debian/etc/resolv.conf"
    cp -r /etc/apt/apt.conf.d/. "$debian/etc/apt/apt.conf.d/"
  fi
  root=$T/root
  mkdir "$root" "$T/layer" "$T/node"
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
  umount -R "$root"
  echo "$T/layer/upper:$debian" >"$T/node/layers"
  # The rest needs no network, and takes the ports of the chart.
  IMAGE_TEST_FURNISHED=1 unshare --net "$0" "$debs" "$debian"
  exit
fi

# ---- The node, and what a cluster has.
source "$here/kube.sh"
kubelet=$(sed -n 's/^kubeletDir: *//p' "$T/block.3.1")
nas=$(sed -n '/name: nas$/,/server:/s/ *server: *\([0-9.]*\).*/\1/p' "$T/block.3.1")
ip link set lo up
ip address add "$nas/32" dev lo
mkdir -p "$host$kubelet"/{plugins,plugins_registry,pods} "$host/dev" "$host/guide" "$node/secrets/kubernetes" "$T/api"
touch "$host/dev/fuse"
mount --bind /dev/fuse "$host/dev/fuse"
mount --bind "$host$kubelet" "$host$kubelet"
mount --make-shared "$host$kubelet"
printf '127.0.0.1 localhost holdfast-lockd-0.holdfast.svc\n127.0.1.1 node-a\n' >"$node/hosts"
install -d -m 1777 "$T/export"
tests/support/nfs/ganesha start "$T/export" "$T/nas" --squash Root_Squash || fail "no NFS server: $(tail -5 "$T/nas/ganesha.log")"

api=$T/api
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout "$api/server.key" -out "$api/server.pem" -subj /CN=kubernetes \
  -addext subjectAltName=IP:127.0.0.1 2>/dev/null
cp "$api/server.pem" "$node/secrets/kubernetes/ca.crt"
echo token-1 | tee "$api/token" >"$node/secrets/kubernetes/token"
echo ok >"$api/mode"
: >"$api/said"
python3 tests/support/kubernetes/fake_api.py "$api" 2>"$T/api.log" &
wait_for "the stand-in for Kubernetes' API" test -s "$api/port"
printf 'KUBERNETES_SERVICE_HOST=127.0.0.1\nKUBERNETES_SERVICE_PORT=%s\n' "$(<"$api/port")" >"$node/environment"

guide() {  # guide BLOCK: as typed
  local here=$PWD
  step "the guide: $(grep -v '^ *$' "$T/block.$1" | paste -sd ' ' | cut -c1-120)"
  cd "$host/guide"
  eval "$(<"$T/block.$1")" >"$T/said.$1"
  cd "$here"
}

# ---- Step 3 of the guide: keys, made by the image as a user of that machine.
id() { echo 1000; }
mkdir() { command mkdir "$@" && { [[ $* != made ]] || chown 1000:1000 made; }; }
guide 3.2
unset -f id mkdir
[[ -s $node/secrets/holdfast-lockd/access && -s $node/secrets/holdfast-nodes/token ]] || fail "no secrets: $(find "$node/secrets")"
[[ ! -e $node/secrets/holdfast-lockd/ca.key && ! -e $node/secrets/holdfast-nodes/ca.key ]] || fail "the CA's key is in a secret"

# ---- Every container of the chart.
step "lockd; its probe"
start "$T/chart.yaml" holdfast-lockd lockd
wait_for "lockd's probe" probe holdfast-lockd/lockd
step "controller, keeper, node driver, metrics, events"
start "$T/chart.yaml" holdfast-csi-controller holdfast
start "$T/chart.yaml" holdfast-csi-keeper keeper
for one in holdfast metrics events; do start "$T/chart.yaml" holdfast-csi-node "$one"; done
wait_for "the controller's socket" test -S "$node/pods/holdfast-csi-controller/socket/csi.sock"
wait_for "the keeper's socket" test -S "$host/run/holdfast/csi-keeper.sock"
wait_for "the node driver's socket" test -S "$host$kubelet/plugins/csi.holdfast.io/csi.sock"
driver Node/NodeGetInfo </dev/null | grep 'node_id: "node-a"' >/dev/null || fail "the node's name: $(driver Node/NodeGetInfo </dev/null)"

step "rights are what the chart gives: none but the controller's low port, but for keeper and node driver; roots are read-only"
declare -A rights=([holdfast-csi-controller/holdfast]=0000000000000400)
for one in holdfast-lockd/lockd holdfast-csi-controller/holdfast holdfast-csi-node/{metrics,events}; do
  for line in "CapEff:${rights[$one]-0000000000000000}" "CapBnd:${rights[$one]-0000000000000000}" NoNewPrivs:1; do
    grep -qx "${line/:/:[[:space:]]}" "/proc/${pid[$one]}/status" || fail "$one: not $line: $(grep -E 'Cap|NoNew' "/proc/${pid[$one]}/status")"
  done
  [[ $(within "$one" sh -c ': >/here' 2>&1 || true) == *'Read-only file system'* ]] || fail "$one can write into its root"
done
! within holdfast-csi-node/events sh -c ': >/run/holdfast/here' 2>/dev/null || fail "events can write where mounts publish"
for one in lockd:7680 metrics:7680 events:0; do
  key=holdfast-csi-node/${one%:*}
  [[ $key != */lockd ]] || key=holdfast-lockd/lockd
  [[ $(awk '/^Uid:/ {print $2}' "/proc/${pid[$key]}/status") == "${one#*:}" ]] || fail "$key runs as another user"
done

# ---- Steps 5 and 6: a claim and a pod, by controller, node driver and keeper.
guide 6.1
[[ $(tail -1 "$T/said.6.1") == PASS* ]] || fail "torture in a pod: $(tail -3 "$T/said.6.1")"
volume=$(find "$T/export" -mindepth 1 -maxdepth 1 -type d -name 'pvc-*')
[[ -d $volume ]] || fail "no directory on the NAS: $(ls -A "$T/export")"
within try/shell sh -c 'echo text >/data/file'
[[ $(cat "$volume/file") == text ]] || fail "the file is no plain file on the NAS"

step "another pod with the same claim holds a lock: lockd and keeper say who"
sed 's/metadata: {name: try}$/metadata: {name: other}/' "$(ls "$T"/applied.*)" | awk '/^---/ {pod = 1} !pod {sub("name: other", "name: try")} {print}' >"$T/other.yaml"
apply "$T/other.yaml"
CGROUP=$(cgroup_of other) within other/shell flock --no-fork /data/file sleep 600 >"$T/holder.log" 2>&1 &
wait_for "a lock is held" eval '! within try/shell flock -n /data/file true'
guide 6.2
grep -q file "$T/said.6.2" || fail "'holdfast locks' in lockd's pod: $(<"$T/said.6.2")"
mapfile -t mounted < <(within holdfast-csi-keeper/keeper holdfast status | grep -o "/[^ ]*/globalmount" | sort -u)
((${#mounted[@]} == 1)) || fail "'holdfast status' in the keeper's pod: $(within holdfast-csi-keeper/keeper holdfast status)"
within holdfast-csi-keeper/keeper holdfast who "${mounted[0]}/file" >"$T/who" || fail "'holdfast who' in the keeper's pod"

step "a pod waits for it: after 30 seconds it is told who has it"
CGROUP=$(cgroup_of try) within try/shell flock /data/file echo granted >"$T/waiter" &
waiter=$!
if [[ $IMAGE_TEST_CGROUP ]]; then
  grep -q default/other "$T/who" || fail "'holdfast who' does not name the pod: $(<"$T/who")"
  wait_for "no Event: $(cat "$api/said")" eval 'grep -q "\"status\": 201.*\"name\": \"try\".*of pod default/other on node node-a" "$api/said"'
else
  echo "  not tried: no control groups of our own, by which pods are known"
fi
step "the other pod ends: the lock is handed over"
kubectl delete pod/other
wait_for "the lock is not handed over" grep -q granted "$T/waiter"
wait "$waiter"

step "metrics and the status page"
wait_for "no metrics of the mount" eval 'curl -sf http://127.0.0.1:9681/metrics | grep "^holdfast_mount_up{.*} 1" >/dev/null'
curl -sf http://127.0.0.1:7681/metrics | grep '^holdfast_lockd_active 1' >/dev/null || fail "no metrics of lockd"
curl -sf http://127.0.0.1:7681/ | grep -i '<html' >/dev/null || fail "no status page"

step "node driver and lockd are replaced: the mount goes on"
stop holdfast-csi-node/holdfast || fail "the node driver's exit status is $?"
stop holdfast-lockd/lockd || fail "lockd's exit status is $?"
start "$T/chart.yaml" holdfast-lockd lockd
start "$T/chart.yaml" holdfast-csi-node holdfast
within try/shell timeout 120 flock /data/file cat /data/file | grep -x text >/dev/null || fail "the pod's volume"

command=$(grep -o "\`kubectl[^\`]*kill -HUP 1'\`" docs/install-kubernetes.md | tr -d '`')
step "the guide: $command"
eval "$command" || fail "$command"
wait_for "lockd has not read its credentials again" grep -q lockd.reloaded "$T/holdfast-lockd.lockd.log"

step "without a token, or in plain text: nobody is let in"
other=(holdfast mount "$nas:/export" /mnt -o)
! within holdfast-csi-keeper/keeper "${other[@]}" lockd=holdfast-lockd-0.holdfast.svc,token_file=/dev/null >"$T/no-token.log" 2>&1 || fail "a mount without a token"
! within holdfast-csi-keeper/keeper "${other[@]}" lockd=holdfast-lockd-0.holdfast.svc,plain >"$T/plain.log" 2>&1 || fail "a mount in plain text"

step "what is frozen is found out: lockd's probe fails"
kill -STOP "${pid[holdfast-lockd/lockd]}"
! timeout 10 python3 "$here/container.py" probe "$node" "$T/chart.yaml" holdfast-lockd lockd "${pid[holdfast-lockd/lockd]}" >"$T/probe.log" 2>&1 ||
  fail "the probe says a frozen lockd is well"
kill -CONT "${pid[holdfast-lockd/lockd]}"

guide 6.3
wait_for "the volume's directory is still there: $(ls -A "$T/export")" eval '[[ -z $(find "$T/export" -name "pvc-*") ]]'
[[ -z $(find "$host/run/holdfast" -name '*.pid') ]] || fail "the mount's process has not ended: $(ls "$host/run/holdfast")"

step "memory at its most stays below the chart's limits, which are not applied here"
python3 - "$T/chart.yaml" <(for one in "${!pid[@]}"; do echo "$one $(awk '/^VmHWM:/ {print $2}' "/proc/${pid[$one]}/status")"; done) <<'PYTHON' || fail "too much memory"
import sys, yaml
pods = {d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in yaml.safe_load_all(open(sys.argv[1])) if d and "template" in d.get("spec", {})}
over = False
for line in open(sys.argv[2]):
    name, kibibytes = line.split()
    pod, container = name.split("/")
    limits = next(c for c in pods[pod]["containers"] if c["name"] == container)["resources"].get("limits", {})
    limit = int(limits["memory"].removesuffix("Mi")) if limits else None
    over |= bool(limit) and int(kibibytes) > limit * 1024
    print(f"  {name}: {int(kibibytes) // 1024} MiB" + (f" of {limit}" if limit else ""))
sys.exit(over)
PYTHON

step "lockd with its store in a directory of the node"
stop holdfast-lockd/lockd || fail "lockd's exit status is $?"
run_once "$T/hostpath.yaml" holdfast-lockd owner
start "$T/hostpath.yaml" holdfast-lockd lockd
wait_for "lockd's probe" probe holdfast-lockd/lockd
[[ $(stat -c '%u %a' "$host/var/lib/holdfast-lockd") == "7680 700" && -s $host/var/lib/holdfast-lockd/lockd.db ]] || fail "the store: $(ls -la "$host/var/lib/holdfast-lockd")"

step "the rest ends when it is told to"
for one in holdfast-lockd/lockd holdfast-csi-controller/holdfast holdfast-csi-node/{holdfast,metrics,events} holdfast-csi-keeper/keeper; do
  stop "$one" || fail "$one: exit status $?"
done
missing=$(comm -23 <(container list "$T/chart.yaml" "$T/hostpath.yaml" | sort -u) <(printf '%s\n' "${started[@]}" | sort -u))
[[ -z $missing ]] || fail "never started: $missing"
! grep -l ' error \|"level":"error"' "$T"/holdfast-*.log || fail "errors in a log"
echo "PASS (image)"
