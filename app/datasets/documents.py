"""Text files of several formats, read as a stream of documents.

    .jsonl    one JSON object (with `text_column`) or one JSON string per line
    .json     an array of such objects or strings
    .csv      with a header row; .tsv with tabs
    .parquet  read by row groups
    .fasta    one sequence a record; also .fastq and .smi
    …         anything else is plain text: see `plain_text`

Each may be compressed as .gz, .xz or .zst, and be a file of a .zip or .tar archive. Memory holds one document, the
directory of a .zip, and a compressed parquet file, whose size is limited.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import IO, BinaryIO, cast

from app.datasets.compression import COMPRESSIONS, inner_suffix
from app.datasets.csv_rows import read_csv, read_tsv
from app.datasets.json_rows import read_json, read_jsonl
from app.datasets.parquet import read_parquet
from app.datasets.plain_text import peek_character, read_plain, read_whole
from app.datasets.reports import Report
from app.datasets.sequences import read_fasta, read_fastq, read_smiles
from app.datasets.sources import Budget, Document, TextSource, UnreadableFile, reading, replace_surrogates
from app.datasets.text_archives import CUT_OFF, open_tar_members, open_zip_members, read_members
from app.media.limits import MIB
from app.types import Documents

MAX_RATIO = 1000  # unpacked ÷ packed bytes; a file beyond it is a decompression bomb
FREE_BYTES = 256 * MIB  # to which any file may unpack, whatever its ratio
SHORT_NAMES = {".tgz": ".gz", ".txz": ".xz", ".tzst": ".zst"}  # of compressed .tar archives

Reader = Callable[[IO[bytes], TextSource], Iterator[Document]]


def read_documents(
    path: Path,
    filename: str,
    text_column: str = "text",
    *,
    documents: Documents = "auto",
    report: Report | None = None,
) -> Iterator[str]:
    """Yields the stripped documents of one file. Invalid characters become U+FFFD.

    filename: its suffix is the format; `path` may be an upload without a suffix.
    documents: what one document of a plain text file is.
    report: counts skipped rows and files.

    Raises InvalidData with the file, the line and what was expected; TooLarge for a file that unpacks to far more than
    its own size.
    """
    with path.open("rb") as file:
        for document in read_open(file, filename, text_column, documents=documents, report=report):
            yield document.text


def read_open(
    file: BinaryIO,
    filename: str,
    text_column: str,
    *,
    documents: Documents = "auto",
    report: Report | None = None,
    look: int | None = None,
) -> Iterator[Document]:
    """Reads the documents of an open file, with their names. See `read_documents`.

    look: stops with Exhausted after this many unpacked bytes.
    """
    report = Report() if report is None else report
    budget = Budget(filename, _file_size(file) * MAX_RATIO + FREE_BYTES, look)
    source = TextSource(filename, text_column, documents, report, budget)
    with reading(filename, "the data is broken or cut off"):
        for document in _read_stream(file, source):
            if text := document.text.strip():
                report.usable += 1
                yield Document(replace_surrogates(text), document.name)


def _file_size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _read_stream(file: IO[bytes], source: TextSource) -> Iterator[Document]:
    suffix = PurePath(source.name).suffix.lower()
    if suffix == ".zip":
        _refuse_nested(source)
        yield from read_members(open_zip_members(cast(BinaryIO, file), source), _read_stream, source)
    elif opener := COMPRESSIONS.get(SHORT_NAMES.get(suffix, suffix)):
        inner = ".tar" if suffix in SHORT_NAMES else inner_suffix(source.name)
        with reading(source.name, CUT_OFF), opener(file) as stream:
            yield from _read_unpacked(stream, inner, source)
    else:
        yield from _read_unpacked(file, suffix, source)


def _read_unpacked(stream: IO[bytes], suffix: str, source: TextSource) -> Iterator[Document]:
    if suffix == ".tar":
        _refuse_nested(source)
        yield from read_members(open_tar_members(stream, source), _read_stream, source)
    else:
        yield from READERS.get(suffix, read_plain)(stream, source)


def _refuse_nested(source: TextSource) -> None:
    if source.member:
        raise UnreadableFile(f"{source.name}: an archive inside an archive is not supported")


def _read_json_file(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    """Reads an array. In an archive, such as that of a source tree, any other JSON is text."""
    if source.member:
        first, stream = peek_character(stream)
        if first != "[":
            yield from read_whole(stream, source)
            return
    yield from read_json(stream, source)


def _refuse_arrays(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    raise UnreadableFile(f"{source.name}: arrays of numbers are no text; methods of images and sounds read them")


READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": _read_json_file,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
    **dict.fromkeys((".fasta", ".fas", ".fa", ".fna", ".ffn", ".faa", ".frn", ".fsa", ".mpfa"), read_fasta),
    **dict.fromkeys((".fastq", ".fq"), read_fastq),
    **dict.fromkeys((".npy", ".npz"), _refuse_arrays),
    **dict.fromkeys((".smi", ".smiles", ".ism", ".can"), read_smiles),
}
