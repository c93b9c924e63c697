"""Reads what the prober of a node has written: when did this mount work?"""
import bisect
import os
import subprocess
import sys
import pathlib
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


class Probe:
    def __init__(self, cluster, node):
        self.node = node
        self.log = str(cluster.log / f"probe-{node}.log")
        open(self.log, "wb").close()
        self.process = subprocess.Popen([sys.executable, HERE / "prober.py", cluster.at(node) / "probe" / f"of-{node}", self.log],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        self.lock = threading.Lock()
        self.offset = 0
        self.good = []   # ends of successful attempts
        self.begun = []  # and their beginnings
        self.slow = []   # how long each took
        self.errors = 0

    def look(self):
        with self.lock:
            with open(self.log, "rb") as log:
                log.seek(self.offset)
                text = log.read()
            text = text[:text.rfind(b"\n") + 1]
            self.offset += len(text)
            for line in text.splitlines():
                begin, end, code = line.split()
                if code == b"0":
                    self.good.append(float(end))
                    self.begun.append(float(begin))
                    self.slow.append(float(end) - float(begin))
                else:
                    self.errors += 1

    def success_after(self, instant):
        self.look()
        with self.lock:
            at = bisect.bisect_right(self.good, instant)
            return self.good[at] if at < len(self.good) else None

    def begun_after(self, instant):
        """When the first attempt that began after `instant` and ended well did end."""
        self.look()
        with self.lock:
            at = bisect.bisect_right(self.begun, instant)
            return self.good[at] if at < len(self.good) else None

    def wait_success(self, instant, seconds, give_up=lambda: False):
        """When the first attempt after `instant` ended well; None if none did in time, or `give_up` says so."""
        until = time.monotonic() + seconds
        while True:
            found = self.success_after(instant)
            if found is not None or time.monotonic() > until or give_up():
                return found
            time.sleep(0.05)

    def longest_pause(self, begin, end):
        """The longest time without a success that touches [begin, end]."""
        self.look()
        with self.lock:
            first = max(0, bisect.bisect_left(self.good, begin) - 1)
            last = bisect.bisect_right(self.good, end) + 1
            points = self.good[first:last]
        return max((b - a for a, b in zip(points, points[1:])), default=0.0)

    def stop(self):
        self.process.kill()
        try:
            self.process.wait(20)
            return True
        except subprocess.TimeoutExpired:
            return False
