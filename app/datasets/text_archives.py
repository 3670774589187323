"""Archives of text files: .zip and .tar. Files that are not text, or lack the text column, are left out and counted."""

from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, cast

from app.datasets.archives import check_type
from app.datasets.compression import inner_suffix
from app.datasets.reports import Reason
from app.datasets.sources import Document, TextSource, UnreadableFile, reading, shorten
from app.datasets.tars import read_tar
from app.datasets.zips import (
    ZipEntry,
    check_path,
    normalize_separators,
    open_entry,
    open_zip,
    read_entries,
    replace_invalid_characters,
)
from app.errors import InvalidData

MAX_ENTRIES = 100_000
MAX_RATIO = 1000  # unpacked ÷ packed bytes of an entry of a .zip
CUT_OFF = "the compressed data is broken or cut off"
BROKEN = "the archive is broken or cut off"
# Files whose text must be UTF-8. Other files, such as source code, are left out if it is not.
TEXT_SUFFIXES = frozenset(
    {
        *(".txt", ".log", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".fasta", ".fa", ".fastq", ".fq", ".smi"),
    }
)

Members = Iterator[tuple[TextSource, IO[bytes]]]


def read_members(
    members: Members, read: Callable[[IO[bytes], TextSource], Iterator[Document]], archive: TextSource
) -> Iterator[Document]:
    """Yields the documents of all files. read: reads one of them.

    Raises the error for the first file that was left out, if no file has a document.
    """
    first: UnreadableFile | None = None
    found = False
    for source, content in members:
        try:
            with reading(source.name, CUT_OFF):
                for document in read(content, source):
                    found = found or bool(document.text)
                    yield document
        except UnreadableFile as e:
            if e.reason is Reason.NOT_UTF8 and inner_suffix(source.name) in TEXT_SUFFIXES:
                raise
            archive.report.skip(e.reason, source.name, shorten(e.message.removeprefix(source.name).lstrip(":, ")))
            first = first or e
    if first is not None and not found:
        raise first


def open_zip_members(file: BinaryIO, archive: TextSource) -> Members:
    """Opens the files of a .zip, sorted by name."""
    with reading(archive.name, BROKEN):
        opened = open_zip(file, archive.name, MAX_ENTRIES)
        entries = read_entries(opened, archive.name, MAX_ENTRIES)
    for entry in entries:
        archive.budget.spend(0)
        source = archive.as_member(entry.path)
        if entry.reason is Reason.ENCRYPTED:
            raise InvalidData(f"{source.name} is encrypted")
        if entry.reason:
            archive.report.skip(entry.reason, source.name)
            continue
        _check_ratio(entry, source.name)
        with reading(source.name, CUT_OFF), open_entry(opened, entry.info) as content:
            yield source, cast(IO[bytes], content)


def _check_ratio(entry: ZipEntry, name: str) -> None:
    if entry.info.file_size > MAX_RATIO * max(entry.info.compress_size, 1024):
        raise InvalidData(f"{name}: unpacks to more than {MAX_RATIO} times its size")


def open_tar_members(stream: IO[bytes], archive: TextSource) -> Members:
    """Opens the files of a .tar, as they are stored."""
    with reading(archive.name, BROKEN):
        for tar, entry in read_tar(stream, archive.name, archive.budget, MAX_ENTRIES):
            path = normalize_separators(replace_invalid_characters(entry.name))
            source = archive.as_member(path)
            if entry.isdir():
                continue
            if reason := check_type(entry) or check_path(path):
                archive.report.skip(reason, source.name)
                continue
            content = tar.extractfile(entry)
            assert content is not None
            yield source, content
