"""Scenarios with a known end, on a cluster of their own: figures, and the edge conditions of RFC 8881 section 8.4.3.

Each is judged by what the programs were told, by what lies on the storage, and by the tap (nothing of the old holder
may arrive after the new one's grant)."""
import os
import pathlib
import random
import select
import subprocess
import sys
import time

import oracles
from cluster import Broken
from counts import WANTED

HERE = pathlib.Path(__file__).resolve().parent
# DESIGN.md section 5: what an NFS mount's kernel may still send, and what the storage may still hold back.
WRITE_LIFE_S, STORAGE_DELAY_S = 3, 2
PATIENCE_S = 60
SLACK_S = 4  # a loaded machine


KINDS = {"app": "lock of a killed application", "dead": "lock of a dead node", "frozen": "holder frozen and taken over",
         "e1": "E1", "e2": "E2"}
ENOUGH = 60  # of the kinds without a count of their own


class Actor:
    """actor.py: a program on one node that does as it is told."""

    def __init__(self, path):
        self.path = path
        self.process = subprocess.Popen([sys.executable, HERE / "actor.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True)
        self.buffer = b""

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds=PATIENCE_S):
        """(word, instant, text), or None if there is none in time."""
        until = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        words = line.decode().split(" ", 2)
        return words[0], float(words[1]), words[2] if len(words) > 2 else ""

    def tell(self, command, seconds=PATIENCE_S):
        self.send(command)
        return self.answer(seconds)

    def must(self, command):
        got = self.tell(command)
        if got is None or got[0] != "ok":
            raise Broken(f"scripted: {self.path}: {command}: {got}")
        return got

    def end(self):
        self.process.kill()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return False
        return True


class Tap:
    def __init__(self, cluster, name):
        self.out = cluster.log / f"tap-{name}.txt"
        self.process = subprocess.Popen(cluster.in_ns("srv", [sys.executable, HERE / "tap.py", self.out] +
                                                      [f"to-{node}" for node in cluster.nodes]), start_new_session=True)
        until = time.monotonic() + 20
        while not (self.out.exists() and self.out.read_text().startswith("ready")):
            if time.monotonic() > until or self.process.poll() is not None:
                raise Broken("the tap does not start")
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        return oracles.read_tap(self.out)


class Scripted:
    def __init__(self, cluster, seed, say, tally):
        self.cluster, self.say, self.tally = cluster, say, tally
        self.rng = random.Random(f"{seed}/scripted")
        self.violations, self.judgements = [], []
        self.serial = 0
        self.actors = []

    def actor(self, node, name):
        actor = Actor(str(self.cluster.at(node) / "probe" / name))
        self.actors.append(actor)
        actor.must("open " + actor.path)
        return actor

    def check(self, name, what, right, seen=""):
        if not right:
            self.violation(f"{name} ({self.cluster.title}, file {self.serial}): {what} {seen}")

    def violation(self, text):
        self.violations.append(text)
        self.tally.violation([text])

    def figure(self, name, seconds):
        self.tally.figure(name, seconds)

    def run_one(self, name):
        self.serial += 1
        file = f"scripted-{self.serial}"
        try:
            getattr(self, name)(file)
        finally:
            for actor in self.actors:
                self.check(name, "a program cannot be ended", actor.end())
            self.actors = []
        self.tally.count(KINDS[name])

    # An application is killed: its kernel closes its files.
    def app(self, file):
        one, other = self.rng.sample(self.cluster.nodes, 2)
        holder, waiter = self.actor(one, file), self.actor(other, file)
        holder.must("lock")
        waiter.send("lock")
        time.sleep(0.1 + self.rng.random() * 0.1)
        at = time.monotonic()
        holder.process.kill()
        got = waiter.answer()
        self.check("app", "the waiter of a killed application was not granted", got and got[0] == "ok", got)
        if got:
            self.figure("lock of a killed application free after", got[1] - at)

    def taken_over(self, name, holder, waiter, file, at, begin_silence):
        """Waits for the grant; judges when it came: never before the lease and the fence are over."""
        ttl = self.cluster.ttl
        got = waiter.answer()
        self.check(name, "the waiter was not granted", got and got[0] == "ok", got)
        if not got:
            return None
        after = got[1] - at
        bound = ttl + WRITE_LIFE_S + STORAGE_DELAY_S
        if begin_silence:
            # The last renewal was up to ttl/3 earlier.
            self.check(name, "granted before lease and fence were over", after >= bound - ttl / 3 - 0.3, f"after {after:.2f} s")
            self.check(name, "granted much too late", after <= bound + SLACK_S, f"after {after:.2f} s")
            self.figure(f"{name}: others granted after", after)
        waiter.must("write BBBBBBBBBBBBBBBB")
        self.judgements.append((name, file, str(pathlib.Path(holder).parent.parent.name), got[1]))
        return got

    def stored(self, file):
        return (self.cluster.export / "probe" / file).read_text()

    # A node dies: its mount is killed.
    def dead(self, file):
        one, other = self.rng.sample(self.cluster.nodes, 2)
        holder, waiter = self.actor(one, file), self.actor(other, file)
        holder.must("lock")
        holder.must("write AAAAAAAAAAAAAAAA")
        waiter.send("lock")
        time.sleep(0.3)
        at = time.monotonic()
        self.cluster.mount_kill(one)
        self.taken_over("dead", holder.path, waiter, file, at, True)
        self.cluster.clear_dead_mount(one)
        self.cluster.mount(one)
        self.check("dead", "the new holder's data is gone", self.stored(file)[:1] == "B", self.stored(file))

    # A mount is frozen beyond its lease while somebody waits; programs of its own wait for this and for another file.
    def frozen(self, file):
        one, other = self.rng.sample(self.cluster.nodes, 2)
        holder, waiter = self.actor(one, file), self.actor(other, file)
        keeper, patient = self.actor(other, file + "x"), self.actor(one, file + "x")
        late = self.actor(one, file)
        keeper.must("lock")
        holder.must("lock")
        holder.must("write AAAAAAAAAAAAAAAA")
        patient.send("lock")
        time.sleep(0.1)
        late.send("lock")
        time.sleep(0.1)
        waiter.send("lock")
        time.sleep(0.3)
        holder.send("write LLLLLLLLLLLLLLLL")
        at = time.monotonic()
        self.cluster.mounts[one].send_signal(19)
        written = holder.answer(0.3)  # it may have been quick enough
        self.taken_over("frozen", holder.path, waiter, file, at, True)
        self.cluster.mounts[one].send_signal(18)
        self.lost_holder("frozen", holder, written, file)
        got = late.answer()
        self.check("frozen", "a waiter beside the old holder was not told", got and got[0] == "EIO", got)
        fresh = self.actor(one, file + "y").tell("lock")
        self.check("frozen", "a new program cannot lock another file", fresh and fresh[0] == "ok", fresh)
        keeper.must("unlock")
        got = patient.answer()
        self.check("frozen", "a waiter for another file was not granted", got and got[0] == "ok", got)

    def lost_holder(self, name, holder, written, file):
        """The old holder is told, changes nothing, and can begin anew."""
        if written is None:
            got = holder.answer()
            self.check(name, "a write of the old holder did not fail", got and got[0] == "EIO", got)
        got = holder.tell("write llllllllllllllll")
        self.check(name, "a later write of the old holder did not fail", got and got[0] == "EIO", got)
        self.check(name, "the new holder's data is gone", self.stored(file)[:1] == "B", self.stored(file))
        holder.tell("close")
        again = holder.tell("open " + holder.path)
        self.check(name, "the file cannot be opened again", again and again[0] == "ok", again)

    # E1: A is cut off, B takes over, lockd restarts, A comes back in its grace and must not reclaim.
    def e1(self, file):
        one, other = self.rng.sample(self.cluster.nodes, 2)
        holder, waiter = self.actor(one, file), self.actor(other, file)
        holder.must("lock")
        holder.must("write AAAAAAAAAAAAAAAA")
        waiter.send("lock")
        time.sleep(0.3)
        at = time.monotonic()
        self.cluster.cut(one, "lockd")
        try:
            self.taken_over("e1", holder.path, waiter, file, at, True)
            waiter.must("unlock")
            self.cluster.lockd_kill()
            self.cluster.lockd_start()
        finally:
            self.cluster.heal(one, "lockd")
        self.lost_holder("e1", holder, ("", 0, ""), file)

    # E2: lockd restarts, A misses its grace, B takes over, lockd restarts again, A comes back in that grace.
    def e2(self, file):
        one, other = self.rng.sample(self.cluster.nodes, 2)
        holder, waiter = self.actor(one, file), self.actor(other, file)
        holder.must("lock")
        holder.must("write AAAAAAAAAAAAAAAA")
        at = time.monotonic()
        self.cluster.cut(one, "lockd")
        try:
            self.cluster.lockd_kill()
            self.cluster.lockd_start()
            waiter.send("lock")
            # Without a store lockd knows nobody and waits for the longest lease; the bound is another.
            self.taken_over("e2", holder.path, waiter, file, at, False)
            waiter.must("unlock")
            self.cluster.lockd_kill()
            self.cluster.lockd_start()
        finally:
            self.cluster.heal(one, "lockd")
        self.lost_holder("e2", holder, ("", 0, ""), file)

    # -- the tap's verdict over all of them
    def judge(self, changes):
        judged = 0
        for name, file, node, granted in self.judgements:
            handle = oracles.storage_handle(self.cluster.export / "probe" / file)
            mine = [c for c in changes if handle in c[3] and c[1] == node and c[2] == "WRITE"]
            judged += len(mine)
            late = [c for c in mine if c[0] > granted * 1e9]
            if late:
                self.violation(f"O5: {name}: {len(late)} writes of node {node} to {file} arrived after the other's grant, "
                                       f"the first {late[0][0] / 1e6 - granted * 1e3:.1f} ms after it")
        return judged

    def next(self, names):
        """The likelier the more of it is missing."""
        made = self.tally.made()
        missing = [max(WANTED.get(KINDS[name], ENOUGH) - made.get(KINDS[name], 0), 1) for name in names]
        return self.rng.choices(names, missing)[0]

    def run(self, until, names, interrupted):
        tap = Tap(self.cluster, "scripted")
        first = list(names)
        while time.monotonic() < until and not interrupted.is_set():
            self.run_one(first.pop() if first else self.next(names))
        changes, dropped = tap.stop()
        self.tapped = {"changes": len(changes), "judged": self.judge(changes), "dropped": dropped}
