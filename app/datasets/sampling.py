"""The beginning of a text file, from which the whole is judged before a job is queued."""

from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pyarrow.parquet as pq

from app.datasets.documents import read_open
from app.datasets.reports import Report
from app.datasets.sources import LOOK_SECONDS, ROW_COST, Exhausted, megabytes, reading
from app.errors import InvalidData
from app.media.limits import MIB

MAX_BYTES = 2_000_000  # of text; from an .xz they take some 30 ms
MAX_UNPACKED = 16 * MIB  # of the file, whatever is in it
MAX_TEXT = 100_000  # characters of it that are kept


@dataclass(frozen=True)
class DocumentSample:
    documents: int  # that were read, and are neither too short nor too long
    bytes: int  # of their text as UTF-8
    share: float  # of the file that was read; 1: all of it, else about as much
    texts: tuple[str, ...]  # the first of the documents
    report: Report = field(default_factory=Report)  # what was left out

    @property
    def whole(self) -> bool:
        return self.share == 1.0


def sample_documents(
    path: Path, filename: str, text_column: str, *, min_characters: int | None = None, max_characters: int | None = None
) -> DocumentSample:
    """Reads at most about `MAX_BYTES` of text. Raises InvalidData where that is broken or empty.

    The share is that of the file's (compressed) bytes, or a parquet file's rows. In a .zip of several
    files, which are read by name and not as they lie, it is a rough guess.
    """
    report, whole = Report(), True
    size = kept = kept_size = kept_text = 0
    texts: list[str] = []
    with path.open("rb") as file:
        try:
            for document in read_open(file, filename, text_column, report=report, look=MAX_UNPACKED):
                count = len(document.encode())
                size += count
                if (min_characters or 0) <= len(document) <= (max_characters or len(document)):
                    kept += 1
                    kept_size += count
                    if kept_text < MAX_TEXT:
                        texts.append(document[:MAX_TEXT])
                        kept_text += len(texts[-1])
                if size >= MAX_BYTES:
                    whole = False
                    break
        except Exhausted:
            whole = False
        read = path.stat().st_size if file.closed else file.tell()  # who has read it all may have closed it
    if not report.usable:
        raise InvalidData(_no_text(filename, whole, report))
    share = 1.0 if whole else min(1.0, _share(path, filename, read, report))
    return DocumentSample(kept, kept_size, share, tuple(texts), report)


def _no_text(filename: str, whole: bool, report: Report) -> str:
    left_out = f"; left out: {report.summary()}" if report.skipped else ""
    if whole:
        return f"{filename}: holds no text{left_out}"
    bounds = f"{megabytes(MAX_UNPACKED)}, {MAX_UNPACKED // ROW_COST:,} rows or {LOOK_SECONDS:.0f} seconds"
    return f"{filename}: no text at its beginning, of which at most {bounds} are read before a job starts{left_out}"


def _share(path: Path, filename: str, read: int, report: Report) -> float:
    """How much of a file has been read; `read`: bytes."""
    if PurePath(filename).suffix.lower() != ".parquet":
        return read / path.stat().st_size
    with reading(filename, "not a readable parquet file"):
        rows = report.usable + sum(entry.count for entry in report.skipped.values())
        return rows / max(int(pq.ParquetFile(path).metadata.num_rows), 1)
