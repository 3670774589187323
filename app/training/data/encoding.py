"""The encoding of documents to token ids and hashes, many times as fast as the tokenizer and exactly equal to it.

Most words of a text have been encoded before. Where `find_chunking` shows that the parts of a text can be
encoded one by one, each part is encoded once and then looked up in a `TokenCache`. NumPy and pyarrow split
the texts and join the tokens. `EncodingProcesses` runs encoders on several CPU cores.
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

PIECE_CHARS = 100_000  # characters of a document that the tokenizer gets at once; longer ones are cut at white space
TOGETHER = 500  # parts that are joined and encoded as one text


class EncodedDocuments(NamedTuple):
    """The tokens and hashes of D documents."""

    tokens: bytes  # of all documents, end to end
    lengths: Ints  # [D] tokens of each
    hashes: NDArray[np.uint64]  # [D] see `text_hash`
    exact_hashes: NDArray[np.uint64]  # [D] see `exact_hash`


def make_encoder(tokenizer: Tokenizer, dtype: np.dtype[Any]) -> Callable[[Sequence[str]], EncodedDocuments]:
    """Returns the fastest encoder that is exact for the tokenizer. dtype: of the ids, an unsigned integer."""
    chunking = find_chunking(tokenizer)
    return PartEncoder(tokenizer, dtype, chunking) if chunking else WholeEncoder(tokenizer, dtype)


class WholeEncoder:
    """Encodes every document with the tokenizer."""

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
        return EncodedDocuments(b"".join(tokens), np.array(lengths, np.int64), hashes, _exact_hashes(documents))


class PartEncoder:
    """Cuts documents into parts and looks up the tokens of each part."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], chunking: Chunking) -> None:
        self._dtype, self._chunking = dtype, chunking
        self._whole = WholeEncoder(tokenizer, dtype)
        self._encode_parts = PartTokenizer(tokenizer, dtype, chunking)
        self._split = Splitter(chunking)
        self._first_characters = {content[0] for content in chunking.added}
        self._cache = TokenCache()

    def __call__(self, documents: Sequence[str]) -> EncodedDocuments:
        uncut = {number for number, document in enumerate(documents) if self._contains_added(document)}
        parts, edges = self._split(["" if number in uncut else text for number, text in enumerate(documents)])
        ids, normals, alone = self._look_up(parts)
        irregular = set((np.searchsorted(edges, alone, side="right") - 1).tolist())  # with a part that stands alone
        if self._chunking.keeps_space:
            uncut |= irregular
        encoded = self._gather(documents, sorted(uncut), _edges(ids)[edges], _edges(normals)[edges], ids, normals)
        for number in irregular - uncut:
            encoded.hashes[number] = text_hash(documents[number])
        return encoded

    def _contains_added(self, document: str) -> bool:
        # Few documents contain even the first character of an added token.
        if not any(character in document for character in self._first_characters):
            return False
        return any(content in document for content in self._chunking.added)

    def _gather(
        self,
        documents: Sequence[str],
        uncut: Sequence[int],
        ends: Ints,
        normal_ends: Ints,
        ids: pa.Array,
        normals: pa.Array,
    ) -> EncodedDocuments:
        """Joins the parts of each document, and encodes those that must not be cut.

        Args:
            uncut: The numbers of the documents that must not be cut, in order.
            ends: [D + 1] edges of the documents in the bytes of `ids`.
            normal_ends: [D + 1] edges of the documents in the bytes of `normals`.
            ids: Token ids of each part.
            normals: Normal form of each part.
        """
        data, texts = _bytes(ids), _bytes(normals)
        lengths = np.diff(ends) // self._dtype.itemsize
        hashes = [_hash(_strip_first_space(texts[a:b])) for a, b in itertools.pairwise(normal_ends.tolist())]
        tokens: list[bytes | memoryview] = []
        done = 0
        for number in uncut:
            one = self._whole([documents[number]])
            tokens += [data[done : ends[number]], one.tokens]
            done = ends[number + 1]
            lengths[number], hashes[number] = one.lengths[0], int(one.hashes[0])
        tokens.append(data[done : ends[-1]])
        return EncodedDocuments(b"".join(tokens), lengths, np.array(hashes, np.uint64), _exact_hashes(documents))

    def _look_up(self, parts: pa.Array) -> tuple[pa.Array, pa.Array, Ints]:
        """Returns ([K] ids, [K] normal forms, the indices of parts that stand alone)."""
        if self._cache.full:
            self._cache = TokenCache()
        unique = parts.dictionary_encode()
        found = self._cache.look_up(unique.dictionary.to_pylist(), self._encode_new)
        numbers = found.numbers[unique.indices.to_numpy()]
        where = pa.array(numbers)
        return found.ids.take(where), found.normals.take(where), np.flatnonzero(found.alone[numbers])

    def _encode_new(self, parts: Sequence[str]) -> EncodedParts:
        normals, alone = zip(*map(normal_form, parts), strict=True)
        return EncodedParts(self._encode_parts(parts), normals, alone)


