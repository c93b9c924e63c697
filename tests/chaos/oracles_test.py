"""The judges and the tap see what they are for: planted late writes, packets split and sent twice."""
import importlib.util
import pathlib
import struct
import sys
import tempfile
import unittest

import oracles

HERE = pathlib.Path(__file__).resolve().parent


def load_tap():
    """Without its main program."""
    text = (HERE / "tap.py").read_text().removesuffix("main()\n")
    spec = importlib.util.spec_from_loader("tap", loader=None)
    module = importlib.util.module_from_spec(spec)
    exec(compile(text, "tap.py", "exec"), module.__dict__)
    return module


def write_call(handle, offset, count):
    credentials = struct.pack(">IIIIIII", 1, 20, 0, 0, 0, 0, 0)
    body = struct.pack(">IIIIII", 7, 0, 2, 100003, 3, 7) + credentials + struct.pack(">II", 0, 0)
    body += struct.pack(">I", len(handle)) + handle + b"\0" * (-len(handle) % 4)
    body += struct.pack(">QIII", offset, count, 2, count) + b"x" * count
    return struct.pack(">I", 0x80000000 | len(body)) + body


class LateWrites(unittest.TestCase):
    """Worker 1 of node b holds counter-fcntl at 64 from 1000 to 2000 ns."""

    def judge(self, at, node, offset):
        with tempfile.TemporaryDirectory() as top:
            top = pathlib.Path(top)
            (top / "exclusion").mkdir()
            (top / "exclusion/workers").write_text("1 1\n")
            events = [(1000, oracles.GRANTED), (2000, oracles.UNLOCKING)]
            data = b"".join(struct.pack("QQIHBB", ns, 0, 1, 1, event, 2) for ns, event in events)
            (top / "exclusion/worker-1.history").write_bytes(data)
            file = top / "holdfast-torture-1" / "counter-fcntl"
            file.parent.mkdir()
            file.write_bytes(b"")
            changes = [(at, node, "WRITE", b"prefix" + oracles.storage_handle(file), offset, 16)]
            return oracles.late_writes(changes, top, top, "exclusion", ["a", "b"])

    def test_a_write_of_another_node_while_it_is_held(self):
        violations, judged = self.judge(1500, "a", 64)
        self.assertEqual((len(violations), judged), (1, 1))

    def test_a_write_of_the_holder(self):
        self.assertEqual(self.judge(1500, "b", 64), ([], 1))

    def test_a_write_beside_the_range(self):
        self.assertEqual(self.judge(1500, "a", 80), ([], 0))

    def test_a_write_before_and_after(self):
        self.assertEqual(self.judge(999, "a", 64), ([], 1))
        self.assertEqual(self.judge(2001, "a", 64), ([], 1))


class TapFlow(unittest.TestCase):
    def setUp(self):
        self.tap = load_tap()
        self.stream = write_call(b"HANDLE1", 4096, 40) + write_call(b"HANDLE22", 8192, 8)
        self.expected = [(7, b"HANDLE1", 4096, 40), (7, b"HANDLE22", 8192, 8)]

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


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
