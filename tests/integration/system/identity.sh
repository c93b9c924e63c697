#!/usr/bin/env bash
# Who asks the server, and whom files belong to: callers' uids and groups on exports that squash and that do not; mapped
# ownership (-o owner=) on two nodes, over remounts; programs in user and pid namespaces.
#   identity.sh BIN_DIR
set -euo pipefail
source "$(dirname "$0")/../../support/cluster/cluster.sh"
cluster_init "$1"
"$cluster_nfs/testnet" up "$net" a b
a=$CLUSTER/a b=$CLUSTER/b server=$CLUSTER/export
fail() {
  echo "FAIL: $*"
  exit 1
}
# serve [OPTION...]: the NFS server, anew
serve() {
  "$cluster_nfs/ganesha" stop "$CLUSTER/nfs" >/dev/null 2>&1 || true
  nfs_start "$@"
}
as() {  # as UID[:GROUP,...] COMMAND…: in these groups and its own
  local uid=${1%%:*} groups=()
  [[ $1 == *:* ]] && groups=(--groups "${1#*:}") || groups=(--clear-groups)
  shift
  setpriv --reuid "$uid" --regid "$uid" "${groups[@]}" -- "$@"
}
refused() { ! "$@" 2>"$CLUSTER/err" || fail "not refused: $*"; }
is() { [[ $(stat -c "$2" "$1") == "$3" ]] || fail "$1 is $(stat -c "$2" "$1"), not $3"; }
remount() {  # remount NODE OPTIONS
  node_unmount "$1"
  node_mount "$1" "$2"
}

# ---- Callers are who they are
serve --squash No_Root_Squash
lockd_start
node_mount a
as 1201 touch "$a/of-1201"
touch "$a/of-root"
is "$server/of-1201" %u:%g 1201:1201
is "$server/of-root" %u:%g 0:0
chown 5:6 "$a/of-root"
is "$server/of-root" %u:%g 5:6
groups=$(seq -s, 3001 3020)
for number in 3001 3016 3017; do
  (umask 777 && : >"$server/group-$number")
  echo x >"$server/group-$number"
  chown 0:$number "$server/group-$number"
  chmod 040 "$server/group-$number"
done
as "1201:$groups" cat "$a/group-3001" "$a/group-3016" >/dev/null || fail "a group that is told"
refused as "1201:$groups" cat "$a/group-3017"  # the 17th: AUTH_SYS has room for 16
as 1201:3017 cat "$a/group-3017" >/dev/null || fail "it alone is told"
refused as 1201 cat "$a/group-3001"
echo "ok    no_root_squash: uid, gid and the first 16 groups reach the server"

node_unmount a
serve --squash Root_Squash
node_mount a
as 1201 touch "$a/squash-1201"
touch "$a/squash-root"
is "$server/squash-1201" %u 1201
nobody=$(stat -c %u "$server/squash-root")
((nobody != 0)) || fail "root is root with root_squash"
refused chown 5:6 "$a/squash-1201"
refused chown 5:6 "$a/squash-root"
echo "ok    root_squash: users are themselves, root is uid $nobody, and nobody can chown"

node_unmount a
serve --squash All_Squash
node_mount a
as 1201 bash -c ': >"$0/all-1201"' "$a"
refused as 1201 touch "$a/all-1201"  # it is not his
is "$server/all-1201" %u "$nobody"
is "$a/all-1201" %u "$nobody"
as 1202 bash -c 'echo x >"$0/all-1201"' "$a" 2>/dev/null && fail "the kernel lets others write it"
echo "ok    all_squash: all are uid $nobody"
node_unmount a

# ---- One owner, on an export that squashes root; what is there belongs to somebody else
serve --squash Root_Squash
mkdir "$server/app"
chown 1000:1000 "$server/app"
chmod 755 "$server/app"
node_mount_app() {  # node_mount_app NODE OPTIONS
  on_node "$1" "$bin/holdfast" mount "$CLUSTER_SERVER:/export/app" "$CLUSTER/$1" \
    -o "lockd=$CLUSTER_SERVER:$LOCKD_PORT,log=$CLUSTER/log/$1.log,cache=${HOLDFAST_TEST_CACHE:-none},$2" 2>"$CLUSTER/said"
}
node_mount_app a owner=999:998
node_mount_app b owner=999:998
[[ ! -s $CLUSTER/said ]] || fail "mount says: $(cat "$CLUSTER/said")"
app=$server/app

