#!/usr/bin/env bash
# An ordinary filesystem in ordinary use, on two nodes: tar, find, rsync, git (commits and pushes at once, gc meanwhile), a
# build of this project's base library, and random I/O that is verified (random_io.py).
#   files.sh BIN_DIR [long|control|figures]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need git rsync tar find cmake ninja g++ "$python" setpriv
length=${2:-long}
apps_begin "$1" "$length"
own_directory files 1004
chmod 755 "$CLUSTER/export/files"
mkdir "$CLUSTER/home"
chown 1004 "$CLUSTER/home"
as_owner() { as_user 1004 env HOME="$CLUSTER/home" GIT_CONFIG_NOSYSTEM=1 "$@"; }
a=$CLUSTER/a/files b=$CLUSTER/b/files

random_io() {  # random_io OPERATIONS: two processes on each node
  local workers=() worker node bad=0
  rm -f "$CLUSTER/home/reference"
  for worker in 1 2 3 4; do
    node=$([[ $((worker % 2)) == 0 ]] && echo "$a" || echo "$b")
    as_owner "$python" "$apps_dir/random_io.py" "$node/random" "$CLUSTER/home/reference" "$1" $((RANDOM * 8 + worker)) >>"$CLUSTER/log/random.log" 2>&1 &
    workers+=($!)
  done
  for worker in "${workers[@]}"; do wait "$worker" || bad=1; done
  return "$bad"
}
if [[ $length == control ]]; then
  begin_control
  for try in {1..6}; do
    random_io 1500 || break
  done
  grep -qE 'expected|other bytes' "$CLUSTER/log/random.log" || { tail -5 "$CLUSTER/log/random.log" >&2; fail "random I/O finds nothing with locks local to each mount"; }
  ok "try $try, it finds out: $(grep -E 'expected|other bytes' "$CLUSTER/log/random.log" | head -1 | cut -c1-220)"
  echo PASS
  exit 0
fi
git_settings() {
  as_owner git config --global user.name test
  as_owner git config --global user.email test@example.org
  as_owner git config --global init.defaultBranch main
}
if [[ $length == figures ]]; then  # commits in a row
  app_start() { :; }
  app_load() {
    start_on "$1" 1004 "git-$1" env HOME="$CLUSTER/home" GIT_CONFIG_NOSYSTEM=1 bash -ec 'cd "$0/files/one"
      for ((n = 0; ; n++)); do
        echo "$n" >"file.$((n % 100))"
        git add .
        git commit --quiet -m "$n"
        echo "$n" >>"$1"
      done' "$CLUSTER/data" "$2"
    loader=$started
  }
  app_stop() { end_programs a; }
  git_settings
  as_owner git init --quiet "$a/one"
  story_figures git
  echo PASS
  exit 0
fi

random_io 500 || fail "random I/O: $(head -3 "$CLUSTER/log/random.log")"
ok "random I/O: 2000 operations of four processes on two nodes, each compared"

# ---- tar, find, rsync
(cd "$cluster_repo" && tar -c include lib fs docs) | as_owner tar -x --no-same-owner -C "$a" --one-top-level=tree
list() { (cd "$1" && find . -type f -printf '%p %s %m %T@\n' -o -printf '%p %y %m\n' | sort); }
cmp <(list "$a/tree") <(list "$b/tree") || fail "find lists other files, sizes, modes or times on b"
(cd "$cluster_repo" && find lib fs docs -type f -print0 | sort -z | xargs -0 sha256sum) >"$CLUSTER/sums"
(cd "$b/tree" && as_owner sha256sum --quiet -c "$CLUSTER/sums") || fail "what tar unpacked on a is other on b"
as_owner rsync -a "$b/tree/" "$b/copy/"
as_owner rsync -anci --delete "$a/tree/" "$a/copy/" >"$CLUSTER/differences"
[[ ! -s $CLUSTER/differences ]] || { head -5 "$CLUSTER/differences" >&2; fail "rsync sees differences in its own copy"; }
as_owner touch "$a/tree/README-new"
as_owner rm -r "$a/tree/docs"
as_owner rsync -a --delete "$b/tree/" "$b/copy/"
cmp <(list "$a/tree") <(list "$a/copy") || fail "rsync --delete"
as_owner tar -c -C "$b" tree | tar -t >"$CLUSTER/listing"
(($(wc -l <"$CLUSTER/listing") == $(find "$a/tree" | wc -l))) || fail "tar does not see all files"
ok "tar, find, rsync: $(wc -l <"$CLUSTER/listing") files, the same on both nodes"

