"""Opens more connections than the server has file descriptors, and says nothing or half a request on them.

Right: other users are answered all the while, the log warns, and silent connections are closed after a time limit.

python -m benchmarks.adversary.idle_connections [--connections 1100] [--descriptors 1024] [--wait 40]
"""

import argparse
import resource
import socket
import time

from benchmarks.adversary.common import Neighbour, Server


def open_connections(port: int, count: int) -> list[socket.socket]:
    """Half of them send the beginning of a request."""
    connections = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        if number % 2:
            connection.sendall(b"POST /v1/fill-mask HTTP/1.1\r\nHost: x\r\nContent-")
        connection.setblocking(False)
        connections.append(connection)
    return connections


def is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1100)
    parser.add_argument("--descriptors", type=int, default=1024, help="the server's limit, soft and hard")
    parser.add_argument("--wait", type=float, default=40, help="seconds until closed connections are counted")
    options = parser.parse_args()
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The server inherits both limits. A hard limit cannot be raised again, so the soft one is used for the clients.
    resource.setrlimit(resource.RLIMIT_NOFILE, (own[1], own[1]))
    server = Server()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (options.descriptors, options.descriptors))
    with server:
        connections = open_connections(server.port, options.connections)
        try:
            with Neighbour(server.url, timeout=10) as neighbour:
                time.sleep(10)
            closed = sum(map(is_closed, connections))
            print(f"{len(connections)} connections, {closed} closed after 10 s; neighbour: {neighbour.summary()}")
            time.sleep(max(0, options.wait - 10))
            closed = sum(map(is_closed, connections))
            print(f"{closed} closed after {options.wait:.0f} s")
        finally:
            for connection in connections:
                connection.close()
        print("warnings in the log:", *[line for line in server.tail().splitlines() if "WARNING" in line], sep="\n  ")


if __name__ == "__main__":
    main()
