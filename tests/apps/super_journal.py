#!/usr/bin/env python3
"""Transactions over two attached databases, which one super-journal joins.

  super_journal.py run DIRECTORY     transactions without end: in each, both get the next number; prints what is committed
                                     ($PAIR_GOES_ON: after errors too, until something is lost, not only until it is noticed)
  super_journal.py check DIRECTORY ACKNOWLEDGED   both have the same numbers, with all that were acknowledged"""
import collections
import os
import pathlib
import sqlite3
import sys
import time


def connect(directory):
    database = sqlite3.connect(directory / "one.db", timeout=20, isolation_level=None)
    database.execute("ATTACH ? AS two", (str(directory / "two.db"),))
    return database


def transaction(database):
    database.execute("BEGIN IMMEDIATE")
    number = database.execute("SELECT coalesce(max(n), 0) + 1 FROM main.t").fetchone()[0]
    for name in ("main", "two"):
        database.execute(f"INSERT INTO {name}.t VALUES (?, randomblob(3000))", (number,))
    database.execute("COMMIT")
    return number


def run(directory):
    database = connect(directory)
    for name in ("main", "two"):
        database.execute(f"CREATE TABLE IF NOT EXISTS {name}.t (n INTEGER PRIMARY KEY, b)")
    while True:
        print(transaction(database), flush=True)


def check(directory, acknowledged):
    database = connect(directory)
    one, two = ([row[0] for row in database.execute(f"SELECT n FROM {name}.t ORDER BY n")] for name in ("main", "two"))
    if one != two:
        sys.exit(f"half a transaction: {sorted(set(one) ^ set(two))[:5]}")
    numbers = collections.Counter(int(line) for line in acknowledged.read_text().splitlines())
    lost = sorted(set(numbers) - set(one)) + [number for number, times in numbers.items() if times > 1]
    if lost:
        sys.exit(f"of {len(numbers)} acknowledged transactions {len(lost)} are lost, the first is {lost[0]}")
    for name in ("main", "two"):
        result = database.execute(f"PRAGMA {name}.integrity_check").fetchone()[0]
        if result != "ok":
            sys.exit(f"{name} is damaged: {result}")


def main(command, directory, acknowledged=None):
    if command == "check":
        return check(pathlib.Path(directory), pathlib.Path(acknowledged))
    while True:
        try:
            run(pathlib.Path(directory))
        except sqlite3.Error as error:
            if "PAIR_GOES_ON" not in os.environ:
                raise
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
