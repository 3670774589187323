"""Documents tokenised once, kept in memory-mapped shards, shared by every job over the same data.

A shard's folder is named by the hash of all that it depends on: the file's content, the column
and the tokenizer. It holds

    tokens.bin       all documents' token ids end to end, without special tokens, uint16 or uint32
    ends.npy         [documents] int64, where each document ends in tokens.bin
    characters.npy   [documents] int64, how long each document is
    hashes.npy       [documents] uint64, of each document's normalised text
    shard.json       counts
"""

import hashlib
import itertools
import json
import os
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from app.media.documents import COMPRESSIONS, read_documents
from app.training.cache import hold
from app.training.job import SourceFile

SHARD_FORMAT = 2
BATCH_CHARS = 2_000_000  # text in flight at once; the encodings of it take some hundred MB
PACKED_SHARE = 3  # a compressed text's shard is up to so many times its size; a plain one's is smaller than it
PIECE_CHARS = 100_000  # longer documents are cut at white space, only to be encoded


@dataclass(frozen=True)
class Shard:
    tokens: NDArray[Any]  # memory-mapped
    ends: NDArray[np.int64]  # [D]
    characters: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # [D]
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))  # [D]
    lock: IO[bytes] | None = None  # while it is open, the cache keeps the shard

    @property
    def starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], self.ends[:-1]])


def tokenize_file(
    file: SourceFile,
    column: str,
    tokenizer: PreTrainedTokenizerBase,
    cache_dir: Path,
    on_progress: Callable[[int], None] = lambda tokens: None,
) -> Shard:
    """The file's shard, from the cache or made now; memory stays bounded whatever the file's size.

    Encoding uses every core that TOKENIZERS_PARALLELISM and the affinity allow. `on_progress`
    hears the number of tokens so far. Raises InvalidData as `read_documents` does.
    """
    folder = cache_dir / "tokens" / _key(file, column, tokenizer)

    def make(aside: Path) -> None:
        _write_shard(aside, read_documents(file.path, file.filename, column), tokenizer, on_progress)

    return _open_shard(folder, hold(folder, make))


def missing_bytes(file: SourceFile, column: str, tokenizer: PreTrainedTokenizerBase, cache_dir: Path) -> int:
    """About how much the file's shard will add to the cache; 0 if it is there."""
    if (cache_dir / "tokens" / _key(file, column, tokenizer)).exists():
        return 0
    packed = Path(file.filename).suffix.lower() in {*COMPRESSIONS, ".zip", ".parquet"}
    return file.path.stat().st_size * (PACKED_SHARE if packed else 1)


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
    ends, characters, hashes = (np.load(folder / f"{name}.npy") for name in ("ends", "characters", "hashes"))
    return Shard(tokens, ends, characters, hashes, lock)


def _write_shard(
    folder: Path, documents: Iterable[str], tokenizer: PreTrainedTokenizerBase, on_progress: Callable[[int], None]
) -> None:
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    ends, characters, hashes = array("q"), array("q"), array("Q")
    total = 0
    with (folder / "tokens.bin").open("wb") as out:
        for batch in _batches(documents):
            pieces = [list(_pieces(document)) for document in batch]
            flat = list(itertools.chain.from_iterable(pieces))
            encoded = iter(tokenizer.backend_tokenizer.encode_batch_fast(flat, add_special_tokens=False))
            for document, parts in zip(batch, pieces, strict=True):
                for encoding in itertools.islice(encoded, len(parts)):
                    ids = np.asarray(encoding.ids, dtype=dtype)
                    out.write(ids.tobytes())
                    total += len(ids)
                ends.append(total)
                characters.append(len(document))
                hashes.append(text_hash(document))
            on_progress(total)
        out.flush()
        os.fsync(out.fileno())
    np.save(folder / "ends.npy", np.array(ends, dtype=np.int64))
    np.save(folder / "characters.npy", np.array(characters, dtype=np.int64))
    np.save(folder / "hashes.npy", np.array(hashes, dtype=np.uint64))
    (folder / "shard.json").write_text(json.dumps({"dtype": dtype.name, "tokens": total, "documents": len(ends)}))


def text_hash(document: str) -> int:
    """64 bits of what remains of a text when case, white space and Unicode's ways to spell do not count."""
    normal = " ".join(unicodedata.normalize("NFKC", document).casefold().split())
    return int.from_bytes(hashlib.blake2b(normal.encode(errors="surrogatepass"), digest_size=8).digest())


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for document in documents:
        batch.append(document)
        chars += len(document)
        if chars >= BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _pieces(document: str) -> Iterator[str]:
    start = 0
    while len(document) - start > PIECE_CHARS:
        cut = document.rfind(" ", start + 1, start + PIECE_CHARS)
        cut = cut if cut > start else start + PIECE_CHARS
        yield document[start:cut]
        start = cut
    yield document[start:]
