"""The notation of variants: `H24C` replaces the H at position 24 by a C; `A1G:T3S` replaces two letters.

ProteinGym and ESM's variant prediction write them so. Positions count letters, without white space.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from app.errors import InvalidValue

MAX_SUBSTITUTIONS = 100_000  # of a request
SEPARATOR = ":"

_SUBSTITUTION = re.compile(r"([^\s\d])([0-9]{1,10})([^\s\d])")
_SHOWN = 60  # characters of a variant that its error shows


class Substitution(NamedTuple):
    """place: index of the letter that is replaced, from 0. letter: the new one."""

    place: int
    letter: str


Variant = Sequence[Substitution]


def refuse_variant(index: int, variant: str, reason: str) -> InvalidValue:
    """Returns the error of a variant. index: in the list of the request."""
    return InvalidValue(f"`variants` {index} ({variant[:_SHOWN]!r}): {reason}", param="variants")


def read_variants(variants: Sequence[str], letters: str, offset: int) -> list[Variant]:
    """Returns the substitutions of each variant.

    letters: of the wild type. offset: the position of the first one.
    Raises InvalidValue for a variant that is not written as above, that names a position outside of the sequence or
    one twice, or whose wild-type letter is not the one that stands there.
    """
    known: dict[str, Substitution] = {}
    return [_read(index, variant, letters, offset, known) for index, variant in enumerate(variants)]


def _read(index: int, variant: str, letters: str, offset: int, known: dict[str, Substitution]) -> Variant:
    found = []
    for part in variant.split(SEPARATOR):
        if part not in known:
            try:
                known[part] = _read_substitution(part, letters, offset)
            except ValueError as error:
                raise refuse_variant(index, variant, str(error)) from error
        found.append(known[part])
    if len({each.place for each in found}) < len(found):
        raise refuse_variant(index, variant, "a position is named twice")
    return found


def _read_substitution(part: str, letters: str, offset: int) -> Substitution:
    """Raises ValueError."""
    match = _SUBSTITUTION.fullmatch(part)
    if match is None:
        raise ValueError("it is not written as a letter, a position and a letter, such as H24C, joined by `:`")
    old, position, new = match[1], int(match[2]), match[3]
    place = position - offset
    if not 0 <= place < len(letters):
        raise ValueError(f"the input has the positions {offset} to {offset + len(letters) - 1}, not {position}")
    if letters[place] != old:
        raise ValueError(f"the input has {letters[place]} at position {position}, not {old}")
    return Substitution(place, new)
