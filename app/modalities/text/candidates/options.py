"""The options of fill-mask that choose candidates and masks. No torch: the API builds these."""

import math
from dataclasses import dataclass

from app.errors import InvalidValue

_WORD = 32  # tokens that most words have at most


@dataclass(frozen=True)
class CandidateFilter:
    """Conditions that all have to hold for an entry of the vocabulary to be a candidate.

    allow, ban: words or vocabulary entries. No `allow`: all of them.
    pattern: a regular expression of RE2 that matches a part of the token, written without white space around it.
    words_only: whole words, without pieces that go on with a word, punctuation and special tokens.
    no_repeats: no word that the text holds already, whatever its case.
    """

    allow: tuple[str, ...] = ()
    ban: tuple[str, ...] = ()
    pattern: str | None = None
    words_only: bool = False
    no_repeats: bool = False

    @property
    def fields(self) -> list[str]:
        """The names of the conditions that are given, as in a request."""
        given = {
            "allow": bool(self.allow),
            "ban": bool(self.ban),
            "pattern": self.pattern is not None,
            "words_only": self.words_only,
            "no_repeats": self.no_repeats,
        }
        return [name for name, is_given in given.items() if is_given]

    def __bool__(self) -> bool:
        return bool(self.fields)


@dataclass(frozen=True)
class Distribution:
    """Options for the probabilities of each mask.

    temperature: divides the logits before the softmax, so everything in the answer is of this distribution.
    samples: number of tokens that are drawn for each mask, with replacement. seed: of the draws.
    entropy: whether the answer has the entropy of each mask.
    """

    temperature: float = 1.0
    samples: int = 0
    seed: int = 0
    entropy: bool = False

    @property
    def fields(self) -> list[str]:
        """The names of the options that are given, as in a request."""
        given = {"temperature": self.temperature != 1, "sample": self.samples > 0, "entropy": self.entropy}
        return [name for name, is_given in given.items() if is_given]


PLAIN_FILTER, PLAIN_DISTRIBUTION = CandidateFilter(), Distribution()


@dataclass(frozen=True)
class MaskChoice:
    """Which tokens of a text without masks are masked. Exactly one of `spans`, `words` and `ratio` is given.

    spans: start and end characters; every token of a span is masked. words: their numbers in the text.
    ratio: share of the tokens that are drawn, rounded up. seed: of the draw. whole_words: draw words instead of tokens.

    Raises InvalidValue.
    """

    spans: tuple[tuple[int, int], ...] | None = None
    words: tuple[int, ...] | None = None
    ratio: float | None = None
    seed: int = 0
    whole_words: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("spans", "words", "ratio") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidValue(
                f"`mask` takes one of `spans`, `words` and `ratio`, not {' and '.join(given) or 'none'}", param="mask"
            )
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise InvalidValue(f"`mask.ratio` is {self.ratio}; it should be above 0 and at most 1", param="mask.ratio")

    def count_tokens(self, text: str) -> int:
        """Counts about how many tokens of a text may be masked: a tokenizer makes hardly more than one a character."""
        if self.spans is not None:
            return min(sum(max(end - start, 0) for start, end in self.spans), len(text))
        if self.words is not None:
            return min(len(self.words) * _WORD, len(text))
        return math.ceil(len(text) * (self.ratio or 1.0))
