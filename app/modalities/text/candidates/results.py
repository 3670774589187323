"""Results of fill-mask for options of candidates. No torch: the API reads these."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.modalities.text.items import FillMaskResult, MaskPrediction, RankedToken


@dataclass(frozen=True)
class MeasuredPrediction(MaskPrediction):
    """A prediction with what was measured of its mask. None: not asked for.

    entropy: in nats, over the whole vocabulary. samples: in the order in which they were drawn.
    """

    entropy: float | None = None
    samples: list[RankedToken] | None = None


@dataclass(frozen=True)
class MaskedToken:
    """A token of the text that was masked, and its prediction.

    position: index among the model's input ids. start, end: characters of the text as given. word: its number in the
    text. log_prob, rank: of the token, among the whole vocabulary; 1 is the best.
    """

    position: int
    token: int
    token_str: str
    start: int
    end: int
    word: int
    log_prob: float
    rank: int
    candidates: list[RankedToken]  # best first
    entropy: float | None = None
    samples: list[RankedToken] | None = None


@dataclass(frozen=True)
class MaskedGroup:
    """Tokens that were masked for one reason: a span, a word, or neighbours in a word that were drawn.

    word: its number; None for a span. prediction: the best candidates of its tokens, decoded together.
    """

    start: int
    end: int
    text: str
    word: int | None
    prediction: str
    tokens: list[MaskedToken]


@dataclass(frozen=True)
class MaskedResult(FillMaskResult):
    """The result for a text whose tokens were masked by meaning."""

    masked: Sequence[MaskedGroup] = ()
