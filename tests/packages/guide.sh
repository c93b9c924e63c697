#!/usr/bin/env bash
# Part of installed.sh: docs/install-node.md word by word, in a new Debian under a systemd of its own. What is run is what
# the guide's blocks say; only who answers apt's questions, how scp reaches another machine, and the NAS are ours. The
# machine with lockd and the node are one, as the guide allows.
#   guide.sh DIRECTORY     with the packages and install-node.md
set -euo pipefail
cd "$1"
export HOME=/root DEBIAN_FRONTEND=noninteractive
step() { echo "- $*"; }
fail() { echo "FAIL: $*"; tail -n 15 out.* 2>/dev/null || true; journalctl --no-pager -n 80 2>/dev/null | grep -i holdfast | tail -20 || true; exit 1; }
wait_for() {  # wait_for WHAT COMMAND...
  local what=$1 i
  shift
  for ((i = 0; i < 600; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  fail "$what"
}
get() {  # get PORT PATH: over HTTP; a minimal Debian has no curl
  exec 8<>"/dev/tcp/127.0.0.1/$1"
  printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&8
  cat <&8
  exec 8>&-
}

# The fenced blocks of each section: block.SECTION.NUMBER
awk '/^## / { section = $2 + 0; number = 0 }
  /^```/ { inside = !inside; if (inside) file = sprintf("block.%d.%d", section, ++number); next }
  inside && section > 0 { print > file }' install-node.md
[[ -s block.2.4 && -s block.3.2 && -s block.4.4 && ! -e block.4.5 ]] || fail "the guide has other blocks than this test knows: $(echo block.*)"

run() {  # run BLOCK: its lines, as typed by root
  step "$(grep -v '^ *$' "$1" | paste -sd ';' | cut -c1-150)"
  bash -euo pipefail "$1" >"out.$1" 2>&1 </dev/null || { cat "out.$1"; fail "$1 of the guide fails"; }
}
says() { grep -qF -e "$2" "out.$1" || fail "$1 does not say: $2"; }

run block.2.1
! pidof holdfast-lockd >/dev/null || fail "something runs, of which the guide says that nothing does"
run block.2.2
says block.2.2 that-machine
run block.2.3
run block.2.4
says block.2.4 "active (running)"
says block.2.4 'Status: "active at 0.0.0.0:7680,'
run block.3.1
[[ $(stat -c %a /etc/holdfast/token) == 600 ]] || fail "the token's mode"
run block.3.2
[[ $(tail -1 out.block.3.2) == PASS* ]] || fail "torture"
holdfast sessions | grep -q /mnt/data || fail "'holdfast sessions' does not list the mount"
run block.4.1
step "the line for fstab"
cat block.4.2 >>/etc/fstab
run block.4.3
[[ $(cat /mnt/data/hello) == hello ]] || fail "the file"

step "5: the status page, metrics"
get 7681 / | grep -qi "<html" || fail "no status page at lockd's machine"
get 7681 /metrics | grep -q '^holdfast_lockd_active 1' || fail "no metrics of lockd"
enable=$(grep -o '`systemctl enable --now holdfast-metrics`' install-node.md | tr -d '`')
$enable >out.metrics 2>&1 || fail "$enable"
wait_for "no metrics of the mount" bash -c "$(declare -f get); get 9681 /metrics | grep -q '^holdfast_mount_up.* 1'"
for file in alerts.yml dashboard.json; do
  compgen -G "/usr/share/doc/holdfast/examples/*$file*" >/dev/null || fail "no $file where the guide says"
done

step "6: a token got into wrong hands"
mapfile -t words < <(grep '^| a token got into wrong hands' install-node.md | grep -o '`[^`]*`' | tr -d '`')
((${#words[@]} == 4)) || fail "that row has other commands than this test knows: ${words[*]}"
eval "${words[0]}" >"${words[1]}" 2>out.token || fail "${words[0]}"
for command in "${words[2]}" "${words[3]}"; do eval "$command" >>out.token 2>&1 || fail "$command"; done
[[ $(holdfast-lockd access list | awk '{print $2}') == NEW ]] || fail "access list: $(holdfast-lockd access list)"
wait_for "the mount does not come back with the new token" timeout 20 flock /mnt/data/hello true
holdfast status >out.status || fail "holdfast status"

step "4: as a unit instead of fstab"
umount /mnt/data
wait_for "the mount's process did not end" bash -c '! compgen -G "/run/holdfast/mount*.pid"'
sed -i '/holdfast/d' /etc/fstab
cp block.4.4 /etc/systemd/system/mnt-data.mount
systemctl daemon-reload
systemctl enable --now mnt-data.mount >out.unit 2>&1 || fail "mnt-data.mount"
[[ $(cat /mnt/data/hello) == hello ]] || fail "the file"
systemctl stop mnt-data.mount

step "removal, and what is on the NAS"
apt-get -y remove holdfast holdfast-lockd >out.remove 2>&1 || fail "apt remove"
[[ -e /etc/holdfast/lockd.conf && -e /var/lib/holdfast/lockd.db ]] || fail "a removal takes the configuration, or the store"
apt-get -y purge holdfast holdfast-lockd >out.purge 2>&1 || fail "apt purge"
! getent passwd holdfast || fail "the user is still there"
left=$(find /etc/holdfast /var/lib/holdfast /var/log/holdfast 2>/dev/null || true)
[[ -z $left ]] || fail "after the purge: $left"
echo PASS
