"""Small uploads that once took gigabytes or froze the server when a job on them was checked.

Each is uploaded and given to `/v1/pretraining/jobs/validate`, while another user asks for fill-mask. Right: an
answer of 200, 413 or 422 within seconds, memory near what the server has without it, and the other user's
answers as fast as before.

    python -m benchmarks.adversary.data_sets [PART_OF_A_NAME]
"""

import gzip
import io
import struct
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable
from typing import Self

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.adversary.common import Neighbour, Server

MIB = 1024 * 1024
TIMEOUT = 100.0


def pax_header(digits: int) -> bytes:
    """A tar whose extended header is one long number: quadratic in tarfile before Python 3.11.10."""
    header, member = tarfile.TarInfo("././@PaxHeader"), tarfile.TarInfo("a.png")
    header.type, header.size = tarfile.XHDTYPE, digits
    padded = b"1" * digits + bytes(-digits % 512)
    return header.tobuf(tarfile.USTAR_FORMAT) + padded + member.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


def dictionary(mib: int, rows: int) -> bytes:
    """A Parquet file whose rows all name one text of a dictionary."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["a" * (mib * MIB)]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": column}), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def lists(form: bytes) -> bytes:
    """60 MiB of JSON in one row, as a gzip of 61 KB."""
    return gzip.compress(form % (b"[]," * (20 * MIB) + b"[]"), 9)


def directory(entries: int) -> bytes:
    """A zip with so many entries in its directory, which all point to one file."""
    data = b"hello there\n\n"
    check = zlib.crc32(data)
    sizes = struct.pack("<III", check, len(data), len(data))
    local = (
        struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, 0, 0, 33) + sizes + struct.pack("<HH", 11, 0) + b"0000000.txt" + data
    )
    head = (
        struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, 0, 0, 33) + sizes + struct.pack("<HHHHHII", 11, 0, 0, 0, 0, 0, 0)
    )
    listed = b"".join(head + b"%07d.txt" % number for number in range(entries))
    at, size = len(local), len(listed)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, at)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1)
    return local + listed + end + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)


ATTACKS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "tar header of 60,000 digits": ("a.tar", "mae-tiny", lambda: pax_header(60_000)),
    "tar.gz header of 1,000,000 digits": ("a.tar.gz", "mae-tiny", lambda: gzip.compress(pax_header(1_000_000))),
    "dictionary of 16 MiB, 64 rows": ("a.parquet", "bert-tiny", lambda: dictionary(16, 64)),
    "60 MiB of lists, jsonl.gz": ("a.jsonl.gz", "bert-tiny", lambda: lists(b'{"text": "a", "x": [%s]}')),
    "60 MiB of lists, json.gz": ("a.json.gz", "bert-tiny", lambda: lists(b'[{"text": "a", "x": [%s]}]')),
    "60 MiB in a line": ("a.txt.gz", "bert-tiny", lambda: gzip.compress(b"\xf0\x9f\xa6\x81" + b"a" * 60 * MIB)),
    "256 MiB of line ends, txt.gz": ("a.txt.gz", "bert-tiny", lambda: gzip.compress(b"\n" * 256 * MIB)),
    "256 MiB of spaces, json.gz": ("a.json.gz", "bert-tiny", lambda: gzip.compress(b" " * 256 * MIB)),
    "short texts, txt.gz": ("a.txt.gz", "bert-tiny", lambda: gzip.compress(b"a\n\n" * 20 * MIB)),
    "quote that is never closed": ("a.csv", "bert-tiny", lambda: b'id,text\n1,"a\n' + b"2,a lion\n" * 8 * MIB),
    "zip of 3,000,000 entries": ("a.zip", "bert-tiny", lambda: directory(3_000_000)),
    "zip of 900,000 entries of media": ("a.zip", "mae-tiny", lambda: directory(900_000)),
}  # fmt: skip


class Peak:
    """Watches the memory of the server and its processes."""

    def __init__(self, server: Server) -> None:
        self._server, self.bytes, self._over = server, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.bytes = max(self.bytes, self._server.memory())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def attack(name: str, filename: str, model: str, content: bytes) -> None:
    with Server() as server:
        file = server.upload(filename, content)
        with Neighbour(server.url) as before:
            time.sleep(3)
        base, started = server.memory(), time.monotonic()
        with Peak(server) as peak, Neighbour(server.url) as other:
            try:
                answer = httpx.post(
                    f"{server.url}/v1/pretraining/jobs/validate",
                    json={"model": model, "training_file": file},
                    timeout=TIMEOUT,
                )
                message = answer.json().get("error", {}).get("message", "estimated")
                outcome = f"{answer.status_code} {message[:110]}"
            except httpx.TransportError as error:
                outcome = f"no answer ({type(error).__name__})"
            took = time.monotonic() - started
            time.sleep(max(0.0, 3 - took))
        print(f"{name} ({len(content):,} bytes): {took:.1f} s, +{(peak.bytes - base) // MIB:,} MiB, {outcome}")
        print(f"    other user before: {before.summary()}\n    and meanwhile:     {other.summary()}", flush=True)


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for name, (filename, model, make) in ATTACKS.items():
        if wanted in name:
            attack(name, filename, model, make())


if __name__ == "__main__":
    main()
