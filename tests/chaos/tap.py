"""O5: writes down every call that changes the storage as it reaches the NFS server's machine. Runs in the server's namespace.

  tap.py OUT INTERFACE…      lines: time node procedure handle offset count name
                             time = monotonic clock of the kernel's receipt; name in hex, or -

Of SETATTR only those that set the size. NAMED: an answer to CREATE; from now on `handle` is called `name`.
Header of an NFSv3 call: RFC 5531 section 9, RFC 1813 section 3.3. A call whose header is split over two segments is put
together; a segment that arrives twice is looked at once."""
import ctypes
import os
import selectors
import signal
import socket
import struct
import sys
import time

SETATTR, WRITE, CREATE, REMOVE, RENAME = 2, 7, 8, 12, 14
CHANGING = {SETATTR: "SETATTR", WRITE: "WRITE", CREATE: "CREATE", REMOVE: "REMOVE", RENAME: "RENAME"}
CALL = bytes.fromhex("0000000000000002000186a300000003")  # CALL, RPC 2, NFS, version 3
REPLY = bytes.fromhex("0000000100000000")                  # REPLY, accepted
HEADER_MAX = 700
XID = 4
SO_TIMESTAMPNS, SCM_TIMESTAMPNS = 35, 35
SO_ATTACH_FILTER, SOL_PACKET, PACKET_STATISTICS = 26, 263, 6
NFS_PORT = struct.pack(">H", 2049)
# ip, tcp, not a later fragment; to port 2049: whole packet; from it: those that are long enough for an answer to CREATE
FILTER = [(0x28, 0, 0, 12), (0x15, 0, 12, 0x0800), (0x30, 0, 0, 23), (0x15, 0, 10, 6), (0x28, 0, 0, 20), (0x45, 8, 0, 0x1FFF),
          (0xB1, 0, 0, 14), (0x48, 0, 0, 16), (0x15, 4, 0, 2049), (0x48, 0, 0, 14), (0x15, 0, 3, 2049), (0x28, 0, 0, 16),
          (0x35, 0, 1, 250), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)]


def clock_difference(read=time.clock_gettime_ns):
    """CLOCK_MONOTONIC less CLOCK_REALTIME, to within 50 us: whoever loses the processor between two looks at clocks sees
    them apart by as long, and what it stamps seems to have come before it was sent."""
    while True:
        before = read(time.CLOCK_MONOTONIC)
        real = read(time.CLOCK_REALTIME)
        after = read(time.CLOCK_MONOTONIC)
        if after - before <= 100_000:
            return (before + after) // 2 - real


def listen(interface):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    code = b"".join(struct.pack("HBBI", *step) for step in FILTER)
    buffer = ctypes.create_string_buffer(code)
    tap.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FILTER), ctypes.addressof(buffer)))
    tap.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.bind((interface, 3))
    tap.setblocking(False)
    return tap


def opaque(data, p, limit):
    """(bytes, position behind); None: it is no such thing. Raises struct.error if it goes on in the next segment."""
    (length,) = struct.unpack_from(">I", data, p)
    if length > limit:
        return None
    if len(data) < p + 4 + length:
        raise struct.error
    return bytes(data[p + 4:p + 4 + length]), p + 4 + (length + 3) // 4 * 4


def sets_size(data, p):
    for _ in range(3):  # mode, uid, gid
        (given,) = struct.unpack_from(">I", data, p)
        p += 8 if given else 4
    return struct.unpack_from(">I", data, p)[0] != 0


NOTHING = (0, b"", 0, 0, b"")


def parse(data, at):
    """(procedure, handle, offset, count, name) of the call whose CALL pattern begins at `at`; None if it goes on in the next segment."""
    try:
        (procedure,) = struct.unpack_from(">I", data, at + 16)
        if procedure not in CHANGING:
            return NOTHING
        p = at + 20
        for _ in range(2):  # credentials, verifier
            found = opaque(data, p + 4, 400)
            if found is None:
                return NOTHING
            p = found[1]
        found = opaque(data, p, 64)
        if found is None:
            return NOTHING
        handle, p = found
        if procedure == SETATTR:
            return (procedure, handle, 0, 0, b"") if sets_size(data, p) else NOTHING
        if procedure == WRITE:
            return (procedure, handle, *struct.unpack_from(">QI", data, p), b"")
        found = opaque(data, p, 255)
        return (procedure, handle, 0, 0, found[0]) if found else NOTHING
    except struct.error:
        return None


