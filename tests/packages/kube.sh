# Sourced by image.sh: as much of docker, kubectl, an external-provisioner and a kubelet as the chart and
# docs/install-kubernetes.md need. Pods are containers of container.py; $T/node is its NODE.
# Uses: T, repo, fail, wait_for. Says in "started" what has run: POD/CONTAINER.
node=$T/node host=$T/node/host
declare -A outer=() pid=() file=()  # by POD/CONTAINER: the process to end, the container's own, its manifest
started=()
container() { python3 "$repo/tests/packages/container.py" "$@"; }

# --- containers

# start FILE POD CONTAINER [CGROUP]: in the background, until its program runs
start() {
  local key=$2/$3 group=${4-}
  (
    [[ -z $group ]] || echo "$BASHPID" >"$group/cgroup.procs"
    exec python3 "$repo/tests/packages/container.py" run "$node" "$1" "$2" "$3"
  ) >>"$T/$2.$3.log" 2>&1 </dev/null &
  outer[$key]=$! file[$key]=$1
  until is_program "$key"; do
    kill -0 "${outer[$key]}" 2>/dev/null || fail "$key ends at once"
    sleep 0.1
  done
  started+=("$key")
}
is_program() {  # its own process has become what the manifest says
  [[ $(readlink "/proc/${outer[$1]}/exe") == */unshare ]] || return 1
  pid[$1]=$(tr -d ' ' 2>/dev/null <"/proc/${outer[$1]}/task/${outer[$1]}/children") && [[ -n ${pid[$1]} ]] || return 1
  [[ ! $(readlink "/proc/${pid[$1]}/exe") =~ /(unshare|python3[.0-9]*|setpriv)$ ]]
}
run_once() {  # run_once FILE POD CONTAINER: an initContainer, or "docker run"
  container run "$node" "$1" "$2" "$3" >>"$T/$2.$3.log" 2>&1 </dev/null || fail "$2/$3 ends with $?: $(tail -n 5 "$T/$2.$3.log")"
  started+=("$2/$3")
}
stop() {  # stop POD/CONTAINER [SIGNAL]: its exit status
  local status=0
  kill "-${2:-TERM}" "${pid[$1]}"
  wait "${outer[$1]}" || status=$?
  unset "outer[$1]" "pid[$1]"
  return "$status"
}
# within POD/CONTAINER WORD...: as "kubectl exec"; with CGROUP set, as one of that pod's processes
within() {
  local key=$1
  shift
  (
    [[ -z ${CGROUP-} ]] || echo "$BASHPID" >"$CGROUP/cgroup.procs"
    exec python3 "$repo/tests/packages/container.py" exec "$node" "${file[$key]}" "${key%/*}" "${key#*/}" "${pid[$key]}" "$@"
  )
}
probe() { container probe "$node" "${file[$1]}" "${1%/*}" "${1#*/}" "${pid[$1]}"; }

# --- what an external-provisioner and a kubelet ask the driver for

