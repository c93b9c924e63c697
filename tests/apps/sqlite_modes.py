#!/usr/bin/env python3
"""SQLite in its many modes on two mounts of one directory. sqlite_modes.py A B [big]

Each mode: written through one mount and read through the other, in turns; where two nodes may write at once, they do.
Exit 1 at the first that is wrong. $MODES_GO_ON: writers go on after errors, until something is lost, not only until it is noticed."""
import multiprocessing
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

A, B = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def connect(path, vfs=None, timeout=20.0):
    if vfs:
        return sqlite3.connect(f"file:{path}?vfs={vfs}", uri=True, timeout=timeout, isolation_level=None)
    return sqlite3.connect(path, timeout=timeout, isolation_level=None)


def expect(got, wanted, what):
    if got != wanted:
        sys.exit(f"FAIL: {what}: {got!r}, expected {wanted!r}")


def sound(path, what, **how):
    database = connect(path, **how)
    expect(database.execute("PRAGMA integrity_check").fetchone()[0], "ok", what)
    database.close()


def ok(what):
    print(f"ok    {what}", flush=True)


def insert(path, rows, setup=(), how=None):
    database = connect(path, **(how or {}))
    for pragma in setup:
        database.execute(pragma)
    for _ in range(rows):
        insert_one(database)
    database.close()


def insert_one(database):
    until = time.monotonic() + 5
    while True:
        try:
            database.execute("INSERT INTO t VALUES (randomblob(300))")
            return
        except sqlite3.Error:
            if "MODES_GO_ON" not in os.environ or time.monotonic() > until:
                raise


def at_once(name, rows, setup=(), how=None):
    """Two nodes, two processes on each."""
    workers = [multiprocessing.Process(target=insert, args=(node / name, rows, setup, how)) for node in (A, B, A, B)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        expect(worker.exitcode, 0, f"{name}: a writer's exit code")


def count(path, **how):
    database = connect(path, **how)
    rows = database.execute("SELECT count(*) FROM t").fetchone()[0]
    database.close()
    return rows


def journals_and_pages():
    for journal in ("delete", "truncate", "persist", "wal", "memory", "off"):
        for size in ((512, 1024, 2048, 4096, 8192, 16384, 32768, 65536) if journal in ("delete", "wal") else (512, 4096, 65536)):
            name = f"{journal}-{size}.db"
            database = connect(A / name)
            database.execute(f"PRAGMA page_size = {size}")
            expect(database.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0], journal, name)
            database.execute("CREATE TABLE t (b)")
            database.close()
            setup = (f"PRAGMA journal_mode = {journal}",)
            for node in (B, A, B):
                insert(node / name, 5, setup)
            if journal in ("delete", "truncate", "persist"):
                at_once(name, 5, setup)
            for node in (A, B):
                expect(count(node / name), 35 if journal in ("delete", "truncate", "persist") else 15, f"rows of {name}")
                sound(node / name, name)
                expect(connect(node / name).execute("PRAGMA page_size").fetchone()[0], size, name)
    ok("journal modes delete, truncate, persist (four writers on two nodes), wal, memory, off (in turn); all pages of 512 to 65536 bytes")


def full_text():
    database = connect(A / "fts.db")
    database.execute("CREATE VIRTUAL TABLE t USING fts5 (title, body)")
    for number in range(200):
        database.execute("INSERT INTO t VALUES (?, ?)", (f"note {number}", f"word{number % 7} lorem ipsum {'x' * number}"))
    other = connect(B / "fts.db")
    other.execute("INSERT INTO t VALUES ('from b', 'word3 elsewhere')")
    expect(len(database.execute("SELECT * FROM t WHERE t MATCH 'word3'").fetchall()), 30, "FTS5 matches")
    database.execute("INSERT INTO t (t) VALUES ('optimize')")
    other.execute("INSERT INTO t (t) VALUES ('integrity-check')")
    database.close()
    other.close()
    sound(B / "fts.db", "fts.db")
    ok("FTS5, written and searched on both nodes")


def vacuum():
    for journal in ("delete", "wal"):
        name = f"vacuum-{journal}.db"
        database = connect(A / name)
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.execute("CREATE TABLE t (b)")
        insert(A / name, 200)
        database.execute("DELETE FROM t WHERE rowid % 2")
        before = os.stat(A / name).st_size
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        expect(os.stat(B / name).st_size < before or journal == "wal", True, "VACUUM makes it smaller, seen on the other node")
        expect(count(B / name), 100, name)
        sound(B / name, name)
    ok("VACUUM")


