"""O4-O7 on what a round has left behind. O1-O3 come from the verdicts of `holdfast torture`."""
import bisect
import ctypes
import os
import pathlib
import struct
import time

GRANTED, UNLOCKING, GAVE_UP = 2, 4, 6
# cli/torture/exclusion.cc, kCounters: file, offset of the locked cell, in the order of their numbers.
COUNTERS = [("counter-fcntl", 0), ("counter-fcntl", 64), ("counter-fcntl", 4096), ("counter-ofd", 0), ("counter-ofd", 64),
            ("counter-ofd", 4096), ("counter-flock", 0)]
CELL = 16


def storage_handle(path):
    """What the NFS server builds its file handle from: name_to_handle_at(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(8 + 128)
    struct.pack_into("I", buffer, 0, 128)
    mount_id = ctypes.c_int()
    if libc.name_to_handle_at(-100, os.fsencode(str(path)), buffer, ctypes.byref(mount_id), 0) != 0:
        raise OSError(ctypes.get_errno(), str(path))
    (length,) = struct.unpack_from("I", buffer, 0)
    return buffer.raw[8:8 + length]


def holds_of(directory):
    """(resource, worker, begin, end) of every hold both ends of which were seen while holding."""
    holds = []
    for path in pathlib.Path(directory).glob("*.history"):
        held = {}
        data = path.read_bytes()
        for ns, _, worker, resource, event, _ in struct.iter_unpack("QQIHBB", data[:len(data) // 24 * 24]):
            if event == GRANTED:
                held[resource] = ns
            elif event == GAVE_UP:
                held.pop(resource, None)
            elif event == UNLOCKING and resource in held:
                holds.append((resource, worker, held.pop(resource), ns))
    return holds


def late_writes(changes, keep, export, mode, nodes):
    """O5: changes of a node that reached the server while a worker of another node held the lock of that range.
    Returns (violations, changes judged). `keep` is what torture kept, `export` the exported directory."""
    directory = pathlib.Path(keep) / mode
    home = {int(w): nodes[int(d)] for w, d in (line.split() for line in (directory / "workers").read_text().splitlines())}
    works = sorted(p for p in pathlib.Path(export).glob("holdfast-torture-*"))
    if mode == "exclusion":
        resources = {i: (name, at, at + CELL) for i, (name, at) in enumerate(COUNTERS)}
        resources[len(COUNTERS)] = ("counter.db", 0, 1 << 62)
    else:
        resources = {0: (next(p.name for w in works for p in w.glob("bank-*.db")), 0, 1 << 62)}
    by_resource = {}
    for resource, worker, begin, end in holds_of(directory):
        by_resource.setdefault(resource, []).append((begin, end, home[worker], worker))
    violations, judged = [], 0
    for resource, (name, low, high) in resources.items():
        found = [w / name for w in works if (w / name).exists()]
        holds = sorted(by_resource.get(resource, []))
        if not found or not holds:
            continue
        handle, begins = storage_handle(found[0]), [hold[0] for hold in holds]
        longest = max(end - begin for begin, end, _, _ in holds)
        for at, node, procedure, fh, offset, count in changes:
            if procedure not in ("WRITE", "SETATTR") or handle not in fh:
                continue
            if procedure == "WRITE" and not (offset < high and low < offset + count):
                continue
            if procedure == "SETATTR" and mode == "exclusion" and resource < len(COUNTERS):
                continue  # times only: the counters' size never changes
            judged += 1
            i = bisect.bisect_right(begins, at) - 1
            while i >= 0 and begins[i] >= at - longest:
                begin, end, holder, worker = holds[i]
                if begin <= at <= end and holder != node:
                    violations.append(f"O5: {procedure} of node {node} on {name} {offset}+{count} arrived {(at - begin) / 1e6:.3f} ms "
                                      f"after worker {worker} of node {holder} had been granted it, {(end - at) / 1e6:.3f} ms before it let go")
                i -= 1
    return violations, judged


def read_tap(path):
    changes, dropped = [], None
    for line in open(path):
        words = line.split()
        if words[0] == "end":
            dropped = int(words[1])
        elif len(words) == 6:
            changes.append((int(words[0]), words[1], words[2], bytes.fromhex(words[3]), int(words[4]), int(words[5])))
    return changes, dropped


def blocked_processes():
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if text.rsplit(")", 1)[1].split()[0] == "D":
            found[path.parent.name] = text.split("(", 1)[1].split(")")[0]
    return found


def stay_blocked(seconds=3):
    """Processes in state D at every look."""
    found = blocked_processes()
    until = time.monotonic() + seconds
    while found and time.monotonic() < until:
        time.sleep(0.25)
        again = blocked_processes()
        found = {pid: name for pid, name in found.items() if pid in again}
    return [f"O6: process {pid} ({name}) stays in state D" for pid, name in found.items()]


def orphan_waiters(cluster):
    """Waiting locks on files of which nobody holds anything in the same space, at two looks a second apart."""
    def look():
        locks = cluster.ask("locks")
        held = {(l["volume"], l["fileid"], l["kind"]) for l in locks if l["state"] != "waiting"}
        return {(l["session"], l["fileid"], l["owner"], l["range"]) for l in locks
                if l["state"] == "waiting" and (l["volume"], l["fileid"], l["kind"]) not in held}
    first = look()
    if not first:
        return []
    time.sleep(1)
    return [f"O6: a waiter without a holder: {waiter}" for waiter in first & look()]


def leftovers(cluster, descriptors_before):
    """O7, all load being gone: nothing is held by the mounts that live, and each of them is a session once."""
    violations, notes = [], []
    for _ in range(50):  # unlocks and releases of ended processes are under way
        locks, sessions = cluster.ask("locks"), cluster.ask("sessions")
        alive = {s["session"] for s in sessions if s["connected"]}
        # A mount's own lock, by which others see that it lives (docs/filesystem.md), has neither file nor process.
        theirs = [l for l in locks if l["session"] in alive and not (l["fileid"] == 0 and l["pid"] == 0)]
        if not theirs and len(alive) == len(cluster.nodes):
            break
        time.sleep(0.2)
    if theirs:
        violations.append(f"O7: {len(theirs)} locks are left: {theirs[:3]}")
    if len(alive) != len(cluster.nodes):
        violations.append(f"O7: {len(alive)} sessions are connected, {len(cluster.nodes)} mounts exist")
    away = [s for s in sessions if not s["connected"]]
    if away:
        notes.append(f"{len(away)} sessions of dead mounts are kept with {len(locks) - len(theirs)} locks that nobody wants (courtesy)")
    after = cluster.descriptors(cluster.lockd)
    if after > descriptors_before + len(away) + 8:
        violations.append(f"O7: lockd has {after} descriptors, {descriptors_before} at the start")
    return violations, notes