# csi SOCKET SERVICE/CALL: the message in protobuf's text form from standard input; its answer in the same form
csi() {
  local call=${2#*/} at=$T/csi
  mkdir -p "$at"
  protoc -I "$repo/deploy/csi/proto" --encode="csi.v1.${call}Request" csi/v1/csi.proto >"$at/message"
  # gRPC's frame: not compressed, the length, the message.
  python3 -c 'import struct, sys; m = sys.stdin.buffer.read(); sys.stdout.buffer.write(struct.pack(">BI", 0, len(m)) + m)' <"$at/message" >"$at/frame"
  # From the socket's directory: its whole path is too long for a socket's name.
  (cd "$(dirname "$1")" && curl -sS --max-time 90 --http2-prior-knowledge --unix-socket "$(basename "$1")" -H 'content-type: application/grpc' -H 'te: trailers' \
    --data-binary "@$at/frame" -D "$at/heads" -o "$at/answer" "http://localhost/csi.v1.$2") || fail "$2: no answer"
  grep -qi '^grpc-status: 0' "$at/heads" || fail "$2: $(grep -i '^grpc-' "$at/heads")"
  tail -c +6 "$at/answer" | protoc -I "$repo/deploy/csi/proto" --decode="csi.v1.${call}Response" csi/v1/csi.proto
}
capability='{ mount {} access_mode { mode: MULTI_NODE_MULTI_WRITER } }'
provision() {  # provision CLAIM CLASS: what the node needs, in $T/claims/CLAIM
  mkdir -p "$T/claims"
  {
    echo "name: \"pvc-$1\" capacity_range { required_bytes: 1073741824 } volume_capabilities $capability"
    python3 - "$T/chart.yaml" "$2" "$1" <<'PYTHON'
import json, sys, yaml
file, name, claim = sys.argv[1:]
chosen = next(d for d in yaml.safe_load_all(open(file)) if d and d["kind"] == "StorageClass" and d["metadata"]["name"] == name)
more = {"csi.storage.k8s.io/pvc/name": claim, "csi.storage.k8s.io/pvc/namespace": "default", "csi.storage.k8s.io/pv/name": f"pvc-{claim}"}
for key, value in (chosen["parameters"] | more).items():
    print("parameters { key:", json.dumps(key), "value:", json.dumps(value), "}")
PYTHON
  } | csi "$node/pods/holdfast-csi-controller/socket/csi.sock" Controller/CreateVolume |
    sed -e '1d;$d' -e '/capacity_bytes/d' >"$T/claims/$1"
}
driver() { csi "$host$kubelet/plugins/csi.holdfast.io/csi.sock" "$@"; }
staging() { echo "$kubelet/plugins/kubernetes.io/csi/csi.holdfast.io/$1/globalmount"; }
target() { echo "$kubelet/pods/$(uid "$2")/volumes/kubernetes.io~csi/pvc-$1/mount"; }
uid() { echo "01234567-89ab-cdef-0123-$(printf %s "$1" | md5sum | cut -c1-12)"; }
id_of() { grep volume_id "$T/claims/$1"; }
publish() {  # publish CLAIM POD
  mkdir -p "$host$(staging "$1")" "$host$(dirname "$(target "$1" "$2")")" "$node/claims"
  { cat "$T/claims/$1"; echo "staging_target_path: \"$(staging "$1")\" volume_capability $capability"; } | driver Node/NodeStageVolume
  { cat "$T/claims/$1"; echo "staging_target_path: \"$(staging "$1")\" target_path: \"$(target "$1" "$2")\" volume_capability $capability"; } |
    driver Node/NodePublishVolume
  ln -sfn "$host$(target "$1" "$2")" "$node/claims/$1"
}
unpublish() { echo "$(id_of "$1") target_path: \"$(target "$1" "$2")\"" | driver Node/NodeUnpublishVolume; }
remove_claim() {  # of which no pod is left
  echo "$(id_of "$1") staging_target_path: \"$(staging "$1")\"" | driver Node/NodeUnstageVolume
  id_of "$1" | csi "$node/pods/holdfast-csi-controller/socket/csi.sock" Controller/DeleteVolume
}
cgroup_of() {  # cgroup_of POD: named as kubelet names them; nothing, where there are none of our own
  local group=$IMAGE_TEST_CGROUP/kubepods/pod$(uid "$1")/$(printf 'c%.0s' {1..64})
  [[ -z $IMAGE_TEST_CGROUP ]] || { mkdir -p "$group" && echo "$group"; }
}

# --- what a person types

apply() {  # a claim and a pod in $1; the pod has the claim as its volume
  local manifest=$1 claim class pod
  read -r claim class pod < <(python3 - "$manifest" <<'PYTHON'
import sys, yaml
claim, pod = yaml.safe_load_all(open(sys.argv[1]))
assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
print(claim["metadata"]["name"], claim["spec"]["storageClassName"], pod["metadata"]["name"])
PYTHON
  )
  provision "$claim" "$class"
  mkdir -p "$host/var/log/pods/default_${pod}_$(uid "$pod")"
  publish "$claim" "$pod"
  start "$manifest" "$pod" shell "$(cgroup_of "$pod")"
}
delete() {  # delete pod/NAME or pvc/NAME
  case $1 in
    pod/*) stop "${1#*/}/shell" KILL || true; unpublish try "${1#*/}" ;;
    pvc/*) remove_claim "${1#*/}" ;;
    *) fail "delete $1" ;;
  esac
}
kubectl() {
  [[ $1 != -n ]] || shift 2
  local said=$* one name
  case "$1 $2" in
    'create namespace' | 'wait --for=condition=Ready') ;;  # apply has waited
    'create secret')
      name=$4
      shift 4
      mkdir -p "$node/secrets/$name"
      for one; do cp "${one#--from-file=}" "$node/secrets/$name" || fail "kubectl $said"; done ;;
    'apply -f')
      one=$(mktemp "$T/applied.XXXXXX")
      cat >"$one"
      apply "$one" ;;
    'exec '*)
      name=${2/%holdfast-lockd-0/holdfast-lockd}
      shift 2
      if [[ $1 == -c ]]; then name+=/$2; shift 2; else name+=/shell; fi
      [[ $1 == -- ]] || fail "kubectl $said"
      shift
      within "$name" "$@" ;;
    'delete '*) shift; for one; do delete "$one"; done ;;
    *) fail "the guide says 'kubectl $said', which is not known here" ;;
  esac
}
docker() {  # docker run --rm --user U:G -v DIRECTORY:PLACE IMAGE WORD...
  [[ "$1 $2 $3 $5" == "run --rm --user -v" ]] || fail "the guide says 'docker $*', which is not known here"
  local user=$4 source=${6%:*} place=${6#*:} image=$7
  shift 7
  python3 - "$user" "${source#"$host"}" "$place" "$image" "$@" >"$T/docker.yaml" <<'PYTHON'
import json, sys
user, source, place, image, *words = sys.argv[1:]
user, group = map(int, user.split(":"))
print(json.dumps({"kind": "Pod", "metadata": {"name": "docker-run"}, "spec": {
    "securityContext": {"runAsUser": user, "runAsGroup": group},
    "containers": [{"name": "run", "image": image, "command": words, "volumeMounts": [{"name": "made", "mountPath": place}]}],
    "volumes": [{"name": "made", "hostPath": {"path": source}}]}}))
PYTHON
  run_once "$T/docker.yaml" docker-run run
}
