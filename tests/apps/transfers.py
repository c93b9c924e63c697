#!/usr/bin/env python3
"""A small load for an SQL server, and what it must have left behind.

  transfers.py schema [SUFFIX]        SQL: accounts, and a ledger that is empty. SUFFIX: of each CREATE TABLE (an engine)
  transfers.py notes-schema [SUFFIX]  SQL: what "load FIRST notes" needs besides
  transfers.py load FIRST [notes]     SQL without end: each line is a transfer between two accounts with its line in the
                                      ledger, committed; then its number is selected, which is its acknowledgement
                                      notes: and two statements without a transaction, each of which changes several rows
  transfers.py check ACKNOWLEDGED     reads "account ID BALANCE" and "ledger NUMBER FROM TO AMOUNT" from standard input;
                                      exit 1 and a line for each finding; also of "note NUMBER PART LENGTH" and "tally ID
                                      COUNT", if there are such lines: no statement by halves, none lost
"""
import collections
import random
import sys

ACCOUNTS = 20
START = 1000
PARTS = 6
TALLIES = 40


def notes_schema(suffix):
    print(f"CREATE TABLE notes (number INTEGER NOT NULL, part INTEGER NOT NULL, text VARCHAR(4000) NOT NULL,"
          f" PRIMARY KEY (number, part)) {suffix};")
    print(f"CREATE TABLE tally (id INTEGER PRIMARY KEY, count INTEGER NOT NULL) {suffix};")
    print(f"INSERT INTO tally VALUES {', '.join(f'({tally}, 0)' for tally in range(TALLIES))};")


def length(number, part):
    return (number * 7 + part * 611) % 3000


def notes(number):
    """Rows of one statement that are on several pages; a statement that changes each row of its table."""
    rows = ", ".join(f"({number}, {part}, REPEAT('n', {length(number, part)}))" for part in range(PARTS))
    return f"INSERT INTO notes VALUES {rows}; UPDATE tally SET count = count + 1;"


def schema(suffix):
    print(f"CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) {suffix};")
    print(f"CREATE TABLE ledger (number INTEGER PRIMARY KEY, payer INTEGER NOT NULL, payee INTEGER NOT NULL,"
          f" amount INTEGER NOT NULL, note VARCHAR(200) NOT NULL) {suffix};")
    for account in range(ACCOUNTS):
        print(f"INSERT INTO account VALUES ({account}, {START});")


def load(first, also):
    draw = random.Random(first)
    number = first
    while True:
        payer, payee = draw.sample(range(ACCOUNTS), 2)
        # In one order always: no deadlocks between clients.
        changes = sorted([(payer, -1), (payee, 1)])
        amount = draw.randint(1, 9)
        updates = " ".join(f"UPDATE account SET balance = balance + {sign * amount} WHERE id = {account};" for account, sign in changes)
        print(f"BEGIN; {updates} INSERT INTO ledger VALUES ({number}, {payer}, {payee}, {amount}, '{'x' * draw.randint(0, 200)}');"
              f" COMMIT; {notes(number) if also else ''} SELECT {number};", flush=True)
        number += 1


def check_notes(parts, tallies, lines):
    findings = []
    if tallies and (len(tallies) != TALLIES or len(set(tallies.values())) != 1):
        findings.append(f"the tallies differ: {sorted(set(tallies.values()))}: half a statement")
    if tallies and min(tallies.values()) < len(lines):
        findings.append(f"counted up {len(lines)} times, but a tally is {min(tallies.values())}")
    for number, lengths in parts.items():
        if lengths != {part: length(number, part) for part in range(PARTS)}:
            findings.append(f"half a statement: of {number} there are {lengths}")
    lost = [number for number in lines if number not in parts]
    if lost:
        findings.append(f"{len(lost)} of {len(lines)} acknowledged notes are lost, the first is {lost[0]}")
    return findings


def check(acknowledged):
    balances, expected, numbers = {}, {account: START for account in range(ACCOUNTS)}, set()
    parts, tallies = collections.defaultdict(dict), {}
    findings = []
    for line in sys.stdin:
        words = line.split()
        if words and words[0] == "account":
            balances[int(words[1])] = int(words[2])
        elif words and words[0] == "ledger":
            number, payer, payee, amount = map(int, words[1:5])
            if number in numbers:
                findings.append(f"transfer {number} is in the ledger twice")
            numbers.add(number)
            expected[payer] -= amount
            expected[payee] += amount
        elif words and words[0] == "note":
            parts[int(words[1])][int(words[2])] = int(words[3])
        elif words and words[0] == "tally":
            tallies[int(words[1])] = int(words[2])
        elif words:
            findings.append(f"not understood: {line.strip()}")
    for account, balance in expected.items():
        if balances.get(account) != balance:
            findings.append(f"account {account} has {balances.get(account)}, by the ledger {balance}")
    with open(acknowledged, encoding="ascii") as file:
        # Without its end of line the last one may be cut.
        lines = [int(line) for line in file if line.endswith("\n")]
    lost = [number for number in lines if number not in numbers]
    if lost:
        findings.append(f"{len(lost)} of {len(lines)} acknowledged transfers are lost, the first is {lost[0]}")
    if tallies:
        findings += check_notes(parts, tallies, lines)
    print("\n".join(findings))
    return 1 if findings or not balances else 0


if __name__ == "__main__":
    command, argument, also = (sys.argv[1:] + ["", ""])[:3]
    commands = {"schema": schema, "notes-schema": notes_schema, "load": lambda first: load(int(first), also == "notes"), "check": check}
    try:
        sys.exit(commands[command](argument))
    except BrokenPipeError:
        sys.exit(0)
