"""Chaos: rounds of load and faults on a cluster with one lockd and on one with replicas, scripted scenarios on others
beside them. See `run` for the usage."""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import counts
import report
from cluster import REPO, Cluster
from memory import Memory
from replicas import Replicas, etcd_is_here
from rounds import Rounds
from scripted import Scripted
from tally import Tally

NODES = ["a", "b", "c"]
SCRIPTS = ["app", "dead", "frozen", "e1", "e2"]
PROGRESS_S = 30
LIVES = 4  # of a cluster that breaks
OURS = ("holdfast", "holdfast-lockd", "holdfast-guard", "ganesha.nfsd", "etcd")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Run:
    def __init__(self, options):
        self.options = options
        self.tally = Tally(say)
        self.memory = Memory()
        self.interrupted = threading.Event()
        self.over = threading.Event()
        self.evidence = pathlib.Path(options.report) / "evidence" if options.report else pathlib.Path(f"{options.top}-evidence")
        self.revision = subprocess.run(["git", "-C", REPO, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()

    # -- parts, each a thread
    def guarded(self, name, cluster, body):
        """`body`, with the cluster up; down whatever happens. Did it work?"""
        try:
            cluster.up()
            self.memory.clusters.append(cluster)
            body()
            return True
        except Exception:
            self.tally.broke(f"{name}: {traceback.format_exc()}")
            return False
        finally:
            if cluster in self.memory.clusters:
                self.memory.clusters.remove(cluster)
            if self.options.report and (self.tally.broken or self.tally.violations):
                shutil.copytree(cluster.log, self.evidence / f"logs-{name}", dirs_exist_ok=True)
            cluster.down()

    def place(self, name):
        top = pathlib.Path(self.options.top) / name
        top.mkdir()
        return top

    def rounds(self, kind, until, index=0):
        """A cluster that breaks is replaced: the run goes on, but it is no clean one."""
        for life in range(LIVES):
            name = f"{'replicas' if kind is Replicas else 'lockd'}-{index}" + (f"-{life}" if life else "")
            cluster = kind(self.options.bin, self.place(name), f"{name[0]}{os.getpid()}x{index}{life}", NODES, self.options.lease_ttl)
            cluster.title, cluster.index = name, index
            rounds = Rounds(cluster, self.tally, self.options, self.evidence, self.interrupted, say)
            if self.guarded(name, cluster, lambda: rounds.until(until)) or self.interrupted.is_set() or time.monotonic() > until - 60:
                return

    def scripted(self, index, until, names):
        cluster = Cluster(self.options.bin, self.place(f"scripted-{index}"), f"x{os.getpid()}x{index}", ["a", "b"], self.options.lease_ttl)
        cluster.title = f"scripted-{index}"
        script = Scripted(cluster, f"{self.options.seed}/{index}", say, self.tally)

        def body():
            script.run(until - 10, names, self.interrupted)
            self.tally.add_tap(script.tapped["changes"], script.tapped["judged"], 0, script.tapped["dropped"])
            if script.violations:
                Rounds(cluster, self.tally, self.options, self.evidence, self.interrupted, say).keep("scripted", script.violations)
        self.guarded(f"scripted-{index}", cluster, body)

    def threads(self):
        parts, soak = self.options.only, self.options.soak
        begin, length = time.monotonic(), self.options.minutes * 60
        until = begin + length
        found = []
        scripts = [p for p in SCRIPTS if p in parts or "scripted" in parts]
        if scripts:
            # Most of their time is waiting for leases: several side by side.
            found += [threading.Thread(target=self.scripted, args=[i, until, scripts]) for i in range(self.options.scripts)]
        single, leader = "mix" in parts or "restarts" in parts, "leader" in parts
        if leader and not etcd_is_here(self.options.bin):
            self.tally.note(["no etcd here, or a lockd without it: nothing was done with replicas"])
            leader = False
        if soak or not (single and leader):
            if single:
                found += [threading.Thread(target=self.rounds, args=[Cluster, until, i]) for i in range(self.options.clusters)]
            if leader:
                found.append(threading.Thread(target=self.rounds, args=[Replicas, until]))
        else:  # a slice: one after the other, on a machine that has other things to do
            half = begin + length * 0.6

            def both():
                self.rounds(Cluster, half)
                self.rounds(Replicas, until)
            found.append(threading.Thread(target=both))
        return found

    def watch(self):
        at = time.monotonic()
        while not self.over.wait(1):
            if os.path.exists(self.options.stop_file):
                self.interrupt()
            if time.monotonic() - at >= PROGRESS_S:
                at = time.monotonic()
                say(self.tally.progress())
                self.write(self.result("RUNNING"))
            if self.options.soak and counts.reached(self.tally.made()) and not self.interrupted.is_set():
                say("every count is reached")
                self.interrupted.set()

    def interrupt(self, *_):
        if not self.interrupted.is_set():
            say("interrupted: no more faults; the rounds end and are judged, which takes up to three minutes")
        self.interrupted.set()

    def run(self):
        watcher = threading.Thread(target=self.watch)
        threads = self.threads()
        for thread in [watcher] + threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # signals are handled in between
        self.over.set()
        watcher.join()
        violations, self.figures_of_memory = self.memory.judge()
        self.tally.violation(violations)

    def result(self, verdict=None):
        result = self.tally.result()
        result |= {"seed": self.options.seed, "revision": self.revision, "lease_ttl": self.options.lease_ttl,
                   "interrupted": self.interrupted.is_set(), "load_average": [round(x, 1) for x in os.getloadavg()],
                   "memory": getattr(self, "figures_of_memory", {}),
                   "evidence": str(self.evidence) if self.evidence.exists() else None}
        return result | ({"verdict": verdict} if verdict else {})

    def write(self, result):
        """What is there so far stays, whatever becomes of this program."""
        if self.options.report:
            report.write(pathlib.Path(self.options.report), result)
        if self.options.json:
            pathlib.Path(self.options.json).write_text(json.dumps(result, indent=1) + "\n")


def left_behind(top):
    mounts = [line.split()[1] for line in open("/proc/self/mounts") if line.split()[1].startswith(str(top))]
    processes = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() in OURS:
                processes.append(path.parent.name)
        except OSError:
            pass
    return [f"O7: left behind: {what}" for what in mounts + processes + os.listdir("/run/netns")]


def options_of():
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("bin")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1_000_000))
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--only", default="scripted,mix,leader")
    parser.add_argument("--lease-ttl", type=int, default=3)
    parser.add_argument("--scripts", type=int, default=2, help="scripted clusters side by side")
    parser.add_argument("--clusters", type=int, default=1, help="clusters with one lockd under load side by side (with --soak)")
    parser.add_argument("--workers", type=int, default=3, help="writers of each kind of load, for each cluster")
    parser.add_argument("--round-seconds", type=int, default=120)
    parser.add_argument("--report", metavar="DIR", help="report.json, report.md, and the evidence of violations")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.calm = "restarts" in options.only and "mix" not in options.only
    options.stop_file = os.environ.get("CHAOS_STOP_FILE", "/nonexistent")
    if options.minutes is None:
        options.minutes = 24 * 60 if options.soak else 3
    if options.report:
        pathlib.Path(options.report).mkdir(parents=True, exist_ok=True)
    options.top = tempfile.mkdtemp(prefix="holdfast-chaos-")
    os.chmod(options.top, 0o755)
    return options


def main():
    options = options_of()
    say(f"seed {options.seed}, {options.minutes} minutes, in {options.top}")
    run = Run(options)
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, run.interrupt)
    try:
        run.run()
        time.sleep(1)  # guardians and watchers see that their owners are gone
        run.tally.violation(left_behind(options.top))
        result = run.result()
    finally:
        mounted = any(options.top in line for line in open("/proc/self/mounts"))
        if not mounted:
            shutil.rmtree(options.top, ignore_errors=True)
    run.write(result)
    print(report.text(result), end="")
    return {"PASS": 0, "FAIL": 1, "BROKEN": 2}[result["verdict"]]


sys.exit(main())
