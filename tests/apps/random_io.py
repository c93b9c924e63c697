#!/usr/bin/env python3
"""Random I/O on one file from several processes on two nodes, verified byte by byte, as fsx does it on one.

  random_io.py FILE REFERENCE OPERATIONS SEED    FILE is on the process's own mount, REFERENCE on a local disk that all share

Each operation is made under an exclusive lock of FILE, on both. Reads are compared. Exit 1 at the first difference."""
import fcntl
import mmap
import os
import random
import struct
import sys

LARGEST = 300_000


F_OFD_SETLKW = 38  # linux: asm-generic/fcntl.h; Python 3.11 on Debian has no name for it


def lock(file, kind):
    """OFD: closing another descriptor of the file, as append() does, must not give it up."""
    fcntl.fcntl(file, F_OFD_SETLKW, struct.pack("hhqqi4x", kind, 0, 0, 0, 0))


class Files:
    def __init__(self, path, reference):
        self.path, self.reference = path, reference
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.local = os.open(reference, os.O_RDWR | os.O_CREAT, 0o666)

    def reopen(self):
        os.close(self.file)
        self.file = os.open(self.path, os.O_RDWR)

    def both(self):
        return (self.file, self.local)


def compare(files, start, length, what):
    got, wanted = os.pread(files.file, length, start), os.pread(files.local, length, start)
    if got != wanted:
        first = next((i for i, (g, w) in enumerate(zip(got, wanted)) if g != w), min(len(got), len(wanted)))
        sys.exit(f"{what}: at {start + first} of {files.path}: {got[first:first + 16]!r} ({len(got)} bytes),"
                 f" expected {wanted[first:first + 16]!r} ({len(wanted)} bytes)")


def write(files, draw, size):
    start, data = draw.randrange(LARGEST), draw.randbytes(draw.randint(1, 70_000))
    for file in files.both():
        os.pwrite(file, data, start)


def append(files, draw, size):
    data = draw.randbytes(draw.randint(1, 5000))
    if size + len(data) > 2 * LARGEST:
        return
    for path in (files.path, files.reference):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(file, data)
        os.close(file)


def truncate(files, draw, size):
    length = draw.randrange(LARGEST)
    for file in files.both():
        os.ftruncate(file, length)


def store_mapped(files, draw, size):
    if size == 0:
        return
    start = draw.randrange(size)
    data = draw.randbytes(min(draw.randint(1, 20_000), size - start))
    with mmap.mmap(files.file, size) as mapped:
        mapped[start:start + len(data)] = data
    os.pwrite(files.local, data, start)


def read_mapped(files, draw, size):
    if size == 0:
        return
    with mmap.mmap(files.file, size, access=mmap.ACCESS_READ) as mapped:
        if mapped[:] != os.pread(files.local, size, 0):
            sys.exit(f"a mapping of {files.path} has other bytes than were written")


def read(files, draw, size):
    compare(files, draw.randrange(LARGEST), draw.randint(1, 70_000), "read")


def sync(files, draw, size):
    os.fsync(files.file)


OPERATIONS = [write, write, append, truncate, store_mapped, read_mapped, read, read, read, sync]


def main(path, reference, operations, seed):
    draw, files = random.Random(seed), Files(path, reference)
    for number in range(operations):
        lock(files.file, fcntl.F_WRLCK)
        size, wanted = os.fstat(files.file).st_size, os.fstat(files.local).st_size
        if size != wanted:
            sys.exit(f"operation {number}: {path} has {size} bytes, expected {wanted}")
        draw.choice(OPERATIONS)(files, draw, size)
        lock(files.file, fcntl.F_UNLCK)
        if draw.random() < 0.05:
            files.reopen()
    lock(files.file, fcntl.F_WRLCK)
    compare(files, 0, 3 * LARGEST, "at the end")
    print(f"{operations} operations")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
