"""Samples of text files: their beginning, checked before a job is queued."""

from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pyarrow.parquet as pq

from app.datasets.documents import read_open
from app.datasets.previews import Preview, TextPreview
from app.datasets.reports import Report
from app.datasets.sources import LOOK_SECONDS, ROW_COST, Exhausted, megabytes, reading
from app.errors import InvalidData
from app.media.limits import MIB
from app.types import Documents

MAX_BYTES = 2_000_000  # of text; reading them from an .xz takes some 30 ms
MAX_UNPACKED = 16 * MIB  # of the file, whatever it holds
MAX_TEXT = 100_000  # characters that the sample keeps


@dataclass(frozen=True)
class DocumentSample:
    """Facts about the beginning of a text file."""

    documents: int  # read, and neither too short nor too long
    bytes: int  # of their text as UTF-8
    share: float  # the approximate share of the file that was read; exactly 1 if it was read completely
    texts: tuple[str, ...]  # the first documents
    report: Report = field(default_factory=Report)  # the skipped rows and files
    preview: Preview | None = None

    @property
    def whole(self) -> bool:
        return self.share == 1.0


def sample_documents(
    path: Path,
    filename: str,
    text_column: str,
    *,
    documents: Documents = "auto",
    min_characters: int | None = None,
    max_characters: int | None = None,
) -> DocumentSample:
    """Reads at most about `MAX_BYTES` of text. Raises InvalidData if it is broken or empty.

    The share is measured in (compressed) bytes, or in rows of a parquet file. For a .zip of several files it is a rough
    guess, because these are read by name and not as they are stored.
    """
    report, whole = Report(), True
    preview = TextPreview(min_characters, max_characters)
    size = kept = kept_size = kept_text = 0
    texts: list[str] = []
    with path.open("rb") as file:
        try:
            for document, name in read_open(
                file, filename, text_column, documents=documents, report=report, look=MAX_UNPACKED
            ):
                count = len(document.encode())
                size += count
                if preview.add(document, name):
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
        read = path.stat().st_size if file.closed else file.tell()  # a reader may close a file at its end
    if not report.usable:
        raise InvalidData(_no_text_message(filename, whole, report))
    share = 1.0 if whole else min(1.0, _estimate_share(path, filename, read, report))
    return DocumentSample(kept, kept_size, share, tuple(texts), report, preview.finish(report, share))


def _no_text_message(filename: str, whole: bool, report: Report) -> str:
    skipped = f"; skipped: {report.summary()}" if report.skipped else ""
    if whole:
        return f"{filename}: contains no text{skipped}"
    bounds = f"{megabytes(MAX_UNPACKED)}, {MAX_UNPACKED // ROW_COST:,} rows or {LOOK_SECONDS:.0f} seconds"
    return f"{filename}: no text in its beginning; at most {bounds} are read before a job starts{skipped}"


def _estimate_share(path: Path, filename: str, read: int, report: Report) -> float:
    """Estimates the share of a file that has been read. `read`: bytes."""
    if PurePath(filename).suffix.lower() != ".parquet":
        return read / path.stat().st_size
    with reading(filename, "not a readable parquet file"):
        rows = report.usable + sum(entry.count for entry in report.skipped.values())
        with path.open("rb") as file:
            return rows / max(int(pq.ParquetFile(file).metadata.num_rows), 1)
