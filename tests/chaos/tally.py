"""What a run has seen so far. Any thread."""
import threading
import time

import counts
import report


class Tally:
    def __init__(self, say):
        self.say = say
        self.mutex = threading.Lock()
        self.begin = time.monotonic()
        self.faults, self.figures = {}, {}
        self.violations, self.broken, self.notes = [], [], []
        self.operations = self.attempts = self.rounds = 0
        self.tap = {"changes": 0, "judged": 0, "journals": 0, "dropped": 0}

    def count(self, kind, n=1):
        with self.mutex:
            self.faults.setdefault(kind, {"count": 0})["count"] += n

    def made(self):
        with self.mutex:
            return {kind: entry["count"] for kind, entry in self.faults.items()}

    def alone(self, kind):
        with self.mutex:
            entry = self.faults.setdefault(kind, {"count": 0})
            entry["alone"] = entry.get("alone", 0) + 1

    def figure(self, name, value):
        with self.mutex:
            self.figures.setdefault(name, []).append(value)

    def add_tap(self, changes, judged, journals, dropped):
        with self.mutex:
            for name, n in zip(self.tap, (changes, judged, journals, dropped or 0)):
                self.tap[name] += n

    def add_load(self, operations=0, attempts=0, rounds=0):
        with self.mutex:
            self.operations += operations
            self.attempts += attempts
            self.rounds += rounds

    def violation(self, found):
        """`found`: a list of texts."""
        for text in found:
            self.say(f"VIOLATION {text}")
        with self.mutex:
            self.violations += found

    def broke(self, what):
        self.say(f"BROKEN {what}")
        with self.mutex:
            self.broken.append(what)

    def note(self, notes):
        with self.mutex:
            self.notes += notes

    def take_records(self, records):
        """The records of an injector: figures, and what was alone (it has counted them itself)."""
        for record in (r for r in records if r.get("counts")):
            kind, alone = record["kind"], record["alone"]
            if alone:
                self.alone(kind)
            if record.get("fail_over_s") is not None:
                self.figure(f"{kind}: time without service", record["fail_over_s"])
                if alone:
                    self.figure(f"{kind}, alone: time without service", record["fail_over_s"])
                    if record["all_known_live"]:
                        self.figure(f"{kind}, alone, all mounts live: time without service", record["fail_over_s"])
            if record.get("back_s") is None:
                continue
            self.figure(f"{kind}: end of fault to first success", record["back_s"])
            if alone:
                self.figure(f"{kind}, alone: to first success", record["back_s"])
                if kind == "lockd killed" and record["detail"] == "away 0.0 s":
                    who = "all mounts live" if record["all_known_live"] else "a dead mount known"
                    self.figure(f"lockd restarted at once, alone, {who}: pause", record["pause_s"])

    def progress(self):
        made = self.made()
        parts = [f"{kind} {made.get(kind, 0)}/{wanted}" for kind, wanted in counts.WANTED.items()]
        minutes = (time.monotonic() - self.begin) / 60
        return f"{minutes:.1f} min, violations {len(self.violations)}, rounds {self.rounds}: " + ", ".join(parts)

    def result(self):
        with self.mutex:
            verdict = "FAIL" if self.violations else "BROKEN" if self.broken else "PASS"
            return {"verdict": verdict, "minutes": (time.monotonic() - self.begin) / 60, "rounds": self.rounds,
                    "operations": self.operations, "attempts": self.attempts, "faults": {k: dict(v) for k, v in self.faults.items()},
                    "wanted": counts.WANTED, "figures": {name: report.summary(v) for name, v in self.figures.items()},
                    "tap": dict(self.tap), "notes": list(self.notes), "broken": list(self.broken),
                    "violations": list(self.violations)}
