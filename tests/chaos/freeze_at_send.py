"""Freezes a mount at an exact instruction: as it enters the system call that would send an NFS WRITE. Everything before it
(the look at its lease among it) is done, nothing has left. Same way as tests/integration/system/traced_mount.cc.

  freeze_at_send.py PID SECONDS       prints "frozen" when it is; lets go after SECONDS. Exit 1: no WRITE in time, or it ended"""
import ctypes
import os
import select
import signal
import struct
import sys
import time

SYSCALL, DETACH, SEIZE, INTERRUPT, GET_SYSCALL_INFO = 24, 17, 0x4206, 0x4207, 0x420E
TRACESYSGOOD, ENTRY, SENDMSG, WALL = 1, 1, 46, 0x40000000
PATIENCE_S = 10
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


def ptrace(request, pid, address=None, data=None):
    got = LIBC.ptrace(request, pid, address, data)
    if got < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return got


def enters_send_of_write(pid, memory):
    info = ctypes.create_string_buffer(88)
    if ptrace(GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info)) <= 0:
        return False
    op, number, message = info.raw[0], *struct.unpack_from("Q8xQ", info.raw, 24)
    if op != ENTRY or number != SENDMSG:
        return False
    try:
        (vector,) = struct.unpack("Q", os.pread(memory, 8, message + 16))  # msghdr.msg_iov
        (first,) = struct.unpack("Q", os.pread(memory, 8, vector))
        words = struct.unpack(">7I", os.pread(memory, 28, first))  # mark, xid, type, RPC version, program, version, procedure
    except (OSError, struct.error):
        return False
    return words[4] == 100003 and words[6] == 7


def stop_at_write(pid, memory, until):
    while True:
        _, status = os.waitpid(pid, WALL)
        if not os.WIFSTOPPED(status):
            return False
        at_call = os.WSTOPSIG(status) == signal.SIGTRAP | 0x80
        if at_call and enters_send_of_write(pid, memory):
            return True
        own_stop = status >> 16 != 0
        if time.monotonic() > until:
            return False
        # Signals are passed on; ptrace's own stops carry none.
        ptrace(SYSCALL, pid, None, 0 if at_call or own_stop else os.WSTOPSIG(status))


def main():
    pid, seconds = int(sys.argv[1]), float(sys.argv[2])
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))  # a mount that makes no call at all
    signal.alarm(PATIENCE_S)
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    ptrace(SEIZE, pid, None, TRACESYSGOOD)
    ptrace(INTERRUPT, pid)
    if not stop_at_write(pid, memory, time.monotonic() + PATIENCE_S - 1):
        sys.exit(1)
    signal.alarm(0)
    print("frozen", flush=True)
    select.select([sys.stdin], [], [], seconds)  # or until it is told to end
    ptrace(DETACH, pid)


main()
