"""The programs of second_mount.sh.

make DIR FILES                          the tree: 100 files in a directory
probe DIR FILES STOP BEFORE RESULT      works on DIR until STOP is there; RESULT: the longest of each kind of operation,
                                        a line for the time until BEFORE was there, one for the time since
"""

import fcntl
import os
import pathlib
import random
import sys
import threading
import time

PER_DIRECTORY = 100


def name(number):
    return f"d{number // PER_DIRECTORY}/f{number % PER_DIRECTORY}"


def make(top, files):
    os.umask(0)  # whoever the server takes the mounts' programs for
    for number in range(files):
        path = pathlib.Path(top, name(number))
        path.parent.mkdir(exist_ok=True)
        path.write_text("content\n")
    pathlib.Path(top, "written").write_text("")


def probe(top, files, stop, before, result):
    written = os.open(os.path.join(top, "written"), os.O_RDWR)
    read = os.open(os.path.join(top, name(0)), os.O_RDONLY)
    locked = os.open(os.path.join(top, name(1)), os.O_RDWR)

    def lock():
        fcntl.lockf(locked, fcntl.LOCK_EX)
        fcntl.lockf(locked, fcntl.LOCK_UN)

    kinds = [
        lambda: os.stat(os.path.join(top, name(random.randrange(files)))),
        lambda: os.pread(read, 8, 0),
        lock,
        lambda: os.pwrite(written, b"x", 0),
    ]
    longest = [[0.0] * len(kinds) for _ in range(2)]

    def work(kind, operation):
        while not os.path.exists(stop):
            phase = os.path.exists(before)
            begun = time.monotonic()
            operation()
            took = time.monotonic() - begun
            longest[phase][kind] = max(longest[phase][kind], took)
            time.sleep(0.002)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(result, "w") as out:
        for phase in longest:
            print("; ".join(f"{1000 * each:.0f}" for each in phase), file=out)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "make":
        make(rest[0], int(rest[1]))
    else:
        probe(rest[0], int(rest[1]), *rest[2:])
