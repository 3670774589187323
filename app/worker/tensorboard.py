"""TensorBoard's event files, written by hand: scalars need a dozen bytes of protocol buffers.

The package `tensorboard` brings a web server, gRPC and more, which a trainer has no use for. Formats:
tensorflow/core/util/event.proto, core/framework/summary.proto and core/lib/io/record_writer.h.
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

_START = b"\x08\x01"  # SessionLog: status START


class TensorBoardLogger:
    """Appends to a new file in `folder`; one file an attempt, which TensorBoard joins.

    A resumed attempt does steps again: its file begins by taking back what an earlier one has said
    of its first step and those behind it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("ab")
        self._started = False
        self._write(_event(_bytes(3, b"brain.Event:2")))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if not self._started:
            self._write(_event(_bytes(7, _START), step))
            self._started = True
        values = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value)) for tag, value in metrics.items()
        )
        self._write(_event(_bytes(5, values), step))
        self._file.flush()

    def close(self, status: str) -> None:
        self._file.close()

    def _write(self, record: bytes) -> None:
        length = struct.pack("<Q", len(record))
        self._file.write(length + _checksum(length) + record + _checksum(record))


def _event(content: bytes, step: int = 0) -> bytes:
    return b"\x09" + struct.pack("<d", time.time()) + b"\x10" + _varint(step) + content


def _bytes(field: int, value: bytes) -> bytes:
    """A field of the wire type that has a length."""
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _crc_table() -> list[int]:
    """Builds the table of CRC-32C (Castagnoli), reflected (RFC 3720, appendix B.4)."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def _checksum(data: bytes) -> bytes:
    """CRC-32C, rotated and shifted as TFRecord has it, so that a checksum of checksums stays one."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
