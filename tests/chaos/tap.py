"""O5: writes down every call that changes the storage as it reaches the NFS server's machine. Runs in the server's namespace.

  tap.py OUT INTERFACE…      lines: time node procedure handle offset count, time = monotonic clock of the kernel's receipt

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

CHANGING = {2: "SETATTR", 7: "WRITE", 8: "CREATE", 12: "REMOVE", 14: "RENAME"}
CALL = bytes.fromhex("0000000000000002000186a300000003")  # CALL, RPC 2, NFS, version 3
HEADER_MAX = 700
SO_TIMESTAMPNS, SCM_TIMESTAMPNS = 35, 35
SO_ATTACH_FILTER, SOL_PACKET, PACKET_STATISTICS = 26, 263, 6
# ip, tcp, not a later fragment, destination port 2049: whole packet
FILTER = [(0x28, 0, 0, 12), (0x15, 0, 8, 0x0800), (0x30, 0, 0, 23), (0x15, 0, 6, 6), (0x28, 0, 0, 20), (0x45, 4, 0, 0x1FFF),
          (0xB1, 0, 0, 14), (0x48, 0, 0, 16), (0x15, 0, 1, 2049), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)]


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


def parse(data, at):
    """(procedure, handle, offset, count) of the call whose CALL pattern begins at `at`; None if it goes on in the next segment."""
    try:
        (procedure,) = struct.unpack_from(">I", data, at + 16)
        if procedure not in CHANGING:
            return (procedure, b"", 0, 0)
        p = at + 20
        for _ in range(2):  # credentials, verifier
            (length,) = struct.unpack_from(">I", data, p + 4)
            if length > 400:
                return (0, b"", 0, 0)
            p += 8 + (length + 3) // 4 * 4
        (length,) = struct.unpack_from(">I", data, p)
        if length > 64:
            return (0, b"", 0, 0)
        if len(data) < p + 4 + length:
            return None
        handle = bytes(data[p + 4:p + 4 + length])
        p += 4 + (length + 3) // 4 * 4
        if procedure != 7:
            return (procedure, handle, 0, 0)
        offset, count = struct.unpack_from(">QI", data, p)
        return (procedure, handle, offset, count)
    except struct.error:
        return None


class Flow:
    def __init__(self):
        self.next = None   # sequence number expected
        self.rest = b""    # header that goes on in the next segment

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
                    self.rest = data[at:]
                break
            found.append(call)
            at += 20
        if not self.rest:
            self.rest = data[-15:] if len(data) >= 15 else data
        return found


def packet(data, flows):
    ip = 14
    tcp = ip + (data[ip] & 15) * 4
    begin = tcp + (data[tcp + 12] >> 4) * 4
    end = ip + struct.unpack_from(">H", data, ip + 2)[0]
    if data[tcp + 13] & 2:  # SYN: a new life of this port
        flows.pop(data[tcp:tcp + 2], None)
        return []
    if end <= begin:
        return []
    flow = flows.setdefault(data[tcp:tcp + 2], Flow())
    return flow.take(struct.unpack_from(">I", data, tcp + 4)[0], data[begin:end])


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    out = open(sys.argv[1], "w")
    waiting = selectors.DefaultSelector()
    for interface in sys.argv[2:]:
        waiting.register(listen(interface), selectors.EVENT_READ, (interface.removeprefix("to-"), {}))
    out.write("ready\n")
    out.flush()
    while not stop:
        for key, _ in waiting.select(0.2):
            node, flows = key.data
            to_monotonic = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - time.clock_gettime_ns(time.CLOCK_REALTIME)
            for _ in range(200):
                try:
                    data, extra, _, _ = key.fileobj.recvmsg(70000, 64)
                except BlockingIOError:
                    break
                seconds, nanos = struct.unpack("qq", extra[0][2][:16])
                for procedure, handle, offset, count in packet(data, flows):
                    if procedure in CHANGING:
                        at = seconds * 10**9 + nanos + to_monotonic
                        out.write(f"{at} {node} {CHANGING[procedure]} {handle.hex()} {offset} {count}\n")
        out.flush()
    dropped = 0
    for key in list(waiting.get_map().values()):
        dropped += struct.unpack("II", key.fileobj.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    out.write(f"end {dropped}\n")
    out.flush()


main()
