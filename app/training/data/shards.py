"""Documents tokenised once, kept in memory-mapped shards, shared by every job over the same data.

A shard's folder is named by the hash of all that it depends on: the file's content, the column
and the tokenizer. It holds

    tokens.bin       all documents' token ids end to end, without special tokens, uint16 or uint32
    ends.bin         [documents] int64, where each document ends in tokens.bin
    characters.bin   [documents] int64, how long each document is
    hashes.bin       [documents] uint64, of each document's normalised text
    shard.json       counts, and which rows and files were left out

All grow at their ends only, and while they do, progress.json says how far they are good. So a process
that is killed costs no more than the text since it was last written.
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
from typing import IO, Any

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

SHARD_FORMAT = 5
BATCH_CHARS = 2_000_000  # text that is worked on at once, which takes some 60 MB
SAVED_CHARS = 64_000_000  # text after which what there is becomes good
ALONE = 16  # batches after which processes are worth starting
PROCESSES = 8  # at most, each of some 250 MB: one that reads and writes cannot feed many more
PACKED_SHARE = 3  # a compressed text's shard is up to so many times its size; a plain one's is smaller than it

# Called as work goes on with the bytes of the file that have been read, None while another process
# does the work; may raise to stop it.
Listener = Callable[[int | None], None]


@dataclass(frozen=True)
class Shard:
    tokens: NDArray[Any]  # memory-mapped
    ends: NDArray[np.int64]  # [D]
    characters: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [D]
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))  # [D]
    lock: IO[bytes] | None = None  # while it is open, the cache keeps the shard
    report: Report = field(default_factory=Report)

    @property
    def starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], self.ends[:-1]])


def tokenize_file(
    file: SourceFile,
    column: str,
    tokenizer: PreTrainedTokenizerBase,
    cache_dir: Path,
    threads: int = 1,
    listen: Listener = lambda read: None,
) -> Shard:
    """The file's shard, from the cache or made now; memory stays bounded whatever the file's size.

    What an earlier process began is gone on with; what another is making is waited for. Raises InvalidData
    as `read_documents` does, and what `listen` raises.
    """
    folder = cache_dir / "tokens" / _key(file, column, tokenizer)

    def make(aside: Path) -> None:
        report = Report()
        with file.path.open("rb") as content:
            documents = read_open(content, file.filename, column, report=report)

            def heard() -> None:
                # Who has read it all may have closed it.
                listen(file.path.stat().st_size if content.closed else content.tell())

            _write_shard(aside, documents, report, tokenizer, threads, heard)

    return _open_shard(folder, open_entry(folder, make, lambda: listen(None)))


def estimate_missing_bytes(file: SourceFile, column: str, tokenizer: PreTrainedTokenizerBase, cache_dir: Path) -> int:
    """About how much the file's shard will add to the cache; 0 if it is there."""
    made = count_begun_bytes(cache_dir / "tokens" / _key(file, column, tokenizer))
    if made is None:
        return 0
    packed = Path(file.filename).suffix.lower() in {*COMPRESSIONS, ".zip", ".parquet"}
    return max(0, file.path.stat().st_size * (PACKED_SHARE if packed else 1) - made)


