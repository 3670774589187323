"""Tokenized documents in memory-mapped shards, shared by all jobs over the same data.

The name of a shard's folder is the hash of everything that the shard depends on: the file's content, the
column and the tokenizer. The folder contains

    tokens.bin       token ids of all documents, end to end, without special tokens, uint16 or uint32
    ends.bin         [documents] int64, the token after each document's last one
    characters.bin   [documents] int64, length of each document
    hashes.bin       [documents] uint64, hash of each document's normalized text
    exact.bin        [documents] uint64, hash of each document's text as it is
    shard.json       counts, and the report on rows and files that were left out

The files are only appended to. While they grow, progress.json says how much of them is synced to the
disk, so a killed process loses only the text after that.
"""

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from app.datasets.compression import COMPRESSIONS
from app.datasets.documents import read_open
from app.datasets.reports import Report
from app.system.durable import sync_open
from app.training.data.cache import count_begun_bytes, open_entry
from app.training.data.encoding import EncodedDocuments, make_encoder
from app.training.data.encoding_process import EncodingProcesses
from app.training.data.source_file import SourceFile
from app.training.hooks import Killed, Stopped
from app.types import Documents

SHARD_FORMAT = 7
BATCH_CHARS = 2_000_000  # characters of a batch; encoding it takes some 60 MB
SAVED_CHARS = 64_000_000  # characters after which the files are synced
ALONE = 16  # batches that are encoded before it pays to start processes
PROCESSES = 8  # maximum; each takes some 250 MB, and a single reader cannot feed many more
PACKED_SHARE = 3  # largest size of a compressed file's shard ÷ size of the file; a plain file's shard is smaller

# Called during the work with the bytes of the file that have been read, or None while another process does
# the work. May raise to stop it.
Listener = Callable[[int | None], None]


@dataclass(frozen=True)
class Shard:
    """The tokens of one file's D documents."""

    tokens: NDArray[Any]  # memory-mapped
    ends: NDArray[np.int64]  # [D] the token after each document's last one
    characters: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [D]
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))  # [D] of normalized texts
    exact_hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))  # [D]
    lock: IO[bytes] | None = None  # the cache keeps the shard while this file is open
    report: Report = field(default_factory=Report)

    @property
    def starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], self.ends[:-1]])


@dataclass(frozen=True)
class Reading:
    """How the texts of a file are read.

    key: everything that `read` depends on beside the file. Shards of different keys are different ones.
    read: (open file, file name, report on what is left out) → texts, in the order of their shard.
    """

    key: tuple[str, ...]
    read: Callable[[BinaryIO, str, Report], Iterable[str]]


def read_column(column: str, documents: Documents = "auto") -> Reading:
    """Returns the reading of documents, by `read_documents`. documents: what one of a plain text file is."""

    def read(file: BinaryIO, filename: str, report: Report) -> Iterator[str]:
        return (each.text for each in read_open(file, filename, column, documents=documents, report=report))

    return Reading((column, documents), read)


def tokenize_file(
    file: SourceFile,
    reading: Reading,
    tokenizer: PreTrainedTokenizerBase,
    cache_dir: Path,
    threads: int = 1,
    listen: Listener = lambda read: None,
) -> Shard:
    """Returns the file's shard, from the cache or newly made. Memory is bounded whatever the file's size.

    Continues a shard that an earlier process began, and waits for one that another process is making. Raises
    what the reading raises, InvalidData for one, and whatever `listen` raises.
    """
    folder = cache_dir / "tokens" / _key(file, reading, tokenizer)

    def make(aside: Path) -> None:
        report = Report()
        with file.path.open("rb") as content:
            found = reading.read(content, file.filename, report)

            def report_position() -> None:
                # The reader may close the file at its end.
                listen(file.path.stat().st_size if content.closed else content.tell())

            _write_shard(aside, found, report, tokenizer, threads, report_position)

    return _open_shard(folder, open_entry(folder, make, lambda: listen(None)))


def estimate_missing_bytes(
    file: SourceFile, reading: Reading, tokenizer: PreTrainedTokenizerBase, cache_dir: Path
) -> int:
    """Returns about how many bytes the file's shard will add to the cache. 0 if it is there."""
    made = count_begun_bytes(cache_dir / "tokens" / _key(file, reading, tokenizer))
    if made is None:
        return 0
    packed = Path(file.filename).suffix.lower() in {*COMPRESSIONS, ".zip", ".parquet"}
    return max(0, file.path.stat().st_size * (PACKED_SHARE if packed else 1) - made)


