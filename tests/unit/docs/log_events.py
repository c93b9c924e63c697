#!/usr/bin/env python3
"""Each event in the sources has a row with its level in docs/log-events.md, and each row an event. log_events.py REPOSITORY"""
import pathlib
import re
import sys

REPO = pathlib.Path(sys.argv[1])
CALL = re.compile(r'\blog::(trace|debug|info|warn|error)\(\s*("[^"]*"|[^"\s])')
ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| \S", re.M)
NAME = re.compile(r"^[a-z]+\.[a-z_]+$")


def main():
    findings = []
    used = {}
    for folder in ("lockd", "fs", "lib", "cli", "deploy"):
        for path in sorted((REPO / folder).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            for level, name in CALL.findall(path.read_text(encoding="utf-8")):
                where = path.relative_to(REPO)
                if not NAME.match(name.strip('"')) or not name.startswith('"'):
                    findings.append(f"{where}: {name}: an event's name is a literal like \"lease.expired\"")
                    continue
                name = name.strip('"')
                if used.setdefault(name, (level, where))[0] != level:
                    findings.append(f"{where}: {name} has two levels")
    documented = dict(ROW.findall((REPO / "docs/log-events.md").read_text(encoding="utf-8")))
    documented = {name: level for name, level in documented.items() if "." in name}
    for name, (level, where) in sorted(used.items()):
        if documented.get(name) != level:
            findings.append(f"{where}: {name} ({level}) has no such row in docs/log-events.md")
    for name in sorted(set(documented) - set(used)):
        findings.append(f"docs/log-events.md: {name} is in no source")
    for line in findings:
        print(line)
    print(f"{len(used)} events, {len(findings)} findings", file=sys.stderr)
    return 1 if findings or len(used) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
