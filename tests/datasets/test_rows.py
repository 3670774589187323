"""Rows of text files: where they are broken, what is left out, and how large they may be."""

import codecs
import gzip
import io
import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.datasets import csv_rows, documents, json_rows, parquet_pages, sampling, sources, text, text_archives
from app.datasets.documents import read_documents
from app.datasets.reports import Reason, Report
from app.datasets.sampling import sample_documents
from app.errors import InvalidData, TooLarge


class Reader:
    """Reads an upload, and keeps the report."""

    def __init__(self, folder: Path) -> None:
        self.path, self.report = folder / "content", Report()

    def __call__(self, name: str, content: bytes) -> list[str]:
        self.path.write_bytes(content)
        self.report = Report()
        return list(read_documents(self.path, name, report=self.report))

    def refusal(self, name: str, content: bytes) -> str:
        with pytest.raises(InvalidData) as e:
            self(name, content)
        return e.value.message

    def left_out(self) -> dict[Reason, list[str]]:
        return {reason: skipped.examples for reason, skipped in self.report.skipped.items()}


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def parquet_of(column: pa.Array, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": column}), sink, **options)
    return sink.getvalue()


# CSV


ROWS = "".join(f"{n},lion {n}\n" for n in range(100))


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (f'id,text\n1,"Tomorrow\n{ROWS}', 2, "up to the end of the file"),
        (f'id,text\n{ROWS}1,"Tomorrow', 102, "up to the end of the file"),
        (f'text,id\n"a\nb",1\n"Tomorrow\n{ROWS}', 4, "up to the end of the file"),
        (f'id,text,more\n1,"a\n\n""b""","c,\n{ROWS}', 4, "up to the end of the file"),
        ('id,text\n1,"Tomorrow\n2,"lion"\n', 2, "no comma follows the next quote, in line 3"),
        ('id,text\r\n1,"Tom" said\r\n', 2, "no comma follows the next quote, in line 2"),
        ('id,text\r1,a\r2,"Tomorrow\r', 3, "up to the end of the file"),
        ('te"xt,"id\n', 1, "up to the end of the file"),
    ],
)
def test_a_quote_that_is_not_closed_is_told_with_the_line_that_opens_it(
    read: Reader, content: str, line: int, why: str
) -> None:
    message = read.refusal("a.csv", content.encode())
    assert message.startswith(f"a.csv, line {line}: the quote that opens in this line is not closed")
    assert why in message


def test_a_quote_is_looked_for_no_further_than_a_row_may_reach(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (csv_rows, text):
        monkeypatch.setattr(module, "MAX_ROW", 500)
    message = read.refusal("a.csv", f'id,text\n1,"a\nb"\n2,"Tomorrow\n{ROWS}'.encode())
    assert message.startswith("a.csv, line 4: the quote that opens in this line is not closed, and the row is longer")
    assert read.refusal("a.csv", b"text\n" + b"x" * 600) == "a.csv, line 2: longer than the limit of 500 characters"


def test_of_two_columns_of_one_name_the_first_is_read_and_told(read: Reader) -> None:
    assert read("a.csv", b"id,text,text\n1,a lion,a fox") == ["a lion"]
    assert read.report.notes == ["a.csv: 2 columns are named 'text'; only the first, column 2, is read"]


# Nothing is left out in silence


@pytest.mark.parametrize(
    ("name", "content", "empty", "null"),
    [
        (
            "a.jsonl",
            b'"a"\n\n{"text": null}\n""\n{"text": " \\n"}\nnull\n"b"',
            ["line 2", "line 4", "line 5"],
            ["line 3", "line 6"],
        ),
        ("a.json", b'["a", {"text": null}, "", null, "b"]', ["element 2"], ["element 1", "element 3"]),
        ("a.csv", b'id,text\n1,a\n\n2,\n3," "\n4,b\n', ["line 3", "line 4", "line 5"], []),
        ("a.parquet", parquet_of(pa.array(["a", None, "", "b"])), ["row 2"], ["row 1"]),
    ],
)
def test_empty_rows_and_nulls_are_left_out_and_counted(
    read: Reader, name: str, content: bytes, empty: list[str], null: list[str]
) -> None:
    assert read(name, content) == ["a", "b"]
    expected = {Reason.EMPTY: empty, Reason.NULL: null}
    assert read.left_out() == {r: [f"{name}, {place}" for place in places] for r, places in expected.items() if places}
    assert read.report.usable == 2


def test_a_file_of_nothing_else_says_what_was_left_out(read: Reader) -> None:
    read.path.write_bytes(b'{"text": null}\n')
    with pytest.raises(InvalidData, match=r"contains no text; skipped: 1 null \(a.jsonl, line 1\)"):
        sample_documents(read.path, "a.jsonl", "text")


@pytest.mark.parametrize(
    ("row", "found"), [("[1]", "a list"), ("{}", "an object"), ("3.5", "a number"), ("true", "true or false")]
)
def test_what_is_no_string_is_named_in_words(read: Reader, row: str, found: str) -> None:
    assert read.refusal("a.jsonl", f'{{"text": {row}}}'.encode()).endswith(
        f"expected a string in 'text', found {found}"
    )


# Encodings


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", b"id,text\n" + b"1,lion\n" * 20_000 + b"2,\xe9t\xe9\n", 20_002),
        ("a.txt", b"lion\r\n" * 20_000 + b"\xff", 20_001),
        ("a.txt", b"lion\r" * 20_000 + b"\xff", 20_001),
        ("a.jsonl", b'"a"\n"\xed\xa0\x80"', 2),
        ("a.txt", b"a\n\xc3", 2),
        ("a.json", b'["a",\n"\xc3("]', 2),
    ],
)
def test_a_byte_that_is_no_utf8_is_told_with_its_line(read: Reader, name: str, content: bytes, line: int) -> None:
    assert read.refusal(name, content).startswith(f"{name}, line {line}: not UTF-8 text (")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["", "-be"])
