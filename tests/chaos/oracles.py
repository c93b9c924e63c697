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


class Changes:
    """What the tap has seen, by the file that it changed."""

    def __init__(self, changes):
        self.all = changes
        self.by_handle, self.by_name, self.handles_of = {}, {}, {}
        for change in changes:
            _, _, procedure, handle, _, _, name = change
            if procedure == "NAMED":
                self.handles_of.setdefault(name, set()).add(handle)
            elif procedure in ("WRITE", "SETATTR"):
                self.by_handle.setdefault(handle, []).append(change)
            else:
                self.by_name.setdefault(name, []).append(change)

    def of_file(self, storage):
        """Of the file whose handle on the storage is `storage`: the server's handles contain it."""
        return [change for handle, found in self.by_handle.items() if storage in handle for change in found]

    def of_name(self, name):
        """Of every file that was created under that name, and of the name itself."""
        found = [change for handle in self.handles_of.get(name, ()) for change in self.by_handle.get(handle, ())]
        return found + self.by_name.get(name, [])


class Holds:
    """Who held one resource, and when."""

    def __init__(self, holds):
        self.holds = sorted(holds)
        self.begins = [hold[0] for hold in self.holds]
        self.longest = max((end - begin for begin, end, _, _ in self.holds), default=0)

    def foreign(self, at, node):
        """The holds of other nodes at that instant."""
        i = bisect.bisect_right(self.begins, at) - 1
        while i >= 0 and self.begins[i] >= at - self.longest:
            begin, end, holder, _ = self.holds[i]
            if begin <= at <= end and holder != node:
                yield self.holds[i]
            i -= 1


def resources_of(mode, works):
    """number -> (file, first byte, end, is it a database)"""
    if mode == "exclusion":
        found = {i: (name, at, at + CELL, False) for i, (name, at) in enumerate(COUNTERS)}
        return found | {len(COUNTERS): ("counter.db", 0, 1 << 62, True)}
    pattern = "bank-*.db" if mode == "bank" else "wal.db"
    return {0: (name, 0, 1 << 62, True) for name in [p.name for w in works for p in w.glob(pattern)][:1]}


def touched(changes, works, name, low, high, database):
    """Everything that nobody but the holder may do: on the range, and for a database also on its journal and its WAL."""
    for file in [w / name for w in works if (w / name).exists()][:1]:
        for change in changes.of_file(storage_handle(file)):
            _, _, procedure, _, offset, count, _ = change
            # Counters never change their size.
            if procedure == "WRITE" and offset < high and low < offset + count or procedure == "SETATTR" and database:
                yield name, change
    if database:
        for beside in ("-journal", "-wal"):
            for change in changes.of_name((name + beside).encode()):
                # A WAL is made by whoever opens the database first, and opened by all.
                if beside == "-journal" or change[2] != "CREATE":
                    yield name + beside, change


def late_writes(changes, keep, export, mode, nodes, tokens=False):
    """O5: changes of a node that reached the server while a worker of another node held the lock of that range.
    Returns (violations, changes judged, of them on journals and WALs). `changes`: Changes; `keep`: what torture kept;
    `export`: the exported directory. `tokens`: a journal or WAL has a token of its own. What a killed worker had written
    to it and nobody has asked for yet comes with its recall, before the holder's own changes: later it would be too late."""
    directory = pathlib.Path(keep) / mode
    home = {int(w): nodes[int(d)] for w, d in (line.split() for line in (directory / "workers").read_text().splitlines())}
    works = sorted(p for p in pathlib.Path(export).glob("holdfast-torture-*"))
    by_resource = {}
    for resource, worker, begin, end in holds_of(directory):
        by_resource.setdefault(resource, []).append((begin, end, home[worker], worker))
    violations, judged, beside = [], 0, 0
    for resource, (name, low, high, database) in resources_of(mode, works).items():
        holds = Holds(by_resource.get(resource, []))
        found = list(touched(changes, works, name, low, high, database))
        own = {}
        for file, (at, node, *_) in found:
            own.setdefault((file, node), []).append(at)
        for file, (at, node, procedure, _, offset, count, _) in found:
            judged += 1
            beside += file != name
            for begin, end, holder, worker in holds.foreign(at, node):
                if tokens and file != name and procedure == "WRITE" and not any(begin <= change < at for change in own.get((file, holder), [])):
                    continue
                violations.append(f"O5: {procedure} of node {node} on {file} {offset}+{count} arrived {(at - begin) / 1e6:.3f} ms "
                                  f"after worker {worker} of node {holder} had been granted {name}, {(end - at) / 1e6:.3f} ms before it let go")
    return violations, judged, beside


def read_tap(path):
    changes, dropped = [], None
    for line in open(path):
        words = line.split()
        if words[0] == "end":
            dropped = int(words[1])
        elif len(words) == 7:
            name = b"" if words[6] == "-" else bytes.fromhex(words[6])
            changes.append((int(words[0]), words[1], words[2], bytes.fromhex(words[3]), int(words[4]), int(words[5]), name))
    return changes, dropped


def blocked_processes(top, proc=pathlib.Path("/proc")):
    """Processes in state D whose command line names something below `top`, a cluster's directory. Others are not judged:
    clusters run side by side, and a worker that is killed while its own mount is frozen is in D for as long."""
    found = {}
    for path in proc.glob("[0-9]*/stat"):
        try:
            text = path.read_text()
            if text.rsplit(")", 1)[1].split()[0] != "D":
                continue
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(top) + b"/" in command:
            found[path.parent.name] = text.split("(", 1)[1].split(")")[0]
    return found


def stay_blocked(top, seconds=3):
    """Processes in state D at every look."""
    found = blocked_processes(top)
    until = time.monotonic() + seconds
    while found and time.monotonic() < until:
        time.sleep(0.25)
        again = blocked_processes(top)
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


def leftovers(cluster, serving_before):
    """O7, all load being gone: nothing is held by the mounts that live, and each of them is a session once.
    `serving_before`: the lockd that served at the start, and how many descriptors it had."""
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
    process, before = serving_before
    if cluster.serving() is process:  # else another one: nothing to compare
        after = cluster.descriptors(process)
        if after > before + len(away) + 8:
            violations.append(f"O7: lockd has {after} descriptors, {before} at the start")
    return violations, notes
