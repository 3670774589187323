"""Python objects over a socket. The contents of arrays follow their pickle, without being copied into it."""

import pickle
import socket
import struct
from typing import Any

_COUNT = struct.Struct("!I")
_PROTOCOL = 5  # of pickle: the first with buffers beside it


def send(connection: socket.socket, value: Any) -> None:
    """Raises what pickle raises, before anything is sent; OSError; TimeoutError by the connection's timeout."""
    send_packed(connection, pack(value))


def pack(value: Any) -> list[memoryview]:
    """The parts of a message: the pickle, and the buffers that it refers to."""
    buffers: list[memoryview] = []
    data = pickle.dumps(value, _PROTOCOL, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    return [memoryview(data), *buffers]


def send_packed(connection: socket.socket, parts: list[memoryview]) -> None:
    sizes = struct.pack(f"!{len(parts)}Q", *(part.nbytes for part in parts))
    connection.sendall(b"".join([_COUNT.pack(len(parts)), sizes, parts[0]]))
    for part in parts[1:]:
        connection.sendall(part)


def receive(connection: socket.socket) -> Any:
    """Arrays are writable. Raises EOFError where the other side has closed, OSError, TimeoutError."""
    (count,) = _COUNT.unpack(_read(connection, _COUNT.size))
    sizes = struct.unpack(f"!{count}Q", _read(connection, 8 * count))
    data, *buffers = [_read(connection, size) for size in sizes]
    return pickle.loads(data, buffers=buffers)  # noqa: S301 - of our own process


def _read(connection: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        count = connection.recv_into(left)
        if not count:
            raise EOFError("the other side has closed the connection")
        left = left[count:]
    return content
