"""Items and results of the text tasks. No torch: the API builds and reads these."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.errors import InvalidValue
from app.modalities.text.candidates.options import (
    PLAIN_DISTRIBUTION,
    PLAIN_FILTER,
    CandidateFilter,
    Distribution,
    MaskChoice,
)
from app.types import FillOrder, FillStrategy, Normalization, TruncationSide

MASK_ALIAS = "[MASK]"  # understood by every model, whatever its own mask token


SPAN_START = "[MASK:"
SPAN = re.compile(r"\[MASK:([^\[\]]{0,32})\]")  # of masks, such as `[MASK:1-4]`

MAX_WORD_TOKENS = 8  # of a target, and of a span

MAX_ROWS = 16_384  # of one request, for the answers that take many rows an input

# Options that answer each mask by itself, and the others that cannot be combined with them. Spans cannot either.
_RIVALS = {
    "whole_words": ("targets", "num_sequences", "decode"),
    "targets": (),
    "windows": ("mask", "num_sequences", "decode"),
}


@dataclass(frozen=True)
class FillMaskItem:
    """text: holds one or several masks, written `[MASK]` or as the model's own mask token, or spans of masks.

    targets: restrict the candidates to these words or vocabulary entries, of at most MAX_WORD_TOKENS tokens each.
    renormalize: rescale the scores of each mask so that they sum to 1 over the targets. Raises InvalidValue if there
    are none.
    whole_words: the candidates are words of one or several tokens.
    normalization: how candidates of several tokens are ranked.
    num_sequences: so many ways of filling all masks together are looked for, too.
    decode: how; None: by a beam search if `num_sequences` asks for any. order: of the masks. seed: of random draws.
    truncate: shorten a text longer than the model. truncation_side: where; None: at both ends, around the masks. At an
    end that would lose a mask, it is None, too.
    windows: read a text longer than the model in windows. stride: tokens that neighbours have in common; None for half.
    single_tokens: refuse what is answered by candidates of several tokens, where the answer has no room for them.
    max_rows: rows that the item may take.
    filter, distribution: of the candidates. mask: masks tokens of a text that holds no mask; see `MaskedResult`.
    """

    text: str
    top_k: int = 5
    targets: tuple[str, ...] = ()
    renormalize: bool = False
    whole_words: bool = False
    normalization: Normalization = Normalization.NONE
    num_sequences: int = 0
    decode: FillStrategy | None = None
    order: FillOrder = FillOrder.CONFIDENCE
    seed: int = 0
    truncate: bool = False
    truncation_side: TruncationSide | None = TruncationSide.RIGHT
    windows: bool = False
    stride: int | None = None
    single_tokens: bool = False
    max_masks: int = 64
    max_rows: int = MAX_ROWS
    filter: CandidateFilter = PLAIN_FILTER
    distribution: Distribution = PLAIN_DISTRIBUTION
    mask: MaskChoice | None = None

    def __post_init__(self) -> None:
        if self.renormalize and not self.targets and not self.filter:
            raise InvalidValue(
                "`renormalize` rescales the scores of `targets`, or of what passes a filter; there are none",
                param="renormalize",
            )
        if self.distribution.samples and self.targets:
            raise InvalidValue("`sample` draws from the vocabulary; write `allow` instead of `targets`", param="sample")
        if self.mask and (self.targets or self.sequences or self.whole_words):
            raise InvalidValue("`mask` takes no targets, whole words and joint fillings", param="mask")
        if self.mask and self.mask.ratio is not None and self.truncation_side is None:
            raise InvalidValue(
                "`truncation_side` around keeps what is masked, and `mask.ratio` draws masks after the text is cut",
                param="truncation_side",
            )
        if self.whole_words and self.choices:
            raise InvalidValue(f"`whole_words` and `{self.choices[0]}` cannot be combined", param="whole_words")
        if self.decode is FillStrategy.GREEDY and self.num_sequences > 1:
            raise InvalidValue(
                f"`decode` greedy gives one sequence, not {self.num_sequences}; beam gives several",
                param="num_sequences",
            )
        for option, others in _RIVALS.items():
            if getattr(self, option) and (rival := self._find_rival(others)):
                name = "overflow" if option == "windows" else option
                raise InvalidValue(f"`{name}` and {rival} cannot be combined", param=name)
        if self.single_tokens and self.has_spans:
            raise InvalidValue("this answer has one token a mask, so the input cannot hold spans", param="input")

    def _find_rival(self, others: Sequence[str]) -> str | None:
        """Returns the first one of other options that is given; spans are always one of them."""
        if self.has_spans:
            return f"spans such as {SPAN_START}1-4]"
        return next((f"`{other}`" for other in others if getattr(self, other)), None)

    @property
    def has_spans(self) -> bool:
        return SPAN_START in self.text and SPAN.search(self.text) is not None  # the first is quick, and mostly false

    @property
    def choices(self) -> list[str]:
        """The names of the options that choose or measure candidates, as in a request."""
        return [*self.filter.fields, *self.distribution.fields]

    @property
    def is_plain(self) -> bool:
        """Whether the candidates are the most probable ones of the vocabulary or of the targets."""
        return self.mask is None and self.filter == PLAIN_FILTER and self.distribution == PLAIN_DISTRIBUTION

    @property
    def sequences(self) -> int:
        """The number of ways of filling all masks together that are looked for."""
        return self.num_sequences or int(self.decode is not None or self.has_spans)

    def check_rows(self, rows: int, param: str) -> None:
        """Raises InvalidValue for more rows than the item may take. param: the option that asks for them."""
        if rows > self.max_rows:
            raise InvalidValue(
                f"`{param}` takes {rows} rows of a batch for an input, where {self.max_rows} are allowed, and"
                f" {MAX_ROWS} for all inputs of a request; ask for less, or send fewer masks or inputs",
                param=param,
            )


@dataclass(frozen=True)
class Candidate:
    """score: probability among the whole vocabulary, or among the targets with `renormalize`.

    token_str: the token decoded alone; byte-level vocabularies keep the space that it begins with.
    sequence: the text as given with this mask filled and every other one as the model's mask token.
    """

    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True)
class RankedToken:
    score: float  # probability
    token: int
    token_str: str


@dataclass(frozen=True)
class FilledToken:
    token: int
    token_str: str


@dataclass(frozen=True)
class WordCandidate:
    """A candidate where some candidates have several tokens.

    score: probability of its tokens, each given the text and the tokens before it, with those after it masked.
    score_per_token: geometric mean over the tokens. log_prob: natural logarithm of the probability, never rescaled.
    token: its token, or None for several. token_str: as it is written. tokens: all of them.
    target: index in the targets, or None without targets.
    """

    score: float
    log_prob: float
    score_per_token: float
    token: int | None
    token_str: str
    tokens: list[FilledToken]
    target: int | None
    sequence: str


@dataclass(frozen=True)
class MaskPrediction:
    """position: index in the model's input ids. start, end: characters of the text as given."""

    position: int
    start: int
    end: int
    candidates: Sequence[Candidate] | Sequence[WordCandidate]  # best first


