#!/usr/bin/env python3
"""Judges the JSON of `holdfast bench fs`: fields, and what is counted. Usage: check_results.py FILE

The counts are those of a mount that caches nothing (mode CW); they follow from what a scenario does, so a count that is
lost, doubled or put under another name shows.
"""
import json
import sys

FIELDS = ["name", "place", "operation", "unit", "ops_per_s", "p50_us", "p99_us", "max_us", "nfs_calls_per_op",
          "lockd_calls_per_op", "fuse_requests_per_op", "counts_per_op", "operations", "seconds", "rounds", "workers",
          "skipped", "failure", "note"]
COUNTS = ["nfs_calls_per_op", "lockd_calls_per_op", "fuse_requests_per_op", "counts_per_op"]
NAMES = (["fcntl-pair", "pingpong-2", "pingpong-3"]
         + [f"insert-{j}-{s}" for j in ("delete", "truncate", "persist", "wal") for s in ("full", "normal")]
         + [f"select-{j}" for j in ("delete", "truncate", "persist", "wal")]
         + ["writers-delete", "stream-write", "stream-read-cold", "stream-read-cached", "random-cached",
            "random-direct", "files-create", "files-stat", "files-sync", "files-unlink", "walk"])
# scenario -> counter -> for one operation
EXACT = {
    "fcntl-pair": {"lockd.lock": 1, "lockd.unlock": 1, "fuse.SETLKW": 2, "lockd.query": 0, "nfs.READ": 0},
    "insert-delete-full": {"nfs.CREATE": 1, "nfs.REMOVE": 1, "nfs.COMMIT": 3, "fuse.CREATE": 1, "fuse.UNLINK": 1},
    "insert-delete-normal": {"nfs.COMMIT": 2},
    "select-delete": {"lockd.lock": 2, "lockd.unlock": 2, "nfs.WRITE": 0, "nfs.COMMIT": 0},
    "stream-write": {"nfs.WRITE": 1, "nfs.bytes_written": 1 << 20, "fuse.WRITE": 1, "nfs.READ": 0},
    "files-create": {"nfs.CREATE": 1, "fuse.CREATE": 1, "nfs.REMOVE": 0},
    "files-stat": {"nfs.CREATE": 0, "nfs.REMOVE": 0, "fuse.OPEN": 0},
    "files-sync": {"nfs.ACCESS": 1, "nfs.COMMIT": 0, "nfs.WRITE": 0, "fuse.OPEN": 1, "fuse.FSYNC": 1},
    "files-unlink": {"nfs.REMOVE": 1, "fuse.UNLINK": 1, "nfs.CREATE": 0},
    "random-direct": {"nfs.READ": 1},
}


def main():
    report = json.load(open(sys.argv[1], encoding="utf-8"))
    found = {(one["name"], one["place"]): one for one in report["scenarios"]}
    wrong = []
    for name in NAMES:
        for place in ("main", "local"):
            one = found.pop((name, place), None)
            if one is None:
                wrong.append(f"{name} at {place} is missing")
                continue
            wrong += [f"{name}: no {field}" for field in FIELDS if field not in one]
            few = place == "local" and (name.startswith("pingpong") or name == "writers-delete")
            if few != (one["skipped"] is not None) or one["failure"]:
                wrong.append(f"{name} at {place}: skipped {one['skipped']}, failure {one['failure']}")
            if few:
                continue
            if not (one["operations"] > 0 and one["ops_per_s"] > 0 and one["rounds"] == 2
                    and 0 < one["p50_us"] <= one["p99_us"] <= one["max_us"]):
                wrong.append(f"{name} at {place}: {one}")
            if abs(sum(w["share"] for w in one["workers"]) - 1) > 1e-3:
                wrong.append(f"{name} at {place}: shares {one['workers']}")
            if place == "local":
                wrong += [f"{name}: {f} of a local directory: {one[f]}" for f in COUNTS if one[f] is not None]
                continue
            if not one["fuse_requests_per_op"] > 0 or one["nfs_calls_per_op"] is None:
                wrong.append(f"{name}: no calls counted")
                continue
            counts = one["counts_per_op"]
            for kind, field in (("nfs.", COUNTS[0]), ("lockd.", COUNTS[1]), ("fuse.", COUNTS[2])):
                total = sum(v for k, v in counts.items() if k.startswith(kind) and ".bytes_" not in k)
                if abs(total - one[field]) > 1e-3 * max(total, 1):
                    wrong.append(f"{name}: {field} {one[field]}, but its parts make {total}")
            for counter, each in EXACT.get(name, {}).items():
                if abs(counts.get(counter, 0) - each) > 1e-4 * max(each, 1):
                    wrong.append(f"{name}: {counter} {counts.get(counter, 0)} for an operation instead of {each}")
    wrong += [f"unknown result {key}" for key in found]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
