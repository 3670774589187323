"""A proxy before a Redis that loses one reply, as a connection does that breaks at the worst moment."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def losing_reply_to(command: bytes, server_socket: str, folder: Path) -> Iterator[str]:
    """The URL of a Redis whose first reply to `command` never arrives: the connection is cut instead."""
    path = str(folder / "proxy.sock")
    lost = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(server_socket)
            while request := client.recv(1 << 20):
                server.sendall(request)
                reply = server.recv(1 << 20)
                if command in request and not lost.is_set():
                    lost.set()
                    return
                client.sendall(reply)

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)
    assert lost.is_set()
