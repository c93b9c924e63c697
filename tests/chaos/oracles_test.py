"""The judges, the tap and the planner see what they are for: planted late writes, packets split and sent twice, memory that grows."""
import importlib.util
import pathlib
import random
import struct
import sys
import tempfile
import unittest

import counts
import memory
import oracles

HERE = pathlib.Path(__file__).resolve().parent


def load_tap():
    """Without its main program."""
    text = (HERE / "tap.py").read_text().removesuffix("main()\n")
    spec = importlib.util.spec_from_loader("tap", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(compile(text, "tap.py", "exec"), module.__dict__)
    return module


def opaque(data):
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def call(xid, procedure, body):
    credentials = struct.pack(">IIIIIII", 1, 20, 0, 0, 0, 0, 0)
    body = struct.pack(">IIIIII", xid, 0, 2, 100003, 3, procedure) + credentials + struct.pack(">II", 0, 0) + body
    return struct.pack(">I", 0x80000000 | len(body)) + body


def write_call(handle, offset, count):
    return call(7, 7, opaque(handle) + struct.pack(">QIII", offset, count, 2, count) + b"x" * count)


def create_reply(xid, handle, status=0):
    body = struct.pack(">IIIIII", xid, 1, 0, 0, 0, 0) + struct.pack(">I", status)
    body += struct.pack(">I", 1) + opaque(handle) + b"\0" * 88 if status == 0 else b""
    return struct.pack(">I", 0x80000000 | len(body)) + body


def history(*holds):
    """Worker 1's, of (resource, begin, end)."""
    events = sorted((at, resource, event) for resource, begin, end in holds
                    for at, event in ((begin, oracles.GRANTED), (end, oracles.UNLOCKING)))
    return b"".join(struct.pack("QQIHBB", ns, 0, 1, resource, event, 2) for ns, resource, event in events)


class Planted(unittest.TestCase):
    """Worker 1 of node b holds one resource from 1000 to 2000 ns."""

    def run_judge(self, mode, resource, name, changes_of, tokens=False):
        with tempfile.TemporaryDirectory() as top:
            top = pathlib.Path(top)
            (top / mode).mkdir()
            (top / mode / "workers").write_text("1 1\n")
            (top / mode / "worker-1.history").write_bytes(history((resource, 1000, 2000)))
            file = top / "holdfast-torture-1" / name
            file.parent.mkdir()
            file.write_bytes(b"")
            seen = oracles.Changes(changes_of(b"prefix" + oracles.storage_handle(file)))
            violations, judged, beside = oracles.late_writes(seen, top, top, mode, ["a", "b"], tokens)
            return len(violations), judged, beside


class LateWrites(Planted):
    """On counter-fcntl at 64."""

    def judge(self, at, node, offset):
        return self.run_judge("exclusion", 1, "counter-fcntl", lambda handle: [(at, node, "WRITE", handle, offset, 16, b"")])

    def test_a_write_of_another_node_while_it_is_held(self):
        self.assertEqual(self.judge(1500, "a", 64), (1, 1, 0))

    def test_a_write_of_the_holder(self):
        self.assertEqual(self.judge(1500, "b", 64), (0, 1, 0))

    def test_a_write_beside_the_range(self):
        self.assertEqual(self.judge(1500, "a", 80), (0, 0, 0))

    def test_a_write_before_and_after(self):
        self.assertEqual(self.judge(999, "a", 64), (0, 1, 0))
        self.assertEqual(self.judge(2001, "a", 64), (0, 1, 0))


class LateWritesBesideADatabase(Planted):
    """Changes of a database's journal, known by its name only: it may be gone when the judge looks."""

    def judge(self, at, node, procedure, mode="bank", name="bank-DELETE.db", beside=b"-journal", late=b"JOURNAL"):
        def changes(_):
            made = [(900, "b", "CREATE", b"DIRECTORY", 0, 0, name.encode() + beside),
                    (901, "b", "NAMED", b"JOURNAL", 0, 0, name.encode() + beside)]
            by_name = procedure in ("REMOVE", "CREATE")
            return made + [(at, node, procedure, b"DIRECTORY" if by_name else late, 0, 512, name.encode() + beside if by_name else b"")]
        return self.run_judge(mode, 0 if mode != "exclusion" else len(oracles.COUNTERS), name, changes)

    def test_every_change_of_another_node(self):
        for procedure in ("WRITE", "SETATTR", "REMOVE", "CREATE"):
            self.assertEqual(self.judge(1500, "a", procedure), (1, 2, 2), procedure)

    def test_changes_of_the_holder_and_at_other_times(self):
        for procedure in ("WRITE", "SETATTR", "REMOVE", "CREATE"):
            self.assertEqual(self.judge(1500, "b", procedure), (0, 2, 2), procedure)
            self.assertEqual(self.judge(2001, "a", procedure), (0, 2, 2), procedure)

    def test_the_database_of_the_counters(self):
        self.assertEqual(self.judge(1500, "a", "WRITE", "exclusion", "counter.db"), (1, 2, 2))

    def test_a_wal(self):
        self.assertEqual(self.judge(1500, "a", "WRITE", "wal", "wal.db", b"-wal"), (1, 1, 1))
        self.assertEqual(self.judge(1500, "a", "CREATE", "wal", "wal.db", b"-wal"), (0, 0, 0))

    def test_another_file(self):
        self.assertEqual(self.judge(1500, "a", "WRITE", late=b"OTHER"), (0, 1, 1))

    def test_with_tokens_what_was_left_unwritten_comes_before_the_holder_changes_it(self):
        def judge(at, procedure, holder_at, file=b"JOURNAL"):
            def changes(handle):
                return [(900, "a", "NAMED", b"JOURNAL", 0, 0, b"bank-DELETE.db-journal"),
                        (at, "a", procedure, handle if file is None else file, 0, 512, b""),
                        (holder_at, "b", "WRITE", b"JOURNAL", 0, 512, b"")]
            return self.run_judge("bank", 0, "bank-DELETE.db", changes, tokens=True)[0]
        self.assertEqual(judge(1500, "WRITE", 1600), 0)
        self.assertEqual(judge(1500, "WRITE", 900), 0)
        self.assertEqual(judge(1500, "WRITE", 1400), 1)
        self.assertEqual(judge(1500, "SETATTR", 1600), 1)
        self.assertEqual(judge(1500, "WRITE", 1600, file=None), 1)  # the database itself


class TapFlow(unittest.TestCase):
    def setUp(self):
        self.tap = load_tap()
        self.stream = write_call(b"HANDLE1", 4096, 40) + write_call(b"HANDLE22", 8192, 8)
        self.expected = [(7, b"HANDLE1", 4096, 40, b""), (7, b"HANDLE22", 8192, 8, b"")]

    def test_cut_anywhere(self):
        for cut in range(1, len(self.stream)):
            flow = self.tap.Flow()
            found = flow.take(1000, self.stream[:cut]) + flow.take(1000 + cut, self.stream[cut:])
            self.assertEqual(found, self.expected, f"cut at {cut}")

    def test_sent_twice(self):
        flow = self.tap.Flow()
        found = flow.take(1000, self.stream) + flow.take(1000, self.stream) + flow.take(1100, self.stream[100:])
        self.assertEqual(found, self.expected)

    def test_numbers_that_wrap(self):
        flow = self.tap.Flow()
        begin = 2**32 - 50
        found = flow.take(begin, self.stream[:100]) + flow.take((begin + 100) % 2**32, self.stream[100:])
        self.assertEqual(found, self.expected)

    def test_what_is_created_has_its_name(self):
        stream = write_call(b"HANDLE1", 0, 8) + call(9, 8, opaque(b"DIR") + opaque(b"x.db-journal") + struct.pack(">I", 1) + b"\0" * 24)
        for cut in range(1, len(stream)):
            flow = self.tap.Flow()
            found = flow.take(1000, stream[:cut]) + flow.take(1000 + cut, stream[cut:])
            self.assertEqual(found[1], (8, b"DIR", 0, 0, b"x.db-journal"), f"cut at {cut}")
            self.assertEqual(flow.answered(create_reply(8, b"OTHER")), [])
            self.assertEqual(flow.answered(create_reply(8, b"OTHER") + create_reply(9, b"NEW")), [(b"NEW", b"x.db-journal")])
            self.assertEqual(flow.answered(create_reply(9, b"NEW")), [], "told twice")

    def test_what_could_not_be_created_has_none(self):
        flow = self.tap.Flow()
        flow.take(1000, call(9, 8, opaque(b"DIR") + opaque(b"x") + struct.pack(">I", 1) + b"\0" * 24))
        self.assertEqual(flow.answered(create_reply(9, b"", status=17)), [])

    def test_names_and_sizes(self):
        removed = call(3, 12, opaque(b"DIR") + opaque(b"x.db-journal"))
        size = call(4, 2, opaque(b"FILE") + struct.pack(">IIIIQIII", 0, 0, 0, 1, 0, 0, 0, 0))
        owner = call(5, 2, opaque(b"FILE") + struct.pack(">IIIIIIIII", 0, 1, 7, 1, 7, 0, 0, 0, 0))
        found = self.tap.Flow().take(1000, removed + size + owner)
        self.assertEqual([c for c in found if c[0]], [(12, b"DIR", 0, 0, b"x.db-journal"), (2, b"FILE", 0, 0, b"")])


class MemoryJudge(unittest.TestCase):
    def judge(self, mib_of, minutes=60):
        return memory.judge({"lockd": [(m / 10, mib_of(m / 10)) for m in range(minutes * 10)]})

    def test_one_that_grows(self):
        violations, figures = self.judge(lambda minute: 20 + 3 * minute)
        self.assertEqual(len(violations), 1)
        self.assertAlmostEqual(figures["lockd"]["mib_per_hour"], 180, delta=1)

    def test_one_that_fills_and_stays(self):
        self.assertEqual(self.judge(lambda minute: min(60, 10 + 20 * minute))[0], [])

    def test_too_short_to_tell(self):
        self.assertEqual(self.judge(lambda minute: 20 + 60 * minute, minutes=5)[0], [])


class Planner(unittest.TestCase):
    def test_it_fills_the_table_evenly(self):
        rng, made = random.Random(1), {}
        kinds = ["lockd killed", "all at once", "client-NFS cut"]
        for _ in range(sum(counts.WANTED[kind] for kind in kinds) // 2):
            kind = counts.choose(rng, kinds, made)
            made[kind] = made.get(kind, 0) + 1
        for kind in kinds:
            self.assertAlmostEqual(made[kind] / counts.WANTED[kind], 0.5, delta=0.2, msg=kind)
        self.assertFalse(counts.reached(made))

    def test_what_only_one_cluster_can_make_comes_first_there(self):
        rng, kinds = random.Random(1), ["leader killed", "NFS server killed"]
        found = [counts.choose(rng, kinds, {}, ["leader killed"]) for _ in range(400)]
        self.assertAlmostEqual(found.count("leader killed"), 300, delta=40)

    def test_what_is_missing_comes(self):
        made = dict(counts.WANTED, **{"all at once": 10})
        kinds = list(counts.WANTED)
        rng = random.Random(1)
        found = [counts.choose(rng, kinds, made) for _ in range(400)]
        self.assertGreater(found.count("all at once"), 150)
        self.assertTrue(counts.reached(counts.WANTED))


class Blocked(unittest.TestCase):
    def test_only_processes_of_the_cluster_count(self):
        with tempfile.TemporaryDirectory() as directory:
            proc = pathlib.Path(directory)
            for pid, state, command in [("11", "D", b"holdfast\0torture\0/tmp/c/one/a/x\0"), ("12", "S", b"holdfast\0/tmp/c/one/a\0"),
                                        ("13", "D", b"holdfast\0torture\0/tmp/c/one-more/a\0"), ("14", "D", b"")]:
                (proc / pid).mkdir()
                (proc / pid / "stat").write_text(f"{pid} (hold) fast) {state} 1 1 1")
                (proc / pid / "cmdline").write_bytes(command)
            self.assertEqual(list(oracles.blocked_processes(pathlib.Path("/tmp/c/one"), proc)), ["11"])


class Clocks(unittest.TestCase):
    def test_a_look_that_was_interrupted_does_not_count(self):
        module = load_tap()
        real = 10**18
        for interrupted in range(3):  # the processor is lost for 10 ms before this look at a clock
            looks = []

            def read(clock):
                looks.append(clock)
                lost = 10_000_000 if len(looks) > interrupted else 0
                now = 1_000 * len(looks) + lost
                return now if clock == module.time.CLOCK_MONOTONIC else real + now
            self.assertAlmostEqual(module.clock_difference(read), -real, delta=50_000)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
