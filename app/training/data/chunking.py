"""Where a text may be cut so that its parts, encoded one by one, give exactly the text's own tokens.

Whether it may be cut between two bytes of its UTF-8 depends on their classes alone: see `Chunking`. A cut is
allowed only where the tokenizer

- normalises both sides as it does the whole: by character, or by Unicode's normal forms, which neither
  compose with nor reorder across a following ASCII character;
- never forms a pre-token across it, whatever stands further away.

Texts that hold an added token are not cut at all. What cannot be shown from the tokenizer's own description
is not cut either: `find_chunking` gives None.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.methods.text import LONG_WORDS

Json = dict[str, Any]
Ints = NDArray[np.int64]

SPACE, LINE, TAB, LETTER, DIGIT, APOSTROPHE, MARK, OTHER = range(8)
_WHITE = [SPACE, LINE, TAB]
_SOLID = [LETTER, DIGIT, APOSTROPHE, MARK, OTHER]  # of OTHER, which holds Unicode's spaces too, see `keeps_space`

# Unicode's common ones, which tokenizers that drop white space take for a space.
_SPACES = ("\u00a0", "\u202f", "\u3000", "\u2009")

_FORMS = {"NFC", "NFD", "NFKC", "NFKD"}
_BERT = ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
# New WordPiece tokenizers cut the words that BertPreTokenizer gives, each by itself.
_CUTS = {"type": "Split", "pattern": {"Regex": LONG_WORDS}, "behavior": "Isolated", "invert": False}
# DeBERTa's: a run of white space lies on one side of every cut, and no part ends in one.
_RUNS = {"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "}
_RIGHT = {"type": "Strip", "strip_left": False, "strip_right": True}
_MADE_BY_FORMS = frozenset(";`K")  # ASCII that NFC and NFD make of something else


@dataclass(frozen=True)
class Chunking:
    """cuts: [8, 8] bool, whether a text may be cut between a byte of the first class and one of the second.

    keeps_space: white space makes tokens; then a text is not cut after a Unicode space that is not ASCII.
    lowers: A to Z may be lowered beforehand. words: then a word of at most WORD_CHARS ASCII letters and digits, and an
    ASCII mark, go to the tokenizer's model as they are. added: texts that hold one of these are not cut. separator: an
    added token, and its id, that may stand between parts to have many of them encoded as one text.
    """

    cuts: NDArray[np.bool_]
    keeps_space: bool
    words: bool
    lowers: bool
    added: tuple[str, ...]
    separator: tuple[str, int] | None


def find_chunking(tokenizer: Tokenizer) -> Chunking | None:
    described: Json = json.loads(tokenizer.to_str())
    added, model = described["added_tokens"], described["model"]
    normalizers = _flat(described["normalizer"], "normalizers")
    pre_tokenizers = _flat(described["pre_tokenizer"], "pretokenizers")
    if model["type"] not in ("WordPiece", "BPE", "Unigram", "WordLevel") or model.get("dropout"):
        return None
    if described["truncation"] or described["padding"]:
        return None
    bert = [part["type"] for part in (*normalizers, *pre_tokenizers, model) if part != _CUTS] == _BERT
    drops_space = _drops_space(pre_tokenizers)
    cuts = _cuts_of_words(marks=bert) if drops_space else _cuts_before_space(pre_tokenizers)
    if cuts is None or not all(map(_is_local if drops_space else _keeps_runs, normalizers)):
        return None
    if not all(_is_plain(token, normalizers, drops_space) for token in added):
        return None
    contents = tuple(t["content"] for t in added if t["content"].strip())
    # An added token without marks could be what lowering makes of a word.
    lowers = bert and normalizers[0]["lowercase"] and not any(re.fullmatch(r"[\w\s]*", c) for c in contents)
    return Chunking(
        cuts=cuts,
        keeps_space=not drops_space,
        words=bert and lowers == normalizers[0]["lowercase"],
        lowers=lowers,
        added=contents,
        separator=_separator(added),
    )


class Splitter:
    """Cuts documents wherever they may be cut."""

    def __init__(self, chunking: Chunking) -> None:
        byte_classes = _classes()
        self._first, self._second = (byte_classes * 8).tobytes(), byte_classes.tobytes()
        self._cuts = np.resize(chunking.cuts.astype(np.uint8), 256).tobytes()
        letters = np.arange(256, dtype=np.uint8)
        if chunking.lowers:
            letters[ord("A") : ord("Z") + 1] += 32
        self._letters = letters.tobytes()
        self._spaces = () if chunking.keeps_space else _SPACES

    def __call__(self, documents: Sequence[str]) -> tuple[pa.Array, Ints]:
        """→ ([K] parts, [D + 1] where each document begins among them)"""
        encoded = [self._even(document).encode() for document in documents]
        edges = np.cumsum([0, *map(len, encoded)])
        text = b"".join(encoded)
        pairs = (
            np.frombuffer(text.translate(self._first), np.uint8)[:-1]
            | np.frombuffer(text.translate(self._second), np.uint8)[1:]
        )
        cut = np.frombuffer(bytearray(pairs.tobytes().translate(self._cuts)), np.bool_)
        cut[edges[(edges > 0) & (edges < len(text))] - 1] = True
        starts = np.concatenate([[0][: len(text)], np.flatnonzero(cut) + 1, [len(text)]])
        buffers = pa.py_buffer(starts.astype(np.int64)), pa.py_buffer(text.translate(self._letters))
        return pa.LargeStringArray.from_buffers(len(starts) - 1, *buffers), np.searchsorted(starts, edges)

    def _even(self, document: str) -> str:
        if not document.isascii():
            for space in self._spaces:
                document = document.replace(space, " ")
        return document


def _classes() -> NDArray[np.uint8]:
    """[256], of bytes."""
    table = np.full(256, OTHER, np.uint8)
    for byte in range(0x21, 0x7F):
        letter = chr(byte)
        table[byte] = LETTER if letter.isalpha() else DIGIT if letter.isdigit() else MARK
    table[ord("'")], table[ord(" ")], table[ord("\n")] = APOSTROPHE, SPACE, LINE
    table[[ord("\t"), ord("\r")]] = TAB
    return table


def _flat(part: Json | None, key: str) -> list[Json]:
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [each for inner in part[key] for each in _flat(inner, key)]
    return [part]


def _drops_space(parts: list[Json]) -> bool:
    """They first cut at white space and leave it out; what follows sees no more than one word at a time."""
    return (
        bool(parts)
        and parts[0]["type"] in ("BertPreTokenizer", "WhitespaceSplit")
        and all(
            p["type"] in ("BertPreTokenizer", "Punctuation", "Digits") or p == _CUTS or _begins_at_space(p)
            for p in parts[1:]
        )
    )


def _begins_at_space(part: Json) -> bool:
    """A space that follows something else than white space begins a pre-token, whatever stands before it."""
    if part["type"] == "ByteLevel":
        return bool(part["use_regex"])
    # "first" would have to know what part of the text it sees.
    return part["type"] == "Metaspace" and part["split"] and part["prepend_scheme"] in ("always", "never")


def _cuts_of_words(marks: bool) -> NDArray[np.bool_]:
    cuts = np.zeros((8, 8), np.bool_)
    cuts[np.ix_(_SOLID, _WHITE)] = True
    if marks:  # each is a pre-token of its own
        cuts[np.ix_([MARK, APOSTROPHE], _SOLID)] = cuts[np.ix_(_SOLID, [MARK, APOSTROPHE])] = True
    return cuts


def _cuts_before_space(parts: list[Json]) -> NDArray[np.bool_] | None:
    if len(parts) != 1 or not _begins_at_space(parts[0]):
        return None
    cuts = np.zeros((8, 8), np.bool_)
    cuts[_SOLID, SPACE] = True
    if parts[0]["type"] == "ByteLevel" and not parts[0]["add_prefix_space"]:
        cuts[_SOLID, LINE] = True
        # Between letters, digits and marks too; but an apostrophe may begin a contraction.
        for first, second in (
            (LETTER, DIGIT),
            (LETTER, MARK),
            (LETTER, APOSTROPHE),
            (DIGIT, MARK),
            (DIGIT, APOSTROPHE),
        ):
            cuts[first, second] = True
        cuts[DIGIT, LETTER] = cuts[MARK, LETTER] = cuts[MARK, DIGIT] = True
    return cuts


def _is_local(part: Json) -> bool:
    if part["type"] == "Replace":
        pattern = part["pattern"].get("String")
        return bool(pattern) and not re.search(r"\s", pattern + part["content"])
    return part["type"] in _FORMS | {"BertNormalizer", "Lowercase", "StripAccents"}


def _keeps_runs(part: Json) -> bool:
    """As local, and neither makes nor removes white space at a cut."""
    return part["type"] in ("NFC", "NFD") or part in (_RUNS, _RIGHT)


def _is_plain(token: Json, normalizers: list[Json], drops_space: bool) -> bool:
    """Whether looking for it in a text that is not normalised yet finds all its occurrences.

    One of white space alone is not looked for: it lies within a run, which is not cut.
    """
    content = token["content"]
    if not content.strip():
        flags = token["lstrip"] or token["rstrip"] or token["single_word"]
        return bool(content) and not drops_space and not flags
    if not token["normalized"] or not normalizers:
        return True
    forms = all(part["type"] in ("NFC", "NFD") for part in normalizers)
    return forms and content.isascii() and not _MADE_BY_FORMS & set(content)


def _separator(added: list[Json]) -> tuple[str, int] | None:
    """One that is found wherever it is written, between whatever holds no added token."""
    contents = [t["content"] for t in added]
    for token in added:
        mark = token["content"]
        overlapping = any(c[k:].startswith(mark) or mark.startswith(c[k:]) for c in contents for k in range(1, len(c)))
        longer = any(c.startswith(mark) for c in contents if c != mark)
        if not (overlapping or longer or any(token[k] for k in ("lstrip", "rstrip", "single_word", "normalized"))):
            return mark, int(token["id"])
    return None
