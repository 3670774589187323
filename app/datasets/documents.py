"""Text files of several formats, read as a stream of documents.

    .txt      documents separated by empty lines; a very long one ends at the next line break
    .jsonl    one JSON object (with `text_column`) or one JSON string per line
    .json     an array of such objects or strings
    .csv      with a header row
    .parquet  read by row groups
    …         each also compressed as .gz, .xz or .zst; and .zip archives of them

Memory holds one document, the directory of a .zip, and a compressed parquet file, whose size is limited.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import IO, BinaryIO, cast

from app.datasets.compression import COMPRESSIONS
from app.datasets.csv_rows import read_csv
from app.datasets.json_rows import read_json, read_jsonl
from app.datasets.parquet import read_parquet
from app.datasets.reports import Reason, Report
from app.datasets.sources import Budget, TextSource, reading
from app.datasets.text import read_lines
from app.datasets.zips import ZipEntry, open_entry, open_zip, read_entries
from app.errors import InvalidData
from app.media.limits import MIB

MAX_PARAGRAPH = 1_000_000  # characters of a document in a .txt, which may have no empty lines
MAX_ZIP_ENTRIES = 100_000
MAX_RATIO = 1000  # unpacked ÷ packed bytes; a file beyond it is a decompression bomb
FREE_BYTES = 256 * MIB  # to which any file may unpack, whatever its ratio
CUT_OFF = "the compressed data is broken or cut off"

Reader = Callable[[IO[bytes], TextSource], Iterator[str]]


def read_documents(
    path: Path, filename: str, text_column: str = "text", *, report: Report | None = None
) -> Iterator[str]:
    """Yields the stripped documents of one file. Invalid characters become U+FFFD.

    filename: its suffix is the format; `path` may be an upload without a suffix.
    report: counts skipped rows and files.

    Raises InvalidData with the file, the line and what was expected; TooLarge for a file that unpacks to far more than
    its own size.
    """
    with path.open("rb") as file:
        yield from read_open(file, filename, text_column, report=report)


def read_open(
    file: BinaryIO, filename: str, text_column: str, *, report: Report | None = None, look: int | None = None
) -> Iterator[str]:
    """Reads the documents of an open file. See `read_documents`.

    look: stops with Exhausted after this many unpacked bytes.
    """
    report = Report() if report is None else report
    budget = Budget(filename, _file_size(file) * MAX_RATIO + FREE_BYTES, look)
    source = TextSource(filename, text_column, report, budget)
    with reading(filename, "the data is broken or cut off"):
        for document in _read_stream(file, source):
            if text := document.strip():
                report.usable += 1
                yield _replace_surrogates(text)


def _file_size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _replace_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may contain half of a surrogate pair
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _read_stream(file: IO[bytes], source: TextSource) -> Iterator[str]:
    path = PurePath(source.name)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        yield from _read_zip(cast(BinaryIO, file), source)
    elif opener := COMPRESSIONS.get(suffix):
        read = _find_reader(path.stem, source.name)
        with reading(source.name, CUT_OFF), opener(file) as stream:
            yield from read(stream, source)
    else:
        yield from _find_reader(source.name, source.name)(file, source)


def _find_reader(inner: str, name: str) -> Reader:
    reader = READERS.get(PurePath(inner).suffix.lower())
    if reader is None:
        raise InvalidData(
            f"{name}: unknown format; expected {', '.join(READERS)}, compressed as {', '.join(COMPRESSIONS)} or not,"
            " or a .zip of such files"
        )
    return reader


def _read_zip(file: BinaryIO, source: TextSource) -> Iterator[str]:
    with reading(source.name, "the archive is broken or cut off"):
        archive = open_zip(file, source.name, MAX_ZIP_ENTRIES)
        entries = read_entries(archive, source.name, MAX_ZIP_ENTRIES)
    for entry in entries:
        source.budget.spend(0)
        inner = source.with_name(f"{source.name}/{entry.path}")
        if entry.reason is Reason.ENCRYPTED:
            raise InvalidData(f"{inner.name} is encrypted")
        if entry.reason:
            source.report.skip(entry.reason, inner.name)
            continue
        _check_entry(entry, inner.name)
        with reading(inner.name, CUT_OFF), open_entry(archive, entry.info) as content:
            yield from _read_stream(cast(IO[bytes], content), inner)


def _check_entry(entry: ZipEntry, name: str) -> None:
    if entry.info.file_size > MAX_RATIO * max(entry.info.compress_size, 1024):
        raise InvalidData(f"{name}: unpacks to more than {MAX_RATIO} times its size")
    if PurePath(entry.path).suffix.lower() == ".zip":
        raise InvalidData(f"{name}: an archive inside an archive is not supported")


def _read_txt(stream: IO[bytes], source: TextSource) -> Iterator[str]:
    paragraph: list[str] = []
    size = 0
    for _, line in read_lines(stream, source):
        is_empty = not line.strip()
        if is_empty:
            source.budget.spend(0, rows=1)
        else:
            paragraph.append(line)
            size += len(line)
        if paragraph and (is_empty or size >= MAX_PARAGRAPH):
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
