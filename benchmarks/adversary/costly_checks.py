"""Uploads whose check before a job takes long or much memory: python -m benchmarks.adversary.costly_checks [NAME]

Each is a small file: a gigabyte of empty lines, one JSON document that is large once parsed, a Parquet dictionary
that is copied for every row, a tar header of many digits. 41 clients ask for its check at once and leave after
five seconds. Right: 413, 422 or 429, soon; all other routes answer meanwhile and afterwards, memory stays bounded,
and another user's fill-mask keeps its p99 within three times that of an idle server.
"""

import gzip
import io
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.adversary.common import Neighbour, Server

CLIENTS, LEAVE_SECONDS = 41, 5.0
ROUTES = ("/v1/files", "/v1/pretraining/jobs", "/metrics", "/health")


def empty_lines() -> bytes:
    return gzip.compress(b"\n" * 2**30, 6)


def wide_json() -> bytes:
    return gzip.compress(b'{"text": "a", "x": [' + b"[]," * (20 * 2**20) + b"[]]}\n", 9)


def parquet_dictionary(mebibytes: int = 16, rows: int = 256) -> bytes:
    table = pa.table({"text": pa.array(["a" * (mebibytes * 2**20)] * rows).dictionary_encode()})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def tar_header(digits: int = 60_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.pax_headers = {"comment": "1" * digits}
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"text\n"))
    return out.getvalue()


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty lines": ("x.txt.gz", empty_lines),
    "wide JSON": ("x.jsonl.gz", wide_json),
    "Parquet dictionary": ("x.parquet", parquet_dictionary),
    "tar header": ("x.tar", tar_header),
}


def main(names: list[str]) -> None:
    for name in names:
        with Server() as server:
            attack(server, name)


def attack(server: Server, name: str) -> None:
    filename, make = FILES[name]
    content = make()
    file = server.upload(filename, content)
    with Neighbour(server.url) as neighbour:
        time.sleep(5)
    print(f"{name}, {len(content):,} bytes. Idle: fill-mask {neighbour.summary()}", flush=True)
    base, most = server.memory(), 0
    answers: Counter[str] = Counter()
    client = httpx.Client(base_url=server.url, timeout=LEAVE_SECONDS, limits=httpx.Limits(max_connections=CLIENTS))
    threads = [threading.Thread(target=check, args=(client, file, answers)) for _ in range(CLIENTS)]
    with Neighbour(server.url, timeout=20) as neighbour, Neighbour(server.url, "/v1/files", {}, pause=0.2) as files:
        for thread in threads:
            thread.start()
        until = time.monotonic() + LEAVE_SECONDS + 2
        while time.monotonic() < until:
            most = max(most, server.memory())
            time.sleep(0.1)
    for thread in threads:
        thread.join()
    client.close()
    print(f"  answers: {dict(answers)}; memory {base / 1e6:.0f} MB, at most {most / 1e6:.0f} MB")
    print(f"  meanwhile: fill-mask {neighbour.summary()}")
    print(f"  meanwhile: files {files.summary()}", flush=True)
    for route in ROUTES:
        print(f"  afterwards {route}: {ask(server.url + route)}")
    print(f"  stopped in {server.stop(30):.1f} s", flush=True)


def check(client: httpx.Client, file: str, answers: Counter[str]) -> None:
    body = {"model": "bert-tiny", "training_file": file}
    try:
        answer = client.post("/v1/pretraining/jobs/validate", json=body)
        answers[f"{answer.status_code} {answer.json().get('error', {}).get('message', '')[:80]}"] += 1
    except httpx.TransportError as error:
        answers[type(error).__name__] += 1


def ask(url: str) -> str:
    started = time.monotonic()
    try:
        status = str(httpx.get(url, timeout=10).status_code)
    except httpx.TransportError as error:
        status = type(error).__name__
    return f"{status} in {time.monotonic() - started:.2f} s"


if __name__ == "__main__":
    main(sys.argv[1:] or list(FILES))
