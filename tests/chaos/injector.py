"""Makes faults, seeded: one lane per node and one for the servers, so that faults of different places overlap."""
import random
import threading
import time
import traceback

LIVENESS_S = 60          # a healed mount that does nothing for so long, with nothing wrong near it, is dead
NODE_FAULTS = [("mount killed", 20), ("mount stopped", 30), ("client-lockd cut", 20), ("client-NFS cut", 10), ("wall clock jump", 1)]
SERVER_FAULTS = [("lockd killed", 30), ("lockd stopped", 10), ("NFS server killed", 12), ("all at once", 5), ("wall clock jump", 1)]


def pick(rng, table):
    return rng.choices([kind for kind, _ in table], [weight for _, weight in table])[0]


class Injector:
    def __init__(self, cluster, probes, seed, say):
        self.cluster, self.probes, self.seed, self.say = cluster, probes, seed, say
        self.places = {place: threading.Lock() for place in cluster.nodes + ["srv"]}
        self.mutex = threading.Lock()
        self.active = {}
        self.records = []
        self.violations = []
        self.broken = []
        self.stopping = threading.Event()

    # -- one fault: what was done, when, and when life was back
    def fault(self, kind, place, detail, action, nodes):
        record = {"kind": kind, "place": place, "detail": detail, "alone": True, "begin": time.monotonic()}
        key = object()
        with self.mutex:
            for other in self.active.values():
                other["alone"] = record["alone"] = False
            self.active[key] = record
        try:
            action()
            record["end"] = time.monotonic()
            self.say(f"{kind} ({place}, {detail})")
            backs = [self.probes[node].wait_success(record["end"], LIVENESS_S) for node in nodes]
            if None in backs:
                record["back_s"] = None
                if not self.others_active(key):
                    self.violations.append(f"O6: no success within {LIVENESS_S} s after: {kind} ({place}, {detail})")
            else:
                record["back_s"] = max(backs) - record["end"]
                record["pause_s"] = max(self.probes[node].longest_pause(record["begin"], max(backs)) for node in nodes)
        finally:
            with self.mutex:
                del self.active[key]
                self.records.append(record)

    def others_active(self, key):
        with self.mutex:
            return any(other is not key for other in self.active)

    # -- faults of a node
    def node_fault(self, rng, node, kind):
        cluster, ttl = self.cluster, self.cluster.ttl
        if kind == "mount killed":
            away = rng.choice([0, rng.uniform(0, 1), rng.uniform(0, 3 * ttl)])

            def action():
                cluster.mount_kill(node)
                time.sleep(away)
                cluster.clear_dead_mount(node)
                cluster.mount(node)
            detail = f"away {away:.1f} s"
        elif kind == "mount stopped":
            seconds = rng.uniform(0.5, 5) * ttl

            def action():
                process = cluster.mounts[node]
                process.send_signal(19)
                time.sleep(seconds)
                process.send_signal(18)
            detail = f"{seconds:.1f} s"
        elif kind in ("client-lockd cut", "client-NFS cut"):
            peer = "lockd" if "lockd" in kind else "nfs"
            seconds = rng.uniform(1, 5 * ttl) if peer == "lockd" else rng.uniform(0.5, 3 * ttl)
            way = rng.choice(["both", "both", "out", "in"])

            def action():
                cluster.cut(node, peer, way)
                time.sleep(seconds)
                cluster.heal(node, peer)
            detail = f"{way} {seconds:.1f} s"
        else:
            return self.clock_fault(rng, node, [node])
        self.fault(kind, node, detail, action, [node])

    def clock_fault(self, rng, who, nodes):
        jump = rng.choice([-3600, 3600])

        def action():
            self.cluster.jump_clock(who, jump)
            time.sleep(self.cluster.ttl * 1.5)
            self.cluster.jump_clock(who, 0)
        self.fault("wall clock jump", who, f"{jump} s and back", action, nodes)

    # -- faults of the servers
    def server_fault(self, rng, kind):
        cluster, ttl = self.cluster, self.cluster.ttl
        if kind == "lockd killed":
            away = rng.choice([0, 0, rng.uniform(0, 1), rng.uniform(0, 2 * ttl)])

            def action():
                cluster.lockd_kill()
                time.sleep(away)
                cluster.lockd_start()
            detail = f"away {away:.1f} s"
        elif kind == "lockd stopped":
            seconds = rng.uniform(0.5, 3) * ttl

            def action():
                cluster.lockd.send_signal(19)
                time.sleep(seconds)
                cluster.lockd.send_signal(18)
            detail = f"{seconds:.1f} s"
        elif kind == "NFS server killed":
            def action():
                cluster.nfs_kill()
                cluster.nfs_restart()
            detail = "restarted at once"
        elif kind == "all at once":
            return self.all_at_once(rng)
        else:
            return self.clock_fault(rng, "lockd", cluster.nodes)
        self.fault(kind, "srv", detail, action, cluster.nodes)

    def all_at_once(self, rng):
        cluster = self.cluster
        away = rng.uniform(0, 2)
        for node in cluster.nodes:  # the caller has the servers' place already
            self.places[node].acquire()

        def action():
            cluster.lockd_kill()
            for node in cluster.nodes:
                cluster.mount_kill(node)
            cluster.nfs_kill()
            time.sleep(away)
            cluster.nfs_restart()
            cluster.lockd_start()
            for node in cluster.nodes:
                cluster.clear_dead_mount(node)
            starts = [threading.Thread(target=cluster.mount, args=[node]) for node in cluster.nodes]
            for start in starts:
                start.start()
            for start in starts:
                start.join()
        try:
            self.fault("all at once", "all", f"away {away:.1f} s", action, cluster.nodes)
        finally:
            for node in cluster.nodes:
                self.places[node].release()

    # -- lanes
    def lane(self, place, server_kinds, node_kinds):
        rng = random.Random(f"{self.seed}/{place}")
        try:
            while not self.stopping.wait(rng.uniform(0.2, 2.0)):
                with self.places[place]:
                    if self.stopping.is_set():
                        return
                    if place == "srv":
                        self.server_fault(rng, pick(rng, server_kinds))
                    else:
                        self.node_fault(rng, place, pick(rng, node_kinds))
        except Exception:
            self.broken.append(f"lane {place}: {traceback.format_exc()}")
            self.stopping.set()

    def run(self, seconds, server_kinds, node_kinds):
        """Faults begin during `seconds`; returns when all are over and healed."""
        lanes = []
        for place in self.places:
            if (server_kinds if place == "srv" else node_kinds):
                lanes.append(threading.Thread(target=self.lane, args=[place, server_kinds, node_kinds]))
        for lane in lanes:
            lane.start()
        self.stopping.wait(seconds)
        self.stopping.set()
        for lane in lanes:
            lane.join()
