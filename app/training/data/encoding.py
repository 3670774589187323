"""Documents → token ids and hashes, many times as fast as the tokenizer alone, and exactly what it gives.

Text repeats itself: most of its words have been encoded before. Where `find_chunking` shows that a
text's parts can be encoded one by one, a part is encoded when it first comes, and then looked up (`Parts`).
Splitting and putting together run in NumPy and pyarrow. `EncodingProcesses` has several processors do it.
"""

import hashlib
import itertools
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.methods.text import WORD_CHARS
from app.training.data.chunking import Chunking, Ints, Splitter, find_chunking
from app.training.data.token_cache import EncodedParts, TokenCache

PIECE_CHARS = 100_000  # longer documents are cut at white space, only to be encoded
TOGETHER = 500  # parts encoded as one text


class EncodedDocuments(NamedTuple):
    tokens: bytes  # of all documents, end to end
    lengths: Ints  # [D] tokens of each
    hashes: NDArray[np.uint64]  # [D]


def make_encoder(tokenizer: Tokenizer, dtype: np.dtype[Any]) -> Callable[[Sequence[str]], EncodedDocuments]:
    """dtype: of the ids, an unsigned integer."""
    chunking = find_chunking(tokenizer)
    return PartEncoder(tokenizer, dtype, chunking) if chunking else WholeEncoder(tokenizer, dtype)


class WholeEncoder:
    """Asks the tokenizer for every document."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any]) -> None:
        self._tokenizer, self._dtype = tokenizer, dtype

    def __call__(self, documents: Sequence[str]) -> EncodedDocuments:
        pieces = [list(_pieces(document)) for document in documents]
        flat = [piece for parts in pieces for piece in parts]
        encoded = iter(self._tokenizer.encode_batch_fast(flat, add_special_tokens=False))
        tokens, lengths = [], []
        for parts in pieces:
            ids = [np.asarray(next(encoded).ids, dtype=self._dtype) for _ in parts]
            tokens += [each.tobytes() for each in ids]
            lengths.append(sum(map(len, ids)))
        hashes = np.fromiter(map(text_hash, documents), np.uint64, len(documents))
        return EncodedDocuments(b"".join(tokens), np.array(lengths, np.int64), hashes)


class PartEncoder:
    """Looks up the tokens of a document's parts."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], chunking: Chunking) -> None:
        self._dtype, self._chunking = dtype, chunking
        self._whole = WholeEncoder(tokenizer, dtype)
        self._encode_parts = PartTokenizer(tokenizer, dtype, chunking)
        self._cutter = Splitter(chunking)
        self._beginnings = {content[0] for content in chunking.added}
        self._parts = TokenCache()

    def __call__(self, documents: Sequence[str]) -> EncodedDocuments:
        whole = {n for n, document in enumerate(documents) if self._holds_added(document)}
        parts, edges = self._cutter(["" if n in whole else document for n, document in enumerate(documents)])
        ids, normals, alone = self._look_up(parts)
        uneven = set((np.searchsorted(edges, alone, side="right") - 1).tolist())
        if self._chunking.keeps_space:
            whole |= uneven
        encoded = self._gather(documents, sorted(whole), _edges(ids)[edges], _edges(normals)[edges], ids, normals)
        for number in uneven - whole:
            encoded.hashes[number] = text_hash(documents[number])
        return encoded

    def _holds_added(self, document: str) -> bool:
        return any(first in document for first in self._beginnings) and any(c in document for c in self._chunking.added)

    def _gather(
        self,
        documents: Sequence[str],
        whole: Sequence[int],
        ends: Ints,
        word_ends: Ints,
        ids: pa.Array,
        normals: pa.Array,
    ) -> EncodedDocuments:
        """whole: the documents that were not to be cut. ends, word_ends: [D + 1], in the bytes of ids and normals."""
        data, words = _bytes(ids), _bytes(normals)
        lengths = np.diff(ends) // self._dtype.itemsize
        # Without the space of a document that begins with one.
        hashes = [
            _hash(words[a + (bytes(words[a:b][:1]) == b" ") : b]) for a, b in itertools.pairwise(word_ends.tolist())
        ]
        tokens: list[bytes | memoryview] = []
        done = 0
        for number in whole:
            one = self._whole([documents[number]])
            tokens += [data[done : ends[number]], one.tokens]
            done = ends[number + 1]
            lengths[number], hashes[number] = one.lengths[0], int(one.hashes[0])
        tokens.append(data[done : ends[-1]])
        return EncodedDocuments(b"".join(tokens), lengths, np.array(hashes, np.uint64))

    def _look_up(self, parts: pa.Array) -> tuple[pa.Array, pa.Array, Ints]:
        """→ ([K] ids, [K] normal forms, places of parts that stand alone)"""
        if self._parts.full:
            self._parts = TokenCache()
        each = parts.dictionary_encode()
        found = self._parts.look_up(each.dictionary.to_pylist(), self._learn)
        numbers = found.numbers[each.indices.to_numpy()]
        where = pa.array(numbers)
        return found.ids.take(where), found.normals.take(where), np.flatnonzero(found.alone[numbers])

    def _learn(self, parts: Sequence[str]) -> EncodedParts:
        normals, alone = zip(*map(normal_form, parts), strict=True)
        return EncodedParts(self._encode_parts(parts), normals, alone)


