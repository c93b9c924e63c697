#!/usr/bin/env python3
"""delay_proxy: bytes arrive whole and in order, an answer takes a round trip at least, a closed connection is passed on.
Usage: proxy_test.py DELAY_PROXY
"""
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

RTT_S = 0.05


def digest_of_what_comes(server, result):
    peer, _ = server.accept()
    peer.sendall(peer.recv(1))
    total = hashlib.sha256()
    while chunk := peer.recv(1 << 16):
        total.update(chunk)
    result.append(total.hexdigest())
    peer.close()


def main():
    # Two addresses of the loopback: the proxy listens on the port it relays to.
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    proxy = subprocess.Popen([sys.argv[1], str(int(RTT_S * 1e6)), "127.0.0.2", "127.0.0.1", str(port)],
                             stdout=subprocess.PIPE, text=True)
    try:
        assert proxy.stdout.readline() == "ready\n"
        result = []
        reader = threading.Thread(target=digest_of_what_comes, args=(server, result))
        reader.start()
        client = socket.create_connection(("127.0.0.2", port))
        begun = time.monotonic()
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        waited = time.monotonic() - begun
        assert waited >= RTT_S, f"an answer came after {waited:.4f} s, the round trip is {RTT_S} s"
        data = os.urandom(8 << 20)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b"", "the end of the connection is not passed on"
        reader.join()
        assert result == [hashlib.sha256(data).hexdigest()], "other bytes arrived"
    finally:
        proxy.send_signal(signal.SIGTERM)
        proxy.wait()


if __name__ == "__main__":
    main()
