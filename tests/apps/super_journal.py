#!/usr/bin/env python3
"""Transactions over two attached databases, which one super-journal joins.

  super_journal.py run DIRECTORY     transactions without end: in each, both get the next number; prints what is committed
  super_journal.py check DIRECTORY ACKNOWLEDGED   both have the same numbers, with all that were acknowledged"""
import pathlib
import sqlite3
import sys


def connect(directory):
    database = sqlite3.connect(directory / "one.db", timeout=20, isolation_level=None)
    database.execute("ATTACH ? AS two", (str(directory / "two.db"),))
    return database


def run(directory):
    database = connect(directory)
    for name in ("main", "two"):
        database.execute(f"CREATE TABLE IF NOT EXISTS {name}.t (n INTEGER PRIMARY KEY, b)")
    number = database.execute("SELECT coalesce(max(n), 0) FROM main.t").fetchone()[0]
    while True:
        number += 1
        database.execute("BEGIN IMMEDIATE")
        for name in ("main", "two"):
            database.execute(f"INSERT INTO {name}.t VALUES (?, randomblob(3000))", (number,))
        database.execute("COMMIT")
        print(number, flush=True)


def check(directory, acknowledged):
    database = connect(directory)
    one, two = ([row[0] for row in database.execute(f"SELECT n FROM {name}.t ORDER BY n")] for name in ("main", "two"))
    if one != two:
        sys.exit(f"half a transaction: {sorted(set(one) ^ set(two))[:5]}")
    lost = sorted({int(line) for line in acknowledged.read_text().splitlines()} - set(one))
    if lost:
        sys.exit(f"{len(lost)} acknowledged transactions are lost, the first is {lost[0]}")
    for name in ("main", "two"):
        result = database.execute(f"PRAGMA {name}.integrity_check").fetchone()[0]
        if result != "ok":
            sys.exit(f"{name}: {result}")


if __name__ == "__main__":
    run(pathlib.Path(sys.argv[2])) if sys.argv[1] == "run" else check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