def created(data, xid):
    """The handle in the answer to the CREATE numbered `xid`, if it is in `data` and the answer is good."""
    at = data.find(xid + REPLY)
    if at < 0:
        return None
    try:
        found = opaque(data, at + 16, 400)  # verifier
        if found is None:
            return None
        accepted, status, follows = struct.unpack_from(">III", data, found[1])
        found = opaque(data, found[1] + 12, 64) if (accepted, status, follows) == (0, 0, 1) else None
        return found[0] if found else None
    except struct.error:
        return None


class Flow:
    def __init__(self):
        self.next = None   # sequence number expected
        self.rest = b""    # header that goes on in the next segment
        self.creating = {}  # xid -> name

    def take(self, sequence, data):
        if self.next is not None:
            ahead = (self.next - sequence) & 0xFFFFFFFF
            if 0 < ahead < 0x80000000:
                if ahead >= len(data):
                    return []
                data, sequence = data[ahead:], self.next
            elif ahead:
                self.rest = b""
        self.next = (sequence + len(data)) & 0xFFFFFFFF
        data, self.rest, found, at = self.rest + data, b"", [], 0
        while (at := data.find(CALL, at)) >= 0:
            call = parse(data, at)
            if call is None:
                if len(data) - at < HEADER_MAX:
                    self.rest = data[max(0, at - XID):]
                break
            found.append(call)
            if call[0] == CREATE and at >= XID:
                self.creating[data[at - XID:at]] = call[4]
            at += 20
        if not self.rest:
            self.rest = data[-15 - XID:]
        return found

    def answered(self, data):
        """(handle, name) of what has been created. An answer split over two segments is missed."""
        found = []
        for xid in list(self.creating):
            handle = created(data, xid)
            if handle is not None:
                found.append((handle, self.creating.pop(xid)))
        if len(self.creating) > 64:  # never answered, or with an error
            self.creating.pop(next(iter(self.creating)))
        return found


def packet(data, flows):
    """(calls, handles that have got a name) in this packet."""
    ip = 14
    tcp = ip + (data[ip] & 15) * 4
    begin = tcp + (data[tcp + 12] >> 4) * 4
    end = ip + struct.unpack_from(">H", data, ip + 2)[0]
    if data[tcp:tcp + 2] == NFS_PORT:
        flow = flows.get(data[tcp + 2:tcp + 4])
        return [], flow.answered(data[begin:end]) if flow and flow.creating else []
    if data[tcp + 13] & 2:  # SYN: a new life of this port
        flows.pop(data[tcp:tcp + 2], None)
        return [], []
    if end <= begin:
        return [], []
    flow = flows.setdefault(data[tcp:tcp + 2], Flow())
    return flow.take(struct.unpack_from(">I", data, tcp + 4)[0], data[begin:end]), []


def main():
    stop = []
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stop.append(1))
    out = open(sys.argv[1], "w")
    waiting = selectors.DefaultSelector()
    for interface in sys.argv[2:]:
        waiting.register(listen(interface), selectors.EVENT_READ, (interface.removeprefix("to-"), {}))
    out.write("ready\n")
    out.flush()
    while not stop:
        for key, _ in waiting.select(0.2):
            node, flows = key.data
            to_monotonic = clock_difference()
            for _ in range(200):
                try:
                    data, extra, _, _ = key.fileobj.recvmsg(70000, 64)
                except BlockingIOError:
                    break
                seconds, nanos = struct.unpack("qq", extra[0][2][:16])
                at = seconds * 10**9 + nanos + to_monotonic
                calls, named = packet(data, flows)
                for procedure, handle, offset, count, name in calls:
                    if procedure in CHANGING:
                        out.write(f"{at} {node} {CHANGING[procedure]} {handle.hex()} {offset} {count} {name.hex() or '-'}\n")
                for handle, name in named:
                    out.write(f"{at} {node} NAMED {handle.hex()} 0 0 {name.hex() or '-'}\n")
        out.flush()
    dropped = 0
    for key in list(waiting.get_map().values()):
        dropped += struct.unpack("II", key.fileobj.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    out.write(f"end {dropped}\n")
    out.flush()


main()