def _key(file: SourceFile, column: str, tokenizer: PreTrainedTokenizerBase) -> str:
    # A folder's tokenizer may come with truncation on (all-MiniLM-L6-v2's cuts at 128).
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    parts = [str(SHARD_FORMAT), file.digest(), column, "".join(Path(file.filename).suffixes[-2:]).lower()]
    digest = hashlib.sha256("\0".join(parts).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    return digest.hexdigest()[:32]


def _open_shard(folder: Path, lock: IO[bytes]) -> Shard:
    meta = json.loads((folder / "shard.json").read_text())
    dtype = np.dtype(meta["dtype"])
    empty = meta["tokens"] == 0  # nothing cannot be mapped
    tokens = np.zeros(0, dtype) if empty else np.memmap(folder / "tokens.bin", dtype=dtype, mode="r")
    ends, characters = (np.fromfile(folder / f"{name}.bin", np.int64) for name in ("ends", "characters"))
    hashes = np.fromfile(folder / "hashes.bin", np.uint64)
    return Shard(tokens, ends, characters, hashes, lock, Report.from_dict(meta["report"]))


def _write_shard(
    folder: Path,
    documents: Iterable[str],
    report: Report,
    tokenizer: PreTrainedTokenizerBase,
    threads: int,
    listen: Callable[[], None],
) -> None:
    """Goes on from where the folder's files are good. `report` is complete once the documents are read."""
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    with _ShardWriter(folder, dtype) as writer:
        batches = _batches(documents, skip=writer.documents)
        try:
            for batch, encoded in _in_order(batches, tokenizer.backend_tokenizer, dtype, threads):
                writer.add(batch, encoded)
                listen()
        except (Stopped, Killed):
            writer.save()
            raise
        writer.finish(report)


class _ShardWriter:
    """Appends to a shard's files, of which it first drops what was not good."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self._folder, self._dtype = folder, dtype
        self._journal = folder / "progress.json"
        self.documents, self.tokens = self._good()
        self._unsaved = 0  # characters
        self._files = ExitStack()

    def _sizes(self, documents: int, tokens: int) -> dict[str, int]:
        lists = dict.fromkeys(("ends.bin", "characters.bin", "hashes.bin"), 8 * documents)
        return {"tokens.bin": tokens * self._dtype.itemsize, **lists}

    def _good(self) -> tuple[int, int]:
        """(documents, tokens); none where a file has lost of what was good."""
        try:
            good = json.loads(self._journal.read_text())
            sizes = self._sizes(good["documents"], good["tokens"])
            complete = all((self._folder / name).stat().st_size >= size for name, size in sizes.items())
        except (FileNotFoundError, ValueError):
            return 0, 0
        return (good["documents"], good["tokens"]) if complete else (0, 0)

    def __enter__(self) -> "_ShardWriter":
        opened = {}
        for name, size in self._sizes(self.documents, self.tokens).items():
            opened[name] = self._files.enter_context((self._folder / name).open("ab"))
            opened[name].truncate(size)
        self._tokens, self._ends, self._characters, self._hashes = opened.values()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, batch: list[str], encoded: EncodedDocuments) -> None:
        ends = self.tokens + np.cumsum(encoded.lengths)
        characters = np.fromiter(map(len, batch), np.int64, len(batch))
        self._tokens.write(encoded.tokens)
        for out, values in ((self._ends, ends), (self._characters, characters), (self._hashes, encoded.hashes)):
            out.write(values.tobytes())
        self.documents += len(batch)
        self.tokens += int(encoded.lengths.sum())
        self._unsaved += int(characters.sum())
        if self._unsaved >= SAVED_CHARS:
            self.save()

    def save(self) -> None:
        for out in (self._tokens, self._ends, self._characters, self._hashes):
            sync_open(out)
        fresh = self._journal.with_suffix(".new")
        with fresh.open("w") as journal:
            json.dump({"documents": self.documents, "tokens": self.tokens}, journal)
            sync_open(journal)
        fresh.replace(self._journal)
        self._unsaved = 0

    def finish(self, report: Report) -> None:
        self.save()
        counts = {"tokens": self.tokens, "documents": self.documents}
        meta = {"dtype": self._dtype.name, **counts, "report": asdict(report)}
        (self._folder / "shard.json").write_text(json.dumps(meta))
        self._journal.unlink()


def _in_order(
    batches: Iterator[list[str]], tokenizer: Tokenizer, dtype: np.dtype[Any], threads: int
) -> Iterator[tuple[list[str], EncodedDocuments]]:
    """Each batch and what becomes of it; from much text, processes make it, and this one reads ahead of them."""
    yield from _encoded(itertools.islice(batches, ALONE if threads > 1 else None), tokenizer, dtype)
    if (first := next(batches, None)) is None:
        return
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


def _encoded(
    batches: Iterable[list[str]], tokenizer: Tokenizer, dtype: np.dtype[Any]
) -> Iterator[tuple[list[str], EncodedDocuments]]:
    encode = make_encoder(tokenizer, dtype)
    for batch in batches:
        yield batch, encode(batch)


def _batches(documents: Iterable[str], skip: int) -> Iterator[list[str]]:
    """All but the first `skip` documents; in their place come empty batches, so that whoever listens hears."""
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
