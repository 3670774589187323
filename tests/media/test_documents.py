import csv
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from app.errors import InvalidData
from app.media.documents import read_documents
from app.media.sampling import sample_documents

TEXTS = ["The lions chase the wildebeests.", 'Two lines,\nand a "quote".', "Überall ist Savanne."]


def encode(suffix: str) -> bytes:
    if suffix == ".txt":
        return "\n\n".join(TEXTS).encode()
    if suffix == ".jsonl":
        return "\n".join(json.dumps({"text": t}) for t in TEXTS).encode()
    if suffix == ".json":
        return json.dumps([{"text": t} for t in TEXTS]).encode()
    if suffix == ".csv":
        out = io.StringIO()
        csv.writer(out).writerows([["id", "text"], *([i, t] for i, t in enumerate(TEXTS))])
        return out.getvalue().encode()
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), sink)
    return sink.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/" + name, data)
        archive.writestr("__MACOSX/._" + name, b"\x00\xff")
    return out.getvalue()


PACK = {
    "": lambda name, data: data,
    ".gz": lambda name, data: gzip.compress(data),
    ".xz": lambda name, data: lzma.compress(data),
    ".zst": lambda name, data: zstandard.compress(data),
    ".zip": zipped,
}


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json", ".csv", ".parquet"])
@pytest.mark.parametrize("packing", list(PACK))
def test_every_format_in_every_packing_gives_the_same_documents(tmp_path: Path, suffix: str, packing: str) -> None:
    upload = tmp_path / "content"
    upload.write_bytes(PACK[packing]("data" + suffix, encode(suffix)))
    assert list(read_documents(upload, "data" + suffix + packing)) == TEXTS


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "a.jsonl, line 2: expected a JSON object"),
        ("a.jsonl", b'{"text": "x"}\n{"body": "y"}', "a.jsonl, line 2: no field 'text'; found 'body'"),
        ("a.jsonl", b'{"text": 3}', "expected a string in 'text', found int"),
        ("a.json", b'{"text": "x"}', "expected a JSON array, found dict"),
        ("a.csv", b"id,body\n1,x", "line 1: no column 'text' in the header; found 'id', 'body'"),
        ("a.csv", b"id,text\n1,x\n2", "line 3: expected 2 fields, found 1"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.pdf", b"%PDF", "unknown format"),
        ("a.txt.gz", gzip.compress(b"hello world " * 500, mtime=0)[:-20], "broken or cut off"),
        ("a.txt.xz", b"no xz", "broken or cut off"),
        ("a.zip", b"no zip", "broken or cut off"),
        ("a.parquet", b"no parquet", "not a readable parquet file"),
        ("a.txt", b" \n\n ", "holds no text"),
    ],
)
def test_errors_name_the_file_the_line_and_what_was_expected(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    upload = tmp_path / "content"
    upload.write_bytes(content)
    with pytest.raises(InvalidData, match=expected.replace("(", r"\(")) as e:
        sample_documents(upload, name, "text")
    assert e.value.message.startswith(name)


def test_a_decompression_bomb_in_a_zip_is_refused(tmp_path: Path) -> None:
    upload = tmp_path / "content"
    upload.write_bytes(zipped("bomb.txt", b"0" * 30_000_000))
    with pytest.raises(InvalidData, match="times its size"):
        sample_documents(upload, "bomb.zip", "text")


def test_half_a_pair_of_surrogates_is_no_character(tmp_path: Path) -> None:
    upload = tmp_path / "content"
    upload.write_text(r'''"a\ud83d b" "\ud83d\ude00" "\ude00\ud83d"'''.replace('" "', '"\n"'))
    assert list(read_documents(upload, "a.jsonl")) == ["a\ufffd b", "\U0001f600", "\ufffd\ufffd"]
