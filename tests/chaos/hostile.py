"""A client that means harm, until it is ended: rubbish, frames too long, frames that never end, connections left half open.

  hostile.py SEED HOST PORT…"""
import os
import random
import socket
import struct
import sys
import time

OPEN_MAX = 200


def payload(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return os.urandom(rng.randrange(1, 4000))
    if kind == 1:
        return struct.pack(rng.choice("<>") + "I", rng.choice([0, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 24])) + os.urandom(64)
    if kind == 2:  # a frame of the right length that is no message
        size = rng.randrange(1, 300)
        return (struct.pack(rng.choice("<>") + "I", size) + os.urandom(size)) * rng.randrange(1, 50)
    return struct.pack(">I", 1000) + b"\x0a" * rng.randrange(900)  # the rest never comes


def main():
    rng = random.Random(sys.argv[1])
    addresses = [(sys.argv[2], int(port)) for port in sys.argv[3:]]
    left_open = []
    while True:
        peer = socket.socket()
        peer.settimeout(0.5)
        try:
            peer.connect(rng.choice(addresses))
            peer.sendall(payload(rng))
        except OSError:
            pass
        if rng.random() < 0.5:
            left_open.append(peer)  # and nothing is read
        else:
            peer.close()
        if len(left_open) > OPEN_MAX:
            left_open.pop(0).close()
        time.sleep(0.002)


main()
