"""Sends requests on one connection without reading an answer, as many as the server takes.

Right: the server stops reading after a few, its memory does not grow, and no traceback is logged when the client
leaves.

python -m benchmarks.adversary.pipelining [--requests 500000]
"""

import argparse
import socket
import time

from benchmarks.adversary.common import Neighbour, Server

REQUEST = b"GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500_000)
    options = parser.parse_args()
    with Server() as server:
        before = server.memory()
        sent = 0
        with Neighbour(server.url) as neighbour, socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.settimeout(3)
            try:
                while sent < options.requests * len(REQUEST):
                    sent += connection.send(REQUEST * 500)
            except OSError as error:
                print(f"{type(error).__name__} after {sent // len(REQUEST)} requests")
            else:
                print(f"all {options.requests} requests are taken")
            time.sleep(3)
            grown = (server.memory() - before) / 2**20
        print(f"memory {grown:+.0f} MiB; neighbour: {neighbour.summary()}")
        time.sleep(2)
        log = server.tail(100_000)
        print(f"tracebacks: {log.count('Traceback')}, lines of ERROR: {log.count(' ERROR ')}")


if __name__ == "__main__":
    main()
