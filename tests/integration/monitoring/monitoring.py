#!/usr/bin/env python3
"""Alert rules, dashboard and docs/metrics.md against each other, and against what the programs tell.

  monitoring.py REPOSITORY HOLDFAST

Each alert has a case below that fires it and nothing else; with all metrics in health none fires (`promtool test rules`).
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

REPO = pathlib.Path(sys.argv[1])
HOLDFAST = sys.argv[2]
ALERTS = REPO / "deploy/monitoring/alerts.yml"

LOCKD = {
    'holdfast_lockd_active{instance="l"}': "1+0x30",
    'holdfast_lockd_stale{instance="l"}': "0+0x30",
    'holdfast_lockd_grace{instance="l"}': "0+0x30",
    'holdfast_lockd_loop_lateness_seconds_bucket{instance="l",le="0.001"}': "0+599x30",
    'holdfast_lockd_loop_lateness_seconds_bucket{instance="l",le="0.5"}': "0+600x30",
    'holdfast_lockd_loop_lateness_seconds_bucket{instance="l",le="+Inf"}': "0+600x30",
    'holdfast_lockd_authority_seconds{instance="l"}': "2.5+0x30",
    'holdfast_lockd_store_failures_total{instance="l"}': "3+0x30",
    'holdfast_lockd_fences_failed_total{instance="l"}': "3+0x30",
    'holdfast_lockd_leases_expired_total{instance="l"}': "3+0x30",
    'holdfast_lockd_recalls_unmet_total{instance="l"}': "3+0x30",
    'holdfast_lockd_limit_hits_total{instance="l",limit="ranges_of_file"}': "3+0x30",
    'holdfast_lockd_oldest_wait_seconds{instance="l"}': "20+0x30",
}
MOUNT = 'instance="n",connection="52",mount="/mnt"'
MOUNTS = {
    f"holdfast_mount_up{{{MOUNT}}}": "1+0x30",
    f"holdfast_mount_lease_margin_seconds{{{MOUNT}}}": "8+0x30",
    f"holdfast_mount_sessions_lost_total{{{MOUNT}}}": "1+0x30",
    f"holdfast_mount_files_lost_total{{{MOUNT}}}": "1+0x30",
    f"holdfast_mount_requests_under_way{{{MOUNT}}}": "3+0x30",
    f"holdfast_mount_lock_calls_under_way{{{MOUNT}}}": "2+0x30",
    f"holdfast_mount_nfs_under_way{{{MOUNT}}}": "1+0x30",
    f'holdfast_mount_request_seconds_count{{{MOUNT},op="READ"}}': "0+100x30",
    f'holdfast_mount_nfs_call_seconds_count{{{MOUNT},procedure="READ"}}': "0+100x30",
    f'holdfast_mount_nfs_call_seconds_bucket{{{MOUNT},procedure="READ",le="0.01"}}': "0+95x30",
    f'holdfast_mount_nfs_call_seconds_bucket{{{MOUNT},procedure="READ",le="5"}}': "0+100x30",
    f'holdfast_mount_nfs_call_seconds_bucket{{{MOUNT},procedure="READ",le="+Inf"}}': "0+100x30",
}
HEALTH = LOCKD | MOUNTS


def changed(prefix, values):
    """The series that begins so takes other values."""
    (name,) = [series for series in HEALTH if series.startswith(prefix)]
    return {name: values}


L = {"instance": "l"}
N = {"instance": "n", "connection": "52", "mount": "/mnt"}
SLOW = "holdfast_mount_nfs_call_seconds_bucket{" + MOUNT + ',procedure="READ",le="0.01"}'
LATE = 'holdfast_lockd_loop_lateness_seconds_bucket{instance="l",le="0.001"}'
# alert -> (what is not in health, the labels it then has)
CASES = {
    "HoldfastLockdNotServing": (changed("holdfast_lockd_active", "0+0x30"), {}),
    "HoldfastLockdStale": (changed("holdfast_lockd_stale", "1+0x30"), L),
    "HoldfastLockdGraceLong": (changed("holdfast_lockd_grace", "1+0x30"), L),
    "HoldfastLockdSlow": (changed(LATE, "0+500x30"), L),
    "HoldfastLockdAuthorityLow": (changed("holdfast_lockd_authority", "0.4+0x30"), L),
    "HoldfastStoreFailing": (changed("holdfast_lockd_store_failures", "3+1x30"), L),
    "HoldfastFenceFailing": (changed("holdfast_lockd_fences_failed", "3+1x30"), L),
    "HoldfastLeaseExpired": (changed("holdfast_lockd_leases_expired", "3+1x30"), L),
    "HoldfastRecallUnmet": (changed("holdfast_lockd_recalls_unmet", "3+1x30"), L),
    "HoldfastLockWaitLong": (changed("holdfast_lockd_oldest_wait", "20+30x30"), L),
    "HoldfastLimitHit": (changed("holdfast_lockd_limit_hits", "3+1x30"), {**L, "limit": "ranges_of_file"}),
    "HoldfastMountDead": (changed("holdfast_mount_up", "0+0x30"), N),
    "HoldfastMountSuspended": (changed("holdfast_mount_lease_margin", "8-5x30"), N),
    "HoldfastLocksLost": (changed("holdfast_mount_files_lost", "1+2x30"), N),
    "HoldfastMountHangs": (changed("holdfast_mount_request_seconds_count", "100+0x30"), N),
    "HoldfastNfsSilent": (changed("holdfast_mount_nfs_call_seconds_count", "100+0x30"), N),
    "HoldfastNfsSlow": (changed(SLOW, "0+50x30"), {"instance": "n", "mount": "/mnt"}),
}
# No lockd is scraped at all: the same alert as for one that does not serve.
WITHOUT_LOCKD = MOUNTS


def rule_test(name, series, fires):
    """After 20 minutes exactly that alert fires, or none."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "20m", "alertname": alert, "exp_alerts": [{"exp_labels": CASES[alert][1]}] if alert == fires else []}
            for alert in CASES
        ],
    }


