#!/usr/bin/env python3
"""SQLite as Vaultwarden uses it: WAL, synchronous=NORMAL ($VAULT_SYNCHRONOUS), busy_timeout 5 s, a pool of ten connections in
threads; here of two processes, as its command line tool beside the server.

  vault.py run DATABASE FIRST MODE    transfers and new entries without end; prints the number of each one that is committed
  vault.py check DATABASE ACKNOWLEDGED    exit 1 and a line for each finding
  vault.py whole DATABASE             a backup: is it a database of one moment?
  vault.py vacuum-into DATABASE FILE  its own backup command
  vault.py backup DATABASE FILE       SQLite's backup interface, as sqlite3's .backup has it
"""
import os
import random
import sqlite3
import sys
import threading
import time

PROCESSES, THREADS, ACCOUNTS, START = 2, 5, 20, 1000


def connect(path):
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute(f"PRAGMA synchronous = {os.environ.get('VAULT_SYNCHRONOUS', 'NORMAL')}")
    return connection


def patient(action):
    """The server answers 500 to whoever asked when the time-out is over, and serves the next."""
    until = time.monotonic() + 240
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            print(f"busy: {error}", file=sys.stderr, flush=True)


def begin(path, mode):
    database = connect(path)
    if database.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] != mode.lower():
        sys.exit(f"no journal mode {mode}")
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
    database.execute("CREATE TABLE IF NOT EXISTS ledger (number INTEGER PRIMARY KEY, payer INTEGER, payee INTEGER, amount INTEGER, data BLOB)")
    for account in range(ACCOUNTS):
        database.execute("INSERT OR IGNORE INTO account VALUES (?, ?)", (account, START))
    database.execute("COMMIT")
    database.close()


def transfer(database, draw, number):
    payer, payee = draw.sample(range(ACCOUNTS), 2)
    amount = draw.randint(1, 9)
    database.execute("BEGIN IMMEDIATE")
    try:
        database.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, payer))
        database.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, payee))
        database.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, randomblob(300))", (number, payer, payee, amount))
        database.execute("COMMIT")
    except sqlite3.Error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def thread(path, first):
    database, draw, number = connect(path), random.Random(first), first
    while True:
        number += 1
        try:
            patient(lambda: transfer(database, draw, number))
            os.write(1, f"{number}\n".encode())
            patient(lambda: database.execute("SELECT sum(balance) FROM account").fetchone())
        except sqlite3.Error as error:
            print(f"ends: {error}", file=sys.stderr, flush=True)
            if "VAULT_GOES_ON" not in os.environ:
                os._exit(1)
            database.close()
            database = connect(path)


def run(path, first, mode):
    patient(lambda: begin(path, mode))
    process = 0
    for process in range(PROCESSES):
        if process == PROCESSES - 1 or os.fork() == 0:
            break
    threads = [threading.Thread(target=thread, args=(path, int(first) + (process * THREADS + t) * 20000)) for t in range(THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def books(database):
    findings = []
    result = database.execute("PRAGMA integrity_check").fetchone()[0]
    if result != "ok":
        findings.append(f"integrity_check: {result}")
    for account, balance in database.execute("SELECT id, balance FROM account"):
        paid, got = database.execute("SELECT (SELECT coalesce(sum(amount), 0) FROM ledger WHERE payer = ?1),"
                                     " (SELECT coalesce(sum(amount), 0) FROM ledger WHERE payee = ?1)", (account,)).fetchone()
        if balance != START - paid + got:
            findings.append(f"account {account} has {balance}, by the ledger {START - paid + got}")
    return findings


def say(findings):
    print("\n".join(findings))
    return 1 if findings else 0


def check(path, acknowledged):
    database = connect(path)
    database.execute("BEGIN")
    findings = patient(lambda: books(database))
    numbers = {row[0] for row in database.execute("SELECT number FROM ledger")}
    with open(acknowledged, encoding="ascii") as file:
        lines = [int(line) for line in file if line.endswith("\n")]
    lost = [number for number in lines if number not in numbers]
    if lost:
        findings.append(f"{len(lost)} of {len(lines)} acknowledged changes are lost, the first is {lost[0]}")
    return say(findings)


def whole(path):
    return say(books(sqlite3.connect(path)))


def vacuum_into(path, file):
    database = connect(path)
    patient(lambda: database.execute("VACUUM INTO ?", (file,)))


def backup(path, file):
    source, target = connect(path), sqlite3.connect(file)
    patient(lambda: source.backup(target, pages=200, sleep=0.01))


if __name__ == "__main__":
    commands = {"run": run, "check": check, "whole": whole, "vacuum-into": vacuum_into, "backup": backup}
    try:
        sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
    except sqlite3.Error as error:
        sys.exit(f"{sys.argv[1]}: {error}")
