"""A program that does as it is told, one command per line: open PATH | lock | try | unlock | write TEXT | read | close.

Answers "ok TIME [text]" or "ERRNO TIME"; TIME is the monotonic clock right after the call."""
import errno
import fcntl
import os
import sys
import time


def act(words, state):
    if words[0] == "open":
        state["fd"] = os.open(words[1], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    elif words[0] == "lock":
        fcntl.lockf(state["fd"], fcntl.LOCK_EX, 16, 0)
    elif words[0] == "try":
        fcntl.lockf(state["fd"], fcntl.LOCK_EX | fcntl.LOCK_NB, 16, 0)
    elif words[0] == "unlock":
        fcntl.lockf(state["fd"], fcntl.LOCK_UN, 16, 0)
    elif words[0] == "write":
        os.pwrite(state["fd"], words[1].encode(), 0)
        os.fsync(state["fd"])
    elif words[0] == "read":
        return os.pread(state["fd"], 16, 0).decode()
    elif words[0] == "close":
        os.close(state["fd"])
    return ""


def main():
    state = {}
    for line in sys.stdin:
        try:
            text = act(line.split(), state)
            print("ok", time.monotonic(), text, flush=True)
        except OSError as error:
            print(errno.errorcode.get(error.errno, error.errno), time.monotonic(), flush=True)


main()
