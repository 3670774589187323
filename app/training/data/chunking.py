"""The places where a text may be cut so that its parts, encoded one by one, give exactly the text's own tokens.

Whether a text may be cut between two bytes of its UTF-8 depends only on the classes of the two bytes: see
`Chunking`. A cut is allowed only where the tokenizer

- normalizes both sides as it normalizes the whole: by character, or by Unicode's normal forms, which neither
  compose with nor reorder across a following ASCII character;
- never forms a pre-token across the cut, whatever the rest of the text is.

Texts that contain an added token are not cut at all. If the tokenizer's own description does not show that
cuts are safe, `find_chunking` returns None.
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
_SOLID = [LETTER, DIGIT, APOSTROPHE, MARK, OTHER]  # OTHER includes Unicode's spaces, see `keeps_space`

# Common Unicode spaces, which tokenizers that drop white space treat as a space.
_SPACES = ("\u00a0", "\u202f", "\u3000", "\u2009")

_FORMS = {"NFC", "NFD", "NFKC", "NFKD"}
_BERT = ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
# Cloze's new WordPiece tokenizers cut long words after BertPreTokenizer, each word by itself.
_CUTS = {"type": "Split", "pattern": {"Regex": LONG_WORDS}, "behavior": "Isolated", "invert": False}
# DeBERTa's normalizers are safe: a run of white space lies on one side of every cut, and no part ends in one.
_RUNS = {"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "}
_RIGHT = {"type": "Strip", "strip_left": False, "strip_right": True}
_MADE_BY_FORMS = frozenset(";`K")  # ASCII characters that NFC and NFD make from other ones


@dataclass(frozen=True)
class Chunking:
    """How the texts of one tokenizer may be cut.

    Attributes:
        cuts: [8, 8] bool, whether a text may be cut between a byte of the first class and one of the second.
        keeps_space: White space makes tokens. Then a text is not cut after a Unicode space that is not ASCII.
        words: A lowered word of at most WORD_CHARS ASCII letters and digits, and a single ASCII mark, may be given
            to the tokenizer's model directly.
        lowers: A to Z may be lowered before the text is cut.
        added: Texts that contain one of these added tokens are not cut.
        separator: An added token and its id. Parts joined by it may be encoded as one text.
        composes: Words are normalized to NFC, which joins <, = or > and a combining slash to a letter of a word. These
            marks are then of the class OTHER.
    """

    cuts: NDArray[np.bool_]
    keeps_space: bool
    words: bool
    lowers: bool
    added: tuple[str, ...]
    separator: tuple[str, int] | None
    composes: bool = False


def find_chunking(tokenizer: Tokenizer) -> Chunking | None:
    """Derives from the tokenizer's description where texts may be cut. Returns None if that cannot be shown."""
    described: Json = json.loads(tokenizer.to_str())
    added, model = described["added_tokens"], described["model"]
    normalizers = _flat(described["normalizer"], "normalizers")
    pre_tokenizers = _flat(described["pre_tokenizer"], "pretokenizers")
    if model["type"] not in ("WordPiece", "BPE", "Unigram", "WordLevel") or model.get("dropout"):
        return None
    if described["truncation"] or described["padding"]:
        return None
    # Unicode's form NFC changes no ASCII character, and no word of them.
    composes = bool(normalizers) and normalizers[0]["type"] == "NFC"
    others = normalizers[composes:]
    bert = [part["type"] for part in (*others, *pre_tokenizers, model) if part != _CUTS] == _BERT
    drops_space = _drops_space(pre_tokenizers)
    cuts = _cuts_of_words(marks=bert) if drops_space else _cuts_before_space(pre_tokenizers)
    if cuts is None or not all(map(_is_local if drops_space else _keeps_runs, normalizers)):
        return None
    if not all(_is_plain(token, normalizers, drops_space) for token in added):
        return None
    contents = tuple(t["content"] for t in added if t["content"].strip())
    # Lowering a word could make an added token of letters alone.
    lowers = bert and others[0]["lowercase"] and not any(re.fullmatch(r"[\w\s]*", c) for c in contents)
    return Chunking(
        cuts=cuts,
        keeps_space=not drops_space,
        words=bert and lowers == others[0]["lowercase"],
        lowers=lowers,
        added=contents,
        separator=_separator(added),
        composes=composes,
    )


