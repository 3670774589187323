"""Text files of many formats, read as a stream of documents.

    .txt      documents end at an empty line, or once they are very long at the end of a line
    .jsonl    one JSON object (its `text_column`) or one JSON string a line
    .json     an array of the same
    .csv      with a header row
    .parquet  by row groups
    …         each also compressed: .gz .xz .zst; and .zip of any of them

Nothing is read whole but compressed parquet files, which must be small, and the directory of a .zip;
memory stays bounded by one document.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import IO, BinaryIO, cast

from app.datasets.compression import COMPRESSIONS
from app.datasets.csv_rows import read_csv
from app.datasets.json_rows import read_json, read_jsonl
from app.datasets.parquet import read_parquet
from app.datasets.reports import Reason, Report
from app.datasets.sources import Budget, Source, reading
from app.datasets.text import read_lines
from app.datasets.zips import Entry, open_entry, open_zip, read_entries
from app.errors import InvalidData
from app.media.limits import MIB

MAX_PARAGRAPH = 1_000_000  # characters, of a .txt: one without empty lines is not one document
MAX_ZIP_ENTRIES = 100_000
MAX_RATIO = 1000  # unpacked ÷ packed bytes: beyond it is a decompression bomb, not text
FREE_BYTES = 256 * MIB  # that any file may unpack to
CUT_OFF = "the compressed data is broken or cut off"

Reader = Callable[[IO[bytes], Source], Iterator[str]]


def read_documents(
    path: Path, filename: str, text_column: str = "text", *, report: Report | None = None
) -> Iterator[str]:
    """The documents of one file, stripped; what is no character is U+FFFD.

    `filename` carries the format (`path` may be an upload without a suffix). Rows and files that are left
    out are counted in the report. Raises InvalidData naming the file, the line and what was expected, and
    TooLarge where the file unpacks to far more than its own size.
    """
    with path.open("rb") as file:
        yield from read_open(file, filename, text_column, report=report)


def read_open(
    file: BinaryIO, filename: str, text_column: str, *, report: Report | None = None, look: int | None = None
) -> Iterator[str]:
    """As `read_documents`, from a file that its caller has opened.

    With `look`, raises Exhausted once so many bytes are unpacked.
    """
    report = Report() if report is None else report
    budget = Budget(filename, _size(file) * MAX_RATIO + FREE_BYTES, look)
    source = Source(filename, text_column, report, budget)
    with reading(filename, "the data is broken or cut off"):
        for document in _read_stream(file, source):
            if text := document.strip():
                report.usable += 1
                yield _characters(text)


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _characters(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may hold one half of a pair of surrogates
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _read_stream(file: IO[bytes], source: Source) -> Iterator[str]:
    path = PurePath(source.name)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        yield from _read_zip(cast(BinaryIO, file), source)
    elif opener := COMPRESSIONS.get(suffix):
        read = _reader_for(path.stem, source.name)
        with reading(source.name, CUT_OFF), opener(file) as stream:
            yield from read(stream, source)
    else:
        yield from _reader_for(source.name, source.name)(file, source)


def _reader_for(inner: str, name: str) -> Reader:
    reader = READERS.get(PurePath(inner).suffix.lower())
    if reader is None:
        raise InvalidData(
            f"{name}: unknown format; expected {', '.join(READERS)}, each also {', '.join(COMPRESSIONS)},"
            " or .zip of them"
        )
    return reader


def _read_zip(file: BinaryIO, source: Source) -> Iterator[str]:
    with reading(source.name, "the archive is broken or cut off"):
        archive = open_zip(file, source.name, MAX_ZIP_ENTRIES)
        entries = read_entries(archive, source.name, MAX_ZIP_ENTRIES)
    for entry in entries:
        source.budget.spend(0)
        inner = source.named(f"{source.name}/{entry.path}")
        if entry.reason is Reason.ENCRYPTED:
            raise InvalidData(f"{inner.name} is encrypted")
        if entry.reason:
            source.report.skip(entry.reason, inner.name)
            continue
        _check_entry(entry, inner.name)
        with reading(inner.name, CUT_OFF), open_entry(archive, entry.info) as content:
            yield from _read_stream(cast(IO[bytes], content), inner)


def _check_entry(entry: Entry, name: str) -> None:
    if entry.info.file_size > MAX_RATIO * max(entry.info.compress_size, 1024):
        raise InvalidData(f"{name}: unpacks to more than {MAX_RATIO} times its size")
    if PurePath(entry.path).suffix.lower() == ".zip":
        raise InvalidData(f"{name}: an archive within the archive")


def _read_txt(stream: IO[bytes], source: Source) -> Iterator[str]:
    paragraph: list[str] = []
    size = 0
    for _, line in read_lines(stream, source):
        if empty := not line.strip():
            source.budget.spend(0, rows=1)
        else:
            paragraph.append(line)
            size += len(line)
        if paragraph and (empty or size >= MAX_PARAGRAPH):
            yield "".join(paragraph)
            paragraph, size = [], 0
    yield "".join(paragraph)


READERS: dict[str, Reader] = {
    ".txt": _read_txt,
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
