#!/usr/bin/env python3
"""A CalDAV client. radicale_client.py begin | load FIRST | check ACKNOWLEDGED; the server is at port 5232 of this network namespace.

load: entries without end, from number FIRST, and with each an entry "counter" is counted up, provided nobody else has
changed it since it was read (If-Match). Prints each that was acknowledged. $RADICALE_TOGETHER: counts up
at whole seconds only, when clients of other nodes do. check: exit 1 and a line for each finding."""
import base64
import os
import re
import sys
import time
import urllib.error
import urllib.request

CALENDAR = "http://127.0.0.1:5232/anna/home/"
HEAD = {"Authorization": "Basic " + base64.b64encode(b"anna:anna").decode()}


def call(method, path="", body=None, **headers):
    request = urllib.request.Request(CALENDAR + path, body, {**HEAD, **headers}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode(), answer.headers


def put(name, text, **headers):
    call("PUT", f"{name}.ics", event(name, text), **{"Content-Type": "text/calendar", **headers})


def event(name, text):
    return (f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:{name}\r\nDTSTAMP:20240101T000000Z\r\n"
            f"DTSTART:20240101T000000Z\r\nSUMMARY:{text}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n").encode()


def text(number):
    return f"entry {number} {'x' * (number % 500)}"


def begin():
    call("MKCALENDAR")
    put("counter", "count 0")


def count_up():
    while True:
        body, headers = call("GET", "counter.ics")
        count = int(re.search(r"SUMMARY:count (\d+)", body).group(1))
        if "RADICALE_TOGETHER" in os.environ:
            time.sleep(1 - time.time() % 1)
        try:
            put("counter", f"count {count + 1}", **{"If-Match": headers["ETag"]})
            return
        except urllib.error.HTTPError as error:
            if error.code != 412:  # somebody else was faster
                raise


def load(first):
    number = int(first)
    while True:
        number += 1
        try:
            put(number, text(number))
            count_up()
            print(number, flush=True)
        except urllib.error.HTTPError as error:
            print(f"{number}: {error}", file=sys.stderr, flush=True)
            time.sleep(0.2)


def check(acknowledged):
    whole = call("GET")[0].replace("\r\n ", "")
    there = {int(number): length for number, length in re.findall(r"SUMMARY:entry (\d+) ?(x*)", whole)}
    with open(acknowledged, encoding="ascii") as file:
        numbers = [int(line) for line in file if line.endswith("\n")]
    findings = []
    lost = [number for number in numbers if there.get(number) != "x" * (number % 500)]
    if lost:
        findings.append(f"{len(lost)} of {len(numbers)} acknowledged entries are lost, the first is {lost[0]}")
    count = int(re.search(r"SUMMARY:count (\d+)", whole).group(1))
    if count < len(numbers):
        findings.append(f"counted up {len(numbers)} times, but the count is {count}")
    print("\n".join(findings))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    {"begin": begin, "load": load, "check": check}[sys.argv[1]](*sys.argv[2:])