class Splitter:
    """Cuts documents wherever a Chunking allows it."""

    def __init__(self, chunking: Chunking) -> None:
        byte_classes = _classes()
        if chunking.composes:
            byte_classes[list(b"<=>")] = OTHER
        self._first, self._second = (byte_classes * 8).tobytes(), byte_classes.tobytes()
        self._cuts = np.resize(chunking.cuts.astype(np.uint8), 256).tobytes()
        letters = np.arange(256, dtype=np.uint8)
        if chunking.lowers:
            letters[ord("A") : ord("Z") + 1] += 32
        self._letters = letters.tobytes()
        self._spaces = () if chunking.keeps_space else _SPACES

    def __call__(self, documents: Sequence[str]) -> tuple[pa.Array, Ints]:
        """Returns ([K] parts of all documents, [D + 1] the index of each document's first part)."""
        encoded = [self._replace_spaces(document).encode() for document in documents]
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

    def _replace_spaces(self, document: str) -> str:
        if not document.isascii():
            for space in self._spaces:
                document = document.replace(space, " ")
        return document


def _classes() -> NDArray[np.uint8]:
    """Returns the class of every byte, [256]."""
    table = np.full(256, OTHER, np.uint8)
    for byte in range(0x21, 0x7F):
        letter = chr(byte)
        table[byte] = LETTER if letter.isalpha() else DIGIT if letter.isdigit() else MARK
    table[ord("'")], table[ord(" ")], table[ord("\n")] = APOSTROPHE, SPACE, LINE
    table[[ord("\t"), ord("\r")]] = TAB
    return table


def _flat(part: Json | None, key: str) -> list[Json]:
    """Returns the steps of a normalizer or pre-tokenizer, with nested sequences flattened."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [each for inner in part[key] for each in _flat(inner, key)]
    return [part]


def _drops_space(parts: list[Json]) -> bool:
    """Returns True if the first step splits at white space and drops it, so that later steps see single words."""
    return (
        bool(parts)
        and parts[0]["type"] in ("BertPreTokenizer", "WhitespaceSplit")
        and all(
            p["type"] in ("BertPreTokenizer", "Punctuation", "Digits") or p == _CUTS or _begins_at_space(p)
            for p in parts[1:]
        )
    )


def _begins_at_space(part: Json) -> bool:
    """Returns True if a space after anything but white space always begins a pre-token."""
    if part["type"] == "ByteLevel":
        return bool(part["use_regex"])
    # "first" depends on where in the text a part stands.
    return part["type"] == "Metaspace" and part["split"] and part["prepend_scheme"] in ("always", "never")


def _cuts_of_words(marks: bool) -> NDArray[np.bool_]:
    """Returns the cuts, [8, 8], of a tokenizer that drops white space. marks: whether it splits off ASCII marks."""
    cuts = np.zeros((8, 8), np.bool_)
    cuts[np.ix_(_SOLID, _WHITE)] = True
    if marks:  # each is a pre-token of its own
        cuts[np.ix_([MARK, APOSTROPHE], _SOLID)] = cuts[np.ix_(_SOLID, [MARK, APOSTROPHE])] = True
    return cuts


def _cuts_before_space(parts: list[Json]) -> NDArray[np.bool_] | None:
    """Returns the cuts, [8, 8], of a tokenizer whose white space makes tokens, or None if there are none."""
    if len(parts) != 1 or not _begins_at_space(parts[0]):
        return None
    cuts = np.zeros((8, 8), np.bool_)
    cuts[_SOLID, SPACE] = True
    if parts[0]["type"] == "ByteLevel" and not parts[0]["add_prefix_space"]:
        cuts[_SOLID, LINE] = True
        # A cut between letters, digits and marks is safe too, but not after an apostrophe, as in contractions.
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
    """Returns True if the normalizer treats every word by itself."""
    if part["type"] == "Replace":
        pattern = part["pattern"].get("String")
        return bool(pattern) and not re.search(r"\s", pattern + part["content"])
    return part["type"] in _FORMS | {"BertNormalizer", "Lowercase", "StripAccents"}


def _keeps_runs(part: Json) -> bool:
    """Returns True if the normalizer is local, and neither makes nor removes white space at a cut."""
    return part["type"] in ("NFC", "NFD") or part in (_RUNS, _RIGHT)


def _is_plain(token: Json, normalizers: list[Json], drops_space: bool) -> bool:
    """Returns True if a search in the text before normalization finds every occurrence of an added token.

    A token of white space alone needs no search: it lies within a run of white space, which is not cut.
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
    """Returns an added token that is recognised between any two texts without added tokens, and its id."""
    contents = [t["content"] for t in added]
    for token in added:
        mark = token["content"]
        overlapping = any(c[k:].startswith(mark) or mark.startswith(c[k:]) for c in contents for k in range(1, len(c)))
        longer = any(c.startswith(mark) for c in contents if c != mark)
        if not (overlapping or longer or any(token[k] for k in ("lstrip", "rstrip", "single_word", "normalized"))):
            return mark, int(token["id"])
    return None