# ---- git
git_settings
as_owner git init --quiet --bare "$a/bare.git"
as_owner git clone --quiet "$a/bare.git" "$a/clone-a" 2>/dev/null
(cd "$cluster_repo" && tar -c lib) | as_owner tar -x --no-same-owner -C "$a/clone-a"
(cd "$a/clone-a" && as_owner git add lib && as_owner git commit --quiet -m first && as_owner git push --quiet origin main)
as_owner git clone --quiet "$b/bare.git" "$b/clone-b"
# A second worktree of one repository: objects and references of both nodes' commits are in the same directory.
as_owner git init --quiet "$a/shared"
(cd "$a/shared" && as_owner git commit --quiet --allow-empty -m first && as_owner git worktree add -q "$a/shared-b" -b other)
work() {  # work NODE: commits and pushes; prints each commit that was pushed
  local n top=$CLUSTER/$1/files tree
  tree=$top/shared
  [[ $1 == a ]] || tree=$top/shared-b
  cd "$top/clone-$1"
  for n in {1..5}; do
    echo "$n" >"$1-$n"
    git add "$1-$n"
    git commit --quiet -m "$1 $n"
    until git push --quiet origin main 2>>"$CLUSTER/home/git.log"; do git pull --quiet --rebase origin main 2>>"$CLUSTER/home/git.log" || exit 1; done
    # gc and the other node's commit have HEAD.lock now and then, which git takes for somebody else at work.
    until git -C "$tree" commit --quiet --allow-empty -m "$1 $n" 2>"$CLUSTER/home/commit-$1.log"; do
      grep -q 'cannot lock ref' "$CLUSTER/home/commit-$1.log" || { cat "$CLUSTER/home/commit-$1.log" >&2; exit 1; }
      sleep 0.1
    done
    echo "$1 $n"
  done
}
export -f work
export CLUSTER
# The other node's worktree is known under a's path: on real nodes the mount is at the same place.
as_owner sed -i "s|$CLUSTER/a/|$CLUSTER/b/|" "$b/shared-b/.git"
as_owner bash -c 'work a' >"$CLUSTER/pushed.a" 2>"$CLUSTER/log/git-a.log" &
work_a=$!
as_owner bash -c 'work b' >"$CLUSTER/pushed.b" 2>"$CLUSTER/log/git-b.log" &
work_b=$!
for repository in "$a/bare.git" "$b/shared"; do as_owner git -C "$repository" gc --quiet || fail "git gc of $repository"; done
wait "$work_a" || fail "git on a"
wait "$work_b" || fail "git on b"
for node in a b; do
  top=$CLUSTER/$node/files
  [[ $(as_owner git -C "$top/bare.git" log --format=%s main | grep -cE '^(a|b) ') == 10 ]] || fail "commits are missing in the bare repository on $node"
  as_owner git -C "$top/bare.git" fsck --strict --no-progress >"$CLUSTER/log/fsck.log" 2>&1 || fail "git fsck of the bare repository on $node"
  as_owner git -C "$top/shared" fsck --strict --no-progress >"$CLUSTER/log/fsck.log" 2>&1 || fail "git fsck of the shared repository on $node"
done
[[ $(as_owner git -C "$a/shared" log --format=%s --all | grep -cE '^(a|b) ') == 10 ]] || fail "commits are missing in the shared repository"
ok "git: clone, gc, 10 pushes and 10 commits of two nodes at once, fsck"

# ---- A build. On the other node nothing is left to do: names and times are the same there.
(cd "$cluster_repo" && tar -c --exclude=./build --exclude=./.git .) | as_owner tar -x --no-same-owner -C "$a" --one-top-level=source
mkdir "$CLUSTER/same"
mount --bind "$CLUSTER/a/files" "$CLUSTER/same"  # at one place on both nodes
as_owner cmake -S "$CLUSTER/same/source" -B "$CLUSTER/same/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$CLUSTER/log/cmake.log" 2>&1 || fail "cmake"
as_owner nice ninja -C "$CLUSTER/same/build" -j2 holdfast_base >"$CLUSTER/log/ninja.log" 2>&1 || fail "ninja"
umount "$CLUSTER/same"
mount --bind "$CLUSTER/b/files" "$CLUSTER/same"
as_owner ninja -C "$CLUSTER/same/build" holdfast_base >"$CLUSTER/log/again.log" 2>&1 || fail "ninja on the other node"
umount "$CLUSTER/same"
grep -q 'no work to do' "$CLUSTER/log/again.log" || fail "ninja on the other node builds again: $(head -3 "$CLUSTER/log/again.log")"
ok "cmake and ninja build this project's base library; on the other node nothing is left to do"
echo PASS