def normal_form(part: str) -> tuple[bytes, bool]:
    """Returns (the part's contribution to the text that is hashed, whether it stands alone): see `EncodedParts`."""
    if part.isascii():
        word = part.lstrip(" ")
        if word.isalnum() and len(word) + 1 >= len(part):  # the common case
            return part.lower().encode(), False
        normal, alone = part.lower(), False
    else:
        normal = unicodedata.normalize("NFKC", part).casefold()
        # A combining slash changes an =, < or > in front of it.
        alone = unicodedata.normalize("NFKC", "=" + part)[0] != "="
    # White space may only stand in front.
    alone = alone or bool(part.strip(" \n\t\r") and normal[-1].isspace())
    words = " ".join(normal.split())
    return (" " + words if words and normal[0].isspace() else words).encode(), alone


class PartTokenizer:
    """Encodes new parts, joined into few long texts: a call of the tokenizer costs more than a word."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], chunking: Chunking) -> None:
        self._tokenizer, self._dtype, self._chunking = tokenizer, dtype, chunking
        self._model = tokenizer.model

    def __call__(self, parts: Sequence[str]) -> list[bytes]:
        """Returns the ids of each part. The parts contain no added tokens."""
        found: list[bytes | None] = [None] * len(parts)
        if self._chunking.words:
            for n, part in enumerate(parts):
                word = part.lstrip(" \n\t\r")
                plain = len(word) <= WORD_CHARS and word.isascii()
                if plain and (word.isalnum() or (len(word) == 1 and word.isprintable())):
                    found[n] = self._pack([token.id for token in self._model.tokenize(word)])
        missing = [n for n, ids in enumerate(found) if ids is None]
        for n, ids in zip(missing, self._encode([parts[n] for n in missing]), strict=True):
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
            else:  # the model has made a separator from other text
                encoded += map(self._pack, self._ids(group))
        return encoded

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _pack(self, ids: Sequence[int]) -> bytes:
        return array(self._dtype.char, ids).tobytes()


def _edges(values: pa.Array) -> Ints:
    """Returns the edges of the values, [K + 1], in `_bytes`."""
    return np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]


def _strip_first_space(text: memoryview) -> memoryview:
    return text[1:] if bytes(text[:1]) == b" " else text


def _bytes(values: pa.Array) -> memoryview:
    data = values.buffers()[2]
    return memoryview(b"" if data is None else data)


def text_hash(document: str) -> int:
    """Returns a hash of 64 bits that ignores case, white space and differences that NFKC removes."""
    return _hash(" ".join(_words(document)).encode(errors="surrogatepass"))


def exact_hash(document: str) -> int:
    """Returns a hash of 64 bits of the document as it is: case and white space count."""
    return _hash(document.encode(errors="surrogatepass"))


def _exact_hashes(documents: Sequence[str]) -> NDArray[np.uint64]:
    return np.fromiter(map(exact_hash, documents), np.uint64, len(documents))


def _words(text: str) -> list[str]:
    if text.isascii():
        return text.lower().split()
    return unicodedata.normalize("NFKC", text).casefold().split()


def _hash(text: bytes | memoryview) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _pieces(document: str) -> Iterator[str]:
    """Yields the parts of a document that the tokenizer gets at once."""
    start = 0
    while len(document) - start > PIECE_CHARS:
        cut = document.rfind(" ", start + 1, start + PIECE_CHARS)
        cut = cut if cut > start else start + PIECE_CHARS
        yield document[start:cut]
        start = cut
    yield document[start:]
