"""The report: text for people, JSON for machines."""
import counts


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def summary(values):
    return {"count": len(values), "p50": round(quantile(values, 0.5), 3), "p99": round(quantile(values, 0.99), 3),
            "min": round(min(values), 3), "max": round(max(values), 3)}


def text(result):
    out = [f"seed {result['seed']}, {result['minutes']:.1f} minutes, lease {result['lease_ttl']} s, store {'yes' if result['store'] else 'no'}, "
           f"revision {result['revision']}", ""]
    out.append(f"{'fault':<36}{'made':>8}{'wanted':>8}{'alone':>8}")
    for kind, made in sorted(result["faults"].items()):
        out.append(f"{kind:<36}{made['count']:>8}{counts.WANTED.get(kind, ''):>8}{made.get('alone', ''):>8}")
    out += ["", f"{'figure (seconds)':<56}{'n':>6}{'min':>9}{'p50':>9}{'p99':>9}{'max':>9}"]
    for name, f in sorted(result["figures"].items()):
        out.append(f"{name:<56}{f['count']:>6}{f['min']:>9.3f}{f['p50']:>9.3f}{f['p99']:>9.3f}{f['max']:>9.3f}")
    out += ["", f"rounds {result['rounds']}; load: {result['operations']} operations acknowledged by torture in all modes, "
            f"{result['attempts']} lock-write-unlock rounds of the probes"]
    tap = result["tap"]
    out.append(f"tap: {tap['changes']} changing calls seen, {tap['judged']} of them on locked ranges judged, {tap['dropped']} packets missed")
    out += [f"note: {note}" for note in result["notes"]]
    out += [f"BROKEN: {what}" for what in result["broken"]]
    out += [f"VIOLATION: {what}" for what in result["violations"][:40]]
    out.append(f"{result['verdict']}: {len(result['violations'])} violations")
    return "\n".join(out) + "\n"