def mapped():
    name = "mmap.db"
    a, b = connect(A / name), connect(B / name)
    for database in (a, b):
        expect(database.execute("PRAGMA mmap_size = 268435456").fetchone()[0] > 0, True, "mmap_size")
    a.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
    for number in range(200):
        writer, reader = (a, b) if number % 2 else (b, a)
        writer.execute("INSERT INTO t VALUES (?, randomblob(2000))", (number,))
        expect(reader.execute("SELECT max(n), count(*) FROM t").fetchone(), (number, number + 1), "a mapped database is as of the last commit")
    a.close()
    b.close()
    sound(A / name, name)
    ok("mmap_size > 0: 200 commits in turn, each seen at once through the other's mapping")


def exclusive():
    for journal in ("delete", "wal"):
        name = f"exclusive-{journal}.db"
        a = connect(A / name)
        a.execute("PRAGMA locking_mode = EXCLUSIVE")
        a.execute(f"PRAGMA journal_mode = {journal}")
        a.execute("CREATE TABLE t (b)")
        a.execute("INSERT INTO t VALUES (1)")
        b = connect(B / name, timeout=0.3)
        try:
            b.execute("SELECT count(*) FROM t").fetchone()
            sys.exit(f"FAIL: {name}: read on b while a has it to itself")
        except sqlite3.OperationalError as error:
            expect(str(error), "database is locked", name)
        a.close()
        expect(connect(B / name).execute("SELECT count(*) FROM t").fetchone()[0], 1, name)
    ok("locking_mode=EXCLUSIVE: the other node is told that it is locked, until the first is done")


def other_vfs():
    for vfs in ("unix-dotfile", "unix-excl"):
        name = f"{vfs}.db"
        how = {"vfs": vfs}
        database = connect(A / name, **how)
        database.execute("CREATE TABLE t (b)")
        database.close()
        insert(B / name, 5, how=how)
        if vfs == "unix-dotfile":
            at_once(name, 5, how=how)
            expect(count(A / name, **how), 25, name)
        else:
            held = connect(A / name, **how)
            held.execute("INSERT INTO t VALUES (1)")
            try:
                connect(B / name, vfs=vfs, timeout=0.3).execute("INSERT INTO t VALUES (2)")
                sys.exit("FAIL: two nodes with unix-excl")
            except sqlite3.OperationalError as error:
                expect(str(error), "database is locked", name)
            held.close()
            expect(count(B / name, **how), 6, name)
        sound(B / name, name, **how)
    ok("the VFSs unix-dotfile (four writers on two nodes) and unix-excl (one at a time)")


def backups():
    name = "source.db"
    database = connect(A / name)
    database.execute("CREATE TABLE t (b)")
    insert(A / name, 100)
    writer = multiprocessing.Process(target=insert, args=(B / name, 60))
    writer.start()
    for number in range(3):
        subprocess.run(["sqlite3", A / name, ".timeout 20000", f".backup {A}/copy{number}.db"], check=True)
        sound(B / f"copy{number}.db", "a backup while the other node writes")
    writer.join()
    expect(writer.exitcode, 0, "the writer during backups")
    expect(count(B / name), 160, name)
    ok(".backup on one node while the other writes")


def shell():
    said = subprocess.run(["sqlite3", A / "shell.db", "CREATE TABLE t (b); INSERT INTO t VALUES (1); SELECT count(*) FROM t"],
                          capture_output=True, text=True, check=True).stdout
    expect(said.strip(), "1", "the shell")
    expect(count(B / "shell.db"), 1, "the shell's database in Python on the other node")
    ok("the sqlite3 shell and Python's module")


def big():
    """More than 2 GiB, and so also past the lock bytes at 1 GiB, which are in a page of their own."""
    name = "big.db"
    database = connect(A / name)
    database.execute("CREATE TABLE t (b)")
    for _ in range(17):
        database.execute("INSERT INTO t VALUES (zeroblob(134217728))")
    database.close()
    database_on_a = connect(A / name)
    expect(os.stat(B / name).st_size > 2 << 30, True, "its size on b")
    other = connect(B / name)
    other.execute("CREATE TABLE late (n INTEGER PRIMARY KEY, b)")
    for number in range(20):
        writer = other if number % 2 else database_on_a
        writer.execute("INSERT INTO late VALUES (?, randomblob(50000))", (number,))
    for node in (A, B):
        reader = connect(node / name)
        expect(reader.execute("SELECT count(*), sum(length(b)) FROM t").fetchone(), (17, 17 * 134217728), "what is before the end")
        expect(reader.execute("SELECT count(*), sum(length(b)) FROM late").fetchone(), (20, 20 * 50000), "what is past 2 GiB")
        expect(reader.execute("PRAGMA integrity_check(late)").fetchone()[0], "ok", "what is past 2 GiB")
    os.unlink(A / name)
    ok("a database of more than 2 GiB")


if __name__ == "__main__":
    began = time.monotonic()
    for step in (shell, journals_and_pages, full_text, vacuum, mapped, exclusive, other_vfs, backups, *((big,) if "big" in sys.argv[3:] else ())):
        step()
    print(f"{time.monotonic() - began:.0f} s")
