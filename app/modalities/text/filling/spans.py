"""Spans of masks whose number the model chooses: `[MASK:1-4]`, `[MASK:3]`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from app.errors import InvalidValue, TooManyMasks
from app.modalities.text.items import MASK_ALIAS, MAX_WORD_TOKENS, SPAN

MAX_COMBINATIONS = 64  # of the lengths of all spans of a text

_LENGTHS = re.compile(r"([1-9])(?:-([1-9]))?")


@dataclass(frozen=True)
class SpanText:
    """A text with spans, of which a plain mask is one of length 1.

    plain: the text with one mask in place of each span. places: characters of each in the text as given.
    lengths: least and greatest of each.
    """

    plain: str
    places: list[tuple[int, int]]
    lengths: list[tuple[int, int]]

    @property
    def longest(self) -> int:
        """The number of masks where each span has its greatest length."""
        return sum(most for _, most in self.lengths)

    def combinations(self) -> Iterator[tuple[int, ...]]:
        """Yields the length of each span, for all combinations."""
        return product(*(range(least, most + 1) for least, most in self.lengths))


def read_spans(text: str, masks: re.Pattern[str], max_masks: int) -> SpanText:
    """Reads the spans of a text. masks: matches a plain mask. max_masks: in the text, with spans at their longest.

    Raises InvalidValue for a span that cannot be understood, for too many combinations and too many masks.
    """
    found = re.compile(f"{SPAN.pattern}|(?:{masks.pattern})")
    parts, places, lengths = [], [], []
    end = 0
    for match in found.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        places.append(match.span())
        lengths.append((1, 1) if match[1] is None else _read_lengths(match[0], match[1]))
    read = SpanText(MASK_ALIAS.join([*parts, text[end:]]), places, lengths)
    if read.longest > max_masks:
        raise TooManyMasks(
            f"the input holds up to {read.longest} masks and at most {max_masks} are allowed", param="input"
        )
    combinations = prod(most - least + 1 for least, most in lengths)
    if combinations > MAX_COMBINATIONS:
        raise InvalidValue(
            f"the spans of the input have {combinations} combinations of lengths; {MAX_COMBINATIONS} are allowed",
            param="input",
        )
    return read


def repeat_masks(ids: list[int], masks: Sequence[int], lengths: Sequence[int]) -> tuple[list[int], list[int]]:
    """Returns the ids with each mask repeated, and the positions of all masks in them."""
    repeated: list[int] = []
    positions: list[int] = []
    end = 0
    for mask, length in zip(masks, lengths, strict=True):
        repeated += ids[end:mask]
        positions += range(len(repeated), len(repeated) + length)
        repeated += [ids[mask]] * length
        end = mask + 1
    return repeated + ids[end:], positions


def split_runs(tokens: Sequence[int], lengths: Sequence[int]) -> list[Sequence[int]]:
    """Returns the tokens of each span."""
    remaining = iter(tokens)
    return [[next(remaining) for _ in range(length)] for length in lengths]


def _read_lengths(span: str, written: str) -> tuple[int, int]:
    match = _LENGTHS.fullmatch(written.replace(" ", ""))
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= least <= most <= MAX_WORD_TOKENS:
        raise InvalidValue(
            f"{span} is no span: write [MASK:3] or [MASK:1-4], with lengths from 1 to {MAX_WORD_TOKENS}", param="input"
        )
    return least, most