def bare_rules(rules):
    """Without annotations and labels of ours, whose texts a test would only repeat."""
    kept = []
    inside = False
    for line in rules.splitlines():
        if re.match(r"        annotations:", line):
            inside = True
        elif not line.startswith("          "):
            inside = False
        if not inside and not re.match(r"        labels:", line):
            kept.append(line)
    return "\n".join(kept) + "\n"


def test_rules(rules, findings):
    tests = [rule_test("health", HEALTH, None), rule_test("no lockd at all", WITHOUT_LOCKD, "HoldfastLockdNotServing")]
    tests += [rule_test(alert, HEALTH | change, alert) for alert, (change, _) in CASES.items()]
    checked = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        findings.append(f"promtool: {checked.stdout}{checked.stderr}")
    with tempfile.TemporaryDirectory() as directory:
        bare = pathlib.Path(directory) / "rules.yml"
        bare.write_text(bare_rules(rules))
        path = pathlib.Path(directory) / "test.yml"
        path.write_text(json.dumps({"rule_files": [str(bare)], "evaluation_interval": "1m", "tests": tests}))
        done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        findings.append(f"promtool: {done.stdout}{done.stderr}")


def metrics_in(text):
    """Names as documented: a histogram's series without what Prometheus adds."""
    found = set(re.findall(r"\bholdfast_(?:lockd|mount)_[a-z0-9_]+", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def main():
    findings = []
    rules = ALERTS.read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    for alert in sorted(set(alerts) ^ set(CASES)):
        findings.append(f"{alert}: a rule without a case that fires it, or the other way round")
    runbook = (REPO / "docs/runbook.md").read_text()
    for alert in alerts:
        if f"\n## {alert}\n" not in runbook:
            findings.append(f"{alert}: no paragraph in docs/runbook.md")
        if f"runbook_url: docs/runbook.md#{alert.lower()}" not in rules:
            findings.append(f"{alert}: the rule does not name its paragraph")
    documentation = (REPO / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `(holdfast_\w+)`", documentation, re.M))
    for link in re.findall(r"runbook\.md#(\w+)", documentation):
        if link not in [alert.lower() for alert in alerts]:
            findings.append(f"docs/metrics.md: there is no paragraph {link} in the runbook")
    dashboard = (REPO / "deploy/monitoring/dashboard.json").read_text()
    json.loads(dashboard)
    for where, text in (("alerts.yml", rules), ("dashboard.json", dashboard), ("runbook.md", runbook)):
        for name in sorted(metrics_in(text) - documented):
            findings.append(f"{where}: {name} is not in docs/metrics.md")
    # Families are told also without a mount. What lockd tells is compared in lockd_status_test.
    told = subprocess.run([HOLDFAST, "metrics", "--directory", "/nowhere"], capture_output=True, text=True, check=True).stdout
    mounts_told = set(re.findall(r"^# TYPE (\w+)", told, re.M))
    mounts_documented = {name for name in documented if name.startswith("holdfast_mount_")}
    for name in sorted(mounts_told ^ mounts_documented):
        findings.append(f"{name}: told by holdfast metrics and not documented, or the other way round")
    test_rules(rules, findings)
    for line in findings:
        print(line)
    print(f"{len(alerts)} alerts, {len(documented)} metrics, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
