"""Small valid data sets of every accepted format, and ways to damage them."""

import csv
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from app.datasets.archives import read_members
from app.datasets.documents import read_documents
from app.datasets.reports import Report
from app.datasets.samples import check_samples
from app.datasets.sampling import sample_documents
from app.errors import InvalidData, TooLarge
from app.media import accepted
from tests.fakes.media import fixture

TEXTS = ["The lions chase the wildebeests.", 'Two lines,\nand a "quote".', "Überall ist Savanne, \U0001f981."] * 3
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
ARCHIVES = ["a.zip", "stored.zip", "xz.zip", "bz2.zip", "a.tar", "gnu.tar", "a.tar.gz", "a.tar.xz", "a.tar.zst"]


def encode(suffix: str) -> bytes:
    """The texts in one format."""
    if suffix == ".txt":
        return "\n\n".join(TEXTS).encode()
    if suffix == ".jsonl":
        return "\n".join(json.dumps({"id": i, "text": t, "more": [i, None]}) for i, t in enumerate(TEXTS)).encode()
    if suffix == ".json":
        return json.dumps([{"text": t, "more": {"a": 1.5e3}} for t in TEXTS]).encode()
    if suffix == ".csv":
        out = io.StringIO()
        csv.writer(out).writerows([["id", "text"], *([i, t] for i, t in enumerate(TEXTS))])
        return out.getvalue().encode()
    assert suffix == ".parquet"
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS, "n": range(len(TEXTS))}), sink, row_group_size=4)
    return sink.getvalue()


def parquets() -> dict[str, bytes]:
    """The texts as Parquet, by what writers do differently."""
    kinds = {"plain": {"use_dictionary": False}, "zstd": {"compression": "zstd"}, "v2": {"data_page_version": "2.0"}}
    kinds["checked"] = {"write_page_checksum": True}
    found = {}
    for name, options in kinds.items():
        sink = io.BytesIO()
        pq.write_table(pa.table({"text": TEXTS}), sink, **options)
        found[f"{name}.parquet"] = sink.getvalue()
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(TEXTS).dictionary_encode()}), sink)
    return {**found, "categories.parquet": sink.getvalue()}


def archive(name: str, files: dict[str, bytes]) -> bytes:
    """Files as an archive of the kind that its name says."""
    out = io.BytesIO()
    if name.endswith(".zip"):
        methods = {"stored": zipfile.ZIP_STORED, "xz": zipfile.ZIP_LZMA, "bz2": zipfile.ZIP_BZIP2}
        with zipfile.ZipFile(out, "w", methods.get(name.partition(".")[0], zipfile.ZIP_DEFLATED)) as zipped:
            for path, data in files.items():
                zipped.writestr(zipfile.ZipInfo(path), data, compress_type=zipped.compression)
        return out.getvalue()
    form = tarfile.GNU_FORMAT if name.startswith("gnu") else tarfile.PAX_FORMAT
    with tarfile.open(fileobj=out, mode="w", format=form) as tarred:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tarred.addfile(entry, io.BytesIO(data))
    return PACKINGS[name.partition(".tar")[2]](out.getvalue())


def samples() -> Iterator[tuple[str, bytes, bool]]:
    """(file name, content, whether it is an archive of media) of every accepted format."""
    for suffix in (".txt", ".jsonl", ".json", ".csv", ".parquet"):
        for packing, pack in PACKINGS.items():
            yield f"a{suffix}{packing}", pack(encode(suffix)), False
    for name, data in parquets().items():
        yield name, data, False
    for encoding in ("utf-16", "utf-32"):
        yield f"{encoding}.csv", encode(".csv").decode().encode(encoding), False
    texts = {f"folder/a{suffix}": encode(suffix) for suffix in (".txt", ".jsonl", ".csv", ".parquet")}
    for name in ("texts.zip", "stored.zip", "xz.zip"):
        yield name, archive(name, texts), False
    long = "a long path/" * 20
    media = {
        "1.jpg": fixture("photo.jpg")[:900],
        f"{long}2.png": fixture("grey.png")[:300],
        "1.cls": b"7",
        "é.png": b"?",
    }
    for name in ARCHIVES:
        yield name, archive(name, media), True


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One of the ways in which files are damaged: bytes changed, cut, repeated, removed, or put elsewhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, length = rng.randrange(len(changed) or 1), rng.choice((1, 2, 4, 8, 32))
        kind = rng.randrange(8)
        if kind == 0:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length] * rng.choice((1, 2, 50))
        elif kind == 5:
            changed[at:at] = rng.choice(
                (b'"', b"[", b"{", b",", b"\n", b"\r", b"\\", b"9" * 50, b"\xf0\x9f", b"\xed\xa0\x80")
            )
        elif kind == 6:
            other = rng.randrange(len(changed) or 1)
            changed[at : at + length] = changed[other : other + length]
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def read(path: Path, name: str, is_media: bool) -> str:
    """Reads all of a data set, and the look at its beginning. Returns "" or the refusal; anything else is a fault."""
    try:
        if is_media:
            for _ in read_members(path, name, report=Report()):
                pass
            check_samples(path, name, accepted.IMAGES)
        else:
            for document in read_documents(path, name, report=Report()):
                document.encode()
            sample_documents(path, name, "text")
    except (InvalidData, TooLarge) as e:
        if not e.message.startswith(name):
            raise AssertionError(f"{name} is not named in {e.message!r}") from e
        return e.message
    return ""
