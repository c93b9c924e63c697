"""One round: load on a cluster, faults, then quiet and the verdicts."""
import json
import shutil
import subprocess
import time

import counts
import injector as faults
import oracles
import replica_faults
from cluster import Broken
from probe import Probe
from replicas import Replicas
from scripted import Tap

JOURNALS = ["DELETE", "TRUNCATE", "PERSIST"]
BEGIN_S = 5           # they create their files undisturbed
END_S = 8             # the last fault is over before the load ends: what it does then is what is judged
BACK_AFTER_LAST_S = 30
VERDICT_S = 400
EVIDENCE_MAX = 5      # rounds whose evidence is kept


class Rounds:
    """All rounds on one cluster. `evidence`: where it goes; `calm`: no faults but those of the servers, each alone."""

    def __init__(self, cluster, tally, options, evidence, interrupted, say):
        self.cluster, self.tally, self.options = cluster, tally, options
        self.evidence, self.interrupted, self.say = evidence, interrupted, say
        self.kept = 0

    def torture(self, mode, dirs, seed, seconds, *more):
        keep = self.cluster.top / "keep" / mode
        keep.mkdir(parents=True)
        # Below the daemons: load shall not make leases end.
        command = ["nice", "-n", "10", self.cluster.bin / "holdfast", "torture", "--mode", mode, "--seed", str(seed),
                   "--seconds", str(seconds), "--workers", str(self.options.workers), "--kill-every", "2500", "--patience", "120",
                   "--tolerate-remounts", "--json", "--keep", keep, *more, *dirs]
        log = open(self.cluster.log / f"torture-{mode}.log", "ab")
        return subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                start_new_session=True)

    def load(self, number, seed, seconds):
        cluster = self.cluster
        dirs = [cluster.at(node) for node in cluster.nodes]
        # A WAL database is at home on one node at a time; in every other round somebody elsewhere wants it too.
        self.wal_nodes = [cluster.nodes[2]] + ([cluster.nodes[0]] if number % 2 else [])
        return {
            "exclusion": self.torture("exclusion", dirs, seed, seconds),
            "bank": self.torture("bank", dirs, seed + 1, seconds, "--journal", JOURNALS[number % 3]),
            "wal": self.torture("wal", [cluster.at(node) for node in self.wal_nodes], seed + 2, seconds),
        }

    def kinds(self, calm):
        """(those of the servers, those of the nodes)"""
        replicated = isinstance(self.cluster, Replicas)
        if not calm:
            return (replica_faults.SERVER_KINDS if replicated else faults.SERVER_KINDS), faults.NODE_KINDS
        if replicated:
            return (replica_faults.CALM_KINDS if self.options.soak else replica_faults.FAIL_OVER_KINDS), []
        return faults.CALM_KINDS, []

    def calm(self, number):
        """By turns; in every third round whichever is behind, and whichever alone is missing."""
        if self.options.calm or not self.options.soak:
            return self.options.calm or isinstance(self.cluster, Replicas)
        made = self.tally.made()
        servers, nodes = counts.share(self.kinds(True)[0], made), counts.share(faults.NODE_KINDS, made)
        if (servers < 1) != (nodes < 1):
            return servers < 1
        turn = (number + self.cluster.index + isinstance(self.cluster, Replicas)) % 3
        return turn == 1 or turn == 2 and servers < nodes

    def run(self, number, seconds, calm):
        cluster = self.cluster
        seed = (self.options.seed * 1000 + number) * 10 + cluster.index * 2 + isinstance(cluster, Replicas)
        self.say(f"{cluster.title}, round {number}: seed {seed}, {seconds} s{', faults of the servers only' if calm else ''}")
        shutil.rmtree(cluster.top / "keep", ignore_errors=True)
        self.found, self.children = [], []
        whole = False
        try:
            broken = self.judged(number, seed, seconds, calm)
            whole = True
        finally:
            found = [f"{cluster.title}, round {number} (seed {seed}): {what}" for what in self.found]
            self.tally.violation(found)
            self.tidy(number, found, whole)
        self.tally.add_load(rounds=1)
        for what in broken:
            self.tally.broke(what)
        if broken:
            raise Broken("a fault could not be made or healed")

    def judged(self, number, seed, seconds, calm):
        """What could not be made or healed; violations go to self.found."""
        cluster, found = self.cluster, self.found
        serving = cluster.serving()
        before = (serving, cluster.descriptors(serving))
        probes = {node: Probe(cluster, node) for node in cluster.nodes}
        self.children += [probe.process for probe in probes.values()]
        for node, probe in probes.items():
            if probe.wait_success(0, 60) is None:
                raise Broken(f"mount {node} does not work at the start of round {number}")
        tap = Tap(cluster, str(number))
        load = self.load(number, seed, seconds)
        self.children += [tap.process, *load.values()]
        time.sleep(BEGIN_S)
        maker = faults.Injector(cluster, probes, seed, self.say, self.tally)
        maker.run(seconds - BEGIN_S - END_S, *self.kinds(calm), self.interrupted)
        last = time.monotonic()
        for node, probe in probes.items():
            if probe.wait_success(last, BACK_AFTER_LAST_S) is None:
                found.append(f"O6: mount {node} does nothing {BACK_AFTER_LAST_S} s after the last fault")
        self.tally.take_records(maker.records)
        found += maker.violations + cluster.ended() + oracles.orphan_waiters(cluster)
        for mode, process in load.items():
            found += self.verdict(mode, process)
        for node, probe in probes.items():
            if not probe.stop():
                found.append(f"O6: the probe of {node} cannot be ended")
            probe.look()
            self.tally.add_load(attempts=len(probe.good))
        found += self.judge_tap(*tap.stop())
        found += oracles.stay_blocked(cluster.top)
        left, notes = oracles.leftovers(cluster, before)
        found += left
        self.tally.note([f"{cluster.title}, round {number}: {note}" for note in notes])
        return maker.broken

    def verdict(self, mode, process):
        """What torture says, O1-O4; its histories stay with the evidence."""
        try:
            result = json.loads(process.communicate(timeout=VERDICT_S)[0])["modes"][0]
        except (subprocess.TimeoutExpired, ValueError, KeyError, IndexError) as error:
            process.kill()
            raise Broken(f"torture {mode}: no verdict ({error!r}), exit {process.poll()}, see {self.cluster.log}/torture-{mode}.log")
        self.tally.add_load(operations=result["operations"])
        self.tally.count("application killed", n=result["faults"])
        return [f"{mode}: {v['what']} | {v['where']} | {v['evidence']}" for v in result["violations"]]

    def judge_tap(self, changes, dropped):
        cluster, seen = self.cluster, oracles.Changes(changes)
        violations, judged, journals = [], 0, 0
        for mode, nodes in (("exclusion", cluster.nodes), ("bank", cluster.nodes), ("wal", self.wal_nodes)):
            found, n, beside = oracles.late_writes(seen, cluster.top / "keep" / mode, cluster.export, mode, nodes,
                                                   tokens=cluster.cache == "tokens")
            violations += found
            judged += n
            journals += beside
        self.tally.add_tap(len(changes), judged, journals, dropped)
        return violations

    def tidy(self, number, found, whole):
        """The work files go through the export itself; evidence stays if there is a violation, or the round broke."""
        for process in self.children if not whole else []:
            process.kill()
        if (found or not whole) and self.kept < EVIDENCE_MAX:
            self.kept += 1
            self.keep(f"round-{number}", found)
        for work in self.cluster.export.glob("holdfast-torture-*"):
            shutil.rmtree(work)
        for tap in self.cluster.log.glob("tap-*.txt"):
            tap.unlink()

    def keep(self, name, found):
        to = self.evidence / self.cluster.title / name
        to.mkdir(parents=True, exist_ok=True)
        (to / "violations.txt").write_text("\n".join(found) + "\n")
        for part in ("log", "keep", "export"):
            if (self.cluster.top / part).exists():
                shutil.copytree(self.cluster.top / part, to / part, dirs_exist_ok=True)
        for file in self.cluster.top.glob("lockd.db*"):
            shutil.copy(file, to)
        self.say(f"evidence: {to}")

    def until(self, end):
        number = 0
        while not self.interrupted.is_set():
            seconds = int(min(self.options.round_seconds, end - time.monotonic() - 12))
            if seconds < 30:
                return
            self.run(number, seconds, self.calm(number))
            number += 1
