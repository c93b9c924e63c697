"""Locks, writes and unlocks a file of its own again and again; one line per attempt: begin end errno (0 = success).

A mount that dies or is frozen may hang this process: it is one of its own for that reason."""
import errno
import fcntl
import os
import sys
import time


def attempt(state, path):
    if state[0] is None:
        # The directory exists on the export only: not while the mount point is empty.
        state[0] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fd = state[0]
    fcntl.lockf(fd, fcntl.LOCK_EX, 16, 0)
    os.pwrite(fd, b"%016d" % (time.monotonic_ns() // 1000), 0)
    fcntl.lockf(fd, fcntl.LOCK_UN, 16, 0)


def main():
    path, log = sys.argv[1:]
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    state = [None]
    while True:
        begin, code = time.monotonic(), 0
        try:
            attempt(state, path)
        except OSError as error:
            code = error.errno or errno.EIO
            if state[0] is not None:
                try:
                    os.close(state[0])
                except OSError:
                    pass
                state[0] = None
        os.write(out, b"%.6f %.6f %d\n" % (begin, time.monotonic(), code))
        time.sleep(0.02)


main()
