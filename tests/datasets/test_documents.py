import csv
import gzip
import io
import json
import lzma
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from app.datasets import json_rows, parquet, plain_text, sampling, text
from app.datasets.documents import read_documents
from app.datasets.sampling import sample_documents
from app.errors import InvalidData

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


def patched(archive: bytes, field: int, value: int) -> bytes:
    """With another value in a field of the first entry's headers, given by its place in the local one."""
    local, central = archive.index(b"PK\3\4") + field, archive.index(b"PK\1\2") + field + 2
    changed = bytearray(archive)
    changed[local : local + 2] = changed[central : central + 2] = value.to_bytes(2, "little")
    return bytes(changed)


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
        ("a.jsonl", b'{"text": 3}', "expected a string in 'text', found a number"),
        ("a.json", b'{"text": "x"}', 'a.json: expected a JSON array, found \'{"text": "x"}\''),
        ("a.json", b"", "a.json: expected a JSON array, found the end"),
        ("a.json", b"[]", "contains no text"),
        ("a.json", b'["x", ', "element 1: expected an object or a string, found the end"),
        ("a.json", b'["x", [1]]', "element 1: expected an object or a string, found '[1]]'"),
        ("a.json", b'["x", {"body": "y"}]', "element 1: no field 'text'; found 'body'"),
        ("a.json", b'["x" "y"]', "expected ',' or ']' after element 0, found '\"y\"]'"),
        ("a.json", b'["x", {"text": tru}]', "element 1: expected a JSON object or string (Expecting value)"),
        ("a.json", b'["x", {"text" "y"}, "' + b"z" * 999 + b'"]', "element 1: expected a JSON object or string (Exp"),
        ("a.json", b'["x", "y', "element 1: expected a JSON object or string (Unterminated string"),
        ("a.json", b'["x"] 1', "expected nothing after the array, found '1'"),
        (
            "a.json",
            b'["x", {"text": ' + b"[" * 100_000,
            "element 1: expected a JSON object or string (it is nested too deeply",
        ),
        ("a.json", b'["x", {"text": ' + b"1" * 5000 + b"}]", "element 1: expected a JSON object or string (Exceeds"),
        ("a.jsonl", b'{"text": ' + b"1" * 5000 + b"}", "line 1: expected a JSON object or string (Exceeds"),
        ("a.zip", patched(zipped("a.txt", b"abc"), 6, 1), "a.txt is encrypted"),
        ("a.zip", patched(zipped("a.txt", b"abc"), 8, 9), "its compression method is not supported"),
        ("a.csv", b"id,body\n1,x", "line 1: no column 'text' in the header; found 'id', 'body'"),
        ("a.csv", b"id,text\n1,x\n2", "line 3: expected 2 fields, found 1"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.pdf", b"%PDF", "unknown format"),
        ("a.txt.gz", gzip.compress(b"hello world " * 500, mtime=0)[:-20], "broken or cut off"),
        ("a.txt.xz", b"no xz", "broken or cut off"),
        ("a.zip", b"no zip", "broken or cut off"),
        ("a.parquet", b"no parquet", "not a readable parquet file"),
        ("a.txt", b" \n\n ", "contains no text"),
    ],
)
def test_errors_name_the_file_the_line_and_what_was_expected(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    upload = tmp_path / "content"
    upload.write_bytes(content)
    with pytest.raises(InvalidData, match=re.escape(expected)) as e:
        sample_documents(upload, name, "text")
    assert e.value.message.startswith(name)


def test_a_decompression_bomb_in_a_zip_is_refused(tmp_path: Path) -> None:
    upload = tmp_path / "content"
    upload.write_bytes(zipped("bomb.txt", b"0" * 30_000_000))
    with pytest.raises(InvalidData, match="times its size"):
        sample_documents(upload, "bomb.zip", "text")


def test_a_text_without_empty_lines_is_no_single_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "MAX_DOCUMENT", 20)
    upload = tmp_path / "content"
    upload.write_text("One lion.\nTwo lions.\nThree.\n\nFour.\n" + "x" * 50 + "\n\nFive.")
    expected = ["One lion.\nTwo lions.", "Three.", "Four.\n" + "x" * 50, "Five."]
    assert list(read_documents(upload, "a.txt")) == expected


def test_half_a_pair_of_surrogates_is_no_character(tmp_path: Path) -> None:
    upload = tmp_path / "content"
    upload.write_text(r'''"a\ud83d b" "\ud83d\ude00" "\ude00\ud83d"'''.replace('" "', '"\n"'))
    assert list(read_documents(upload, "a.jsonl")) == ["a\ufffd b", "\U0001f600", "\ufffd\ufffd"]


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_an_array_is_read_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(json_rows, "PIECE", piece)
    rows = [{"id": -1.5e3, "ok": True, "text": text} for text in [*TEXTS, '\\"', "\U0001f981", "long " * 99]]
    upload = tmp_path / "content"
    upload.write_text(" \n" + json.dumps([*rows, *TEXTS], indent=2) + "\n ", encoding="utf-8-sig")
    expected = [str(row["text"]).strip() for row in rows] + TEXTS
    assert list(read_documents(upload, "a.json")) == expected


@pytest.mark.parametrize("content", [b"[" + b"[]," * 200_000, b"[" + b'"a lion",' * 500_000])
def test_the_look_at_an_array_reads_no_more_than_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(sampling, "MAX_BYTES", 10_000)
    upload = tmp_path / "content"
    upload.write_bytes(content)  # cut off, which only someone who reads on sees
    if content.startswith(b"[["):
        with pytest.raises(InvalidData, match="element 0: expected an object or a string"):
            sample_documents(upload, "a.json", "text")
    else:
        assert sample_documents(upload, "a.json", "text").share < 0.1


def test_an_element_has_a_greatest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_ROW", 1000)
    monkeypatch.setattr(text, "MAX_ROW", 1000)
    monkeypatch.setattr(json_rows, "PIECE", 10)
    upload = tmp_path / "content"
    upload.write_bytes(b'["a lion", "' + b"a" * 5000 + b'"]')
    with pytest.raises(InvalidData, match="element 1: longer than the limit of 1,000 characters"):
        sample_documents(upload, "a.json", "text")


def test_a_packed_parquet_file_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 100)
    upload = tmp_path / "content"
    upload.write_bytes(gzip.compress(encode(".parquet")))
    with pytest.raises(InvalidData, match=r"over 100 bytes once unpacked; send it as \.parquet"):
        sample_documents(upload, "a.parquet.gz", "text")