def test_a_byte_order_mark_says_the_encoding(read: Reader, encoding: str, order: str) -> None:
    content = "id,text\n1,Über\n2,\U0001f981\n" * 1
    if order and encoding != "utf-8-sig":
        mark = {"utf-16": codecs.BOM_UTF16_BE, "utf-32": codecs.BOM_UTF32_BE}[encoding]
        data = mark + content.encode(encoding + order)
    else:
        data = content.encode(encoding)
    assert read("a.csv", data) == ["Über", "\U0001f981"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf16_without_a_mark_is_no_text_with_zeros(read: Reader, encoding: str) -> None:
    assert "UTF-16 or UTF-32 without a byte order mark" in read.refusal("a.txt", "A lion.\n\nTwo.".encode(encoding))


def test_utf16_that_is_broken_is_told_with_its_line(read: Reader) -> None:
    data = "a\nb\n".encode("utf-16") + b"\x00\xd8a\x00"
    assert read.refusal("a.txt", data).startswith("a.txt, line 3: not UTF-8 text but broken UTF-16 (")


# Parquet


KINDS = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("store_schema", [True, False])
def test_strings_are_read_however_they_are_stored(read: Reader, kind: pa.DataType, store_schema: bool) -> None:
    texts = ["a lion", None, "Überall", "a lion"]
    column = pa.array([t.encode() if t and "binary" in str(kind) else t for t in texts], kind)
    assert read("a.parquet", parquet_of(column, store_schema=store_schema)) == ["a lion", "Überall", "a lion"]
    categories = pa.array(texts).dictionary_encode()
    assert read("a.parquet", parquet_of(categories, store_schema=store_schema)) == ["a lion", "Überall", "a lion"]


def test_binary_that_is_no_text_is_told_with_its_row(read: Reader) -> None:
    message = read.refusal("a.parquet", parquet_of(pa.array([b"a", b"\xff\xd8"])))
    assert message.startswith("a.parquet, row 1: not UTF-8 text")
    assert "found int64" in read.refusal("a.parquet", parquet_of(pa.array([1])))


@pytest.mark.parametrize("at", ["page", "header", "footer"])
def test_a_damaged_parquet_file_is_told_with_its_place(read: Reader, at: str) -> None:
    content = bytearray(parquet_of(pa.array([f"lion {n}" for n in range(100)])))
    place = {"page": 60, "header": 4, "footer": len(content) - 60}[at]
    content[place : place + 20] = b"\xff" * 20
    message = read.refusal("a.parquet", bytes(content))
    assert re.match(r"a\.parquet(, row group 0)?: not a readable parquet file \(", message)


def dictionary_bomb(rows: int) -> bytes:
    """Rows that all name one text of a megabyte."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["a" * 1_000_000]))
    return parquet_of(column, compression="zstd", store_schema=False)


def test_a_dictionary_costs_no_copy_for_every_row(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = dictionary_bomb(5000)
    assert len(bomb) < 3000
    monkeypatch.setattr(parquet_pages, "TOGETHER", 2_000_000)
    before = pa.total_allocated_bytes()
    read.path.write_bytes(bomb)
    rows = read_documents(read.path, "a.parquet")
    assert len(next(rows)) == 1_000_000
    assert pa.total_allocated_bytes() - before < 20_000_000
    rows.close()
    monkeypatch.setattr(text, "MAX_ROW", 1000)
    monkeypatch.setattr("app.datasets.parquet.MAX_ROW", 1000)
    assert read.refusal("a.parquet", bomb).startswith("a.parquet, row 0: longer than")


def test_text_is_no_thousand_times_as_large_as_its_file(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FREE_BYTES", 0)
    bomb = dictionary_bomb(500)
    for name, content in {"a.parquet": bomb, "a.txt.gz": gzip.compress(b"lion\n\n" * 1_000_000)}.items():
        monkeypatch.setattr(documents, "MAX_RATIO", 100)
        with pytest.raises(TooLarge, match=f"{name}: unpacks to far more than its own size"):
            read(name, content)


def test_a_page_and_a_footer_are_limited(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    content = parquet_of(pa.array(["a" * 5000]), use_dictionary=False)
    assert len(read("a.parquet", content)) == 1
    monkeypatch.setattr(parquet_pages, "MAX_PAGE", 1000)
    assert "row group 0: a page has 0 MiB; the limit" in read.refusal("a.parquet", content)
    monkeypatch.setattr(parquet_pages, "MAX_FOOTER", 10)
    assert "a.parquet: its footer has" in read.refusal("a.parquet", content)


# Sizes


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json", ".csv"])
def test_a_row_has_a_greatest_length(read: Reader, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    for module in (text, csv_rows, json_rows):
        monkeypatch.setattr(module, "MAX_ROW", 100_000)
    content = {
        ".txt": b"a" * 200_000,
        ".jsonl": json.dumps("a" * 200_000).encode(),
        ".json": json.dumps(["a" * 200_000]).encode(),
        ".csv": b"text\n" + b"a" * 200_000,
    }[suffix]
    assert read.refusal("a" + suffix, content).endswith("longer than the limit of 100,000 characters")


@pytest.mark.parametrize("element", ["[]", "{}", "1", '"ab"', '{"a":[1]}'])
def test_the_elements_of_a_row_are_limited(read: Reader, monkeypatch: pytest.MonkeyPatch, element: str) -> None:
    monkeypatch.setattr(json_rows, "MAX_ELEMENTS", 1000)
    row = f'{{"text": "a", "x": [{",".join([element] * 2000)}]}}'
    where = "the row has more than the limit of 1,000 elements"
    assert read.refusal("a.jsonl", row.encode()) == f"a.jsonl, line 1: {where}"
    assert read.refusal("a.json", f'["b", {row}]'.encode()) == f"a.json, element 1: {where}"


def test_marks_within_texts_are_no_elements(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_ELEMENTS", 1000)
    rows = ["[1, 2], " * 500 + '\\ "{', {"id": [1], "text": "{,[" * 800}, {"text": "b"}]
    assert len(read("a.json", json.dumps(rows).encode())) == 3
    assert len(read("a.jsonl", "\n".join(map(json.dumps, rows)).encode())) == 3
    assert len(read("a.json", json.dumps(["a", *[{"text": "b"}] * 2000]).encode())) == 2001


# The look at the beginning


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"\n"),
        ("a.jsonl", b" \n"),
        ("a.json", b" "),
        ("a.csv", b"\n"),
    ],
)
def test_a_look_ends_whatever_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.setattr(sampling, "MAX_UNPACKED", 200_000)
    path = tmp_path / "content"
    head = b"text\n" if name == "a.csv" else b""
    path.write_bytes(gzip.compress(head + content * 1_000_000))
    with pytest.raises(InvalidData, match=f"{name}.gz: no text in its beginning"):
        sample_documents(path, f"{name}.gz", "text")


def test_a_look_that_has_found_something_tells_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_UNPACKED", 200_000)
    path = tmp_path / "content"
    path.write_bytes(b'{"text": "a lion", "more": "%s"}\n' % (b"x" * 10_000) * 100)
    found = sample_documents(path, "a.jsonl", "text")
    assert 10 < found.documents < 30 and found.documents / found.share == pytest.approx(100, rel=0.5)


def test_a_look_ends_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LOOK_SECONDS", -1.0)
    path = tmp_path / "content"
    path.write_bytes(b"lion\n\n" * 10)
    with pytest.raises(InvalidData, match="no text in its beginning"):
        sample_documents(path, "a.txt", "text")


# Archives of texts


def zipped(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return out.getvalue()


def test_hidden_files_and_links_of_an_archive_are_counted(read: Reader) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    content = zipped(
        ("a\\1.txt", b"a"), ("b/.DS_Store", b"x"), ("Thumbs.db", b"x"), (link, b"/etc/passwd"), ("c\\", b"")
    )
    assert read("a.zip", content) == ["a"]
    assert read.left_out() == {
        Reason.HIDDEN: ["a.zip/Thumbs.db", "a.zip/b/.DS_Store"],
        Reason.LINK: ["a.zip/link.txt"],
    }


def test_an_archive_has_a_greatest_number_of_entries(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_archives, "MAX_ENTRIES", 10)
    content = zipped(*[(f"{n}.txt", b"a") for n in range(30)])
    with pytest.raises(TooLarge, match=r"a\.zip: more than 10 entries"):
        read("a.zip", content)


def test_an_archive_within_an_archive_is_refused(read: Reader) -> None:
    assert "an archive inside an archive" in read.refusal("a.zip", zipped(("b.zip", zipped(("a.txt", b"a")))))
