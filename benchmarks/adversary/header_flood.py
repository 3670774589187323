"""Sends a header, a request line or a number of headers that never ends, on one connection each, without a key.

Right: the connection is refused (431 or 400) after some 64 KiB, and other users notice nothing.

python -m benchmarks.adversary.header_flood [--megabytes 64] [--seconds 20]
"""

import argparse
import socket
import time

from benchmarks.adversary.common import Neighbour, Server

BEGIN = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FLOODS = {
    "one endless value": (BEGIN + b"X-A: ", b"a" * 65536),
    "endless headers": (BEGIN, b"X-A: b\r\n" * 8192),
    "an endless URL": (b"GET /", b"a" * 65536),
    "endless empty lines": (b"", b"\r\n" * 32768),
    "an endless chunk extension": (
        b"POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"a" * 65536,
    ),
    "endless trailers": (
        b"POST /v1/fill-mask HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-A: b\r\n" * 8192,
    ),
}


def flood(port: int, begin: bytes, piece: bytes, most: int, seconds: float) -> str:
    """Returns what became of the connection."""
    deadline = time.monotonic() + seconds
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(begin)
            while sent < most and time.monotonic() < deadline:
                connection.sendall(piece)
                sent += len(piece)
            return f"{sent / 2**20:.1f} MiB taken without refusal"
        except OSError as error:
            try:
                answer = connection.recv(100).partition(b"\r\n")[0].decode()
            except OSError:
                answer = type(error).__name__
            return f"ended after {sent / 2**20:.1f} MiB: {answer}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64, help="of each flood, at most")
    parser.add_argument("--seconds", type=float, default=20, help="for each flood, at most")
    options = parser.parse_args()
    with Server() as server:
        for name, (begin, piece) in FLOODS.items():
            before = server.memory()
            with Neighbour(server.url) as neighbour:
                time.sleep(1)
                outcome = flood(server.port, begin, piece, options.megabytes * 2**20, options.seconds)
            grown = (server.memory() - before) / 2**20
            print(f"{name}: {outcome}; memory {grown:+.0f} MiB; neighbour: {neighbour.summary()}", flush=True)


if __name__ == "__main__":
    main()