@dataclass(frozen=True)
class FilledSequence:
    """All masks of a text filled together.

    sequence: the text as given with every mask filled.
    log_prob: sum of the natural logarithms of each token's probability when it was last filled in, given the text and
    the tokens that stood in other masks then.
    pseudo_log_prob: the same sum with each token given all others: one forward a mask, with only that mask open.
    score_per_token: geometric mean of the tokens' probabilities, by `log_prob`.
    tokens: of all masks, in the order of the text. lengths: number of tokens of each mask or span.
    """

    sequence: str
    log_prob: float
    pseudo_log_prob: float
    score_per_token: float
    tokens: list[FilledToken]
    lengths: list[int]


@dataclass(frozen=True)
class FillMaskResult:
    masks: list[MaskPrediction]  # in the order of the text
    tokens: int  # that the model read, special ones included
    sequences: list[FilledSequence] | None = (
        None  # by `pseudo_log_prob`, with spans by `score_per_token`; None: not asked for
    )


class ScoreMethod(StrEnum):
    """The tokens that are masked to score one: it alone, or also those that follow it in its word."""

    WITHIN_WORD_L2R = "within-word-l2r"
    ORIGINAL = "original"


@dataclass(frozen=True)
class DrawnMasks:
    """Tokens that are masked together. share: of the tokens of the text, rounded up. seed: of the draw."""

    share: float
    seed: int


@dataclass(frozen=True)
class ScoreItem:
    """top_k: so many of the tokens that the model would rather have had at each place.

    windows: read a text longer than the model in windows. stride: tokens that neighbours have in common; None for half.
    max_rows: rows that the windows may take.
    drawn: only the drawn tokens are scored, and all of them are masked. None: each token is scored by `method`.
    """

    text: str
    method: ScoreMethod = ScoreMethod.WITHIN_WORD_L2R
    top_k: int = 0
    truncate: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT
    windows: bool = False
    stride: int | None = None
    max_rows: int = MAX_ROWS
    drawn: DrawnMasks | None = None


@dataclass(frozen=True)
class ScoredToken:
    """start, end: characters of the text as given. word: its number in the text. rank: 1 is the vocabulary's best."""

    token: int
    token_str: str
    start: int
    end: int
    word: int
    log_prob: float  # natural logarithm
    rank: int
    candidates: list[RankedToken]  # best first


@dataclass(frozen=True)
class ScoreResult:
    scored: list[ScoredToken]  # all but special ones
    tokens: int  # of the text, special ones included

    @property
    def log_likelihood(self) -> float:
        return math.fsum(token.log_prob for token in self.scored)

    @property
    def pseudo_perplexity(self) -> float:
        return math.exp(-self.log_likelihood / len(self.scored))


@dataclass(frozen=True)
class TokenInfo:
    """text: as written in the input. start, stop: its characters; None for an added special token."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None
