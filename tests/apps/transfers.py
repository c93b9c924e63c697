#!/usr/bin/env python3
"""A small load for an SQL server, and what it must have left behind.

  transfers.py schema [SUFFIX]        SQL: accounts, and a ledger that is empty. SUFFIX: of each CREATE TABLE (an engine)
  transfers.py load FIRST             SQL without end: each line is a transfer between two accounts with its line in the
                                      ledger, committed; then its number is selected, which is its acknowledgement
  transfers.py check ACKNOWLEDGED     reads "account ID BALANCE" and "ledger NUMBER FROM TO AMOUNT" from standard input;
                                      exit 1 and a line for each finding
"""
import random
import sys

ACCOUNTS = 20
START = 1000


def schema(suffix):
    print(f"CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) {suffix};")
    print(f"CREATE TABLE ledger (number INTEGER PRIMARY KEY, payer INTEGER NOT NULL, payee INTEGER NOT NULL,"
          f" amount INTEGER NOT NULL, note VARCHAR(200) NOT NULL) {suffix};")
    for account in range(ACCOUNTS):
        print(f"INSERT INTO account VALUES ({account}, {START});")


def load(first):
    draw = random.Random(first)
    number = first
    while True:
        payer, payee = draw.sample(range(ACCOUNTS), 2)
        # In one order always: no deadlocks between clients.
        changes = sorted([(payer, -1), (payee, 1)])
        amount = draw.randint(1, 9)
        updates = " ".join(f"UPDATE account SET balance = balance + {sign * amount} WHERE id = {account};" for account, sign in changes)
        print(f"BEGIN; {updates} INSERT INTO ledger VALUES ({number}, {payer}, {payee}, {amount}, '{'x' * draw.randint(0, 200)}');"
              f" COMMIT; SELECT {number};", flush=True)
        number += 1


def check(acknowledged):
    balances, expected, numbers = {}, {account: START for account in range(ACCOUNTS)}, set()
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
    print("\n".join(findings))
    return 1 if findings or not balances else 0


if __name__ == "__main__":
    command, argument = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        sys.exit({"schema": schema, "load": lambda first: load(int(first)), "check": check}[command](argument))
    except BrokenPipeError:
        sys.exit(0)
