"""Faults of a coordinator that is replicated (replicas.Replicas): its leader, the way to etcd, etcd."""
import time

from cluster import go_on, stop
from replicas import LEADER_TTL

KINDS = ["leader killed", "leader stopped", "leader-etcd cut", "etcd quorum cut", "replicas restarted"]
SERVER_KINDS = KINDS + ["NFS server killed", "all at once", "wall clock jump", "hostile clients"]
CALM_KINDS = KINDS + ["NFS server killed", "all at once"]
FAIL_OVER_KINDS = ["leader killed", "leader stopped", "leader-etcd cut"]
TAKEN_OVER_S = 30


def make(injector, rng, kind):
    {"leader killed": leader_killed, "leader stopped": leader_stopped, "leader-etcd cut": leader_cut,
     "etcd quorum cut": quorum_cut, "replicas restarted": restarted}[kind](injector, rng)


def fail_over(injector, at, patience=TAKEN_OVER_S):
    """Waits until another has taken over and every mount works with it; seconds after `at`, None if that did not come.
    What began after the leader was gone cannot have been answered by it."""
    until = time.monotonic() + patience
    while True:
        seen = [injector.probes[node].begun_after(at) for node in injector.cluster.nodes]
        if None not in seen:
            return max(seen) - at
        if time.monotonic() >= until or injector.hurry.is_set():
            return None
        time.sleep(0.05)


def noted(injector, kind, detail, action, shortest=0.0):
    """`action` returns (how long the fault lasted or None, seconds without service or None)."""
    figures = {"all_known_live": injector.all_known_live()}

    def inner():
        lasted, figures["fail_over_s"] = action()
        return lasted
    injector.fault(kind, "srv", detail, inner, injector.cluster.nodes, shortest, figures)


def leader_killed(injector, rng):
    cluster = injector.cluster
    name, at_once = cluster.must_lead(), rng.random() < 0.3

    def action():
        cluster.end(cluster.lockds[name])
        at = time.monotonic()
        if at_once:
            cluster.replica_start(name)
        took = fail_over(injector, at)
        if not at_once:
            cluster.replica_start(name)
        return None, took
    noted(injector, "leader killed", f"{name}, back {'at once' if at_once else 'after the fail-over'}", action)


def leader_stopped(injector, rng):
    """Longer than its leader lease: it is deposed while it sleeps, and must know it when it wakes."""
    cluster = injector.cluster
    name, seconds = cluster.must_lead(), rng.uniform(1.2, 4) * LEADER_TTL

    def action():
        process, at = cluster.lockds[name], time.monotonic()
        stop(process)
        lasted = injector.nap(seconds)
        took = fail_over(injector, at, 0)
        go_on(process)
        return lasted, took
    noted(injector, "leader stopped", f"{name}, {seconds:.1f} s", action, 1.1 * LEADER_TTL)


def leader_cut(injector, rng):
    cluster = injector.cluster
    name, seconds = cluster.must_lead(), rng.uniform(0.5, 4) * LEADER_TTL
    way = rng.choice(["both", "both", "out", "in"])

    def action():
        at = time.monotonic()
        cluster.cut(name, "etcd", way)
        lasted = injector.nap(seconds)
        # It serves on until its own lease is over: what counts is the time without service.
        took = max(injector.probes[node].longest_pause(at, time.monotonic()) for node in cluster.nodes)
        cluster.heal(name, "etcd")
        return lasted, took if lasted > 2 * LEADER_TTL else None
    noted(injector, "leader-etcd cut", f"{name}, {way} {seconds:.1f} s", action, 0.5 * LEADER_TTL)


def quorum_cut(injector, rng):
    """Most members of etcd hear nobody. Nobody may lead longer than its lease."""
    cluster = injector.cluster
    names = rng.sample(sorted(cluster.members), len(cluster.members) // 2 + 1)
    seconds = rng.uniform(0.5, 4) * LEADER_TTL

    def action():
        for name in names:
            cluster.cut(name, "all")
        lasted = injector.nap(seconds)
        for name in names:
            cluster.heal(name, "all")
        return lasted, None
    noted(injector, "etcd quorum cut", f"{' '.join(names)}, {seconds:.1f} s", action, 0.5 * LEADER_TTL)


def restarted(injector, rng):
    cluster, away = injector.cluster, rng.uniform(0, 2)

    def action():
        cluster.coordinators_kill()
        injector.nap(away)
        cluster.coordinators_start()
        return None, None
    noted(injector, "replicas restarted", f"with etcd, away {away:.1f} s", action)