# As the entry points of containers do it.
mkdir -p "$a/data"
chown -R 999:998 "$a/data"
chmod 700 "$a/data"
for place in "$a" "$b"; do is "$place/data" "%u:%g %a" "999:998 700"; done
is "$app/data" "%u:%g %a" "1000:1000 700"
as 999 bash -c 'cd "$0/data" && echo one >file && mkdir dir && ln -s file link && mkfifo pipe && ln file second && chmod 640 file &&
  touch -d "2001-02-03 04:05:06Z" file && chown 999 file dir' "$a"
for name in file dir link pipe second; do
  is "$a/data/$name" %u:%g 999:998
  is "$b/data/$name" %u:%g 999:998
  is "$app/data/$name" %u:%g 1000:1000
done
[[ $(cd "$b/data" && find . ! -user 999 -o ! -group 998) == "" ]] || fail "find meets another owner"
is "$b/data/file" "%a %Y" "640 981173106"
as 999 bash -c 'chmod 600 "$0/data/file" && rm "$0/data/second"' "$b"
is "$a/data/file" "%a %h" "600 1"
refused as 1201 ls "$a/data"
refused as 1000 ls "$a/data"  # whom it belongs to at the server is nobody here
refused as 1201 touch "$a/x"
echo "ok    owner=: one owner on both nodes, modes and times as they are set, without root on the server"

# Whatever the mode, its owner may change it, and root may read and write; nobody else.
as 999 bash -c 'cd "$0" && (umask 377 && echo secret >sealed) && chmod 0 sealed' "$a"
refused as 999 cat "$b/sealed"
[[ $(cat "$b/sealed") == secret ]] || fail "root reads it"
echo more >>"$b/sealed"
[[ $(cat "$a/sealed") == $'secret\nmore' ]] || fail "root wrote it"
as 999 chmod 400 "$b/sealed"
[[ $(as 999 tail -1 "$a/sealed") == more ]] || fail "its owner reads it"
refused as 999 bash -c 'echo x >>"$0"' "$a/sealed"
refused as 1201 cat "$a/sealed"
echo "ok    modes bind the owner, not root, as on a local disk"

refused chown 0:0 "$a/data/file"
refused chgrp 0 "$a/data/file"
grep -q 'owner.chown_refused.*to=0:0 owner=999:998' "$CLUSTER/log/a.log" || fail "no word about chown"
is "$b/data/file" %u:%g 999:998
install -m 4755 /bin/true "$app/foreign"  # root's, at the server
chmod 4755 "$app/foreign"
is "$a/foreign" "%u:%g %a" "999:998 755"
echo "ok    another owner is refused, and others' set-uid bits are not the owner's"

as 999 sqlite3 "$a/data/db" 'PRAGMA journal_mode=WAL; CREATE TABLE t(x)' >/dev/null
coproc keeper { sqlite3 "$a/data/db"; }  # root's: an entry point that looks before it drops its rights
echo 'INSERT INTO t VALUES(1); SELECT count(*) FROM t;' >&"${keeper[1]}"
read -r rows <&"${keeper[0]}"
[[ $rows == 1 ]] || fail "root's transaction"
for name in db db-wal db-shm; do is "$a/data/$name" %u:%g 999:998; done
as 999 sqlite3 "$a/data/db" 'INSERT INTO t VALUES(2)' || fail "beside root's connection"
eval "exec ${keeper[1]}>&-"
wait "$keeper_PID" 2>/dev/null || true
[[ $(as 999 sqlite3 "$b/data/db" 'PRAGMA busy_timeout=5000; SELECT count(*) FROM t' | tail -1) == 2 ]] || fail "rows"
as 999 touch "$a/data/plain"
: >"$a/data/plain-shm"  # a wal-index, which is in memory only; SQLite as root would chown it
is "$a/data/plain-shm" %u:%g 999:998
rm "$a/data/plain-shm" "$a/data/plain"
echo "ok    SQLite's files are the owner's, whoever opens them first"

