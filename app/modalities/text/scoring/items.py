"""Items and results of pairs, candidates and variants. No torch: the API builds and reads these."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from app.modalities.text.items import ScoreItem, ScoreResult


class RankBy(StrEnum):
    """The figure by which texts are compared: of the whole text, or as a mean over its tokens."""

    LOG_LIKELIHOOD = "log_likelihood"
    PSEUDO_PERPLEXITY = "pseudo_perplexity"


class VariantMethod(StrEnum):
    """The sequence that the model sees to score a substitution: with its position masked, or the wild type itself."""

    MASKED_MARGINALS = "masked-marginals"
    WILD_TYPE_MARGINALS = "wild-type-marginals"


@dataclass(frozen=True)
class PseudoLikelihood:
    """The figures of a whole text. Higher `merit` is better."""

    log_likelihood: float
    pseudo_perplexity: float

    @classmethod
    def of(cls, result: ScoreResult) -> "PseudoLikelihood":
        """Returns the figures of a scored text."""
        return cls(result.log_likelihood, result.pseudo_perplexity)

    def merit(self, rank_by: RankBy) -> float:
        """Returns the number by which texts are ranked; the best has the highest."""
        return self.log_likelihood if rank_by is RankBy.LOG_LIKELIHOOD else -self.pseudo_perplexity


@dataclass(frozen=True)
class PairItem:
    """Two texts to compare."""

    good: ScoreItem
    bad: ScoreItem
    rank_by: RankBy = RankBy.LOG_LIKELIHOOD


@dataclass(frozen=True)
class PairResult:
    """preferred: the better text. A tie are two texts of the same tokens or with the same figure."""

    good: PseudoLikelihood
    bad: PseudoLikelihood
    preferred: Literal["good", "bad", "tie"]
    tokens: int  # of both texts, special ones included


@dataclass(frozen=True)
class CandidatesItem:
    """context: a text with one mask. candidates: words or phrases, each of which is put in place of the mask."""

    context: ScoreItem
    candidates: tuple[str, ...]
    rank_by: RankBy = RankBy.LOG_LIKELIHOOD


@dataclass(frozen=True)
class RankedCandidate:
    """index: in the candidates of the item. The figures are those of the whole text with the candidate in it."""

    index: int
    candidate: str
    log_likelihood: float
    pseudo_perplexity: float


@dataclass(frozen=True)
class CandidatesResult:
    candidates: list[RankedCandidate]  # best first
    tokens: int  # of all texts, special ones included


@dataclass(frozen=True)
class VariantsItem:
    """A wild type and substitutions of its letters.

    text: the wild type. variants: as `H24C`, or several substitutions as `A1G:T3S`; None: every letter of the text is
    replaced by each one of `letters`. letters: empty for all letters of the vocabulary. offset: the position of the
    first letter. windows, stride: as for a ScoreItem.
    """

    text: str
    variants: tuple[str, ...] | None
    letters: str = ""
    offset: int = 1
    method: VariantMethod = VariantMethod.MASKED_MARGINALS
    windows: bool = False
    stride: int | None = None


@dataclass(frozen=True)
class VariantScore:
    """score: log-probability of the new letters minus that of the wild type's, summed over the substitutions."""

    variant: str
    score: float


@dataclass(frozen=True)
class VariantsResult:
    variants: Sequence[VariantScore]  # in the order of the item, or by position and letter
    tokens: int  # of the wild type, special ones included


AnyScoreItem = ScoreItem | PairItem | CandidatesItem | VariantsItem
AnyScoreResult = ScoreResult | PairResult | CandidatesResult | VariantsResult
