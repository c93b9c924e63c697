"""The report: text for people, JSON for machines."""
import json

import counts


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def summary(values):
    return {"count": len(values), "p50": round(quantile(values, 0.5), 3), "p99": round(quantile(values, 0.99), 3),
            "min": round(min(values), 3), "max": round(max(values), 3)}


def faults(result):
    out = [f"{'fault':<36}{'made':>8}{'wanted':>8}{'alone':>8}"]
    for kind in sorted(set(result["faults"]) | set(counts.WANTED)):
        made = result["faults"].get(kind, {"count": 0})
        out.append(f"{kind:<36}{made['count']:>8}{counts.WANTED.get(kind, ''):>8}{made.get('alone', ''):>8}".rstrip())
    return out


def figures(result):
    out = [f"{'figure (seconds)':<56}{'n':>6}{'min':>9}{'p50':>9}{'p99':>9}{'max':>9}"]
    for name, f in sorted(result["figures"].items()):
        out.append(f"{name:<56}{f['count']:>6}{f['min']:>9.3f}{f['p50']:>9.3f}{f['p99']:>9.3f}{f['max']:>9.3f}")
    if result["memory"]:
        out += ["", f"{'memory (MiB)':<20}{'samples':>9}{'first third':>13}{'last third':>12}{'most':>9}{'per hour':>10}"]
    for what, f in result["memory"].items():
        out.append(f"{what:<20}{f['samples']:>9}{f['first_third_mib']:>13.1f}{f['last_third_mib']:>12.1f}{f['max_mib']:>9.1f}"
                   f"{f['mib_per_hour']:>+10.1f}")
    return out


def text(result):
    out = [f"seed {result['seed']}, {result['minutes']:.1f} minutes, lease {result['lease_ttl']} s, revision {result['revision']}, "
           f"load average {result['load_average'][2]}{', interrupted' if result['interrupted'] else ''}", ""]
    out += faults(result) + [""] + figures(result)
    tap = result["tap"]
    out += ["", f"rounds {result['rounds']}; load: {result['operations']} operations acknowledged by torture in all modes, "
            f"{result['attempts']} lock-write-unlock rounds of the probes",
            f"tap: {tap['changes']} changing calls seen, {tap['judged']} of them judged, of these {tap['journals']} on journals and WALs; "
            f"{tap['dropped']} packets missed"]
    out += [f"note: {note}" for note in result["notes"]]
    out += [f"BROKEN: {what}" for what in result["broken"]]
    out += [f"VIOLATION: {what}" for what in result["violations"][:40]]
    if result["evidence"]:
        out.append(f"evidence: {result['evidence']}")
    out.append(f"{result['verdict']}: {len(result['violations'])} violations")
    return "\n".join(out) + "\n"


ORACLES = """| oracle | how |
| --- | --- |
| O1-O3 | `holdfast torture`: final counters, ledger, integrity_check, snapshots, seen from every node |
| O4 | its histories: no two holders at once |
| O5 | a tap on the server's side of each node's cable: nothing of a node on a counter's range, a database, its journal or its WAL while a worker of another node holds its lock; nothing of an old holder after the new one's grant (scripted) |
| O6 | end of a fault to the first success of the probes; every mount works 30 s after the last fault; nothing stays in state D; no waiter without a holder |
| O7 | after each round nothing held by mounts that live, one session a mount, lockd's descriptors; memory over the whole run; at the end no mount, process or network namespace |
"""


def write(directory, result):
    """report.json and report.md, each whole at any time."""
    parts = {"report.json": json.dumps(result, indent=1) + "\n",
             "report.md": f"# Chaos run: {result['verdict']}, {len(result['violations'])} violations\n\n```\n{text(result)}```\n\n"
                          f"Judged by:\n\n{ORACLES}"}
    for name, content in parts.items():
        temporary = directory / f"{name}.new"
        temporary.write_text(content)
        temporary.replace(directory / name)