node_unmount a
node_mount_app a owner=70:70,fmask=0177,dmask=0027
is "$a/data" "%u:%g %a" "70:70 700"
is "$a/foreign" "%u:%g %a" "70:70 600"
is "$a" "%u:%g %a" "70:70 750"
is "$b/data/file" "%u:%g %a" "999:998 600"
node_unmount a
node_mount_app a owner=999:998
is "$a/data/file" "%u:%g %a" "999:998 600"
echo "ok    remounted, it is as it was; masks take away what the server shows"

node_unmount a
chown 0:0 "$app"
node_mount_app a owner=999:998
grep -q 'uid 999 may not write' "$CLUSTER/said" || fail "the mount does not say that it is useless: $(cat "$CLUSTER/said")"
refused touch "$a/new"
node_unmount a
node_mount_app a owner=999:998,identity=1000:1000
as 999 bash -c 'echo two >"$0/data/file"' "$a"
is "$app/data/file" %u 1000
node_unmount a
node_unmount b
serve --squash All_Squash
chown -R "$nobody" "$app"
node_mount_app a owner=999:998
as 999 bash -c 'echo three >"$0/data/file" && touch "$0/data/new" && chmod 600 "$0/data/new"' "$a"
is "$a/data/new" "%u:%g %a" "999:998 600"
is "$app/data/new" "%u %a" "$nobody 600"
node_unmount a
node_mount_app a owner=999:998,keep_owners
chmod 777 "$a/data"
as 33 bash -c ': >"$0/data/whose"' "$a"
is "$a/data/whose" %u:%g 999:998
grep -q 'owner.not_kept wanted=33:33' "$CLUSTER/log/a.log" || fail "an owner that is not kept is not told"
refused chown 33:33 "$a/data/new"
is "$a/data/new" %u:%g 999:998
node_unmount a
echo "ok    identity=: who asks the server; all_squash with the anonymous user"

# ---- Two owners in one directory
serve --squash Root_Squash
chown -R 1000:1000 "$app"
node_mount_app a owner=999:998,keep_owners
node_mount_app b owner=999:998,keep_owners
rm -rf "$a/data"
mkdir "$a/data"
is "$a/data" %u:%g 0:0
chown 999:998 "$a/data"
chmod 2775 "$a/data"
for place in "$a" "$b"; do is "$place/data" "%u:%g %a" "999:998 2775"; done
is "$b/data/." "%u:%g %a" "999:998 2775"
as 999 bash -c 'echo ours >"$0/data/ours"' "$a"
as 33:998 bash -c 'umask 077; echo theirs >"$0/data/theirs"; ln -s ours "$0/data/link"; mkdir "$0/data/dir"' "$b"
touch "$b/data/roots"
for place in "$a" "$b"; do
  is "$place/data/ours" %u:%g 999:998
  is "$place/data/theirs" "%u:%g %a" "33:998 600"
  is "$place/data/link" %u:%g 33:998
  is "$place/data/dir" "%u:%g %a" "33:998 2700"
  is "$place/data/roots" %u:%g 0:998
done
refused as 999 cat "$a/data/theirs"
[[ $(as 33 cat "$a/data/theirs") == theirs ]] || fail "its owner reads it"
chown 70:71 "$a/data/ours"
is "$b/data/ours" %u:%g 70:71
as 70 chmod 640 "$b/data/ours"
as 999 mv "$b/data/ours" "$b/data/moved"
is "$a/data/moved" "%u:%g %a" "70:71 640"
chown 65534:65534 "$a/data/moved"
is "$b/data/moved" %u:%g 65534:65534
refused chown 100999 "$a/data/moved"
refused as 100999 touch "$a/data/moved"
chown -R 999:998 "$b/data"
[[ $(find "$a/data" ! -user 999 -o ! -group 998) == "" ]] || fail "chown -R is not seen on a"
[[ $(find "$app/data" ! -user 1000 -o ! -group 1000) == "" ]] || fail "marks are left at the server"
chown 33:33 "$a/data/theirs"
rm "$a/data/link" "$a/data/moved"
node_unmount a
node_mount_app a owner=999:998,keep_owners
is "$a/data/theirs" %u:%g 33:33
ln "$b/data/theirs" "$b/data/again" && rm "$b/data/theirs"
is "$a/data/again" %u:%g 33:33
echo "ok    keep_owners: owners that differ are kept, on both nodes, over rename, link and remount"
node_unmount a
node_unmount b