def normal_form(part: str) -> tuple[bytes, bool]:
    """(what `text_hash` sees of a part, whether it stands alone): see `EncodedParts`."""
    if part.isascii():
        word = part.lstrip(" ")
        if word.isalnum() and len(word) + 1 >= len(part):  # most are so
            return part.lower().encode(), False
        normal, alone = part.lower(), False
    else:
        normal = unicodedata.normalize("NFKC", part).casefold()
        # A combining slash makes another character of the =, < or > before it.
        alone = unicodedata.normalize("NFKC", "=" + part)[0] != "="
    # Only white space in front is known to stay there.
    alone = alone or bool(part.strip(" \n\t\r") and normal[-1].isspace())
    words = " ".join(normal.split())
    return (" " + words if words and normal[0].isspace() else words).encode(), alone


class PartTokenizer:
    """Encodes new parts as few long texts: a call of a tokenizer costs more than a word."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], chunking: Chunking) -> None:
        self._tokenizer, self._dtype, self._chunking = tokenizer, dtype, chunking
        self._model = tokenizer.model

    def __call__(self, parts: Sequence[str]) -> list[bytes]:
        """parts: without added tokens"""
        found: list[bytes | None] = [None] * len(parts)
        if self._chunking.words:
            for n, part in enumerate(parts):
                word = part.lstrip(" \n\t\r")
                plain = len(word) <= WORD_CHARS and word.isascii()
                if plain and (word.isalnum() or (len(word) == 1 and word.isprintable())):
                    found[n] = self._pack([token.id for token in self._model.tokenize(word)])
        left = [n for n, ids in enumerate(found) if ids is None]
        for n, ids in zip(left, self._encode([parts[n] for n in left]), strict=True):
            found[n] = ids
        return [ids for ids in found if ids is not None]

    def _encode(self, parts: Sequence[str]) -> list[bytes]:
        if self._chunking.separator is None:
            return [self._pack(ids) for ids in self._ids(parts)]
        mark, number = self._chunking.separator
        encoded: list[bytes] = []
        groups = [parts[start : start + TOGETHER] for start in range(0, len(parts), TOGETHER)]
        for group, ids in zip(groups, self._ids([mark.join(group) for group in groups]), strict=True):
            edges = [-1, *(place for place, each in enumerate(ids) if each == number), len(ids)]
            if len(edges) == len(group) + 1:
                encoded += [self._pack(ids[a + 1 : b]) for a, b in itertools.pairwise(edges)]
            else:  # the model knows the separator too, and made one of something else
                encoded += map(self._pack, self._ids(group))
        return encoded

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _pack(self, ids: Sequence[int]) -> bytes:
        return array(self._dtype.char, ids).tobytes()


def _edges(values: pa.Array) -> Ints:
    """[K + 1], in `_bytes`."""
    return np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]


def _bytes(values: pa.Array) -> memoryview:
    data = values.buffers()[2]
    return memoryview(b"" if data is None else data)


def text_hash(document: str) -> int:
    """64 bits of what remains of a text when case, white space and Unicode's ways to spell do not count."""
    return _hash(" ".join(_words(document)).encode(errors="surrogatepass"))


def _words(text: str) -> list[str]:
    if text.isascii():
        return text.lower().split()
    return unicodedata.normalize("NFKC", text).casefold().split()


def _hash(normal: bytes | memoryview) -> int:
    return int.from_bytes(hashlib.blake2b(normal, digest_size=8).digest())


def _pieces(document: str) -> Iterator[str]:
    start = 0
    while len(document) - start > PIECE_CHARS:
        cut = document.rfind(" ", start + 1, start + PIECE_CHARS)
        cut = cut if cut > start else start + PIECE_CHARS
        yield document[start:cut]
        start = cut
    yield document[start:]
