"""The beginning of a text file, from which the whole is judged before a job is queued."""

from dataclasses import dataclass
from pathlib import Path, PurePath

import pyarrow.parquet as pq

from app.errors import InvalidData
from app.media.documents import read_open

MAX_BYTES = 2_000_000  # of text; from an .xz they take some 30 ms
MAX_TEXT = 100_000  # characters of it that are kept


@dataclass(frozen=True)
class DocumentSample:
    documents: int  # that were read, and are neither too short nor too long
    bytes: int  # of their text as UTF-8
    share: float  # of the file that was read; 1: all of it, else about as much
    texts: tuple[str, ...]  # the first of the documents

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
    read = seen = kept = size = kept_size = 0
    texts: list[str] = []
    with path.open("rb") as file:
        documents = read_open(file, filename, text_column)
        for document in documents:
            seen += 1
            size += len(document.encode(errors="surrogatepass"))
            if (min_characters or 0) <= len(document) <= (max_characters or len(document)):
                kept += 1
                kept_size += len(document.encode(errors="surrogatepass"))
                if sum(map(len, texts)) < MAX_TEXT:
                    texts.append(document[:MAX_TEXT])
            if size >= MAX_BYTES:
                read = path.stat().st_size if file.closed else file.tell()  # who has read it all may have closed it
                break
    if not seen:
        raise InvalidData(f"{filename}: holds no text")
    share = 1.0
    if size >= MAX_BYTES and PurePath(filename).suffix.lower() == ".parquet":
        share = min(1.0, seen / max(pq.ParquetFile(path).metadata.num_rows, 1))
    elif size >= MAX_BYTES:
        share = min(1.0, read / path.stat().st_size)
    return DocumentSample(kept, kept_size, share, tuple(texts))