# ---- Programs in namespaces of their own
serve --squash No_Root_Squash
chown -R 1201:1201 "$app"
node_mount_app a log="$CLUSTER/log/a.log"
cat >"$CLUSTER/contained.py" <<'PYTHON'
# contained.py FILE OTHER: pid 1 of its container locks FILE, its child asks who has it; somebody outside has OTHER.
import fcntl, os, struct, sys

def holder(path):
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    with open(path, "r+") as file:
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, lock))
    return None if kind == fcntl.F_UNLCK else pid

def may_lock(path):
    with open(path, "r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True

mine = open(sys.argv[1], "w")
fcntl.lockf(mine, fcntl.LOCK_EX)
child = os.fork()
if child == 0:
    assert holder(sys.argv[1]) == os.getppid(), ("inside", holder(sys.argv[1]), os.getppid())
    assert not may_lock(sys.argv[1])
    assert holder(sys.argv[2]) == 0, ("outside", holder(sys.argv[2]))  # locked, by nobody that could be named here
    assert not may_lock(sys.argv[2])
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
owner = os.stat(sys.argv[1]).st_uid
print("uid", os.getuid(), "owner", owner, "exit", status, flush=True)
sys.stdin.readline()
PYTHON
cat >"$CLUSTER/getlk.py" <<'PYTHON'
import fcntl, struct, sys
with open(sys.argv[1], "r+") as file:
    print(struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)))[4])
PYTHON
as 1201 touch "$a/outside"
exec 7<>"$a/outside"
python3 -c 'import fcntl,sys,time
file = open(sys.argv[1], "r+"); fcntl.lockf(file, fcntl.LOCK_EX); print("locked", flush=True); time.sleep(600)' "$a/outside" >"$CLUSTER/held" &
outsider=$!
for _ in {1..100}; do grep -qs locked "$CLUSTER/held" && break; sleep 0.1; done
mkfifo "$CLUSTER/go"
as 1201 unshare --user --map-root-user --pid --fork --mount-proc python3 "$CLUSTER/contained.py" "$a/inside" "$a/outside" \
  <"$CLUSTER/go" >"$CLUSTER/contained" 2>&1 &
container=$!
exec 8>"$CLUSTER/go"
for _ in {1..100}; do grep -qs exit "$CLUSTER/contained" && break; sleep 0.1; done
[[ $(cat "$CLUSTER/contained") == "uid 0 owner 0 exit 0" ]] || fail "in the container: $(cat "$CLUSTER/contained")"
is "$app/inside" %u 1201
contained=$(pgrep -f "^python3 $CLUSTER/contained.py")
[[ $(python3 "$CLUSTER/getlk.py" "$a/inside") == "$contained" ]] || fail "outside, the holder has another pid than $contained"
timeout 20 "$bin/holdfast" who "$a/inside" | grep -qE "^held .* $contained python3 " || fail "who does not see into the container"
echo >&8
exec 8>&- 7>&-
for _ in {1..100}; do kill -0 "$contained" 2>/dev/null || break; sleep 0.1; done
[[ $(python3 "$CLUSTER/getlk.py" "$a/inside") == 0 ]] || fail "the lock outlives its container"
kill "$outsider"
wait "$outsider" "$container" || true
node_unmount a
echo "ok    in user and pid namespaces: owners and pids are those of each namespace, locks are one"

! grep -hE " error " "$CLUSTER"/log/*.log || fail "an error was logged"
echo PASS
