"""The tokens that a request masks by meaning: spans of characters, words, or tokens that are drawn."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from app.errors import InvalidValue
from app.modalities.text.candidates.options import MaskChoice
from app.modalities.text.encoding import Content
from app.modalities.text.masking import choose_tokens, choose_words, run_sampler

_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAGS = range(0x1F1E6, 0x1F200)  # two of these letters are one flag


@dataclass(frozen=True)
class MaskGroup:
    """Tokens that are masked for one reason: a span, a word, or neighbours in a word that were drawn.

    start, end: characters. places: of the tokens among those of the text. word: its number; None for a span.
    """

    start: int
    end: int
    places: list[int]
    word: int | None


def check_spans(spans: Sequence[tuple[int, int]], text: str) -> None:
    """Raises InvalidValue for spans that are not parts of the text, hold no character to mask, or overlap."""
    for number, (start, end) in enumerate(spans):
        fault = None
        if not 0 <= start < end <= len(text):
            fault = f"should have 0 ≤ start < end ≤ {len(text)}, the number of characters of the text"
        elif not text[start:end].strip():
            fault = "holds white space only"
        elif _splits_character(text, start) or _splits_character(text, end):
            fault = "begins or ends within a character that is written with several code points"
        if fault:
            raise _refuse("spans", f"span {number}, [{start}, {end}], {fault}")
    for before, after in pairwise(sorted(spans)):
        if after[0] < before[1]:
            raise _refuse("spans", f"the spans {list(before)} and {list(after)} overlap")


def _splits_character(text: str, at: int) -> bool:
    """Whether `at` is within a character of several code points: with accents, joined emoji, skin tones and flags."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if unicodedata.category(after) in ("Mn", "Me") or ord(after) in _SKIN_TONES or _JOINER in (before, after):
        return True
    if ord(before) not in _FLAGS or ord(after) not in _FLAGS:
        return False
    start = at
    while start and ord(text[start - 1]) in _FLAGS:
        start -= 1
    return (at - start) % 2 == 1


def find_spans(spans: Sequence[tuple[int, int]], text: str, content: Content, places: Sequence[int]) -> list[MaskGroup]:
    """Returns a group for each span: all tokens that have a character of it.

    places: of the tokens that may be masked. Raises InvalidValue for a span without a token, and for a token of two.
    """
    bounds = [_strip(text, *content.offsets[place]) for place in places]
    firsts, lasts = np.array(bounds).T
    taken: dict[int, int] = {}
    groups = []
    for number, span in enumerate(spans):
        start, end = _strip(text, *span)
        found = np.flatnonzero((firsts < end) & (start < lasts)).tolist()
        if not found:
            raise _refuse("spans", f"span {number}, [{span[0]}, {span[1]}], holds no token that can be masked")
        for each in found:
            if taken.setdefault(each, number) != number:
                token = text[slice(*bounds[each])]
                raise _refuse("spans", f"the spans {taken[each]} and {number} are of one token, {token[:60]!r}")
        start, end = bounds[found[0]][0], max(bounds[each][1] for each in found)
        groups.append(MaskGroup(start, end, [places[each] for each in found], None))
    return groups


def find_words(words: Sequence[int], text: str, content: Content, places: Sequence[int]) -> list[MaskGroup]:
    """Returns a group for each word, by its number. Raises InvalidValue."""
    tokens: dict[int, list[int]] = {}
    for place in places:
        tokens.setdefault(content.words[place], []).append(place)
    groups = []
    for word in words:
        if word not in tokens:
            raise _refuse("words", f"the text has no word {word} that can be masked; its last one is {max(tokens)}")
        groups.append(_group(text, content, tokens[word]))
    if len(set(words)) < len(words):
        raise _refuse("words", "a word is named twice")
    return groups


def draw_groups(
    choice: MaskChoice, text: str, content: Content, places: Sequence[int], overlap: int
) -> list[MaskGroup]:
    """Returns the drawn tokens, neighbours of one word as one group."""
    words = [content.words[place] for place in places] if choice.whole_words else None
    runs: list[list[int]] = []
    for place in draw_places(places, choice.ratio or 1.0, choice.seed, overlap, words):
        if runs and runs[-1][-1] == place - 1 and content.words[place] == content.words[place - 1]:
            runs[-1].append(place)
        else:
            runs.append([place])
    return [_group(text, content, run) for run in runs]


def draw_places(
    places: Sequence[int], ratio: float, seed: int, overlap: int, words: Sequence[int] | None = None
) -> list[int]:
    """Returns the drawn ones of `places`, in order. Of overlapping k-mers whole runs are drawn, as in pretraining.

    overlap: number of tokens that contain a letter of the text. words: of each place, if whole words are drawn.
    """
    everywhere, continues = np.ones(len(places), bool), np.zeros(len(places), bool)
    sampler = run_sampler(overlap) if overlap > 1 else choose_tokens
    if words is not None and overlap == 1:
        sampler = choose_words
        continues[1:] = np.diff(words) == 0
    chosen = sampler(everywhere, continues, ratio, np.random.default_rng(seed))
    return [place for place, is_chosen in zip(places, chosen, strict=True) if is_chosen]


def _group(text: str, content: Content, places: list[int]) -> MaskGroup:
    bounds = [_strip(text, *content.offsets[place]) for place in places]
    return MaskGroup(bounds[0][0], max(end for _, end in bounds), places, content.words[places[0]])


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns the characters without the white space around them; a byte-level token may have a space before it."""
    part = text[start:end]
    if not part.strip():
        return start, end
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def _refuse(field: str, fault: str) -> InvalidValue:
    return InvalidValue(f"`mask.{field}`: {fault}", param=f"mask.{field}")
