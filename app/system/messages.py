"""Messages of Python objects over a socket. Array contents are sent beside the pickle, without a copy."""

import pickle
import socket
import struct
from typing import Any

_COUNT = struct.Struct("!I")
_PROTOCOL = 5  # the first pickle protocol with out-of-band buffers


def send(connection: socket.socket, value: Any) -> None:
    """Sends an object.

    Raises the exceptions of pickle before anything is sent; OSError; TimeoutError after the connection's timeout.
    """
    send_packed(connection, pack(value))


def pack(value: Any) -> list[memoryview]:
    """Serializes an object as the parts of a message: the pickle, then the buffers that it refers to."""
    buffers: list[memoryview] = []
    data = pickle.dumps(value, _PROTOCOL, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    return [memoryview(data), *buffers]


def send_packed(connection: socket.socket, parts: list[memoryview]) -> None:
    sizes = struct.pack(f"!{len(parts)}Q", *(part.nbytes for part in parts))
    connection.sendall(b"".join([_COUNT.pack(len(parts)), sizes, parts[0]]))
    for part in parts[1:]:
        connection.sendall(part)


def receive(connection: socket.socket) -> Any:
    """Receives an object. Its arrays are writable.

    Raises EOFError if the other side has closed the connection, OSError, TimeoutError.
    """
    (count,) = _COUNT.unpack(_read(connection, _COUNT.size))
    sizes = struct.unpack(f"!{count}Q", _read(connection, 8 * count))
    data, *buffers = [_read(connection, size) for size in sizes]
    return pickle.loads(data, buffers=buffers)  # noqa: S301 - sent by our own process


def _read(connection: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        count = connection.recv_into(left)
        if not count:
            raise EOFError("the other side has closed the connection")
        left = left[count:]
    return content