def _key(file: SourceFile, reading: Reading, tokenizer: PreTrainedTokenizerBase) -> str:
    # A stored tokenizer may have truncation on, as that of all-MiniLM-L6-v2 at 128 tokens.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    suffixes = "".join(Path(file.filename).suffixes[-2:]).lower()
    parts = [str(SHARD_FORMAT), file.digest(), *reading.key, suffixes]
    digest = hashlib.sha256("\0".join(parts).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    return digest.hexdigest()[:32]


def _open_shard(folder: Path, lock: IO[bytes]) -> Shard:
    meta = json.loads((folder / "shard.json").read_text())
    dtype = np.dtype(meta["dtype"])
    empty = meta["tokens"] == 0  # an empty file cannot be mapped
    tokens = np.zeros(0, dtype) if empty else np.memmap(folder / "tokens.bin", dtype=dtype, mode="r")
    ends, characters = (np.fromfile(folder / f"{name}.bin", np.int64) for name in ("ends", "characters"))
    hashes, exact = (np.fromfile(folder / f"{name}.bin", np.uint64) for name in ("hashes", "exact"))
    return Shard(tokens, ends, characters, hashes, exact, lock, Report.from_dict(meta["report"]))


def _write_shard(
    folder: Path,
    documents: Iterable[str],
    report: Report,
    tokenizer: PreTrainedTokenizerBase,
    threads: int,
    listen: Callable[[], None],
) -> None:
    """Writes the shard, continuing after the saved part of the folder's files.

    `report` is complete when all documents have been read.
    """
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    with _ShardWriter(folder, dtype) as writer:
        batches = _batches(documents, skip=writer.documents)
        try:
            for batch, encoded in _encode_in_order(batches, tokenizer.backend_tokenizer, dtype, threads):
                writer.add(batch, encoded)
                listen()
        except (Stopped, Killed):
            writer.save()
            raise
        writer.finish(report)


class _ShardWriter:
    """Appends to a shard's files, after it has truncated them to what was saved."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self._folder, self._dtype = folder, dtype
        self._journal = folder / "progress.json"
        self.documents, self.tokens = self._read_saved()
        self._unsaved = 0  # characters
        self._files = ExitStack()

    def _file_sizes(self, documents: int, tokens: int) -> dict[str, int]:
        lists = dict.fromkeys(("ends.bin", "characters.bin", "hashes.bin", "exact.bin"), 8 * documents)
        return {"tokens.bin": tokens * self._dtype.itemsize, **lists}

    def _read_saved(self) -> tuple[int, int]:
        """Returns the saved (documents, tokens), or (0, 0) if a file is shorter than that."""
        try:
            saved = json.loads(self._journal.read_text())
            sizes = self._file_sizes(saved["documents"], saved["tokens"])
            complete = all((self._folder / name).stat().st_size >= size for name, size in sizes.items())
        except (FileNotFoundError, ValueError):
            return 0, 0
        return (saved["documents"], saved["tokens"]) if complete else (0, 0)

    def __enter__(self) -> "_ShardWriter":
        opened = {}
        for name, size in self._file_sizes(self.documents, self.tokens).items():
            opened[name] = self._files.enter_context((self._folder / name).open("ab"))
            opened[name].truncate(size)
        self._tokens, *self._lists = opened.values()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, batch: list[str], encoded: EncodedDocuments) -> None:
        ends = self.tokens + np.cumsum(encoded.lengths)
        characters = np.fromiter(map(len, batch), np.int64, len(batch))
        self._tokens.write(encoded.tokens)
        columns = (ends, characters, encoded.hashes, encoded.exact_hashes)
        for out, values in zip(self._lists, columns, strict=True):
            out.write(values.tobytes())
        self.documents += len(batch)
        self.tokens += int(encoded.lengths.sum())
        self._unsaved += int(characters.sum())
        if self._unsaved >= SAVED_CHARS:
            self.save()

    def save(self) -> None:
        """Syncs the files, and then records in the journal how much of them is complete."""
        for out in (self._tokens, *self._lists):
            sync_open(out)
        fresh = self._journal.with_suffix(".new")
        with fresh.open("w") as journal:
            json.dump({"documents": self.documents, "tokens": self.tokens}, journal)
            sync_open(journal)
        fresh.replace(self._journal)
        self._unsaved = 0

    def finish(self, report: Report) -> None:
        """Completes the shard."""
        self.save()
        counts = {"tokens": self.tokens, "documents": self.documents}
        meta = {"dtype": self._dtype.name, **counts, "report": asdict(report)}
        (self._folder / "shard.json").write_text(json.dumps(meta))
        self._journal.unlink()


def _encode_in_order(
    batches: Iterator[list[str]], tokenizer: Tokenizer, dtype: np.dtype[Any], threads: int
) -> Iterator[tuple[list[str], EncodedDocuments]]:
    """Yields each batch with its tokens, in order. Long texts are encoded in child processes."""
    encode = make_encoder(tokenizer, dtype)
    for batch in itertools.islice(batches, ALONE if threads > 1 else None):
        yield batch, encode(batch)
    first = next(batches, None)
    if first is None:
        return
    del encode  # frees its cache
    count = min(threads, PROCESSES)
    waiting: deque[tuple[list[str], Future[EncodedDocuments]]] = deque()
    with EncodingProcesses(tokenizer, dtype, count) as ask, ThreadPoolExecutor(count) as pool:
        for batch in itertools.chain([first], batches):
            waiting.append((batch, pool.submit(ask, batch)))
            if len(waiting) > count:
                done, encoded = waiting.popleft()
                yield done, encoded.result()
        for done, encoded in waiting:
            yield done, encoded.result()


def _batches(documents: Iterable[str], skip: int) -> Iterator[list[str]]:
    """Yields batches of all but the first `skip` documents.

    Skipped documents give empty batches, so that their reading is reported too.
    """
    batch: list[str] = []
    chars = 0
    for number, document in enumerate(documents):
        if number >= skip:
            batch.append(document)
        chars += len(document)
        if chars >= BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch
