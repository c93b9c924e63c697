"""What one full run has to reach, and what to do next to reach it."""
WANTED = {
    "application killed": 500,
    "mount killed": 200,
    "mount stopped": 300,
    "mount stopped at a send": 50,
    "client-lockd cut": 200,
    "client-NFS cut": 100,
    "lockd killed": 300,
    "lockd stopped": 100,
    "leader killed": 100,
    "leader stopped": 30,
    "leader-etcd cut": 30,
    "etcd quorum cut": 30,
    "replicas restarted": 20,
    "NFS server killed": 100,
    "all at once": 50,
    "wall clock jump": 20,
    "hostile clients": 20,
    "E1": 100,
    "E2": 100,
}
WHEN_REACHED = 0.02  # of what is wanted: what has its count is still made now and then


FAVOUR = 3


def choose(rng, kinds, made, favoured=()):
    """One of `kinds`, the likelier the more of it is missing: the table fills evenly. `made`: kind -> how often so far;
    `favoured`: those that cannot be made elsewhere."""
    weights = [max(WANTED[kind] - made.get(kind, 0), WHEN_REACHED * WANTED[kind]) * (FAVOUR if kind in favoured else 1) for kind in kinds]
    return rng.choices(kinds, weights)[0]


def share(kinds, made):
    """How much of what is wanted of these is done, 0 to 1."""
    return sum(min(1.0, made.get(kind, 0) / WANTED[kind]) for kind in kinds) / len(kinds)


def reached(made):
    return all(made.get(kind, 0) >= wanted for kind, wanted in WANTED.items())
