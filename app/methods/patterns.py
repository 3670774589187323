"""Regular expressions of tokenizers, in a subset that is matched in linear time.

The library tokenizers matches with Oniguruma, which tries alternatives one after the other: `(a+)+b` takes time that is
exponential in the text. `bound_pattern` reads an expression, gives every repetition an upper bound, and counts in how
many ways one match can be tried. The product of this number and the length of the longest match bounds the time for
each character of a text.
"""

import re
from dataclasses import dataclass

from app.errors import InvalidValue

# Atoms in brackets, elements of two letters, bonds, rings and branches of SMILES; from Schwaller et al.,
# "Molecular Transformer" (arXiv 1811.02633), section 2.
SMILES = r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|\%[0-9]{2}|[0-9]"
# Names, numbers, operators of up to three marks, and indentation of source code.
CODE = r"[\p{L}_][\p{L}\p{N}_]*|[0-9]+|[<>=!&|+*/%^-]{1,3}|\n[ \t]*|[ \t]+"
PATTERNS = {"smiles": SMILES, "code": CODE}

MOST = 32  # repetitions where a pattern states no upper bound
MAX_PATTERN = 2000  # characters of an expression
MAX_CHARS = 512  # characters of the longest match
MAX_WAYS = 2000  # ways in which one match can be tried
_DEPTH = 20  # groups within groups
_ESCAPE = re.compile(r"\\(?:[pP]\{\^?\w{1,30}\}|[dDwWsSbntrfv]|[^\w\s])")
_COUNT = re.compile(r"\{(\d{0,4})(,?)(\d{0,4})\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\\[])*\]", re.DOTALL)


@dataclass(frozen=True)
class _Part:
    """A part of an expression. chars: of its longest match. ways: in which a match can be tried."""

    text: str
    chars: int
    ways: int


def find_pattern(pattern: str) -> str:
    """Returns the bounded expression of a named pattern or of the user's own. Raises InvalidValue."""
    return bound_pattern(PATTERNS.get(pattern, pattern))


def bound_pattern(pattern: str) -> str:
    """Returns an expression whose repetitions all have an upper bound: `MOST` where the pattern has none.

    Raises InvalidValue for an expression outside the subset, one that may take too long, or one that is too long.
    """
    if len(pattern) > MAX_PATTERN:
        raise _refuse(f"has {len(pattern)} characters; it may have {MAX_PATTERN}")
    reader = _Reader(pattern)
    part = reader.alternatives(0)
    if reader.rest:
        raise _refuse(f"has an unexpected {reader.rest[0]!r} at character {reader.at + 1}")
    if part.chars == 0:
        raise _refuse("matches no character")
    return part.text


class _Reader:
    """A recursive-descent reader of an expression."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self.at = pattern, 0

    @property
    def rest(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def alternatives(self, depth: int) -> _Part:
        if depth > _DEPTH:
            raise _refuse(f"has more than {_DEPTH} groups within each other")
        branches = [self._sequence(depth)]
        while self.rest == "|":
            self.at += 1
            branches.append(self._sequence(depth))
        return _check(
            _Part("|".join(b.text for b in branches), max(b.chars for b in branches), sum(b.ways for b in branches))
        )

    def _sequence(self, depth: int) -> _Part:
        whole = _Part("", 0, 1)
        while self.rest and self.rest not in "|)":
            part = self._repeat(self._atom(depth))
            whole = _check(_Part(whole.text + part.text, whole.chars + part.chars, whole.ways * part.ways))
        return whole

    def _atom(self, depth: int) -> _Part:
        character = self.rest
        if character == "(":
            return self._group(depth)
        if character == "[":
            return self._take(_CLASS, "has a character class that is not closed, or one within another")
        if character == "\\":
            return self._take(_ESCAPE, "has an escape that is not supported, such as a backreference")
        if character in "*+?{^$":
            raise _refuse(f"has an unexpected {character!r} at character {self.at + 1}; write \\{character}")
        self.at += 1
        return _Part(character, 1, 1)

    def _take(self, shape: re.Pattern[str], fault: str) -> _Part:
        found = shape.match(self._pattern, self.at)
        if found is None or (found[0][0] == "[" and "&&" in found[0]):
            raise _refuse(fault)
        self.at = found.end()
        return _Part(found[0], 0 if found[0] == r"\b" else 1, 1)

    def _group(self, depth: int) -> _Part:
        self.at += 3 if self._pattern.startswith("(?:", self.at) else 1
        if self.rest == "?":
            raise _refuse("has a group of a kind that is not supported, such as a lookahead; use (?:…)")
        inner = self.alternatives(depth + 1)
        if self.rest != ")":
            raise _refuse("has a group that is not closed")
        self.at += 1
        return _Part(f"(?:{inner.text})", inner.chars, inner.ways)

    def _repeat(self, part: _Part) -> _Part:
        found = _COUNT.match(self._pattern, self.at)
        if self.rest and self.rest in "*+?":
            least, most = {"*": (0, MOST), "+": (1, MOST), "?": (0, 1)}[self.rest]
            self.at += 1
        elif found and (found[1] or found[3]):
            least = int(found[1] or 0)
            most = int(found[3]) if found[3] else max(least, MOST) if found[2] else least
            self.at = found.end()
        else:
            return part
        if most < least:
            raise _refuse(f"has a repetition of {least} to {most}")
        lazy = "?" if self.rest == "?" else ""
        self.at += len(lazy)
        if self.rest and self.rest in "*+?{":
            raise _refuse("has a repetition of a repetition")
        if part.chars * most > MAX_CHARS:
            raise _refuse(f"can match more than {MAX_CHARS} characters")
        ways = most - least + 1 if part.ways == 1 else part.ways**most * (most - least + 1)
        return _check(_Part(f"{part.text}{{{least},{most}}}{lazy}", part.chars * most, ways))


def _check(part: _Part) -> _Part:
    if part.chars > MAX_CHARS:
        raise _refuse(f"can match more than {MAX_CHARS} characters")
    if part.ways > MAX_WAYS:
        raise _refuse(
            f"can be matched in too many ways; give repetitions lower bounds, such as {{1,4}} (+ is {{1,{MOST}}})"
        )
    return part


def _refuse(fault: str) -> InvalidValue:
    return InvalidValue(f"the tokenizer's pattern {fault}", param="tokenizer_pattern")
