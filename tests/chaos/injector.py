"""Makes faults, seeded: one lane per node and one for the servers, so that faults of different places overlap."""
import random
import subprocess
import sys
import pathlib
import threading
import time
import traceback

import counts
import replica_faults
from cluster import Broken, go_on, stop

HERE = pathlib.Path(__file__).resolve().parent
LIVENESS_S = 60          # a healed mount that does nothing for so long, with nothing wrong near it, is dead
NODE_KINDS = ["mount killed", "mount stopped", "mount stopped at a send", "client-lockd cut", "client-NFS cut", "wall clock jump"]
SERVER_KINDS = ["lockd killed", "lockd stopped", "NFS server killed", "all at once", "wall clock jump", "hostile clients"]
CALM_KINDS = ["lockd killed", "lockd stopped", "NFS server killed", "all at once"]
# Not begun if the load ends sooner than that.
ROOM_S = {"all at once": 15, "replicas restarted": 15, "NFS server killed": 10, "etcd quorum cut": 10}


def skewed(rng, low, high):
    """Short ones more often than long ones: as many between 1 and 2 as between 2 and 4."""
    return low * (high / low) ** rng.random()


class Injector:
    """`tally` knows how often each kind was made in the whole run; `until`: when no fault may last any longer."""

    def __init__(self, cluster, probes, seed, say, tally):
        self.cluster, self.probes, self.seed, self.say, self.tally = cluster, probes, seed, say, tally
        self.places = {place: threading.Lock() for place in cluster.nodes + ["srv"]}
        self.mutex = threading.Lock()
        self.active = {}
        self.records = []
        self.violations = []
        self.broken = []
        self.stopping = threading.Event()
        self.hurry = threading.Event()  # whoever waits for a fault's end does not any longer
        self.until = 0.0

    def nap(self, seconds):
        """Returns how long it was."""
        begin = time.monotonic()
        self.hurry.wait(min(seconds, max(0.0, self.until - begin)))
        return time.monotonic() - begin

    # -- one fault: what was done, when, and when life was back
    def fault(self, kind, place, detail, action, nodes, shortest=0.0, figures=None):
        """`action` returns how long the fault lasted, or None; what was shorter than `shortest` does not count.
        `figures`, filled by `action`, goes into the record."""
        record = {"kind": kind, "place": place, "detail": detail, "alone": True, "begin": time.monotonic()}
        key = object()
        with self.mutex:
            for other in self.active.values():
                other["alone"] = record["alone"] = False
            self.active[key] = record
        try:
            lasted = action()
            record["end"] = time.monotonic()
            record["counts"] = lasted is None or lasted >= shortest
            if not record["counts"]:
                return
            self.tally.count(kind)
            self.say(f"{self.cluster.title}: {kind} ({place}, {detail}{'' if lasted is None else f', {lasted:.1f} s'})")
            self.wait_for_life(record, key, nodes)
        finally:
            with self.mutex:
                del self.active[key]
                self.records.append(dict(record, **(figures or {})))

    def wait_for_life(self, record, key, nodes):
        backs = [self.probes[node].wait_success(record["end"], LIVENESS_S, self.hurry.is_set) for node in nodes]
        if None not in backs:
            record["back_s"] = max(backs) - record["end"]
            record["pause_s"] = max(self.probes[node].longest_pause(record["begin"], max(backs)) for node in nodes)
        elif not self.hurry.is_set() and not self.others_active(key):
            self.violations.append(f"O6: no success within {LIVENESS_S} s after: {record['kind']} ({record['place']}, {record['detail']})")

    def others_active(self, key):
        with self.mutex:
            return any(other is not key for other in self.active)

    def all_known_live(self):
        """No dead mount is among the sessions that lockd knows: one that does not come back would prolong the grace."""
        try:
            return all(session["connected"] for session in self.cluster.ask("sessions"))
        except (Broken, subprocess.TimeoutExpired):
            return False

    # -- faults of a node
    def node_fault(self, rng, node, kind):
        cluster, ttl = self.cluster, self.cluster.ttl
        if kind == "mount killed":
            return self.mount_killed(rng, node)
        if kind == "wall clock jump":
            return self.clock_fault(rng, node, [node])
        if kind == "mount stopped at a send":
            return self.stopped_at_send(node, rng.uniform(1, 3) * ttl)
        if kind == "mount stopped":
            seconds, way = skewed(rng, 0.5 * ttl, 5 * ttl), ""

            def action():
                process = cluster.mounts[node]
                stop(process)
                lasted = self.nap(seconds)
                go_on(process)
                return lasted
            return self.fault(kind, node, f"{seconds:.1f} s", action, [node], 0.5 * ttl)
        peer = "lockd" if "lockd" in kind else "nfs"
        least = 1.0 if peer == "lockd" else 0.5 * ttl
        seconds = skewed(rng, least, (5 if peer == "lockd" else 3) * ttl)
        way = rng.choice(["both", "both", "out", "in"])

        def action():
            cluster.cut(node, peer, way)
            lasted = self.nap(seconds)
            cluster.heal(node, peer)
            return lasted
        self.fault(kind, node, f"{way} {seconds:.1f} s", action, [node], least)

    def mount_killed(self, rng, node):
        away = rng.choice([0, rng.uniform(0, 1), rng.uniform(0, 3 * self.cluster.ttl)])

        def action():
            self.cluster.mount_kill(node)
            self.nap(away)
            self.cluster.clear_dead_mount(node)
            self.cluster.mount(node)
        self.fault("mount killed", node, f"away {away:.1f} s", action, [node])

    def stopped_at_send(self, node, seconds):
        """Between its look at the lease and the system call that sends a WRITE."""
        def action():
            tracer = subprocess.Popen([sys.executable, HERE / "freeze_at_send.py", str(self.cluster.mounts[node].pid), str(seconds)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            if tracer.stdout.readline() != b"frozen\n":
                tracer.wait()
                return 0.0  # it wrote nothing just then
            lasted = self.nap(seconds)
            tracer.stdin.close()
            tracer.wait()
            return lasted
        self.fault("mount stopped at a send", node, f"{seconds:.1f} s", action, [node], 0.5 * self.cluster.ttl)

    def clock_fault(self, rng, who, nodes):
        jump = rng.choice([-3600, 3600])

        def action():
            self.cluster.jump_clock(who, jump)
            lasted = self.nap(self.cluster.ttl * 1.5)
            self.cluster.jump_clock(who, 0)
            return lasted
        self.fault("wall clock jump", who, f"{jump} s and back", action, nodes, self.cluster.ttl)

    # -- faults of the servers
    def server_fault(self, rng, kind):
        cluster, ttl = self.cluster, self.cluster.ttl
        if kind in replica_faults.KINDS:
            return replica_faults.make(self, rng, kind)
        if kind == "all at once":
            return self.all_at_once(rng)
        if kind == "hostile clients":
            return self.hostile_clients(rng)
        if kind == "wall clock jump":
            return self.clock_fault(rng, rng.choice(cluster.coordinators()), cluster.nodes)
        if kind == "lockd killed":
            away = rng.choice([0, 0, rng.uniform(0, 1), rng.uniform(0, 2 * ttl)])

            figures = {}

            def action():
                figures["all_known_live"] = self.all_known_live()
                cluster.lockd_kill()
                self.nap(away)
                cluster.lockd_start()
            return self.fault(kind, "srv", f"away {away:.1f} s", action, cluster.nodes, figures=figures)
        if kind == "lockd stopped":
            seconds = skewed(rng, 0.5 * ttl, 3 * ttl)

            def action():
                stop(cluster.lockd)
                lasted = self.nap(seconds)
                go_on(cluster.lockd)
                return lasted
            return self.fault(kind, "srv", f"{seconds:.1f} s", action, cluster.nodes, 0.5 * ttl)
        assert kind == "NFS server killed"

        def action():
            cluster.nfs_kill()
            cluster.nfs_restart()
        self.fault(kind, "srv", "restarted at once", action, cluster.nodes)

    def hostile_clients(self, rng):
        seconds, seed = rng.uniform(2, 6), rng.random()

        def action():
            peers = [self.cluster.spawn(node, f"hostile-{node}", [sys.executable, HERE / "hostile.py", f"{seed}/{node}"] + self.cluster.lockd_address())
                     for node in self.cluster.nodes]
            lasted = self.nap(seconds)
            for peer in peers:
                self.cluster.end(peer)
            return lasted
        self.fault("hostile clients", "srv", f"on every node, {seconds:.1f} s", action, self.cluster.nodes, 1.0)

    def all_at_once(self, rng):
        cluster = self.cluster
        away = rng.uniform(0, 2)
        self.hurry.set()  # faults of nodes end early, or this one would wait for three of them
        for node in cluster.nodes:  # the caller has the servers' place already
            self.places[node].acquire()
        if not self.stopping.is_set():
            self.hurry.clear()

        def action():
            cluster.coordinators_kill()
            for node in cluster.nodes:
                cluster.mount_kill(node)
            cluster.nfs_kill()
            self.nap(away)
            cluster.nfs_restart()
            cluster.coordinators_start()
            for node in cluster.nodes:
                cluster.clear_dead_mount(node)
            self.each_node(cluster.mount)
        try:
            self.fault("all at once", "all", f"away {away:.1f} s", action, cluster.nodes)
        finally:
            for node in cluster.nodes:
                self.places[node].release()

    def each_node(self, what):
        failed = []

        def one(node):
            try:
                what(node)
            except Exception:
                failed.append(traceback.format_exc())
        threads = [threading.Thread(target=one, args=[node]) for node in self.cluster.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError("\n".join(failed))

    # -- lanes
    def lane(self, place, kinds):
        rng = random.Random(f"{self.seed}/{place}")
        try:
            while not self.stopping.wait(rng.uniform(0.2, 0.8)):
                room = self.until - time.monotonic()
                fitting = [kind for kind in kinds if ROOM_S.get(kind, 4) < room]
                if not fitting:
                    return
                with self.places[place]:
                    if self.stopping.is_set():
                        return
                    kind = counts.choose(rng, fitting, self.tally.made(), replica_faults.KINDS)
                    if place == "srv":
                        self.server_fault(rng, kind)
                    else:
                        self.node_fault(rng, place, kind)
        except Exception:
            self.broken.append(f"{self.cluster.title}, lane {place}: {traceback.format_exc()}")
            self.end()

    def end(self):
        self.stopping.set()
        self.hurry.set()

    def run(self, seconds, server_kinds, node_kinds, interrupted):
        """Faults are made during `seconds`; returns when all are over and healed."""
        self.until = time.monotonic() + seconds
        lanes = []
        for place in self.places:
            kinds = server_kinds if place == "srv" else node_kinds
            if kinds:
                lanes.append(threading.Thread(target=self.lane, args=[place, kinds]))
        for lane in lanes:
            lane.start()
        while time.monotonic() < self.until and not self.stopping.is_set() and not interrupted.is_set():
            self.stopping.wait(0.2)
        self.end()
        for lane in lanes:
            lane.join()
