"""O7, memory: the resident size of every lockd and mount, looked at all the time."""
import statistics
import threading
import time

PAGE_KIB = 4
EVERY_S = 5
# A verdict needs that much, and allows that much: caches fill, the load grows, the machine is shared.
MINUTES, SAMPLES = 15, 60
FACTOR, SLACK_MIB = 2, 48


def slope(points):
    """Least squares, y per x."""
    if len(points) < 2:
        return 0.0
    x0 = statistics.fmean(x for x, _ in points)
    y0 = statistics.fmean(y for _, y in points)
    square = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / square if square else 0.0


def judge(samples):
    """`samples`: what -> [(minute, MiB)]. Returns (violations, what -> figures)."""
    violations, figures = [], {}
    for what, points in sorted(samples.items()):
        points = sorted(points)
        third = max(1, len(points) // 3)
        first, last = (statistics.median(mib for _, mib in part) for part in (points[:third], points[-third:]))
        figures[what] = {"samples": len(points), "first_third_mib": round(first, 1), "last_third_mib": round(last, 1),
                         "max_mib": round(max(mib for _, mib in points), 1), "mib_per_hour": round(slope(points) * 60, 2)}
        enough = len(points) >= SAMPLES and points[-1][0] - points[0][0] >= MINUTES
        if enough and last > FACTOR * first + SLACK_MIB:
            violations.append(f"O7: the memory of {what} grows: {first:.0f} MiB in the first third of the run, {last:.0f} MiB in the last")
    return violations, figures


class Memory:
    def __init__(self):
        self.samples, self.clusters = {}, []
        self.begin = time.monotonic()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.ending.wait(EVERY_S):
            for cluster in list(self.clusters):
                for what, pid in cluster.daemons():
                    self.look(what, pid)

    def look(self, what, pid):
        try:
            with open(f"/proc/{pid}/statm") as file:
                resident = int(file.read().split()[1]) * PAGE_KIB / 1024
            with open(f"/proc/{pid}/comm") as file:
                if not file.read().startswith("holdfast"):  # nsenter has not become it yet
                    return
        except (OSError, IndexError):
            return
        if resident > 0:
            self.samples.setdefault(what, []).append(((time.monotonic() - self.begin) / 60, resident))

    def judge(self):
        self.ending.set()
        self.thread.join()
        return judge(self.samples)
