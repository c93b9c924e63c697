"""Chaos: rounds of load and faults on one cluster, scripted scenarios on another beside it. See `run` for the usage."""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import counts
import injector as faults
import oracles
import report
from cluster import REPO, Broken, Cluster
from probe import Probe
from scripted import Scripted, Tap

NODES = ["a", "b", "c"]
JOURNALS = ["DELETE", "TRUNCATE", "PERSIST"]
ROUND_S = 120
BACK_AFTER_LAST_S = 30


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Run:
    def __init__(self, options):
        self.options = options
        self.faults, self.figures = {}, {}
        self.violations, self.broken, self.notes = [], [], []
        self.operations = self.attempts = self.rounds = 0
        self.tap = {"changes": 0, "judged": 0, "dropped": 0}
        self.mutex = threading.Lock()
        self.begin = time.monotonic()
        self.revision = subprocess.run(["git", "-C", REPO, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()

    def count(self, kind, alone=None, n=1):
        with self.mutex:
            entry = self.faults.setdefault(kind, {"count": 0})
            entry["count"] += n
            if alone is not None:
                entry["alone"] = entry.get("alone", 0) + int(alone)

    def figure(self, name, value):
        with self.mutex:
            self.figures.setdefault(name, []).append(value)

    def add_tap(self, changes, judged, dropped):
        with self.mutex:
            self.tap["changes"] += changes
            self.tap["judged"] += judged
            self.tap["dropped"] += dropped or 0

    def reached(self):
        return all(self.faults.get(kind, {"count": 0})["count"] >= wanted for kind, wanted in counts.WANTED.items())

    # -- one round: load, faults, then quiet and the verdicts
    def torture(self, cluster, mode, dirs, seed, seconds, *more):
        keep = cluster.top / "keep" / mode
        keep.mkdir(parents=True)
        command = [cluster.bin / "holdfast", "torture", "--mode", mode, "--seed", str(seed), "--seconds", str(seconds),
                   "--workers", "3", "--kill-every", "1500", "--patience", "120", "--tolerate-remounts", "--json",
                   "--keep", keep, *more, *dirs]
        log = open(cluster.log / f"torture-{mode}.log", "ab")
        return subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)

    def round(self, cluster, number, seconds, server_kinds, node_kinds):
        seed = self.options.seed * 1000 + number
        say(f"round {number}: seed {seed}, {seconds} s")
        shutil.rmtree(cluster.top / "keep", ignore_errors=True)
        descriptors = cluster.descriptors(cluster.lockd)
        probes = {node: Probe(cluster, node) for node in NODES}
        for node, probe in probes.items():
            if probe.wait_success(0, 30) is None:
                raise Broken(f"mount {node} does not work at the start of round {number}")
        tap = Tap(cluster, str(number))
        dirs = [cluster.at(node) for node in NODES]
        journal = JOURNALS[number % 3]
        load = {
            "exclusion": self.torture(cluster, "exclusion", dirs, seed, seconds),
            "bank": self.torture(cluster, "bank", dirs, seed + 1, seconds, "--journal", journal),
            "wal": self.torture(cluster, "wal", [cluster.at("c")], seed + 2, seconds),
        }
        time.sleep(6)  # they create their files undisturbed
        maker = faults.Injector(cluster, probes, seed, say)
        # The last fault has to be over before the load ends: what it does then is what is judged.
        maker.run(seconds - 6 - 25, server_kinds, node_kinds)
        last = time.monotonic()
        for node, probe in probes.items():
            if probe.wait_success(last, BACK_AFTER_LAST_S) is None:
                self.violations.append(f"O6: mount {node} does nothing {BACK_AFTER_LAST_S} s after the last fault")
        self.take_records(maker)
        self.violations += oracles.orphan_waiters(cluster)
        for mode, process in load.items():
            self.verdict(cluster, number, mode, process)
        for node, probe in probes.items():
            if not probe.stop():
                self.violations.append(f"O6: the probe of {node} cannot be ended")
            probe.look()
            self.attempts += len(probe.good)
        changes, dropped = tap.stop()
        self.judge_tap(cluster, changes, dropped)
        self.violations += oracles.stay_blocked()
        found, notes = oracles.leftovers(cluster, descriptors)
        self.violations += found
        self.notes += [f"round {number}: {note}" for note in notes]
        self.broken += maker.broken
        self.rounds += 1
        self.tidy(cluster)
        if maker.broken:
            raise Broken("a fault could not be made or healed")

    def take_records(self, maker):
        self.violations += maker.violations
        for record in maker.records:
            self.count(record["kind"], record["alone"])
            if record.get("back_s") is not None:
                self.figure(f"{record['kind']}: end of fault to first success", record["back_s"])
                if record["alone"]:
                    self.figure(f"{record['kind']}, alone: to first success", record["back_s"])
                    if record["kind"] == "lockd killed" and record["detail"] == "away 0.0 s":
                        self.figure("lockd killed and restarted at once, alone: pause", record["pause_s"])

    def verdict(self, cluster, number, mode, process):
        """What torture says, O1-O4; its histories stay with the evidence."""
        try:
            output = process.communicate(timeout=400)[0]
            result = json.loads(output)["modes"][0]
        except (subprocess.TimeoutExpired, ValueError, KeyError, IndexError) as error:
            process.kill()
            raise Broken(f"torture {mode}: no verdict ({error!r}), exit {process.poll()}, see {cluster.log}/torture-{mode}.log")
        self.operations += result["operations"]
        self.count("application killed", n=result["faults"])
        for violation in result["violations"]:
            self.violations.append(f"round {number}, {mode}: {violation['what']} | {violation['where']} | {violation['evidence']}")

    def judge_tap(self, cluster, changes, dropped):
        judged = 0
        for mode in ("exclusion", "bank"):
            found, n = oracles.late_writes(changes, cluster.top / "keep" / mode, cluster.export, mode, NODES)
            self.violations += found
            judged += n
        self.add_tap(len(changes), judged, dropped)

    def tidy(self, cluster):
        """The work files go through the export itself; evidence stays if there is a violation."""
        if self.violations and self.options.keep:
            shutil.copytree(cluster.top / "keep", pathlib.Path(self.options.keep) / f"round-{self.rounds}", dirs_exist_ok=True)
        for work in cluster.export.glob("holdfast-torture-*"):
            shutil.rmtree(work)

    # -- parts
    def rounds_until(self, cluster, until, parts):
        number = 0
        restarts = [("lockd killed", 1)]
        while True:
            left = until - time.monotonic()
            seconds = int(min(ROUND_S, left - 30))
            if seconds < 50 or (self.options.soak and self.reached()):
                return
            if parts == ["restarts"] or ("restarts" in parts and number % 4 == 1):
                self.round(cluster, number, min(seconds, 70), restarts, [])
            else:
                self.round(cluster, number, seconds, faults.SERVER_FAULTS, faults.NODE_FAULTS)
            number += 1
            if self.broken:
                return

    def scripted(self, index, until, plan):
        top = pathlib.Path(self.options.top) / f"scripted-{index}"
        top.mkdir()
        cluster = Cluster(self.options.bin, top, f"s{os.getpid()}x{index}", ["a", "b"], self.options.lease_ttl)
        script = Scripted(cluster, f"{self.options.seed}/{index}", say)
        try:
            cluster.up()
            script.run(until - time.monotonic() - 15, plan)
            self.add_tap(script.tapped["changes"], script.tapped["judged"], script.tapped["dropped"])
        except Exception:
            with self.mutex:
                self.broken.append(f"scripted: {traceback.format_exc()}")
        finally:
            with self.mutex:
                self.violations += script.violations
            for kind, n in script.counts.items():
                self.count(kind, n=n)
            for name, values in script.figures.items():
                for value in values:
                    self.figure(name, value)
            self.keep_logs(cluster, f"scripted-{index}")
            cluster.down()

    def keep_logs(self, cluster, name):
        if self.options.keep:
            shutil.copytree(cluster.log, pathlib.Path(self.options.keep) / name, dirs_exist_ok=True)

    def run(self):
        parts = self.options.only
        until = self.begin + self.options.minutes * 60
        threads = []
        plan = [p for p in (["app", "e1", "e2", "dead", "e1", "e2", "frozen"] if "scripted" in parts else parts)
                if p in ("app", "dead", "frozen", "e1", "e2")]
        if plan:
            # Most of their time is waiting for leases: several side by side.
            for index in range(self.options.scripts):
                turned = plan[index * 2 % len(plan):] + plan[:index * 2 % len(plan)]
                threads.append(threading.Thread(target=self.scripted, args=[index, until, turned]))
        for thread in threads:
            thread.start()
        if "mix" in parts or "restarts" in parts:
            top = pathlib.Path(self.options.top) / "main"
            top.mkdir()
            cluster = Cluster(self.options.bin, top, f"m{os.getpid()}", NODES, self.options.lease_ttl)
            self.store = cluster.has_store
            try:
                cluster.up()
                self.rounds_until(cluster, until, parts)
            except Exception:
                self.broken.append(traceback.format_exc())
            finally:
                self.keep_logs(cluster, "main")
                cluster.down()
        for thread in threads:
            thread.join()

    def result(self):
        verdict = "FAIL" if self.violations else "BROKEN" if self.broken else "PASS"
        return {"verdict": verdict, "seed": self.options.seed, "minutes": (time.monotonic() - self.begin) / 60, "revision": self.revision,
                "lease_ttl": self.options.lease_ttl, "store": getattr(self, "store", False), "rounds": self.rounds,
                "operations": self.operations, "attempts": self.attempts, "faults": self.faults,
                "wanted": counts.WANTED, "figures": {name: report.summary(v) for name, v in self.figures.items()},
                "tap": self.tap, "notes": self.notes, "broken": self.broken, "violations": self.violations}


def left_behind(top):
    mounts = [line.split()[1] for line in open("/proc/self/mounts") if line.split()[1].startswith(str(top))]
    processes = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() in ("holdfast", "holdfast-lockd", "holdfast-guard", "ganesha.nfsd"):
                processes.append(path.parent.name)
        except OSError:
            pass
    return [f"O7: left behind: {what}" for what in mounts + processes + os.listdir("/run/netns")]


def main():
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("bin")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1_000_000))
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--only", default="scripted,mix,restarts")
    parser.add_argument("--lease-ttl", type=int, default=3)
    parser.add_argument("--scripts", type=int, default=2, help="scripted clusters side by side")
    parser.add_argument("--json")
    parser.add_argument("--keep", help="logs, and the histories of failed rounds, go here")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if options.minutes is None:
        options.minutes = 24 * 60 if options.soak else 3
    options.top = tempfile.mkdtemp(prefix="holdfast-chaos-")
    os.chmod(options.top, 0o755)
    say(f"seed {options.seed}, {options.minutes} minutes, in {options.top}")
    run = Run(options)
    try:
        run.run()
        time.sleep(1)  # guardians and watchers see that their owners are gone
        run.violations += left_behind(options.top)
        result = run.result()
    finally:
        mounted = any(options.top in line for line in open("/proc/self/mounts"))
        if not mounted:
            shutil.rmtree(options.top, ignore_errors=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    print(report.text(result), end="")
    return {"PASS": 0, "FAIL": 1, "BROKEN": 2}[result["verdict"]]


sys.exit(main())
